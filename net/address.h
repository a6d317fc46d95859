// IPv4 addresses and prefixes. Values are in host order: comparisons and shifts mean what they say.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "net/byte_order.h"
#include "net/prefix.h"

namespace millrace {

class Ipv4Address {
 public:
  static constexpr unsigned kBits = 32;
  using Value = std::uint32_t;
  constexpr Ipv4Address() = default;
  constexpr explicit Ipv4Address(std::uint32_t host_value) : value_(host_value) {}
  constexpr explicit Ipv4Address(Be32 wire) : value_(wire.host()) {}
  constexpr Ipv4Address(unsigned a, unsigned b, unsigned c, unsigned d)
      : value_((a << 24) | (b << 16) | (c << 8) | d) {}

  [[nodiscard]] constexpr std::uint32_t value() const { return value_; }
  [[nodiscard]] constexpr Be32 wire() const { return Be32(value_); }
  [[nodiscard]] constexpr bool is_multicast() const { return (value_ >> 28) == 0xe; }   // 224/4
  [[nodiscard]] constexpr bool is_loopback() const { return (value_ >> 24) == 127; }    // 127/8
  [[nodiscard]] constexpr bool is_this_network() const { return (value_ >> 24) == 0; }  // 0/8
  [[nodiscard]] constexpr bool is_class_e() const {
    return (value_ >> 28) == 0xf;
  }  // 240/4 with the broadcast
  [[nodiscard]] constexpr bool is_link_local() const { return (value_ >> 16) == 0xa9fe; }  // 169.254/16
  [[nodiscard]] constexpr bool is_broadcast() const { return value_ == 0xffffffff; }
  [[nodiscard]] std::string to_string() const;

  // Dotted quad, exactly four decimal fields; no octal, no spaces.
  static std::optional<Ipv4Address> parse(std::string_view text);

  friend constexpr auto operator<=>(Ipv4Address, Ipv4Address) = default;

 private:
  std::uint32_t value_ = 0;
};

// The mask of a prefix length from 0 to 32.
constexpr std::uint32_t ipv4_mask(unsigned length) {
  return prefix_mask<Ipv4Address>(length);
}

using Ipv4Prefix = IpPrefix<Ipv4Address>;
using Ipv4InterfaceAddress = IpInterfaceAddress<Ipv4Address>;
static_assert(sizeof(Ipv4Prefix) == 8);

}  // namespace millrace

template <>
struct std::hash<millrace::Ipv4Address> {
  std::size_t operator()(millrace::Ipv4Address a) const noexcept {
    return std::hash<std::uint32_t>{}(a.value());
  }
};

template <>
struct std::hash<millrace::Ipv4Prefix> {
  std::size_t operator()(millrace::Ipv4Prefix p) const noexcept {
    return std::hash<std::uint64_t>{}((std::uint64_t{p.address().value()} << 8) | p.length());
  }
};
