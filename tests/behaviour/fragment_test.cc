// Packets that are longer than the next link takes (RFC 791 3.2, RFC 1812 4.2.2.7, 5.2.6, RFC 1191).
#include <algorithm>

#include "cases.h"
#include "dataplane/fragment.h"

namespace millrace::behaviour {
namespace {

std::string small_mtu(unsigned mtu) {
  return R"(
interfaces:
  a: {device: @a, mtu: 9600, addresses: [10.0.1.1/24]}
  b: {device: @b, mtu: )" +
         std::to_string(mtu) + R"(, addresses: [10.0.2.1/24]}
neighbors:
  - {address: 10.0.1.2, mac: "02:00:00:00:01:02", interface: a}
  - {address: 10.0.2.2, mac: "02:00:00:00:02:02", interface: b}
)";
}

std::size_t header_of(const Bytes& f) {
  return (f[kEthernet] & 0xfU) * 4;
}
std::size_t offset_of(const Bytes& f) {
  return (get16(f, kEthernet + 6) & 0x1fffU) * 8;
}
bool more_of(const Bytes& f) {
  return (get16(f, kEthernet + 6) & kMf) != 0;
}

class Fragmentation : public TwoSubnetsTest {
 protected:
  std::vector<Bytes> through(const Ipv4Packet& packet, const Layout& layout = {}) {
    two().send("a", in(packet), layout);
    two().run();
    return two().received("b");
  }
  // What holds for every fragment of `packet`, and the payload put together again by the naive way.
  void expect_whole(const Ipv4Packet& packet, const std::vector<Bytes>& frames, unsigned mtu) {
    ASSERT_GT(frames.size(), 1U);
    const std::size_t start = (packet.flags_offset & 0x1fffU) * 8;
    Bytes payload;
    for (std::size_t i = 0; i < frames.size(); ++i) {
      const Bytes& f = frames[i];
      SCOPED_TRACE(describe(f));
      const std::size_t total = get16(f, kEthernet + 2);
      const bool last = i + 1 == frames.size();
      ASSERT_EQ(f.size(), kEthernet + total);
      EXPECT_LE(total, mtu);
      EXPECT_EQ(naive_checksum(slice(f, kEthernet, header_of(f))), 0);
      EXPECT_EQ(offset_of(f), start + payload.size());
      EXPECT_EQ(more_of(f), !last || (packet.flags_offset & kMf) != 0);
      EXPECT_EQ(get16(f, kEthernet + 6) & kReservedFlag, packet.flags_offset & kReservedFlag) << "rule 5";
      EXPECT_TRUE(last || (total - header_of(f)) % 8 == 0);
      EXPECT_TRUE(last || total + 8 > mtu) << "as long as can be";
      expect_copied_fields(packet, f);
      payload = join(payload, slice(f, kEthernet + header_of(f), total));
    }
    EXPECT_EQ(payload, packet.payload) << "rule 7: the payload is intact";
  }
  void expect_copied_fields(const Ipv4Packet& packet, const Bytes& f) {
    const Bytes header = packet.bytes();
    EXPECT_EQ(slice(f, 0, kEthernet), slice(forwarded(in(packet), kHostB, two().mac("b")), 0, kEthernet));
    EXPECT_EQ(f[kEthernet + 1], header[1]) << "TOS";
    EXPECT_EQ(get16(f, kEthernet + 4), packet.identification);
    EXPECT_EQ(f[kEthernet + 8], packet.ttl - 1) << "TTL";
    EXPECT_EQ(slice(f, kEthernet + 9, 1), slice(header, 9, 1)) << "protocol";
    EXPECT_EQ(slice(f, kEthernet + 12, 8), slice(header, 12, 8)) << "addresses";
  }
};

TEST_F(Fragmentation, Rfc791_LengthsAroundTheMtu) {
  start(small_mtu(576));
  for (const std::size_t total : {575U, 576U}) {
    verify(two(), "a", forwards("rule 7: fits, " + std::to_string(total), {.payload = pattern(total - 20)}));
  }
  for (std::size_t payload = 557; payload < 557 + 20; ++payload) {
    const Ipv4Packet packet{.payload = pattern(payload)};
    expect_whole(packet, through(packet), 576);
  }
  for (std::size_t payload = 1095; payload < 1115; ++payload) {  // two full fragments are 1,104
    const Ipv4Packet packet{.payload = pattern(payload)};
    const auto frames = through(packet);
    EXPECT_EQ(frames.size(), payload <= 1104 ? 2U : 3U);
    expect_whole(packet, frames, 576);
  }
}

// Rule 7.
TEST_F(Fragmentation, EveryMtuModuloEight) {
  start(small_mtu(576));
  for (unsigned mtu = 576; mtu < 592; ++mtu) {
    two().must_apply(small_mtu(mtu));
    const Ipv4Packet packet{.tos = 0xb8, .payload = pattern(2000)};
    expect_whole(packet, through(packet), mtu);
  }
}

// Rules 5, 7.
TEST_F(Fragmentation, Rfc791_FragmentsOfFragments) {
  start(small_mtu(576));
  for (const unsigned flags :
       {kMf + 0U, kMf + 1U, 185U, kMf + 185U, kMf + 7000U, kReservedFlag + kMf + 10U}) {
    const Ipv4Packet packet{.flags_offset = static_cast<std::uint16_t>(flags), .payload = pattern(1480)};
    expect_whole(packet, through(packet), 576);
  }
}

// RFC 791 3.1: the copied flag says which options go on all fragments.
TEST_F(Fragmentation, Rfc791_OptionsWithTheCopiedFlagGoOnEveryFragment) {
  start(small_mtu(576));
  const Bytes copied{0x94, 4, 0, 0};
  const Bytes first_only{0x1e, 4, 1, 2};
  for (const auto& [options, later] :
       std::vector<std::pair<Bytes, Bytes>>{{copied, copied},
                                            {first_only, {}},
                                            {join(first_only, copied), copied},
                                            {join(copied, first_only), copied},
                                            {{1, 0x9e, 3, 7}, {0x9e, 3, 7, 0}},
                                            {Bytes(40, 1), {}},
                                            {join({0x9e, 40}, pattern(38)), join({0x9e, 40}, pattern(38))},
                                            {{0, 0x94, 4, 0}, {}}}) {
    const Ipv4Packet packet{.options = options, .payload = pattern(1500)};
    const auto frames = through(packet);
    expect_whole(packet, frames, 576);
    for (std::size_t i = 0; i < frames.size(); ++i) {
      const Bytes carried = slice(frames[i], kEthernet + 20, header_of(frames[i]) - 20);
      EXPECT_EQ(carried, i == 0 ? options : later) << "rule 7: options " << hex(options) << "fragment " << i;
    }
  }
}

TEST_F(Fragmentation, Rfc1191_DontFragmentIsRefusedWithTheMtu) {
  start(small_mtu(1280));
  verify(two(), "a",
         {forwards("rule 7: DF that fits", {.flags_offset = kDf, .payload = pattern(1260)}),
          refuses("rule 7: DF over the MTU", {.flags_offset = kDf, .payload = pattern(1261)},
                  DropReason::fragmentation_needed, {.code = 4, .mtu = 1280}),
          refuses("rule 7: DF far over the MTU", {.flags_offset = kDf, .payload = pattern(9000)},
                  DropReason::fragmentation_needed, {.code = 4, .mtu = 1280}),
          drops("rule 17: DF on a later fragment", {.flags_offset = kDf | 9, .payload = pattern(1400)},
                DropReason::fragmentation_needed)});
}

// With the MTU of Ethernet, of its least and of its longest frames.
TEST_F(Fragmentation, Rfc1191_EveryKindOfPacketAtTheMtu) {
  for (const unsigned mtu : {576U, 1280U, 1500U, 9600U}) {
    start(small_mtu(mtu));
    SCOPED_TRACE(mtu);
    const Bytes fits = pattern(mtu - 20), over = pattern(mtu - 19);
    const auto needed = DropReason::fragmentation_needed;
    const IcmpError error{.code = 4, .mtu = static_cast<std::uint16_t>(mtu)};
    const auto df = [](unsigned more) { return static_cast<std::uint16_t>(kDf | more); };
    verify(
        two(), "a",
        {forwards("rule 7: fits", {.payload = fits}),
         forwards("rule 7: fits, DF stays", {.flags_offset = kDf, .payload = fits}),
         forwards("rules 5, 7: fits, DF and the reserved flag stay",
                  {.flags_offset = df(kReservedFlag), .payload = fits}),
         forwards("rule 7: fits, DF on a first fragment", {.flags_offset = df(kMf), .payload = fits}),
         forwards("rule 7: fits, a last fragment", {.flags_offset = 100, .payload = fits}),
         refuses("rule 7: one over with DF", {.flags_offset = kDf, .payload = over}, needed, error),
         refuses("rule 7: one over with DF and the reserved flag",
                 {.flags_offset = df(kReservedFlag), .payload = over}, needed, error),
         refuses("rule 7: one over, DF on a first fragment", {.flags_offset = df(kMf), .payload = over},
                 needed, error),
         drops("rules 7, 17: one over, DF on a last fragment", {.flags_offset = df(1), .payload = over},
               needed),
         refuses("rule 7: one over by its options with DF",
                 {.flags_offset = kDf, .options = {0x94, 4, 0, 0}, .payload = pattern(mtu - 23)}, needed,
                 error),
         forwards("rule 7: fits with options and DF",
                  {.flags_offset = kDf, .options = {0x94, 4, 0, 0}, .payload = pattern(mtu - 24)}),
         forwards("rule 7: over by padding alone",
                  {.flags_offset = kDf, .total_length = static_cast<std::uint16_t>(mtu), .payload = over})});
    const Ipv4Packet long_one{.payload = over};
    expect_whole(long_one, through(long_one), mtu);
  }
}

TEST_F(Fragmentation, Rfc1812_5_2_6_FragmentsInTransitPassOneByOne) {
  const Bytes whole = pattern(1600);
  for (const std::size_t at : {1200U, 0U, 800U, 400U}) {  // all of a datagram, and in no order
    const auto offset = static_cast<std::uint16_t>(at / 8 | (at == 1200 ? 0 : kMf));
    verify(two(), "a",
           forwards("rule 7: the fragment at " + std::to_string(at),
                    {.flags_offset = offset, .payload = slice(whole, at, 400)}));
  }
}

// Rule 7.
TEST_F(Fragmentation, JumboPacketsPassWhole) {
  start(small_mtu(9600));
  for (const std::size_t total : {1501U, 2034U, 2035U, 8999U, 9599U, 9600U}) {
    verify(
        two(), "a",
        forwards("jumbo of " + std::to_string(total), {.flags_offset = kDf, .payload = pattern(total - 20)}));
  }
  const Ipv4Packet packet{.payload = pattern(9581)};
  expect_whole(packet, through(packet), 9600);
}

// Rule 7.
TEST_F(Fragmentation, The65535ByteDatagram) {
  start(small_mtu(576));
  const Ipv4Packet packet{.payload = pattern(65515)};
  const auto frames = through(packet);
  EXPECT_EQ(frames.size(), 119U);
  expect_whole(packet, frames, 576);
}

// As many as there is room for: 40 bytes of options on every fragment leave 512 of the smallest MTU.
// Rule 7.
TEST_F(Fragmentation, TheMostFragmentsThatAnyDatagramNeeds) {
  start(small_mtu(576));
  const Ipv4Packet packet{.options = join({0x9e, 40}, pattern(38)), .payload = pattern(65475)};
  const auto frames = through(packet);
  EXPECT_EQ(frames.size(), dataplane::kMaxFragments);
  expect_whole(packet, frames, 576);
}

// Rule 7.
TEST_F(Fragmentation, SegmentsSplitAtEveryAwkwardPlace) {
  start(small_mtu(576));
  const Ipv4Packet packet{.options = {0x94, 4, 0, 0}, .payload = pattern(1300)};
  for (std::size_t first = 1; first < 80; ++first) {
    expect_whole(packet, through(packet, {.segments = {first}}), 576);
  }
  for (std::size_t at = 560; at < 620; ++at) {
    expect_whole(packet, through(packet, {.segments = {at, 1, 7, 0, 500}}), 576);
  }
  expect_whole(packet, through(packet, {.segments = std::vector<std::size_t>(100, 1)}), 576);
  expect_whole(packet, through(packet, {.segments = std::vector<std::size_t>(180, 7)}), 576);
}

// Rules 2, 7.
TEST_F(Fragmentation, PaddingIsNotFragmented) {
  start(small_mtu(576));
  verify(two(), "a", forwards("rule 2", {.total_length = 576, .payload = pattern(1400)}));
  const Ipv4Packet packet{.total_length = 600, .payload = pattern(1400)};
  const auto frames = through(packet);
  Ipv4Packet real = packet;
  real.payload.resize(580);
  expect_whole(real, frames, 576);
}

// These lengths killed a well-known router: its fragmenter believed the header, or the frame, but not both.
// Rules 1, 2, 40.
TEST_F(Fragmentation, CraftedTotalLengthsHarmNothing) {
  start(small_mtu(576));
  verify(
      two(), "a",
      {forwards("20 in a frame of 1,514 bytes", {.total_length = 20, .payload = pattern(1480)}),
       forwards("21 in a frame of 1,514 bytes", {.total_length = 21, .payload = pattern(1480)}),
       drops("one more than the frame holds", {.total_length = 1501, .payload = pattern(1480)},
             DropReason::ip_total_length_long),
       drops("65,535", {.total_length = 65535, .payload = pattern(1480)}, DropReason::ip_total_length_long),
       drops("19", {.total_length = 19, .payload = pattern(1480)}, DropReason::ip_total_length_short),
       drops("less than its header", {.total_length = 24, .options = Bytes(8, 1), .payload = pattern(1480)},
             DropReason::ip_header_past_end)});
  for (const std::uint16_t total : {std::uint16_t{20}, std::uint16_t{576}, std::uint16_t{65535}}) {
    Case c = total == 65535 ? drops("over segments", {.total_length = total, .payload = pattern(1480)},
                                    DropReason::ip_total_length_long)
                            : forwards("over segments", {.total_length = total, .payload = pattern(1480)});
    c.layout.segments = {16, 30, 500};
    verify(two(), "a", c);
  }
}

// Rules 7, 22.
TEST_F(Fragmentation, WhatWaitedForItsNeighborIsFragmentedAsWell) {
  start(small_mtu(576));
  const MacAddress host = mac("02:00:00:00:02:09");
  const Ipv4Packet packet{.destination = ip("10.0.2.9"), .payload = pattern(1400)};
  const Ipv4Packet whole{.destination = ip("10.0.2.9"), .flags_offset = kDf, .payload = pattern(1400)};
  two().send("a", in(packet));
  two().send("a", in(whole));
  two().settle();
  two().send("b",
             frame(two().mac("b"), host, ArpPacket{2, host, ip("10.0.2.9"), two().mac("b"), ip("10.0.2.1")}));
  two().run();
  const auto late = two().received("b");
  two().send("a", in(packet));
  two().run();
  expect_frames(two().received("b"), late);  // as the worker makes them
  ASSERT_EQ(late.size(), 3U);
  expect_frames({icmp_error(two(), "a", kHostA, in(whole), {.code = 4, .mtu = 576})}, two().received("a"),
                true);
}

// Rules 7, 19.
TEST_F(Fragmentation, EchoRepliesOverTheMtuAreFragmented) {
  start(small_mtu(576));
  const Ipv4Packet request{.source = ip("10.0.2.2"),
                           .destination = ip("10.0.2.1"),
                           .protocol = 1,
                           .payload = icmp(8, 0, 5, pattern(1400))};
  two().send("b", frame(two().mac("b"), kHostB, request));
  two().run();
  Bytes payload;
  for (const Bytes& f : two().received("b")) {
    EXPECT_LE(get16(f, kEthernet + 2), 576);
    payload = join(payload, slice(f, kEthernet + header_of(f), f.size()));
  }
  EXPECT_EQ(payload, icmp(0, 0, 5, pattern(1400))) << "rule 19";
}

// Rule 40.
TEST_F(Fragmentation, CountedSoThatTheSumsHold) {
  start(small_mtu(576));
  through({.payload = pattern(1500)});
  const Accounting sums = two().control().accounting();
  EXPECT_EQ(sums.fragments_added, 2U);
  EXPECT_EQ(sums.received, 1U);
}

// Rule 40.
TEST_F(Fragmentation, WithoutBuffersThePacketIsDroppedAndNoneIsLost) {
  start(small_mtu(576));
  std::vector<rte_mbuf*> taken;
  while (rte_mempool_avail_count(Lab::pool()) > 4) taken.push_back(rte_pktmbuf_alloc(Lab::pool()));
  two().send("a", in({.payload = pattern(1900)}));  // one buffer, and four fragments to make
  two().run();
  EXPECT_EQ(two().dropped(DropReason::no_mbuf), 1U);
  EXPECT_TRUE(two().received("b").empty());
  rte_pktmbuf_free_bulk(taken.data(), static_cast<unsigned>(taken.size()));
}

// A fragment of a large MTU lies in many buffers: they may run out at any of them.
// Rule 40.
TEST_F(Fragmentation, BuffersThatRunOutInTheMiddleOfAFragmentComeBack) {
  start(small_mtu(9000));
  unsigned whole = 0;
  for (unsigned left = 0; left < 16; ++left) {
    two().send("a", in({.payload = pattern(12000)}));
    std::vector<rte_mbuf*> taken;
    while (rte_mempool_avail_count(Lab::pool()) > left) taken.push_back(rte_pktmbuf_alloc(Lab::pool()));
    const std::uint64_t before = two().dropped(DropReason::no_mbuf);
    two().run();
    const std::size_t frames = two().received("b").size();
    EXPECT_EQ(frames + 2 * (two().dropped(DropReason::no_mbuf) - before), 2U) << left << " buffers";
    whole += frames == 2 ? 1 : 0;
    rte_pktmbuf_free_bulk(taken.data(), static_cast<unsigned>(taken.size()));
    ASSERT_EQ(two().buffers_out(), 0U) << left << " buffers";
  }
  EXPECT_GT(whole, 0U);
  EXPECT_LT(whole, 16U);
}

// A last byte of options that wants a length has none: the payload's first byte, here a 1, is not it.
TEST_F(Fragmentation, FragmenterAloneTakesNoOptionFromThePayload) {
  start(small_mtu(576));
  const Ipv4Packet packet{.options = {1, 1, 1, 0x94}, .payload = Bytes(1000, 1)};
  rte_mbuf* m = make_mbuf(in(packet));
  rte_mbuf* out[dataplane::kMaxFragments];
  const auto result = dataplane::fragment_ipv4(m, 576, Lab::pool(), out);
  ASSERT_EQ(result.count, 2U);
  EXPECT_EQ(header_of(bytes_of(out[0])), 24U);
  EXPECT_EQ(header_of(bytes_of(out[1])), 20U);
  rte_pktmbuf_free_bulk(out, result.count);
  rte_pktmbuf_free(m);
}

// The fragmenter does not trust its caller either: whatever the lengths say, it refuses or is right.
// Rules 7, 40.
TEST_F(Fragmentation, FragmenterAloneRefusesWhatCannotBe) {
  start(small_mtu(576));
  const auto result_of = [&](const Ipv4Packet& packet, std::uint16_t mtu, std::size_t cut_to) {
    rte_mbuf* m = make_mbuf(slice(in(packet), 0, cut_to));
    rte_mbuf* out[dataplane::kMaxFragments];
    const auto result = dataplane::fragment_ipv4(m, mtu, Lab::pool(), out);
    rte_pktmbuf_free_bulk(out, result.count);
    rte_pktmbuf_free(m);
    return result;
  };
  constexpr std::size_t kAll = 100000;
  for (const unsigned mtu : {0U, 19U, 20U, 27U, 59U, 67U}) {
    const auto result =
        result_of({.options = Bytes(40, 1), .payload = pattern(100)}, static_cast<std::uint16_t>(mtu), kAll);
    EXPECT_EQ(result.count, 0U) << "an MTU of " << mtu;
    EXPECT_EQ(result.reason, DropReason::mtu_too_small);
  }
  EXPECT_EQ(result_of({.options = Bytes(40, 1), .payload = pattern(16)}, 68, kAll).count, 2U)
      << "RFC 791: 68 is enough";
  EXPECT_EQ(result_of({.payload = pattern(128 * 8)}, 28, kAll).count, 128U) << "as many as it makes";
  EXPECT_EQ(result_of({.payload = pattern(128 * 8 + 1)}, 28, kAll).count, 0U) << "one more";
  EXPECT_EQ(result_of({.payload = pattern(1000)}, 576, 500).count, 0U) << "longer than the frame";
  EXPECT_EQ(result_of({.total_length = 20, .payload = pattern(1480)}, 576, kAll).count, 0U) << "20 in 1,514";
  EXPECT_EQ(result_of({.ihl = 4, .payload = pattern(1480)}, 576, kAll).count, 0U) << "IHL 4";
  for (std::size_t length = 0; length < 60; ++length) {
    EXPECT_EQ(result_of({.options = Bytes(40, 1), .payload = pattern(1480)}, 576, length).count, 0U)
        << length;
  }
}

}  // namespace
}  // namespace millrace::behaviour
