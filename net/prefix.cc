#include "net/prefix.h"

#include "net/address.h"
#include "net/ipv6_address.h"
#include "net/take_number.h"

namespace millrace {

template <class Address>
std::string IpPrefix<Address>::to_string() const {
  return address_.to_string() + "/" + std::to_string(length_);
}

template <class Address>
std::optional<IpPrefix<Address>> IpPrefix<Address>::parse(std::string_view text, bool strict) {
  const auto parsed = IpInterfaceAddress<Address>::parse(text);
  if (!parsed) return std::nullopt;
  const IpPrefix prefix = parsed->subnet();
  if (strict && prefix.address() != parsed->address) return std::nullopt;
  return prefix;
}

template <class Address>
std::string IpInterfaceAddress<Address>::to_string() const {
  return address.to_string() + "/" + std::to_string(length);
}

template <class Address>
std::optional<IpInterfaceAddress<Address>> IpInterfaceAddress<Address>::parse(std::string_view text) {
  const auto slash = text.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  const auto address = Address::parse(text.substr(0, slash));
  text.remove_prefix(slash + 1);
  const auto length = take_number(text, Address::kBits);
  if (!address || !length || !text.empty()) return std::nullopt;
  return IpInterfaceAddress{*address, *length};
}

template class IpPrefix<Ipv4Address>;
template class IpPrefix<Ipv6Address>;
template struct IpInterfaceAddress<Ipv4Address>;
template struct IpInterfaceAddress<Ipv6Address>;

}  // namespace millrace
