// Which way a packet takes: longest prefix (RFC 1812 5.2.4.3), routes that refuse, equal-cost paths (RFC
// 2992), links.
#include <algorithm>
#include <map>
#include <random>
#include <set>

#include "cases.h"

namespace millrace::behaviour {
namespace {

const std::string kFourWays = R"(
interfaces:
  a: {device: @a, addresses: [10.0.1.1/24]}
  b: {device: @b, addresses: [10.0.2.1/24]}
  c: {device: @c, addresses: [10.0.3.1/24]}
  d: {device: @d, addresses: [10.0.4.1/24]}
neighbors:
  - {address: 10.0.1.2, mac: "02:00:00:00:01:02", interface: a}
  - {address: 10.0.2.2, mac: "02:00:00:00:02:02", interface: b}
  - {address: 10.0.3.2, mac: "02:00:00:00:03:02", interface: c}
  - {address: 10.0.4.2, mac: "02:00:00:00:04:02", interface: d}
)";
const MacAddress kHostC{{2, 0, 0, 0, 3, 2}};

class Forwarding : public TwoSubnetsTest {
 protected:
  Case by(const std::string& on, const MacAddress& host, const Ipv4Packet& packet) {
    return {"rule 12: to " + packet.destination.to_string(), in(packet),
            sent(on, forwarded(in(packet), host, two().mac(on)))};
  }
  Case by(const std::string& on, const MacAddress& host, const char* destination) {
    return by(on, host, Ipv4Packet{.destination = ip(destination)});
  }
  // Where a packet goes ("" if nowhere).
  std::string way_of(const Ipv4Packet& packet) {
    two().send("a", in(packet));
    two().step();
    std::string way;
    for (const auto& [name, port] : two().ports()) {
      if (!two().received(name).empty()) way += name;
    }
    return way;
  }
  std::vector<std::string> ways_of(unsigned flows) {
    std::vector<std::string> ways;
    for (unsigned n = 0; n < flows; ++n) ways.push_back(way_of(flow(n)));
    return ways;
  }
  static std::map<std::string, unsigned> counted(const std::vector<std::string>& ways) {
    std::map<std::string, unsigned> counts;
    for (const std::string& way : ways) ++counts[way];
    return counts;
  }
  // Rules 13 and 14: the flows of the lost member go to others, and no other flow moves.
  static void expect_only_moved_from(const std::string& lost, const std::vector<std::string>& before,
                                     const std::vector<std::string>& after) {
    for (std::size_t n = 0; n < before.size(); ++n) {
      EXPECT_NE(after[n], "") << "rule 14: flow " << n << " goes nowhere";
      EXPECT_NE(after[n], lost) << "rule 14: flow " << n << " goes to the dead member";
      if (before[n] == lost) continue;
      EXPECT_EQ(after[n], before[n]) << "rule 13: flow " << n;
    }
  }
  Ipv4Packet flow(unsigned n) {
    return {.destination = Ipv4Address(203, 0, 113, n % 251),
            .payload = udp(static_cast<std::uint16_t>(1000 + n), static_cast<std::uint16_t>(n * 7 % 5000),
                           pattern(4))};
  }
};

// Rule 12.
TEST_F(Forwarding, Rfc1812_5_2_4_3_LongestPrefixWinsFrom0To32) {
  std::string routes = "routes:\n";
  for (unsigned length = 0; length <= 32; ++length) {
    routes += "  - {prefix: " + Ipv4Prefix(ip("192.168.171.205"), length).to_string() +
              ", via: " + (length % 2 == 0 ? "10.0.2.2" : "10.0.3.2") + "}\n";
  }
  start(kFourWays + routes);
  for (unsigned length = 0; length <= 32; ++length) {
    // An address that has just `length` bits in common with 192.168.171.205.
    const std::uint32_t flip = length == 32 ? 0 : 1U << (31 - length);
    const Ipv4Packet packet{.destination = Ipv4Address(ip("192.168.171.205").value() ^ flip)};
    if (packet.destination.value() >> 28 == 0xe || packet.destination.value() >> 28 == 0xf)
      continue;  // class D, E
    verify(two(), "a", length % 2 == 0 ? by("b", kHostB, packet) : by("c", kHostC, packet));
  }
}

// Rule 12.
TEST_F(Forwarding, EdgesOfAPrefix) {
  start(
      kFourWays +
      "routes:\n  - {prefix: 198.51.100.64/26, via: 10.0.3.2}\n  - {prefix: 198.51.0.0/16, via: 10.0.2.2}\n");
  verify(
      two(), "a",
      {by("b", kHostB, "198.51.100.63"), by("c", kHostC, "198.51.100.64"), by("c", kHostC, "198.51.100.127"),
       by("b", kHostB, "198.51.100.128"), by("b", kHostB, "198.51.0.0"), by("b", kHostB, "198.51.255.255")});
}

TEST_F(Forwarding, Rfc1812_5_2_7_1_RoutesThatRefuse) {
  start(kTwoSubnets.substr(0, kTwoSubnets.find("neighbors")) + R"(
  - {prefix: 198.18.0.0/16, type: blackhole}
  - {prefix: 198.18.1.0/24, type: unreachable}
  - {prefix: 198.18.1.128/25, type: prohibit}
  - {prefix: 198.18.1.200/32, via: 10.0.2.2}
neighbors:
  - {address: 10.0.1.2, mac: "02:00:00:00:01:02", interface: a}
  - {address: 10.0.2.2, mac: "02:00:00:00:02:02", interface: b}
)");
  verify(
      two(), "a",
      {drops("rule 12: blackhole is silent", {.destination = ip("198.18.0.1")}, DropReason::route_blackhole),
       refuses("rule 12: unreachable", {.destination = ip("198.18.1.1")}, DropReason::route_unreachable,
               {.code = 1}),
       refuses("rule 12: prohibit", {.destination = ip("198.18.1.129")}, DropReason::route_prohibit,
               {.code = 13}),
       refuses("rule 12: no route", {.destination = ip("198.19.0.1")}, DropReason::no_route, {.code = 0}),
       forwards("rule 12: a longer one forwards", {.destination = ip("198.18.1.200")})});
}

// Rules 12, 42.
TEST_F(Forwarding, RoutesComeAndGoConsistently) {
  start(kFourWays + "control: {icmp_error_rate: 1000000/s}\n");
  const auto prefix = [](unsigned i) {
    return Ipv4Prefix(Ipv4Address(20 + i % 7, i % 251, i / 251, 0), 8 + i % 25);
  };
  std::map<Ipv4Prefix, unsigned> present;
  const auto add = [&](unsigned i) {
    config::RouteConfig route;
    route.via = {i % 2 == 0 ? ip("10.0.2.2") : ip("10.0.3.2")};
    ASSERT_TRUE(two().control().add_route(prefix(i), {route, 0}));
    present[prefix(i)] = i % 2;
  };
  const auto check = [&] {
    std::mt19937 random(7);
    for (unsigned n = 0; n < 300; ++n) {
      const Ipv4Address address = prefix(static_cast<unsigned>(random() % 1000)).address();
      const std::pair<const Ipv4Prefix, unsigned>* best = nullptr;
      for (const auto& route : present) {
        if (route.first.contains(address) &&
            (best == nullptr || route.first.length() >= best->first.length()))
          best = &route;
      }
      two().settle();
      const std::string wanted = best == nullptr ? "a" : best->second == 0 ? "b" : "c";
      ASSERT_EQ(way_of({.destination = address, .flags_offset = 1}), best == nullptr ? "" : wanted)
          << "rule 12: " << address.to_string();
    }
  };
  for (unsigned i = 0; i < 1000; ++i) add(i);
  check();
  for (unsigned i = 0; i < 1000; i += 10) {
    two().control().remove_route(prefix(i));
    present.erase(prefix(i));
  }
  check();
  for (unsigned i = 0; i < 1000; i += 10) add(i);
  check();
}

// Rule 15.
TEST_F(Forwarding, Rfc1812_5_2_7_2_OutByTheInterfaceItCameFrom) {
  start(kFourWays + "routes: [{prefix: 203.0.113.0/24, via: 10.0.1.9}]\n");
  two().control().neighbors().set_fixed({two().interface("a").id, ip("10.0.1.9")}, kHostB);
  verify(two(), "a", by("a", kHostB, "203.0.113.5"));
}

TEST_F(Forwarding, Rfc3927_7_LinkLocalStaysOnItsLink) {
  const auto from_to = [&](const char* source, const char* destination) {
    return Ipv4Packet{.source = ip(source), .destination = ip(destination)};
  };
  start(kFourWays + "routes: [{prefix: 0.0.0.0/0, via: 10.0.2.2}]\n");
  verify(two(), "a",
         {drops("rule 10", from_to("169.254.0.0", "10.0.2.2"), DropReason::link_local),
          drops("rule 10", from_to("169.254.255.255", "10.0.2.2"), DropReason::link_local),
          drops("rule 10", from_to("10.0.1.2", "169.254.0.0"), DropReason::link_local),
          drops("rule 10", from_to("10.0.1.2", "169.254.255.255"), DropReason::link_local),
          forwards("rule 10: one below", from_to("169.253.255.255", "10.0.2.2")),
          forwards("rule 10: one above", from_to("169.255.0.0", "10.0.2.2")),
          forwards("rule 10: one above", from_to("10.0.1.2", "169.255.0.0")),
          forwards("rule 10: one below", from_to("10.0.1.2", "169.253.255.255"))});
}

const std::string kThreeMembers =
    kFourWays + "routes: [{prefix: 203.0.113.0/24, via: [10.0.2.2, 10.0.3.2, 10.0.4.2]}]\n";

TEST_F(Forwarding, Rfc2992_EveryMemberIsUsedAndAFlowStays) {
  start(kThreeMembers);
  std::map<std::string, unsigned> used;
  for (unsigned n = 0; n < 3000; ++n) {
    const std::string way = way_of(flow(n));
    ++used[way];
    EXPECT_EQ(way_of(flow(n)), way) << "rule 13: flow " << n;
  }
  ASSERT_EQ(used.size(), 3U);
  for (const auto& [way, count] : used) EXPECT_NEAR(count, 1000, 150) << "rule 13: member on " << way;
}

TEST_F(Forwarding, Rfc2992_TheFlowIsTheFiveTupleAlone) {
  start(kThreeMembers);
  for (unsigned n = 0; n < 100; ++n) {
    Ipv4Packet packet = flow(n);
    const std::string way = way_of(packet);
    packet.ttl = 9;
    packet.tos = 0x2e;
    packet.identification = static_cast<std::uint16_t>(n);
    packet.flags_offset = kDf;
    packet.payload.resize(200);
    EXPECT_EQ(way_of(packet), way) << "rule 13: flow " << n;
    packet.options = {0x94, 4, 0, 0};
    EXPECT_EQ(way_of(packet), way) << "rule 13: the ports behind options, flow " << n;
  }
}

TEST_F(Forwarding, Rfc2992_EachPartOfTheTupleCounts) {
  start(kThreeMembers);
  std::map<std::string, std::set<std::string>> ways;
  for (unsigned n = 0; n < 60; ++n) {
    const auto port = static_cast<std::uint16_t>(5000 + n);
    ways["source"].insert(way_of({.source = Ipv4Address(10, 0, 1, 3 + n), .destination = ip("203.0.113.1")}));
    ways["destination"].insert(way_of({.destination = Ipv4Address(203, 0, 113, n)}));
    ways["source port"].insert(way_of({.destination = ip("203.0.113.1"), .payload = udp(port, 53)}));
    ways["destination port"].insert(way_of({.destination = ip("203.0.113.1"), .payload = udp(53, port)}));
    ways["TCP port"].insert(
        way_of({.destination = ip("203.0.113.1"), .protocol = 6, .payload = tcp(port, 80)}));
    ways["protocol"].insert(
        way_of({.destination = ip("203.0.113.1"), .protocol = static_cast<std::uint8_t>(20 + n)}));
    ways["no port of ESP"].insert(
        way_of({.destination = ip("203.0.113.1"), .protocol = 50, .payload = udp(port, 53)}));
  }
  for (const auto& [what, seen] : ways)
    EXPECT_EQ(seen.size(), what == "no port of ESP" ? 1U : 3U) << "rule 13: " << what;
}

TEST_F(Forwarding, FragmentsOfADatagramStayTogether) {
  start(kThreeMembers);
  for (unsigned n = 0; n < 60; ++n) {
    Ipv4Packet packet = flow(n);
    packet.flags_offset = kMf;
    const std::string first = way_of(packet);
    packet.flags_offset = kMf | 185;
    packet.payload = pattern(40, n);
    EXPECT_EQ(way_of(packet), first) << "rule 13: a middle fragment of flow " << n;
    packet.flags_offset = 370;
    EXPECT_EQ(way_of(packet), first) << "rule 13: the last fragment of flow " << n;
  }
}

TEST_F(Forwarding, Rfc2992_TwoRoutersInARowDoNotPolarise) {
  std::map<std::pair<std::string, std::string>, unsigned> pairs;
  std::vector<std::string> first;
  start(kThreeMembers, {.flow_seed = 1});
  for (unsigned n = 0; n < 900; ++n) first.push_back(way_of(flow(n)));
  start(kThreeMembers, {.flow_seed = 0x5eed});
  for (unsigned n = 0; n < 900; ++n) ++pairs[{first[n], way_of(flow(n))}];
  EXPECT_EQ(pairs.size(), 9U) << "rule 13";
  for (const auto& [pair, count] : pairs)
    EXPECT_NEAR(count, 100, 60) << pair.first << " then " << pair.second;
}

TEST_F(Forwarding, Rfc2992_TwoRoutersWithTwoMembersDoNotPolarise) {
  const std::string two_members =
      kFourWays + "routes: [{prefix: 203.0.113.0/24, via: [10.0.2.2, 10.0.3.2]}]\n";
  std::map<std::string, unsigned> ways;
  std::vector<std::string> first;
  start(two_members, {.flow_seed = 1});
  for (unsigned n = 0; n < 400; ++n) first.push_back(way_of(flow(n)));
  start(two_members, {.flow_seed = 2});
  for (unsigned n = 0; n < 400; ++n) ++ways[first[n] + way_of(flow(n))];
  EXPECT_EQ(ways.size(), 4U) << "rule 13";
  for (const auto& [pair, count] : ways) EXPECT_NEAR(count, 100, 50) << pair;
}

const std::string kWeighted =
    kFourWays +
    "routes: [{prefix: 203.0.113.0/24, via: [{address: 10.0.2.2, weight: 3}, 10.0.3.2, {address: 10.0.4.2, "
    "weight: 2}]}]\n";

TEST_F(Forwarding, Rfc2992_SharesFollowTheWeights) {
  start(kWeighted);
  const auto ways = ways_of(3000);
  const auto shares = counted(ways);
  ASSERT_EQ(shares.size(), 3U) << "rule 13: every member is used";
  EXPECT_NEAR(shares.at("b"), 1500, 150) << "rule 13: weight 3 of 6";
  EXPECT_NEAR(shares.at("c"), 500, 100) << "rule 13: weight 1 of 6";
  EXPECT_NEAR(shares.at("d"), 1000, 150) << "rule 13: weight 2 of 6";
  EXPECT_EQ(ways_of(3000), ways) << "rule 13: a flow stays";
}

TEST_F(Forwarding, Rfc2992_PacketsOfAFlowStayInOrder) {
  start(kThreeMembers);
  constexpr unsigned kFlows = 20;
  for (unsigned i = 0; i < 200; ++i) {
    Ipv4Packet packet = flow(i % kFlows);
    packet.identification = static_cast<std::uint16_t>(i);
    two().send("a", in(packet));
  }
  two().run();
  unsigned seen = 0;
  for (const auto& [name, port] : two().ports()) {
    std::map<unsigned, unsigned> next;  // [flow]: the identification that comes next, if the flow is here
    for (const Bytes& frame : two().received(name)) {
      const unsigned id = frame[kEthernet + 4] * 256U + frame[kEthernet + 5];
      const auto expected = next.try_emplace(id % kFlows, id % kFlows).first;
      EXPECT_EQ(id, expected->second) << "rule 13: flow " << id % kFlows << " on " << name;
      expected->second = id + kFlows;
      ++seen;
    }
  }
  EXPECT_EQ(seen, 200U);
}

// The least that has to move is a third: what the new member gets.
TEST_F(Forwarding, Rfc2992_ANewMemberMovesLittleMoreThanItsShare) {
  start(kFourWays + "routes: [{prefix: 203.0.113.0/24, via: [10.0.2.2, 10.0.3.2]}]\n");
  const auto before = ways_of(1000);
  two().must_apply(kThreeMembers);
  const auto after = ways_of(1000);
  unsigned moved = 0;
  for (std::size_t n = 0; n < before.size(); ++n) moved += before[n] != after[n] ? 1 : 0;
  EXPECT_NEAR(counted(after).at("d"), 333, 60) << "rule 13";
  EXPECT_LE(moved, counted(after).at("d") + 60) << "rule 13";
}

TEST_F(Forwarding, AMembersLinkLossMovesItsFlowsToTheOthers) {
  for (const std::string& config : {kThreeMembers, kWeighted}) {
    SCOPED_TRACE(config.substr(config.find("routes")));
    start(config);
    const auto before = ways_of(600);
    for (const char* lost : {"c", "b", "d"}) {
      two().set_link(lost, false);
      two().settle();
      const auto after = ways_of(600);
      expect_only_moved_from(lost, before, after);
      EXPECT_EQ(counted(after).size(), 2U) << "rule 14: both that are left share it";
      two().set_link(lost, true);
      two().settle();
      EXPECT_EQ(ways_of(600), before) << "rule 13: as before, once it is back";
    }
  }
}

TEST_F(Forwarding, MembersThatAreLostOneAfterTheOtherMoveTheirFlowsAlone) {
  start(kWeighted);
  const auto all = ways_of(300);
  two().set_link("b", false);
  two().settle();
  const auto without_b = ways_of(300);
  expect_only_moved_from("b", all, without_b);
  two().set_link("d", false);
  two().settle();
  const auto without_both = ways_of(300);
  expect_only_moved_from("d", without_b, without_both);
  EXPECT_EQ(counted(without_both), (std::map<std::string, unsigned>{{"c", 300}})) << "rule 14";
  two().set_link("b", true);
  two().settle();
  expect_only_moved_from("d", all, ways_of(300));
  two().set_link("d", true);
  two().settle();
  EXPECT_EQ(ways_of(300), all) << "rule 13";
}

// A floating static route.
TEST_F(Forwarding, AStaticRouteWithoutALinkGivesWayToOneOfAGreaterDistance) {
  const std::string floating = kFourWays +
                               "routes:\n"
                               "  - {prefix: 203.0.113.0/24, via: 10.0.3.2, distance: 200}\n"
                               "  - {prefix: 203.0.113.0/24, via: 10.0.2.2}\n";
  start(floating);
  using Counted = std::map<std::string, unsigned>;
  EXPECT_EQ(counted(ways_of(20)), (Counted{{"b", 20}}));
  two().set_link("b", false);
  two().settle();
  EXPECT_EQ(counted(ways_of(20)), (Counted{{"c", 20}})) << "rule 14";
  two().set_link("b", true);
  two().settle();
  EXPECT_EQ(counted(ways_of(20)), (Counted{{"b", 20}}));
  // Whatever source the other one is of.
  config::RouteConfig learned;
  learned.via = {ip("10.0.4.2")};
  learned.distance = 110;
  ASSERT_TRUE(two().control().add_route(*Ipv4Prefix::parse("203.0.113.0/24"), {learned, 0}));
  two().set_link("b", false);
  two().settle();
  EXPECT_EQ(counted(ways_of(20)), (Counted{{"d", 20}})) << "rule 14";
  // A new configuration is looked at with the links that there are, and its routes replace the others.
  two().must_apply(kFourWays +
                   "routes:\n"
                   "  - {prefix: 203.0.113.0/24, via: 10.0.3.2, distance: 50}\n"
                   "  - {prefix: 203.0.113.0/24, via: 10.0.2.2, distance: 5}\n");
  EXPECT_EQ(counted(ways_of(20)), (Counted{{"c", 20}}));
  EXPECT_EQ(two().control().count(controlplane::RouteSource::static_config), 2U);
  two().must_apply(kFourWays);
  EXPECT_EQ(counted(ways_of(20)), (Counted{{"d", 20}}));
  EXPECT_EQ(two().control().count(controlplane::RouteSource::static_config), 0U);
}

// RFC 4271 5.1.3.
TEST_F(Forwarding, ANextHopOnNoLinkGoesByTheRouteToIt) {
  const std::string recursive = "  - {prefix: 203.0.113.0/24, via: 172.16.0.9}\n";
  const std::string floating = "  - {prefix: 203.0.113.0/24, via: 10.0.4.2, distance: 200}\n";
  const auto leads = [](const std::string& via) { return "  - {prefix: 172.16.0.0/16, via: " + via + "}\n"; };
  start(kFourWays + "routes:\n" + leads("[10.0.2.2, 10.0.3.2]") + recursive);
  EXPECT_EQ(counted(ways_of(200)).size(), 2U) << "over all of the route's next hops";
  two().set_link("b", false);
  two().settle();
  using Counted = std::map<std::string, unsigned>;
  EXPECT_EQ(counted(ways_of(20)), (Counted{{"c", 20}})) << "rule 14";
  two().must_apply(kFourWays + "routes:\n" + leads("10.0.4.2") + recursive);
  EXPECT_EQ(counted(ways_of(20)), (Counted{{"d", 20}})) << "the route to it is another one";
  // The default route leads to no next hop, and a route without a way gives way.
  two().must_apply(kFourWays + "routes:\n  - {prefix: 0.0.0.0/0, via: 10.0.3.2}\n" + recursive + floating);
  EXPECT_EQ(counted(ways_of(20)), (Counted{{"d", 20}}));
  config::RouteConfig learned;
  learned.via = {ip("10.0.3.2")};
  ASSERT_TRUE(two().control().add_route(*Ipv4Prefix::parse("172.16.0.0/24"), {learned, 0}));
  two().advance(0.1);
  EXPECT_EQ(counted(ways_of(20)), (Counted{{"c", 20}})) << "it has one again";
  ASSERT_TRUE(two().control().remove_route(*Ipv4Prefix::parse("172.16.0.0/24")));
  two().advance(0.1);
  EXPECT_EQ(counted(ways_of(20)), (Counted{{"d", 20}}));
}

// What is repaired is the group, whatever is behind it: each next hop that has the lost member is stored
// once, and no prefix is touched.
TEST_F(Forwarding, LinkLossBehindManyPrefixesIsOneStoreForEachNextHop) {
  start(kThreeMembers);
  constexpr unsigned kPrefixes = 100'000;
  const auto prefix = [](unsigned i) { return Ipv4Prefix(Ipv4Address(0x14000000 + (i << 8)), 24); };
  config::RouteConfig route;
  route.via = {ip("10.0.2.2"), ip("10.0.3.2")};
  for (unsigned i = 0; i < kPrefixes; ++i) ASSERT_TRUE(two().control().add_route(prefix(i), {route, 0}));
  const auto ids = [&] {
    std::vector<NextHopId> all;
    const auto& fib = two().control().tables().fib<Ipv4Address>(FibId(0));
    for (unsigned i = 0; i < kPrefixes; ++i)
      all.push_back(fib.lookup(Ipv4Address(prefix(i).address().value() + 1)));
    return all;
  };
  auto& next_hops = two().control().next_hops();
  const InterfaceId c = two().interface("c").id;
  unsigned with_c = 0;
  next_hops.visit([&](const auto& set) {
    with_c +=
        std::ranges::any_of(set.members, [&](const auto* m) { return m != nullptr && m->key.interface == c; })
            ? 1
            : 0;
  });
  EXPECT_EQ(with_c, 3U) << "the group of the prefixes, that of the configuration, the host route of 10.0.3.2";

  const auto ids_before = ids();
  const std::uint64_t before = next_hops.groups_published();
  two().set_link("c", false);
  two().settle();
  EXPECT_EQ(next_hops.groups_published(), before + with_c) << "rule 14";
  EXPECT_EQ(ids(), ids_before) << "rule 14: the FIB is as it was";
  for (unsigned i = 0; i < kPrefixes; i += 997) {
    EXPECT_EQ(way_of({.destination = prefix(i).last()}), "b") << "rule 14: " << prefix(i).to_string();
  }
}

TEST_F(Forwarding, AllMembersLostIsHostUnreachable) {
  start(kThreeMembers);
  for (const char* name : {"b", "c", "d"}) two().set_link(name, false);
  two().settle();
  verify(two(), "a",
         refuses("rule 14", {.destination = ip("203.0.113.9")}, DropReason::next_hop_lost, {.code = 1}));
}

// Rules 13, 14.
TEST_F(Forwarding, AMemberWhoseNeighborDiesLosesItsTraffic) {
  const std::string dynamic = kThreeMembers.substr(0, kThreeMembers.find("  - {address: 10.0.4.2")) +
                              kThreeMembers.substr(kThreeMembers.find("routes"));
  start(dynamic);
  const MacAddress host = mac("02:00:00:00:04:02");
  const auto answer = [&] {
    two().send(
        "d", frame(two().mac("d"), host, ArpPacket{2, host, ip("10.0.4.2"), two().mac("d"), ip("10.0.4.1")}));
    two().settle();
  };
  answer();
  const auto before = ways_of(300);
  EXPECT_EQ(counted(before).size(), 3U);
  two().advance(40);  // it is a route's next hop: probed, unanswered
  two().settle();
  expect_only_moved_from("d", before, ways_of(300));
  answer();
  EXPECT_EQ(ways_of(300), before) << "rule 13: as before, once it is back";
}

TEST_F(Forwarding, AConfiguredRouteInsideASubnetBeatsALearnedNeighbor) {
  start(kFourWays + "routes: [{prefix: 10.0.2.128/25, type: blackhole}]\n");
  const MacAddress host = mac("02:00:00:00:02:c8");
  const Bytes hello = frame(kBroadcastMac, host, ArpPacket{1, host, ip("10.0.2.200"), {}, ip("10.0.2.1")});
  verify(two(), "a",
         drops("rule 12: before", {.destination = ip("10.0.2.200")}, DropReason::route_blackhole));
  two().send("b", hello);
  two().settle();
  verify(two(), "a",
         drops("rule 12: an ARP request opens no hole in it", {.destination = ip("10.0.2.200")},
               DropReason::route_blackhole));
}

TEST_F(Forwarding, InterfaceCountersCountFramesAndBytes) {
  const Bytes packet = in({});
  const auto before = two().control().totals(two().interface("b").id);
  for (unsigned i = 0; i < 5; ++i) two().send("a", packet);
  two().run();
  const auto a = two().control().totals(two().interface("a").id);
  const auto b = two().control().totals(two().interface("b").id);
  EXPECT_EQ(a.rx_packets, 5U);
  EXPECT_EQ(a.rx_bytes, 5 * packet.size());
  EXPECT_EQ(b.tx_packets - before.tx_packets, 5U);
  EXPECT_EQ(b.tx_bytes - before.tx_bytes, 5 * packet.size());
  EXPECT_EQ(two().control().sent_to({two().interface("b").id, ip("10.0.2.2")}),
            std::pair(std::uint64_t{5}, std::uint64_t{5 * (packet.size() - kEthernet)}));
}

// Rule 13.
TEST_F(Forwarding, BurstsOfAllSizesKeepTheirOrder) {
  for (const unsigned size : {1U, 2U, 31U, 32U, 33U, 64U, 65U, 200U}) {
    std::vector<Bytes> wanted;
    for (unsigned i = 0; i < size; ++i) {
      const Bytes packet = in({.identification = static_cast<std::uint16_t>(i)});
      two().send("a", packet);
      wanted.push_back(forwarded(packet, kHostB, two().mac("b")));
    }
    two().run();
    expect_frames(wanted, two().received("b"));
  }
}

}  // namespace
}  // namespace millrace::behaviour
