// A configuration between reading and checking: each value that a check may complain about still knows its
// place.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "config/model.h"
#include "config/problems.h"
#include "net/wire.h"

namespace millrace::config {

template <class T>
struct Placed {
  T value;
  Place at;
};

struct SaDraft {
  Place at;
  std::optional<Place> spi_at, key_at, key_file_at;
  SaConfig config;
};

struct SelectorDraft {
  std::optional<Placed<AnyPrefix>> local, remote;
  std::optional<Place> ports_at;  // the first of them
  Selector selector;
};

struct PolicyDraft {
  SelectorDraft selector;
  std::optional<Placed<PolicyAction>> action;
  std::optional<Placed<std::string>> tunnel;
};

struct LimitsDraft {
  std::optional<Place> packets_at, bytes_at, time_at;
  SaLimits limits;
};

struct TunnelDraft {
  Place at;
  std::optional<Placed<IpAddress>> local, remote;
  std::optional<Place> algorithm_at, udp_at, dscp_at, hop_limit_at;
  bool algorithm_is_unknown = false;  // could not be read
  std::optional<SaDraft> out;
  std::vector<SaDraft> in;
  std::vector<SelectorDraft> selectors;
  LimitsDraft soft, hard;
  TunnelConfig config;
};

struct InterfaceDraft {
  std::string name;
  Place at;  // of the name
  InterfaceConfig config;
  bool is_unknown = false;  // what is said about it could not be read
  // Of settings that are given, even where the value could not be read.
  std::optional<Place> device_at;
  std::optional<Place> parent_at;
  std::optional<Place> vlan_at;
  std::optional<Place> inner_vlan_at;
  std::optional<Place> vlan_type_at;
  std::optional<Place> loopback_at;
  std::optional<Place> queues_at;
  std::optional<Place> offloads_at;
  std::optional<Place> mtu_at;
  std::optional<Place> host_at;  // where it is on
  std::optional<TunnelDraft> ipsec;
  std::optional<Place> policies_at;
  std::vector<PolicyDraft> policies;
  std::vector<Placed<AnyInterfaceAddress>> addresses;
  // Routers of IPv6 rely on links that carry 1280 bytes (RFC 8200 5).
  [[nodiscard]] bool speaks_ipv6() const { return config.mtu >= wire::kIpv6MinMtu; }
};

struct NextHopDraft {
  std::optional<Placed<IpAddress>> address;
  std::optional<Placed<std::string>> interface;
  bool interface_is_unknown = false;  // what names it could not be read
  unsigned weight = 1;
};

// Only for one whose address could be read.
NextHop finished(const NextHopDraft& draft);

struct RouteDraft {
  Place at;
  std::optional<Placed<AnyPrefix>> prefix;
  std::optional<Place> via_at;    // also where the value could not be read
  std::optional<Place> type_at;   // also where the value could not be read
  std::vector<NextHopDraft> via;  // whose addresses and interfaces could be read
  RouteConfig config;
};

struct NeighborDraft {
  Place at;
  std::optional<Placed<IpAddress>> address;
  std::optional<Placed<MacAddress>> mac;
  std::optional<Placed<std::string>> interface;
};

struct Draft {
  DataplaneConfig dataplane;
  ControlConfig control;
  std::vector<Placed<unsigned>> workers;
  std::vector<InterfaceDraft> interfaces;
  std::vector<RouteDraft> routes;
  std::vector<NeighborDraft> neighbors;
  HostConfig host;
  FeedsConfig feeds;
  IpsecConfig ipsec;
  // Some of the file's interfaces, or of their addresses, could not be read. A check that asks for one that
  // is not here would then only repeat the first mistake.
  bool interfaces_are_unknown = false;
  bool subnets_are_unknown = false;
};

// Reports what is wrong between values that are each well-formed.
void check(const Draft& draft, Problems& problems);
// Of these, what an interface is, its device or VLAN, and its MTU (check_interfaces.cc).
void check_interfaces(const Draft& draft, Problems& problems);
// Of tunnels: their ends, keys and algorithms (check_ipsec.cc).
void check_ipsec(const Draft& draft, Problems& problems);

}  // namespace millrace::config
