// What RIBs and the resolver stand on, without ports: two interfaces that are up, on two ports, and
// neighbours whose MACs are all known.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "controlplane/interfaces.h"
#include "controlplane/next_hops.h"
#include "controlplane/rib.h"
#include "dataplane/table_writer.h"
#include "dataplane/tables.h"
#include "lpm/reclaimer.h"
#include "perf/route.h"

namespace millrace::perf {

inline Ipv4Prefix prefix_of(const Route4& route) {
  return {Ipv4Address(route.address), route.length};
}
inline Ipv6Prefix prefix_of(const Route6& route) {
  return {Ipv6Address(route.address), route.length};
}

class RouteStand {
 public:
  using LinkState = controlplane::NextHops::LinkState;
  using Hops = std::vector<config::NextHop>;
  static constexpr MacAddress kMac{{2, 0, 0, 0, 0, 0xaa}};
  static constexpr FibId kFib{0};

  RouteStand() {
    first_ = &add("first0", "10.254.0.1/16", PortId(0));
    second_ = &add("second0", "10.255.0.1/16", PortId(1));
    interfaces_.publish_addresses();
    next_hops_.set_hooks([](controlplane::NeighborKey) { return std::pair(LinkState::resolved, kMac); },
                         [](controlplane::NeighborKey, bool) {});
  }
  RouteStand(const RouteStand&) = delete;
  RouteStand& operator=(const RouteStand&) = delete;
  ~RouteStand() { settle(); }

  static Ipv4Address behind_first(std::uint32_t number) { return Ipv4Address(0x0afe0002 + number); }
  static Ipv4Address behind_second(std::uint32_t number) { return Ipv4Address(0x0aff0002 + number); }

  NextHopId acquire(Hops hops) {
    const auto id = next_hops_.acquire(controlplane::NextHopSpec::via(std::move(hops)));
    if (!id) throw std::runtime_error(id.error());
    return *id;
  }
  // As a route of the API, whose next hop is resolved already. What the loop does now and then is done here.
  template <class Prefix>
  void add_route(controlplane::BasicRib<Prefix>& rib, Prefix prefix, NextHopId id) {
    next_hops_.add_reference(id);
    const auto added = rib.add(prefix, controlplane::Route{id, 0, 0, 0, 20, controlplane::RouteSource::api});
    if (!added) throw std::runtime_error(prefix.to_string() + ": " + added.error());
    if (++changes_ % 1024 == 0) reclaimer_.poll();
  }
  // A grace period passes; no worker reads.
  void settle() {
    while (reclaimer_.poll() != 0) {
    }
  }

  controlplane::Interface& first() { return *first_; }
  controlplane::Interface& second() { return *second_; }
  controlplane::Interfaces& interfaces() { return interfaces_; }
  controlplane::NextHops& next_hops() { return next_hops_; }
  dataplane::TableWriter& writer() { return writer_; }
  [[nodiscard]] const dataplane::Tables& tables() const { return tables_; }

 private:
  controlplane::Interface& add(const std::string& name, const std::string& address, PortId port) {
    config::InterfaceConfig config;
    config.addresses.ipv4 = {*Ipv4InterfaceAddress::parse(address)};
    controlplane::Interface* interface = interfaces_.add(name, config);
    interface->port = port;
    interface->mac = MacAddress{{2, 0, 0, 0, 0, static_cast<std::uint8_t>(port.value() + 1)}};
    interface->up = true;
    interfaces_.publish(*interface);
    return *interface;
  }

  std::uint64_t changes_ = 0;
  lpm::Reclaimer reclaimer_{1};
  dataplane::Tables tables_;
  dataplane::TableWriter writer_{
      tables_, reclaimer_, {lpm::TableLimits{}.max_groups, lpm::Pages::transparent}, {}};
  controlplane::Interfaces interfaces_{writer_};
  controlplane::NextHops next_hops_{writer_, interfaces_};
  controlplane::Interface* first_ = nullptr;
  controlplane::Interface* second_ = nullptr;
};

}  // namespace millrace::perf
