// An address or prefix of either family, and pairs of things of which each family has one.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>

#include "net/address.h"
#include "net/ipv6_address.h"

namespace millrace {

class IpAddress {
 public:
  constexpr IpAddress() = default;                                  // 0.0.0.0
  constexpr IpAddress(Ipv4Address a) : bits_(0, a.value()) {}       // NOLINT: implicit by design
  constexpr IpAddress(Ipv6Address a) : bits_(a), is_ipv6_(true) {}  // NOLINT: implicit by design

  [[nodiscard]] constexpr bool is_ipv6() const { return is_ipv6_; }
  template <class Address>
  [[nodiscard]] constexpr bool is() const {
    return is_ipv6_ == std::is_same_v<Address, Ipv6Address>;
  }
  // Of the family that it is of.
  template <class Address>
  [[nodiscard]] constexpr Address as() const {
    return Address(static_cast<typename Address::Value>(bits_.value()));
  }
  // Calls `visit` with the Ipv4Address or Ipv6Address that it is.
  template <class Visit>
  constexpr decltype(auto) visit(Visit&& visit) const {
    return is_ipv6_ ? std::forward<Visit>(visit)(bits_) : std::forward<Visit>(visit)(as<Ipv4Address>());
  }
  [[nodiscard]] std::size_t hash() const { return std::hash<Ipv6Address>{}(bits_) ^ std::size_t{is_ipv6_}; }
  [[nodiscard]] std::string to_string() const;
  static std::optional<IpAddress> parse(std::string_view text);

  // All of IPv4 come before those of IPv6.
  friend constexpr bool operator==(const IpAddress&, const IpAddress&) = default;
  friend constexpr std::strong_ordering operator<=>(const IpAddress& a, const IpAddress& b) {
    return a.is_ipv6_ != b.is_ipv6_ ? a.is_ipv6_ <=> b.is_ipv6_ : a.bits_ <=> b.bits_;
  }

 private:
  Ipv6Address bits_;  // of an IPv4 address: the low 32
  bool is_ipv6_ = false;
};
static_assert(sizeof(IpAddress) == 24);

template <template <class Address> class T>
struct PerFamily {
  T<Ipv4Address> ipv4;
  T<Ipv6Address> ipv6;

  template <class Address>
  [[nodiscard]] constexpr T<Address>& of() {
    if constexpr (std::is_same_v<Address, Ipv4Address>) {
      return ipv4;
    } else {
      return ipv6;
    }
  }
  template <class Address>
  [[nodiscard]] constexpr const T<Address>& of() const {
    return const_cast<PerFamily*>(this)->template of<Address>();
  }
  friend bool operator==(const PerFamily&, const PerFamily&) = default;
};

template <class Address>
inline constexpr std::string_view kFamilyName = std::is_same_v<Address, Ipv4Address> ? "ipv4" : "ipv6";

// Calls `visit` once for each family, with the type of its addresses: [&]<class Address>() { ... }.
template <class Visit>
constexpr void for_each_family(Visit&& visit) {
  visit.template operator()<Ipv4Address>();
  visit.template operator()<Ipv6Address>();
}

// One of the two. As with addresses, all of IPv4 come before those of IPv6.
template <template <class Address> class T>
using EitherFamily = std::variant<T<Ipv4Address>, T<Ipv6Address>>;
using AnyPrefix = EitherFamily<IpPrefix>;
using AnyInterfaceAddress = EitherFamily<IpInterfaceAddress>;

// As those of IpPrefix and IpInterfaceAddress.
std::optional<AnyPrefix> parse_prefix(std::string_view text, bool strict = true);
std::optional<AnyInterfaceAddress> parse_interface_address(std::string_view text);
std::string to_string(const AnyPrefix& prefix);

}  // namespace millrace
