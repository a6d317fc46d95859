#include "config/route_rules.h"

namespace millrace::config {

namespace {

const Ipv6Prefix kLinkLocal(Ipv6Address(0xfe80'0000'0000'0000, 0), 10);
const Ipv6Prefix kMulticast(Ipv6Address(0xff00'0000'0000'0000, 0), 8);

}  // namespace

// Link-local destinations are on every link, and multicast is not forwarded: neither is in the FIB.
std::string prefix_error(const AnyPrefix& prefix) {
  const auto* ipv6 = std::get_if<Ipv6Prefix>(&prefix);
  if (ipv6 == nullptr) return {};
  if (kLinkLocal.contains(*ipv6)) return ipv6->to_string() + " is link-local: nothing is routed to it";
  if (kMulticast.contains(*ipv6)) return ipv6->to_string() + " is multicast: nothing is routed to it";
  return {};
}

// IPv4 over IPv6 next hops is RFC 8950; the other way round there is nothing.
std::string next_hop_error(const AnyPrefix& prefix, const NextHop& hop) {
  const std::string address = hop.address.to_string();
  if (!hop.address.is_ipv6())
    return std::holds_alternative<Ipv6Prefix>(prefix) ? "IPv6 cannot go by the IPv4 next hop " + address : "";
  if (hop.address.as<Ipv6Address>().is_link_local() && hop.interface.empty())
    return "next hop " + address + " is link-local: it needs an interface";
  return {};
}

}  // namespace millrace::config
