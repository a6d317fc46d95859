// Ethernet MAC addresses, as six bytes in wire order.
#pragma once

#include <array>
#include <bit>
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
  [[nodiscard]] constexpr bool is_broadcast() const { return as_u48() == 0xffff'ffff'ffff; }
  // The six bytes in the low 48 bits, in wire order: what one 8-byte load of a frame's start gives.
  [[nodiscard]] constexpr std::uint64_t as_u48() const {
    const auto halves = std::bit_cast<std::array<std::uint16_t, 3>>(bytes);
    return halves[0] | std::uint64_t{halves[1]} << 16 | std::uint64_t{halves[2]} << 32;
  }
  [[nodiscard]] std::string to_string() const;
  // "02:00:00:00:00:fe": six pairs of hexadecimal digits with colons.
  static std::optional<MacAddress> parse(std::string_view text);

  // A frame's every address is compared: two words here, where a loop over bytes calls memcmp.
  friend constexpr bool operator==(const MacAddress& a, const MacAddress& b) {
    return a.as_u48() == b.as_u48();
  }
  friend constexpr auto operator<=>(const MacAddress&, const MacAddress&) = default;
};
static_assert(sizeof(MacAddress) == 6);
inline constexpr MacAddress kBroadcastMac{{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};

}  // namespace millrace
