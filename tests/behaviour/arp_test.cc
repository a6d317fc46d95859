// Neighbours: ARP (RFC 826), its address conflicts (RFC 5227), resolution (RFC 1812 3.3.2) and ageing.
#include "cases.h"

namespace millrace::behaviour {
namespace {

using controlplane::NeighborKey;
using controlplane::Neighbors;

// Host A is known, everybody else has to be asked for.
constexpr const char* kPlain = R"(
interfaces:
  a: {device: @a, addresses: [10.0.1.1/24]}
  b: {device: @b, addresses: [10.0.2.1/24]}
neighbors: [{address: 10.0.1.2, mac: "02:00:00:00:01:02", interface: a}]
)";

class Arp : public TwoSubnetsTest {
 protected:
  Arp() { start(kPlain); }
  const Neighbors::Entry* entry(const std::string& on, const char* address) {
    const auto& all = two().control().neighbors().entries();
    const auto at = all.find({two().interface(on).id, ip(address)});
    return at == all.end() ? nullptr : &at->second;
  }
  Bytes request(const MacAddress& from, const char* sender, const char* target) {
    return frame(kBroadcastMac, from, ArpPacket{1, from, ip(sender), {}, ip(target)});
  }
  Bytes reply(const std::string& on, const MacAddress& from, const char* sender, const char* target) {
    return frame(two().mac(on), from, ArpPacket{2, from, ip(sender), two().mac(on), ip(target)});
  }
  // What the router sends.
  // What came out of a port, but for neighbour discovery.
  std::vector<Bytes> arps(const std::string& port) {
    std::vector<Bytes> frames = two().received(port);
    std::erase_if(frames, [](const Bytes& frame) { return get16(frame, 12) != 0x0806; });
    return frames;
  }
  Bytes asks(const std::string& on, const char* own, const char* target,
             const MacAddress& to = kBroadcastMac) {
    return frame(to, two().mac(on), ArpPacket{1, two().mac(on), ip(own), {}, ip(target)});
  }
  Bytes tells(const std::string& on, const char* own, const MacAddress& to, const char* target) {
    return frame(to, two().mac(on), ArpPacket{2, two().mac(on), ip(own), to, ip(target)});
  }
  void give(const std::string& on, const Bytes& frame) {
    two().send(on, frame);
    two().run();
  }
  void learn_b() {
    give("b", request(kHostB, "10.0.2.2", "10.0.2.1"));
    static_cast<void>(two().received("b"));
  }
  Case ignored(const std::string& what, const Bytes& frame, DropReason reason = DropReason::arp_ignored) {
    return {what, frame, dropped(reason)};
  }
};

TEST_F(Arp, Rfc826_AnswersForItsOwnAddressesOnThatInterface) {
  const MacAddress host = mac("02:00:00:00:01:50");
  verify(two(), "a",
         {{"rule 21: for our address", request(host, "10.0.1.50", "10.0.1.1"),
           sent("a", tells("a", "10.0.1.1", host, "10.0.1.50"))},
          ignored("rule 21: for another host", request(host, "10.0.1.60", "10.0.1.77")),
          ignored("rule 21: for the other interface's address", request(host, "10.0.1.60", "10.0.2.1")),
          ignored("rule 21: for the broadcast address", request(host, "10.0.1.60", "10.0.1.255")),
          ignored("rule 21: from another subnet", request(host, "10.0.2.60", "10.0.1.1")),
          ignored("rule 21: from nowhere", request(host, "198.51.100.1", "10.0.1.1"))});
  verify(two(), "a",
         {"rule 21: a unicast request",
          frame(two().mac("a"), host, ArpPacket{1, host, ip("10.0.1.50"), {}, ip("10.0.1.1")}),
          sent("a", tells("a", "10.0.1.1", host, "10.0.1.50"))});
}

TEST_F(Arp, Rfc826_LearnsFromRequestsToIt) {
  const MacAddress host = mac("02:00:00:00:01:50");
  give("a", request(host, "10.0.1.50", "10.0.1.77"));
  EXPECT_EQ(entry("a", "10.0.1.50"), nullptr) << "rule 21: only from requests to it";
  give("a", request(host, "10.0.1.50", "10.0.1.1"));
  ASSERT_NE(entry("a", "10.0.1.50"), nullptr);
  EXPECT_EQ(entry("a", "10.0.1.50")->mac, host);
  give("a", reply("a", mac("02:00:00:00:01:51"), "10.0.1.51", "10.0.1.1"));
  EXPECT_EQ(entry("a", "10.0.1.51"), nullptr) << "an answer that nobody asked for";
}

TEST_F(Arp, Rfc826_MalformedFramesAreDropped) {
  const MacAddress host = mac("02:00:00:00:01:50");
  const auto with = [&](auto change) {
    ArpPacket arp{1, host, ip("10.0.1.50"), {}, ip("10.0.1.1")};
    change(arp);
    return frame(kBroadcastMac, host, arp);
  };
  const auto bad = DropReason::arp_invalid;
  verify(two(), "a",
         {ignored("hardware type", with([](auto& p) { p.hardware_type = 6; }), bad),
          ignored("protocol type", with([](auto& p) { p.protocol_type = 0x86dd; }), bad),
          ignored("hardware length", with([](auto& p) { p.hardware_length = 8; }), bad),
          ignored("protocol length", with([](auto& p) { p.protocol_length = 16; }), bad),
          ignored("operation 0", with([](auto& p) { p.operation = 0; }), bad),
          ignored("operation 3", with([](auto& p) { p.operation = 3; }), bad),
          ignored("rule 21: broadcast sender", with([](auto& p) { p.sender_mac = kBroadcastMac; }), bad),
          ignored("rule 21: multicast sender", with([](auto& p) { p.sender_mac = mac("01:00:5e:00:00:01"); }),
                  bad),
          ignored("zero sender", with([](auto& p) { p.sender_mac = {}; }), bad)});
  const Bytes whole = request(host, "10.0.1.50", "10.0.1.1");
  for (std::size_t length = 14; length < whole.size(); ++length) {
    verify(two(), "a", ignored("cut to " + std::to_string(length), slice(whole, 0, length), bad));
  }
  Case padded{"padded to 60 bytes", join(whole, Bytes(18, 0)),
              sent("a", tells("a", "10.0.1.1", host, "10.0.1.50"))};
  padded.layout.segments = {20, 1, 10};
  verify(two(), "a", padded);
}

TEST_F(Arp, Rfc826_GratuitousArpUpdatesKnownNeighborsOnly) {
  const MacAddress moved = mac("02:00:00:00:02:99");
  verify(two(), "b", ignored("rule 21: of an unknown host", request(kHostB, "10.0.2.2", "10.0.2.2")));
  EXPECT_EQ(entry("b", "10.0.2.2"), nullptr);
  learn_b();
  verify(two(), "a", forwards("to the old MAC", Ipv4Packet{}));
  verify(two(), "b", {"rule 23: a gratuitous request", request(moved, "10.0.2.2", "10.0.2.2"), Expect{}});
  const Bytes packet = in({});
  verify(two(), "a",
         {"rule 23: at once to the new MAC", packet, sent("b", forwarded(packet, moved, two().mac("b")))});
  const Bytes back =
      frame(kBroadcastMac, kHostB, ArpPacket{2, kHostB, ip("10.0.2.2"), kBroadcastMac, ip("10.0.2.2")});
  verify(two(), "b", {"rule 23: a gratuitous reply", back, Expect{}});
  verify(two(), "a", forwards("and back", Ipv4Packet{}));
}

// Rule 21.
TEST_F(Arp, Rfc5227_2_1_1_ProbesOfOurAddressAreAnswered) {
  const MacAddress host = mac("02:00:00:00:01:50");
  verify(two(), "a",
         {{"a probe of our address", request(host, "0.0.0.0", "10.0.1.1"),
           sent("a", tells("a", "10.0.1.1", host, "0.0.0.0"))},
          ignored("a probe of another address", request(host, "0.0.0.0", "10.0.1.50"))});
  EXPECT_EQ(entry("a", "0.0.0.0"), nullptr);
}

// Rule 21.
TEST_F(Arp, Rfc5227_2_4_OurAddressIsDefendedOncePerTenSeconds) {
  const MacAddress thief = mac("02:00:00:00:01:66");
  const Bytes claim = request(thief, "10.0.1.1", "10.0.1.1");
  const Bytes defence = asks("a", "10.0.1.1", "10.0.1.1");
  const Expect defended{DropReason::arp_ignored, "a", {defence}, false};
  verify(two(), "a", {{"the first claim", claim, defended}, ignored("the second one", claim)});
  two().advance(9.9);
  verify(two(), "a", ignored("too soon", claim));
  two().advance(0.1);
  verify(two(), "a", {"ten seconds later", claim, defended});
  EXPECT_EQ(two().control().neighbors().counters().conflicts, 4U);
  verify(two(), "a", ignored("our own frame come back", request(two().mac("a"), "10.0.1.1", "10.0.1.1")));
  EXPECT_EQ(two().control().neighbors().counters().conflicts, 4U);
}

TEST_F(Arp, Rfc1812_3_3_2_TheFirstPacketAsksAndWaits) {
  const Bytes packet = in({});
  verify(two(), "a", {"rule 22: asked", packet, sent("b", asks("b", "10.0.2.1", "10.0.2.2"))});
  verify(two(), "a", {"rule 22: not asked twice", packet, Expect{}});
  EXPECT_EQ(two().control().waiting_packets(), 2U);
  const Bytes sent_on = forwarded(packet, kHostB, two().mac("b"));
  verify(two(), "b",
         {"answered", reply("b", kHostB, "10.0.2.2", "10.0.2.1"), {std::nullopt, "b", {sent_on, sent_on}}});
  EXPECT_EQ(two().control().waiting_packets(), 0U);
  verify(two(), "a", forwards("and straight from then on", Ipv4Packet{}));
}

// Rule 22.
TEST_F(Arp, Rfc1812_3_3_2_ARequestFromTheNeighborResolvesIt) {
  const Bytes packet = in({});
  give("a", packet);
  static_cast<void>(two().received("b"));
  verify(two(), "b",
         {"its own request",
          request(kHostB, "10.0.2.2", "10.0.2.1"),
          {std::nullopt,
           "b",
           {forwarded(packet, kHostB, two().mac("b")), tells("b", "10.0.2.1", kHostB, "10.0.2.2")}}});
}

TEST_F(Arp, Rfc1812_3_3_2_TheNewestPacketsWait) {
  for (unsigned i = 0; i < 7; ++i) two().send("a", in({.identification = static_cast<std::uint16_t>(i)}));
  two().run();
  EXPECT_EQ(two().control().waiting_packets(), 4U);
  EXPECT_EQ(two().dropped(DropReason::neighbor_queue_full), 3U);
  std::vector<Bytes> wanted;
  for (std::uint16_t i = 3; i < 7; ++i) {
    wanted.push_back(forwarded(in({.identification = i}), kHostB, two().mac("b")));
  }
  static_cast<void>(two().received("b"));
  verify(two(), "b",
         {"rule 22: the newest four, in order",
          reply("b", kHostB, "10.0.2.2", "10.0.2.1"),
          {std::nullopt, "b", wanted}});
}

TEST_F(Arp, Rfc1122_2_3_2_1_ThreeRequestsASecondApartThenHostUnreachable) {
  const Bytes packet = in({});
  give("a", packet);
  const Bytes question = asks("b", "10.0.2.1", "10.0.2.2");
  expect_frames({question}, two().received("b"));
  two().advance(0.9);
  expect_frames({}, two().received("b"));
  two().advance(0.1);
  expect_frames({question}, two().received("b"));
  two().advance(1);
  expect_frames({question}, two().received("b"));
  two().advance(0.9);
  expect_frames({}, two().received("a"));
  two().advance(0.1);
  expect_frames({}, two().received("b"));
  expect_frames({icmp_error(two(), "a", kHostA, packet, {.code = 1})}, two().received("a"), true);
  EXPECT_EQ(two().dropped(DropReason::neighbor_failed), 1U);
  EXPECT_EQ(entry("b", "10.0.2.2"), nullptr);
  verify(two(), "a", {"rule 22: a later packet asks anew", packet, sent("b", question)});
}

// Rule 22.
TEST_F(Arp, EachWaitingPacketIsRefused) {
  for (std::uint16_t i = 0; i < 4; ++i) two().send("a", in({.identification = i}));
  two().run();
  two().advance(3);
  EXPECT_EQ(two().received("a").size(), 4U);
  EXPECT_EQ(two().dropped(DropReason::neighbor_failed), 4U);
}

// The error about it goes to the neighbour that has just failed.
// Rules 22, 40.
TEST_F(Arp, APacketFromTheVeryNeighborThatFailsLeaksNothing) {
  for (unsigned host = 10; host < 40; ++host) {
    const Ipv4Address address(10, 0, 2, host);
    two().send("a", in({.source = address, .destination = address}));
  }
  two().run();
  two().advance(20);
  two().settle();
  EXPECT_EQ(two().buffers_out(), two().buffers_waiting());
  two().set_link("b", false);
  two().settle();
  EXPECT_EQ(two().control().waiting_packets(), 0U);
}

TEST_F(Arp, PacketsThatExpireOrMayNotLeaveDoNotAsk) {
  verify(two(), "a",
         {refuses("rule 3: TTL 1 to an unknown neighbour", {.ttl = 1}, DropReason::ttl_expired, {.type = 11}),
          drops("rule 10: link-local source", {.source = ip("169.254.1.1")}, DropReason::link_local)});
  EXPECT_EQ(entry("b", "10.0.2.2"), nullptr);
}

TEST_F(Arp, AnUnusedNeighborIsForgottenAfterTwentyMinutes) {
  learn_b();
  ASSERT_NE(entry("b", "10.0.2.2"), nullptr);
  two().advance(1190);
  EXPECT_NE(entry("b", "10.0.2.2"), nullptr);
  EXPECT_TRUE(two().received("b").empty()) << "rule 23: nobody probes what nobody uses";
  two().advance(20);
  EXPECT_EQ(entry("b", "10.0.2.2"), nullptr);
  verify(two(), "a", {"and asked for anew", in({}), sent("b", asks("b", "10.0.2.1", "10.0.2.2"))});
}

TEST_F(Arp, AUsedNeighborIsProbedByUnicastAndStays) {
  give("a", in({}));
  static_cast<void>(two().received("b"));
  give("b", reply("b", kHostB, "10.0.2.2", "10.0.2.1"));
  two().advance(29);
  give("a", in({}));
  EXPECT_EQ(two().received("b").size(), 2U) << "no probe while it is fresh";
  two().advance(1);
  const Bytes probe = asks("b", "10.0.2.1", "10.0.2.2", kHostB);
  expect_frames({probe}, two().received("b"));
  verify(two(), "a", forwards("rule 23: traffic goes on meanwhile", Ipv4Packet{}));
  give("b", reply("b", kHostB, "10.0.2.2", "10.0.2.1"));
  EXPECT_EQ(entry("b", "10.0.2.2")->state, Neighbors::State::reachable);
  two().advance(29.5);
  expect_frames({}, two().received("b"));
}

TEST_F(Arp, AUsedNeighborThatNoLongerAnswersIsGivenUp) {
  give("a", in({}));
  give("b", reply("b", kHostB, "10.0.2.2", "10.0.2.1"));
  static_cast<void>(two().received("b"));
  for (unsigned second = 0; second < 29; ++second) {
    two().advance(1);
    give("a", in({}));
  }
  static_cast<void>(two().received("b"));
  two().advance(4.5);
  const Bytes probe = asks("b", "10.0.2.1", "10.0.2.2", kHostB);
  expect_frames({probe, probe, probe}, two().received("b"));
  EXPECT_EQ(entry("b", "10.0.2.2"), nullptr);
  verify(two(), "a",
         {"rule 14: no packet to a dead neighbour", in({}), sent("b", asks("b", "10.0.2.1", "10.0.2.2"))});
}

TEST_F(Arp, LinkDownFlushesDynamicNeighborsOnly) {
  learn_b();
  two().set_link("a", false);
  two().set_link("b", false);
  two().run();
  EXPECT_EQ(entry("b", "10.0.2.2"), nullptr) << "rule 23";
  ASSERT_NE(entry("a", "10.0.1.2"), nullptr) << "a static one stays";
  two().set_link("b", true);
  two().run();
  static_cast<void>(two().received("b"));
  two().set_link("a", true);
  two().run();
  static_cast<void>(two().received("b"));
  expect_frames({asks("a", "10.0.1.1", "10.0.1.1")}, arps("a"));
  verify(two(), "a", {"asked for anew", in({}), sent("b", asks("b", "10.0.2.1", "10.0.2.2"))});
}

// Rules 14, 22.
TEST_F(Arp, LinkDownDropsWhatWaits) {
  const Bytes packet = in({});
  give("a", packet);
  ASSERT_EQ(two().control().waiting_packets(), 1U);
  two().set_link("b", false);
  two().run();
  EXPECT_EQ(two().control().waiting_packets(), 0U);
  EXPECT_EQ(two().dropped(DropReason::neighbor_failed), 1U);
  const Bytes error = icmp_error(two(), "a", kHostA, packet, {.code = 1});
  auto frames = two().received("a");
  std::erase_if(frames, [](const Bytes& f) { return get16(f, 12) != 0x0800; });
  expect_frames({error}, frames, true);
}

TEST_F(Arp, AnUnchangedInterfaceAnnouncesNothing) {
  two().set_link("b", false);
  two().set_link("b", true);
  two().run();
  expect_frames({asks("b", "10.0.2.1", "10.0.2.1")}, arps("b"));
  expect_frames({}, two().received("a"));
}

TEST_F(Arp, StaticNeighborsAreNotAskedNorChangedNorAged) {
  start(kTwoSubnets);
  const MacAddress liar = mac("02:00:00:00:02:99");
  two().send("b", request(liar, "10.0.2.2", "10.0.2.2"));
  two().send("b", request(liar, "10.0.2.2", "10.0.2.1"));
  two().send("b", reply("b", liar, "10.0.2.2", "10.0.2.1"));
  two().run();
  expect_frames({tells("b", "10.0.2.1", liar, "10.0.2.2")}, two().received("b"));
  two().advance(2000);
  expect_frames({}, two().received("b"));
  verify(two(), "a", forwards("rule 23: still the static MAC", Ipv4Packet{}));
}

// Rule 22.
TEST_F(Arp, AStaticEntryEndsTheWaiting) {
  const Bytes packet = in({});
  give("a", packet);
  static_cast<void>(two().received("b"));
  two().control().neighbors().set_fixed({two().interface("b").id, ip("10.0.2.2")}, kHostB);
  two().run();
  expect_frames({forwarded(packet, kHostB, two().mac("b"))}, two().received("b"));
}

TEST_F(Arp, Rfc5227_2_3_AddressesAreAnnouncedWhenTheyAreNew) {
  ASSERT_TRUE(two().apply(R"(
interfaces:
  a: {device: @a, addresses: [10.0.1.1/24, 10.0.3.1/24]}
  b: {device: @b, addresses: [10.0.2.1/24]}
neighbors: [{address: 10.0.1.2, mac: "02:00:00:00:01:02", interface: a}]
)"));
  two().run();
  expect_frames({asks("a", "10.0.1.1", "10.0.1.1"), asks("a", "10.0.3.1", "10.0.3.1")}, two().received("a"));
}

// The way to a worker has to have room for other frames.
TEST_F(Arp, Rfc5227_2_3_ManyInterfacesAreAnnouncedAFewAtATick) {
  std::string yaml = "interfaces:\n  b: {device: @b, mtu: 1000, addresses: [10.0.2.1/24]}\n";
  std::vector<Bytes> all = {asks("b", "10.0.2.1", "10.0.2.1")};
  for (unsigned vlan = 1; vlan <= 200; ++vlan) {
    const std::string own = "10.1." + std::to_string(vlan) + ".1", id = std::to_string(vlan);
    yaml += "  v" + id + ": {parent: b, mtu: 1000, vlan: " + id + ", addresses: [" + own + "/24]}\n";
    Bytes frame = asks("b", own.c_str(), own.c_str());
    const Bytes tag = {0x81, 0, 0, static_cast<std::uint8_t>(vlan)};
    frame.insert(frame.begin() + 12, tag.begin(), tag.end());
    all.push_back(frame);
  }
  ASSERT_TRUE(two().apply(yaml));
  std::vector<Bytes> announced;
  for (unsigned tick = 0; tick < 4; ++tick) {
    two().run();
    const std::vector<Bytes> now = two().received("b");
    EXPECT_LE(now.size(), 64U);
    announced.insert(announced.end(), now.begin(), now.end());
    two().control().tick();
  }
  std::ranges::sort(announced);
  std::ranges::sort(all);
  expect_frames(all, announced);
}

// Rule 22.
TEST_F(Arp, TooManyUnknownNeighborsAreBounded) {
  LabOptions options;
  options.neighbors.incomplete = 10;
  start(kPlain, options);
  for (unsigned host = 3; host < 43; ++host) {
    two().send("a", in({.destination = Ipv4Address(10, 0, 2, host)}));
  }
  two().run();
  EXPECT_EQ(two().received("b").size(), 10U);
  EXPECT_EQ(two().dropped(DropReason::neighbor_table_full), 30U);
  EXPECT_EQ(two().control().waiting_packets(), 10U);
  two().advance(3);
  EXPECT_EQ(two().dropped(DropReason::neighbor_failed), 10U);
  EXPECT_EQ(two().received("a").size(), 10U);
  static_cast<void>(two().received("b"));
  verify(two(), "a", {"and there is room again", in({}), sent("b", asks("b", "10.0.2.1", "10.0.2.2"))});
}

TEST_F(Arp, ANeighborOnlyOnItsOwnInterface) {
  learn_b();
  verify(two(), "a", ignored("rule 21: b's host seen on a", request(kHostB, "10.0.2.2", "10.0.1.1")));
  verify(two(), "a", forwards("still on b", Ipv4Packet{}));
}

}  // namespace
}  // namespace millrace::behaviour
