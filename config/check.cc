// What is wrong between values that are each well-formed. Every pass is at most n log n in what it looks at:
// a file may hold a million routes.
#include <algorithm>
#include <array>
#include <map>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "config/draft.h"

namespace millrace::config {
namespace {

struct Subnet {
  Ipv4InterfaceAddress address;  // the router's own in it
  const InterfaceDraft* interface;
  Place at;
  [[nodiscard]] Ipv4Prefix prefix() const { return address.subnet(); }
};

// The subnets that the interfaces' addresses connect the router to, and those addresses.
class Connected {
 public:
  explicit Connected(const std::vector<Subnet>& subnets) {
    for (const Subnet& subnet : subnets) {
      own_.emplace(subnet.address.address, &subnet);
      by_prefix_.emplace(subnet.prefix(), &subnet);
      has_length_[subnet.address.length] = true;
    }
  }
  [[nodiscard]] const Subnet* own(Ipv4Address address) const {
    const auto found = own_.find(address);
    return found == own_.end() ? nullptr : found->second;
  }
  // The longest subnet that holds `address`: at most 33 look-ups, however many subnets there are.
  [[nodiscard]] const Subnet* subnet_of(Ipv4Address address) const {
    for (unsigned length = Ipv4Address::kBits + 1; length-- > 0;) {
      if (!has_length_[length]) continue;
      const auto found = by_prefix_.find(Ipv4Prefix(address, length));
      if (found != by_prefix_.end()) return found->second;
    }
    return nullptr;
  }

 private:
  std::unordered_map<Ipv4Address, const Subnet*> own_;
  std::unordered_map<Ipv4Prefix, const Subnet*> by_prefix_;
  std::array<bool, Ipv4Address::kBits + 1> has_length_{};
};

std::string line_of(Place at) {
  return "line " + std::to_string(at.line);
}

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

// A driver's name alone ("net_null") makes a new device each time; everything else names one that is there
// once.
bool names_one_device(const std::string& device) {
  return device.find_first_of(",:") != std::string::npos;
}

void check_devices(const Draft& draft, Problems& problems) {
  std::unordered_map<std::string_view, const InterfaceDraft*> seen;
  for (const InterfaceDraft& interface : draft.interfaces) {
    if (!interface.device_at || !names_one_device(interface.config.device)) continue;
    const auto [first, is_new] = seen.emplace(interface.config.device, &interface);
    if (!is_new)
      problems.add(*interface.device_at,
                   "this device is interface " + quoted(first->second->name) + " already",
                   "see " + line_of(*first->second->device_at));
  }
}

// Why no interface can have this address, or nothing (RFC 1122 3.2.1.3, RFC 1812 5.3.7).
const char* unusable(Ipv4InterfaceAddress interface_address) {
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

void check_address(const Subnet& subnet, Problems& problems) {
  const char* reason = unusable(subnet.address);
  if (!reason) return;
  problems.add(subnet.at, subnet.address.to_string() + " cannot be an interface's address: it is " + reason);
}

void report_repeated_address(const Subnet& first, const Subnet& again, Problems& problems) {
  problems.add(again.at,
               again.address.address.to_string() + " is an address of interface " +
                   quoted(first.interface->name) + " already",
               "see " + line_of(first.at));
}

// Every address of the file; those that came before on any interface are reported and left out.
std::vector<Subnet> distinct_subnets(const Draft& draft, Problems& problems) {
  std::vector<Subnet> subnets;
  std::unordered_map<Ipv4Address, Subnet> seen;
  for (const InterfaceDraft& interface : draft.interfaces) {
    for (const auto& [address, at] : interface.addresses) {
      const Subnet subnet{address, &interface, at};
      const auto [first, is_new] = seen.emplace(address.address, subnet);
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
void report_overlap(const Subnet& a, const Subnet& b, Problems& problems) {
  const auto& [earlier, later] = a.at < b.at ? std::pair(a, b) : std::pair(b, a);
  problems.add(later.at,
               "subnet " + later.prefix().to_string() + " overlaps " + earlier.prefix().to_string() +
                   " of interface " + quoted(earlier.interface->name),
               "see " + line_of(earlier.at));
}

// Prefixes nest or are disjoint. In sorted order those that hold a prefix come before it, so a stack of the
// ones that are still open has at most 33 entries. Several addresses in one subnet are fine on one interface.
void check_overlaps(std::vector<Subnet> subnets, Problems& problems) {
  std::ranges::stable_sort(subnets, {}, &Subnet::prefix);
  std::vector<const Subnet*> open;
  for (const Subnet& subnet : subnets) {
    while (!open.empty() && !open.back()->prefix().contains(subnet.prefix())) open.pop_back();
    for (const Subnet* outer : open) {
      if (outer->interface == subnet.interface) continue;
      report_overlap(*outer, subnet, problems);
      break;
    }
    if (open.empty() || open.back()->prefix() != subnet.prefix()) open.push_back(&subnet);
  }
}

// routes and neighbours

// Why `address` cannot be another router or host on a connected subnet, or nothing.
std::string not_a_host_of(const Connected& connected, const Subnet& subnet, Ipv4Address address) {
  if (const Subnet* own = connected.own(address))
    return "the router's own address on interface " + quoted(own->interface->name);
  if (!subnet.address.has_broadcast()) return {};
  if (address == subnet.prefix().address()) return "the network address of " + subnet.prefix().to_string();
  if (address == subnet.address.broadcast()) return "the broadcast address of " + subnet.prefix().to_string();
  return {};
}

void check_next_hop(const Draft& draft, const Connected& connected, const Placed<NextHop>& hop,
                    Problems& problems) {
  const auto address = hop.value.address.as<Ipv4Address>();
  const Subnet* subnet = connected.subnet_of(address);
  if (!subnet) {
    if (draft.subnets_are_unknown) return;
    problems.add(hop.at, "next hop " + address.to_string() + " must be on a connected subnet",
                 "recursive next hops are not supported yet");
    return;
  }
  const std::string reason = not_a_host_of(connected, *subnet, address);
  if (!reason.empty()) problems.add(hop.at, "next hop " + address.to_string() + " is " + reason);
}

void check_next_hops(const Draft& draft, const Connected& connected, const RouteDraft& route,
                     Problems& problems) {
  std::unordered_map<Ipv4Address, Place> seen;
  for (const auto& hop : route.via) {
    if (seen.emplace(hop.value.address.as<Ipv4Address>(), hop.at).second)
      check_next_hop(draft, connected, hop, problems);
    else
      problems.add(hop.at, "next hop " + hop.value.address.to_string() + " is in the list already");
  }
}

void check_routes(const Draft& draft, const Connected& connected, Problems& problems) {
  std::unordered_map<Ipv4Prefix, Place> seen;
  for (const RouteDraft& route : draft.routes) {
    if (route.via_at && route.type_at)
      problems.add(std::max(*route.via_at, *route.type_at), "a route has either 'via' or 'type', not both");
    if (!route.via_at && !route.type_at)
      problems.add(route.at, "a route needs 'via' or 'type'",
                   "such as 'via: 192.0.2.254' or 'type: blackhole'");
    check_next_hops(draft, connected, route, problems);
    if (!route.prefix) continue;
    const auto [first, is_new] = seen.emplace(route.prefix->value, route.prefix->at);
    if (!is_new)
      problems.add(route.prefix->at,
                   route.prefix->value.to_string() + " has a route already, on " + line_of(first->second),
                   "list several next hops in one route: via: [a, b]");
  }
}

void check_neighbor_address(const Draft& draft, const Connected& connected, const NeighborDraft& neighbor,
                            Problems& problems) {
  const auto& [address, at] = *neighbor.address;
  const auto& name = neighbor.interface->value;
  const Subnet* subnet = connected.subnet_of(address);
  if (!subnet || subnet->interface->name != name) {
    if (draft.subnets_are_unknown) return;
    problems.add(at, address.to_string() + " is not in a subnet of interface " + quoted(name),
                 subnet ? "it is in one of interface " + quoted(subnet->interface->name) : "");
    return;
  }
  const std::string reason = not_a_host_of(connected, *subnet, address);
  if (!reason.empty()) problems.add(at, "neighbour " + address.to_string() + " is " + reason);
}

void check_mac(const Placed<MacAddress>& mac, Problems& problems) {
  const char* reason = mac.value.is_broadcast() ? "the broadcast address"
                       : mac.value.is_group()   ? "a multicast address"
                       : mac.value.is_zero()    ? "all zeros"
                                                : nullptr;
  if (reason)
    problems.add(mac.at, "a neighbour's mac must be a unicast address, and this is " + std::string(reason));
}

// The interfaces' names, for finding one.
class Names {
 public:
  explicit Names(const Draft& draft) {
    for (const InterfaceDraft& interface : draft.interfaces) {
      known_.insert(interface.name);
      if (listed_.size() < kMaxListed) listed_.push_back(interface.name);
    }
  }
  [[nodiscard]] bool contains(std::string_view name) const { return known_.contains(name); }
  [[nodiscard]] std::string hint(std::string_view name) const { return did_you_mean(nearest(name, listed_)); }

 private:
  static constexpr std::size_t kMaxListed = 256;  // a hint is not worth more work
  std::unordered_set<std::string_view> known_;
  std::vector<std::string_view> listed_;
};

void check_neighbors(const Draft& draft, const Connected& connected, Problems& problems) {
  const Names names(draft);
  std::map<NeighborKey, Place> seen;
  for (const NeighborDraft& neighbor : draft.neighbors) {
    if (neighbor.mac) check_mac(*neighbor.mac, problems);
    if (!neighbor.interface) continue;
    const auto& [name, at] = *neighbor.interface;
    if (!names.contains(name)) {
      if (!draft.interfaces_are_unknown)
        problems.add(at, "there is no interface " + quoted(name), names.hint(name));
      continue;
    }
    if (!neighbor.address) continue;
    check_neighbor_address(draft, connected, neighbor, problems);
    const auto [first, is_new] = seen.emplace(NeighborKey{name, neighbor.address->value}, neighbor.at);
    if (!is_new)
      problems.add(neighbor.address->at, neighbor.address->value.to_string() + " has an entry on " +
                                             quoted(name) + " already, on " + line_of(first->second));
  }
}

}  // namespace

void check(const Draft& draft, Problems& problems) {
  check_workers(draft, problems);
  check_devices(draft, problems);
  const std::vector<Subnet> subnets = distinct_subnets(draft, problems);
  check_overlaps(subnets, problems);
  const Connected connected(subnets);
  check_routes(draft, connected, problems);
  check_neighbors(draft, connected, problems);
}

}  // namespace millrace::config
