#include "net/address.h"

#include "net/take_number.h"

namespace millrace {

std::string Ipv4Address::to_string() const {
  std::string text;
  for (int shift = 24; shift >= 0; shift -= 8) {
    text += std::to_string((value_ >> shift) & 0xff);
    if (shift != 0) text += '.';
  }
  return text;
}

std::optional<Ipv4Address> Ipv4Address::parse(std::string_view text) {
  std::uint32_t value = 0;
  for (int field = 0; field < 4; ++field) {
    if (field != 0) {
      if (text.empty() || text.front() != '.') return std::nullopt;
      text.remove_prefix(1);
    }
    const auto number = take_number(text, 255);
    if (!number) return std::nullopt;
    value = (value << 8) | *number;
  }
  if (!text.empty()) return std::nullopt;
  return Ipv4Address(value);
}

}  // namespace millrace
