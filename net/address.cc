#include "net/address.h"

#include <charconv>

namespace millrace {
namespace {

// A decimal number of at most `max`, without sign or leading zeros; moves `text` past it.
std::optional<unsigned> take_number(std::string_view& text, unsigned max) {
  unsigned value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const auto digits = static_cast<std::size_t>(end - text.data());
  if (error != std::errc{} || value > max || (digits > 1 && text.front() == '0')) return std::nullopt;
  text.remove_prefix(digits);
  return value;
}

struct AddressAndLength {
  Ipv4Address address;
  unsigned length;
};

std::optional<AddressAndLength> parse_with_length(std::string_view text) {
  const auto slash = text.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  const auto address = Ipv4Address::parse(text.substr(0, slash));
  text.remove_prefix(slash + 1);
  const auto length = take_number(text, 32);
  if (!address || !length || !text.empty()) return std::nullopt;
  return AddressAndLength{*address, *length};
}

}  // namespace

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

std::string Ipv4Prefix::to_string() const {
  return address_.to_string() + "/" + std::to_string(length_);
}

std::optional<Ipv4Prefix> Ipv4Prefix::parse(std::string_view text, bool strict) {
  const auto parsed = parse_with_length(text);
  if (!parsed) return std::nullopt;
  const Ipv4Prefix prefix(parsed->address, parsed->length);
  if (strict && prefix.address() != parsed->address) return std::nullopt;
  return prefix;
}

std::string Ipv4InterfaceAddress::to_string() const {
  return address.to_string() + "/" + std::to_string(length);
}

std::optional<Ipv4InterfaceAddress> Ipv4InterfaceAddress::parse(std::string_view text) {
  const auto parsed = parse_with_length(text);
  if (!parsed) return std::nullopt;
  return Ipv4InterfaceAddress{parsed->address, parsed->length};
}

}  // namespace millrace
