#include "controlplane/interfaces.h"

#include <algorithm>

#include "dataplane/router_features.h"
#include "net/wire.h"

namespace millrace::controlplane {

std::optional<Ipv6Address> Interface::link_local() const {
  if (config.mtu < wire::kIpv6MinMtu || !config.has_link()) return std::nullopt;
  return Ipv6Address::link_local(mac);
}

void Interface::configure(const config::InterfaceConfig& next) {
  const std::vector<LentAddress> kept = std::move(lent);
  lent.clear();
  config = next;
  lend(kept);
}

bool Interface::lend(const std::vector<LentAddress>& next) {
  auto addresses = configured_addresses();
  std::vector<LentAddress> taken;
  for (const LentAddress& one : next) {
    one.address.visit([&](auto address) {
      auto& of_family = addresses.of<decltype(address)>();
      const auto same = [&](const auto& own) { return own.address == address; };
      if (std::ranges::any_of(of_family, same)) return;
      of_family.push_back({address, one.length});
      taken.push_back(one);
    });
  }
  if (taken == lent) return false;
  lent = std::move(taken);
  config.addresses = std::move(addresses);
  return true;
}

PerFamily<config::InterfaceAddresses> Interface::configured_addresses() const {
  auto addresses = config.addresses;
  const auto is_lent = [this](const auto& own) { return find_lent(own.address) != nullptr; };
  std::erase_if(addresses.ipv4, is_lent);
  std::erase_if(addresses.ipv6, is_lent);
  return addresses;
}

const LentAddress* Interface::find_lent(const IpAddress& own) const {
  const auto found = std::ranges::find(lent, own, &LentAddress::address);
  return found == lent.end() ? nullptr : &*found;
}

MacAddress Interface::mac_of(const IpAddress& own) const {
  const LentAddress* as = find_lent(own);
  return as == nullptr ? mac : as->mac.value_or(mac);
}

bool Interface::has_mac(const MacAddress& any) const {
  return any == mac || std::ranges::any_of(lent, [&](const LentAddress& one) { return one.mac == any; });
}

template <class Address>
bool Interface::has_address(Address address) const {
  if constexpr (std::is_same_v<Address, Ipv6Address>) {
    if (address == link_local()) return true;
  }
  return std::ranges::any_of(config.addresses.of<Address>(),
                             [&](const auto& own) { return own.address == address; });
}
template bool Interface::has_address(Ipv4Address) const;
template bool Interface::has_address(Ipv6Address) const;

template <class Address>
std::optional<Address> Interface::source_for(Address peer) const {
  const auto& addresses = config.addresses.of<Address>();
  if constexpr (std::is_same_v<Address, Ipv6Address>) {
    if (peer.is_link_local() || peer.is_multicast() || addresses.empty()) return link_local();
  }
  for (const auto& own : addresses) {
    if (own.subnet().contains(peer)) return own.address;
  }
  if (addresses.empty()) return std::nullopt;
  return addresses.front().address;
}
template std::optional<Ipv4Address> Interface::source_for(Ipv4Address) const;
template std::optional<Ipv6Address> Interface::source_for(Ipv6Address) const;

bool Interface::is_neighbor(const IpAddress& address) const {
  if (config.ipsec) return true;
  if (address.is_ipv6()) {
    const auto ipv6 = address.as<Ipv6Address>();
    if (ipv6.is_link_local()) return link_local().has_value();
    return std::ranges::any_of(config.addresses.ipv6,
                               [&](const auto& own) { return own.subnet().contains(ipv6); });
  }
  const auto ipv4 = address.as<Ipv4Address>();
  return std::ranges::any_of(config.addresses.ipv4, [&](const auto& own) {
    const bool special = own.has_broadcast() && (ipv4 == own.broadcast() || ipv4 == own.subnet().address());
    return own.subnet().contains(ipv4) && !special;
  });
}

bool Interface::is_directed_broadcast(const IpAddress& address) const {
  if (!config.directed_broadcast || address.is_ipv6()) return false;
  const auto ipv4 = address.as<Ipv4Address>();
  return std::ranges::any_of(config.addresses.ipv4,
                             [&](const auto& own) { return own.has_broadcast() && own.broadcast() == ipv4; });
}

Interface* Interfaces::add(const std::string& name, const config::InterfaceConfig& config) {
  const auto id = ids_.take();
  if (!id) return nullptr;
  auto interface = std::make_unique<Interface>();
  interface->id = InterfaceId(static_cast<std::uint16_t>(*id));
  interface->name = name;
  interface->config = config;
  if (by_id_.size() <= *id) by_id_.resize(*id + 1);
  by_id_[*id] = interface.get();
  return (by_name_[name] = std::move(interface)).get();
}

void Interfaces::remove(InterfaceId id) {
  Interface* interface = find(id);
  if (interface == nullptr) return;
  writer_.set_interface(id, nullptr);
  by_id_[id.value()] = nullptr;
  by_name_.erase(interface->name);
  // A worker may count for the old interface until it is quiescent: the id is not given out before.
  struct GiveBack {
    dataplane::IdPool* pool;
    std::uint32_t id;
    GiveBack(dataplane::IdPool* p, std::uint32_t i) : pool(p), id(i) {}
    GiveBack(const GiveBack&) = delete;
    GiveBack& operator=(const GiveBack&) = delete;
    ~GiveBack() { pool->give_back(id); }
  };
  writer_.retire_object(new GiveBack(&ids_, id.value()));
}

std::uint16_t Interface::mtu() const {
  return static_cast<std::uint16_t>(std::min(config.mtu, path_mtu.value_or(config.mtu)));
}

dataplane::FeatureMask Interface::ingress_mask() const {
  using dataplane::IngressFeature;
  dataplane::FeatureMask mask = ingress_features;
  if (config.urpf == config::Urpf::strict) mask |= dataplane::mask_of(IngressFeature::urpf_strict);
  if (config.urpf == config::Urpf::loose) mask |= dataplane::mask_of(IngressFeature::urpf_loose);
  if (current_policies()) mask |= dataplane::mask_of(IngressFeature::policies);
  return mask;
}

dataplane::FeatureMask Interface::egress_mask() const {
  return egress_features | (current_policies() ? dataplane::mask_of(dataplane::EgressFeature::policies) : 0);
}

std::shared_ptr<const dataplane::Policies> Interface::current_policies() const {
  static const auto discards_all =
      std::make_shared<const dataplane::Policies>(std::vector<dataplane::Policy>());
  return policies || config.policies.empty() ? policies : discards_all;
}

void Interfaces::publish(const Interface& interface) {
  auto view = std::make_unique<dataplane::InterfaceView>();
  view->id = interface.id;
  view->port = interface.port;
  view->fib = interface.fib;
  view->mtu = interface.mtu();
  view->mac = interface.mac;
  for (const LentAddress& one : interface.lent) {
    if (one.mac && !view->accepts(*one.mac)) view->more_macs.push_back(*one.mac);
  }
  view->link_local = interface.link_local().value_or(Ipv6Address());
  view->ingress_features = interface.ingress_mask();
  view->ignores_options = interface.config.ip_options == config::IpOptions::ignore;
  view->host = interface.config.host;
  view->egress_features = interface.egress_mask();
  view->marks = interface.marks;
  view->vlans = vlans_on(interface);
  view->tunnel = interface.tunnel;
  view->policies = interface.current_policies();
  writer_.set_interface(interface.id, std::move(view));
}

std::shared_ptr<const dataplane::VlanTable> Interfaces::vlans_on(const Interface& parent) const {
  if (parent.config.device.empty()) return nullptr;  // and thousands are not looked through for each other
  std::vector<dataplane::VlanTable::Entry> entries;
  visit([&](const Interface& other) {
    if (other.tags.any() && other.config.parent == parent.name)
      entries.push_back({other.tags.outer, other.tags.inner, other.id});
  });
  if (entries.empty()) return nullptr;
  return std::make_shared<const dataplane::VlanTable>(std::move(entries));
}

void Interfaces::publish_addresses() {
  publish_family<Ipv4Address>();
  publish_family<Ipv6Address>();
}

template <class Address>
void Interfaces::publish_family() {
  using dataplane::AddressKind;
  using Own = dataplane::OwnAddresses<Address>;
  std::vector<typename Own::Entry> own;
  auto connected = std::make_unique<lpm::PrefixMap<IpPrefix<Address>, InterfaceId>>();
  visit([&](const Interface& interface) {
    for (const auto& address : interface.config.addresses.of<Address>()) {
      own.push_back({address.address, AddressKind::own});
      if constexpr (std::is_same_v<Address, Ipv4Address>) {
        if (address.has_broadcast()) {
          own.push_back({address.broadcast(), AddressKind::broadcast});
          own.push_back({address.subnet().address(), AddressKind::broadcast});
        }
      }
      if (interface.up) connected->emplace(address.subnet()).first = interface.id;
    }
  });
  writer_.set_own_addresses<Address>(std::make_unique<const Own>(std::move(own)));
  connected_.of<Address>() = std::move(connected);
}

Interface* Interfaces::find(InterfaceId id) {
  return id.value() < by_id_.size() ? by_id_[id.value()] : nullptr;
}

Interface* Interfaces::find(const std::string& name) {
  const auto at = by_name_.find(name);
  return at == by_name_.end() ? nullptr : at->second.get();
}

const Interface* Interfaces::connected_to(const IpAddress& address) const {
  return address.visit([&](auto of_family) -> const Interface* {
    const auto [prefix, id] = connected_.of<decltype(of_family)>()->match(of_family);
    return id == nullptr ? nullptr : find(*id);
  });
}

bool Interfaces::has_subnet_of(const IpAddress& address) const {
  return address.visit([&]<class Address>(Address asked) {
    return std::ranges::any_of(by_name_, [&](const auto& named) {
      return std::ranges::any_of(named.second->config.addresses.template of<Address>(),
                                 [&](const auto& own) { return own.subnet().contains(asked); });
    });
  });
}

}  // namespace millrace::controlplane
