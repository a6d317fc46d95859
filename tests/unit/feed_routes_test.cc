// What a feed's messages do to the RIB and the FIB.
#include "controlplane/feed_routes.h"

#include <gtest/gtest.h>

#include "tests/unit/feed_fixture.h"

namespace millrace::controlplane {
namespace {

using Set = std::set<std::string>;

class FeedRoutesTest : public FeedFixture {
 protected:
  // One frame's messages, as one, and then all that waits.
  void say(std::initializer_list<ByteString> messages) {
    std::vector<NetlinkMessage> parsed;
    const auto result = parse_netlink(joined(messages), parsed);
    ASSERT_TRUE(result) << result.error();
    routes_.apply(parsed);
    finish();
  }
  void finish() {
    while (routes_.work(64)) {
    }
  }
  void reconnect() { routes_.begin_connection(); }
  void sweep() {
    routes_.begin_sweep();
    finish();
  }

  FeedRoutes routes_{tables(), RouteSource::fpm};
};

TEST_F(FeedRoutesTest, RoutesComeChangeAndGo) {
  say({new_route({"10.0.0.0/8"}, via("192.0.2.2"))});
  EXPECT_EQ(route("10.0.0.0/8"), "192.0.2.2");
  EXPECT_EQ(reached("10.1.1.1"_a), Set{"192.0.2.2"});
  say({new_route({"10.0.0.0/8"}, via("198.51.100.2"))});
  EXPECT_EQ(reached("10.1.1.1"_a), Set{"198.51.100.2"});
  EXPECT_EQ(routes_.routes(), 1U);
  say({del_route({"10.0.0.0/8"})});
  EXPECT_EQ(route("10.0.0.0/8"), "");
  EXPECT_EQ(routes_.routes(), 0U);
  EXPECT_EQ(changed_, (std::vector<std::string>{"10.0.0.0/8", "10.0.0.0/8"}));
  EXPECT_EQ(next_hops_.size(), 0U);
  say({del_route({"10.0.0.0/8"})});
}

TEST_F(FeedRoutesTest, DistanceAndOwnerAreOfTheProtocol) {
  say({new_route({"10.0.0.0/8", kBgp}, via("192.0.2.2")), new_route({"11.0.0.0/8", 188}, via("192.0.2.2")),
       new_route({"12.0.0.0/8", kZebraStatic}, via("192.0.2.2")),
       new_route({"13.0.0.0/8", 77}, via("192.0.2.2"))});
  const std::tuple<const char*, unsigned, const char*> table[] = {{"10.0.0.0/8", 20, "bgp"},
                                                                  {"11.0.0.0/8", 110, "ospf"},
                                                                  {"12.0.0.0/8", 1, "static"},
                                                                  {"13.0.0.0/8", 150, "unknown"}};
  for (const auto& [prefix, distance, owner] : table) {
    const Route* found = rib_.find(*Ipv4Prefix::parse(prefix), RouteSource::fpm);
    ASSERT_NE(found, nullptr) << prefix;
    EXPECT_EQ(found->distance, distance) << prefix;
    EXPECT_EQ(found->metric, 20U) << prefix;
    EXPECT_EQ(owners_.name(found->owner), owner) << prefix;
  }
}

TEST_F(FeedRoutesTest, RoutesThatDropAreOfTheirKind) {
  say({new_route({"10.0.0.0/8", kBgp, kBlackhole}), new_route({"11.0.0.0/8", kBgp, kUnreachable}),
       new_route({"2001:db8::/32", kBgp, kProhibit}), blackhole_next_hop(4),
       new_route({"12.0.0.0/8"}, by_id(4))});
  EXPECT_EQ(route("10.0.0.0/8"), "drop route_blackhole");
  EXPECT_EQ(route("11.0.0.0/8"), "drop route_unreachable");
  EXPECT_EQ(route("2001:db8::/32"), "drop route_prohibit");
  EXPECT_EQ(route("12.0.0.0/8"), "drop route_blackhole");
  EXPECT_EQ(reached("12.0.0.1"_a), Set{"dropped"});
}

// Rule 42: a replacement leaves no moment without a route.
TEST_F(FeedRoutesTest, ARemovalAndAnAdditionInOneFrameAreAReplacement) {
  say({new_route({"10.0.0.0/8"}, via("192.0.2.2"))});
  changed_.clear();
  say({del_route({"10.0.0.0/8"}), new_route({"10.0.0.0/8"}, via("192.0.2.3"))});
  EXPECT_EQ(reached("10.1.1.1"_a), Set{"192.0.2.3"});
  EXPECT_EQ(changed_, std::vector<std::string>{}) << "it never was absent";
  // A frame of many messages: only what stands before the last addition is replaced.
  say({del_route({"11.0.0.0/8"}), new_route({"11.0.0.0/8"}, via("192.0.2.2")), del_route({"10.0.0.0/8"}),
       del_route({"11.0.0.0/8"})});
  EXPECT_EQ(routes_.routes(), 0U);
  // Another table's route is another route.
  say({new_route({"10.0.0.0/8"}, via("192.0.2.2"))});
  say({del_route({"10.0.0.0/8"}), new_route({"10.0.0.0/8", kBgp, kUnicast, 100}, via("192.0.2.3"))});
  EXPECT_EQ(route("10.0.0.0/8"), "");
}

TEST_F(FeedRoutesTest, SeveralHopsShareByTheirWeights) {
  say({new_route({"10.0.0.0/8"},
                 multipath({path("198.51.100.2", 3), path("192.0.2.2"), path("192.0.2.2", 2)}))});
  EXPECT_EQ(route("10.0.0.0/8"), "192.0.2.2 weight 3 198.51.100.2 weight 3") << "each way once, in order";
  say({new_route({"11.0.0.0/8"},
                 multipath({path("192.0.2.2", 256), path("192.0.2.3", 128), path("192.0.2.4", 1)}))});
  EXPECT_EQ(route("11.0.0.0/8"), "192.0.2.2 weight 255 192.0.2.3 weight 127 192.0.2.4");
  EXPECT_EQ(reached("10.1.1.1"_a), (Set{"192.0.2.2", "198.51.100.2"}));
}

TEST_F(FeedRoutesTest, ANextHopObjectServesAllOfItsRoutes) {
  say({next_hop(1, "192.0.2.2"), next_hop(2, "198.51.100.2"), group(3, {{1}, {2}})});
  say({new_route({"10.0.0.0/8"}, by_id(3)), new_route({"11.0.0.0/8"}, by_id(3)),
       new_route({"12.0.0.0/8"}, by_id(1))});
  EXPECT_EQ(reached("10.1.1.1"_a), (Set{"192.0.2.2", "198.51.100.2"}));
  const NextHopId id = rib_.find("10.0.0.0/8"_p, RouteSource::fpm)->next_hop;
  // The group and a member change: no route is said again.
  say({group(3, {{2}})});
  EXPECT_EQ(reached("10.1.1.1"_a), Set{"198.51.100.2"});
  EXPECT_EQ(reached("11.1.1.1"_a), Set{"198.51.100.2"});
  EXPECT_EQ(reached("12.1.1.1"_a), Set{"192.0.2.2"});
  const std::uint64_t stores = next_hops_.groups_published();
  say({next_hop(2, "198.51.100.9")});
  EXPECT_EQ(reached("10.1.1.1"_a), Set{"198.51.100.9"});
  EXPECT_EQ(next_hops_.groups_published(), stores + 2) << "one store for the object, one for the group";
  EXPECT_EQ(rib_.find("10.0.0.0/8"_p, RouteSource::fpm)->next_hop, id) << "and no prefix is touched";
  say({blackhole_next_hop(2)});
  EXPECT_EQ(route("10.0.0.0/8"), "drop route_blackhole");
  say({next_hop(2, "198.51.100.2"), group(3, {{1, 2}, {2, 1}})});
  EXPECT_EQ(route("10.0.0.0/8"), "192.0.2.2 weight 2 198.51.100.2");
}

TEST_F(FeedRoutesTest, MembersMayComeBehindTheirGroupAndRoutesBeforeBoth) {
  say({new_route({"10.0.0.0/8"}, by_id(3)), new_route({"11.0.0.0/8"}, by_id(3))});
  say({group(3, {{1}, {2}})});
  say({next_hop(1, "192.0.2.2")});
  EXPECT_EQ(routes_.parked(), 2U) << "half a group is none";
  EXPECT_EQ(route("10.0.0.0/8"), "");
  say({next_hop(2, "198.51.100.2")});
  EXPECT_EQ(routes_.parked(), 0U);
  EXPECT_EQ(reached("10.1.1.1"_a), (Set{"192.0.2.2", "198.51.100.2"}));
  EXPECT_EQ(reached("11.1.1.1"_a), (Set{"192.0.2.2", "198.51.100.2"}));
}

TEST_F(FeedRoutesTest, WhatAPrefixHadStaysWhileItsReplacementIsParked) {
  say({new_route({"10.0.0.0/8"}, via("192.0.2.2"))});
  say({del_route({"10.0.0.0/8"}), new_route({"10.0.0.0/8"}, by_id(7))});
  EXPECT_EQ(route("10.0.0.0/8"), "192.0.2.2");
  say({next_hop(7, "192.0.2.7")});
  EXPECT_EQ(route("10.0.0.0/8"), "192.0.2.7");
}

TEST_F(FeedRoutesTest, AParkedRouteIsForgottenWhenItIsRemovedOrReplaced) {
  say({new_route({"10.0.0.0/8"}, by_id(7)), new_route({"11.0.0.0/8"}, by_id(7)),
       new_route({"12.0.0.0/8"}, by_id(7))});
  EXPECT_EQ(routes_.parked(), 3U);
  say({del_route({"10.0.0.0/8"})});
  say({new_route({"11.0.0.0/8"}, via("192.0.2.2"))});
  say({new_route({"12.0.0.0/8"}, by_id(8))});
  EXPECT_EQ(routes_.parked(), 1U);
  say({next_hop(7, "192.0.2.7")});
  EXPECT_EQ(route("10.0.0.0/8"), "");
  EXPECT_EQ(route("11.0.0.0/8"), "192.0.2.2");
  EXPECT_EQ(route("12.0.0.0/8"), "");
  say({next_hop(8, "192.0.2.8")});
  EXPECT_EQ(route("12.0.0.0/8"), "192.0.2.8");
}

// zebra says DELNEXTHOP when it has no user any more; what still names the object keeps what it was.
TEST_F(FeedRoutesTest, ADeletedObjectLosesItsNameAlone) {
  say({next_hop(1, "192.0.2.2"), new_route({"10.0.0.0/8"}, by_id(1)), del_next_hop(1)});
  EXPECT_EQ(reached("10.1.1.1"_a), Set{"192.0.2.2"});
  say({new_route({"11.0.0.0/8"}, by_id(1))});
  EXPECT_EQ(routes_.parked(), 1U);
  say({next_hop(1, "192.0.2.9")});
  EXPECT_EQ(reached("11.1.1.1"_a), Set{"192.0.2.9"});
  EXPECT_EQ(reached("10.1.1.1"_a), Set{"192.0.2.2"}) << "an id that comes again is another object";
  say({del_route({"10.0.0.0/8"}), del_route({"11.0.0.0/8"}), del_next_hop(1)});
  EXPECT_EQ(next_hops_.size(), 0U);
}

TEST_F(FeedRoutesTest, AGroupLosesAMemberThatIsDeleted) {
  say({next_hop(1, "192.0.2.2"), next_hop(2, "198.51.100.2"), group(3, {{1}, {2}}),
       new_route({"10.0.0.0/8"}, by_id(3))});
  say({del_next_hop(1)});
  EXPECT_EQ(reached("10.1.1.1"_a), Set{"198.51.100.2"});
  say({next_hop(1, "192.0.2.2")});
  EXPECT_EQ(reached("10.1.1.1"_a), Set{"198.51.100.2"}) << "it is a member when the group says so";
}

// A group that is said again with a member that has not come yet stays what it was.
TEST_F(FeedRoutesTest, AGroupInUseWaitsForItsNewMember) {
  say({next_hop(1, "192.0.2.2"), group(3, {{1}}), new_route({"10.0.0.0/8"}, by_id(3)), group(3, {{1}, {2}})});
  EXPECT_EQ(reached("10.1.1.1"_a), Set{"192.0.2.2"});
  say({next_hop(2, "192.0.2.3")});
  EXPECT_EQ(reached("10.1.1.1"_a), (Set{"192.0.2.2", "192.0.2.3"}));
}

TEST_F(FeedRoutesTest, ConnectedRoutesAndOtherTablesAreIgnored) {
  say({link_next_hop(5), new_route({"192.0.2.0/24", kKernel}, by_id(5)),
       new_route({"10.0.0.0/8", kBgp, kUnicast, 100}, via("192.0.2.2")),
       new_route({"fe80::/64", kKernel}, by_id(5)), new_route({"ff00::/8", kBgp}, via("2001:db8:0:2::2")),
       new_route({"10.0.0.0/8", kBgp, 2}, via("192.0.2.2"))});
  EXPECT_EQ(routes_.routes() + routes_.parked(), 0U);
  EXPECT_EQ(routes_.counters().ignored, 5U);
}

// The daemon's interfaces are not ours: what leads to a link alone cannot be followed, and takes the place
// of what could.
TEST_F(FeedRoutesTest, ARouteWithoutAGatewayTakesThePlaceOfOneThatHadOne) {
  say({new_route({"10.0.0.0/8"}, via("192.0.2.2")), new_route({"11.0.0.0/8"}, via("192.0.2.2")),
       link_next_hop(5)});
  say({new_route({"10.0.0.0/8"}, attribute(4, u32(3)))});
  EXPECT_EQ(route("10.0.0.0/8"), "");
  say({new_route({"11.0.0.0/8"}, by_id(5))});
  EXPECT_EQ(route("11.0.0.0/8"), "");
  EXPECT_EQ(routes_.parked(), 1U);
  say({next_hop(5, "192.0.2.5")});
  EXPECT_EQ(route("11.0.0.0/8"), "192.0.2.5") << "the object can be followed now";
}

TEST_F(FeedRoutesTest, ALinkLocalNextHopNeedsALinkOfOurs) {
  say({next_hop(1, "fe80::2", 9), new_route({"2001:db8:1::/48"}, by_id(1))});
  EXPECT_EQ(route("2001:db8:1::/48"), "");
  links_[9] = "lan0";
  say({next_hop(1, "fe80::2", 9)});
  EXPECT_EQ(route("2001:db8:1::/48"), "fe80::2 dev lan0");
}

// RFC 8950, and nothing the other way round.
TEST_F(FeedRoutesTest, Ipv4GoesByIpv6NextHopsAndNotTheOtherWayRound) {
  say({next_hop(1, "2001:db8:0:2::2"), next_hop(2, "192.0.2.2")});
  say({new_route({"10.0.0.0/8"}, by_id(1)), new_route({"2001:db8:1::/48"}, by_id(1)),
       new_route({"2001:db8:2::/48"}, by_id(2))});
  EXPECT_EQ(reached("10.1.1.1"_a), Set{"2001:db8:0:2::2"});
  EXPECT_EQ(route("2001:db8:1::/48"), "2001:db8:0:2::2");
  EXPECT_EQ(route("2001:db8:2::/48"), "");
}

TEST_F(FeedRoutesTest, WhatIsNotSaidAgainAfterAReconnectionIsSwept) {
  say({next_hop(1, "192.0.2.2"), new_route({"10.0.0.0/8"}, by_id(1)), new_route({"11.0.0.0/8"}, by_id(1)),
       new_route({"2001:db8:1::/48"}, via("2001:db8:0:2::2"))});
  reconnect();
  EXPECT_EQ(routes_.stale(), 3U);
  EXPECT_EQ(reached("10.1.1.1"_a), Set{"192.0.2.2"}) << "stale routes are forwarded by";
  // The daemon has restarted: the same id means something else.
  say({next_hop(1, "198.51.100.2")});
  EXPECT_EQ(reached("11.1.1.1"_a), Set{"192.0.2.2"});
  say({new_route({"10.0.0.0/8"}, by_id(1))});
  EXPECT_EQ(reached("10.1.1.1"_a), Set{"198.51.100.2"});
  EXPECT_EQ(routes_.stale(), 2U);
  sweep();
  EXPECT_EQ(routes_.stale(), 0U);
  EXPECT_EQ(routes_.routes(), 1U);
  EXPECT_EQ(route("11.0.0.0/8"), "");
  EXPECT_EQ(route("2001:db8:1::/48"), "");
}

TEST_F(FeedRoutesTest, ASweepGoesInSlicesAndTakesNoRoutesOfOthers) {
  for (unsigned i = 0; i < 1000; ++i)
    say({new_route({Ipv4Prefix(Ipv4Address(10, static_cast<unsigned>(i / 256), i % 256, 0), 24).to_string()},
                   via("192.0.2.2"))});
  ASSERT_TRUE(rib_.add("10.0.0.0/24"_p, RouteSpec{NextHopSpec::local(), RouteSource::api, 1, 0, 0, 0}));
  reconnect();
  say({new_route({"10.3.231.0/24"}, via("192.0.2.3"))});  // the last one
  routes_.begin_sweep();
  unsigned slices = 0;
  while (routes_.work(64)) {
    ++slices;
    EXPECT_GE(routes_.routes() + 64 * slices, 1000U) << "a slice removes 64 at most";
  }
  EXPECT_GT(slices, 15U);
  EXPECT_EQ(routes_.routes(), 1U);
  EXPECT_NE(rib_.find("10.0.0.0/24"_p, RouteSource::api), nullptr);
}

TEST_F(FeedRoutesTest, ATableThatIsFullIsSaidAndTheRestGoesOn) {
  for (unsigned i = 0; i < 2 * kGroups; ++i)
    say({new_route({"10.0." + std::to_string(i) + ".128/25"}, via("192.0.2.2"))});
  EXPECT_GT(routes_.counters().failed, 0U);
  EXPECT_NE(routes_.last_failure().find("/25: "), std::string::npos) << routes_.last_failure();
  say({new_route({"11.0.0.0/8"}, via("192.0.2.2"))});
  EXPECT_EQ(route("11.0.0.0/8"), "192.0.2.2");
}

}  // namespace
}  // namespace millrace::controlplane
