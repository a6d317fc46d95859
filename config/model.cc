#include "config/model.h"

#include <functional>

namespace millrace::config {

bool is_interface_name(std::string_view text) {
  constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
  constexpr std::string_view kRest = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
  return !text.empty() && text.size() <= 15 && kLetters.find(text.front()) != std::string_view::npos &&
         text.find_first_not_of(kRest) == std::string_view::npos;
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
