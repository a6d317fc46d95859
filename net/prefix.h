// What the prefixes of IPv4 and IPv6 share. An `Address` has kBits, an unsigned Value of that width in host
// order, value(), to_string() and parse().
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace millrace {

// The mask of a prefix length from 0 to kBits.
template <class Address>
constexpr typename Address::Value prefix_mask(unsigned length) {
  using Value = typename Address::Value;
  return length == 0 ? Value{0} : ~Value{0} << (Address::kBits - length);
}

// A prefix whose host bits are zero.
template <class AddressType>
class IpPrefix {
 public:
  using Address = AddressType;
  constexpr IpPrefix() = default;
  // Host bits are cut: Ipv4Prefix(192.0.2.1, 24) is 192.0.2.0/24.
  constexpr IpPrefix(Address address, unsigned length)
      : address_(address.value() & prefix_mask<Address>(length)),
        length_(static_cast<std::uint8_t>(length)) {}

  [[nodiscard]] constexpr Address address() const { return address_; }
  [[nodiscard]] constexpr unsigned length() const { return length_; }
  [[nodiscard]] constexpr Address last() const {
    return Address(address_.value() | ~prefix_mask<Address>(length_));
  }
  [[nodiscard]] constexpr bool contains(Address a) const {
    return (a.value() & prefix_mask<Address>(length_)) == address_.value();
  }
  [[nodiscard]] constexpr bool contains(IpPrefix other) const {
    return other.length_ >= length_ && contains(other.address_);
  }
  [[nodiscard]] std::string to_string() const;

  // "address/length". With `strict`, set host bits are refused.
  static std::optional<IpPrefix> parse(std::string_view text, bool strict = true);

  friend constexpr auto operator<=>(IpPrefix, IpPrefix) = default;

 private:
  Address address_;
  std::uint8_t length_ = 0;
};

// An interface address: the address itself and the length of its subnet ("192.0.2.1/24").
template <class Address>
struct IpInterfaceAddress {
  Address address;
  unsigned length = Address::kBits;

  [[nodiscard]] constexpr IpPrefix<Address> subnet() const { return {address, length}; }
  // A subnet of IPv4 has a network and a broadcast address unless it is a /31 (RFC 3021) or a host. IPv6 has
  // no broadcast.
  [[nodiscard]] constexpr bool has_broadcast() const requires(Address::kBits == 32) { return length < 31; }
  [[nodiscard]] constexpr Address broadcast() const requires(Address::kBits == 32) { return subnet().last(); }
  // A subnet of IPv6 has the address of all its routers (RFC 4291 2.6.1), its first one, unless it is a /127
  // (RFC 6164) or a host.
  [[nodiscard]] constexpr bool has_anycast() const requires(Address::kBits == 128) { return length < 127; }
  [[nodiscard]] constexpr Address anycast() const requires(Address::kBits == 128) {
    return subnet().address();
  }
  [[nodiscard]] std::string to_string() const;
  static std::optional<IpInterfaceAddress> parse(std::string_view text);

  friend constexpr auto operator<=>(const IpInterfaceAddress&, const IpInterfaceAddress&) = default;
};

}  // namespace millrace
