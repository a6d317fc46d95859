#include "controlplane/interfaces.h"

#include <algorithm>

namespace millrace::controlplane {

bool Interface::has_address(Ipv4Address address) const {
  return std::any_of(config.addresses.begin(), config.addresses.end(),
                     [&](const auto& own) { return own.address == address; });
}

std::optional<Ipv4Address> Interface::source_for(Ipv4Address peer) const {
  for (const auto& own : config.addresses) {
    if (own.subnet().contains(peer)) return own.address;
  }
  if (config.addresses.empty()) return std::nullopt;
  return config.addresses.front().address;
}

bool Interface::is_neighbor_address(Ipv4Address address) const {
  return std::any_of(config.addresses.begin(), config.addresses.end(), [&](const auto& own) {
    const bool special =
        own.has_broadcast() && (address == own.broadcast() || address == own.subnet().address());
    return own.subnet().contains(address) && !special;
  });
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

void Interfaces::publish(const Interface& interface) {
  auto view = std::make_unique<dataplane::InterfaceView>();
  view->id = interface.id;
  view->port = interface.port;
  view->fib = interface.fib;
  view->mtu = static_cast<std::uint16_t>(interface.config.mtu);
  view->mac = interface.mac;
  view->ingress_features = interface.ingress_features;
  view->egress_features = interface.egress_features;
  writer_.set_interface(interface.id, std::move(view));
}

void Interfaces::publish_addresses() {
  auto own = std::make_unique<dataplane::OwnAddresses>();
  auto connected = std::make_unique<lpm::PrefixMap<Ipv4Prefix, InterfaceId>>();
  visit([&](const Interface& interface) {
    for (const auto& address : interface.config.addresses) {
      own->add(address.address, dataplane::OwnAddresses::Kind::own);
      if (address.has_broadcast()) {
        own->add(address.broadcast(), dataplane::OwnAddresses::Kind::broadcast);
        own->add(address.subnet().address(), dataplane::OwnAddresses::Kind::broadcast);
      }
      if (interface.up) connected->emplace(address.subnet()).first = interface.id;
    }
  });
  writer_.set_own_addresses(std::move(own));
  connected_ = std::move(connected);
}

Interface* Interfaces::find(InterfaceId id) {
  return id.value() < by_id_.size() ? by_id_[id.value()] : nullptr;
}

Interface* Interfaces::find(const std::string& name) {
  const auto at = by_name_.find(name);
  return at == by_name_.end() ? nullptr : at->second.get();
}

const Interface* Interfaces::connected_to(Ipv4Address address) const {
  const auto [prefix, id] = connected_->match(address);
  return id == nullptr ? nullptr : find(*id);
}

}  // namespace millrace::controlplane
