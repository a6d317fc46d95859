#include "config/model.h"

#include <functional>

namespace millrace::config {

namespace {

constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
constexpr std::string_view kDigits = "0123456789";

// At most `max` letters, digits and "_.-"; the first one is a letter, or a digit where that may be.
bool is_name(std::string_view text, std::size_t max, bool digit_first) {
  constexpr std::string_view kRest = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
  if (text.empty() || text.size() > max || text.find_first_not_of(kRest) != std::string_view::npos)
    return false;
  return kLetters.find(text.front()) != std::string_view::npos ||
         (digit_first && kDigits.find(text.front()) != std::string_view::npos);
}

}  // namespace

bool is_interface_name(std::string_view text) {
  constexpr std::size_t kMax = 15;  // that of the kernel, IFNAMSIZ
  return is_name(text, kMax, false);
}

bool is_netns_name(std::string_view text) {
  constexpr std::size_t kMax = 64;
  return is_name(text, kMax, true);
}

std::size_t NextHop::hash() const {
  if (interface.empty()) return address.hash();
  return address.hash() ^ (std::hash<std::string>{}(interface) | 1);  // never as without an interface
}

std::string NextHop::to_string() const {
  std::string text = address.to_string();
  if (!interface.empty()) text += " dev " + interface;
  if (weight != 1) text += " weight " + std::to_string(weight);
  return text;
}

}  // namespace millrace::config
