// NextHops over real tables, and where the traffic of a set goes.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <utility>
#include <vector>

#include "controlplane/next_hops.h"
#include "tests/unit/table_fixture.h"

namespace millrace::controlplane {

class NextHopsFixture : public TableFixture {
 protected:
  NextHopsFixture() {
    next_hops_.set_hooks([](NeighborKey) { return std::pair(NextHops::LinkState::unresolved, MacAddress{}); },
                         [this](NeighborKey key, bool wanted) { wanted_log_.emplace_back(key, wanted); });
  }
  NextHopId acquire(const NextHopSpec& spec) {
    const auto id = next_hops_.acquire(spec);
    EXPECT_TRUE(id) << "the table is full?";
    return id ? *id : NextHopId(0);
  }
  dataplane::NextHop published(NextHopId id) const { return tables_.next_hop(id); }
  // Where the flows of a word go, by hash: one for each bucket of a group.
  std::vector<dataplane::Adjacency> adjacencies(dataplane::NextHop next_hop) const {
    if (next_hop.kind() == dataplane::NextHop::Kind::forward) return {tables_.adjacency(next_hop.index())};
    std::vector<dataplane::Adjacency> all;
    for (std::uint32_t i = 0; next_hop.kind() == dataplane::NextHop::Kind::group && i < next_hop.buckets();
         ++i) {
      all.push_back(tables_.adjacency(tables_.bucket(next_hop.bucket(i))));
    }
    return all;
  }
  std::map<IpAddress, unsigned> buckets(NextHopId id) const {
    std::map<IpAddress, unsigned> count;
    for (const dataplane::Adjacency& adjacency : adjacencies(published(id))) ++count[adjacency.address];
    return count;
  }
  // The neighbours that flows of this next hop go to.
  std::set<IpAddress> reached(NextHopId id) const {
    std::set<IpAddress> addresses;
    for (const dataplane::Adjacency& adjacency : adjacencies(published(id)))
      addresses.insert(adjacency.address);
    return addresses;
  }
  void take_all_buckets() {
    for (std::uint32_t size = dataplane::kMaxBuckets; size >= dataplane::kMinBuckets; size /= 2) {
      while (writer_.add_group(std::vector<AdjacencyId>(size))) {
      }
    }
  }
  NeighborKey on_wan(Ipv4Address address) const { return {wan_->id, address}; }

  std::vector<std::pair<NeighborKey, bool>> wanted_log_;
};

}  // namespace millrace::controlplane
