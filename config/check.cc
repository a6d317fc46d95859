// What is wrong between values that are each well-formed. Every pass is at most n log n in what it looks at:
// a file may hold a million routes.
#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <set>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "config/draft.h"
#include "config/names.h"
#include "config/route_rules.h"
#include "net/wire.h"

namespace millrace::config {
namespace {

template <class AddressType>
struct Subnet {
  using Address = AddressType;
  IpInterfaceAddress<Address> address;  // the router's own in it
  const InterfaceDraft* interface;
  Place at;
  [[nodiscard]] IpPrefix<Address> prefix() const { return address.subnet(); }
};

// The subnets that the interfaces' addresses connect the router to, and those addresses.
template <class Address>
class Connected {
 public:
  explicit Connected(std::vector<Subnet<Address>> subnets) : subnets_(std::move(subnets)) {
    for (const auto& subnet : subnets_) {
      own_.emplace(subnet.address.address, &subnet);
      by_prefix_.emplace(subnet.prefix(), &subnet);
      has_length_[subnet.address.length] = true;
    }
  }
  Connected(Connected&&) noexcept = default;  // a vector's elements stay where they are; a copy's would not
  [[nodiscard]] const Subnet<Address>* own(Address address) const {
    const auto found = own_.find(address);
    return found == own_.end() ? nullptr : found->second;
  }
  // The longest subnet that holds `address`: a look-up a length, however many subnets there are.
  [[nodiscard]] const Subnet<Address>* subnet_of(Address address) const {
    for (unsigned length = Address::kBits + 1; length-- > 0;) {
      if (!has_length_[length]) continue;
      const auto found = by_prefix_.find(IpPrefix<Address>(address, length));
      if (found != by_prefix_.end()) return found->second;
    }
    return nullptr;
  }

 private:
  std::vector<Subnet<Address>> subnets_;
  std::unordered_map<Address, const Subnet<Address>*> own_;
  std::unordered_map<IpPrefix<Address>, const Subnet<Address>*> by_prefix_;
  std::array<bool, Address::kBits + 1> has_length_{};
};

// workers

// A worker may share the control thread's core: on a machine with one core it has to.
void check_workers(const Draft& draft, Problems& problems) {
  std::unordered_map<unsigned, Place> seen;
  for (const auto& [core, at] : draft.workers) {
    const auto [first, is_new] = seen.emplace(core, at);
    if (!is_new)
      problems.add(at, "core " + std::to_string(core) + " has a worker already", "one core runs one worker");
  }
}

// interfaces

// Why no interface can have this address, or nothing (RFC 1122 3.2.1.3, RFC 1812 5.3.7).
const char* unusable(const Ipv4InterfaceAddress& interface_address) {
  const Ipv4Address address = interface_address.address;
  if (address.is_multicast()) return "a multicast address";
  if (address.is_loopback()) return "a loopback address";
  if (address.is_this_network()) return "in 0.0.0.0/8";
  if (address.is_class_e()) return "in the reserved 240.0.0.0/4";
  if (!interface_address.has_broadcast()) return nullptr;
  if (address == interface_address.subnet().address()) return "its subnet's network address";
  if (address == interface_address.broadcast()) return "its subnet's broadcast address";
  return nullptr;
}

// The same (RFC 4291 2.5 to 2.7).
const char* unusable(const Ipv6InterfaceAddress& interface_address) {
  const Ipv6Address address = interface_address.address;
  if (address.is_unspecified()) return "the unspecified address";
  if (address.is_loopback()) return "the loopback address";
  if (address.is_multicast()) return "a multicast address";
  if (address.is_link_local()) return "link-local, and the router makes that one itself";
  if (address.is_ipv4_mapped()) return "an IPv4-mapped address";
  if (interface_address.has_anycast() && address == interface_address.anycast())
    return "its subnet's router anycast address";
  return nullptr;
}

template <class Address>
void check_address(const Subnet<Address>& subnet, Problems& problems) {
  const char* reason = unusable(subnet.address);
  if (!reason) return;
  problems.add(subnet.at, subnet.address.to_string() + " cannot be an interface's address: it is " + reason);
}

template <class Address>
void report_repeated_address(const Subnet<Address>& first, const Subnet<Address>& again, Problems& problems) {
  problems.add(again.at,
               again.address.address.to_string() + " is an address of interface " +
                   quoted(first.interface->name) + " already",
               "see " + line_of(first.at));
}

// Every address of the family in the file; those that came before on any interface are reported and left out.
template <class Address>
std::vector<Subnet<Address>> distinct_subnets(const Draft& draft, Problems& problems) {
  std::vector<Subnet<Address>> subnets;
  std::unordered_map<Address, Subnet<Address>> seen;
  for (const InterfaceDraft& interface : draft.interfaces) {
    for (const auto& placed : interface.addresses) {
      const auto* address = std::get_if<IpInterfaceAddress<Address>>(&placed.value);
      if (!address) continue;
      const Subnet<Address> subnet{*address, &interface, placed.at};
      const auto [first, is_new] = seen.emplace(address->address, subnet);
      if (!is_new) {
        report_repeated_address(first->second, subnet, problems);
        continue;
      }
      check_address(subnet, problems);
      subnets.push_back(subnet);
    }
  }
  return subnets;
}

// Of two subnets that overlap, the later one in the file is to blame.
template <class Address>
void report_overlap(const Subnet<Address>& a, const Subnet<Address>& b, Problems& problems) {
  const auto& [earlier, later] = a.at < b.at ? std::pair(a, b) : std::pair(b, a);
  problems.add(later.at,
               "subnet " + later.prefix().to_string() + " overlaps " + earlier.prefix().to_string() +
                   " of interface " + quoted(earlier.interface->name),
               "see " + line_of(earlier.at));
}

// Prefixes nest or are disjoint. In sorted order those that hold a prefix come before it, so a stack of the
// ones that are still open has at most one a length. Several addresses in one subnet are fine on one
// interface.
template <class Address>
void check_overlaps(std::vector<Subnet<Address>> subnets, Problems& problems) {
  std::ranges::stable_sort(subnets, {}, &Subnet<Address>::prefix);
  std::vector<const Subnet<Address>*> open;
  for (const auto& subnet : subnets) {
    while (!open.empty() && !open.back()->prefix().contains(subnet.prefix())) open.pop_back();
    for (const auto* outer : open) {
      if (outer->interface == subnet.interface) continue;
      report_overlap(*outer, subnet, problems);
      break;
    }
    if (open.empty() || open.back()->prefix() != subnet.prefix()) open.push_back(&subnet);
  }
}

template <class Address>
Connected<Address> check_subnets(const Draft& draft, Problems& problems) {
  auto subnets = distinct_subnets<Address>(draft, problems);
  check_overlaps(subnets, problems);
  return Connected<Address>(std::move(subnets));
}

// routes and neighbours

// What the address is in the subnet if it is nobody's in particular, or nothing.
const char* special_in(const Ipv4InterfaceAddress& subnet, Ipv4Address address) {
  if (!subnet.has_broadcast()) return nullptr;
  if (address == subnet.subnet().address()) return "the network address";
  return address == subnet.broadcast() ? "the broadcast address" : nullptr;
}
const char* special_in(const Ipv6InterfaceAddress& subnet, Ipv6Address address) {
  return subnet.has_anycast() && address == subnet.anycast() ? "the router anycast address" : nullptr;
}

// Whether an address can be that of another router or host on a link, and of which.
class Links {
 public:
  Links(const Draft& draft, PerFamily<Connected> connected, Problems& problems)
      : draft_(draft), connected_(std::move(connected)), names_(draft), problems_(problems) {}

  // `what` has the address: "next hop". Without an interface, any connected one will do.
  void check(std::string_view what, const Placed<IpAddress>& address,
             const std::optional<Placed<std::string>>& interface) {
    const InterfaceDraft* on = interface ? find(*interface) : nullptr;
    if (interface && !on) return;
    address.value.visit([&](auto of_family) {
      if (is_link_local(of_family))
        check_link_local(address, on);
      else
        check_subnet(what, of_family, address.at, on);
    });
  }

 private:
  static bool is_link_local(Ipv4Address) { return false; }  // 169.254/16 is a subnet like others
  static bool is_link_local(Ipv6Address address) { return address.is_link_local(); }

  const InterfaceDraft* find(const Placed<std::string>& name) {
    const InterfaceDraft* found = names_.find(name.value);
    if (!found && !draft_.interfaces_are_unknown)
      problems_.add(name.at, "there is no interface " + quoted(name.value), names_.hint(name.value));
    return found;
  }

  void check_link_local(const Placed<IpAddress>& address, const InterfaceDraft* on) {
    if (on && on->loopback_at)
      problems_.add(address.at, "nothing is behind the loopback " + quoted(on->name));
    else if (on && on->ipsec)
      problems_.add(address.at, "tunnel " + quoted(on->name) + " has no link with such addresses");
    else if (on && !on->speaks_ipv6())
      problems_.add(address.at, "interface " + quoted(on->name) + " does not speak IPv6: its mtu is below " +
                                    std::to_string(wire::kIpv6MinMtu));
  }

  template <class Address>
  void check_subnet(std::string_view what, Address address, Place at, const InterfaceDraft* on) {
    const auto& connected = connected_.of<Address>();
    const Subnet<Address>* subnet = connected.subnet_of(address);
    if (!subnet && !on) return;  // found by the route to it
    if (!subnet || (on && subnet->interface != on)) {
      if (!draft_.subnets_are_unknown)
        problems_.add(at, address.to_string() + " is not in a subnet of interface " + quoted(on->name),
                      subnet ? "it is in one of interface " + quoted(subnet->interface->name) : "");
      return;
    }
    const std::string subject = std::string(what) + " " + address.to_string() + " is ";
    if (const auto* own = connected.own(address)) {
      problems_.add(at, subject + "the router's own address on interface " + quoted(own->interface->name));
    } else if (const char* special = special_in(subnet->address, address)) {
      problems_.add(at, subject + special + " of " + subnet->prefix().to_string());
    }
  }

  const Draft& draft_;
  PerFamily<Connected> connected_;
  Names names_;
  Problems& problems_;
};

void check_next_hops(const RouteDraft& route, Links& links, Problems& problems) {
  std::set<std::pair<IpAddress, std::string>> seen;
  for (const NextHopDraft& draft : route.via) {
    const NextHop hop = finished(draft);
    const Place at = draft.address->at;
    const std::string error = route.prefix ? next_hop_error(route.prefix->value, hop) : "";
    if (!error.empty())
      problems.add(at, error);
    else if (seen.emplace(hop.address, hop.interface).second)
      links.check("next hop", *draft.address, draft.interface);
    else
      problems.add(at, "next hop " + hop.address.to_string() + " is in the list already");
  }
}

// Routes of one prefix differ in their distances.
using SeenRoutes = std::map<std::pair<AnyPrefix, unsigned>, Place>;
void check_prefix(const Placed<AnyPrefix>& prefix, unsigned distance, SeenRoutes& seen, Problems& problems) {
  if (const std::string error = prefix_error(prefix.value); !error.empty()) problems.add(prefix.at, error);
  const auto [first, is_new] = seen.emplace(std::pair(prefix.value, distance), prefix.at);
  if (!is_new)
    problems.add(prefix.at, to_string(prefix.value) + " has a route already, on " + line_of(first->second),
                 "list several next hops in one route (via: [a, b]); a backup has a greater distance");
}

void check_routes(const Draft& draft, Links& links, Problems& problems) {
  SeenRoutes seen;
  for (const RouteDraft& route : draft.routes) {
    if (route.via_at && route.type_at)
      problems.add(std::max(*route.via_at, *route.type_at), "a route has either 'via' or 'type', not both");
    if (!route.via_at && !route.type_at)
      problems.add(route.at, "a route needs 'via' or 'type'",
                   "such as 'via: 192.0.2.254' or 'type: blackhole'");
    check_next_hops(route, links, problems);
    if (route.prefix) check_prefix(*route.prefix, route.config.distance, seen, problems);
  }
}

void check_mac(const Placed<MacAddress>& mac, Problems& problems) {
  const char* reason = mac.value.is_broadcast() ? "the broadcast address"
                       : mac.value.is_group()   ? "a multicast address"
                       : mac.value.is_zero()    ? "all zeros"
                                                : nullptr;
  if (reason)
    problems.add(mac.at, "a neighbour's mac must be a unicast address, and this is " + std::string(reason));
}

void check_neighbors(const Draft& draft, Links& links, Problems& problems) {
  std::map<NeighborKey, Place> seen;
  for (const NeighborDraft& neighbor : draft.neighbors) {
    if (neighbor.mac) check_mac(*neighbor.mac, problems);
    if (!neighbor.interface || !neighbor.address) continue;
    const auto& [address, at] = *neighbor.address;
    links.check("neighbour", *neighbor.address, neighbor.interface);
    const std::string& name = neighbor.interface->value;
    const auto [first, is_new] = seen.emplace(NeighborKey{name, address}, neighbor.at);
    if (!is_new)
      problems.add(at, address.to_string() + " has an entry on " + quoted(name) + " already, on " +
                           line_of(first->second));
  }
}

}  // namespace

void check(const Draft& draft, Problems& problems) {
  check_workers(draft, problems);
  check_interfaces(draft, problems);
  check_ipsec(draft, problems);
  Links links(draft,
              {check_subnets<Ipv4Address>(draft, problems), check_subnets<Ipv6Address>(draft, problems)},
              problems);
  check_routes(draft, links, problems);
  check_neighbors(draft, links, problems);
}

}  // namespace millrace::config
