// The seam for features (dataplane/feature.h): steps on ingress and egress, by an interface's masks.
#include <algorithm>

#include "cases.h"

namespace millrace::behaviour {
namespace {

using dataplane::FeatureTable;
using dataplane::Verdict;
using dataplane::Worker;

// What the steps saw and what they shall say; steps are plain functions, so that it is a global of this test.
struct Log {
  std::string calls;
  std::vector<dataplane::PacketMeta> metas;
  Verdict verdict = Verdict::go_on();
} test_log;

template <char Name>
Verdict step(Worker&, rte_mbuf* m) {
  test_log.calls += Name;
  test_log.metas.push_back(dataplane::meta(m));
  return Verdict::go_on();
}
Verdict ruling(Worker&, rte_mbuf*) {
  test_log.calls += 'R';
  return test_log.verdict;
}
Verdict taking(Worker& worker, rte_mbuf* m) {
  test_log.calls += 'T';
  worker.punt(m, dataplane::meta(m).ingress, PuntClass::local);
  return Verdict::consumed();
}

class Features : public TwoSubnetsTest {
 protected:
  Features() {
    test_log = {};
    test_log.calls.reserve(512);  // steps run where a worker does: nothing may allocate there
    test_log.metas.reserve(512);
    FeatureTable table;
    table.ingress = {step<'a'>, step<'b'>, step<'c'>, ruling, taking};
    table.egress = {step<'x'>, step<'y'>, step<'z'>, ruling, taking};
    LabOptions options;
    options.features = table;
    start(kTwoSubnets, options);
  }
  void enable(const std::string& on, std::uint32_t ingress, std::uint32_t egress) {
    Interface& interface = two().interface(on);
    interface.ingress_features = ingress;
    interface.egress_features = egress;
    two().control().interfaces().publish(interface);
    two().control().next_hops().interfaces_changed();
  }
};
constexpr std::uint32_t kAll = 7;
constexpr std::uint32_t kRuling = 8;
constexpr std::uint32_t kTaking = 16;

TEST_F(Features, NoneRunsUnlessTheInterfaceHasIt) {
  verify(two(), "a", forwards("plain", Ipv4Packet{}));
  EXPECT_EQ(test_log.calls, "");
  enable("a", 0, kAll);
  enable("b", kAll, 0);
  verify(two(), "a", forwards("the other direction's", Ipv4Packet{}));
  EXPECT_EQ(test_log.calls, "");
}

TEST_F(Features, EachRunsOnceAPacketInOrder) {
  enable("a", kAll, 0);
  enable("b", 0, kAll);
  verify(two(), "a", forwards("one packet", Ipv4Packet{}));
  EXPECT_EQ(test_log.calls, "abcxyz");
  for (unsigned i = 0; i < 40; ++i) two().send("a", in({}));
  two().run();
  EXPECT_EQ(test_log.calls.size(), 41 * 6U);
  EXPECT_EQ(two().received("b").size(), 40U);
}

TEST_F(Features, AMaskPicksThem) {
  enable("a", 5, 0);
  enable("b", 0, 2);
  verify(two(), "a", forwards("one packet", Ipv4Packet{}));
  EXPECT_EQ(test_log.calls, "acy");
}

TEST_F(Features, TheMetadataSaysWhereFromAndWhereTo) {
  enable("a", 1, 0);
  enable("b", 0, 1);
  verify(two(), "a", forwards("one packet", Ipv4Packet{}));
  ASSERT_EQ(test_log.metas.size(), 2U);
  EXPECT_EQ(test_log.metas[0].ingress, two().interface("a").id);
  EXPECT_EQ(test_log.metas[0].egress, kNoInterface);
  EXPECT_EQ(test_log.metas[0].fib, FibId(0));
  EXPECT_FALSE(test_log.metas[0].from_control);
  EXPECT_EQ(test_log.metas[1].ingress, two().interface("a").id);
  EXPECT_EQ(test_log.metas[1].egress, two().interface("b").id);
}

TEST_F(Features, IngressSeesValidPacketsOnlyAndThoseToUsAsWell) {
  enable("a", 1, 0);
  verify(two(), "a", drops("invalid", {.version = 5}, DropReason::ip_bad_version));
  EXPECT_EQ(test_log.calls, "");
  two().send("a", in({.destination = ip("10.0.1.1"), .protocol = 1, .payload = icmp(8, 0, 1, {})}));
  two().run();
  EXPECT_EQ(two().received("a").size(), 1U);
  EXPECT_EQ(test_log.calls, "a");
}

TEST_F(Features, EgressDoesNotSeeWhatExpired) {
  enable("b", 0, 1);
  verify(two(), "a", refuses("TTL 1", {.ttl = 1}, DropReason::ttl_expired, {.type = 11}));
  EXPECT_EQ(test_log.calls, "");
}

TEST_F(Features, ADropIsCountedWithItsReasonAndEndsTheSteps) {
  test_log.verdict = Verdict::drop(DropReason::route_blackhole);
  enable("a", kRuling | kTaking, 0);
  verify(two(), "a", drops("on ingress", {}, DropReason::route_blackhole));
  enable("a", 0, 0);
  enable("b", 0, kRuling | kTaking);
  verify(two(), "a", drops("on egress", {}, DropReason::route_blackhole));
  EXPECT_EQ(test_log.calls, "RR");
}

TEST_F(Features, ADropWithAnErrorIsAnswered) {
  test_log.verdict = Verdict::drop(DropReason::route_prohibit);
  enable("a", kRuling, 0);
  verify(two(), "a", refuses("on ingress", {}, DropReason::route_prohibit, {.code = 13}));
  enable("a", 0, 0);
  enable("b", 0, kRuling);
  verify(two(), "a",
         refuses("on egress: the packet is quoted as it came", {}, DropReason::route_prohibit, {.code = 13}));
}

TEST_F(Features, WhatAStepConsumedIsTheStepsOwn) {
  enable("a", kTaking, 0);
  const std::uint64_t before = two().control().punts_handled(PuntClass::local);
  verify(two(), "a", refuses("on ingress", {}, DropReason::local_no_port, {.code = 3}));
  enable("a", 0, 0);
  enable("b", 0, kTaking);
  verify(two(), "a", refuses("on egress", {}, DropReason::local_no_port, {.code = 3}));
  EXPECT_EQ(two().control().punts_handled(PuntClass::local), before + 2);
}

TEST_F(Features, TheRestOfABurstGoesOn) {
  enable("a", kRuling, 0);
  test_log.verdict = Verdict::drop(DropReason::route_blackhole);
  for (unsigned i = 0; i < 10; ++i) two().send("a", in({}));
  two().run();
  EXPECT_EQ(two().dropped(DropReason::route_blackhole), 10U);
  test_log.verdict = Verdict::go_on();
  for (unsigned i = 0; i < 10; ++i) two().send("a", in({}));
  two().run();
  EXPECT_EQ(two().received("b").size(), 10U);
}

TEST_F(Features, EgressRunsBeforeFragmentation) {
  enable("b", 0, 1);
  two().send("a", in({.payload = pattern(3000)}));
  two().run();
  EXPECT_EQ(two().received("b").size(), 3U);
  EXPECT_EQ(test_log.calls, "x") << "once a packet, not once a fragment";
}

// Or the first packets to a host pass an egress filter that the rest does not.
TEST_F(Features, EgressSeesPacketsThatWaitForTheirNeighbor) {
  enable("b", 0, kRuling);
  test_log.verdict = Verdict::drop(DropReason::route_blackhole);
  const MacAddress host = mac("02:00:00:00:02:09");
  two().send("a", in({.destination = ip("10.0.2.9")}));
  two().settle();
  two().send("b",
             frame(two().mac("b"), host, ArpPacket{2, host, ip("10.0.2.9"), two().mac("b"), ip("10.0.2.1")}));
  two().run();
  EXPECT_EQ(two().received("b").size(), 0U);
  EXPECT_EQ(test_log.calls, "R");
}

}  // namespace
}  // namespace millrace::behaviour
