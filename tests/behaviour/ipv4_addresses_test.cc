// Which addresses a packet may have and which frames may carry it: RFC 1812 5.3.4, 5.3.5 and 5.3.7 with
// subnets of every shape.
#include "cases.h"

namespace millrace::behaviour {
namespace {

Ipv4Address plus(Ipv4Address address, std::uint32_t n) {
  return Ipv4Address(address.value() + n);
}

class Ipv4Addresses : public TwoSubnetsTest {
 protected:
  // The subnet on b is `subnet`: the router has its first host address, host B the last one.
  void with_subnet(const Ipv4Prefix& subnet) {
    first_ = plus(subnet.address(), 1);
    last_ = Ipv4Address(subnet.last().value() - 1);
    start(R"(
interfaces:
  a: {device: @a, addresses: [10.0.1.1/24]}
  b: {device: @b, addresses: [)" +
          first_.to_string() + "/" + std::to_string(subnet.length()) + R"(]}
neighbors:
  - {address: 10.0.1.2, mac: "02:00:00:00:01:02", interface: a}
  - {address: )" +
          last_.to_string() + R"(, mac: "02:00:00:00:02:02", interface: b}
)");
  }
  Case echo_from(const std::string& what, const char* source, DropReason reason) {
    return drops(what,
                 {.source = ip(source),
                  .destination = ip("10.0.1.1"),
                  .protocol = 1,
                  .payload = icmp(8, 0, 1, pattern(8))},
                 reason);
  }
  Case expires_from(const std::string& what, const char* source, DropReason reason) {
    return drops(what, {.source = ip(source), .ttl = 1}, reason);
  }
  Ipv4Address first_, last_;
};

TEST_F(Ipv4Addresses, Rfc1812_5_3_5_EndsOfSubnetsOfEveryLength) {
  for (unsigned length = 8; length <= 30; ++length) {
    const Ipv4Prefix subnet(ip("20.128.96.160"), length);
    SCOPED_TRACE(subnet.to_string());
    with_subnet(subnet);
    const Ipv4Address network = subnet.address(), broadcast = subnet.last();
    verify(
        two(), "a",
        {drops("rule 9: to the network address", {.destination = network}, DropReason::subnet_broadcast),
         drops("rule 9: to the broadcast address", {.destination = broadcast}, DropReason::subnet_broadcast),
         forwards("rule 9: to the last host", {.destination = last_}),
         drops("rule 10: from the network address", {.source = network, .destination = last_},
               DropReason::source_broadcast),
         drops("rule 10: from the broadcast address", {.source = broadcast, .destination = last_},
               DropReason::source_broadcast),
         drops("rule 10: from our own address", {.source = first_, .destination = last_},
               DropReason::source_is_own),
         forwards("rule 10: from the address beside ours",
                  {.source = length == 30 ? last_ : plus(first_, 1), .destination = last_}),
         refuses("rule 9: one below the subnet", {.destination = Ipv4Address(network.value() - 1)},
                 DropReason::no_route, {.code = 0}),
         refuses("rule 9: one above it", {.destination = plus(broadcast, 1)}, DropReason::no_route,
                 {.code = 0})});
  }
}

TEST_F(Ipv4Addresses, Rfc2644_BroadcastAddressesOfSubnetsElsewhereAreOrdinary) {
  verify(two(), "a",
         {forwards("rule 9: the end of a route's prefix", {.destination = ip("203.0.113.255")}),
          forwards("rule 9: its beginning", {.destination = ip("203.0.113.0")}),
          forwards("rule 10: from such an end", {.source = ip("198.51.100.255")})});
}

TEST_F(Ipv4Addresses, Rfc2644_DirectedBroadcastsAreForwardedWhereTheyMay) {
  std::string yaml = kTwoSubnets;
  yaml.insert(yaml.find("{device: @b") + 1, "directed_broadcast: true, ");
  start(yaml);
  const auto to = [&](const char* destination) { return in({.destination = ip(destination)}); };
  verify(two(), "a",
         {{"rule 9: to all hosts of b", to("10.0.2.255"),
           sent("b", forwarded(to("10.0.2.255"), kBroadcastMac, two().mac("b")))},
          {"rule 9: to its network address", to("10.0.2.0"), dropped(DropReason::subnet_broadcast)},
          {"rule 9: to all hosts of a", to("10.0.1.255"), dropped(DropReason::subnet_broadcast)}});
  two().must_apply(kTwoSubnets);
  verify(two(), "a", {"rule 9: off again", to("10.0.2.255"), dropped(DropReason::subnet_broadcast)});
  two().must_apply(yaml);
  verify(two(), "a",
         {"rule 9: on again", to("10.0.2.255"),
          sent("b", forwarded(to("10.0.2.255"), kBroadcastMac, two().mac("b")))});
}

TEST_F(Ipv4Addresses, Rfc919_LimitedBroadcastIsNotForwardedNorAnswered) {
  const Ipv4Packet plain{.destination = ip("255.255.255.255")};
  const Ipv4Packet expired{.destination = ip("255.255.255.255"), .ttl = 1};
  const Ipv4Packet echo{
      .destination = ip("255.255.255.255"), .protocol = 1, .payload = icmp(8, 0, 1, pattern(8))};
  const DropReason reason = DropReason::destination_broadcast;
  verify(two(), "a",
         {drops("rule 9: in a unicast frame", plain, reason),
          {"rule 9: in a broadcast frame", frame(kBroadcastMac, kHostA, plain), dropped(reason)},
          drops("rules 9, 17: with TTL 1", expired, reason),
          drops("rules 9, 19: an echo", echo, reason)});
}

TEST_F(Ipv4Addresses, AnAddressOf32BitsIsOursAndItsNeighboursAreNot) {
  start(R"(
interfaces:
  a: {device: @a, addresses: [10.0.1.1/24]}
  b: {device: @b, addresses: [10.0.2.1/32]}
neighbors: [{address: 10.0.1.2, mac: "02:00:00:00:01:02", interface: a}]
)");
  verify(two(), "a",
         {refuses("rule 9: one below", {.destination = ip("10.0.2.0")}, DropReason::no_route, {.code = 0}),
          refuses("rule 9: one above", {.destination = ip("10.0.2.2")}, DropReason::no_route, {.code = 0}),
          drops("rule 10: from it", {.source = ip("10.0.2.1")}, DropReason::source_is_own)});
}

// They leave from neither end, and nobody is told: the sender cannot be trusted or does not exist.
TEST_F(Ipv4Addresses, Rfc1812_5_3_7_ASourceThatIsNoHostIsNeverAnswered) {
  for (const auto& [source, reason] :
       std::vector<std::pair<const char*, DropReason>>{{"0.0.0.0", DropReason::source_reserved},
                                                       {"0.0.0.1", DropReason::source_reserved},
                                                       {"127.0.0.1", DropReason::source_reserved},
                                                       {"240.0.0.1", DropReason::source_reserved},
                                                       {"224.0.0.1", DropReason::source_multicast},
                                                       {"239.255.255.255", DropReason::source_multicast},
                                                       {"255.255.255.255", DropReason::source_broadcast},
                                                       {"10.0.1.0", DropReason::source_broadcast},
                                                       {"10.0.1.255", DropReason::source_broadcast},
                                                       {"10.0.1.1", DropReason::source_is_own},
                                                       {"10.0.2.1", DropReason::source_is_own}}) {
    verify(two(), "a",
           {echo_from("rules 10, 19: echo from " + std::string(source), source, reason),
            expires_from("rules 10, 17: TTL 1 from " + std::string(source), source, reason)});
  }
}

TEST_F(Ipv4Addresses, Rfc1812_5_3_7_AMartianIsDroppedWhateverItsRoute) {
  start(R"(
interfaces:
  a: {device: @a, addresses: [10.0.1.1/24]}
  b: {device: @b, addresses: [10.0.2.1/24]}
routes: [{prefix: 0.0.0.0/0, via: 10.0.2.2}]
neighbors: [{address: 10.0.2.2, mac: "02:00:00:00:02:02", interface: b}]
)");
  verify(two(), "a",
         {drops("rule 10: to 0/8", {.destination = ip("0.1.2.3")}, DropReason::destination_reserved),
          drops("rule 10: to 127/8", {.destination = ip("127.0.0.1")}, DropReason::destination_reserved),
          drops("rule 10: to 240/4", {.destination = ip("250.0.0.1")}, DropReason::destination_reserved),
          drops("rule 10: to 224/4", {.destination = ip("232.1.2.3")}, DropReason::destination_multicast),
          drops("rule 10: to 169.254/16", {.destination = ip("169.254.7.7")}, DropReason::link_local),
          drops("rule 10: from 169.254/16", {.source = ip("169.254.7.7")}, DropReason::link_local),
          drops("rule 10: a martian source goes before a martian destination",
                {.source = ip("127.0.0.1"), .destination = ip("127.0.0.1")}, DropReason::source_reserved),
          drops("rules 10, 17: link-local with TTL 1", {.source = ip("169.254.7.7"), .ttl = 1},
                DropReason::link_local),
          forwards("rule 10: 100.64/10 is an address like others", {.source = ip("100.64.0.1")}),
          forwards("rule 10: 192.0.2.0/24, too", {.destination = ip("192.0.2.1")}),
          forwards("rule 10: 192.168/16, too", {.destination = ip("192.168.0.1")})});
}

// An interface's further MACs come by its view: VRRP has one more, group membership joins multicast ones.
TEST_F(Ipv4Addresses, Rfc1812_5_3_4_AnInterfaceHasASetOfMacs) {
  const MacAddress virtual_mac = mac("00:00:5e:00:01:07"), joined = mac("01:00:5e:00:00:05");
  const InterfaceId a = two().interface("a").id;
  auto view = std::make_unique<dataplane::InterfaceView>(*two().control().tables().interface(a));
  view->more_macs = {virtual_mac, joined};
  two().control().writer().set_interface(a, std::move(view));
  const auto to = [&](const MacAddress& address) { return frame(address, kHostA, Ipv4Packet{}); };
  verify(two(), "a",
         {forwards_frame("rule 8: the interface's own MAC", to(two().mac("a"))),
          forwards_frame("rule 8: a further MAC", to(virtual_mac)),
          {"rule 8: one beside it", to(mac("00:00:5e:00:01:08")), dropped(DropReason::not_our_mac)},
          {"rule 8: a group that was joined", to(joined), dropped(DropReason::l2_broadcast)},
          {"rule 8: a group that was not", to(mac("01:00:5e:00:00:06")), dropped(DropReason::l2_broadcast)}});
  two().control().interfaces().publish(two().interface("a"));
  verify(two(), "a", {"rule 8: it has left", to(virtual_mac), dropped(DropReason::not_our_mac)});
}

TEST_F(Ipv4Addresses, Rfc1812_5_3_4_AGroupFrameIsNotForwardedWhateverItHolds) {
  const auto in_group = [&](const std::string& what, const Ipv4Packet& packet, DropReason reason) {
    return Case{"rules 8, 17: " + what, frame(kBroadcastMac, kHostA, packet), dropped(reason)};
  };
  const DropReason group = DropReason::l2_broadcast;
  verify(two(), "a",
         {in_group("no route", {.destination = ip("8.8.8.8")}, group),
          in_group("DF over the MTU", {.flags_offset = kDf, .payload = pattern(1481)}, group),
          in_group("over the MTU", {.payload = pattern(1481)}, group),
          in_group("UDP to us", {.destination = ip("10.0.1.1"), .payload = udp(1, 2)}, group),
          in_group("an unknown neighbour", {.destination = ip("10.0.2.9")}, group),
          in_group("a martian source", {.source = ip("127.0.0.1")}, DropReason::source_reserved),
          in_group("a wrong checksum", {.checksum = 1}, DropReason::ip_bad_checksum)});
}

}  // namespace
}  // namespace millrace::behaviour
