// The RIB: every route of every source, the best one of each prefix, and the FIB kept equal to the best ones.
//
// Best: lowest administrative distance, then lowest metric, then the order of RouteSource; a static route
// whose links are all lost comes after all that are not. Control thread only; a change is visible to workers
// when the call returns.
//
// RIB and FIB share one index: the FIB's rule of a prefix names the prefix's first route here, and routes of
// one prefix are a list, the best one first:
//
//   lpm::Table rules: prefix -> {next hop of the best, data} ---> Route -> Route -> ...
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "controlplane/next_hops.h"
#include "dataplane/table_writer.h"
#include "lpm/slab.h"

namespace millrace::controlplane {

enum class RouteSource : std::uint8_t { connected, static_config, api, fpm, netlink, neighbor };
inline constexpr std::array<std::string_view, 6> kRouteSourceNames = {"connected", "static",  "api",
                                                                      "fpm",       "netlink", "neighbor"};
inline constexpr std::array kRouteSources = {RouteSource::connected, RouteSource::static_config,
                                             RouteSource::api,       RouteSource::fpm,
                                             RouteSource::netlink,   RouteSource::neighbor};
inline constexpr std::string_view name(RouteSource source) {
  return kRouteSourceNames[static_cast<std::size_t>(source)];
}

// Host routes of learned neighbours give way to everything else.
inline constexpr std::uint8_t kNeighborDistance = 255;

struct Route {
  NextHopId next_hop;
  std::uint32_t metric = 0;
  std::uint32_t mark = 0;   // which replace of its owner, or connection of its feed, saw it last
  std::uint16_t owner = 0;  // route_owners.h; of a feed's route the protocol that made it
  std::uint8_t distance = 1;
  RouteSource source : 7 = RouteSource::static_config;
  bool is_lost : 1 = false;  // of a static route: no next hop's interface is up
};
static_assert(sizeof(Route) == 16);

// A route before its next hop is resolved.
struct RouteSpec {
  NextHopSpec next_hop;
  RouteSource source = RouteSource::static_config;
  std::uint8_t distance = 1;
  std::uint32_t metric = 0;
  std::uint16_t owner = 0;
  std::uint32_t mark = 0;
};

enum class RouteOutcome : std::uint8_t { added, replaced, unchanged };

template <class PrefixType>
class BasicRib {
 public:
  using Prefix = PrefixType;
  using Address = typename Prefix::Address;
  using Fib = lpm::Table<Prefix>;
  using Outcome = RouteOutcome;
  using Spec = RouteSpec;

  BasicRib(dataplane::TableWriter& writer, NextHops& next_hops, FibId fib)
      : writer_(writer), next_hops_(next_hops), fib_(writer.template fib<Prefix>(fib)) {}
  BasicRib(const BasicRib&) = delete;
  BasicRib& operator=(const BasicRib&) = delete;

  // One route for a (prefix, source), of static routes for a (prefix, distance). On an error nothing changed.
  Result<Outcome> add(Prefix prefix, const Spec& spec);
  // The same for a next hop that is resolved: the caller gives a reference to it away, whatever comes of it.
  Result<Outcome> add(Prefix prefix, const Route& route);
  // The first one of the source, or the one of that distance.
  bool remove(Prefix prefix, RouteSource source, std::optional<std::uint8_t> distance = {});
  // What links the prefix's static routes have may have changed.
  void links_changed(Prefix prefix);

  // The best of that source.
  [[nodiscard]] const Route* find(Prefix prefix, RouteSource source) const;
  // The best route of the longest prefix that holds the address.
  [[nodiscard]] std::pair<Prefix, const Route*> match(Address address) const {
    return best_of(fib_.match(address));
  }
  // The same among prefixes shorter than `prefix` that hold it.
  [[nodiscard]] std::pair<Prefix, const Route*> covering(Prefix prefix) const {
    return best_of(fib_.covering(prefix));
  }
  // visit(prefix, route, is_best) in order from `from`, until it returns false.
  template <class Visit>
  void visit_from(Prefix from, Visit&& visit) const {
    fib_.visit_from(from, [&](Prefix prefix, const typename Fib::Rule& rule) {
      for (Index i = rule.data; i != kNone; i = node(i).next) {
        if (!visit(prefix, node(i).route, i == rule.data)) return false;
      }
      return true;
    });
  }
  [[nodiscard]] std::size_t count(RouteSource source) const {
    return counts_[static_cast<std::size_t>(source)];
  }
  [[nodiscard]] std::size_t prefixes() const { return fib_.size(); }
  [[nodiscard]] std::size_t memory_bytes() const {  // without the index, which is the FIB's
    return nodes_.memory_bytes();
  }

 private:
  using Index = std::uint32_t;
  static constexpr Index kNone = 0xffffffff;
  struct Node {
    Route route;
    Index next = kNone;
  };

  static bool better(const Route& a, const Route& b);
  Node& node(Index i) { return nodes_[i]; }
  const Node& node(Index i) const { return nodes_[i]; }
  Index make(const Route& route);
  // The link (of the rule, or of a route before) to the first route that `is_it`; to nothing if there is
  // none.
  template <class IsIt>
  Index& link_to(Index& first, IsIt is_it);
  Index& link_to_same(Index& first, const Route& route);
  void insert_sorted(Index& first, Index fresh);
  std::pair<Prefix, const Route*> best_of(std::pair<Prefix, const typename Fib::Rule*> found) const {
    return {found.first, found.second == nullptr ? nullptr : &node(found.second->data).route};
  }
  Result<Outcome> add_first(Prefix prefix, const Route& route);
  Result<Outcome> add_beside(Prefix prefix, typename Fib::Rule& rule, const Route& route);

  dataplane::TableWriter& writer_;
  NextHops& next_hops_;
  Fib& fib_;
  lpm::Slab<Node> nodes_{lpm::Pages::transparent};
  std::array<std::size_t, kRouteSourceNames.size()> counts_{};
};

using Rib = BasicRib<Ipv4Prefix>;
using Rib6 = BasicRib<Ipv6Prefix>;

}  // namespace millrace::controlplane
