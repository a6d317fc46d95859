#include "controlplane/next_hops.h"

#include <gtest/gtest.h>

#include <cstring>
#include <set>
#include <vector>

#include "tests/unit/table_fixture.h"

namespace millrace::controlplane {
namespace {

using dataplane::Adjacency;
using dataplane::DropReason;
using dataplane::NextHop;
using LinkState = NextHops::LinkState;

const MacAddress kMac{{2, 0, 0, 0, 0, 0xaa}};
const MacAddress kOtherMac{{2, 0, 0, 0, 0, 0xbb}};

class NextHopsTest : public TableFixture {
 protected:
  NextHopsTest() {
    next_hops_.set_hooks([](NeighborKey) { return std::pair(LinkState::unresolved, MacAddress{}); },
                         [this](NeighborKey key, bool wanted) { wanted_log_.emplace_back(key, wanted); });
  }
  NextHopId acquire(const NextHopSpec& spec) {
    const auto id = next_hops_.acquire(spec);
    EXPECT_TRUE(id) << "the table is full?";
    return id ? *id : NextHopId(0);
  }
  NextHop published(NextHopId id) const { return tables_.next_hop(id); }
  // The neighbours that flows of this next hop go to.
  std::set<Ipv4Address> reached(NextHopId id) const {
    const NextHop next_hop = published(id);
    std::set<Ipv4Address> addresses;
    if (next_hop.kind() == NextHop::Kind::forward)
      addresses.insert(tables_.adjacency(next_hop.index()).address);
    for (std::uint32_t i = 0; next_hop.kind() == NextHop::Kind::group && i < dataplane::kBuckets; ++i) {
      addresses.insert(tables_.adjacency(tables_.bucket(next_hop.index() + i)).address);
    }
    return addresses;
  }
  NeighborKey on_wan(Ipv4Address address) const { return {wan_->id, address}; }

  std::vector<std::pair<NeighborKey, bool>> wanted_log_;
};

TEST_F(NextHopsTest, EqualSetsAreOneAndLiveAsLongAsTheirLastUser) {
  const auto spec = NextHopSpec::via({"192.0.2.2"_a});
  const NextHopId id = acquire(spec);
  EXPECT_EQ(acquire(spec), id);
  EXPECT_NE(acquire(NextHopSpec::via({"192.0.2.3"_a})), id);
  EXPECT_EQ(next_hops_.find(id)->references, 2U);
  EXPECT_EQ(next_hops_.size(), 2U);
  next_hops_.release(id);
  EXPECT_NE(next_hops_.find(id), nullptr);
  EXPECT_NE(next_hops_.find_link(on_wan("192.0.2.2"_a)), nullptr);
  next_hops_.release(id);
  EXPECT_EQ(next_hops_.find(id), nullptr);
  EXPECT_EQ(next_hops_.find_link(on_wan("192.0.2.2"_a)), nullptr);
  EXPECT_EQ(next_hops_.size(), 1U);
}

TEST_F(NextHopsTest, NothingLeaksFromTheTablesWhenEverythingIsReleased) {
  std::vector<NextHopId> ids;
  for (std::uint32_t i = 0; i < 50; ++i) {
    ids.push_back(acquire(
        NextHopSpec::via({Ipv4Address(0xc0000202 + i), Ipv4Address(0xc0000203 + i), "198.51.100.2"_a})));
  }
  ids.push_back(acquire(NextHopSpec::local()));
  ids.push_back(acquire(NextHopSpec::glean(wan_->id)));
  for (std::uint32_t i = 0; i < 50; ++i) {
    next_hops_.neighbor_changed(on_wan(Ipv4Address(0xc0000202 + i)), LinkState::resolved, kMac);
  }
  for (const NextHopId id : ids) next_hops_.release(id);
  pass_grace_period();
  EXPECT_EQ(writer_.next_hops_used(), 0U);
  EXPECT_EQ(writer_.adjacencies_used(), 0U);
  EXPECT_EQ(next_hops_.size(), 0U);
}

TEST_F(NextHopsTest, AnIdIsNotGivenOutAgainBeforeAGracePeriod) {
  reclaimer_.register_worker(0);
  const NextHopId id = acquire(NextHopSpec::local());
  next_hops_.release(id);
  reclaimer_.poll();
  EXPECT_NE(acquire(NextHopSpec::drop(DropReason::route_blackhole)), id)
      << "a worker may just have read it in the FIB";
  EXPECT_EQ(published(id), NextHop::local());
  reclaimer_.unregister_worker(0);
}

TEST_F(NextHopsTest, KindsWithoutNeighboursArePublishedAsTheyAre) {
  EXPECT_EQ(published(acquire(NextHopSpec::local())), NextHop::local());
  EXPECT_EQ(published(acquire(NextHopSpec::glean(lan_->id))), NextHop::glean(lan_->id));
  for (const DropReason reason :
       {DropReason::route_blackhole, DropReason::route_prohibit, DropReason::subnet_broadcast}) {
    EXPECT_EQ(published(acquire(NextHopSpec::drop(reason))), NextHop::drop(reason));
  }
}

TEST_F(NextHopsTest, AnUnresolvedNeighbourIsAnAdjacencyWithoutAMac) {
  const NextHopId id = acquire(NextHopSpec::via({"192.0.2.2"_a}));
  ASSERT_EQ(published(id).kind(), NextHop::Kind::forward);
  const Adjacency& adjacency = tables_.adjacency(published(id).index());
  EXPECT_FALSE(adjacency.complete());
  EXPECT_EQ(adjacency.address, "192.0.2.2"_a);
  EXPECT_EQ(adjacency.interface, wan_->id);
  EXPECT_EQ(adjacency.mtu, 1500);
}

TEST_F(NextHopsTest, AResolvedNeighbourHasTheWholeHeaderInANewSlot) {
  const NextHopId id = acquire(NextHopSpec::via({"192.0.2.2"_a}));
  const NextHop before = published(id);
  next_hops_.neighbor_changed(on_wan("192.0.2.2"_a), LinkState::resolved, kMac);
  const NextHop after = published(id);
  EXPECT_NE(before, after) << "a slot that workers may read does not change";
  EXPECT_FALSE(tables_.adjacency(before.index()).complete());
  const Adjacency& adjacency = tables_.adjacency(after.index());
  EXPECT_TRUE(adjacency.complete());
  const wire::Ethernet expected{kMac, wan_->mac, Be16(wire::kEtherTypeIpv4)};
  EXPECT_EQ(std::memcmp(adjacency.l2_header.data(), &expected, sizeof expected), 0);
  EXPECT_EQ(adjacency.counter, tables_.adjacency(before.index()).counter) << "counters stay";
  EXPECT_EQ(adjacency.port, wan_->port);
}

TEST_F(NextHopsTest, ANewMacIsOneChangeAndTheSameNewsIsNone) {
  const NextHopId id = acquire(NextHopSpec::via({"192.0.2.2"_a}));
  next_hops_.neighbor_changed(on_wan("192.0.2.2"_a), LinkState::resolved, kMac);
  const NextHop first = published(id);
  next_hops_.neighbor_changed(on_wan("192.0.2.2"_a), LinkState::resolved, kMac);
  EXPECT_EQ(published(id), first);
  next_hops_.neighbor_changed(on_wan("192.0.2.2"_a), LinkState::resolved, kOtherMac);
  EXPECT_NE(published(id), first);
  EXPECT_EQ(std::memcmp(tables_.adjacency(published(id).index()).l2_header.data(), &kOtherMac, 6), 0);
  next_hops_.neighbor_changed(on_wan("192.0.2.99"_a), LinkState::resolved, kMac);  // nobody's next hop
}

TEST_F(NextHopsTest, ALinkIsSharedByTheSetsThatNameIt) {
  const NextHopId one = acquire(NextHopSpec::via({"192.0.2.2"_a}));
  const NextHopId two = acquire(NextHopSpec::via({"192.0.2.2"_a, "198.51.100.2"_a}));
  EXPECT_EQ(next_hops_.find_link(on_wan("192.0.2.2"_a))->users.size(), 2U);
  next_hops_.neighbor_changed(on_wan("192.0.2.2"_a), LinkState::resolved, kMac);
  EXPECT_TRUE(tables_.adjacency(published(one).index()).complete());
  for (std::uint32_t i = 0; i < dataplane::kBuckets; ++i) {
    const Adjacency& adjacency = tables_.adjacency(tables_.bucket(published(two).index() + i));
    EXPECT_EQ(adjacency.complete(), adjacency.address == "192.0.2.2"_a) << "bucket " << i;
  }
  next_hops_.release(one);
  EXPECT_EQ(next_hops_.find_link(on_wan("192.0.2.2"_a))->users.size(), 1U);
}

TEST_F(NextHopsTest, AGroupSpreadsItsBucketsEvenly) {
  const std::vector<Ipv4Address> members = {"192.0.2.2"_a, "192.0.2.3"_a, "198.51.100.2"_a};
  const NextHopId id = acquire(NextHopSpec::via(members));
  ASSERT_EQ(published(id).kind(), NextHop::Kind::group);
  std::map<Ipv4Address, unsigned> buckets;
  for (std::uint32_t i = 0; i < dataplane::kBuckets; ++i) {
    ++buckets[tables_.adjacency(tables_.bucket(published(id).index() + i)).address];
  }
  ASSERT_EQ(buckets.size(), members.size());
  for (const auto& [address, count] : buckets) {
    EXPECT_GE(count, dataplane::kBuckets / members.size()) << address.to_string();
    EXPECT_LE(count, dataplane::kBuckets / members.size() + 1) << address.to_string();
  }
}

TEST_F(NextHopsTest, DeadMembersGetNoTrafficWhileAnotherLives) {
  const NextHopId id = acquire(NextHopSpec::via({"192.0.2.2"_a, "192.0.2.3"_a, "198.51.100.2"_a}));
  next_hops_.neighbor_changed(on_wan("192.0.2.2"_a), LinkState::failed, {});
  EXPECT_EQ(reached(id), (std::set{"192.0.2.3"_a, "198.51.100.2"_a}));
  next_hops_.neighbor_changed(on_wan("192.0.2.3"_a), LinkState::failed, {});
  EXPECT_EQ(published(id).kind(), NextHop::Kind::forward) << "one is left";
  EXPECT_EQ(reached(id), std::set{"198.51.100.2"_a});
  next_hops_.neighbor_changed({lan_->id, "198.51.100.2"_a}, LinkState::failed, {});
  EXPECT_EQ(reached(id).size(), 3U) << "all dead: all are asked for again";
  next_hops_.neighbor_changed(on_wan("192.0.2.2"_a), LinkState::resolved, kMac);
  EXPECT_EQ(reached(id), std::set{"192.0.2.2"_a});
}

TEST_F(NextHopsTest, AnAddressOnNoConnectedSubnetIsLost) {
  const NextHopId id = acquire(NextHopSpec::via({"203.0.113.1"_a}));
  EXPECT_EQ(published(id), NextHop::drop(DropReason::next_hop_lost));
  EXPECT_TRUE(next_hops_.find(id)->members.empty());
  add("new0", "203.0.113.254/24", PortId(2));
  interfaces_.publish_addresses();
  next_hops_.interfaces_changed();
  EXPECT_EQ(reached(id), std::set{"203.0.113.1"_a});
}

TEST_F(NextHopsTest, AnInterfaceThatGoesDownTakesItsMembersAlong) {
  const NextHopId both = acquire(NextHopSpec::via({"192.0.2.2"_a, "198.51.100.2"_a}));
  const NextHopId lan_only = acquire(NextHopSpec::via({"198.51.100.2"_a}));
  set_up(*lan_, false);
  EXPECT_EQ(reached(both), std::set{"192.0.2.2"_a});
  EXPECT_EQ(published(lan_only), NextHop::drop(DropReason::next_hop_lost));
  EXPECT_EQ(next_hops_.find_link({lan_->id, "198.51.100.2"_a}), nullptr);
  set_up(*lan_, true);
  EXPECT_EQ(reached(both).size(), 2U);
  EXPECT_EQ(reached(lan_only), std::set{"198.51.100.2"_a});
}

TEST_F(NextHopsTest, AnotherMtuOrMacOfTheInterfaceReachesItsAdjacencies) {
  const NextHopId id = acquire(NextHopSpec::via({"192.0.2.2"_a}));
  next_hops_.neighbor_changed(on_wan("192.0.2.2"_a), LinkState::resolved, kMac);
  wan_->config.mtu = 9000;
  wan_->egress_features = 1;
  interfaces_.publish(*wan_);
  next_hops_.interfaces_changed();
  const Adjacency& adjacency = tables_.adjacency(published(id).index());
  EXPECT_EQ(adjacency.mtu, 9000);
  EXPECT_TRUE(adjacency.complete());
  EXPECT_NE(adjacency.flags & Adjacency::kEgressFeatures, 0);
}

TEST_F(NextHopsTest, OnlyNextHopsOfRoutesAreWanted) {
  const NextHopId host = acquire(NextHopSpec::neighbor(on_wan("192.0.2.9"_a)));
  EXPECT_TRUE(wanted_log_.empty()) << "a neighbour's own host route keeps nobody asking";
  const NextHopId one = acquire(NextHopSpec::via({"192.0.2.9"_a}));
  const NextHopId two = acquire(NextHopSpec::via({"192.0.2.9"_a, "198.51.100.2"_a}));
  const std::pair wanted(on_wan("192.0.2.9"_a), true);
  EXPECT_EQ(wanted_log_.front(), wanted);
  EXPECT_EQ(std::count(wanted_log_.begin(), wanted_log_.end(), wanted), 1) << "once, for the first of them";
  wanted_log_.clear();
  next_hops_.release(one);
  EXPECT_TRUE(wanted_log_.empty());
  next_hops_.release(two);
  EXPECT_TRUE(std::find(wanted_log_.begin(), wanted_log_.end(), std::pair(on_wan("192.0.2.9"_a), false)) !=
              wanted_log_.end());
  next_hops_.release(host);
}

TEST_F(NextHopsTest, WhatIsKnownOfANeighbourIsUsedAtOnce) {
  next_hops_.set_hooks([](NeighborKey) { return std::pair(LinkState::resolved, kMac); },
                       [](NeighborKey, bool) {});
  const NextHopId id = acquire(NextHopSpec::via({"192.0.2.2"_a}));
  EXPECT_TRUE(tables_.adjacency(published(id).index()).complete());
}

TEST_F(NextHopsTest, AFullTableIsAnErrorAndChangesNothing) {
  while (writer_.allocate_next_hop()) {
  }
  const auto id = next_hops_.acquire(NextHopSpec::via({"192.0.2.2"_a}));
  ASSERT_FALSE(id);
  EXPECT_EQ(id.error(), "the next-hop table is full");
  EXPECT_EQ(next_hops_.size(), 0U);
  EXPECT_EQ(writer_.adjacencies_used(), 0U);
  EXPECT_TRUE(wanted_log_.empty());
}

TEST_F(NextHopsTest, WithoutRoomToSpreadOnePathIsBetterThanNone) {
  while (writer_.allocate_group()) {
  }
  const NextHopId id = acquire(NextHopSpec::via({"192.0.2.2"_a, "192.0.2.3"_a}));
  EXPECT_EQ(published(id).kind(), NextHop::Kind::forward);
  EXPECT_EQ(reached(id), std::set{"192.0.2.2"_a});
}

}  // namespace
}  // namespace millrace::controlplane
