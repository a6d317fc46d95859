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
#include <string_view>
#include <utility>
#include <vector>

#include "config/secret.h"
#include "esp/algorithm.h"
#include "net/ip_address.h"
#include "net/mac.h"
#include "net/selector.h"
#include "net/vlan.h"
#include "net/wire.h"

namespace millrace::config {

// 1 to 15 characters, as Linux's IFNAMSIZ allows for its TAP: a letter, then letters, digits, '_', '.', '-'.
bool is_interface_name(std::string_view text);
// 1 to 64 of the same characters, a letter or a digit first: the name of a file.
bool is_netns_name(std::string_view text);
inline constexpr std::string_view kInterfaceNameRule =
    "1 to 15 letters, digits, '_', '.' or '-', beginning with a letter";

enum class Hugepages : std::uint8_t { automatic, size_1g, size_2m, none };
enum class Idle : std::uint8_t { adaptive, poll };
// By which key ports spread flows over their queues: one that hashes both directions of a flow alike, or the
// usual one.
enum class Rss : std::uint8_t { standard, symmetric };
// Which sources an interface takes (RFC 3704): any; those that a route leads to; those that a route leads to
// by this interface.
enum class Urpf : std::uint8_t { off, loose, strict };
// What becomes of source routes, record route and timestamp options (RFC 7126 4.3 to 4.7).
enum class IpOptions : std::uint8_t { drop, ignore };

// Fixed at start: a change needs a restart.
struct DataplaneConfig {
  std::optional<std::vector<unsigned>> workers;  // cores; absent: all isolated cores, else the last one
  Hugepages hugepages = Hugepages::automatic;
  std::uint64_t memory_bytes = std::uint64_t{1} << 30;
  Idle idle = Idle::adaptive;
  unsigned tx_wait_us = 0;       // how long frames may wait for others to leave with them
  bool flow_label_hash = false;  // flows of IPv6 are told apart by their labels, where they have one
  Rss rss = Rss::standard;
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

// May an outer packet of IPv4 be fragmented: as the packet inside, never, always (RFC 4301 8.1).
enum class OuterDf : std::uint8_t { copy, set, clear };

// One direction of a tunnel. Its key is one or the other.
struct SaConfig {
  std::uint32_t spi = 0;  // above 255 (RFC 4303 2.1)
  Secret key;             // of the cipher, its salt, of the integrity algorithm (RFC 7296 2.17)
  std::string key_file;   // that holds it
  friend bool operator==(const SaConfig&, const SaConfig&) = default;
};

// ESP in UDP, from port 4500 (RFC 3948).
struct EspInUdp {
  std::uint16_t remote_port = wire::kUdpEsp;  // another where NAT gave the other end one
  unsigned keepalive_s = 20;                  // how long nothing leaves before a keepalive does; 0: none does
  friend bool operator==(const EspInUdp&, const EspInUdp&) = default;
};

// How much an SA may protect: what is absent does not count.
struct SaLimits {
  std::optional<std::uint64_t> packets;
  std::optional<std::uint64_t> bytes;  // of the packets inside
  std::optional<unsigned> seconds;     // since it was made, or millraced started
  friend bool operator==(const SaLimits&, const SaLimits&) = default;
};

// RFC 4301 4.4.2.1.
struct SaLifetime {
  SaLimits soft;  // it should be replaced then: an event says so
  SaLimits hard;  // it is no longer used
  friend bool operator==(const SaLifetime&, const SaLifetime&) = default;
};

// What is inside: packets of whoever routes by the tunnel, or payloads of packets between its two ends.
enum class IpsecMode : std::uint8_t { tunnel, transport };

// An IPsec tunnel with keys that are given: RFC 4301, RFC 4303.
struct TunnelConfig {
  IpsecMode mode = IpsecMode::tunnel;
  IpAddress local, remote;  // of one family
  esp::Algorithm algorithm = esp::Algorithm::aes_128_gcm;
  bool esn = true;                // extended sequence numbers
  unsigned replay_window = 1024;  // packets, 64 to 8192
  std::optional<unsigned> dscp;   // of outer packets; absent: as inside
  OuterDf df = OuterDf::copy;
  unsigned hop_limit = 64;  // of outer packets
  std::optional<EspInUdp> udp;
  SaLifetime lifetime;              // of each of its SAs
  bool path_mtu_discovery = true;   // is ICMP about outer packets believed (RFC 4301 8.2)?
  std::optional<SaConfig> out;      // absent: nothing leaves
  std::vector<SaConfig> in;         // several while keys are changed
  std::vector<Selector> selectors;  // of packets inside; empty: those of the policies, or any
  [[nodiscard]] bool is_transport() const { return mode == IpsecMode::transport; }
  friend bool operator==(const TunnelConfig&, const TunnelConfig&) = default;
};
inline constexpr std::size_t kMaxInboundSas = 8;   // of one tunnel
inline constexpr std::size_t kMaxSelectors = 256;  // the same

// Of an interface's list the first one that has a packet says what happens to it (RFC 4301 4.4.1).
struct PolicyConfig {
  Selector selector;
  PolicyAction action = PolicyAction::discard;
  std::string tunnel;  // protect: the interface by which
  friend bool operator==(const PolicyConfig&, const PolicyConfig&) = default;
};
inline constexpr std::size_t kMaxPolicies = 1024;  // of one interface

// What concerns all tunnels.
struct IpsecConfig {
  std::string state = "/var/lib/millrace/ipsec.json";  // which sequence numbers are used up. Fixed at start
  std::vector<esp::Algorithm> allow;  // that do not encrypt, or are weak, and may be used all the same
  friend bool operator==(const IpsecConfig&, const IpsecConfig&) = default;
};

// An interface is a port's own (`device`), a VLAN's on such a one (`parent` and `vlan`), a loopback, or a
// tunnel.
struct InterfaceConfig {
  std::string device;              // PCI address or DPDK devargs; fixed while the interface lives
  std::optional<unsigned> queues;  // receive queues; absent: auto (one a worker, as far as the port has them)
  unsigned mtu = 1500;             // bytes of IP packet
  PerFamily<InterfaceAddresses> addresses;  // in the file's order: the first of a family is its primary one
  std::string parent;                       // the name of the interface whose port carries the VLAN
  VlanTags vlan;                            // fixed while the interface lives
  bool loopback = false;                    // always up, without a port: its addresses are the router's
  Urpf urpf = Urpf::off;
  IpOptions ip_options = IpOptions::drop;  // of packets that come by it
  bool directed_broadcast = false;         // may packets for all hosts of its subnets leave by it (RFC 2644)?
  bool router_advertisements = false;      // are hosts told that this is their router (RFC 4861 6.2)?
  bool offloads = true;                    // may its port take work off the workers?
  bool host = false;                       // do daemons of the host see it, as a TAP?
  std::optional<TunnelConfig> ipsec;
  std::vector<PolicyConfig> policies;                                  // empty: everything may pass
  [[nodiscard]] bool has_link() const { return !loopback && !ipsec; }  // with neighbours on it
  friend bool operator==(const InterfaceConfig&, const InterfaceConfig&) = default;
};

enum class RouteType : std::uint8_t { unicast, blackhole, unreachable, prohibit };

// Of several next hops each gets a share of the flows as large as its weight.
struct NextHop {
  IpAddress address;
  std::string interface;    // whose link it is on; empty: the one that is connected to it
  std::uint8_t weight = 1;  // 1 to 255
  template <std::convertible_to<IpAddress> Address>
  NextHop(const Address& to, std::uint8_t share = 1)  // NOLINT: implicit by design
      : address(to), weight(share) {}
  template <std::convertible_to<IpAddress> Address>
  NextHop(const Address& to, std::string on, std::uint8_t share = 1)
      : address(to), interface(std::move(on)), weight(share) {}
  // Whether they lead to the same neighbour, with whatever weights.
  [[nodiscard]] bool is_same_way(const NextHop& other) const {
    return address == other.address && interface == other.interface;
  }
  [[nodiscard]] std::size_t hash() const;       // of the way, without the weight
  [[nodiscard]] std::string to_string() const;  // "fe80::1 dev wan0 weight 3"
  friend auto operator<=>(const NextHop&, const NextHop&) = default;
};
inline constexpr std::size_t kMaxNextHops = 128;  // of one route

struct RouteConfig {
  RouteType type = RouteType::unicast;
  std::vector<NextHop> via;  // sorted, each way once; empty unless unicast
  unsigned distance = 1;     // administrative distance: lower wins
  unsigned metric = 0;       // lower wins among equal distances
  std::vector<RouteConfig>
      floating;  // the prefix's others, by rising distance: for when the first ones' links are lost
  friend bool operator==(const RouteConfig&, const RouteConfig&) = default;
};

struct NeighborKey {
  std::string interface;
  IpAddress address;
  friend auto operator<=>(const NeighborKey&, const NeighborKey&) = default;
};

// Routes from FRR's zebra over its FPM (TCP).
struct FpmConfig {
  std::string listen = "127.0.0.1:2620";  // address and port; fixed at start, as is whether there is a feed
  unsigned hold_s = 120;                  // how long routes stay when the daemon is gone
  unsigned sweep_s = 30;  // how long a daemon that came again is silent before what it did not repeat goes
  bool offload_feedback = false;  // zebra is told which of its routes were taken
  friend bool operator==(const FpmConfig&, const FpmConfig&) = default;
};

// Routes from a table of the kernel. Fixed at start.
struct NetlinkConfig {
  static constexpr std::uint32_t kMainTable = 254;  // RT_TABLE_MAIN
  std::uint32_t table = kMainTable;
  friend bool operator==(const NetlinkConfig&, const NetlinkConfig&) = default;
};

struct FeedsConfig {
  using Distances = std::map<std::string, unsigned>;
  std::optional<FpmConfig> fpm;          // absent: off
  std::optional<NetlinkConfig> netlink;  // absent: off
  // [protocol]: administrative distances (1 to 255) that are not a protocol's own (route_protocols.h).
  Distances distances;
  friend bool operator==(const FeedsConfig&, const FeedsConfig&) = default;
};

struct HostConfig {
  std::string
      netns;  // the network namespace of TAPs and feeds, by name; empty: millraced's own. Fixed at start
  friend bool operator==(const HostConfig&, const HostConfig&) = default;
};

template <class Address>
using StaticRoutes = std::map<IpPrefix<Address>, RouteConfig>;  // one static route a prefix

struct Config {
  DataplaneConfig dataplane;
  ControlConfig control;
  std::map<std::string, InterfaceConfig> interfaces;
  PerFamily<StaticRoutes> routes;
  std::map<NeighborKey, MacAddress> neighbors;  // static entries
  HostConfig host;
  FeedsConfig feeds;
  IpsecConfig ipsec;
  friend bool operator==(const Config&, const Config&) = default;
};

}  // namespace millrace::config
