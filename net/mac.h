// Ethernet MAC addresses, as six bytes in wire order.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace millrace {

struct MacAddress {
  std::array<std::uint8_t, 6> bytes{};

  [[nodiscard]] constexpr bool is_group() const { return (bytes[0] & 1) != 0; }  // multicast or broadcast
  [[nodiscard]] constexpr bool is_zero() const { return *this == MacAddress{}; }
  [[nodiscard]] constexpr bool is_broadcast() const {
    return *this == MacAddress{{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};
  }
  // The six bytes in the low 48 bits, in wire order: what one 8-byte load of a frame's start gives.
  [[nodiscard]] constexpr std::uint64_t as_u48() const {
    std::uint64_t value = 0;
    for (int i = 5; i >= 0; --i) value = (value << 8) | bytes[static_cast<std::size_t>(i)];
    return value;
  }
  [[nodiscard]] std::string to_string() const;
  // "02:00:00:00:00:fe": six pairs of hexadecimal digits with colons.
  static std::optional<MacAddress> parse(std::string_view text);

  friend constexpr auto operator<=>(const MacAddress&, const MacAddress&) = default;
};
static_assert(sizeof(MacAddress) == 6);

}  // namespace millrace
