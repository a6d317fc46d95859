// Configuration applied to a running router: what changed changes, at once; what did not stays; a bad one
// does nothing.
#include <map>

#include "cases.h"

namespace millrace::behaviour {
namespace {

const std::string kA = "  a: {device: @a, addresses: [10.0.1.1/24]}\n";
const std::string kB = "  b: {device: @b, addresses: [10.0.2.1/24]}\n";
const std::string kC = "  c: {device: @c, addresses: [10.0.3.1/24]}\n";
const std::string kNeighborA = "  - {address: 10.0.1.2, mac: \"02:00:00:00:01:02\", interface: a}\n";
const std::string kNeighborB = "  - {address: 10.0.2.2, mac: \"02:00:00:00:02:02\", interface: b}\n";
const std::string kNeighborC = "  - {address: 10.0.3.2, mac: \"02:00:00:00:03:02\", interface: c}\n";
const std::string kBase = "interfaces:\n" + kA + kB + "neighbors:\n" + kNeighborA + kNeighborB;
const std::string kWithC =
    "interfaces:\n" + kA + kB + kC + "neighbors:\n" + kNeighborA + kNeighborB + kNeighborC;
const MacAddress kHostC{{2, 0, 0, 0, 3, 2}};

class Apply : public TwoSubnetsTest {
 protected:
  Apply() { start(kBase); }
  Case via_c(const char* destination) {
    const Bytes packet = in({.destination = ip(destination)});
    return {"by c", packet, sent("c", forwarded(packet, kHostC, two().mac("c")))};
  }
  Case no_route(const char* destination) {
    return refuses("no route", {.destination = ip(destination)}, DropReason::no_route, {.code = 0});
  }
  void quiet_apply(const std::string& yaml) {
    two().must_apply(yaml);
    two().settle();
  }
};

// Rule 43.
TEST_F(Apply, AnInterfaceIsAddedAndRemoved) {
  verify(two(), "a", no_route("10.0.3.2"));
  quiet_apply(kWithC);
  verify(two(), "a", {via_c("10.0.3.2"), forwards("b goes on", Ipv4Packet{})});
  quiet_apply(kBase);
  verify(two(), "a", {no_route("10.0.3.2"), forwards("b goes on", Ipv4Packet{})});
  EXPECT_EQ(two().control().interfaces().find("c"), nullptr);
}

TEST_F(Apply, AnInterfaceComesBackOnTheSameDevice) {
  for (unsigned round = 0; round < 10; ++round) {
    quiet_apply(kWithC);
    verify(two(), "a", via_c("10.0.3.2"));
    quiet_apply(kBase);
  }
}

// Rules 40, 43.
TEST_F(Apply, WhatAnOldInterfaceStillHadInItsQueuesIsNotLost) {
  quiet_apply(kWithC);
  two().send("c", frame(two().mac("c"), kHostC, Ipv4Packet{.source = ip("10.0.3.2")}));
  two().send("a", in({.destination = ip("10.0.3.9")}));  // waits for a neighbour on c
  two().run();
  two().send("a", in({.destination = ip("10.0.3.10")}));
  two().step();  // punted, and not yet handled
  ASSERT_TRUE(two().apply(kBase));
  two().run();
  EXPECT_EQ(two().control().waiting_packets(), 0U);
  EXPECT_EQ(two().dropped(DropReason::interface_gone), 1U);
  EXPECT_EQ(two().dropped(DropReason::neighbor_failed), 1U);
}

// Rules 12, 43.
TEST_F(Apply, RoutesAreAddedChangedAndRemoved) {
  const auto with = [&](const std::string& routes) { return kWithC + "routes: [" + routes + "]\n"; };
  quiet_apply(with("{prefix: 203.0.113.0/24, via: 10.0.2.2}"));
  verify(two(), "a", forwards("added", {.destination = ip("203.0.113.1")}));
  quiet_apply(with("{prefix: 203.0.113.0/24, via: 10.0.3.2}"));
  verify(two(), "a", via_c("203.0.113.1"));
  quiet_apply(with("{prefix: 203.0.113.0/24, type: blackhole}"));
  verify(two(), "a", drops("another type", {.destination = ip("203.0.113.1")}, DropReason::route_blackhole));
  quiet_apply(with(""));
  verify(two(), "a", no_route("203.0.113.1"));
}

// Rule 12.
TEST_F(Apply, TheLowestDistanceWinsAndTheOtherTakesOver) {
  quiet_apply(kWithC + "routes: [{prefix: 203.0.113.0/24, via: 10.0.2.2, distance: 5}]\n");
  config::RouteConfig route;
  route.via = {ip("10.0.3.2")};
  route.distance = 3;
  ASSERT_TRUE(two().control().add_route(Ipv4Prefix(ip("203.0.113.0"), 24), {route, 0}));
  verify(two(), "a", via_c("203.0.113.1"));
  quiet_apply(kWithC + "routes: [{prefix: 203.0.113.0/24, via: 10.0.2.2, distance: 2}]\n");
  verify(two(), "a", forwards("the file's is better now", {.destination = ip("203.0.113.1")}));
  quiet_apply(kWithC);
  verify(two(), "a", via_c("203.0.113.1"));
  EXPECT_TRUE(two().control().remove_route(Ipv4Prefix(ip("203.0.113.0"), 24)));
  verify(two(), "a", no_route("203.0.113.1"));
}

// Rules 10, 19.
TEST_F(Apply, AddressesAreAddedAndRemoved) {
  const std::string more = "  b: {device: @b, addresses: [10.0.2.1/24, 10.0.9.1/24]}\n";
  const Ipv4Packet echo{.destination = ip("10.0.9.1"), .protocol = 1, .payload = icmp(8, 0, 1, pattern(8))};
  const Ipv4Packet reply{.source = ip("10.0.9.1"),
                         .destination = ip("10.0.1.2"),
                         .protocol = 1,
                         .payload = icmp(0, 0, 1, pattern(8))};
  verify(two(), "a", no_route("10.0.9.1"));
  quiet_apply("interfaces:\n" + kA + more + "neighbors:\n" + kNeighborA + kNeighborB);
  verify(two(), "a",
         {"the new address answers", in(echo), answered("a", frame(kHostA, two().mac("a"), reply))});
  verify(two(), "a",
         drops("and is a source that others may not use", {.source = ip("10.0.9.1")},
               DropReason::source_is_own));
  quiet_apply(kBase);
  verify(two(), "a", {no_route("10.0.9.1"), forwards("free again", {.source = ip("10.0.9.1")})});
}

TEST_F(Apply, NeighborsOfARemovedSubnetGoWithIt) {
  const std::string more = "  b: {device: @b, addresses: [10.0.2.1/24, 10.0.9.1/24]}\n";
  quiet_apply("interfaces:\n" + kA + more + "neighbors:\n" + kNeighborA + kNeighborB);
  const MacAddress host = mac("02:00:00:00:09:02");
  two().send("b", frame(kBroadcastMac, host, ArpPacket{1, host, ip("10.0.9.2"), {}, ip("10.0.9.1")}));
  two().settle();
  const Bytes packet = in({.destination = ip("10.0.9.2")});
  verify(two(), "a", {"known", packet, sent("b", forwarded(packet, host, two().mac("b")))});
  quiet_apply(kBase);
  verify(two(), "a", no_route("10.0.9.2"));
}

// Rule 23.
TEST_F(Apply, StaticNeighborsAreAddedChangedAndRemoved) {
  const auto with = [&](const char* mac_text) {
    return "interfaces:\n" + kA + kB + "neighbors:\n" + kNeighborA + "  - {address: 10.0.2.2, mac: \"" +
           mac_text + "\", interface: b}\n";
  };
  const Bytes packet = in({});
  quiet_apply(with("02:00:00:00:02:55"));
  verify(two(), "a",
         {"another MAC", packet, sent("b", forwarded(packet, mac("02:00:00:00:02:55"), two().mac("b")))});
  quiet_apply("interfaces:\n" + kA + kB + "neighbors:\n" + kNeighborA);
  two().advance(1300);
  two().settle();
  const ArpPacket question{1, two().mac("b"), ip("10.0.2.1"), {}, ip("10.0.2.2")};
  verify(two(), "a",
         {"removed, and forgotten", packet, sent("b", frame(kBroadcastMac, two().mac("b"), question))});
}

// Rule 7.
TEST_F(Apply, TheMtuChangesForPacketsThatFollow) {
  const Ipv4Packet big{.flags_offset = kDf, .payload = pattern(1300)};
  verify(two(), "a", forwards("1,500", big));
  quiet_apply("interfaces:\n" + kA + "  b: {device: @b, mtu: 1000, addresses: [10.0.2.1/24]}\nneighbors:\n" +
              kNeighborA + kNeighborB);
  verify(two(), "a", refuses("1,000", big, DropReason::fragmentation_needed, {.code = 4, .mtu = 1000}));
  quiet_apply(kBase);
  verify(two(), "a", forwards("1,500 again", big));
}

TEST_F(Apply, AFailedOneChangesNothing) {
  const std::string bad = "interfaces:\n" + kA + "  b: {device: @b, mtu: 900, addresses: [10.0.77.1/24]}\n" +
                          "  x: {device: \"net_nonesuch,x=1\", addresses: [10.0.66.1/24]}\n" +
                          "routes: [{prefix: 203.0.113.0/24, type: blackhole}]\nneighbors:\n" + kNeighborA;
  const std::uint64_t generation = two().control().generation();
  const auto applied = two().apply(bad);
  ASSERT_FALSE(applied);
  EXPECT_NE(applied.error().find("interfaces.x.device"), std::string::npos) << applied.error();
  two().settle();
  EXPECT_EQ(two().control().generation(), generation);
  EXPECT_EQ(two().control().interfaces().find("x"), nullptr);
  verify(two(), "a",
         {forwards("rule 43: as before", {.flags_offset = kDf, .payload = pattern(1400)}),
          no_route("203.0.113.1"), no_route("10.0.77.1")});
}

// Rule 43.
TEST_F(Apply, MoreInterfacesThanThereAreNumbersAreRefusedWhole) {
  const auto loopbacks = [](std::size_t count) {
    std::string text;
    for (std::size_t i = 0; i < count; ++i) text += "  l" + std::to_string(i) + ": {loopback: true}\n";
    return "interfaces:\n" + kA + kB + text;
  };
  const std::size_t room = two().control().interfaces().room();
  const auto applied = two().apply(loopbacks(room + 1));
  ASSERT_FALSE(applied);
  EXPECT_NE(applied.error().find("interfaces: room for"), std::string::npos) << applied.error();
  EXPECT_EQ(two().control().interfaces().find("l0"), nullptr);
  EXPECT_TRUE(two().apply(loopbacks(room)));
  EXPECT_EQ(two().control().interfaces().room(), 0U);
}

// Rule 43.
TEST_F(Apply, WhatNeedsARestartIsRefused) {
  const auto applied = two().apply(kBase + "dataplane: {idle: poll}\n");
  ASSERT_FALSE(applied);
  EXPECT_NE(applied.error().find("restart"), std::string::npos) << applied.error();
  verify(two(), "a", forwards("as before", Ipv4Packet{}));
}

// Rule 43.
TEST_F(Apply, TheSameAgainChangesNothingAndSaysNothing) {
  ASSERT_TRUE(two().apply(kBase));
  two().run();
  for (const auto& [name, port] : two().ports()) EXPECT_TRUE(two().received(name).empty());
  EXPECT_EQ(two().control().reclaimer().pending(), 0U);
}

// Rule 42.
TEST_F(Apply, PacketsInFlightMeetTheNewTables) {
  two().send("a", in({}));
  ASSERT_TRUE(two().apply(kBase + "routes: [{prefix: 10.0.2.2/32, type: blackhole}]\n"));
  two().settle();
  EXPECT_EQ(two().dropped(DropReason::route_blackhole), 1U);
}

// With a device that its driver makes anew each time, as a real one is; nothing comes from it.
TEST_F(Apply, UnchangedTrafficLosesNothing) {
  const std::string with_null =
      "interfaces:\n" + kA + kB +
      "  n: {device: \"net_null,no-rx=1\", addresses: [10.0.3.1/24]}\nneighbors:\n" + kNeighborA + kNeighborB;
  for (unsigned round = 0; round < 100; ++round) {
    const Bytes packet = in({.identification = static_cast<std::uint16_t>(round)});
    two().send("a", packet);
    const auto applied = two().apply(round % 2 == 0 ? with_null : kBase);
    ASSERT_TRUE(applied) << "round " << round << ": " << applied.error();
    if (round % 4 == 3) two().control().tick();  // most changes come before the last one is quite over
    two().send("a", packet);
    two().run();
    std::size_t passed = 0;
    for (const Bytes& f : two().received("b")) passed += get16(f, 12) == 0x0800 ? 1 : 0;
    ASSERT_EQ(passed, 2U) << "rule 43, round " << round;
  }
}

// What the tables hold after many changes is what they held before.
// Rule 42.
TEST_F(Apply, ManyLeakNothing) {
  const auto used = [&] {
    two().control().tick();
    auto& writer = two().control().writer();
    return std::vector<std::size_t>{
        writer.next_hops_used(),          writer.adjacencies_used(),      two().control().next_hops().size(),
        two().control().rib().prefixes(), two().control().pools().size(), two().buffers_out()};
  };
  const std::string routes =
      "routes: [{prefix: 203.0.113.0/24, via: [10.0.2.2, 10.0.3.2]}, {prefix: 198.18.0.0/15, via: "
      "10.0.3.2}]\n";
  quiet_apply(kWithC + routes);
  quiet_apply(kBase);
  const auto before = used();
  for (unsigned round = 0; round < 200; ++round) {
    quiet_apply(kWithC + routes);
    verify(two(), "a", via_c("198.18.0.1"));
    quiet_apply(kBase);
  }
  EXPECT_EQ(used(), before);
}

// Rule 42.
TEST_F(Apply, SlotsComeBackOnlyAfterAGracePeriod) {
  auto& reclaimer = two().control().reclaimer();
  auto& writer = two().control().writer();
  quiet_apply(kWithC);
  const std::size_t used = writer.adjacencies_used();
  reclaimer.register_worker(0);  // as if the worker were in the middle of a step
  ASSERT_TRUE(two().apply(kBase));
  two().control().tick();
  EXPECT_GE(writer.adjacencies_used(), used) << "what the worker may read is not taken from it";
  EXPECT_GT(reclaimer.pending(), 0U);
  EXPECT_EQ(two().ports().at("c")->device().empty(), false);
  EXPECT_NO_THROW(static_cast<void>(two().port("c").port())) << "its port is still open";
  two().step();
  two().control().tick();
  EXPECT_EQ(reclaimer.pending(), 0U);
  EXPECT_LT(writer.adjacencies_used(), used);
  EXPECT_THROW(static_cast<void>(two().port("c").port()), std::runtime_error) << "closed";
}

}  // namespace
}  // namespace millrace::behaviour
