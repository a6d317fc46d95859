// Routes that change between bursts and in the middle of them: every packet takes the old or the new way.
#include <algorithm>

#include "cases.h"

namespace millrace::behaviour {
namespace {

const std::string kThreeWays = R"(
interfaces:
  a: {device: @a, addresses: [10.0.1.1/24]}
  b: {device: @b, addresses: [10.0.2.1/24]}
  c: {device: @c, addresses: [10.0.3.1/24]}
routes: [{prefix: 203.0.113.0/24, via: 10.0.2.2}]
neighbors:
  - {address: 10.0.1.2, mac: "02:00:00:00:01:02", interface: a}
  - {address: 10.0.2.2, mac: "02:00:00:00:02:02", interface: b}
  - {address: 10.0.3.2, mac: "02:00:00:00:03:02", interface: c}
)";

class Churn : public TwoSubnetsTest {
 protected:
  Churn() { start(kThreeWays); }
  void set_route(const Ipv4Prefix& prefix, const char* via) {
    config::RouteConfig route;
    route.via = {ip(via)};
    ASSERT_TRUE(two().control().add_route(prefix, {route, 0}));
  }
  // How many packets to `destination` are among the frames.
  static unsigned count(const std::vector<Bytes>& frames, const char* destination) {
    return static_cast<unsigned>(std::ranges::count_if(frames, [&](const Bytes& f) {
      return get16(f, 12) == 0x0800 && Ipv4Address(get32(f, kEthernet + 16)) == ip(destination);
    }));
  }
};

// 100,000 changes, 32 between two bursts; in each burst a packet whose route changes and one whose route does
// not.
TEST_F(Churn, ARouteThatChangesTakesItsPacketsAlongAndNoOthers) {
  constexpr unsigned kBursts = 3125, kChanges = 32;
  const Ipv4Prefix moving(ip("198.18.0.0"), 24);
  for (unsigned burst = 0; burst < kBursts; ++burst) {
    const bool to_c = burst % 2 == 0;
    for (unsigned i = 0; i + 1 < kChanges; ++i) {  // around it, shorter and longer
      const Ipv4Prefix other(Ipv4Address(ip("198.18.0.0").value() ^ (i << 9)), 16 + i % 17);
      if (other == moving) continue;
      if ((burst + i) % 3 == 0) {
        two().control().remove_route(other);
      } else {
        set_route(other, (burst + i) % 2 == 0 ? "10.0.2.2" : "10.0.3.2");
      }
    }
    two().control().remove_route(Ipv4Prefix(ip("198.18.0.77"), 32));
    set_route(moving, to_c ? "10.0.3.2" : "10.0.2.2");
    set_route({ip("198.18.0.77"), 32}, to_c ? "10.0.3.2" : "10.0.2.2");
    two().send("a", in({.destination = ip("198.18.0.77")}));
    two().send("a", in({.destination = ip("203.0.113.5")}));
    two().run();
    const auto by_b = two().received("b"), by_c = two().received("c");
    ASSERT_EQ(count(to_c ? by_c : by_b, "198.18.0.77"), 1U) << "rule 42, burst " << burst;
    ASSERT_EQ(count(by_b, "203.0.113.5"), 1U) << "rule 42, burst " << burst;
    if (burst % 64 == 0) two().control().tick();
  }
  EXPECT_EQ(two().control().accounting().dropped, 0U) << "rule 42";
}

// What is in a receive queue when its route changes takes the new way, what has left the old one: none is
// lost.
TEST_F(Churn, ARouteChangesUnderPacketsThatWait) {
  const Ipv4Prefix moving(ip("198.18.0.0"), 24);
  set_route(moving, "10.0.2.2");
  for (unsigned i = 0; i < 3 * dataplane::kBurst; ++i) two().send("a", in({.destination = ip("198.18.0.1")}));
  two().step();  // one burst
  set_route(moving, "10.0.3.2");
  two().run();
  EXPECT_EQ(count(two().received("b"), "198.18.0.1"), dataplane::kBurst) << "rule 42";
  EXPECT_EQ(count(two().received("c"), "198.18.0.1"), 2 * dataplane::kBurst) << "rule 42";
}

TEST_F(Churn, Rfc1812_5_2_4_3_ALongerPrefixComesAndGoes) {
  const auto by_b = [&] { return forwards("rule 12: the shorter", {.destination = ip("203.0.113.5")}); };
  const Bytes packet = in({.destination = ip("203.0.113.5")});
  const Case by_c{"rule 12: the longer", packet,
                  sent("c", forwarded(packet, mac("02:00:00:00:03:02"), two().mac("c")))};
  for (unsigned length = 25; length <= 32; ++length) {
    const Ipv4Prefix longer(ip("203.0.113.5"), length);
    verify(two(), "a", by_b());
    set_route(longer, "10.0.3.2");
    verify(two(), "a", by_c);
    two().control().remove_route(longer);
  }
  for (unsigned length = 0; length <= 23; ++length) {  // a shorter one is no news
    set_route({ip("203.0.113.5"), length}, "10.0.3.2");
    verify(two(), "a", by_b());
  }
  two().must_apply(kThreeWays.substr(0, kThreeWays.find("routes")) +
                   kThreeWays.substr(kThreeWays.find("neighbors")));
  for (unsigned length = 24; length-- > 0;) {
    verify(two(), "a", by_c);
    two().control().remove_route(Ipv4Prefix(ip("203.0.113.5"), length));
  }
  verify(two(), "a",
         refuses("rule 12: the last one has gone", {.destination = ip("203.0.113.5")}, DropReason::no_route,
                 {.code = 0}));
}

TEST_F(Churn, Rfc1812_5_2_7_2_OutByTheInterfaceItCameFromInEveryWay) {
  two().must_apply(kThreeWays + "  - {address: 10.0.1.9, mac: \"02:00:00:00:02:02\", interface: a}\n");
  const auto out_by_a = [&](const std::string& what, const char* destination) {
    const Bytes packet = in({.destination = ip(destination)});
    return Case{what, packet, sent("a", forwarded(packet, kHostB, two().mac("a")))};
  };
  set_route({ip("198.18.0.0"), 24}, "10.0.1.9");
  verify(two(), "a",
         {out_by_a("rule 15: to a host of its own subnet", "10.0.1.9"),
          out_by_a("rule 15: to a next hop there", "198.18.0.1")});
  const ArpPacket question{1, two().mac("a"), ip("10.0.1.1"), {}, ip("10.0.1.77")};
  verify(two(), "a",
         {"rule 15: an unknown host there is asked for", in({.destination = ip("10.0.1.77")}),
          sent("a", frame(kBroadcastMac, two().mac("a"), question))});
}

}  // namespace
}  // namespace millrace::behaviour
