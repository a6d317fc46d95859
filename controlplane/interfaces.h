// The layer-3 interfaces of the router and what can be reached on them. Control thread only.
//
// A port (hardware) may carry several interfaces; an interface names its port and its FIB by id.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "config/model.h"
#include "controlplane/host_devices.h"
#include "dataplane/feature.h"
#include "dataplane/table_writer.h"
#include "lpm/prefix_map.h"
#include "net/mac.h"
#include "net/strong_id.h"
#include "net/vlan.h"

namespace millrace::controlplane {

struct Interface {
  InterfaceId id;
  std::string name;
  config::InterfaceConfig config;  // its addresses are also those that are lent
  std::vector<LentAddress> lent;   // by daemons
  PortId port;
  FibId fib{0};
  MacAddress mac;
  VlanTags tags;               // of its frames
  bool port_tags = false;      // the port puts the tag in
  dataplane::PortMarks marks;  // of the port, that are believed
  bool up = false;
  dataplane::FeatureMask ingress_features = 0;  // beside those that `config` asks for
  dataplane::FeatureMask egress_features = 0;
  std::shared_ptr<const dataplane::Tunnel> tunnel;      // of one that `config` says has it
  std::shared_ptr<const dataplane::Policies> policies;  // those of `config`, once all of that is there
  std::optional<unsigned> path_mtu;  // what fits into the packets that a tunnel's way takes

  // The one of IPv6 that every interface has by itself, made of its MAC (RFC 4291 2.5.6 and appendix A);
  // nothing without a link, and where the MTU is too small for IPv6 (RFC 8200 5).
  [[nodiscard]] std::optional<Ipv6Address> link_local() const;
  // Of what leaves.
  [[nodiscard]] std::uint16_t mtu() const;
  // All of them.
  [[nodiscard]] dataplane::FeatureMask ingress_mask() const;
  [[nodiscard]] dataplane::FeatureMask egress_mask() const;
  // Null: everything may pass. Nothing may while those of `config` are not there yet.
  [[nodiscard]] std::shared_ptr<const dataplane::Policies> current_policies() const;

  // Takes over what the configuration says of it; what is lent stays.
  void configure(const config::InterfaceConfig& next);
  // What the configuration has as well is not lent. False if nothing has changed.
  bool lend(const std::vector<LentAddress>& next);
  // Without those that are lent.
  [[nodiscard]] PerFamily<config::InterfaceAddresses> configured_addresses() const;
  // As what the address is lent; null: it is not.
  [[nodiscard]] const LentAddress* find_lent(const IpAddress& own) const;
  // What an own address is answered for with.
  [[nodiscard]] MacAddress mac_of(const IpAddress& own) const;
  [[nodiscard]] bool has_mac(const MacAddress& any) const;

  template <class Address>
  [[nodiscard]] bool has_address(Address address) const;
  // The own address to speak from to `peer`: the link-local one to such a one, else of the subnet that it is
  // in, else the first one.
  template <class Address>
  [[nodiscard]] std::optional<Address> source_for(Address peer) const;
  // Whether all hosts of a subnet of its are addressed, and packets for them may leave by it (RFC 2644).
  [[nodiscard]] bool is_directed_broadcast(const IpAddress& address) const;
  // Whether a host on this link can have the address: link-local in IPv6, or of one of its subnets, and not
  // the network or broadcast one. Behind a tunnel any may be.
  [[nodiscard]] bool is_neighbor(const IpAddress& address) const;
};

class Interfaces {
 public:
  explicit Interfaces(dataplane::TableWriter& writer) : writer_(writer) { publish_addresses(); }

  // The new interface is down and has no place in the tables until publish(). Nothing if all ids are taken.
  Interface* add(const std::string& name, const config::InterfaceConfig& config);
  // How many can be added. One that was removed counts until workers are done with it.
  [[nodiscard]] std::size_t room() const { return dataplane::kMaxInterfaces - ids_.used(); }
  void remove(InterfaceId id);               // its view goes, its id comes back a grace period later
  void publish(const Interface& interface);  // its view, as workers see it
  // After addresses or states changed: the connected subnets and the set of own addresses.
  void publish_addresses();

  [[nodiscard]] Interface* find(InterfaceId id);
  [[nodiscard]] const Interface* find(InterfaceId id) const {
    return const_cast<Interfaces*>(this)->find(id);
  }
  [[nodiscard]] Interface* find(const std::string& name);
  [[nodiscard]] const Interface* find(const std::string& name) const {
    return const_cast<Interfaces*>(this)->find(name);
  }
  // The interface that is up and has a subnet with `address` in it. Link-local addresses are on every link,
  // and none of them is told.
  [[nodiscard]] const Interface* connected_to(const IpAddress& address) const;
  // Whether any interface has such a subnet, be it up or not.
  [[nodiscard]] bool has_subnet_of(const IpAddress& address) const;
  [[nodiscard]] std::size_t id_limit() const { return by_id_.size(); }  // ids given out so far are below this

  template <class Visit>
  void visit(Visit&& visit) {
    for (auto& [name, interface] : by_name_) visit(*interface);
  }
  template <class Visit>
  void visit(Visit&& visit) const {
    for (const auto& [name, interface] : by_name_) visit(static_cast<const Interface&>(*interface));
  }

 private:
  dataplane::TableWriter& writer_;
  dataplane::IdPool ids_{dataplane::kMaxInterfaces, 0, dataplane::IdPool::Order::fresh_first};
  std::map<std::string, std::unique_ptr<Interface>> by_name_;
  std::vector<Interface*> by_id_;
  template <class Address>
  using Connected = std::unique_ptr<lpm::PrefixMap<IpPrefix<Address>, InterfaceId>>;
  [[nodiscard]] std::shared_ptr<const dataplane::VlanTable> vlans_on(const Interface& parent) const;
  template <class Address>
  void publish_family();
  PerFamily<Connected> connected_;
};

}  // namespace millrace::controlplane
