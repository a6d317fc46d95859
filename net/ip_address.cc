#include "net/ip_address.h"

namespace millrace {

std::string IpAddress::to_string() const {
  return visit([](auto address) { return address.to_string(); });
}

std::optional<IpAddress> IpAddress::parse(std::string_view text) {
  if (const auto ipv4 = Ipv4Address::parse(text)) return *ipv4;
  if (const auto ipv6 = Ipv6Address::parse(text)) return *ipv6;
  return std::nullopt;
}

std::optional<AnyPrefix> parse_prefix(std::string_view text, bool strict) {
  if (const auto ipv4 = Ipv4Prefix::parse(text, strict)) return *ipv4;
  if (const auto ipv6 = Ipv6Prefix::parse(text, strict)) return *ipv6;
  return std::nullopt;
}

std::optional<AnyInterfaceAddress> parse_interface_address(std::string_view text) {
  if (const auto ipv4 = Ipv4InterfaceAddress::parse(text)) return *ipv4;
  if (const auto ipv6 = Ipv6InterfaceAddress::parse(text)) return *ipv6;
  return std::nullopt;
}

std::string to_string(const AnyPrefix& prefix) {
  return std::visit([](const auto& of_family) { return of_family.to_string(); }, prefix);
}

}  // namespace millrace
