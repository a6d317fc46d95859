// IPv6 addresses and prefixes. Values are in host order, as those of IPv4 (net/address.h).
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <compare>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "net/byte_order.h"
#include "net/mac.h"
#include "net/prefix.h"

namespace millrace {

__extension__ typedef unsigned __int128 Uint128;  // NOLINT(modernize-use-using): __extension__ takes no using

// Kept as two halves: a Uint128 would align prefixes to 16 bytes and make them 32 long.
class Ipv6Address {
 public:
  static constexpr unsigned kBits = 128;
  using Value = Uint128;
  using Bytes = std::array<std::uint8_t, 16>;
  constexpr Ipv6Address() = default;
  constexpr explicit Ipv6Address(Uint128 host_value)
      : high_(static_cast<std::uint64_t>(host_value >> 64)), low_(static_cast<std::uint64_t>(host_value)) {}
  constexpr Ipv6Address(std::uint64_t high, std::uint64_t low) : high_(high), low_(low) {}
  constexpr explicit Ipv6Address(std::span<const std::uint8_t, 16> wire) {
    Bytes bytes{};
    std::copy(wire.begin(), wire.end(), bytes.begin());
    const auto halves = std::bit_cast<std::array<std::uint64_t, 2>>(bytes);
    high_ = byteswap(halves[0]);
    low_ = byteswap(halves[1]);
  }

  // The link-local one that is made of a MAC (RFC 4291 2.5.6 and appendix A).
  static constexpr Ipv6Address link_local(const MacAddress& mac) {
    const auto& b = mac.bytes;
    const std::uint8_t universal = b[0] ^ 2;
    return Ipv6Address(
        Bytes{0xfe, 0x80, 0, 0, 0, 0, 0, 0, universal, b[1], b[2], 0xff, 0xfe, b[3], b[4], b[5]});
  }

  [[nodiscard]] constexpr Uint128 value() const { return Uint128{high_} << 64 | low_; }
  [[nodiscard]] constexpr std::uint64_t high() const { return high_; }
  [[nodiscard]] constexpr std::uint64_t low() const { return low_; }
  // In wire order.
  [[nodiscard]] constexpr Bytes bytes() const {
    return std::bit_cast<Bytes>(std::array{byteswap(high_), byteswap(low_)});
  }
  [[nodiscard]] constexpr bool is_unspecified() const { return high_ == 0 && low_ == 0; }  // ::
  [[nodiscard]] constexpr bool is_loopback() const { return high_ == 0 && low_ == 1; }     // ::1
  [[nodiscard]] constexpr bool is_multicast() const { return (high_ >> 56) == 0xff; }      // ff00::/8
  [[nodiscard]] constexpr bool is_link_local() const { return (high_ >> 54) == 0x3fa; }    // fe80::/10
  [[nodiscard]] constexpr bool is_ipv4_mapped() const {
    return high_ == 0 && low_ >> 32 == 0xffff;
  }  // ::ffff:0:0/96
  // ff02::1:ffXX:XXXX with the last 24 bits of this one (RFC 4291 §2.7.1).
  [[nodiscard]] constexpr Ipv6Address solicited_node() const {
    return {0xff02'0000'0000'0000, 0x0000'0001'ff00'0000 | (low_ & 0xff'ffff)};
  }
  // Canonical text (RFC 5952): lower case, the first of the longest runs of zero groups as "::". IPv4-mapped
  // addresses alone end in a dotted quad (§5): nothing else is in ::ffff:0:0/96. The deprecated
  // IPv4-compatible ones share ::/96 with :: and ::1 and stay hexadecimal (glibc's inet_ntop differs there).
  [[nodiscard]] std::string to_string() const;

  // Every form of RFC 4291 §2.2 and nothing beside: no zone, no fifth digit.
  static std::optional<Ipv6Address> parse(std::string_view text);

  friend constexpr auto operator<=>(Ipv6Address, Ipv6Address) = default;

 private:
  std::uint64_t high_ = 0;
  std::uint64_t low_ = 0;
};
static_assert(sizeof(Ipv6Address) == 16 && alignof(Ipv6Address) == 8);

// The mask of a prefix length from 0 to 128.
constexpr Uint128 ipv6_mask(unsigned length) {
  return prefix_mask<Ipv6Address>(length);
}

using Ipv6Prefix = IpPrefix<Ipv6Address>;
using Ipv6InterfaceAddress = IpInterfaceAddress<Ipv6Address>;
static_assert(sizeof(Ipv6Prefix) == 24);

}  // namespace millrace

template <>
struct std::hash<millrace::Ipv6Address> {
  // The factor is odd (2^64 divided by the golden ratio): addresses that differ in one half alone never meet.
  std::size_t operator()(millrace::Ipv6Address a) const noexcept {
    return std::hash<std::uint64_t>{}(a.high() * 0x9e3779b97f4a7c15 + a.low());
  }
};

template <>
struct std::hash<millrace::Ipv6Prefix> {
  std::size_t operator()(millrace::Ipv6Prefix p) const noexcept {
    return std::hash<millrace::Ipv6Address>{}(p.address()) + p.length();
  }
};
