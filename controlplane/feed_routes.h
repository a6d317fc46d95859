// The routes of a feed in the RIBs: what its daemon's messages add, replace and remove, which of them it has
// not confirmed since it connected, and which wait for a next hop.
//
// One route for a prefix. Each is marked with the connection that said it last: those of connections before
// are stale, and a sweep removes them. A route by a next hop that is not known yet is parked, and what the
// prefix had stays meanwhile. Control thread only; long work is done in slices.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "controlplane/feed_next_hops.h"
#include "controlplane/netlink_message.h"
#include "controlplane/rib.h"
#include "controlplane/route_owners.h"

namespace millrace::controlplane {

// What a feed works on; all outlive it.
struct FeedTables {
  Rib& ipv4;
  Rib6& ipv6;
  NextHops& next_hops;
  RouteOwners& owners;
  std::function<void(const AnyPrefix&)> changed;  // a route of the prefix came, or went
  InterfaceOfIndex interface_of;

  template <class Prefix>
  [[nodiscard]] BasicRib<Prefix>& rib() const {
    if constexpr (std::is_same_v<Prefix, Ipv4Prefix>) {
      return ipv4;
    } else {
      return ipv6;
    }
  }
};

class FeedRoutes {
 public:
  static constexpr std::size_t kMaxParked = 1 << 20;

  struct Counters {
    std::uint64_t messages = 0;
    std::uint64_t ignored = 0;  // routes that are not for us, or that have no counterpart here
    std::uint64_t failed = 0;   // messages for which there was no room
  };

  FeedRoutes(const FeedTables& tables, RouteSource source)
      : tables_(tables), source_(source), next_hops_(tables.next_hops, tables.interface_of) {}

  // Applies messages that belong together: a route that one of them removes and a later one adds is replaced,
  // and never absent.
  void apply(std::span<const NetlinkMessage> messages);

  // From now on all routes are stale, and next-hop ids mean nothing: another connection begins.
  void begin_connection();
  // Lets work() remove what is stale.
  void begin_sweep() { sweep_ = {.is_on = true}; }
  void stop_sweep() { sweep_ = {}; }
  // Does some of what waits: parked routes whose next hop has come, the sweep. At most `slice` routes. True
  // while there is more.
  bool work(std::size_t slice);

  [[nodiscard]] std::size_t routes() const {
    return tables_.ipv4.count(source_) + tables_.ipv6.count(source_);
  }
  [[nodiscard]] std::size_t stale() const { return stale_; }
  [[nodiscard]] std::size_t parked() const { return parked_.size(); }
  [[nodiscard]] std::size_t next_hops() const { return next_hops_.size(); }
  [[nodiscard]] const Counters& counters() const { return counters_; }
  [[nodiscard]] const std::string& last_failure() const { return last_failure_; }  // empty: there was none

 private:
  struct Parked {
    std::uint32_t next_hop_id;
    std::uint32_t priority;
    std::uint8_t protocol;
  };
  // What a sweep looks at next.
  struct Sweep {
    bool is_on = false;
    bool ipv4_done = false;
    Ipv4Prefix ipv4;
    Ipv6Prefix ipv6;
  };

  void put(const NetlinkRoute& route);
  void put(const NetlinkNextHop& object);
  void put_by_id(const NetlinkRoute& route);
  void put_unicast(const NetlinkRoute& route);
  void put_spec(const NetlinkRoute& route, const NextHopSpec& spec);
  void ignore(const NetlinkRoute& route);
  // Gives the reference to the next hop away.
  void install(const AnyPrefix& prefix, NextHopId next_hop, std::uint8_t protocol, std::uint32_t priority);
  template <class Prefix>
  void install_in(Prefix prefix, const Route& route);
  void remove(const AnyPrefix& prefix);
  template <class Prefix>
  void remove_from(Prefix prefix);
  void park(const NetlinkRoute& route);
  void unpark(const AnyPrefix& prefix);
  bool unpark_ready();
  template <class Prefix>
  bool sweep(Prefix& from, std::size_t slice);
  void fail(const std::string& what);
  std::uint16_t owner_of(std::uint8_t protocol);

  FeedTables tables_;
  RouteSource source_;
  FeedNextHops next_hops_;
  std::uint32_t mark_ = 1;  // of this connection
  std::size_t stale_ = 0;
  std::map<AnyPrefix, Parked> parked_;
  std::set<std::pair<std::uint32_t, AnyPrefix>> waiting_;  // parked_ by next hop
  std::vector<std::uint32_t> ready_;                       // next hops that may have some in waiting_
  Sweep sweep_;
  std::array<std::uint16_t, 256> owners_{};  // [protocol], 0: not asked for yet
  Counters counters_;
  std::string last_failure_;
};

}  // namespace millrace::controlplane
