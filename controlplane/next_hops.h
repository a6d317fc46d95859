// The resolver: from what a route says ("via 192.0.2.254", "blackhole") to what the FIB names.
//
// Equal next-hop sets are one shared, reference-counted group, and a FIB entry names the group. When a
// neighbour, link or address changes, groups are written anew and prefixes are not touched. Control thread
// only.
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

#include "controlplane/interfaces.h"
#include "dataplane/table_writer.h"
#include "net/result.h"

namespace millrace::controlplane {

// A neighbour on a link: whom an adjacency leads to.
struct NeighborKey {
  InterfaceId interface;
  Ipv4Address address;
  friend auto operator<=>(const NeighborKey&, const NeighborKey&) = default;
};

// What a route's next hop is, before resolution.
struct NextHopSpec {
  enum class Kind : std::uint8_t { via, neighbor, glean, local, drop };
  Kind kind = Kind::drop;
  dataplane::DropReason reason = dataplane::DropReason::no_route;  // drop
  InterfaceId interface = kNoInterface;                            // neighbor, glean
  std::vector<Ipv4Address> addresses;                              // via: sorted, unique; neighbor: one

  static NextHopSpec via(std::vector<Ipv4Address> addresses) {
    return {Kind::via, {}, kNoInterface, std::move(addresses)};
  }
  static NextHopSpec neighbor(NeighborKey k) { return {Kind::neighbor, {}, k.interface, {k.address}}; }
  static NextHopSpec glean(InterfaceId interface) { return {Kind::glean, {}, interface, {}}; }
  static NextHopSpec local() { return {Kind::local, {}, kNoInterface, {}}; }
  static NextHopSpec drop(dataplane::DropReason reason) { return {Kind::drop, reason, kNoInterface, {}}; }
  friend auto operator<=>(const NextHopSpec&, const NextHopSpec&) = default;
};

class NextHops {
 public:
  enum class LinkState : std::uint8_t { unresolved, resolved, failed };
  struct Link {
    NeighborKey key;
    LinkState state = LinkState::unresolved;
    MacAddress mac;
    AdjacencyId slot;
    std::uint32_t counter = 0;
    std::set<NextHopId> users;
    unsigned routed = 0;  // users that are routes' next hops, not the neighbour's own host route
  };
  struct Set {
    NextHopSpec spec;
    NextHopId id;
    std::uint32_t references = 0;
    std::optional<std::uint32_t> first_bucket;
    std::vector<NeighborKey> members;  // resolved to a link, in the order of spec.addresses
    dataplane::NextHop published;
  };
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

  // Each route that names a set holds one reference. Fails when the tables are full; nothing changed then.
  Result<NextHopId> acquire(const NextHopSpec& spec);
  void release(NextHopId id);
  [[nodiscard]] const Set* find(NextHopId id) const;
  [[nodiscard]] const Link* find_link(NeighborKey key) const;

  void neighbor_changed(NeighborKey key, LinkState state, MacAddress mac);
  // Addresses, MTUs, MACs or states of interfaces changed: every set is resolved anew.
  void interfaces_changed();

  template <class Visit>
  void visit(Visit&& visit) const {
    for (const auto& [id, set] : sets_) visit(*set);
  }
  [[nodiscard]] std::size_t size() const { return sets_.size(); }

 private:
  void resolve(Set& set);
  void publish(Set& set);
  void fill_buckets(const Set& set, const std::vector<const Link*>& usable);
  void attach(Set& set, const std::vector<NeighborKey>& members);
  bool use_link(NeighborKey key, const Set& user);
  void leave_link(NeighborKey key, const Set& user);
  Link* make_link(NeighborKey key);
  [[nodiscard]] std::optional<dataplane::Adjacency> adjacency_of(const Link& link) const;
  bool renew_slot(Link& link);
  [[nodiscard]] std::vector<const Link*> usable_members(const Set& set) const;

  dataplane::TableWriter& writer_;
  const Interfaces& interfaces_;
  Known known_ = [](NeighborKey) { return std::pair(LinkState::unresolved, MacAddress{}); };
  Wanted wanted_ = [](NeighborKey, bool) {};
  std::map<NextHopSpec, NextHopId> ids_;
  std::unordered_map<NextHopId, std::unique_ptr<Set>> sets_;
  std::map<NeighborKey, Link> links_;
};

}  // namespace millrace::controlplane
