// A router's tables without ports, for feeds, and two interfaces, on which some of the next hops are.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "controlplane/feed_routes.h"
#include "controlplane/rib.h"
#include "dataplane/tables.h"
#include "lpm/reclaimer.h"
#include "tests/fuzz/input.h"

namespace millrace::fuzz {

using namespace controlplane;

class FeedBed {
 public:
  FeedBed() {
    add("wan0", "192.0.2.1/24", "2001:db8:0:1::1/64");
    add("lan0", "198.51.100.1/24", "2001:db8:0:2::1/64");
    interfaces_.publish_addresses();
  }
  FeedBed(const FeedBed&) = delete;
  FeedBed& operator=(const FeedBed&) = delete;

  FeedTables tables() {
    return {rib_,
            rib6_,
            next_hops_,
            owners_,
            [](const AnyPrefix&) {},
            [](std::uint32_t index) { return index == 3 ? std::string("wan0") : std::string(); }};
  }
  void set_time(std::uint64_t now_ns) { writer_.set_time(now_ns); }

  // The RIB has as many routes of the source as the feed says, and each leads somewhere.
  void check(const FeedRoutes& routes, RouteSource source) const {
    require(routes.stale() <= routes.routes() + routes.shadowed(), "stale routes are routes");
    std::size_t of_source = 0, prefixes = 0;
    const auto count = [&](auto, const Route& route, bool best) {
      require(next_hops_.find(route.next_hop) != nullptr, "a route has a next hop");
      of_source += route.source == source ? 1 : 0;
      prefixes += best ? 1 : 0;
      return true;
    };
    rib_.visit_from({}, count);
    rib6_.visit_from({}, count);
    require(of_source == routes.routes() && prefixes == of_source, "routes are counted");
    require(routes.shadowed() == 0 || routes.routes() != 0, "what is shadowed is so by a route");
  }
  // When the feed is gone.
  void check_empty() {
    require(next_hops_.size() == 0, "no next hop is left");
    while (reclaimer_.poll() != 0) {
    }
    require(writer_.next_hops_used() == 0 && writer_.adjacencies_used() == 0 && writer_.buckets_used() == 0,
            "the tables are empty");
  }

 private:
  void add(const std::string& name, const char* ipv4, const char* ipv6) {
    config::InterfaceConfig config;
    config.addresses.ipv4.push_back(*Ipv4InterfaceAddress::parse(ipv4));
    config.addresses.ipv6.push_back(*Ipv6InterfaceAddress::parse(ipv6));
    Interface* interface = interfaces_.add(name, config);
    interface->port = PortId(0);
    interface->mac = MacAddress{{2, 0, 0, 0, 0, 1}};
    interface->up = true;
    interfaces_.publish(*interface);
  }

  lpm::Reclaimer reclaimer_{1};
  dataplane::Tables tables_;
  dataplane::TableWriter writer_{tables_, reclaimer_, {256, lpm::Pages::normal}, {}};
  Interfaces interfaces_{writer_};
  NextHops next_hops_{writer_, interfaces_};
  RouteOwners owners_;
  Rib rib_{writer_, next_hops_, FibId(0)};
  Rib6 rib6_{writer_, next_hops_, FibId(0)};
};

}  // namespace millrace::fuzz
