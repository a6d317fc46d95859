// The resolver: from what a route says ("via 192.0.2.254", "blackhole") to what the FIB names.
//
// Equal next-hop sets are one shared, reference-counted group, and a FIB entry names the group. When a
// neighbour, link or address changes, the groups that it concerns are published anew, each by one store
// (dataplane/next_hop.h), and prefixes are not touched. spread.h says who of a group gets which flows.
// A feed's next-hop object has a set of its own, which no route shares that does not name the object: when
// the object changes, the set changes in place, by one store for all of its routes. Control thread only.
//
//   route -> Set (NextHopId, shared) -> member -> Link (interface, address) -> adjacency slot
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <unordered_map>
#include <vector>

#include "config/model.h"
#include "controlplane/interfaces.h"
#include "controlplane/spread.h"
#include "dataplane/table_writer.h"
#include "net/result.h"

namespace millrace::controlplane {

// A neighbour on a link: whom an adjacency leads to.
struct NeighborKey {
  InterfaceId interface;
  IpAddress address;
  friend auto operator<=>(const NeighborKey&, const NeighborKey&) = default;
};

// What a route's next hop is, before resolution.
struct NextHopSpec {
  enum class Kind : std::uint8_t { via, neighbor, glean, local, drop };
  Kind kind = Kind::drop;
  dataplane::DropReason reason = dataplane::DropReason::no_route;  // drop
  InterfaceId interface = kNoInterface;                            // neighbor, glean
  std::vector<config::NextHop> hops;  // via: sorted, each way once; neighbor: one

  // Without hops (which only a set of its own can be) packets are dropped for the reason.
  static NextHopSpec via(std::vector<config::NextHop> hops) {
    return {Kind::via, {}, kNoInterface, std::move(hops)};
  }
  static NextHopSpec neighbor(NeighborKey k) { return {Kind::neighbor, {}, k.interface, {k.address}}; }
  static NextHopSpec glean(InterfaceId interface) { return {Kind::glean, {}, interface, {}}; }
  static NextHopSpec local() { return {Kind::local, {}, kNoInterface, {}}; }
  static NextHopSpec drop(dataplane::DropReason reason) { return {Kind::drop, reason, kNoInterface, {}}; }
  friend auto operator<=>(const NextHopSpec&, const NextHopSpec&) = default;
};

class NextHops {
 public:
  enum class LinkState : std::uint8_t { resolved, unresolved, failed };  // the best first
  struct Link {
    NeighborKey key;
    LinkState state = LinkState::unresolved;
    MacAddress mac;
    AdjacencyId slot;
    std::uint32_t counter = 0;
    std::set<NextHopId> users;
    unsigned routed = 0;  // users that are routes' next hops, not the neighbour's own host route
  };
  static constexpr auto kLost = dataplane::NextHop::drop(dataplane::DropReason::next_hop_lost);
  struct Set {
    NextHopSpec spec;
    NextHopId id;
    std::uint32_t references = 0;
    bool is_own = false;      // made by make_own(): not found by its spec, which may change
    bool is_watched = false;  // losses() counts it
    // The spec's; in the place of one that is on no link, the ways that the route to it has.
    std::vector<config::NextHop> hops;
    std::vector<Link*> members;    // [hop]: the link that it lies on, or null; several may share one
    std::vector<IpAddress> asked;  // whose routes the hops were found by
    dataplane::NextHop published;
    std::unique_ptr<const Spread> spread;  // from when it first was a group
    // Whether no hop's interface is up.
    [[nodiscard]] bool is_lost() const { return published == kLost; }
  };
  // The next hops of the route to an address; null without one that may lead to a next hop.
  using Covering = std::function<const Set*(IpAddress)>;
  // Tells who is forwarded to by a route, so that its MAC is kept known.
  using Wanted = std::function<void(NeighborKey, bool wanted)>;
  // What is known of a neighbour already when a link to it is made.
  using Known = std::function<std::pair<LinkState, MacAddress>(NeighborKey)>;

  NextHops(dataplane::TableWriter& writer, const Interfaces& interfaces)
      : writer_(writer), interfaces_(interfaces) {}
  void set_hooks(Known known, Wanted wanted) {
    known_ = std::move(known);
    wanted_ = std::move(wanted);
  }
  void set_covering(Covering covering) { covering_ = std::move(covering); }

  // Each route that names a set holds one reference. Fails when the tables are full; nothing changed then.
  Result<NextHopId> acquire(const NextHopSpec& spec);
  // A set that nobody else gets for the same spec, which is of kind via; the caller holds a reference.
  Result<NextHopId> make_own(NextHopSpec spec);
  // What such a set is from now on, also of kind via. Traffic moves at once; ways that stay keep most flows.
  void change_own(NextHopId id, NextHopSpec spec);
  void add_reference(NextHopId id) { ++sets_[id.value()]->references; }  // of a set that is alive
  void release(NextHopId id);
  [[nodiscard]] const Set* find(NextHopId id) const {
    return id.value() < sets_.size() ? sets_[id.value()].get() : nullptr;
  }
  [[nodiscard]] const Link* find_link(NeighborKey key) const;

  void neighbor_changed(NeighborKey key, LinkState state, MacAddress mac);
  // Interfaces went down or are gone: moves what is sent through them, before anything else that follows.
  void interfaces_lost();
  // Addresses, MTUs, MACs or states of interfaces changed: every set is resolved anew.
  void interfaces_changed();

  // The best route of the prefix is another one: next hops that are found by it are resolved anew.
  template <class Address>
  void route_changed(IpPrefix<Address> prefix) {
    if (!asked_.empty()) [[unlikely]]
      resolve_asked(prefix.address(), prefix.last());
  }

  template <class Visit>
  void visit(Visit&& visit) const {
    for (const auto& set : sets_) {
      if (set) visit(*set);
    }
  }
  [[nodiscard]] std::size_t size() const { return count_; }
  // Sets that were given to workers, anew or for the first time: the stores that moved traffic.
  [[nodiscard]] std::uint64_t groups_published() const { return groups_published_; }
  // How often a set that is watched was lost, or was found again.
  void watch(NextHopId id) { sets_[id.value()]->is_watched = true; }
  [[nodiscard]] std::uint64_t losses() const { return losses_; }

 private:
  // A set is found by the spec that it holds itself.
  struct SpecHash {
    std::size_t operator()(const NextHopSpec* spec) const;
  };
  struct SpecEqual {
    bool operator()(const NextHopSpec* a, const NextHopSpec* b) const { return *a == *b; }
  };

  Result<Set*> make_set(NextHopSpec spec);
  void resolve(Set& set);
  void resolve_asked(IpAddress first, IpAddress last);
  void ask(Set& set, IpAddress address);
  void stop_asking(Set& set);
  [[nodiscard]] bool is_recursive(const Set& set, const config::NextHop& hop) const;
  [[nodiscard]] std::vector<config::NextHop> ways_of(Set& set);
  void add_ways(std::vector<const Set*>& by, Set& of, unsigned weight, std::vector<config::NextHop>& ways);
  [[nodiscard]] const Interface* interface_of(const Set& set, const config::NextHop& hop) const;
  void attach(Set& set, std::vector<Link*> members);
  void leave(std::vector<Link*> links, const Set& user);
  void publish(Set& set);
  [[nodiscard]] dataplane::NextHop to_members(Set& set);
  [[nodiscard]] std::optional<dataplane::NextHop> to_group(Set& set);
  std::size_t find_usable(const Set& set);
  void store(Set& set, dataplane::NextHop next_hop);
  void publish_users(const Link& link);
  Link* use_link(NeighborKey key, const Set& user);
  void leave_link(Link& link, const Set& user);
  Link* make_link(NeighborKey key);
  [[nodiscard]] std::optional<dataplane::Adjacency> adjacency_of(const Link& link) const;
  [[nodiscard]] std::optional<AdjacencyId> renew_slot(Link& link);
  [[nodiscard]] bool is_up(InterfaceId id) const;

  dataplane::TableWriter& writer_;
  const Interfaces& interfaces_;
  Known known_ = [](NeighborKey) { return std::pair(LinkState::unresolved, MacAddress{}); };
  Wanted wanted_ = [](NeighborKey, bool) {};
  Covering covering_ = [](IpAddress) { return nullptr; };
  std::vector<std::unique_ptr<Set>> sets_;  // [id]
  std::unordered_map<const NextHopSpec*, NextHopId, SpecHash, SpecEqual> ids_;
  std::map<NeighborKey, Link> links_;
  std::map<IpAddress, std::set<NextHopId>> asked_;  // [address]: sets whose hops the route to it leads to
  std::size_t count_ = 0;                           // of sets
  std::uint64_t groups_published_ = 0;
  std::uint64_t losses_ = 0;
  std::vector<std::uint8_t> usable_;  // [hop] of the set at hand
  std::vector<AdjacencyId> buckets_;  // of the group at hand
};

}  // namespace millrace::controlplane
