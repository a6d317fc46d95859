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

}  // namespace millrace
