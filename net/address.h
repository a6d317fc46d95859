// IPv4 addresses and prefixes. Values are in host order: comparisons and shifts mean what they say.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "net/byte_order.h"

namespace millrace {

class Ipv4Address {
 public:
  static constexpr unsigned kBits = 32;
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
  return length == 0 ? 0 : ~std::uint32_t{0} << (32 - length);
}

// A prefix whose host bits are zero.
class Ipv4Prefix {
 public:
  using Address = Ipv4Address;
  constexpr Ipv4Prefix() = default;
  // Host bits are cut: Ipv4Prefix(192.0.2.1, 24) is 192.0.2.0/24.
  constexpr Ipv4Prefix(Ipv4Address address, unsigned length)
      : address_(address.value() & ipv4_mask(length)), length_(static_cast<std::uint8_t>(length)) {}

  [[nodiscard]] constexpr Ipv4Address address() const { return address_; }
  [[nodiscard]] constexpr unsigned length() const { return length_; }
  [[nodiscard]] constexpr Ipv4Address last() const {
    return Ipv4Address(address_.value() | ~ipv4_mask(length_));
  }
  [[nodiscard]] constexpr bool contains(Ipv4Address a) const {
    return (a.value() & ipv4_mask(length_)) == address_.value();
  }
  [[nodiscard]] constexpr bool contains(Ipv4Prefix other) const {
    return other.length_ >= length_ && contains(other.address_);
  }
  [[nodiscard]] std::string to_string() const;

  // "a.b.c.d/len". With `strict`, set host bits are refused.
  static std::optional<Ipv4Prefix> parse(std::string_view text, bool strict = true);

  friend constexpr auto operator<=>(Ipv4Prefix, Ipv4Prefix) = default;

 private:
  Ipv4Address address_;
  std::uint8_t length_ = 0;
};

// An interface address: the address itself and the length of its subnet ("192.0.2.1/24").
struct Ipv4InterfaceAddress {
  Ipv4Address address;
  unsigned length = 32;

  [[nodiscard]] constexpr Ipv4Prefix subnet() const { return {address, length}; }
  // A subnet has a network and a broadcast address unless it is a /31 (RFC 3021) or a host.
  [[nodiscard]] constexpr bool has_broadcast() const { return length < 31; }
  [[nodiscard]] constexpr Ipv4Address broadcast() const { return subnet().last(); }
  [[nodiscard]] std::string to_string() const;
  static std::optional<Ipv4InterfaceAddress> parse(std::string_view text);

  friend constexpr auto operator<=>(const Ipv4InterfaceAddress&, const Ipv4InterfaceAddress&) = default;
};

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
