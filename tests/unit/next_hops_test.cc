#include "controlplane/next_hops.h"

#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <set>
#include <vector>

#include "controlplane/rib.h"
#include "tests/unit/next_hops_fixture.h"

namespace millrace::controlplane {
namespace {

using dataplane::Adjacency;
using dataplane::DropReason;
using dataplane::NextHop;
using LinkState = NextHops::LinkState;

const MacAddress kMac{{2, 0, 0, 0, 0, 0xaa}};
const MacAddress kOtherMac{{2, 0, 0, 0, 0, 0xbb}};

using NextHopsTest = NextHopsFixture;

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
  EXPECT_EQ(writer_.buckets_used(), 0U);
  EXPECT_EQ(next_hops_.size(), 0U);
}

// Rule 42.
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
  EXPECT_EQ(adjacency.egress.interface, wan_->id);
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
  EXPECT_EQ(adjacency.macs, (std::array{kMac, wan_->mac}));
  EXPECT_EQ(adjacency.counter, tables_.adjacency(before.index()).counter) << "counters stay";
  EXPECT_EQ(adjacency.egress.port, wan_->port);
}

TEST_F(NextHopsTest, ANewMacIsOneChangeAndTheSameNewsIsNone) {
  const NextHopId id = acquire(NextHopSpec::via({"192.0.2.2"_a}));
  next_hops_.neighbor_changed(on_wan("192.0.2.2"_a), LinkState::resolved, kMac);
  const NextHop first = published(id);
  next_hops_.neighbor_changed(on_wan("192.0.2.2"_a), LinkState::resolved, kMac);
  EXPECT_EQ(published(id), first);
  next_hops_.neighbor_changed(on_wan("192.0.2.2"_a), LinkState::resolved, kOtherMac);
  EXPECT_NE(published(id), first);
  EXPECT_EQ(tables_.adjacency(published(id).index()).macs[0], kOtherMac);
  next_hops_.neighbor_changed(on_wan("192.0.2.99"_a), LinkState::resolved, kMac);  // nobody's next hop
}

TEST_F(NextHopsTest, ALinkIsSharedByTheSetsThatNameIt) {
  const NextHopId one = acquire(NextHopSpec::via({"192.0.2.2"_a}));
  const NextHopId two = acquire(NextHopSpec::via({"192.0.2.2"_a, "198.51.100.2"_a}));
  EXPECT_EQ(next_hops_.find_link(on_wan("192.0.2.2"_a))->users.size(), 2U);
  next_hops_.neighbor_changed(on_wan("192.0.2.2"_a), LinkState::resolved, kMac);
  EXPECT_TRUE(tables_.adjacency(published(one).index()).complete());
  for (const Adjacency& adjacency : adjacencies(published(two))) {
    EXPECT_EQ(adjacency.complete(), adjacency.address == "192.0.2.2"_a);
  }
  next_hops_.release(one);
  EXPECT_EQ(next_hops_.find_link(on_wan("192.0.2.2"_a))->users.size(), 1U);
}

TEST_F(NextHopsTest, AReferenceMoreIsOneReleaseMore) {
  const NextHopId id = acquire(NextHopSpec::via({"192.0.2.2"_a}));
  next_hops_.add_reference(id);
  next_hops_.release(id);
  ASSERT_NE(next_hops_.find(id), nullptr);
  next_hops_.release(id);
  EXPECT_EQ(next_hops_.find(id), nullptr);
}

TEST_F(NextHopsTest, SetsThatDifferInAWeightAreTwo) {
  const auto with = [](std::uint8_t weight) {
    return NextHopSpec::via({{"192.0.2.2"_a, weight}, "192.0.2.3"_a});
  };
  const NextHopId one = acquire(with(1));
  const NextHopId three = acquire(with(3));
  EXPECT_NE(one, three);
  EXPECT_EQ(acquire(with(3)), three);
  EXPECT_EQ(next_hops_.size(), 2U);
}

TEST_F(NextHopsTest, AGroupSpreadsItsBucketsByWeight) {
  const NextHopId even = acquire(NextHopSpec::via({"192.0.2.2"_a, "192.0.2.3"_a}));
  EXPECT_EQ(buckets(even), (std::map<IpAddress, unsigned>{{"192.0.2.2"_a, 128}, {"192.0.2.3"_a, 128}}));
  const NextHopId uneven = acquire(NextHopSpec::via({{"192.0.2.2"_a, 3}, "198.51.100.2"_a}));
  EXPECT_EQ(buckets(uneven), (std::map<IpAddress, unsigned>{{"192.0.2.2"_a, 192}, {"198.51.100.2"_a, 64}}));
}

TEST_F(NextHopsTest, AGroupOfOverAHundredMembersUsesEachOfThem) {
  std::vector<config::NextHop> hops;
  for (unsigned i = 0; i < config::kMaxNextHops; ++i) hops.emplace_back(Ipv4Address(192, 0, 2, 2 + i));
  const NextHopId id = acquire(NextHopSpec::via(hops));
  EXPECT_EQ(published(id).buckets(), dataplane::kMaxBuckets);
  EXPECT_EQ(reached(id).size(), hops.size());
}

// A worker that loaded the word before the change finds the old members behind it, all of them.
// Rule 42.
TEST_F(NextHopsTest, AChangeOfAGroupIsOneStoreAndTheOldBucketsStay) {
  const NextHopId id = acquire(NextHopSpec::via({"192.0.2.2"_a, "192.0.2.3"_a, "198.51.100.2"_a}));
  const NextHop before = published(id);
  const auto buckets_before = adjacencies(before);
  next_hops_.neighbor_changed(on_wan("192.0.2.2"_a), LinkState::failed, {});
  const NextHop after = published(id);
  EXPECT_NE(after.index(), before.index()) << "the word names another run";
  EXPECT_EQ(adjacencies(before), buckets_before);
  EXPECT_EQ(adjacencies(after).size(), buckets_before.size());
  EXPECT_EQ(writer_.buckets_used(), 2 * before.buckets()) << "until a grace period has passed";
  pass_grace_period();
  EXPECT_EQ(writer_.buckets_used(), after.buckets());
}

TEST_F(NextHopsTest, AGroupOfOneIsNoGroupUntilTheOtherIsBack) {
  const NextHopId id = acquire(NextHopSpec::via({"192.0.2.2"_a, "192.0.2.3"_a}));
  const auto before = adjacencies(published(id));
  next_hops_.neighbor_changed(on_wan("192.0.2.2"_a), LinkState::failed, {});
  EXPECT_EQ(published(id).kind(), NextHop::Kind::forward);
  pass_grace_period();
  EXPECT_EQ(writer_.buckets_used(), 0U);
  next_hops_.neighbor_changed(on_wan("192.0.2.2"_a), LinkState::unresolved, {});
  EXPECT_EQ(adjacencies(published(id)), before);
}

TEST_F(NextHopsTest, EachSetWithTheLostMemberIsPublishedOnce) {
  acquire(NextHopSpec::via({"192.0.2.2"_a}));
  acquire(NextHopSpec::via({"192.0.2.2"_a, "198.51.100.2"_a}));
  acquire(NextHopSpec::via({"192.0.2.2"_a, "192.0.2.3"_a, "198.51.100.2"_a}));
  const NextHopId other = acquire(NextHopSpec::via({"192.0.2.3"_a, "198.51.100.2"_a}));
  const NextHop other_before = published(other);
  const std::uint64_t before = next_hops_.groups_published();
  next_hops_.neighbor_changed(on_wan("192.0.2.2"_a), LinkState::failed, {});
  EXPECT_EQ(next_hops_.groups_published(), before + 2) << "the group of one has only this member: it stays";
  next_hops_.neighbor_changed(on_wan("192.0.2.2"_a), LinkState::failed, {});
  EXPECT_EQ(next_hops_.groups_published(), before + 2) << "the same news";
  EXPECT_EQ(published(other), other_before);
}

TEST_F(NextHopsTest, AChangeOfSeveralMembersOfASetIsOneStore) {
  const NextHopId id = acquire(NextHopSpec::via({"192.0.2.2"_a, "192.0.2.3"_a, "198.51.100.2"_a}));
  const std::uint64_t before = next_hops_.groups_published();
  wan_->config.mtu = 9000;
  next_hops_.interfaces_changed();
  EXPECT_EQ(next_hops_.groups_published(), before + 1) << "both adjacencies on wan0";
  next_hops_.interfaces_changed();
  EXPECT_EQ(next_hops_.groups_published(), before + 1) << "nothing is new";
  for (const Adjacency& adjacency : adjacencies(published(id))) {
    EXPECT_EQ(adjacency.mtu, adjacency.egress.interface == wan_->id ? 9000 : 1500);
  }
}

// Rule 14.
TEST_F(NextHopsTest, ALostInterfaceIsLeftBeforeAnythingElse) {
  const NextHopId id = acquire(NextHopSpec::via({"192.0.2.2"_a, "192.0.2.3"_a, "198.51.100.2"_a}));
  const std::uint64_t before = next_hops_.groups_published();
  wan_->up = false;
  next_hops_.interfaces_lost();
  EXPECT_EQ(reached(id), std::set<IpAddress>{"198.51.100.2"_a});
  set_up(*wan_, false);
  EXPECT_EQ(next_hops_.groups_published(), before + 1) << "one store, though two members were on it";
  EXPECT_EQ(reached(id), std::set<IpAddress>{"198.51.100.2"_a});
}

// Rule 14.
TEST_F(NextHopsTest, DeadMembersGetNoTrafficWhileAnotherLives) {
  const NextHopId id = acquire(NextHopSpec::via({"192.0.2.2"_a, "192.0.2.3"_a, "198.51.100.2"_a}));
  next_hops_.neighbor_changed(on_wan("192.0.2.2"_a), LinkState::failed, {});
  EXPECT_EQ(reached(id), (std::set<IpAddress>{"192.0.2.3"_a, "198.51.100.2"_a}));
  next_hops_.neighbor_changed(on_wan("192.0.2.3"_a), LinkState::failed, {});
  EXPECT_EQ(published(id).kind(), NextHop::Kind::forward) << "one is left";
  EXPECT_EQ(reached(id), std::set<IpAddress>{"198.51.100.2"_a});
  next_hops_.neighbor_changed({lan_->id, "198.51.100.2"_a}, LinkState::failed, {});
  EXPECT_EQ(reached(id).size(), 3U) << "all dead: all are asked for again";
  next_hops_.neighbor_changed(on_wan("192.0.2.2"_a), LinkState::resolved, kMac);
  EXPECT_EQ(reached(id), std::set<IpAddress>{"192.0.2.2"_a});
}

// Rule 14.
TEST_F(NextHopsTest, AMemberThatHasNotAnsweredYetGetsNoTrafficWhileAnotherHas) {
  const NextHopId id = acquire(NextHopSpec::via({"192.0.2.2"_a, "198.51.100.2"_a}));
  EXPECT_EQ(reached(id).size(), 2U) << "nobody has: both are asked for";
  next_hops_.neighbor_changed(on_wan("192.0.2.2"_a), LinkState::resolved, kMac);
  EXPECT_EQ(reached(id), std::set<IpAddress>{"192.0.2.2"_a});
  next_hops_.neighbor_changed({lan_->id, "198.51.100.2"_a}, LinkState::resolved, kOtherMac);
  EXPECT_EQ(reached(id).size(), 2U);
  set_up(*lan_, false);
  set_up(*lan_, true);
  EXPECT_EQ(reached(id), std::set<IpAddress>{"192.0.2.2"_a}) << "its link is back, but not its MAC";
  next_hops_.neighbor_changed({lan_->id, "198.51.100.2"_a}, LinkState::resolved, kOtherMac);
  EXPECT_EQ(reached(id).size(), 2U);
  next_hops_.neighbor_changed(on_wan("192.0.2.2"_a), LinkState::failed, {});
  next_hops_.neighbor_changed({lan_->id, "198.51.100.2"_a}, LinkState::unresolved, {});
  EXPECT_EQ(reached(id), std::set<IpAddress>{"198.51.100.2"_a}) << "it may answer; the other has not";
}

TEST_F(NextHopsTest, AnAddressOnNoConnectedSubnetIsLost) {
  const NextHopId id = acquire(NextHopSpec::via({"203.0.113.1"_a}));
  EXPECT_EQ(published(id), NextHop::drop(DropReason::next_hop_lost));
  EXPECT_EQ(next_hops_.find(id)->members.front(), nullptr);
  add("new0", "203.0.113.254/24", PortId(2));
  interfaces_.publish_addresses();
  next_hops_.interfaces_changed();
  EXPECT_EQ(reached(id), std::set<IpAddress>{"203.0.113.1"_a});
}

// Rule 14.
TEST_F(NextHopsTest, AnInterfaceThatGoesDownTakesItsMembersAlong) {
  const NextHopId both = acquire(NextHopSpec::via({"192.0.2.2"_a, "198.51.100.2"_a}));
  const NextHopId lan_only = acquire(NextHopSpec::via({"198.51.100.2"_a}));
  set_up(*lan_, false);
  EXPECT_EQ(reached(both), std::set<IpAddress>{"192.0.2.2"_a});
  EXPECT_EQ(published(lan_only), NextHop::drop(DropReason::next_hop_lost));
  EXPECT_EQ(next_hops_.find_link({lan_->id, "198.51.100.2"_a}), nullptr);
  set_up(*lan_, true);
  EXPECT_EQ(reached(both).size(), 2U);
  EXPECT_EQ(reached(lan_only), std::set<IpAddress>{"198.51.100.2"_a});
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
  take_all_buckets();
  const NextHopId id = acquire(NextHopSpec::via({"192.0.2.2"_a, "192.0.2.3"_a}));
  EXPECT_EQ(published(id).kind(), NextHop::Kind::forward);
  EXPECT_EQ(reached(id), std::set<IpAddress>{"192.0.2.2"_a});
}

TEST_F(NextHopsTest, WithoutRoomForNewBucketsTheOldOnesChange) {
  const NextHopId id = acquire(NextHopSpec::via({"192.0.2.2"_a, "192.0.2.3"_a, "198.51.100.2"_a}));
  take_all_buckets();
  const NextHop before = published(id);
  next_hops_.neighbor_changed(on_wan("192.0.2.2"_a), LinkState::failed, {});
  EXPECT_EQ(published(id), before);
  EXPECT_EQ(reached(id), (std::set<IpAddress>{"192.0.2.3"_a, "198.51.100.2"_a}));
}

// Rule 14.
TEST_F(NextHopsTest, AFullAdjacencyTableKeepsNoTrafficOnADeadMember) {
  const NextHopId id = acquire(NextHopSpec::via({"192.0.2.2"_a, "192.0.2.3"_a}));
  next_hops_.neighbor_changed(on_wan("192.0.2.2"_a), LinkState::resolved, kMac);
  while (writer_.add_adjacency({})) {
  }
  next_hops_.neighbor_changed(on_wan("192.0.2.2"_a), LinkState::failed, {});
  EXPECT_EQ(reached(id), std::set<IpAddress>{"192.0.2.3"_a});
}

// --- next hops that name their interface

class NextHopsOnInterfaceTest : public NextHopsTest {
 protected:
  static config::NextHop on(const char* address, const char* interface, std::uint8_t weight = 1) {
    return {*IpAddress::parse(address), interface, weight};
  }
  std::map<InterfaceId, unsigned> links(NextHopId id) const {
    std::map<InterfaceId, unsigned> count;
    for (const Adjacency& adjacency : adjacencies(published(id))) ++count[adjacency.egress.interface];
    return count;
  }
};

TEST_F(NextHopsOnInterfaceTest, ALinkLocalAddressIsAnotherNeighbourOnEachLink) {
  const NextHopId wan = acquire(NextHopSpec::via({on("fe80::1", "wan0")}));
  const NextHopId lan = acquire(NextHopSpec::via({on("fe80::1", "lan0")}));
  EXPECT_NE(wan, lan);
  EXPECT_EQ(links(wan), (std::map<InterfaceId, unsigned>{{wan_->id, 1}}));
  EXPECT_EQ(links(lan), (std::map<InterfaceId, unsigned>{{lan_->id, 1}}));
  const NextHopId both = acquire(NextHopSpec::via({on("fe80::1", "lan0"), on("fe80::1", "wan0", 3)}));
  EXPECT_EQ(links(both), (std::map<InterfaceId, unsigned>{{wan_->id, 192}, {lan_->id, 64}}));
  EXPECT_EQ(acquire(NextHopSpec::via({on("fe80::1", "wan0")})), wan) << "one spec, one set";
  next_hops_.neighbor_changed({wan_->id, *IpAddress::parse("fe80::1")}, LinkState::failed, {});
  EXPECT_EQ(links(both), (std::map<InterfaceId, unsigned>{{lan_->id, 1}}));
}

TEST_F(NextHopsOnInterfaceTest, FlowsAreSpreadOverTheLinksOfOneAddress) {
  const NextHopId both = acquire(NextHopSpec::via({on("fe80::1", "lan0"), on("fe80::1", "wan0")}));
  std::map<InterfaceId, unsigned> first_half;
  const auto all = adjacencies(published(both));
  ASSERT_EQ(all.size(), 256U);
  for (std::size_t i = 0; i < all.size() / 2; ++i) ++first_half[all[i].egress.interface];
  EXPECT_EQ(first_half.size(), 2U) << "they are not alike to the hash";
}

TEST_F(NextHopsOnInterfaceTest, TheInterfaceHasToReachTheAddress) {
  const struct {
    config::NextHop hop;
    bool resolves;
  } table[] = {{on("192.0.2.2", "wan0"), true},    {on("192.0.2.2", "lan0"), false},
               {on("fe80::1", "gone0"), false},    {on("192.0.2.255", "wan0"), false},
               {on("2001:db8::1", "wan0"), false}, {on("ff02::1", "wan0"), false}};
  for (const auto& c : table) {
    const NextHopId id = acquire(NextHopSpec::via({c.hop}));
    EXPECT_EQ(published(id).kind() == NextHop::Kind::forward, c.resolves) << c.hop.to_string();
  }
}

TEST_F(NextHopsOnInterfaceTest, FollowsTheInterfaceOfThatName) {
  const NextHopId id = acquire(NextHopSpec::via({on("fe80::1", "new0")}));
  EXPECT_EQ(published(id), NextHop::drop(DropReason::next_hop_lost));
  Interface& fresh = add("new0", "2001:db8:5::1/64", PortId(2));
  interfaces_.publish_addresses();
  next_hops_.interfaces_changed();
  EXPECT_EQ(links(id), (std::map<InterfaceId, unsigned>{{fresh.id, 1}}));
  fresh.config.mtu = 1279;  // RFC 8200 5: no IPv6 any more
  next_hops_.interfaces_changed();
  EXPECT_EQ(published(id), NextHop::drop(DropReason::next_hop_lost));
  fresh.config.mtu = 1280;
  set_up(fresh, true);
  EXPECT_EQ(published(id).kind(), NextHop::Kind::forward);
  set_up(fresh, false);
  EXPECT_EQ(published(id), NextHop::drop(DropReason::next_hop_lost));
}

// With and without the interface's name it is one neighbour, and one link.
TEST_F(NextHopsOnInterfaceTest, OneNeighbourMayBeNamedTwice) {
  const NextHopId id = acquire(NextHopSpec::via({"192.0.2.2"_a, on("192.0.2.2", "wan0"), "198.51.100.2"_a}));
  EXPECT_EQ(links(id).size(), 2U);
  EXPECT_EQ(next_hops_.find_link(on_wan("192.0.2.2"_a))->routed, 1U);
  wan_->config.addresses.ipv4 = {*Ipv4InterfaceAddress::parse("203.0.113.1/24")};
  interfaces_.publish_addresses();
  next_hops_.interfaces_changed();
  EXPECT_EQ(next_hops_.find_link(on_wan("192.0.2.2"_a)), nullptr);
  wan_->config.addresses.ipv4 = {*Ipv4InterfaceAddress::parse("192.0.2.1/24")};
  interfaces_.publish_addresses();
  next_hops_.interfaces_changed();
  EXPECT_EQ(next_hops_.find_link(on_wan("192.0.2.2"_a))->routed, 1U);
  next_hops_.release(id);
  EXPECT_EQ(next_hops_.find_link(on_wan("192.0.2.2"_a)), nullptr);
  pass_grace_period();
  EXPECT_EQ(writer_.adjacencies_used(), 0U);
}

// The acceptance of next-hop groups: what is repaired is the group, whatever is behind it.
// Rule 14.
TEST_F(NextHopsTest, OneOfTwoNextHopsBehindAHundredThousandPrefixesIsLostByOneStore) {
  Rib rib(writer_, next_hops_, FibId(0));
  const Rib::Spec spec{NextHopSpec::via({"192.0.2.2"_a, "198.51.100.2"_a}), RouteSource::api, 1, 0, 0, 0};
  constexpr unsigned kPrefixes = 100'000;
  const auto prefix = [](unsigned i) { return Ipv4Prefix(Ipv4Address(0x14000000 + (i << 8)), 24); };
  for (unsigned i = 0; i < kPrefixes; ++i) ASSERT_TRUE(rib.add(prefix(i), spec));
  const NextHopId id = rib.find(prefix(0), RouteSource::api)->next_hop;
  EXPECT_EQ(next_hops_.find(id)->references, kPrefixes);
  EXPECT_EQ(reached(id).size(), 2U);

  const std::uint64_t before = next_hops_.groups_published();
  next_hops_.neighbor_changed({lan_->id, "198.51.100.2"_a}, LinkState::failed, {});
  EXPECT_EQ(next_hops_.groups_published(), before + 1);
  EXPECT_EQ(reached(id), std::set<IpAddress>{"192.0.2.2"_a});
  unsigned same = 0;
  for (unsigned i = 0; i < kPrefixes; ++i) {
    same +=
        tables_.fib<Ipv4Address>(FibId(0)).lookup(Ipv4Address(prefix(i).address().value() + 1)) == id ? 1 : 0;
  }
  EXPECT_EQ(same, kPrefixes) << "no prefix names another next hop";
  EXPECT_EQ(next_hops_.size(), 1U) << "and there is none that it could";
}

TEST_F(NextHopsTest, ASetOfItsOwnIsSharedWithNobodyAndChangesInPlace) {
  const auto spec = NextHopSpec::via({"192.0.2.2"_a});
  const NextHopId shared = acquire(spec);
  const auto own = next_hops_.make_own(spec);
  ASSERT_TRUE(own);
  EXPECT_NE(*own, shared);
  EXPECT_EQ(acquire(spec), shared);
  next_hops_.change_own(*own, NextHopSpec::via({"192.0.2.3"_a, "198.51.100.2"_a}));
  EXPECT_EQ(reached(*own), (std::set<IpAddress>{"192.0.2.3"_a, "198.51.100.2"_a}));
  EXPECT_EQ(reached(shared), std::set<IpAddress>{"192.0.2.2"_a});
  NextHopSpec nowhere = NextHopSpec::via({});
  nowhere.reason = DropReason::route_blackhole;
  next_hops_.change_own(*own, nowhere);
  EXPECT_EQ(published(*own), NextHop::drop(DropReason::route_blackhole));
  EXPECT_EQ(next_hops_.find_link(on_wan("192.0.2.3"_a)), nullptr) << "nobody needs the link any more";
  next_hops_.change_own(*own, NextHopSpec::via({"192.0.2.2"_a}));
  EXPECT_EQ(reached(*own), std::set<IpAddress>{"192.0.2.2"_a});
  EXPECT_EQ(next_hops_.size(), 2U);
  next_hops_.release(*own);
  next_hops_.release(shared);
  next_hops_.release(shared);
  EXPECT_EQ(next_hops_.size(), 0U);
}

// A group of finer weights has more buckets: where there is no room for them it takes none of its
// neighbours'.
TEST_F(NextHopsTest, ASetOfItsOwnThatGrowsTakesNoBucketsOfOthers) {
  const auto own = next_hops_.make_own(NextHopSpec::via({"192.0.2.2"_a, "198.51.100.2"_a}));
  ASSERT_TRUE(own);
  const NextHopId other = acquire(NextHopSpec::via({"192.0.2.8"_a, "192.0.2.9"_a, "198.51.100.9"_a}));
  const auto before = buckets(other);
  take_all_buckets();
  ASSERT_EQ(published(*own).buckets(), dataplane::kMinBuckets);
  next_hops_.change_own(*own, NextHopSpec::via({{"192.0.2.2"_a, 100}, "198.51.100.2"_a}));
  EXPECT_EQ(published(*own).kind(), NextHop::Kind::forward) << "one way is better than none";
  EXPECT_EQ(buckets(other), before);
  pass_grace_period();
  next_hops_.change_own(*own, NextHopSpec::via({"192.0.2.2"_a, "192.0.2.3"_a}));
  EXPECT_EQ(reached(*own).size(), 2U) << "the run that it gave back is taken again";
}

}  // namespace
}  // namespace millrace::controlplane
