// Two workers on the same ports, driven in turn: how queues are shared out, and frames handed over.
#include <rte_cycles.h>

#include "cases.h"

namespace millrace::behaviour {
namespace {

class Workers : public TwoSubnetsTest {
 protected:
  Lab& with_tx_queues(unsigned queues) {
    return start(kTwoSubnets, {.workers = 2, .rx_queues = 2, .tx_queues = queues});
  }
  std::uint64_t received_by(unsigned worker, const std::string& on) {
    return two().control().worker(worker).interface_counters(two().interface(on).id).rx_packets.get();
  }
  // How many frames wait in each transmit ring of the port.
  std::vector<unsigned> in_queues(const std::string& port) {
    std::vector<unsigned> counts;
    for (const rte_ring* ring : two().port(port).tx()) counts.push_back(rte_ring_count(ring));
    return counts;
  }
};

TEST_F(Workers, OneLoopInSixtyFourIsTimedStepByStep) {
  start(kTwoSubnets);
  const dataplane::WorkerCounters& counters = two().control().worker(0).counters();
  const auto timed = [&](dataplane::WorkerStep step) {
    return counters.steps[static_cast<std::size_t>(step)].packets.get();
  };
  std::array<std::uint64_t, dataplane::kWorkerStepCount> before{};
  for (std::size_t i = 0; i < before.size(); ++i) before[i] = counters.steps[i].packets.get();
  for (unsigned loop = 0; loop < 2 * dataplane::kLoopsPerSample; ++loop) {
    for (unsigned i = 0; i < 3; ++i) two().send("a", in({}));
    two().step();
  }
  for (std::size_t i = 0; i < before.size(); ++i) {
    const bool is_passed = static_cast<dataplane::WorkerStep>(i) == dataplane::WorkerStep::ipsec;
    EXPECT_EQ(counters.steps[i].packets.get() - before[i], is_passed ? 0U : 6U)
        << "step " << i << ": two loops, three packets each";
  }
  EXPECT_GT(counters.steps[0].cycles.get(), 0U);
  EXPECT_GT(timed(dataplane::WorkerStep::transmit), 0U);
  EXPECT_GE(counters.rx_bursts[1].get(), 2 * dataplane::kLoopsPerSample) << "bursts of two or three";
}

TEST_F(Workers, ReceiveQueuesAreSpreadOverThem) {
  with_tx_queues(3);
  two().send("a", in({}), {}, 0);
  two().send("a", in({}), {}, 1);
  two().send("a", in({}), {}, 1);
  two().send(
      "b", frame(two().mac("b"), kHostB, Ipv4Packet{.source = ip("10.0.2.2"), .destination = ip("10.0.1.2")}),
      {}, 0);
  two().run();
  EXPECT_EQ(received_by(0, "a") + received_by(1, "a"), 3U);
  EXPECT_EQ(std::min(received_by(0, "a"), received_by(1, "a")), 1U) << "a's two queues are two workers'";
  EXPECT_EQ(std::max(received_by(0, "b"), received_by(1, "b")), 1U);
  EXPECT_NE(received_by(0, "b") == 1, received_by(0, "a") == 1)
      << "b's first queue is not where a's first one is";
  for (unsigned w = 0; w < 2; ++w) EXPECT_EQ(two().control().plan(w).rx.size(), 2U);
}

TEST_F(Workers, EachHasItsOwnTransmitQueueAsFarAsThereAre) {
  with_tx_queues(3);
  const auto before = two().control().output().counters().sent_direct;
  for (unsigned i = 0; i < 3; ++i) two().send("a", in({}), {}, 0);
  for (unsigned i = 0; i < 5; ++i) two().send("a", in({}), {}, 1);
  two().send("b", frame(two().mac("b"), kHostB,
                        Ipv4Packet{.source = ip("10.0.2.2"),
                                   .destination = ip("10.0.2.1"),
                                   .protocol = 1,
                                   .payload = icmp(8, 0, 1, {})}));
  two().run();
  EXPECT_EQ(in_queues("b"), (std::vector<unsigned>{3, 5, 1})) << "workers 0 and 1, and the control thread";
  EXPECT_EQ(two().control().output().counters().sent_direct - before, 1U);
}

TEST_F(Workers, WithOneTransmitQueueFramesAreHandedToItsOwner) {
  with_tx_queues(1);
  const auto sent_by_owner = [&] {
    return two().control().worker(0).interface_counters(two().interface("b").id).tx_packets.get();
  };
  const std::uint64_t before = sent_by_owner();
  const Bytes packet = in({});
  two().send("a", packet, {}, 1);
  two().step(1);
  EXPECT_EQ(in_queues("b"), (std::vector<unsigned>{0})) << "on its way to worker 0";
  two().step(0);
  expect_frames({forwarded(packet, kHostB, two().mac("b"))}, two().received("b"));
  EXPECT_EQ(sent_by_owner() - before, 1U) << "counted by who sends";
  EXPECT_EQ(two().control().accounting().difference(), 0);
}

TEST_F(Workers, TheControlThreadsFramesGoByAWorkerIfItHasNoQueue) {
  for (const unsigned queues : {1U, 2U}) {
    with_tx_queues(queues);
    const std::uint64_t before = two().control().accounting().originated;
    const Ipv4Packet echo{.destination = ip("10.0.1.1"), .protocol = 1, .payload = icmp(8, 0, 1, pattern(8))};
    const Ipv4Packet reply{.source = ip("10.0.1.1"),
                           .destination = ip("10.0.1.2"),
                           .protocol = 1,
                           .payload = icmp(0, 0, 1, pattern(8))};
    verify(two(), "a", {"echo", in(echo), answered("a", frame(kHostA, two().mac("a"), reply))});
    EXPECT_EQ(two().control().output().counters().sent_direct, 0U);
    EXPECT_EQ(two().control().accounting().originated, before + 1);
  }
}

// Rules 7, 16.
TEST_F(Workers, FragmentsAndErrorsOverAHandoff) {
  with_tx_queues(1);
  two().send("a", in({.payload = pattern(4000)}), {}, 1);
  two().send("a", in({.ttl = 1}), {}, 1);
  two().send("a", in({.destination = ip("10.0.2.9")}), {}, 1);
  two().run();
  EXPECT_EQ(two().received("b").size(), 3U + 1U) << "three fragments and a question";
  EXPECT_EQ(two().received("a").size(), 1U);
}

// Rule 13.
TEST_F(Workers, OrderIsKeptOverAHandoff) {
  with_tx_queues(1);
  std::vector<Bytes> wanted;
  for (std::uint16_t i = 0; i < 300; ++i) {
    two().send("a", in({.identification = i}), {}, 1);
    wanted.push_back(forwarded(in({.identification = i}), kHostB, two().mac("b")));
  }
  two().run();
  expect_frames(wanted, two().received("b"));
}

// Rule 40.
TEST_F(Workers, AFullHandoffRingIsADropAndNoLoss) {
  with_tx_queues(1);
  for (unsigned i = 0; i < 1100; ++i) two().send("a", in({}), {}, 1);
  while (two().step(1)) {
  }
  EXPECT_EQ(two().dropped(DropReason::handoff_full), 1100U - 1023U);
  two().run();
  EXPECT_EQ(two().received("b").size(), 1023U);
}

// Rule 42.
TEST_F(Workers, NothingIsReclaimedWhileOneOfThemIsBehind) {
  with_tx_queues(3);
  auto& reclaimer = two().control().reclaimer();
  reclaimer.register_worker(0);
  reclaimer.register_worker(1);
  ASSERT_TRUE(two().apply(kTwoSubnets + "control: {icmp_error_rate: 5/s}\n"));
  config::RouteConfig route;
  route.via = {ip("10.0.2.2")};
  ASSERT_TRUE(two().control().add_route(Ipv4Prefix(ip("198.18.0.0"), 15), {route, 0}));
  two().control().neighbors().set_fixed({two().interface("b").id, ip("10.0.2.2")}, kHostA);
  const std::size_t waiting = reclaimer.pending();
  EXPECT_GT(waiting, 0U);
  two().step(0);
  two().control().tick();
  EXPECT_EQ(reclaimer.pending(), waiting) << "worker 1 may still read it";
  two().step(1);
  two().control().tick();
  EXPECT_EQ(reclaimer.pending(), 0U);
}

// In a thread, as millraced runs it. The frames lie in the receive ring before it starts, and are counted
// when it has ended: what is between are drivers that ThreadSanitizer cannot see into.
TEST_F(Workers, TheLoopForwardsThenNapsUntilItIsStopped) {
  for (const bool adaptive : {true, false}) {
    start(kTwoSubnets, {.adaptive_idle = adaptive});
    for (unsigned i = 0; i < 100; ++i) two().send("a", in({}));
    const auto& counters = two().control().worker(0).counters();
    const std::uint64_t before = counters.loops.get();
    two().loop([&] { return adaptive ? counters.naps.get() >= 3 : counters.loops.get() >= before + 2000; });
    EXPECT_EQ(adaptive, counters.naps.get() >= 3) << counters.naps.get() << " naps";
    EXPECT_GE(counters.loops.get() - before - counters.naps.get(), 200U)
        << "it is patient before its first nap";
    EXPECT_GT(counters.busy_cycles.get(), 0U);
    EXPECT_GT(counters.idle_cycles.get(), 0U);
    EXPECT_EQ(two().received("b").size(), 100U);
  }
}

constexpr unsigned kForever = 3'600'000'000;  // microseconds

class TransmitWait : public Workers {
 protected:
  void start_with(unsigned tx_wait_us) {
    start(kTwoSubnets, {.tx_wait_us = tx_wait_us});
    send_what_waits();  // announcements
    two().received("b");
  }
  void TearDown() override {
    send_what_waits();
    Workers::TearDown();
  }
  // By another plan, and back.
  void send_what_waits() {
    dataplane::WorkerPlan plan = two().control().plan(0);
    const auto* real = two().control().worker(0).swap_plan(&plan);
    two().step();
    static_cast<void>(two().control().worker(0).swap_plan(real));
    two().step();
  }
  std::size_t after_step(unsigned packets) {
    for (unsigned i = 0; i < packets; ++i) two().send("a", in({}));
    two().step();
    return two().received("b").size();
  }
};

TEST_F(TransmitWait, FramesLeaveTogetherOnceTheyFillABurst) {
  start_with(kForever);
  EXPECT_EQ(after_step(1), 0U);
  EXPECT_EQ(after_step(dataplane::kBurst - 2), 0U);
  EXPECT_EQ(after_step(1), dataplane::kBurst);
  EXPECT_EQ(after_step(1), 0U) << "it waits again";
  EXPECT_EQ(after_step(dataplane::kBurst - 2), 0U);
  EXPECT_EQ(after_step(2), dataplane::kBurst - 1) << "there is no room for two";
}

TEST_F(TransmitWait, AWholeBurstDoesNotOvertakeThoseThatWait) {
  start_with(kForever);
  EXPECT_EQ(after_step(1), 0U);
  for (unsigned i = 0; i < dataplane::kBurst; ++i) two().send("a", in({.payload = pattern(100)}));
  two().step();
  const auto left = two().received("b");
  ASSERT_EQ(left.size(), 1 + dataplane::kBurst);
  EXPECT_LT(left.front().size(), left.back().size());
  EXPECT_EQ(left[1].size(), left.back().size());
}

TEST_F(TransmitWait, FramesLeaveAloneWhenTheirTimeHasCome) {
  start_with(200);
  std::size_t left = after_step(1);
  for (const std::uint64_t begin = rte_rdtsc(); left == 0 && rte_rdtsc() - begin < 10 * rte_get_tsc_hz();)
    left = after_step(0);
  EXPECT_EQ(left, 1U);
}

// Rule 42.
TEST_F(TransmitWait, FramesLeaveByThePlanThatTheyCameUnder) {
  start_with(kForever);
  EXPECT_EQ(after_step(1), 0U);
  dataplane::WorkerPlan plan = two().control().plan(0);
  plan.tx[two().interface("b").port.value()] = {};
  const auto* real = two().control().worker(0).swap_plan(&plan);
  two().step();
  static_cast<void>(two().control().worker(0).swap_plan(real));
  EXPECT_EQ(two().received("b").size(), 1U);
  EXPECT_EQ(two().dropped(DropReason::tx_gone), 0U);
}

// Rule 42.
TEST_F(TransmitWait, NothingIsReclaimedWhileFramesWait) {
  start_with(kForever);
  auto& reclaimer = two().control().reclaimer();
  EXPECT_EQ(after_step(1), 0U);
  reclaimer.register_worker(0);  // online, and so it stays
  two().control().neighbors().set_fixed({two().interface("b").id, ip("10.0.2.2")}, kHostA);
  const std::size_t waiting = reclaimer.pending();
  EXPECT_GT(waiting, 0U);
  two().control().worker(0).step(rte_rdtsc());
  two().control().tick();
  EXPECT_EQ(reclaimer.pending(), waiting) << "their port may be among it";
  for (unsigned i = 1; i < dataplane::kBurst; ++i) two().send("a", in({}));
  two().control().worker(0).step(rte_rdtsc());
  two().control().tick();
  EXPECT_EQ(reclaimer.pending(), 0U);
  EXPECT_EQ(two().received("b").size(), dataplane::kBurst);
}

TEST_F(TransmitWait, AWorkerNeitherNapsNorEndsWithFramesThatWait) {
  start_with(kForever);
  two().send("a", in({}));
  const auto& counters = two().control().worker(0).counters();
  const std::uint64_t before = counters.loops.get();
  two().loop([&] { return counters.loops.get() >= before + 2000; });
  EXPECT_EQ(counters.naps.get(), 0U);
  EXPECT_EQ(two().received("b").size(), 1U) << "by its end";
}

// Rule 40.
TEST_F(Workers, MoreDropsInALoopThanAreFreedAtOnce) {
  start(kTwoSubnets);
  for (const char* on : {"a", "b"}) {
    for (unsigned i = 0; i < dataplane::kBurst + 8; ++i) two().send(on, frame(kHostA, kHostB, Ipv4Packet{}));
  }
  two().step();
  EXPECT_EQ(two().dropped(DropReason::not_our_mac), 2 * dataplane::kBurst);
  two().step();
  EXPECT_EQ(two().dropped(DropReason::not_our_mac), 2 * (dataplane::kBurst + 8));
  EXPECT_EQ(two().buffers_out(), 0U);
}

// Packets that an ICMP error may answer have a limit of their own, so that a flood of them holds back nothing
// else.
TEST_F(Workers, AFloodOfExpiredPacketsIsCountedWholeAndHandedOnInPart) {
  start(kTwoSubnets);
  constexpr unsigned kFlood = 2000;
  const auto handed_on = two().control().punts_handled(PuntClass::expired);
  for (unsigned i = 0; i < kFlood; ++i) two().send("a", in({.ttl = 1}));
  while (two().step()) {
  }
  const Ipv4Packet echo{.destination = ip("10.0.1.1"), .protocol = 1, .payload = icmp(8, 0, 1, pattern(8))};
  two().send("a", in(echo));
  two().run();
  const auto& counters = two().control().worker(0).counters();
  const auto policed = counters.policed[static_cast<std::size_t>(PuntClass::expired)].get();
  EXPECT_EQ(two().dropped(DropReason::ttl_expired), kFlood) << "rule 40: each is counted once";
  EXPECT_EQ(two().control().punts_handled(PuntClass::expired) - handed_on + policed, kFlood);
  EXPECT_GT(policed, 1000U) << "rule 18: more than the ring and 50 ms of the limit hold";
  unsigned replies = 0;
  for (const Bytes& f : two().received("a"))
    replies += f[kEthernet + 20] == 0 && f[kEthernet + 9] == 1 ? 1 : 0;
  EXPECT_EQ(replies, 1U) << "the echo of a moment later is answered";
}

// Rule 41: whatever a flood is made of, the others' packets are seen to.
TEST_F(Workers, AFloodInOneClassHoldsBackNoOther) {
  start(kTwoSubnets);
  struct Kind {
    std::string what;
    PuntClass by;
    Bytes one;
  };
  const MacAddress own = two().mac("a");
  const auto to = [&](const char* destination, std::uint8_t protocol, Bytes payload) {
    return in({.destination = ip(destination), .protocol = protocol, .payload = std::move(payload)});
  };
  const std::vector<Kind> kinds = {
      {"BGP", PuntClass::control, to("10.0.1.1", 6, tcp(40000, 179))},
      {"ARP", PuntClass::arp, frame(own, kHostA, ArpPacket{1, kHostA, ip("10.0.1.2"), {}, ip("10.0.1.77")})},
      {"echo", PuntClass::icmp, to("10.0.1.1", 1, icmp(8, 0, 1, pattern(8)))},
      {"UDP", PuntClass::local, to("10.0.1.1", 17, udp(1, 2))},
      {"a neighbour that is not there", PuntClass::unresolved, to("10.0.2.9", 17, udp(1, 2))},
      {"TTL 1", PuntClass::expired, in({.ttl = 1})},
      {"no route", PuntClass::error, to("198.51.100.1", 17, udp(1, 2))},
  };
  for (const Kind& flood : kinds) {
    SCOPED_TRACE("a flood of " + flood.what);
    for (unsigned i = 0; i < 4000; ++i) two().send("a", flood.one);
    while (two().step()) {
    }
    const auto policed =
        two().control().worker(0).counters().policed[static_cast<std::size_t>(flood.by)].get();
    EXPECT_GT(policed, 0U);
    for (const Kind& other : kinds) {
      if (other.by == flood.by) continue;
      const auto handled = two().control().punts_handled(other.by);
      two().send("a", other.one);
      two().run();
      EXPECT_EQ(two().control().punts_handled(other.by), handled + 1) << other.what;
    }
  }
}

// Rule 41. All that is taken at one moment is what the buckets hold: 50 ms of the rates.
TEST(ClassPolicer, EachInterfaceHasAPartThatNoOtherTakes) {
  constexpr std::uint64_t kHz = 1'000'000'000, kRate = 64'000;
  dataplane::ClassPolicer policer(kRate, kHz);
  std::uint64_t now = kHz;
  const auto taken_by = [&](std::uint16_t interface) {
    unsigned taken = 0;
    while (policer.take(InterfaceId(interface), now)) ++taken;
    return taken;
  };
  EXPECT_EQ(taken_by(1), 3200U + 50U) << "what is everybody's, and its own part";
  EXPECT_EQ(taken_by(2), 50U) << "its own part is left";
  EXPECT_EQ(taken_by(1 + dataplane::ClassPolicer::kShares), 0U) << "which it has together with 1";
  now += kHz / 100;
  EXPECT_EQ(taken_by(1), 640U + 10U);
  EXPECT_EQ(taken_by(2), 10U);
}

const std::string kOne = "interfaces:\n  a: {device: @a, addresses: [10.0.1.1/24]}\n";
std::string plus(const std::string& name, const std::string& subnet, const std::string& others = "") {
  return kOne + others + "  " + name + ": {device: @" + name + ", addresses: [" + subnet +
         ".1/24]}\nneighbors:\n" + "  - {address: " + subnet +
         ".2, mac: \"02:00:00:00:09:02\", interface: " + name + "}\n";
}

// DPDK gives the number of a port that was closed to the next one that is opened, and the number of an
// interface that went is used again once all have been given out. Rules 42, 43.
TEST_F(Workers, WhatWasHandedOverForARemovedPortDoesNotLeaveByAnother) {
  start(plus("x", "10.0.3"), {.workers = 2, .rx_queues = 2, .tx_queues = 1});
  std::string others;  // all but one of the numbers that were never given out
  for (std::size_t i = two().control().interfaces().room(); i > 1; --i)
    others += "  l" + std::to_string(i) + ": {loopback: true}\n";
  ASSERT_TRUE(two().apply(plus("x", "10.0.3", others)));
  for (unsigned i = 0; i < 200; ++i) two().send("a", in({.destination = ip("10.0.3.2")}), {}, 1);
  while (two().step(1)) {  // all are in the ring to worker 0, which takes a burst in a loop
  }
  const InterfaceId gone = two().interface("x").id;
  ASSERT_TRUE(two().apply(kOne + others));
  two().step(0);
  two().step(1);
  two().control().tick();
  others += "  fresh: {loopback: true}\n  again: {loopback: true}\n";
  ASSERT_TRUE(two().apply(kOne + others));
  ASSERT_TRUE(two().interface("again").id == gone || two().interface("fresh").id == gone);
  others.erase(0, others.find('\n') + 1);
  ASSERT_TRUE(two().apply(kOne + others));
  two().step(0);
  two().step(1);
  two().control().tick();
  ASSERT_TRUE(two().apply(plus("y", "10.0.4", others)));
  two().run();
  unsigned strays = 0;
  for (const Bytes& f : two().received("y")) strays += get16(f, 12) == 0x0800 ? 1 : 0;
  EXPECT_EQ(strays, 0U) << "packets to 10.0.3.2 on the link of 10.0.4.0/24";
}

}  // namespace
}  // namespace millrace::behaviour
