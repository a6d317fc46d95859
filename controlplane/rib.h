// The RIB: every route of every source, the best one of each prefix, and the FIB kept equal to the best ones.
//
// Best: lowest administrative distance, then lowest metric, then the order of RouteSource. Control thread
// only; a change is visible to workers when the call returns.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "controlplane/next_hops.h"
#include "dataplane/table_writer.h"
#include "lpm/prefix_map.h"

namespace millrace::controlplane {

enum class RouteSource : std::uint8_t { connected, static_config, api, neighbor };
inline constexpr std::array<std::string_view, 4> kRouteSourceNames = {"connected", "static", "api",
                                                                      "neighbor"};
inline constexpr std::array kRouteSources = {RouteSource::connected, RouteSource::static_config,
                                             RouteSource::api, RouteSource::neighbor};
inline constexpr std::string_view name(RouteSource source) {
  return kRouteSourceNames[static_cast<std::size_t>(source)];
}

// Host routes of learned neighbours give way to everything else.
inline constexpr std::uint8_t kNeighborDistance = 255;

struct Route {
  NextHopId next_hop;
  std::uint32_t metric = 0;
  std::uint32_t mark = 0;  // which replace of its owner saw it last
  std::uint16_t owner = 0;
  RouteSource source = RouteSource::static_config;
  std::uint8_t distance = 1;
};
static_assert(sizeof(Route) == 16);

class Rib {
 public:
  enum class Outcome : std::uint8_t { added, replaced, unchanged };

  Rib(dataplane::TableWriter& writer, NextHops& next_hops, FibId fib)
      : writer_(writer), next_hops_(next_hops), fib_(fib) {}
  ~Rib() = default;
  Rib(const Rib&) = delete;
  Rib& operator=(const Rib&) = delete;

  struct Spec {
    NextHopSpec next_hop;
    RouteSource source = RouteSource::static_config;
    std::uint8_t distance = 1;
    std::uint32_t metric = 0;
    std::uint16_t owner = 0;
    std::uint32_t mark = 0;
  };
  // One route for a (prefix, source). On an error nothing changed.
  Result<Outcome> add(Ipv4Prefix prefix, const Spec& spec);
  bool remove(Ipv4Prefix prefix, RouteSource source);

  [[nodiscard]] const Route* find(Ipv4Prefix prefix, RouteSource source) const;
  // The best route of the longest prefix that holds the address.
  [[nodiscard]] std::pair<Ipv4Prefix, const Route*> match(Ipv4Address address) const;
  // The same among prefixes shorter than `prefix` that hold it.
  [[nodiscard]] std::pair<Ipv4Prefix, const Route*> covering(Ipv4Prefix prefix) const;
  // visit(prefix, route, is_best) in order from `from`, until it returns false.
  template <class Visit>
  void visit_from(Ipv4Prefix from, Visit&& visit) const {
    routes_.visit_from(from, [&](Ipv4Prefix prefix, const Entry& entry) {
      if (!visit(prefix, entry.best, true)) return false;
      if (!entry.others) return true;
      for (const Route& route : *entry.others) {
        if (!visit(prefix, route, false)) return false;
      }
      return true;
    });
  }
  [[nodiscard]] std::size_t count(RouteSource source) const {
    return counts_[static_cast<std::size_t>(source)];
  }
  [[nodiscard]] std::size_t prefixes() const { return routes_.size(); }

  // Owner tags of API routes are kept as small numbers; 0 is "none".
  Result<std::uint16_t> owner_id(const std::string& owner);  // fails at 65,535 different owners
  [[nodiscard]] const std::string& owner_name(std::uint16_t id) const { return owners_[id]; }

 private:
  struct Entry {
    Route best;
    std::unique_ptr<std::vector<Route>> others;
  };
  static bool better(const Route& a, const Route& b);
  static Route* route_of(Entry& entry, RouteSource source);
  Result<void> publish(Ipv4Prefix prefix, NextHopId next_hop);

  dataplane::TableWriter& writer_;
  NextHops& next_hops_;
  FibId fib_;
  lpm::PrefixMap<Ipv4Prefix, Entry> routes_;
  std::array<std::size_t, kRouteSourceNames.size()> counts_{};
  std::vector<std::string> owners_{""};
  std::unordered_map<std::string, std::uint16_t> owner_ids_{{"", 0}};
};

}  // namespace millrace::controlplane
