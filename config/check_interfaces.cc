// What is wrong with the interfaces of a configuration beside their addresses.
#include <algorithm>
#include <map>
#include <optional>
#include <string_view>
#include <tuple>
#include <unordered_map>

#include "config/draft.h"
#include "config/names.h"
#include "net/wire.h"

namespace millrace::config {
namespace {

std::optional<Place> tunnel_at(const InterfaceDraft& interface) {
  return interface.ipsec ? std::optional(interface.ipsec->at) : std::nullopt;
}

// A port's own, a VLAN's on such a one, a loopback, or a tunnel: one of them.
void check_kind(const InterfaceDraft& interface, Problems& problems) {
  const std::optional<Place> kinds[] = {interface.device_at, interface.parent_at, interface.loopback_at,
                                        tunnel_at(interface)};
  const auto given = std::ranges::count_if(kinds, [](const auto& at) { return at.has_value(); });
  if (given == 0 && !interface.is_unknown)
    problems.add(interface.at,
                 "interface " + quoted(interface.name) + " has no 'device', 'parent', 'loopback' or 'ipsec'",
                 "such as 'device: \"net_af_packet,iface=veth1\"'");
  if (given > 1)
    problems.add(**std::ranges::max_element(kinds),
                 "an interface has one of 'device', 'parent', 'loopback' and 'ipsec'");
  if (interface.parent_at && !interface.vlan_at)
    problems.add(*interface.parent_at, "an interface with a parent needs a vlan");
}

// Settings that the kind of interface does not have.
void check_settings(const InterfaceDraft& interface, Problems& problems) {
  const auto refuse = [&](const std::optional<Place>& at, bool is_wrong, const char* what) {
    if (at && is_wrong) problems.add(*at, what);
  };
  const bool is_vlan = interface.parent_at.has_value();
  refuse(interface.vlan_at, !is_vlan, "vlan needs a parent: the interface whose device carries it");
  refuse(interface.inner_vlan_at, !is_vlan || !interface.vlan_at, "inner_vlan needs a parent and a vlan");
  refuse(interface.vlan_type_at, !is_vlan || !interface.vlan_at, "vlan_type needs a parent and a vlan");
  const bool has_no_device = is_vlan || interface.loopback_at || interface.ipsec;
  refuse(interface.queues_at, has_no_device, "only an interface with a device has queues");
  refuse(interface.offloads_at, has_no_device, "only an interface with a device has offloads");
  refuse(interface.host_at, interface.loopback_at.has_value(),
         "a loopback has no host interface: daemons take its addresses from their own lo");
  refuse(interface.host_at, interface.ipsec.has_value(), "a tunnel has no host interface");
  refuse(interface.mtu_at, interface.loopback_at.has_value(), "a loopback has no mtu");
}

void check_loopback(const InterfaceDraft& interface, Problems& problems) {
  for (const auto& placed : interface.addresses) {
    std::visit(
        [&]<class Address>(const IpInterfaceAddress<Address>& address) {
          if (address.length != Address::kBits)
            problems.add(placed.at, "an address of a loopback has no subnet",
                         "write " + address.address.to_string() + "/" + std::to_string(Address::kBits));
        },
        placed.value);
  }
}

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

void check_mtus(const Draft& draft, Problems& problems) {
  for (const InterfaceDraft& interface : draft.interfaces) {
    const bool has_ipv6 = std::ranges::any_of(interface.addresses, [](const auto& placed) {
      return std::holds_alternative<Ipv6InterfaceAddress>(placed.value);
    });
    if (has_ipv6 && !interface.speaks_ipv6())
      problems.add(interface.mtu_at.value_or(interface.at),
                   "an interface with IPv6 addresses needs an mtu of " + std::to_string(wire::kIpv6MinMtu) +
                       " at least");
  }
}

// The VLANs of ports: each once, and with no longer packets than the port's frames hold.
class Vlans {
 public:
  Vlans(const Draft& draft, Problems& problems) : draft_(draft), names_(draft), problems_(problems) {}

  void check(const InterfaceDraft& vlan) {
    if (vlan.config.parent.empty()) return;
    const InterfaceDraft* parent = names_.find(vlan.config.parent);
    if (parent == nullptr) return report_lost(vlan);
    if (!parent->device_at)
      return problems_.add(*vlan.parent_at,
                           "interface " + quoted(parent->name) + " has no device to carry VLANs");
    if (vlan.mtu_at && vlan.config.mtu > parent->config.mtu)
      problems_.add(*vlan.mtu_at,
                    "a VLAN's mtu is at most its parent's: " + std::to_string(parent->config.mtu));
    check_tags(vlan);
  }

 private:
  void report_lost(const InterfaceDraft& vlan) {
    const std::string& parent = vlan.config.parent;
    if (!draft_.interfaces_are_unknown)
      problems_.add(*vlan.parent_at, "there is no interface " + quoted(parent), names_.hint(parent));
  }

  void check_tags(const InterfaceDraft& vlan) {
    const VlanTags& tags = vlan.config.vlan;
    if (!tags.any() || (vlan.inner_vlan_at && tags.inner == 0)) return;  // could not be read
    const auto key = std::tuple(std::string_view(vlan.config.parent), tags.outer, tags.inner);
    const auto [first, is_new] = seen_.emplace(key, &vlan);
    if (!is_new)
      problems_.add(*vlan.vlan_at, "this VLAN is interface " + quoted(first->second->name) + " already",
                    "see " + line_of(first->second->at));
  }

  const Draft& draft_;
  Names names_;
  Problems& problems_;
  std::map<std::tuple<std::string_view, std::uint16_t, std::uint16_t>, const InterfaceDraft*> seen_;
};

}  // namespace

void check_interfaces(const Draft& draft, Problems& problems) {
  Vlans vlans(draft, problems);
  for (const InterfaceDraft& interface : draft.interfaces) {
    check_kind(interface, problems);
    check_settings(interface, problems);
    if (interface.loopback_at) check_loopback(interface, problems);
    vlans.check(interface);
  }
  check_devices(draft, problems);
  check_mtus(draft, problems);
}

}  // namespace millrace::config
