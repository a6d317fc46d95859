// The IPv6 way of a packet (RFC 8200, 4443, 4291): what is forwarded and how it leaves, what is refused and
// what the sender hears.
#include <map>
#include <random>
#include <set>

#include "cases6.h"

namespace millrace::behaviour {
namespace {

class Ipv6Forwarding : public TwoLinksTest {};

Bytes extension(std::uint8_t next, const Bytes& body) {
  Bytes header = {next, 0};
  return join(header, body);
}

TEST_F(Ipv6Forwarding, Rfc8200_3_TheHeaderIsWhatItHasToBe) {
  const Bytes whole = in({});
  const Bytes header_only = in({.payload_length = 0, .payload = {}});
  const auto padded = [&](const Bytes& frame) { return join(frame, Bytes(6, 0xee)); };
  const Bytes bare = forwarded6(header_only, kHostB, two().mac("b"));
  verify(two(), "a",
         {
             forwards("rule 24: to the host on b", {}),
             {"rule 24: a header alone", header_only, sent("b", bare)},
             {"rule 24: one byte less than a header", slice(header_only, 0, kEthernet + 39),
              dropped(DropReason::ipv6_truncated)},
             {"rule 24: an Ethernet header alone", slice(whole, 0, kEthernet),
              dropped(DropReason::ipv6_truncated)},
             drops("rule 24: version 4", {.version = 4}, DropReason::ipv6_bad_version),
             drops("rule 24: version 5", {.version = 5}, DropReason::ipv6_bad_version),
             drops("rule 24: version 7", {.version = 7}, DropReason::ipv6_bad_version),
             drops("rule 24: version 0", {.version = 0}, DropReason::ipv6_bad_version),
             drops("rule 24: a payload one byte longer than the frame", {.payload_length = 27},
                   DropReason::ipv6_payload_long),
             drops("rule 24: a payload of 65,535", {.payload_length = 65535}, DropReason::ipv6_payload_long),
             {"rule 24: what the link added is cut", padded(whole),
              sent("b", forwarded6(whole, kHostB, two().mac("b")))},
             {"rule 24: a payload shorter than the frame", in({.payload_length = 20}),
              sent("b", forwarded6(in({.payload_length = 20}), kHostB, two().mac("b")))},
             {"rule 24: the header in two segments",
              whole,
              sent("b", forwarded6(whole, kHostB, two().mac("b"))),
              {.segments = {30}}},
             {"rule 24: the same, and what the link added",
              padded(whole),
              sent("b", forwarded6(whole, kHostB, two().mac("b"))),
              {.segments = {30}}},
         });
}

TEST_F(Ipv6Forwarding, Rfc8200_3_OnlyTheHopLimitChanges) {
  verify(two(), "a",
         {
             forwards("rule 24: hop limit 255", {.hop_limit = 255}),
             forwards("rule 24: hop limit 2", {.hop_limit = 2}),
             refuses("rule 24: hop limit 1", {.hop_limit = 1}, DropReason::ttl_expired, {.type = 3}),
             refuses("rule 24: hop limit 0", {.hop_limit = 0}, DropReason::ttl_expired, {.type = 3}),
             forwards("the traffic class stays", {.traffic_class = 0xb9}),
             forwards("the flow label stays", {.flow_label = 0xfffff}),
         });
}

TEST_F(Ipv6Forwarding, Rfc4291_2_5_SourcesThatNobodyHas) {
  verify(two(), "a",
         {
             drops("rule 24: a multicast source", {.source = ip6("ff02::1")}, DropReason::source_multicast),
             drops("rule 24: a multicast source of global scope", {.source = ip6("ff0e::1")},
                   DropReason::source_multicast),
             drops("rule 24: the unspecified address", {.source = ip6("::")}, DropReason::source_reserved),
             drops("rule 24: the loopback address", {.source = ip6("::1")}, DropReason::source_reserved),
             drops("our own address", {.source = ip6("2001:db8:1::1")}, DropReason::source_is_own),
             drops("our own address of another link", {.source = ip6("2001:db8:2::1")},
                   DropReason::source_is_own),
             forwards("a neighbour of our own address", {.source = ip6("2001:db8:1::3")}),
             forwards("the first of global unicast", {.source = ip6("2000::")}),
             forwards("a unique local address", {.source = ip6("fd00::1")}),
             forwards("the last before link-local addresses", {.source = ip6("fe7f:ffff::1")}),
             forwards("the first behind link-local addresses", {.source = ip6("fec0::1")}),
         });
}

TEST_F(Ipv6Forwarding, Rfc4291_2_5_DestinationsThatAreNotForwarded) {
  const Ipv6Packet scoped{.source = ip6("fe80::a")};
  verify(two(), "a",
         {
             drops("rule 24: the unspecified address", {.destination = ip6("::")},
                   DropReason::destination_reserved),
             drops("rule 24: the loopback address", {.destination = ip6("::1")},
                   DropReason::destination_reserved),
             drops("a group that we did not join", {.destination = ip6("ff02::5")},
                   DropReason::destination_multicast),
             drops("a group of global scope", {.destination = ip6("ff0e::1:2")},
                   DropReason::destination_multicast),
             refuses("rule 24: a link-local destination", {.destination = ip6("fe80::2")},
                     DropReason::link_local, {.type = 1, .code = 2}),
             refuses("rule 24: the last link-local destination", {.destination = ip6("febf::2")},
                     DropReason::link_local, {.type = 1, .code = 2}),
         });
  Case leaves_its_link =
      refuses("rule 24: a link-local source", scoped, DropReason::link_local, {.type = 1, .code = 2});
  const Interface& a = two().interface("a");
  leaves_its_link.expect.frames = {
      icmp6_error(two(), "a", kHostA, in(scoped), {.type = 1, .code = 2, .source = *a.link_local()})};
  verify(two(), "a", leaves_its_link);
}

TEST_F(Ipv6Forwarding, Rfc1812_5_3_4_FramesThatAreNotForUs) {
  const MacAddress group{{0x33, 0x33, 0, 0, 0, 1}}, other{{2, 0, 0, 0, 9, 9}};
  verify(two(), "a",
         {
             {"a unicast packet in a broadcast frame", frame(kBroadcastMac, kHostA, Ipv6Packet{}),
              dropped(DropReason::l2_broadcast)},
             {"a unicast packet in a multicast frame", frame(group, kHostA, Ipv6Packet{}),
              dropped(DropReason::l2_broadcast)},
             {"a link-local destination in a broadcast frame",
              frame(kBroadcastMac, kHostA, Ipv6Packet{.destination = ip6("fe80::2")}),
              dropped(DropReason::l2_broadcast)},
             {"a frame to another MAC", frame(other, kHostA, Ipv6Packet{}), dropped(DropReason::not_our_mac)},
         });
}

TEST_F(Ipv6Forwarding, Rfc8200_5_PacketsLongerThanTheMtuAreTooBig) {
  const auto of = [](std::size_t length) { return Ipv6Packet{.payload = pattern(length - 40)}; };
  verify(two(), "a",
         {
             forwards("rule 25: as long as the MTU", of(1400)),
             refuses("rule 25: one byte more", of(1401), DropReason::fragmentation_needed,
                     {.type = 2, .rest = 1400}),
             refuses("rules 25, 27: as long as the MTU it came by, and quoted in part", of(1500),
                     DropReason::fragmentation_needed, {.type = 2, .rest = 1400}),
         });
}

TEST_F(Ipv6Forwarding, Rfc7045_ExtensionHeadersPassAsTheyAre) {
  const Bytes data = udp(1000, 2000);
  const Bytes pad = {1, 4, 0, 0, 0, 0};  // PadN
  const Bytes route = {0, 1, 0, 0, 0, 0, 0x20, 1, 0xd, 0xb8, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
  Bytes routing = extension(17, route);
  routing[1] = 2;
  verify(two(), "a",
         {
             forwards("rule 26: hop-by-hop options",
                      {.next_header = kHopByHop, .payload = join(extension(17, pad), data)}),
             forwards("rule 26: destination options",
                      {.next_header = kDestination, .payload = join(extension(17, pad), data)}),
             forwards("rule 26: a routing header with segments left",
                      {.next_header = kRouting, .payload = join(routing, data)}),
             forwards("rule 26: the first fragment",
                      {.next_header = kFragment, .payload = join(fragment_header(17, 0, true), data)}),
             forwards("rule 26: a later fragment",
                      {.next_header = kFragment, .payload = join(fragment_header(17, 1232, false), data)}),
             forwards("rule 26: an unknown header", {.next_header = 253}),
             forwards("rule 26: no next header", {.next_header = kNoNext}),
             forwards("rule 26: an extension header cut short", {.next_header = kHopByHop, .payload = {17}}),
             forwards("rule 26: an extension header longer than the packet",
                      {.next_header = kDestination, .payload = {17, 255, 0, 0, 0, 0, 0, 0}}),
         });
}

TEST_F(Ipv6Forwarding, Rfc1812_5_2_7_TheLongestPrefixWinsAndRoutesMayRefuse) {
  const auto to = [](const char* text) { return Ipv6Packet{.destination = ip6(text)}; };
  const auto by = [&](const char* text, const MacAddress& host, const std::string& on) {
    return forwards_frame(std::string("rule 12: to ") + text, in(to(text)), host, on);
  };
  verify(
      two(), "a",
      {
          by("2001:db8:100::1", kHostB, "b"),
          by("2001:db8:1ff:ffff:ffff:ffff:ffff:ffff", kHostB, "b"),
          by("2001:db8:101::", kHostLinkLocalB, "b"),
          by("2001:db8:101:ffff:ffff:ffff:ffff:ffff", kHostLinkLocalB, "b"),
          by("2001:db8:102::1", kHostA, "a"),  // rule 15: back out of where it came from
          by("2001:db8:106::", kHostB, "b"),
          by("2001:db8:106::1", kHostA, "a"),
          by("2001:db8:106::2", kHostB, "b"),
          drops("rule 12: blackhole", to("2001:db8:103::1"), DropReason::route_blackhole),
          refuses("rule 12: unreachable", to("2001:db8:104::1"), DropReason::route_unreachable, {.type = 1}),
          refuses("rule 12: prohibit", to("2001:db8:105::1"), DropReason::route_prohibit,
                  {.type = 1, .code = 1}),
          refuses("rule 12: no route", to("2001:db8:200::1"), DropReason::no_route, {.type = 1}),
          refuses("rule 12: no route, at the end", to("3fff:ffff::1"), DropReason::no_route, {.type = 1}),
      });
}

TEST_F(Ipv6Forwarding, Rfc8950_AnIpv4RouteMayHaveAnIpv6NextHop) {
  const Bytes sent_frame = towards(two(), "a", kHostA, {.destination = ip("198.18.6.1")});
  verify(two(), "a",
         {"RFC 8950: IPv4 by way of an IPv6 neighbour", sent_frame,
          sent("b", forwarded(sent_frame, kHostB, two().mac("b")))});
}

const std::string kThreeWays = R"(
interfaces:
  a: {device: @a, addresses: ["2001:db8:1::1/64"]}
  b: {device: @b, addresses: ["2001:db8:2::1/64"]}
  c: {device: @c, addresses: ["2001:db8:3::1/127"]}
routes:
  - {prefix: "2001:db8:100::/40", via: ["2001:db8:2::2", "2001:db8:3::"]}
neighbors:
  - {address: "2001:db8:1::2", mac: "02:00:00:00:01:02", interface: a}
  - {address: "2001:db8:2::2", mac: "02:00:00:00:02:02", interface: b}
  - {address: "2001:db8:3::", mac: "02:00:00:00:03:02", interface: c}
)";

class Ipv6Paths : public TwoLinksTest {
 protected:
  std::string way_of(const Ipv6Packet& packet) {
    lab_->send("a", in(packet));
    lab_->step();
    std::string way;
    for (const auto& [name, port] : lab_->ports()) {
      if (!lab_->received(name).empty()) way += name;
    }
    return way;
  }
  static Ipv6Packet flow(unsigned n) {
    return {.destination = ip6("2001:db8:100::1"),
            .payload = udp(static_cast<std::uint16_t>(1024 + n), 53, pattern(40))};
  }
};

TEST_F(Ipv6Paths, Rfc2992_FlowsAreSpreadAndStay) {
  start(kThreeWays);
  std::map<std::string, unsigned> counts;
  for (unsigned n = 0; n < 400; ++n) {
    const std::string way = way_of(flow(n));
    ++counts[way];
    EXPECT_EQ(way, way_of(flow(n))) << "rule 13: flow " << n << " moved";
  }
  EXPECT_EQ(counts["b"] + counts["c"], 400U);
  EXPECT_GT(counts["b"], 140U) << "rule 13";
  EXPECT_GT(counts["c"], 140U) << "rule 13: and the neighbour is one of a /127 (rule 30, RFC 6164)";
}

TEST_F(Ipv6Paths, Rfc2992_EachHalfOfAnAddressCounts) {
  start(kThreeWays);
  const auto ways = [&](auto change) {
    std::set<std::string> used;
    for (std::uint64_t n = 0; n < 64; ++n) {
      Ipv6Packet packet = flow(0);
      change(packet, n);
      used.insert(way_of(packet));
    }
    return used;
  };
  const std::set<std::string> both{"b", "c"};
  constexpr std::uint64_t kSource = 0x20010db809000000, kTo = 0x20010db801000000;
  EXPECT_EQ(ways([](Ipv6Packet& p, auto n) { p.source = Ipv6Address(kSource + n, 1); }), both) << "rule 13";
  EXPECT_EQ(ways([](Ipv6Packet& p, auto n) { p.source = Ipv6Address(kSource, n); }), both) << "rule 13";
  EXPECT_EQ(ways([](Ipv6Packet& p, auto n) { p.destination = Ipv6Address(kTo + n, 1); }), both) << "rule 13";
  EXPECT_EQ(ways([](Ipv6Packet& p, auto n) { p.destination = Ipv6Address(kTo, n); }), both) << "rule 13";
}

// RFC 6164 5.1: a link of two has no address of all its routers.
TEST_F(Ipv6Paths, Rfc6164_TheFirstAddressOfA127IsAHost) {
  start(kThreeWays);
  const MacAddress host = mac("02:00:00:00:03:02");
  verify(
      two(), "a",
      forwards_frame("rule 30: to the first address", in({.destination = ip6("2001:db8:3::")}), host, "c"));
}

TEST_F(Ipv6Paths, Rfc2992_FragmentsOfADatagramStayTogether) {
  start(kThreeWays);
  for (unsigned n = 0; n < 64; ++n) {
    Ipv6Packet first = flow(n), later = flow(n);
    first.destination = later.destination = Ipv6Address(0x20010db801000000 + n, n);
    first.next_header = later.next_header = kFragment;
    first.payload = join(fragment_header(17, 0, true), first.payload);
    later.payload = join(fragment_header(17, 1232, false), pattern(48, n));
    EXPECT_EQ(way_of(first), way_of(later)) << "rule 13: datagram " << n;
  }
}

TEST_F(Ipv6Paths, Rfc2992_PortsBehindExtensionHeadersSpreadFlows) {
  start(kThreeWays);
  std::set<std::string> ways;
  for (unsigned n = 0; n < 64; ++n) {
    Ipv6Packet packet = flow(n);
    packet.next_header = kDestination;
    packet.payload = join(extension(17, {1, 4, 0, 0, 0, 0}), packet.payload);
    ways.insert(way_of(packet));
  }
  EXPECT_EQ(ways, (std::set<std::string>{"b", "c"})) << "rule 13";
}

TEST_F(Ipv6Paths, Rfc6438_LabelsTellFlowsApartWhereTheKnobIsOn) {
  for (const bool by_label : {false, true}) {
    start(kThreeWays, {.flow_label = by_label});
    std::set<std::string> of_ports, of_labels, without;
    for (unsigned n = 0; n < 64; ++n) {
      Ipv6Packet packet = flow(n);
      without.insert(way_of(packet));
      packet.flow_label = 0x12345;
      of_ports.insert(way_of(packet));
      Ipv6Packet labelled = flow(0);
      labelled.flow_label = 0x10000 + n;
      of_labels.insert(way_of(labelled));
    }
    EXPECT_EQ(of_ports.size(), by_label ? 1U : 2U) << "rule 13: one label is one flow";
    EXPECT_EQ(of_labels.size(), by_label ? 2U : 1U) << "rule 13: many labels are many flows";
    EXPECT_EQ(without.size(), 2U) << "rule 13: without a label the ports count";
  }
}

TEST_F(Ipv6Paths, Rfc2992_ALostMembersFlowsMoveAndNoOthers) {
  start(kThreeWays);
  std::vector<std::string> before;
  for (unsigned n = 0; n < 200; ++n) before.push_back(way_of(flow(n)));
  lab_->set_link("c", false);
  lab_->settle();
  for (unsigned n = 0; n < 200; ++n) EXPECT_EQ(way_of(flow(n)), "b") << "rule 14: flow " << n;
  lab_->set_link("c", true);
  lab_->settle();
  for (unsigned n = 0; n < 200; ++n)
    EXPECT_EQ(way_of(flow(n)), before[n]) << "rule 14: flow " << n << " is back";
}

}  // namespace
}  // namespace millrace::behaviour
