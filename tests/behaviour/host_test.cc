// Interfaces that daemons see: what comes to them, what they send, and how their devices follow the
// interface.
#include <algorithm>

#include "cases.h"
#include "tests/packets/nd_packet.h"

namespace millrace::behaviour {
namespace {

constexpr const char* kHosted = R"(
interfaces:
  a: {device: @a, addresses: [10.0.1.1/24, "2001:db8:1::1/64"], host: true}
  b: {device: @b, addresses: [10.0.2.1/24]}
routes:
  - {prefix: 203.0.113.0/24, via: 10.0.2.2}
neighbors:
  - {address: 10.0.1.2, mac: "02:00:00:00:01:02", interface: a}
  - {address: 10.0.2.2, mac: "02:00:00:00:02:02", interface: b}
)";

const MacAddress kOspfMac{{0x01, 0x00, 0x5e, 0, 0, 5}}, kIsisMac{{0x01, 0x80, 0xc2, 0, 0, 0x14}},
    kLldpMac{{0x01, 0x80, 0xc2, 0, 0, 0x0e}};

class Host : public TwoSubnetsTest {
 protected:
  Host() {
    start(kHosted);
    hosts().heard("a");
  }
  HostModel& hosts() { return two().hosts(); }
  Ipv4Packet to(const char* destination, std::uint8_t protocol, const Bytes& payload, std::uint8_t ttl = 1) {
    Ipv4Packet packet;
    packet.source = ip("10.0.1.2");
    packet.destination = ip(destination);
    packet.protocol = protocol;
    packet.ttl = ttl;
    packet.payload = payload;
    return packet;
  }
  Bytes llc(const MacAddress& to, std::uint16_t length) { return ethernet(to, kHostA, length, pattern(46)); }

  struct Row {
    std::string what;
    Bytes in;
    PuntClass by;
    std::vector<DropReason> elsewhere;  // on an interface without daemons
  };
  std::vector<Row> for_daemons() {
    const MacAddress own = two().mac("a");
    Bytes jumbo = llc(kIsisMac, 0x8870);
    return {
        {"OSPF to its group",
         frame(kOspfMac, kHostA, to("224.0.0.5", 89, pattern(44))),
         PuntClass::control,
         {DropReason::destination_multicast}},
        {"IGMP with Router Alert to a group of the link",
         frame(kOspfMac, kHostA, to("224.0.0.22", 2, pattern(16))),
         PuntClass::control,
         {DropReason::destination_multicast}},
        {"RIPv1 to all hosts of the subnet",
         frame(kBroadcastMac, kHostA, to("10.0.1.255", 17, udp(520, 520))),
         PuntClass::control,
         {DropReason::l2_broadcast}},
        {"DHCP to all hosts",
         frame(kBroadcastMac, kHostA, to("255.255.255.255", 17, udp(68, 67))),
         PuntClass::control,
         {DropReason::destination_broadcast}},
        {"IS-IS in LLC", llc(kIsisMac, 46), PuntClass::control, {DropReason::unknown_ethertype}},
        {"LLC of a jumbo frame", jumbo, PuntClass::control, {DropReason::unknown_ethertype}},
        {"LLDP", llc(kLldpMac, 0x88cc), PuntClass::control, {DropReason::unknown_ethertype}},
        {"BGP to the router",
         frame(own, kHostA, to("10.0.1.1", 6, tcp(40000, 179), 64)),
         PuntClass::control,
         {DropReason::local_no_port}},
        {"BGP from the router's session",
         frame(own, kHostA, to("10.0.1.1", 6, tcp(179, 40000), 64)),
         PuntClass::control,
         {DropReason::local_no_port}},
        {"BFD to the router",
         frame(own, kHostA, to("10.0.1.1", 17, udp(49152, 3784), 255)),
         PuntClass::control,
         {DropReason::local_no_port}},
        {"ssh to the router",
         frame(own, kHostA, to("10.0.1.1", 6, tcp(40000, 22), 64)),
         PuntClass::local,
         {DropReason::local_no_port}},
        {"OSPF to the router itself",
         frame(own, kHostA, to("10.0.1.1", 89, pattern(44))),
         PuntClass::control,
         {DropReason::local_no_protocol}},
        {"an echo reply to the kernel's ping",
         frame(own, kHostA, to("10.0.1.1", 1, icmp(0, 0, 7, pattern(8)), 64)),
         PuntClass::icmp,
         {DropReason::local_icmp_ignored}},
    };
  }
};

TEST_F(Host, DaemonsHearWhatIsForThemAsItCame) {
  for (const Row& row : for_daemons()) {
    SCOPED_TRACE(row.what);
    const auto drops = two().drops();
    const auto handled = two().control().punts_handled(row.by);
    two().send("a", row.in);
    two().run();
    const auto heard = hosts().heard("a");
    ASSERT_EQ(heard.size(), 1U);
    EXPECT_TRUE(same(row.in, heard[0]));
    EXPECT_EQ(two().control().punts_handled(row.by), handled + 1);
    EXPECT_EQ(two().drops(), drops);
    EXPECT_TRUE(two().received("a").empty()) << "nobody is answered";
  }
}

// The same frames, with addresses of the other interface's subnet.
TEST_F(Host, WithoutDaemonsTheSameIsDropped) {
  std::string yaml = kHosted;
  yaml.replace(yaml.find(", host: true"), std::string(", host: true").size(), "");
  two().must_apply(yaml);
  for (const Row& row : for_daemons()) {
    SCOPED_TRACE(row.what);
    const std::uint64_t before = two().dropped(row.elsewhere[0]);
    two().send("a", row.in);
    two().run();
    EXPECT_EQ(two().dropped(row.elsewhere[0]), before + 1);
    two().received("a");
  }
}

TEST_F(Host, DaemonsOfIpv6HearTheGroupsOfTheLink) {
  for (const auto& [what, group, next] :
       {std::tuple("OSPFv3", "ff02::5", std::uint8_t{89}), std::tuple("RIPng", "ff02::9", std::uint8_t{17}),
        std::tuple("all routers", "ff02::2", std::uint8_t{89})}) {
    SCOPED_TRACE(what);
    const Ipv6Packet packet{.source = ip6("fe80::2"),
                            .destination = ip6(group),
                            .hop_limit = 1,
                            .next_header = next,
                            .payload = udp(521, 521)};
    const Bytes in = frame(group_mac(packet.destination), kHostA, packet);
    two().send("a", in);
    two().run();
    const auto heard = hosts().heard("a");
    ASSERT_EQ(heard.size(), 1U);
    EXPECT_TRUE(same(in, heard[0]));
  }
  // Wider groups are nobody's, as before.
  const Ipv6Packet wide{.source = ip6("2001:db8:1::2"), .destination = ip6("ff05::1:3")};
  verify(two(), "a",
         {"a group of the site", frame(group_mac(wide.destination), kHostA, wide),
          dropped(DropReason::destination_multicast)});
  EXPECT_TRUE(hosts().heard("a").empty());
}

TEST_F(Host, WhatNeighborsAnswerTheKernelHearsToo) {
  const Bytes reply =
      frame(two().mac("a"), kHostA, ArpPacket{2, kHostA, ip("10.0.1.2"), two().mac("a"), ip("10.0.1.1")});
  const NdPacket advertisement{.type = kNa,
                               .source = ip6("2001:db8:1::2"),
                               .destination = ip6("2001:db8:1::1"),
                               .flags = kS,
                               .target = ip6("2001:db8:1::2"),
                               .options = link_option(2, kHostA)};
  for (const Bytes& in : {reply, frame(two().mac("a"), kHostA, advertisement)}) {
    two().send("a", in);
    two().run();
    const auto heard = hosts().heard("a");
    ASSERT_EQ(heard.size(), 1U);
    EXPECT_TRUE(same(in, heard[0]));
  }
}

TEST_F(Host, RequestsAreAnsweredByMillraceAlone) {
  const Bytes asks[] = {
      frame(kBroadcastMac, kHostA, ArpPacket{1, kHostA, ip("10.0.1.2"), {}, ip("10.0.1.1")}),
      in(to("10.0.1.1", 1, icmp(8, 0, 7, pattern(8)), 64)),
      frame(two().mac("a"), kHostA,
            NdPacket{.source = ip6("2001:db8:1::2"),
                     .destination = ip6("2001:db8:1::1"),
                     .target = ip6("2001:db8:1::1"),
                     .options = link_option(1, kHostA)}),
  };
  for (const Bytes& ask : asks) {
    two().send("a", ask);
    two().run();
    EXPECT_EQ(two().received("a").size(), 1U);
    EXPECT_TRUE(hosts().heard("a").empty());
  }
}

TEST_F(Host, NothingElseComesToDaemons) {
  verify(two(), "a",
         {
             {"another subnet's broadcast (RFC 1812 5.3.5)",
              frame(kBroadcastMac, kHostA, to("10.0.2.255", 17, udp(520, 520), 9)),
              dropped(DropReason::l2_broadcast)},
             {"a group that may be routed", frame(kOspfMac, kHostA, to("239.1.1.1", 17, udp(1, 2), 9)),
              dropped(DropReason::destination_multicast)},
             {"a packet for one host in a broadcast frame",
              frame(kBroadcastMac, kHostA, to("203.0.113.9", 17, udp(1, 2), 9)),
              dropped(DropReason::l2_broadcast)},
             {"a type that nobody knows", ethernet(two().mac("a"), kHostA, 0x9999, pattern(46)),
              dropped(DropReason::unknown_ethertype)},
             forwards("what passes through", to("203.0.113.9", 17, udp(40000, 3784), 64)),
         });
  EXPECT_TRUE(hosts().heard("a").empty());
}

TEST_F(Host, WhatDaemonsSendLeavesAsItIs) {
  const Bytes hello = ethernet(kIsisMac, two().mac("a"), 46, pattern(46));
  hosts().say("a", hello);
  two().run();
  const auto sent = two().received("a");
  ASSERT_EQ(sent.size(), 1U);
  EXPECT_TRUE(same(hello, sent[0]));
}

// The kernel of a device without ARP sends all to the device's own MAC: RFC 1812 5.2.1.2 from there.
TEST_F(Host, APacketToTheOwnMacIsRoutedWithItsTtl) {
  const Ipv4Packet packet = to("203.0.113.9", 6, tcp(40000, 179), 7);
  hosts().say("a", frame(two().mac("a"), two().mac("a"), packet));
  two().run();
  const auto sent = two().received("b");
  ASSERT_EQ(sent.size(), 1U);
  EXPECT_TRUE(same(frame(kHostB, two().mac("b"), packet), sent[0]));
}

TEST_F(Host, WhatIsNoFrameOrPacketIsCountedAndNothingElse) {
  const MacAddress own = two().mac("a");
  Ipv4Packet longer = to("203.0.113.9", 17, pattern(8), 64);
  longer.total_length = 200;
  Ipv4Packet of_six = to("203.0.113.9", 17, pattern(8), 64);
  of_six.version = 6;
  const Bytes bad[] = {pattern(13),
                       ethernet(kIsisMac, own, 0x88cc, pattern(1501)),
                       ethernet(own, own, 0x0800, {}),
                       ethernet(own, own, 0x0800, pattern(19)),
                       frame(own, own, longer),
                       frame(own, own, of_six),
                       ethernet(own, own, 0x86dd, pattern(40)),
                       ethernet(own, own, 0x88cc, pattern(46))};
  for (const Bytes& frame : bad) hosts().say("a", frame);
  two().run();
  const auto* counters = two().control().host()->counters(two().interface("a").id);
  EXPECT_EQ(counters->from_host, std::size(bad));
  EXPECT_EQ(counters->from_host_bad, std::size(bad));
  for (const char* port : {"a", "b"}) EXPECT_TRUE(two().received(port).empty());
}

TEST_F(Host, TheDeviceIsAsTheInterface) {
  const HostModel::Device* device = hosts().find("a");
  ASSERT_NE(device, nullptr);
  EXPECT_EQ(device->settings.mac, two().mac("a"));
  EXPECT_EQ(device->settings.mtu, 1500U);
  EXPECT_TRUE(device->settings.carrier);
  EXPECT_EQ(device->settings.addresses.ipv4.size(), 1U);
  ASSERT_EQ(device->settings.addresses.ipv6.size(), 2U);
  EXPECT_EQ(device->settings.addresses.ipv6[1].address, two().interface("a").link_local());
  EXPECT_EQ(hosts().find("b"), nullptr);

  two().set_link("a", false);
  EXPECT_FALSE(hosts().find("a")->settings.carrier);
  two().set_link("a", true);
  EXPECT_TRUE(hosts().find("a")->settings.carrier);

  std::string yaml = kHosted;
  yaml.replace(yaml.find("10.0.1.1/24"), 11, "10.0.1.7/24");
  two().must_apply(yaml);
  EXPECT_EQ(hosts().find("a")->settings.addresses.ipv4[0].address, ip("10.0.1.7"));
}

TEST_F(Host, TheDeviceStaysForAnInterfaceThatIsMadeAnew) {
  const std::uint32_t index = hosts().find("a")->index;
  std::string yaml = kHosted;
  yaml.replace(yaml.find("@a"), 2, "@c");
  two().must_apply(yaml);
  EXPECT_EQ(hosts().find("a")->index, index);
  EXPECT_EQ(two().control().host()->interface_of(index), "a");
  EXPECT_EQ(hosts().find("a")->settings.mac, two().mac("a")) << "that of the new device";
  two().send("c", for_daemons()[0].in);
  two().run();
  EXPECT_EQ(hosts().heard("a").size(), 1U);

  yaml.replace(yaml.find(", host: true"), 12, "");
  two().must_apply(yaml);
  EXPECT_EQ(hosts().find("a"), nullptr);
  EXPECT_EQ(two().control().host()->interface_of(index), "");
}

TEST_F(Host, ADeviceThatCannotBeMadeStopsNothingAndIsTriedAgain) {
  hosts().failure = "no such thing";
  std::string yaml = kHosted;
  yaml.replace(yaml.find("b: {device: @b,"), 15, "b: {device: @b, host: true,");
  two().must_apply(yaml);
  EXPECT_EQ(hosts().find("b"), nullptr);
  verify(two(), "a", forwards("all goes on", to("203.0.113.9", 17, udp(1, 2), 64)));
  hosts().failure.clear();
  two().set_link("b", false);
  EXPECT_NE(hosts().find("b"), nullptr);
}

// What a virtual router's daemon puts on its device (RFC 5798 8.1.2).
class Lent : public Host {
 protected:
  const MacAddress virtual_mac{{0x00, 0x00, 0x5e, 0x00, 0x01, 0x33}};
  const controlplane::LentAddress by_router{IpAddress(ip("10.0.1.254")), 32, virtual_mac};
  const controlplane::LentAddress by_router6{IpAddress(ip6("2001:db8:1::fe")), 128, virtual_mac};
  const controlplane::LentAddress plain{IpAddress(ip("10.0.1.253")), 32, std::nullopt};
  void lend(const std::vector<controlplane::LentAddress>& addresses) {
    hosts().lend("a", addresses);
    two().run();
    two().received("a");
  }
  std::vector<Bytes> answers(const Bytes& ask) {
    two().send("a", ask);
    two().run();
    return two().received("a");
  }
  Bytes who_has(const char* address) {
    return frame(kBroadcastMac, kHostA, ArpPacket{1, kHostA, ip("10.0.1.2"), {}, ip(address)});
  }
  Ipv4Packet through() { return to("203.0.113.9", 17, udp(1, 2), 64); }
};

TEST_F(Lent, ALentAddressIsAnsweredForWithItsOwnMac) {
  lend({by_router, by_router6, plain});
  const auto of_virtual = answers(who_has("10.0.1.254"));
  ASSERT_EQ(of_virtual.size(), 1U);
  EXPECT_TRUE(
      same(frame(kHostA, virtual_mac, ArpPacket{2, virtual_mac, ip("10.0.1.254"), kHostA, ip("10.0.1.2")}),
           of_virtual[0]));
  const MacAddress own = two().mac("a");
  const auto of_plain = answers(who_has("10.0.1.253"));
  ASSERT_EQ(of_plain.size(), 1U);
  EXPECT_TRUE(
      same(frame(kHostA, own, ArpPacket{2, own, ip("10.0.1.253"), kHostA, ip("10.0.1.2")}), of_plain[0]));
  const auto advertised = answers(frame(virtual_mac, kHostA,
                                        NdPacket{.source = ip6("2001:db8:1::2"),
                                                 .destination = ip6("2001:db8:1::fe"),
                                                 .target = ip6("2001:db8:1::fe"),
                                                 .options = link_option(1, kHostA)}));
  ASSERT_EQ(advertised.size(), 1U);
  EXPECT_TRUE(same(frame(kHostA, own,
                         NdPacket{.type = kNa,
                                  .source = ip6("2001:db8:1::fe"),
                                  .destination = ip6("2001:db8:1::2"),
                                  .flags = kR | kS | kO,
                                  .target = ip6("2001:db8:1::fe"),
                                  .options = link_option(2, virtual_mac)}),
                   advertised[0]));
  EXPECT_EQ(answers(in(to("10.0.1.254", 1, icmp(8, 0, 7, pattern(8)), 64))).size(), 1U);
}

TEST_F(Lent, PacketsToAVirtualMacAreRoutedAsLongAsItIsThere) {
  const Bytes to_virtual = frame(virtual_mac, kHostA, through());
  verify(two(), "a", {"before", to_virtual, dropped(DropReason::not_our_mac)});
  lend({by_router});
  const auto sent = [&] {
    two().send("a", to_virtual);
    two().run();
    return two().received("b");
  };
  ASSERT_EQ(sent().size(), 1U);
  std::string yaml = kHosted;
  yaml.replace(yaml.find("203.0.113.0/24"), 14, "203.0.0.0/16");
  two().must_apply(yaml);
  EXPECT_EQ(sent().size(), 1U) << "a configuration takes nothing from daemons";
  hosts().say("a", frame(virtual_mac, virtual_mac, through()));
  two().run();
  EXPECT_EQ(two().received("b").size(), 1U) << "a daemon's own, too";
  lend({});
  verify(two(), "a", {"after", to_virtual, dropped(DropReason::not_our_mac)});
  EXPECT_TRUE(answers(who_has("10.0.1.254")).empty());
}

TEST_F(Lent, TheDeviceIsNotGivenWhatItLent) {
  lend({by_router, plain});
  two().set_link("a", false);
  two().set_link("a", true);
  EXPECT_EQ(hosts().find("a")->settings.addresses.ipv4.size(), 1U);
}

TEST_F(Lent, AnAddressOfTheConfigurationIsNotLent) {
  lend({{IpAddress(ip("10.0.1.1")), 24, virtual_mac}});
  EXPECT_TRUE(two().interface("a").lent.empty());
  EXPECT_EQ(two().interface("a").mac_of(IpAddress(ip("10.0.1.1"))), two().mac("a"));
  lend({by_router});
  std::string yaml = kHosted;
  yaml.replace(yaml.find("10.0.1.1/24"), 11, "10.0.1.1/24, 10.0.1.254/24");
  two().must_apply(yaml);
  EXPECT_TRUE(two().interface("a").lent.empty());
  EXPECT_EQ(hosts().find("a")->settings.addresses.ipv4.size(), 2U);
}

TEST_F(Lent, AnAddressInAnotherInterfacesSubnetIsRefused) {
  lend({{IpAddress(ip("10.0.2.9")), 32, std::nullopt},
        {IpAddress(ip("10.0.0.1")), 8, std::nullopt},
        {IpAddress(ip("10.0.1.9")), 32, std::nullopt}});
  ASSERT_EQ(two().interface("a").lent.size(), 1U);
  EXPECT_EQ(two().interface("a").lent[0].address, IpAddress(ip("10.0.1.9")));
  verify(two(), "a", forwards("the other subnet is where it was", to("10.0.2.2", 17, udp(1, 2), 64)));
}

// What is for a session comes before what is not.
TEST_F(Host, AFloodOfOtherPacketsDoesNotHoldControlProtocolsUp) {
  const Bytes flood = in(to("10.0.1.1", 6, tcp(40000, 22), 64));
  for (unsigned i = 0; i < 3000; ++i) two().send("a", flood);
  const Bytes session = in(to("10.0.1.1", 6, tcp(40000, 179), 64));
  two().send("a", session);
  while (two().step()) {
  }
  two().handle_punts();
  const auto heard = hosts().heard("a");
  ASSERT_GT(heard.size(), 1U);
  EXPECT_TRUE(same(session, heard[0]));
}

}  // namespace
}  // namespace millrace::behaviour
