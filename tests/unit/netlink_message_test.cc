#include "controlplane/netlink_message.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "tests/unit/netlink_bytes.h"

namespace millrace::controlplane {
namespace {

std::vector<NetlinkMessage> parsed(const ByteString& bytes) {
  std::vector<NetlinkMessage> messages;
  const auto result = parse_netlink(bytes, messages);
  EXPECT_TRUE(result) << result.error();
  return messages;
}
NetlinkRoute route_of(const ByteString& bytes) {
  const auto messages = parsed(bytes);
  EXPECT_EQ(messages.size(), 1U);
  return messages.empty() ? NetlinkRoute{} : std::get<NetlinkRoute>(messages.front());
}
NetlinkNextHop next_hop_of(const ByteString& bytes) {
  const auto messages = parsed(bytes);
  EXPECT_EQ(messages.size(), 1U);
  return messages.empty() ? NetlinkNextHop{} : std::get<NetlinkNextHop>(messages.front());
}

TEST(NetlinkMessage, ARouteHasItsPrefixProtocolTableAndPriority) {
  const NetlinkRoute ipv4 = route_of(new_route({"10.1.0.0/16"}, by_id(23)));
  EXPECT_FALSE(ipv4.remove);
  EXPECT_EQ(ipv4.flags, 0x501);
  EXPECT_EQ(to_string(ipv4.prefix), "10.1.0.0/16");
  EXPECT_EQ(ipv4.type, NetlinkRoute::Type::unicast);
  EXPECT_EQ(ipv4.protocol, kBgp);
  EXPECT_EQ(ipv4.table, 254U);
  EXPECT_EQ(ipv4.priority, 20U);
  EXPECT_EQ(ipv4.next_hop_id, 23U);
  EXPECT_TRUE(ipv4.hops.empty());
  EXPECT_FALSE(ipv4.narrowed);
  const NetlinkRoute ipv6 = route_of(del_route({"2001:db8::/32", kZebraStatic}));
  EXPECT_TRUE(ipv6.remove);
  EXPECT_EQ(to_string(ipv6.prefix), "2001:db8::/32");
  EXPECT_EQ(ipv6.protocol, kZebraStatic);
}

TEST(NetlinkMessage, ADefaultRouteNeedsNoDestination) {
  EXPECT_EQ(to_string(route_of(message(kNewRoute, route_header(kInet, 0))).prefix), "0.0.0.0/0");
  EXPECT_EQ(to_string(route_of(message(kNewRoute, route_header(kInet6, 0))).prefix), "::/0");
}

TEST(NetlinkMessage, ATableAbove255StandsInItsAttribute) {
  EXPECT_EQ(route_of(new_route({"10.0.0.0/8"}, attribute(15, u32(1000)))).table, 1000U);
}

TEST(NetlinkMessage, TypesOfRoutesAreTold) {
  using Type = NetlinkRoute::Type;
  for (const auto& [wire_type, type] :
       {std::pair(kUnicast, Type::unicast), std::pair(kBlackhole, Type::blackhole),
        std::pair(kUnreachable, Type::unreachable), std::pair(kProhibit, Type::prohibit),
        std::pair(std::uint8_t{2}, Type::other), std::pair(std::uint8_t{5}, Type::other)})
    EXPECT_EQ(route_of(new_route({"10.0.0.0/8", kBgp, wire_type})).type, type) << int{wire_type};
}

TEST(NetlinkMessage, AHopIsAGatewayAndALink) {
  const NetlinkRoute ipv4 = route_of(new_route({"10.0.0.0/8"}, via("192.0.2.2", 7)));
  ASSERT_EQ(ipv4.hops.size(), 1U);
  EXPECT_EQ(ipv4.hops[0].gateway, IpAddress(Ipv4Address(192, 0, 2, 2)));
  EXPECT_EQ(ipv4.hops[0].interface_index, 7U);
  const NetlinkRoute link = route_of(new_route({"10.0.0.0/8"}, attribute(4, u32(5))));
  ASSERT_EQ(link.hops.size(), 1U);
  EXPECT_FALSE(link.hops[0].gateway);
}

// RFC 8950: RTA_VIA has a family of its own.
TEST(NetlinkMessage, AnIpv4RouteMayGoByAnIpv6NextHop) {
  const ByteString via6 = attribute(18, joined({{kInet6, 0}, wire("2001:db8::2")}));
  const NetlinkRoute route = route_of(new_route({"10.0.0.0/8"}, via6));
  ASSERT_EQ(route.hops.size(), 1U);
  EXPECT_EQ(route.hops[0].gateway->to_string(), "2001:db8::2");
}

TEST(NetlinkMessage, SeveralHopsStandInMultipathWithTheirWeights) {
  const NetlinkRoute route =
      route_of(new_route({"10.0.0.0/8"}, multipath({path("192.0.2.2", 1, 3), path("192.0.2.3", 256, 4)})));
  ASSERT_EQ(route.hops.size(), 2U);
  EXPECT_EQ(route.hops[0].gateway->to_string(), "192.0.2.2");
  EXPECT_EQ(route.hops[0].weight, 1U);
  EXPECT_EQ(route.hops[0].interface_index, 3U);
  EXPECT_EQ(route.hops[1].gateway->to_string(), "192.0.2.3");
  EXPECT_EQ(route.hops[1].weight, 256U);
  EXPECT_EQ(route.hops[1].interface_index, 4U);
}

TEST(NetlinkMessage, WhatCannotBeForwardedByAddressAloneIsMarked) {
  ByteString by_source = route_header(kInet, 0);
  by_source[2] = 24;
  ByteString by_tos = route_header(kInet, 0);
  by_tos[3] = 8;
  ByteString cached = route_header(kInet, 0);
  cached[9] = 2;  // RTM_F_CLONED is 0x200
  for (const ByteString& header : {by_source, by_tos, cached})
    EXPECT_TRUE(route_of(message(kNewRoute, header)).narrowed);
  EXPECT_TRUE(route_of(new_route({"10.0.0.0/8"}, joined({via("192.0.2.2"), attribute(22, {1, 2, 3, 4})})))
                  .hops[0]
                  .encapsulates);
}

TEST(NetlinkMessage, ANextHopIsOneOrAGroup) {
  const NetlinkNextHop one = next_hop_of(next_hop(22, "192.0.2.2", 7));
  EXPECT_EQ(one.id, 22U);
  EXPECT_EQ(one.hop.gateway->to_string(), "192.0.2.2");
  EXPECT_EQ(one.hop.interface_index, 7U);
  EXPECT_TRUE(one.group.empty());
  EXPECT_FALSE(one.blackhole);
  const NetlinkNextHop several = next_hop_of(group(23, {{22, 1}, {24, 256}}));
  ASSERT_EQ(several.group.size(), 2U);
  EXPECT_EQ(several.group[0].id, 22U);
  EXPECT_EQ(several.group[0].weight, 1U) << "the byte is the weight less one";
  EXPECT_EQ(several.group[1].id, 24U);
  EXPECT_EQ(several.group[1].weight, 256U);
  EXPECT_TRUE(next_hop_of(blackhole_next_hop(25)).blackhole);
  EXPECT_FALSE(next_hop_of(link_next_hop(26)).hop.gateway);
  EXPECT_TRUE(next_hop_of(del_next_hop(22)).remove);
  EXPECT_EQ(next_hop_of(next_hop(27, "fe80::2")).hop.gateway->to_string(), "fe80::2");
}

TEST(NetlinkMessage, WeightsOfANewerKernelHaveTwoBytes) {
  ByteString list = u32(22);
  put(list, {255, 255, 0, 0});
  EXPECT_EQ(next_hop_of(next_hop_message(kNewNextHop, 0, 23, attribute(2, list))).group[0].weight, 65536U);
}

TEST(NetlinkMessage, WhatTheSendersKernelDoesNotUseIsDead) {
  const NetlinkRoute several = route_of(
      new_route({"10.0.0.0/8"}, multipath({path("192.0.2.2", 1, 3, 1 | 16), path("192.0.2.3", 1, 3, 16)})));
  EXPECT_TRUE(several.hops[0].dead);
  EXPECT_FALSE(several.hops[1].dead) << "without a carrier it may still be used";
  ByteString header = route_header(kInet, 0);
  header[8] = 1;
  EXPECT_TRUE(route_of(message(kNewRoute, joined({header, via("192.0.2.2")}))).hops[0].dead);
  EXPECT_FALSE(route_of(new_route({"10.0.0.0/8"}, via("192.0.2.2"))).hops[0].dead);
}

TEST(NetlinkMessage, ALinkHasANameAndIsUpOrNot) {
  const auto link_of = [](const ByteString& bytes) { return std::get<NetlinkLink>(parsed(bytes).at(0)); };
  const NetlinkLink up = link_of(link(7, "tap0"));
  EXPECT_EQ(up.index, 7U);
  EXPECT_EQ(up.name, "tap0");
  using State = NetlinkLink::State;
  EXPECT_EQ(up.state, State::up);
  EXPECT_FALSE(up.remove);
  EXPECT_EQ(link_of(link(7, "tap0", kNoCarrier)).state, State::without_carrier);
  EXPECT_EQ(link_of(link(7, "tap0", kLinkDown)).state, State::down);
  EXPECT_EQ(link_of(link(7, "tap0", 0x11042)).state, State::down);
  EXPECT_TRUE(link_of(link(7, "tap0", 0, kDelLink)).remove);
  // A bridge speaks of its port.
  const ByteString of_bridge = message(kDelLink, joined({{7, 0, 1, 0}, u32(7), u32(0), u32(0)}));
  EXPECT_TRUE(std::holds_alternative<NetlinkOther>(parsed(of_bridge).at(0)));
}

TEST(NetlinkMessage, TheEndOfAnAnswerHasItsRequestAndAnError) {
  const auto done_of = [](const ByteString& bytes) { return std::get<NetlinkDone>(parsed(bytes).at(0)); };
  EXPECT_EQ(done_of(done(9)).sequence, 9U);
  EXPECT_EQ(done_of(done(9)).error, 0);
  EXPECT_EQ(done_of(done(9, 2)).error, 2);
  EXPECT_EQ(done_of(done(9, 0, kDumped | kInconsistent)).flags, kDumped | kInconsistent);
  EXPECT_EQ(done_of(message(kNetlinkError, joined({u32(0xffffffa1), ByteString(16)}), 0, 4)).error, 95);
  EXPECT_EQ(done_of(message(kNetlinkDone, {}, 0, 4)).error, 0);
}

TEST(NetlinkMessage, MessagesFollowEachOther) {
  const auto messages = parsed(joined({del_route({"10.0.0.0/8"}), new_route({"10.0.0.0/8"}, by_id(1))}));
  ASSERT_EQ(messages.size(), 2U);
  EXPECT_TRUE(std::get<NetlinkRoute>(messages[0]).remove);
  EXPECT_FALSE(std::get<NetlinkRoute>(messages[1]).remove);
  EXPECT_TRUE(parsed({}).empty());
}

TEST(NetlinkMessage, WhatIsNotOfIpRoutesIsPassedOver) {
  const auto messages = parsed(joined({message(28, {1, 2, 3}), message(kNewRoute, route_header(28, 20)),
                                       new_route({"10.0.0.0/8"}, attribute(99, {1, 2, 3}))}));
  ASSERT_EQ(messages.size(), 3U);
  EXPECT_EQ(std::get<NetlinkOther>(messages[0]).type, 28);
  EXPECT_EQ(std::get<NetlinkOther>(messages[1]).type, kNewRoute) << "AF_MPLS";
  EXPECT_EQ(to_string(std::get<NetlinkRoute>(messages[2]).prefix), "10.0.0.0/8");
}

struct Wrong {
  const char* what;
  ByteString bytes;
  const char* says;
};

// A message whose own length says `length`.
ByteString with_length(ByteString message, std::uint32_t length) {
  for (unsigned i = 0; i < 4; ++i) message[i] = static_cast<std::uint8_t>(length >> (8 * i));
  return message;
}

TEST(NetlinkMessage, WhatIsMalformedIsAnErrorThatSaysWhy) {
  const ByteString good = new_route({"10.0.0.0/8"});
  const auto size = static_cast<std::uint32_t>(good.size());
  ByteString short_path = path("192.0.2.2");
  short_path[0] = 7;
  ByteString long_path = path("192.0.2.2");
  long_path[0] = 17;
  ByteString torn = route_header(kInet, 0);
  put(torn, {3, 0, 1, 0});
  const Wrong table[] = {
      {"a header that is cut off",
       {good.begin(), good.begin() + 15},
       "the last 15 bytes, at byte 0, are no whole"},
      {"a message longer than the rest", with_length(good, size + 1), "are no whole netlink message"},
      {"a message shorter than its header", with_length(good, 15), "are no whole netlink message"},
      {"a length above 2^31", with_length(good, 0x80000020), "are no whole netlink message"},
      {"something behind a message", joined({good, {0, 0, 0, 0}}), "the last 4 bytes, at byte 44,"},
      {"no room for rtmsg", message(kNewRoute, {2, 8}),
       "RTM_NEWROUTE at byte 0: the payload has 2 bytes, not 12"},
      {"no room for nhmsg", message(kNewNextHop, {2}),
       "RTM_NEWNEXTHOP at byte 0: the payload has 1 bytes, not 8"},
      {"an attribute shorter than its header", message(kNewRoute, torn),
       "the last 4 bytes of the message are no whole attribute"},
      {"a long prefix", message(kNewRoute, route_header(kInet, 33)), "the prefix length is 33"},
      {"a long prefix of IPv6", message(kNewRoute, route_header(kInet6, 129)), "the prefix length is 129"},
      {"no destination", message(kNewRoute, route_header(kInet, 8)), "length 8 comes without RTA_DST"},
      {"a destination of the other family",
       message(kNewRoute, joined({route_header(kInet, 8), attribute(1, wire("2001:db8::"))})),
       "RTA_DST has 16 bytes, not 4"},
      {"a gateway that is cut off", new_route({"2001:db8::/32"}, attribute(5, {1, 2, 3})),
       "RTA_GATEWAY has 3 bytes, not 16"},
      {"a short number", new_route({"10.0.0.0/8"}, attribute(4, {1})), "RTA_OIF has 1 bytes, not 4"},
      {"a short id", new_route({"10.0.0.0/8"}, attribute(30, {1, 0})), "RTA_NH_ID has 2 bytes, not 4"},
      {"RTA_VIA without a family", new_route({"10.0.0.0/8"}, attribute(18, {10})),
       "RTA_VIA has 1 bytes, and no family"},
      {"RTA_VIA of Ethernet", new_route({"10.0.0.0/8"}, attribute(18, {17, 0, 1, 2})),
       "of the address family 17"},
      {"RTA_VIA that is cut off", new_route({"10.0.0.0/8"}, attribute(18, {10, 0, 1, 2})),
       "the address of RTA_VIA has 2 bytes, not 16"},
      {"a path that is cut off", new_route({"10.0.0.0/8"}, attribute(9, {8, 0, 0, 0})),
       "the last 4 bytes of RTA_MULTIPATH are no next hop"},
      {"a path shorter than its header", new_route({"10.0.0.0/8"}, attribute(9, short_path)),
       "says that it has 7 bytes"},
      {"a path longer than the rest", new_route({"10.0.0.0/8"}, attribute(9, long_path)),
       "says that it has 17 bytes, where 16"},
      {"a group without members", next_hop_message(kNewNextHop, 0, 1, attribute(2, {})),
       "NHA_GROUP has 0 bytes"},
      {"a group with half a member", next_hop_message(kNewNextHop, 0, 1, attribute(2, {1, 0, 0, 0})),
       "NHA_GROUP has 4 bytes, not a multiple of 8"},
      {"a next hop without an id", message(kNewNextHop, ByteString(8)), "there is no NHA_ID"},
      {"a next hop of another length",
       next_hop_message(kNewNextHop, kInet, 1, attribute(6, wire("2001:db8::1"))),
       "NHA_GATEWAY has 16 bytes"},
      {"no room for ifinfomsg", message(kNewLink, ByteString(15)),
       "RTM_NEWLINK at byte 0: the payload has 15 bytes, not 16"},
      {"an error without a number", message(kNetlinkError, {1, 0}),
       "NLMSG_ERROR at byte 0: the payload has 2"},
  };
  for (const Wrong& wrong : table) {
    std::vector<NetlinkMessage> messages;
    const auto result = parse_netlink(wrong.bytes, messages);
    ASSERT_FALSE(result) << wrong.what;
    EXPECT_NE(result.error().find(wrong.says), std::string::npos) << wrong.what << ": " << result.error();
  }
}

TEST(NetlinkMessage, AnErrorKeepsWhatCameBeforeAndNamesTheMessage) {
  std::vector<NetlinkMessage> messages;
  const auto result =
      parse_netlink(joined({new_route({"10.0.0.0/8"}), message(kDelNextHop, ByteString(8))}), messages);
  ASSERT_FALSE(result);
  EXPECT_EQ(messages.size(), 1U);
  EXPECT_EQ(result.error(), "RTM_DELNEXTHOP at byte 44: there is no NHA_ID");
}

// Wherever a message is cut off, it is an error or another message, and nothing outside is read (ASan).
TEST(NetlinkMessage, AnyCutIsSeen) {
  const ByteString whole = joined(
      {new_route({"10.0.0.0/8"}, multipath({path("192.0.2.2"), path("192.0.2.3")})), group(3, {{1}, {2}})});
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const ByteString cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
    std::vector<NetlinkMessage> messages;
    const bool between = size == 0 || size == 80;  // of the messages
    EXPECT_EQ(bool(parse_netlink(cut, messages)), between) << size;
  }
}

}  // namespace
}  // namespace millrace::controlplane
