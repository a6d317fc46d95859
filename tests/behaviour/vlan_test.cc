// VLAN sub-interfaces (IEEE 802.1Q, 802.1ad): tags in, tags out, and whose frames they are.
#include <rte_ether.h>

#include <algorithm>

#include "cases6.h"

namespace millrace::behaviour {
namespace {

// A port with addresses of its own, and one that is a trunk: untagged, two VLANs, and a customer's in one of
// them.
const std::string kTrunk = R"(
interfaces:
  a: {device: @a, addresses: [10.0.1.1/24, "2001:db8:1::1/64"]}
  b: {device: @b, addresses: [10.0.2.1/24]}
  b.100: {parent: b, vlan: 100, addresses: [10.0.100.1/24, "2001:db8:100::1/64"]}
  b.200: {parent: b, vlan: 200, mtu: 1000, addresses: [10.0.200.1/24]}
  b.100.7: {parent: b, vlan: 100, inner_vlan: 7, addresses: [10.0.107.1/24]}
neighbors:
  - {address: 10.0.1.2, mac: "02:00:00:00:01:02", interface: a}
  - {address: 10.0.2.2, mac: "02:00:00:00:02:02", interface: b}
  - {address: 10.0.100.2, mac: "02:00:00:00:02:02", interface: b.100}
  - {address: 10.0.200.2, mac: "02:00:00:00:02:02", interface: b.200}
  - {address: 10.0.107.2, mac: "02:00:00:00:02:02", interface: b.100.7}
  - {address: "2001:db8:1::2", mac: "02:00:00:00:01:02", interface: a}
  - {address: "2001:db8:100::2", mac: "02:00:00:00:02:02", interface: b.100}
)";

struct Tag {
  std::uint16_t type;
  std::uint16_t control;
};

// The frame with tags behind its MACs.
Bytes tagged(Bytes frame, const std::vector<Tag>& tags) {
  Bytes bytes(4 * tags.size());
  for (std::size_t i = 0; i < tags.size(); ++i) {
    put16(bytes, 4 * i, tags[i].type);
    put16(bytes, 4 * i + 2, tags[i].control);
  }
  frame.insert(frame.begin() + 12, bytes.begin(), bytes.end());
  return frame;
}
Bytes tagged(const Bytes& frame, std::uint16_t id) {
  return tagged(frame, {{0x8100, id}});
}

class Vlan : public LabTest {
 protected:
  void SetUp() override { start(kTrunk); }
  // From host B on the trunk, without tags.
  Bytes from_b(const char* source, const char* destination) {
    return towards(*lab_, "b", kHostB, {.source = ip(source), .destination = ip(destination)});
  }
  Bytes from_a(const char* destination) {
    return towards(*lab_, "a", kHostA, {.destination = ip(destination)});
  }
  Bytes at_a(const Bytes& in) { return forwarded(in, kHostA, lab_->mac("a")); }
  Bytes at_b(const Bytes& in) { return forwarded(in, kHostB, lab_->mac("b")); }

  // Sends on the port and compares what comes out of the two.
  void passes(const std::string& what, const Bytes& in, const std::string& port, const std::string& on,
              const std::vector<Bytes>& frames, const Layout& layout = {}) {
    SCOPED_TRACE(what);
    lab_->send(port, in, layout);
    lab_->run();
    for (const char* name : {"a", "b"}) {
      expect_frames(name == on ? frames : std::vector<Bytes>{}, lab_->received(name));
    }
    EXPECT_EQ(lab_->control().accounting().difference(), 0);
  }
  void is_dropped(const std::string& what, const Bytes& in, const std::string& interface, DropReason reason) {
    const auto count = [&] { return lab_->control().dropped(lab_->interface(interface).id, reason); };
    const std::uint64_t before = count();
    passes(what, in, "b", "", {});
    EXPECT_EQ(count() - before, 1U) << what;
  }
  void hand_in(const Bytes& frame, std::uint16_t stripped) {
    rte_mbuf* m = make_mbuf(frame);
    m->vlan_tci = stripped;
    m->ol_flags |= RTE_MBUF_F_RX_VLAN | RTE_MBUF_F_RX_VLAN_STRIPPED;
    ASSERT_EQ(rte_ring_enqueue(lab_->port("b").rx(0), m), 0);
  }
};

TEST_F(Vlan, Ieee8021Q_6_9_AFrameOfAVlanIsItsInterfaces) {
  const Bytes plain = from_b("10.0.100.2", "10.0.1.2");
  passes("untagged", from_b("10.0.2.2", "10.0.1.2"), "b", "a", {at_a(from_b("10.0.2.2", "10.0.1.2"))});
  passes("a VLAN", tagged(plain, 100), "b", "a", {at_a(plain)});
  passes("priority 7, drop eligible", tagged(plain, 0xf064), "b", "a", {at_a(plain)});
  passes("a priority only", tagged(plain, {{0x8100, 0xe000}}), "b", "a", {at_a(plain)});
  passes("a priority before the VLAN", tagged(plain, {{0x8100, 0x6000}, {0x8100, 100}}), "b", "a",
         {at_a(plain)});
  passes("a priority behind the VLAN", tagged(plain, {{0x8100, 100}, {0x8100, 0x6000}}), "b", "a",
         {at_a(plain)});
  passes("a service tag alone", tagged(plain, {{0x88a8, 100}}), "b", "a", {at_a(plain)});
  passes("a VLAN in a VLAN", tagged(plain, {{0x8100, 100}, {0x8100, 7}}), "b", "a", {at_a(plain)});
  passes("the same with a service tag", tagged(plain, {{0x88a8, 100}, {0x8100, 7}}), "b", "a", {at_a(plain)});
  const Bytes six = frame(lab_->mac("b"), kHostB,
                          Ipv6Packet{.source = ip6("2001:db8:100::2"), .destination = ip6("2001:db8:1::2")});
  passes("IPv6", tagged(six, 100), "b", "a", {forwarded6(six, kHostA, lab_->mac("a"))});
}

TEST_F(Vlan, Ieee8021Q_9_5_AFrameIntoAVlanIsTagged) {
  passes("a VLAN", from_a("10.0.100.2"), "a", "b", {tagged(at_b(from_a("10.0.100.2")), 100)});
  passes("another", from_a("10.0.200.2"), "a", "b", {tagged(at_b(from_a("10.0.200.2")), 200)});
  passes("QinQ: a service tag before the customer's", from_a("10.0.107.2"), "a", "b",
         {tagged(at_b(from_a("10.0.107.2")), {{0x88a8, 100}, {0x8100, 7}})});
  passes("untagged", from_a("10.0.2.2"), "a", "b", {at_b(from_a("10.0.2.2"))});
  const Bytes six = frame(lab_->mac("a"), kHostA, Ipv6Packet{.destination = ip6("2001:db8:100::2")});
  passes("IPv6", six, "a", "b", {tagged(forwarded6(six, kHostB, lab_->mac("b")), 100)});
}

TEST_F(Vlan, ThePortIsOneWayAndManyLinks) {
  const Bytes in = from_b("10.0.100.2", "10.0.200.2");
  passes("from VLAN to VLAN", tagged(in, 100), "b", "b", {tagged(at_b(in), 200)});
  const Bytes back = from_b("10.0.200.2", "10.0.2.2");
  passes("from VLAN to untagged", tagged(back, 200), "b", "b", {at_b(back)});
}

TEST_F(Vlan, AFrameOfNoVlanOfOursIsDroppedAtThePort) {
  const Bytes plain = from_b("10.0.100.2", "10.0.1.2");
  is_dropped("another VLAN", tagged(plain, 101), "b", DropReason::unknown_vlan);
  is_dropped("VLAN 4095", tagged(plain, 4095), "b", DropReason::unknown_vlan);
  is_dropped("another customer", tagged(plain, {{0x88a8, 100}, {0x8100, 8}}), "b", DropReason::unknown_vlan);
  is_dropped("a customer before the one there is", tagged(plain, {{0x88a8, 100}, {0x8100, 6}}), "b",
             DropReason::unknown_vlan);
  is_dropped("of a VLAN without customers", tagged(plain, {{0x88a8, 200}, {0x8100, 7}}), "b",
             DropReason::unknown_vlan);
  is_dropped("three VLANs", tagged(plain, {{0x88a8, 100}, {0x8100, 7}, {0x8100, 9}}), "b",
             DropReason::unknown_vlan);
  is_dropped("three VLANs, the last one a customer's",
             tagged(plain, {{0x88a8, 100}, {0x8100, 9}, {0x8100, 7}}), "b", DropReason::unknown_vlan);
  const Tag nothing{0x8100, 0};
  is_dropped("tags without end", tagged(plain, {nothing, nothing, nothing, nothing, nothing}), "b",
             DropReason::unknown_vlan);
  Bytes cut = tagged(plain, {{0x8100, 100}, {0x8100, 7}});
  cut.resize(17);
  is_dropped("a tag that is cut", cut, "b", DropReason::unknown_vlan);
  cut.resize(18);
  is_dropped("a tag, and then half of one", cut, "b", DropReason::unknown_vlan);
  Bytes other = tagged(plain, 101);
  other[5] ^= 1;
  is_dropped("to another MAC", other, "b", DropReason::not_our_mac);
}

TEST_F(Vlan, AFrameOfAVlanIsJudgedThere) {
  Bytes other = tagged(from_b("10.0.100.2", "10.0.1.2"), 100);
  other[5] ^= 1;
  is_dropped("to another MAC", other, "b.100", DropReason::not_our_mac);
  is_dropped("a type that we do not know", tagged(ethernet(lab_->mac("b"), kHostB, 0x88cc, pattern(50)), 100),
             "b.100", DropReason::unknown_ethertype);
  Bytes bad = from_b("10.0.100.2", "10.0.1.2");
  bad[kEthernet + 10] ^= 1;
  is_dropped("a wrong checksum", tagged(bad, {{0x8100, 100}, {0x8100, 7}}), "b.100.7",
             DropReason::ip_bad_checksum);
}

TEST_F(Vlan, APacketIsCountedWhereItsVlanIs) {
  const auto rx = [&](const char* name) {
    return lab_->control().totals(lab_->interface(name).id).rx_packets;
  };
  const auto tx = [&](const char* name) {
    return lab_->control().totals(lab_->interface(name).id).tx_packets;
  };
  const std::uint64_t untagged = tx("b"), of_200 = tx("b.200");
  for (int i = 0; i < 3; ++i) lab_->send("b", tagged(from_b("10.0.100.2", "10.0.200.2"), 100));
  lab_->send("b", from_b("10.0.2.2", "10.0.200.2"));
  lab_->run();
  EXPECT_EQ(lab_->received("b").size(), 4U);
  EXPECT_EQ(rx("b.100"), 3U);
  EXPECT_EQ(rx("b"), 1U) << "those of a VLAN are not the port's own";
  EXPECT_EQ(tx("b.200") - of_200, 4U);
  EXPECT_EQ(tx("b"), untagged);
  EXPECT_EQ(lab_->control().accounting().difference(), 0);
}

TEST_F(Vlan, AMixedBurstKeepsTheOrderOfEachVlan) {
  std::vector<Bytes> of_100, of_200, untagged;
  for (std::uint16_t i = 0; i < dataplane::kBurst; ++i) {
    const char* source[] = {"10.0.100.2", "10.0.200.2", "10.0.2.2"};
    Ipv4Packet packet{.source = ip(source[i % 3]), .destination = ip("10.0.1.2"), .identification = i};
    const Bytes plain = towards(*lab_, "b", kHostB, packet);
    (i % 3 == 0 ? of_100 : i % 3 == 1 ? of_200 : untagged).push_back(at_a(plain));
    lab_->send("b", i % 3 == 2 ? plain : tagged(plain, i % 3 == 0 ? 100 : 200));
  }
  lab_->step();
  std::vector<Bytes> expected = untagged;
  expected.insert(expected.end(), of_100.begin(), of_100.end());
  expected.insert(expected.end(), of_200.begin(), of_200.end());
  expect_frames(expected, lab_->received("a"));
}

TEST_F(Vlan, TagsMayLieInSeveralSegments) {
  const Bytes plain = from_b("10.0.100.2", "10.0.1.2");
  for (std::size_t first = 1; first < 40; ++first) {
    passes("a first segment of " + std::to_string(first), tagged(plain, {{0x88a8, 100}, {0x8100, 7}}), "b",
           "a", {at_a(plain)}, {.segments = {first}});
  }
}

// The same frames, whoever takes the tag off and puts it on: we, or the NIC.
TEST_F(Vlan, ATagThatThePortTookOffCounts) {
  const Bytes plain = from_b("10.0.100.2", "10.0.1.2");
  hand_in(plain, 0x6064);
  hand_in(tagged(plain, 7), 100);
  hand_in(from_b("10.0.2.2", "10.0.1.2"), 0xe000);
  lab_->run();
  expect_frames({at_a(from_b("10.0.2.2", "10.0.1.2")), at_a(plain), at_a(plain)}, lab_->received("a"));
  hand_in(plain, 101);
  lab_->run();
  EXPECT_EQ(lab_->dropped(DropReason::unknown_vlan), 1U);
}

TEST_F(Vlan, APortThatTagsIsTold) {
  for (const bool by_port : {false, true}) {
    SCOPED_TRACE(by_port);
    lab_->reset(kTrunk);
    Interface& vlan = lab_->interface("b.100");
    vlan.port_tags = by_port;
    lab_->control().next_hops().interfaces_changed();
    lab_->send("a", from_a("10.0.100.2"));
    while (lab_->step()) {
    }
    void* out = nullptr;
    for (rte_ring* ring : lab_->port("b").tx()) {
      if (rte_ring_dequeue(ring, &out) == 0) break;
    }
    ASSERT_NE(out, nullptr);
    auto* m = static_cast<rte_mbuf*>(out);
    EXPECT_EQ((m->ol_flags & RTE_MBUF_F_TX_VLAN) != 0, by_port);
    if (by_port) {
      ASSERT_EQ(rte_vlan_insert(&m), 0);
    }
    EXPECT_TRUE(same(tagged(at_b(from_a("10.0.100.2")), 100), bytes_of(m)));
    rte_pktmbuf_free(m);
  }
}

TEST_F(Vlan, Rfc826_ArpIsSpokenInTheVlan) {
  const MacAddress own = lab_->mac("b");
  const ArpPacket request{1, kHostB, ip("10.0.100.2"), {}, ip("10.0.100.1")};
  const Bytes reply = frame(kHostB, own, ArpPacket{2, own, ip("10.0.100.1"), kHostB, ip("10.0.100.2")});
  passes("a request", tagged(frame(kBroadcastMac, kHostB, request), 100), "b", "b", {tagged(reply, 100)});
  passes("the address of another VLAN", tagged(frame(kBroadcastMac, kHostB, request), 200), "b", "", {});
  const Bytes who = frame(kBroadcastMac, own, ArpPacket{1, own, ip("10.0.107.1"), {}, ip("10.0.107.9")});
  passes("a neighbour that is not known", from_a("10.0.107.9"), "a", "b",
         {tagged(who, {{0x88a8, 100}, {0x8100, 7}})});
}

TEST_F(Vlan, Rfc1812_4_3_2_4_ErrorsGoBackIntoTheVlan) {
  const Bytes in =
      towards(*lab_, "b", kHostB, {.source = ip("10.0.100.2"), .destination = ip("10.0.1.2"), .ttl = 1});
  const Bytes error = icmp_error(*lab_, "b", kHostB, in, {.type = 11, .source = ip("10.0.100.1")});
  lab_->send("b", tagged(in, 100));
  lab_->run();
  std::vector<Bytes> frames = lab_->received("b");
  ASSERT_EQ(frames.size(), 1U);
  EXPECT_EQ(get32(frames[0], 12), 0x81000064U);
  frames[0].erase(frames[0].begin() + 12, frames[0].begin() + 16);
  expect_frames({error}, frames, true);
}

TEST_F(Vlan, FragmentsAreTagged) {
  lab_->send("a", towards(*lab_, "a", kHostA, {.destination = ip("10.0.200.2"), .payload = pattern(1400)}));
  lab_->run();
  const std::vector<Bytes> frames = lab_->received("b");
  ASSERT_EQ(frames.size(), 2U) << "its MTU is its own";
  for (const Bytes& frame : frames) {
    EXPECT_EQ(get32(frame, 12), 0x810000c8U);
    EXPECT_LE(frame.size(), 1000U + 18U);
  }
}

TEST_F(Vlan, VlansComeAndGoWithoutTheirPort) {
  const Bytes plain = from_b("10.0.200.2", "10.0.1.2");
  std::string without = kTrunk;
  const auto line = [&](const std::string& start) {
    const auto at = without.find(start);
    return std::pair(at, without.find('\n', at) + 1 - at);
  };
  for (const char* start : {"  b.200:", "  - {address: 10.0.200.2"})
    without.erase(line(start).first, line(start).second);
  lab_->must_apply(without);
  is_dropped("a VLAN that went", tagged(plain, 200), "b", DropReason::unknown_vlan);
  passes("one that stayed", tagged(from_b("10.0.100.2", "10.0.1.2"), 100), "b", "a",
         {at_a(from_b("10.0.100.2", "10.0.1.2"))});
  lab_->must_apply(kTrunk);
  passes("it is back", tagged(plain, 200), "b", "a", {at_a(plain)});
  passes("both ways", from_a("10.0.200.2"), "a", "b", {tagged(at_b(from_a("10.0.200.2")), 200)});
}

TEST_F(Vlan, TheLinkOfThePortIsTheVlans) {
  lab_->set_link("b", false);
  EXPECT_FALSE(lab_->interface("b.100").up);
  EXPECT_FALSE(lab_->interface("b.100.7").up);
  lab_->set_link("b", true);
  EXPECT_TRUE(lab_->interface("b.100").up);
}

// An interface without a port.
const std::string kLoopback = R"(
interfaces:
  lo0: {loopback: true, addresses: [192.0.2.1/32, "2001:db8:ffff::1/128"]}
  a: {device: @a, addresses: [10.0.1.1/24]}
neighbors:
  - {address: 10.0.1.2, mac: "02:00:00:00:01:02", interface: a}
)";

TEST_F(LabTest, Rfc1812_4_3_3_6_AnAddressOfALoopbackAnswersOnEveryLink) {
  Lab& lab = start(kLoopback);
  const Ipv4Packet request{
      .destination = ip("192.0.2.1"), .protocol = 1, .payload = icmp(8, 0, 7, pattern(20))};
  const Ipv4Packet reply{.source = ip("192.0.2.1"),
                         .destination = ip("10.0.1.2"),
                         .protocol = 1,
                         .payload = icmp(0, 0, 7, pattern(20))};
  verify(lab, "a",
         {"an echo request", towards(lab, "a", kHostA, request),
          answered("a", frame(kHostA, lab.mac("a"), reply))});
  lab.set_link("a", false);
  EXPECT_TRUE(lab.interface("lo0").up);
}

TEST_F(LabTest, Rfc1812_5_3_7_AnAddressOfALoopbackIsNobodysSource) {
  Lab& lab = start(kLoopback);
  verify(lab, "a",
         {"from the loopback", towards(lab, "a", kHostA, {.source = ip("192.0.2.1")}),
          dropped(DropReason::source_is_own)});
}

}  // namespace
}  // namespace millrace::behaviour
