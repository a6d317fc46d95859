// Several next hops on one link, and how what is known of them changes (RFC 826, RFC 2992, RFC 5227).
#include <algorithm>

#include "cases.h"

namespace millrace::behaviour {
namespace {

const MacAddress kOther{{2, 0, 0, 0, 2, 3}};
const MacAddress kMoved{{2, 0, 0, 0, 2, 0x99}};

const std::string kInterfaces = R"(
interfaces:
  a: {device: @a, addresses: [10.0.1.1/24]}
  b: {device: @b, addresses: [10.0.2.1/24]}
)";
const std::string kNeighborA = R"(
neighbors:
  - {address: 10.0.1.2, mac: "02:00:00:00:01:02", interface: a}
)";
const std::string kNeighborB = R"(  - {address: 10.0.2.2, mac: "02:00:00:00:02:02", interface: b}
)";
const std::string kBothOnB = "routes: [{prefix: 203.0.113.0/24, via: [10.0.2.2, 10.0.2.3]}]\n";

class LinkNeighbors : public TwoSubnetsTest {
 protected:
  void start_with_both() { start(kInterfaces + kBothOnB + kNeighborA + kNeighborB); }
  // A request to us: it makes its sender known.
  void speaks(const MacAddress& from, const char* sender) {
    two().send("b", frame(kBroadcastMac, from, ArpPacket{1, from, ip(sender), {}, ip("10.0.2.1")}));
    two().settle();
  }
  Case goes_to(const std::string& what, const MacAddress& to, const char* destination = "10.0.2.2") {
    const Bytes packet = in({.destination = ip(destination)});
    return {what, packet, sent("b", forwarded(packet, to, two().mac("b")))};
  }
  Case asks_for(const std::string& what, const char* target) {
    const ArpPacket question{1, two().mac("b"), ip("10.0.2.1"), {}, ip(target)};
    return {what, in({.destination = ip(target)}), sent("b", frame(kBroadcastMac, two().mac("b"), question))};
  }
  // The MAC that each flow to 203.0.113.0/24 goes to.
  std::vector<MacAddress> ways(unsigned flows) {
    std::vector<MacAddress> all;
    for (unsigned n = 0; n < flows; ++n) {
      two().send("a", in({.destination = ip("203.0.113.1"),
                          .payload = udp(static_cast<std::uint16_t>(1000 + n), 53)}));
      two().step();
      const auto out = two().received("b");
      MacAddress to{};
      if (out.size() == 1) std::copy_n(out[0].begin(), 6, to.bytes.begin());
      all.push_back(to);
    }
    return all;
  }
  static int count(const std::vector<MacAddress>& all, const MacAddress& one) {
    return static_cast<int>(std::count(all.begin(), all.end(), one));
  }
};

TEST_F(LinkNeighbors, Rfc2992_MembersOfAGroupMayShareALink) {
  start_with_both();
  speaks(kOther, "10.0.2.3");
  const auto before = ways(300);
  EXPECT_NEAR(count(before, kHostB), 150, 50) << "rule 13";
  EXPECT_EQ(count(before, kHostB) + count(before, kOther), 300) << "rule 13";
  EXPECT_EQ(ways(300), before) << "rule 13: a flow stays";

  two().advance(40);  // the learnt one is probed, and does not answer
  two().settle();
  EXPECT_EQ(count(ways(300), kHostB), 300) << "rule 14: all go to the neighbour that is left";
  speaks(kOther, "10.0.2.3");
  EXPECT_EQ(ways(300), before) << "rule 13: as before, once it is back";
}

TEST_F(LinkNeighbors, RoutesBehindANeighborFollowItsMac) {
  start_with_both();
  speaks(kOther, "10.0.2.3");
  const auto before = ways(100);
  speaks(kMoved, "10.0.2.3");
  const auto after = ways(100);
  ASSERT_EQ(after.size(), before.size());
  for (std::size_t n = 0; n < before.size(); ++n) {
    EXPECT_EQ(after[n], before[n] == kOther ? kMoved : before[n]) << "rule 23: flow " << n;
  }
  EXPECT_EQ(count(after, kMoved), count(before, kOther));
}

TEST_F(LinkNeighbors, ARouteThatIsMadeWhileALinkIsDownUsesTheOthers) {
  const std::string before = R"(
interfaces:
  a: {device: @a, addresses: [10.0.1.1/24]}
  b: {device: @b, addresses: [10.0.2.1/24]}
  c: {device: @c, addresses: [10.0.3.1/24]}
)" + kNeighborA + kNeighborB +
                             R"(  - {address: 10.0.3.2, mac: "02:00:00:00:03:02", interface: c}
)";
  start(before);
  two().set_link("c", false);
  two().settle();
  two().must_apply(before + "routes: [{prefix: 203.0.113.0/24, via: [10.0.2.2, 10.0.3.2]}]\n");
  EXPECT_EQ(count(ways(200), kHostB), 200) << "rule 14: none goes to the dead link";
  two().set_link("c", true);
  two().settle();
  EXPECT_NEAR(count(ways(200), kHostB), 100, 40) << "rule 13: its share, once it is up";
}

TEST_F(LinkNeighbors, AStaticEntryTakesTheLearntOnesPlace) {
  for (const auto& [learnt, what] : {std::pair(kHostB, "the same MAC"), std::pair(kMoved, "another MAC")}) {
    SCOPED_TRACE(what);
    start(kInterfaces + kNeighborA);
    speaks(learnt, "10.0.2.2");
    verify(two(), "a", goes_to("learnt", learnt));
    two().must_apply(kInterfaces + kNeighborA + kNeighborB);
    verify(two(), "a", goes_to("rule 23: the static one, at once", kHostB));
    speaks(kMoved, "10.0.2.2");
    verify(two(), "a", goes_to("rule 23: ARP does not change it", kHostB));
    two().set_link("b", false);
    two().set_link("b", true);
    two().settle();
    verify(two(), "a", goes_to("rule 23: nor does the link", kHostB));
  }
}

// RFC 826, "Packet Reception", speaks of the addresses in the packet; the frame's source may be another.
TEST_F(LinkNeighbors, Rfc826_TheSenderIsTheOneInThePacket) {
  start(kInterfaces + kNeighborA);
  const ArpPacket request{1, kHostB, ip("10.0.2.2"), {}, ip("10.0.2.1")};
  const ArpPacket reply{2, two().mac("b"), ip("10.0.2.1"), kHostB, ip("10.0.2.2")};
  verify(two(), "b",
         {"rule 21: the answer goes to it", frame(kBroadcastMac, kOther, request),
          sent("b", frame(kHostB, two().mac("b"), reply))});
  verify(two(), "a", goes_to("rule 21: and it is what is learnt", kHostB));
}

TEST_F(LinkNeighbors, Rfc826_ARequestInAFrameToSomebodyElseIsNotOurs) {
  start(kInterfaces + kNeighborA);
  const ArpPacket request{1, kHostB, ip("10.0.2.2"), {}, ip("10.0.2.1")};
  verify(two(), "b", {"rules 8, 21", frame(kOther, kHostB, request), dropped(DropReason::not_our_mac)});
  verify(two(), "a", asks_for("rule 21: nothing is learnt from it", "10.0.2.2"));
}

TEST_F(LinkNeighbors, Rfc5227_GratuitousArpFromOtherSubnetsIsNotLearnt) {
  start(kInterfaces + kNeighborA);
  for (const char* sender : {"10.0.1.9", "10.0.3.9", "198.51.100.9", "10.0.2.255", "10.0.2.0"}) {
    const std::string what = "rule 21: for " + std::string(sender);
    const ArpPacket request{1, kMoved, ip(sender), {}, ip(sender)};
    const ArpPacket reply{2, kMoved, ip(sender), kBroadcastMac, ip(sender)};
    verify(two(), "b",
           {{what + ", a request", frame(kBroadcastMac, kMoved, request), dropped(DropReason::arp_ignored)},
            {what + ", a reply", frame(kBroadcastMac, kMoved, reply), dropped(DropReason::arp_ignored)}});
    EXPECT_FALSE(two().control().neighbors().entries().contains({two().interface("b").id, ip(sender)}))
        << what;
  }
}

TEST_F(LinkNeighbors, Rfc826_AHostOfTheOtherSubnetIsNotAnsweredHere) {
  start(kInterfaces + kNeighborA);
  const ArpPacket request{1, kHostB, ip("10.0.2.2"), {}, ip("10.0.2.1")};
  verify(two(), "a",
         {"rule 21: b's host asks for b's address on a", frame(kBroadcastMac, kHostB, request),
          dropped(DropReason::arp_ignored)});
  verify(two(), "a", asks_for("rule 21: nothing is learnt from it", "10.0.2.2"));
}

TEST_F(LinkNeighbors, ABurstToManyUnknownHostsAsksOnceForEach) {
  start(kInterfaces + kNeighborA);
  for (unsigned round = 0; round < 8; ++round) {
    for (unsigned host = 10; host < 40; ++host)
      two().send("a", in({.destination = Ipv4Address(10, 0, 2, host)}));
  }
  two().run();
  std::vector<Bytes> wanted;
  for (unsigned host = 10; host < 40; ++host) {
    const ArpPacket question{1, two().mac("b"), ip("10.0.2.1"), {}, Ipv4Address(10, 0, 2, host)};
    wanted.push_back(frame(kBroadcastMac, two().mac("b"), question));
  }
  expect_frames(wanted, two().received("b"));
  EXPECT_EQ(two().dropped(DropReason::neighbor_queue_full), 30U * 4U) << "rule 22: four of eight wait";
}

TEST_F(LinkNeighbors, MoreThanTheTableHoldsAreAnsweredAndNotLearnt) {
  LabOptions options;
  options.neighbors.total = 5;
  start(kInterfaces + "routes: [{prefix: 203.0.113.0/24, via: 10.0.2.3}]\n" + kNeighborA, options);
  const auto& entries = two().control().neighbors().entries();
  for (unsigned host = 10; host < 20; ++host) {
    const MacAddress from{{2, 0, 0, 0, 2, static_cast<std::uint8_t>(host)}};
    const ArpPacket request{1, from, Ipv4Address(10, 0, 2, host), {}, ip("10.0.2.1")};
    const ArpPacket reply{2, two().mac("b"), ip("10.0.2.1"), from, request.sender};
    verify(two(), "b",
           {"rule 21: answered", frame(kBroadcastMac, from, request),
            sent("b", frame(from, two().mac("b"), reply))});
  }
  EXPECT_EQ(entries.size(), 5U) << "rule 23: bounded";
  EXPECT_TRUE(entries.contains({two().interface("b").id, ip("10.0.2.3")}))
      << "rule 22: a next hop has its place";
  verify(two(), "a",
         drops("rule 22: no room to ask for it", {.destination = ip("10.0.2.99")},
               DropReason::neighbor_table_full));
}

}  // namespace
}  // namespace millrace::behaviour
