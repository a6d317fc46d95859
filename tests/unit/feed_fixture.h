// A feed's routes on real tables, without ports: wan0 192.0.2.1/24 and lan0 198.51.100.1/24 are up, the
// neighbours on them answer.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>
#include <vector>

#include "controlplane/feed_routes.h"
#include "controlplane/rib.h"
#include "controlplane/route_owners.h"
#include "tests/unit/netlink_bytes.h"
#include "tests/unit/table_fixture.h"

namespace millrace::controlplane {

class FeedFixture : public TableFixture {
 protected:
  static constexpr std::uint32_t kGroups = 64;  // tbl8 groups of a FIB

  FeedFixture() : TableFixture(kGroups) {
    lan_->config.addresses.ipv6.push_back(*Ipv6InterfaceAddress::parse("2001:db8:0:2::1/64"));
    interfaces_.publish_addresses();
    next_hops_.set_hooks(
        [](NeighborKey) { return std::pair(NextHops::LinkState::resolved, MacAddress{{2}}); },
        [](NeighborKey, bool) {});
  }

  FeedTables tables() {
    return {rib_,
            rib6_,
            next_hops_,
            owners_,
            [this](const AnyPrefix& prefix) { changed_.push_back(to_string(prefix)); },
            [this](std::uint32_t index) { return links_.contains(index) ? links_[index] : std::string(); }};
  }

  // What the feed's route says: "192.0.2.2 198.51.100.2 dev lan0 weight 3", "drop route_blackhole" or "" if
  // there is none.
  std::string route(std::string_view prefix) {
    return std::visit([&]<class Address>(IpPrefix<Address> of) { return route_in(of); },
                      *parse_prefix(prefix));
  }
  // Where workers send packets to the address: neighbours' addresses, or the drop reason.
  std::set<std::string> reached(Ipv4Address address) {
    const auto id = tables_.fib<Ipv4Address>(FibId(0)).lookup(address);
    const dataplane::NextHop next_hop = tables_.next_hop(id);
    if (next_hop.kind() == dataplane::NextHop::Kind::forward)
      return {tables_.adjacency(next_hop.index()).address.to_string()};
    std::set<std::string> all;
    for (std::uint32_t i = 0; next_hop.kind() == dataplane::NextHop::Kind::group && i < next_hop.buckets();
         ++i)
      all.insert(tables_.adjacency(tables_.bucket(next_hop.bucket(i))).address.to_string());
    return all.empty() ? std::set<std::string>{"dropped"} : all;
  }

  template <class Prefix>
  BasicRib<Prefix>& rib() {
    if constexpr (std::is_same_v<Prefix, Ipv4Prefix>) {
      return rib_;
    } else {
      return rib6_;
    }
  }

  RouteOwners owners_;
  Rib rib_{writer_, next_hops_, FibId(0)};
  Rib6 rib6_{writer_, next_hops_, FibId(0)};
  std::vector<std::string> changed_;
  std::map<std::uint32_t, std::string> links_;  // by the daemon's interface index
  RouteSource source_ = RouteSource::fpm;

 private:
  template <class Prefix>
  std::string route_in(Prefix prefix) {
    const Route* found = rib<Prefix>().find(prefix, source_);
    if (found == nullptr) return "";
    const NextHopSpec& spec = next_hops_.find(found->next_hop)->spec;
    if (spec.hops.empty()) return "drop " + std::string(dataplane::info(spec.reason).name);
    std::string text;
    for (const config::NextHop& hop : spec.hops) text += (text.empty() ? "" : " ") + hop.to_string();
    return text;
  }
};

}  // namespace millrace::controlplane
