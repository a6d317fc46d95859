// The desired state of a router as typed values: what one YAML file says. Plain data, owned by whoever holds
// it.
//
// Units are in the names. A value that the file left out holds its default; `std::optional` where "absent"
// means something of its own.
#pragma once

#include <concepts>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "net/ip_address.h"
#include "net/mac.h"

namespace millrace::config {

enum class Hugepages : std::uint8_t { automatic, size_1g, size_2m, none };
enum class Idle : std::uint8_t { adaptive, poll };

// Fixed at start: a change needs a restart.
struct DataplaneConfig {
  std::optional<std::vector<unsigned>> workers;  // cores; absent: all isolated cores, else the last one
  Hugepages hugepages = Hugepages::automatic;
  std::uint64_t memory_bytes = std::uint64_t{1} << 30;
  Idle idle = Idle::adaptive;
  std::vector<std::string> drivers;  // shared objects that DPDK loads at start
  friend bool operator==(const DataplaneConfig&, const DataplaneConfig&) = default;
};

// Fixed at start, but for `icmp_error_rate`.
struct ControlConfig {
  unsigned core = 0;
  std::string api = "/run/millrace/api.sock";
  std::optional<std::string> metrics;  // "address:port" of the TCP listener for /metrics; absent: off
  unsigned icmp_error_rate = 1000;     // ICMP errors a second, all destinations together (RFC 1812 4.3.2.8)
  friend bool operator==(const ControlConfig&, const ControlConfig&) = default;
};

template <class Address>
using InterfaceAddresses = std::vector<IpInterfaceAddress<Address>>;

// What the router tells hosts of itself (RFC 4861 6.2).
struct RouterAdvertisements {
  bool send = false;
  friend bool operator==(const RouterAdvertisements&, const RouterAdvertisements&) = default;
};

struct InterfaceConfig {
  std::string device;              // PCI address or DPDK devargs; fixed while the interface lives
  std::optional<unsigned> queues;  // receive queues; absent: auto (one a worker, as far as the port has them)
  unsigned mtu = 1500;             // bytes of IP packet
  PerFamily<InterfaceAddresses> addresses;  // in the file's order: the first of a family is its primary one
  RouterAdvertisements router_advertisements;
  friend bool operator==(const InterfaceConfig&, const InterfaceConfig&) = default;
};

enum class RouteType : std::uint8_t { unicast, blackhole, unreachable, prohibit };

// Of several next hops each gets a share of the flows as large as its weight.
struct NextHop {
  IpAddress address;
  std::uint8_t weight = 1;  // 1 to 255
  template <std::convertible_to<IpAddress> Address>
  constexpr NextHop(const Address& to, std::uint8_t share = 1)  // NOLINT: implicit by design
      : address(to), weight(share) {}
  friend auto operator<=>(const NextHop&, const NextHop&) = default;
};
inline constexpr std::size_t kMaxNextHops = 128;  // of one route

struct RouteConfig {
  RouteType type = RouteType::unicast;
  std::vector<NextHop> via;  // sorted, each address once; empty unless unicast
  unsigned distance = 1;     // administrative distance: lower wins
  unsigned metric = 0;       // lower wins among equal distances
  friend bool operator==(const RouteConfig&, const RouteConfig&) = default;
};

struct NeighborKey {
  std::string interface;
  IpAddress address;
  friend auto operator<=>(const NeighborKey&, const NeighborKey&) = default;
};

struct Config {
  DataplaneConfig dataplane;
  ControlConfig control;
  std::map<std::string, InterfaceConfig> interfaces;
  std::map<Ipv4Prefix, RouteConfig> routes;     // one static route a prefix
  std::map<NeighborKey, MacAddress> neighbors;  // static entries
  friend bool operator==(const Config&, const Config&) = default;
};

}  // namespace millrace::config
