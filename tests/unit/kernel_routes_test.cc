// What the kernel's messages do to the RIB: several routes of a prefix, next-hop objects that take their
// routes with them. The flags are those that Linux 6.18 was seen to send.
#include <gtest/gtest.h>

#include "controlplane/feed_routes.h"
#include "tests/unit/feed_fixture.h"

namespace millrace::controlplane {
namespace {

using Set = std::set<std::string>;

class KernelRoutesTest : public FeedFixture {
 protected:
  KernelRoutesTest() { source_ = RouteSource::netlink; }

  void say_to(FeedRoutes& routes, std::initializer_list<ByteString> messages) {
    std::vector<NetlinkMessage> parsed;
    const auto result = parse_netlink(joined(messages), parsed);
    ASSERT_TRUE(result) << result.error();
    routes.apply(parsed);
    finish(routes);
  }
  static void finish(FeedRoutes& routes) {
    while (routes.work(64)) {
    }
  }
  // Each message comes alone, as the kernel sends them.
  void say(std::initializer_list<ByteString> messages) {
    for (const ByteString& message : messages) say_to(routes_, {message});
  }
  void say_at_once(std::initializer_list<ByteString> messages) { say_to(routes_, messages); }
  void resync(std::initializer_list<ByteString> dump) {
    routes_.begin_resync();
    routes_.begin_dump();
    for (const ByteString& message : dump) say_to(routes_, {dumped(message)});
    routes_.end_dump();
    routes_.next_hops_are_complete();
    routes_.end_resync();
    finish(routes_);
  }
  std::string ten() { return route("10.0.0.0/8"); }
  std::string six() { return route("2001:db8:9::/48"); }
  static ByteString ten(const char* gateway, std::uint16_t flags, std::uint32_t metric = 0) {
    return new_route({"10.0.0.0/8", kBird, kUnicast, 254, metric, flags}, via(gateway));
  }
  static ByteString no_ten(const char* gateway, std::uint32_t metric = 0) {
    return del_route({"10.0.0.0/8", kBird, kUnicast, 254, metric, 0}, via(gateway));
  }
  static ByteString six(const ByteString& hops, std::uint16_t flags, std::uint32_t metric = 1024) {
    return new_route({"2001:db8:9::/48", kBird, kUnicast, 254, metric, flags}, hops);
  }
  static ByteString no_six(const ByteString& hops, std::uint32_t metric = 1024) {
    return del_route({"2001:db8:9::/48", kBird, kUnicast, 254, metric, 0}, hops);
  }

  FeedRoutes routes_{tables(), RouteSource::netlink, {.table = 254, .of_kernel = true}};
};

TEST_F(KernelRoutesTest, TheLowestMetricWinsAndTheNextOneComesBack) {
  say({ten("192.0.2.20", kFirst, 20), ten("192.0.2.30", kFirst, 30), ten("192.0.2.10", kFirst, 10)});
  EXPECT_EQ(ten(), "192.0.2.10");
  EXPECT_EQ(routes_.routes(), 1U);
  EXPECT_EQ(routes_.shadowed(), 2U);
  changed_.clear();
  say({no_ten("192.0.2.10", 10)});
  EXPECT_EQ(ten(), "192.0.2.20");
  say({no_ten("192.0.2.30", 30)});
  EXPECT_EQ(ten(), "192.0.2.20");
  EXPECT_EQ(changed_, std::vector<std::string>{}) << "the prefix was never without a route";
  say({no_ten("192.0.2.20", 20)});
  EXPECT_EQ(ten(), "");
  EXPECT_EQ(routes_.routes() + routes_.shadowed(), 0U);
  EXPECT_EQ(next_hops_.size(), 0U);
  EXPECT_FALSE(routes_.take_doubt());
}

TEST_F(KernelRoutesTest, MetricsAreRoutesOfTheirOwnInIpv6Too) {
  say({six(via("2001:db8:0:2::2"), kFirst), six(via("2001:db8:0:2::7"), kFirst, 7)});
  EXPECT_EQ(six(), "2001:db8:0:2::7");
  say({six(via("2001:db8:0:2::9"), kInstead)});
  EXPECT_EQ(six(), "2001:db8:0:2::7");
  say({no_six(via("2001:db8:0:2::7"), 7)});
  EXPECT_EQ(six(), "2001:db8:0:2::9");
}

TEST_F(KernelRoutesTest, OfOneMetricInIpv4TheFirstIsUsed) {
  say({ten("192.0.2.2", kFirst), ten("192.0.2.3", kBehind)});
  EXPECT_EQ(ten(), "192.0.2.2");
  say({ten("192.0.2.4", kBefore)});
  EXPECT_EQ(ten(), "192.0.2.4");
  say({ten("192.0.2.9", kInstead)});
  EXPECT_EQ(ten(), "192.0.2.9") << "the first one is replaced";
  say({no_ten("192.0.2.3")});
  EXPECT_EQ(ten(), "192.0.2.9");
  say({no_ten("192.0.2.9")});
  EXPECT_EQ(ten(), "192.0.2.2");
  EXPECT_EQ(routes_.shadowed(), 0U);
  EXPECT_FALSE(routes_.take_doubt());
}

// What went without a word is behind what came then, and goes by a resync.
TEST_F(KernelRoutesTest, AFirstRouteIsBeforeThoseThatTheKernelForgotInSilence) {
  say({ten("192.0.2.2", kFirst)});
  say({ten("192.0.2.3", kFirst)});
  EXPECT_EQ(ten(), "192.0.2.3");
  say({ten("192.0.2.2", kFirst)});
  EXPECT_EQ(ten(), "192.0.2.2");
  EXPECT_EQ(routes_.shadowed(), 1U) << "each once";
}

TEST_F(KernelRoutesTest, OfOneMetricInIpv6PathsWithAGatewayAreOneRoute) {
  say({six(via("2001:db8:0:2::2"), kFirst)});
  say({six(multipath({path("2001:db8:0:2::3"), path("2001:db8:0:2::2")}), kBehind)});
  EXPECT_EQ(six(), "2001:db8:0:2::2 2001:db8:0:2::3");
  say({six(multipath({path("2001:db8:0:2::4"), path("2001:db8:0:2::2"), path("2001:db8:0:2::3")}), kBehind)});
  say({no_six(via("2001:db8:0:2::2"))});
  EXPECT_EQ(six(), "2001:db8:0:2::3 2001:db8:0:2::4") << "a removal names the paths that go";
  say({no_six(multipath({path("2001:db8:0:2::3"), path("2001:db8:0:2::4")}))});
  EXPECT_EQ(six(), "");
  EXPECT_EQ(next_hops_.size(), 0U);
  EXPECT_FALSE(routes_.take_doubt());
}

TEST_F(KernelRoutesTest, InIpv6OtherKindsOfOneMetricStandBesideThePaths) {
  const RouteText blackhole{"2001:db8:9::/48", kBird, kBlackhole, 254, 1024, kFirst};
  say({new_route(blackhole), six(via("2001:db8:0:2::2"), kBehind)});
  EXPECT_EQ(six(), "drop route_blackhole") << "the oldest first";
  say({six(via("2001:db8:0:2::3"), kInstead)});
  EXPECT_EQ(six(), "drop route_blackhole") << "paths replace paths";
  say({del_route(blackhole)});
  EXPECT_EQ(six(), "2001:db8:0:2::3");
  RouteText instead = blackhole;
  instead.flags = kInstead;
  say({new_route(instead)});
  EXPECT_EQ(six(), "drop route_blackhole") << "and a blackhole replaces them where there is no other";
  EXPECT_EQ(routes_.shadowed(), 0U);
}

TEST_F(KernelRoutesTest, RoutesOfRouterAdvertisementsAreNoPathsOfOne) {
  const auto advertised = [](const char* gateway) {
    return new_route({"2001:db8:9::/48", kRa, kUnicast, 254, 1024, kBefore}, via(gateway));
  };
  say({advertised("2001:db8:0:2::2"), advertised("2001:db8:0:2::3")});
  EXPECT_EQ(six(), "2001:db8:0:2::2");
  EXPECT_EQ(routes_.shadowed(), 1U);
  say({del_route({"2001:db8:9::/48", kRa, kUnicast, 254, 1024, 0}, via("2001:db8:0:2::2"))});
  EXPECT_EQ(six(), "2001:db8:0:2::3");
}

TEST_F(KernelRoutesTest, RoutesWithoutAGatewayAreIgnoredAndTakeNoPlace) {
  const ByteString link_alone = attribute(4, u32(3));
  say({new_route({"10.0.0.0/8", kKernel, kUnicast, 254, 0, kFirst}, link_alone), ten("192.0.2.2", kBehind)});
  EXPECT_EQ(ten(), "192.0.2.2");
  say({new_route({"10.0.0.0/8", kBoot, kUnicast, 254, 0, kBefore}, link_alone),
       del_route({"10.0.0.0/8", kBoot, kUnicast, 254, 0, 0}, link_alone)});
  EXPECT_EQ(ten(), "192.0.2.2");
  EXPECT_EQ(routes_.counters().ignored, 2U);
  say({new_route({"11.0.0.0/8", kKernel, kUnicast, 254, 0, kFirst}, via("192.0.2.2"))});
  EXPECT_EQ(route("11.0.0.0/8"), "192.0.2.2") << "one that the kernel itself has learnt, and with a gateway";
  say({new_route({"12.0.0.0/8", kKernel, kUnreachable, 254, 0, kFirst})});
  EXPECT_EQ(route("12.0.0.0/8"), "");
  EXPECT_FALSE(routes_.take_doubt());
}

TEST_F(KernelRoutesTest, DistanceAndMetricAreOfTheProtocolAndTheKernel) {
  say({new_route({"10.0.0.0/8", kBird, kUnicast, 254, 32, kFirst}, via("192.0.2.2")),
       new_route({"11.0.0.0/8", kBoot, kUnicast, 254, 0, kFirst}, via("192.0.2.2")),
       new_route({"12.0.0.0/8", kKernel, kUnicast, 254, 0, kFirst}, via("192.0.2.2"))});
  const std::tuple<const char*, unsigned, unsigned, const char*> table[] = {
      {"10.0.0.0/8", 150, 32, "bird"}, {"11.0.0.0/8", 1, 0, "boot"}, {"12.0.0.0/8", 150, 0, "kernel"}};
  for (const auto& [prefix, distance, metric, owner] : table) {
    const Route* found = rib_.find(*Ipv4Prefix::parse(prefix), RouteSource::netlink);
    ASSERT_NE(found, nullptr) << prefix;
    EXPECT_EQ(found->distance, distance) << prefix;
    EXPECT_EQ(found->metric, metric) << prefix;
    EXPECT_EQ(owners_.name(found->owner), owner) << prefix;
  }
}

TEST_F(KernelRoutesTest, OfAnotherTableNothingIsTaken) {
  FeedRoutes of_100(tables(), RouteSource::netlink, {.table = 1000, .of_kernel = true});
  say_to(of_100, {ten("192.0.2.2", kFirst)});
  EXPECT_EQ(ten(), "");
  say_to(of_100, {new_route({"10.0.0.0/8", kBird, kUnicast, 252},
                            joined({via("192.0.2.2"), attribute(15, u32(1000))}))});
  EXPECT_EQ(ten(), "192.0.2.2");
}

TEST_F(KernelRoutesTest, BesideFpmRoutesOfZebraAreIgnored) {
  FeedRoutes beside(tables(), RouteSource::netlink, {.table = 254, .of_kernel = true, .without_zebra = true});
  for (const std::uint8_t protocol : ByteString{11, 186, 187, 188, 189, 190, 192, 196}) {
    say_to(beside, {new_route({"10.0.0.0/8", protocol, kUnicast, 254, 20, kFirst}, via("192.0.2.2"))});
    EXPECT_EQ(ten(), "") << int{protocol};
  }
  say_to(beside, {next_hop(1, "192.0.2.2")});
  EXPECT_EQ(beside.next_hops(), 0U) << "its next hops neither: RTPROT_ZEBRA is 11";
  say_to(beside, {new_route({"10.0.0.0/8", kBird, kUnicast, 254, 32, kFirst}, via("192.0.2.3"))});
  EXPECT_EQ(ten(), "192.0.2.3");
}

// Unlike zebra, a kernel takes the routes with the object, those of IPv4 without a word.
TEST_F(KernelRoutesTest, ANextHopObjectTakesItsRoutesWithIt) {
  say({next_hop(1, "192.0.2.2"), next_hop(2, "198.51.100.2"), group(3, {{1}, {2}})});
  say({new_route({"10.0.0.0/8", kBird}, by_id(1)), new_route({"11.0.0.0/8", kBird}, by_id(3)),
       new_route({"2001:db8:9::/48", kBird}, by_id(1))});
  say({ten("192.0.2.9", kFirst, 50)});
  say({del_next_hop(1)});
  EXPECT_EQ(ten(), "192.0.2.9") << "the next one";
  EXPECT_EQ(route("11.0.0.0/8"), "198.51.100.2") << "the group has another member";
  say({del_next_hop(2)});
  EXPECT_EQ(route("11.0.0.0/8"), "") << "a group goes with its last one";
  EXPECT_EQ(routes_.next_hops(), 0U);
  say({no_ten("192.0.2.9", 50)});
  EXPECT_EQ(next_hops_.size(), 0U);
  EXPECT_FALSE(routes_.take_doubt());
}

TEST_F(KernelRoutesTest, ABlackholeObjectTakesItsRoutesWithItToo) {
  say({blackhole_next_hop(7), new_route({"10.0.0.0/8", kBird, kBlackhole}, by_id(7)),
       new_route({"11.0.0.0/8", kBird, kBlackhole}, by_id(7)),
       del_route({"11.0.0.0/8", kBird, kBlackhole}, by_id(7))});
  EXPECT_EQ(ten(), "drop route_blackhole");
  EXPECT_EQ(route("11.0.0.0/8"), "");
  say({del_next_hop(7)});
  EXPECT_EQ(ten(), "");
  EXPECT_EQ(next_hops_.size(), 0U);
}

TEST_F(KernelRoutesTest, AnIdThatComesAgainIsAnotherObject) {
  say({next_hop(1, "192.0.2.2")});
  for (unsigned i = 0; i < 200; ++i)
    say({new_route({"10." + std::to_string(i) + ".0.0/16", kBird}, by_id(1))});
  say_at_once({del_next_hop(1), next_hop(1, "192.0.2.3"),
               new_route({"10.5.0.0/16", kBird, kUnicast, 254, 20, kFirst}, by_id(1))});
  EXPECT_EQ(routes_.routes(), 1U);
  EXPECT_EQ(route("10.5.0.0/16"), "192.0.2.3");
}

TEST_F(KernelRoutesTest, ALinkThatGoesDownTakesItsNextHopObjects) {
  say({next_hop(1, "192.0.2.2", 3), next_hop(2, "198.51.100.2", 4), group(3, {{1}, {2}})});
  say({new_route({"10.0.0.0/8", kBird}, by_id(1)), new_route({"11.0.0.0/8", kBird}, by_id(3))});
  EXPECT_TRUE(routes_.uses_link(3));
  EXPECT_FALSE(routes_.uses_link(5));
  routes_.link_lost(3);
  finish(routes_);
  EXPECT_EQ(ten(), "");
  EXPECT_EQ(route("11.0.0.0/8"), "198.51.100.2");
}

TEST_F(KernelRoutesTest, DeadPathsAreNotTakenUntilTheirLinkIsBack) {
  constexpr std::uint8_t kDead = 1, kNoCarrierOnly = 16;
  const auto dump = [](std::uint8_t flags) {
    return new_route({"10.0.0.0/8", kBird, kUnicast, 254, 0},
                     multipath({path("192.0.2.2", 1, 3, flags), path("198.51.100.2", 1, 4)}));
  };
  say({dump(0)});
  EXPECT_EQ(ten(), "192.0.2.2 198.51.100.2");
  resync({dump(kDead)});
  EXPECT_EQ(ten(), "198.51.100.2");
  EXPECT_TRUE(routes_.uses_link(3)) << "so that its return is noticed";
  resync({dump(kNoCarrierOnly)});
  EXPECT_EQ(ten(), "192.0.2.2 198.51.100.2") << "the kernel goes on using it";
  EXPECT_EQ(routes_.routes(), 1U);
}

TEST_F(KernelRoutesTest, AResyncSweepsWhatTheDumpDoesNotSayAndBringsItsOrder) {
  say({ten("192.0.2.2", kFirst), ten("192.0.2.3", kBehind), ten("192.0.2.4", kBehind),
       new_route({"11.0.0.0/8", kBird}, via("192.0.2.2")), six(via("2001:db8:0:2::2"), kFirst)});
  resync({ten("192.0.2.4", 0), ten("192.0.2.5", 0), ten("192.0.2.2", 0), ten("192.0.2.9", 0, 9)});
  EXPECT_EQ(routes_.routes(), 1U);
  EXPECT_EQ(routes_.shadowed(), 3U);
  EXPECT_EQ(routes_.stale(), 0U);
  for (const char* next : {"192.0.2.4", "192.0.2.5", "192.0.2.2"}) {
    EXPECT_EQ(ten(), next);
    say({no_ten(next)});
  }
  EXPECT_EQ(ten(), "192.0.2.9");
  resync({});
  EXPECT_EQ(ten(), "");
  EXPECT_EQ(next_hops_.size(), 0U);
}

// Rule 42: a resync leaves no moment without a route.
TEST_F(KernelRoutesTest, NothingIsAbsentWhileADumpConfirmsIt) {
  say({ten("192.0.2.2", kFirst), ten("192.0.2.3", kBehind), ten("192.0.2.30", kFirst, 30)});
  changed_.clear();
  const std::uint64_t stores = next_hops_.groups_published();
  resync({ten("192.0.2.2", 0), ten("192.0.2.3", 0), ten("192.0.2.30", 0, 30)});
  resync({ten("192.0.2.2", 0), ten("192.0.2.3", 0), ten("192.0.2.30", 0, 30)});
  EXPECT_EQ(changed_, std::vector<std::string>{});
  EXPECT_EQ(next_hops_.groups_published(), stores);
  EXPECT_EQ(ten(), "192.0.2.2");
  EXPECT_EQ(routes_.shadowed(), 2U);
}

TEST_F(KernelRoutesTest, AResyncSweepsObjectsAndParkedRoutes) {
  say({next_hop(1, "192.0.2.2"), next_hop(2, "192.0.2.3"), link_next_hop(5)});
  say({new_route({"10.0.0.0/8", kBird}, by_id(1)), new_route({"11.0.0.0/8", kBird}, by_id(2)),
       new_route({"12.0.0.0/8", kBird}, by_id(5)), new_route({"13.0.0.0/8", kBird}, by_id(5))});
  EXPECT_EQ(routes_.parked(), 2U);
  resync({next_hop(1, "192.0.2.7"), link_next_hop(5), new_route({"10.0.0.0/8", kBird}, by_id(1)),
          new_route({"13.0.0.0/8", kBird}, by_id(5))});
  EXPECT_EQ(ten(), "192.0.2.7");
  EXPECT_EQ(route("11.0.0.0/8"), "");
  EXPECT_EQ(routes_.next_hops(), 2U);
  EXPECT_EQ(routes_.parked(), 1U);
}

// Linux fills its dumps without a lock: a message of one may be older than what was said before it.
TEST_F(KernelRoutesTest, WhatIsSaidWhileADumpGoesOnIsNewerThanTheDump) {
  say({ten("192.0.2.2", kFirst), new_route({"11.0.0.0/8", kBird}, via("192.0.2.2"))});
  routes_.begin_resync();
  routes_.begin_dump();
  say({ten("192.0.2.3", kInstead), del_route({"11.0.0.0/8", kBird}, via("192.0.2.2"))});
  say({dumped(ten("192.0.2.2", 0)), dumped(new_route({"11.0.0.0/8", kBird}, via("192.0.2.2")))});
  routes_.end_dump();
  routes_.end_resync();
  finish(routes_);
  EXPECT_EQ(ten(), "192.0.2.3");
  EXPECT_EQ(route("11.0.0.0/8"), "");
}

TEST_F(KernelRoutesTest, ARemovalThatDoesNotFitIsADoubt) {
  say({no_ten("192.0.2.2")});
  EXPECT_TRUE(routes_.take_doubt());
  EXPECT_FALSE(routes_.take_doubt()) << "once";
  say({six(via("2001:db8:0:2::2"), kFirst), no_six(via("2001:db8:0:2::3"))});
  EXPECT_TRUE(routes_.take_doubt());
  EXPECT_EQ(six(), "2001:db8:0:2::2");
}

// BIRD replaces routes of IPv6 by a removal and an addition.
TEST_F(KernelRoutesTest, ARemovalAndAnAdditionThatComeTogetherAreAReplacement) {
  say({six(via("2001:db8:0:2::2"), kFirst), ten("192.0.2.2", kFirst)});
  changed_.clear();
  say_at_once({no_six(via("2001:db8:0:2::2")), six(via("2001:db8:0:2::3"), kFirst), no_ten("192.0.2.2"),
               ten("192.0.2.3", kFirst)});
  EXPECT_EQ(six(), "2001:db8:0:2::3");
  EXPECT_EQ(ten(), "192.0.2.3");
  EXPECT_EQ(changed_, std::vector<std::string>{});
  EXPECT_EQ(routes_.shadowed(), 0U);
  // Not where others of the same metric would be hit, nor by one of another metric.
  say({ten("192.0.2.4", kBehind)});
  say_at_once({no_ten("192.0.2.3"), ten("192.0.2.5", kBehind)});
  EXPECT_EQ(ten(), "192.0.2.4");
  EXPECT_EQ(routes_.shadowed(), 1U);
  say_at_once({no_ten("192.0.2.4"), no_ten("192.0.2.5"), ten("192.0.2.6", kFirst, 6)});
  EXPECT_EQ(ten(), "192.0.2.6");
  EXPECT_EQ(routes_.shadowed(), 0U);
}

TEST_F(KernelRoutesTest, AFullTableKeepsItsOrder) {
  for (unsigned i = 0; i < 2 * kGroups; ++i)
    say({new_route({"10.0." + std::to_string(i) + ".128/25", kBird, kUnicast, 254, 9, kFirst},
                   via("192.0.2.2"))});
  EXPECT_GT(routes_.counters().failed, 0U);
  const std::size_t full = routes_.routes();
  say({new_route({"10.0.0.128/25", kBird, kUnicast, 254, 5, kFirst}, via("192.0.2.3"))});
  EXPECT_EQ(route("10.0.0.128/25"), "192.0.2.3");
  EXPECT_EQ(routes_.shadowed(), 1U);
  resync({});
  EXPECT_EQ(routes_.routes() + routes_.shadowed(), 0U) << full;
  EXPECT_EQ(next_hops_.size(), 0U);
}

TEST_F(KernelRoutesTest, AllIsGivenBackWhenTheFeedEnds) {
  {
    FeedRoutes feed(tables(), RouteSource::netlink, {.table = 254, .of_kernel = true});
    say_to(feed, {next_hop(1, "192.0.2.2")});
    say_to(feed, {new_route({"10.0.0.0/8", kBird}, by_id(1)), ten("198.51.100.2", kFirst, 50)});
  }
  rib_.remove("10.0.0.0/8"_p, RouteSource::netlink);
  EXPECT_EQ(next_hops_.size(), 0U);
}

}  // namespace
}  // namespace millrace::controlplane
