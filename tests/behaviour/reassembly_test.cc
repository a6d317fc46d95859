// Packets to the router that come in fragments (RFC 791 3.2, RFC 815, RFC 8200 4.5): echo requests are put
// together and answered, whatever else comes is bounded and goes. The fixture checks that all buffers are
// back.
#include <algorithm>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "cases6.h"

namespace millrace::behaviour {
namespace {

// A part of the payload of a datagram: bytes `from` to `to`, and whether more are said to follow.
struct Part {
  std::size_t from;
  std::size_t to;
  bool more;
};

// One echo request in either family, its fragments, and the answer.
class Echo {
 public:
  Echo(Lab& lab, bool ipv6, std::size_t data, std::uint32_t id = 77)
      : lab_(lab), ipv6_(ipv6), id_(id), data_(pattern(data)) {
    message_ = ipv6 ? icmp6(six(), 128, 0, 0x00010002, data_).payload : icmp(8, 0, 0x00010002, data_);
  }
  [[nodiscard]] std::size_t size() const { return message_.size(); }

  [[nodiscard]] Bytes fragment(const Part& part) const {
    Bytes bytes = slice(message_, part.from, part.to - part.from);
    bytes.resize(part.to - part.from);  // past the end, too
    return fragment(part, bytes);
  }
  // With other bytes than the message has there.
  [[nodiscard]] Bytes fragment(const Part& part, const Bytes& bytes) const {
    if (!ipv6_) {
      const auto offset = static_cast<std::uint16_t>(part.from / 8);
      Ipv4Packet packet = four();
      packet.flags_offset = static_cast<std::uint16_t>(offset | (part.more ? kMf : 0));
      packet.payload = bytes;
      return frame(lab_.mac("a"), kHostA, packet);
    }
    Ipv6Packet packet = six();
    packet.next_header = kFragment;
    packet.payload = join(fragment_header(kIcmp6, part.from, part.more, id_), bytes);
    return frame(lab_.mac("a"), kHostA, packet);
  }
  [[nodiscard]] Bytes reply() const {
    if (ipv6_) {
      Ipv6Packet back = six();
      std::swap(back.source, back.destination);
      return frame(kHostA, lab_.mac("a"), icmp6(back, 129, 0, 0x00010002, data_));
    }
    Ipv4Packet back = four();
    std::swap(back.source, back.destination);
    back.payload = icmp(0, 0, 0x00010002, data_);
    return frame(kHostA, lab_.mac("a"), back);
  }

 private:
  [[nodiscard]] Ipv4Packet four() const {
    return {.destination = Ipv4Address(10, 0, 1, 1),
            .protocol = 1,
            .identification = static_cast<std::uint16_t>(id_)};
  }
  [[nodiscard]] static Ipv6Packet six() { return {.destination = ip6("2001:db8:1::1")}; }

  Lab& lab_;
  bool ipv6_;
  std::uint32_t id_;
  Bytes data_;
  Bytes message_;
};

// The parts of `size` bytes, cut every `step` bytes.
std::vector<Part> cut(std::size_t size, std::size_t step) {
  std::vector<Part> parts;
  for (std::size_t at = 0; at < size; at += step)
    parts.push_back({at, std::min(at + step, size), at + step < size});
  return parts;
}

class Reassembly : public TwoLinksTest, public ::testing::WithParamInterface<bool> {
 protected:
  [[nodiscard]] bool ipv6() const { return GetParam(); }
  // The same in both families.
  [[nodiscard]] std::string rule(const std::string& what) const {
    return (ipv6() ? "rule 27: " : "rules 11, 19: ") + what;
  }
  Echo echo(std::size_t data, std::uint32_t id = 77) { return {two(), ipv6(), data, id}; }

  void send(const Bytes& frame) {
    two().send("a", frame);
    two().run();
  }
  void send(const Echo& echo, const std::vector<Part>& parts) {
    for (const Part& part : parts) send(echo.fragment(part));
  }
  void expect_answer(const Echo& echo) { expect_frames({echo.reply()}, two().received("a"), !ipv6()); }
  void expect_silence() { expect_frames({}, two().received("a")); }
  // Drops of the reason since the last call.
  std::uint64_t newly_dropped(DropReason reason) {
    std::uint64_t& before = seen_[reason];
    const std::uint64_t now = two().dropped(reason);
    return now - std::exchange(before, now);
  }

 private:
  std::map<DropReason, std::uint64_t> seen_;
};
INSTANTIATE_TEST_SUITE_P(Families, Reassembly, ::testing::Bool(),
                         [](const auto& family) { return family.param ? "Ipv6" : "Ipv4"; });

TEST_P(Reassembly, EverySplitInTwoInBothOrders) {
  const Echo whole = echo(121);
  for (std::size_t at = 8; at < whole.size(); at += 8) {
    SCOPED_TRACE(rule("split at " + std::to_string(at)));
    const Part first{0, at, true}, last{at, whole.size(), false};
    send(whole, {first});
    expect_silence();
    send(whole, {last});
    expect_answer(whole);
    send(whole, {last, first});
    expect_answer(whole);
  }
}

TEST_P(Reassembly, ManyPartsInAnyOrder) {
  std::minstd_rand random(1);
  for (const std::size_t step : {8U, 16U, 24U, 64U, 400U}) {
    SCOPED_TRACE(rule("parts of " + std::to_string(step)));
    const Echo whole = echo(777);
    std::vector<Part> parts = cut(whole.size(), step);
    send(whole, parts);
    expect_answer(whole);
    std::ranges::reverse(parts);
    send(whole, parts);
    expect_answer(whole);
    for (int turn = 0; turn < 5; ++turn) {
      std::ranges::shuffle(parts, random);
      send(whole, parts);
      expect_answer(whole);
    }
  }
}

TEST_P(Reassembly, ALastPartOfOneByteAndHeadersInSegments) {
  const Echo whole = echo(33);  // 41 bytes of message
  send(whole, {{0, 40, true}, {40, 41, false}});
  expect_answer(whole);
  for (const std::size_t first : {15U, 34U, 40U, 54U, 60U}) {
    SCOPED_TRACE(rule("first segment of " + std::to_string(first)));
    for (const Part& part : {Part{0, 24, true}, Part{24, 41, false}}) {
      two().send("a", whole.fragment(part), {.segments = {first, 3}});
    }
    two().run();
    expect_answer(whole);
  }
}

// RFC 791 3.2: identification and addresses tell datagrams apart.
TEST_P(Reassembly, DatagramsAreNotMixed) {
  const Echo one = echo(100, 1), other = echo(100, 2);
  send(one.fragment({0, 48, true}));
  send(other.fragment({48, 108, false}));
  expect_silence();
  send(one.fragment({48, 108, false}));
  expect_answer(one);
  send(other.fragment({0, 48, true}));
  expect_answer(other);
}

TEST_P(Reassembly, Rfc8200_4_5_ARepeatedPartAloneGoes) {
  const Echo whole = echo(100);
  send(whole, {{0, 48, true}, {0, 48, true}, {0, 48, true}});
  EXPECT_EQ(newly_dropped(DropReason::local_fragment_overlap), 2U) << rule("repeats");
  send(whole, {{48, 108, false}});
  expect_answer(whole);
}

TEST_P(Reassembly, Rfc5722_4_OverlapsEndTheDatagram) {
  const Echo whole = echo(100);  // 108 bytes of message
  struct Overlap {
    const char* what;
    std::vector<Part> parts;
  };
  const Overlap overlaps[] = {{"into the next", {{48, 96, true}, {0, 56, true}}},
                              {"into the one before", {{0, 56, true}, {48, 96, true}}},
                              {"within another", {{0, 64, true}, {8, 16, true}}},
                              {"around another", {{8, 16, true}, {0, 64, true}}},
                              {"the same begin, longer", {{0, 48, true}, {0, 56, true}}},
                              {"past the end", {{96, 108, false}, {104, 112, true}}},
                              {"behind the end", {{96, 108, false}, {112, 120, true}}},
                              {"another end, before it", {{96, 108, false}, {48, 56, false}}},
                              {"an end before what is there", {{96, 104, true}, {48, 52, false}}}};
  for (const Overlap& overlap : overlaps) {
    SCOPED_TRACE(rule(overlap.what));
    send(whole, overlap.parts);
    EXPECT_EQ(newly_dropped(DropReason::local_fragment_overlap), 2U);
    send(whole, {{0, 48, true}, {48, 108, false}});
    EXPECT_EQ(newly_dropped(DropReason::local_fragment_overlap), 2U) << "what still comes goes, too";
    expect_silence();
    two().advance(61);
    two().settle();
    send(whole, {{0, 48, true}, {48, 108, false}});
    expect_answer(whole);
  }
}

TEST_P(Reassembly, ATimeoutEndsWhatNeverIsWholeAndTellsOnlyIfTheFirstCame) {
  const double timeout = ipv6() ? 60 : 30;
  const Echo whole = echo(100);
  const Bytes first = whole.fragment({0, 48, true});
  send(first);
  two().advance(timeout - 0.5);
  expect_silence();
  two().advance(1);
  const Bytes error = ipv6() ? icmp6_error(two(), "a", kHostA, first, {.type = 3, .code = 1})
                             : icmp_error(two(), "a", kHostA, first, {.type = 11, .code = 1});
  expect_frames({error}, two().received("a"), !ipv6());
  EXPECT_EQ(newly_dropped(DropReason::reassembly_timeout), 1U) << rule("timeout");

  send(whole, {{48, 108, false}});
  two().advance(timeout + 1);
  expect_silence();
  EXPECT_EQ(newly_dropped(DropReason::reassembly_timeout), 1U) << rule("without the first, silent");

  send(whole, {{48, 96, true}, {0, 48, true}});
  two().advance(timeout + 1);
  EXPECT_EQ(two().received("a").size(), 1U) << rule("one error about it");
  EXPECT_EQ(newly_dropped(DropReason::reassembly_timeout), 2U);
  send(whole, {{0, 48, true}, {48, 108, false}});
  expect_answer(whole);
}

// RFC 1122 3.3.2: the time is that of the first to come; what follows does not make it longer.
TEST_P(Reassembly, LaterPartsDoNotPutTheTimeoutOff) {
  const double timeout = ipv6() ? 60 : 30;
  const Echo whole = echo(100);
  send(whole, {{8, 16, true}});
  two().advance(timeout - 1);
  send(whole, {{48, 108, false}});
  two().advance(2);
  EXPECT_EQ(newly_dropped(DropReason::reassembly_timeout), 2U) << rule("from the first that came");
}

TEST_P(Reassembly, PartsThatCannotBe) {
  const Echo whole = echo(100);
  const auto about = [&](const std::string& what, const Part& part, std::uint32_t pointer) {
    const Bytes frame = whole.fragment(part);
    Expect expect = dropped(DropReason::local_fragment_invalid);
    if (ipv6()) {
      expect.on = "a";
      expect.frames = {icmp6_error(two(), "a", kHostA, frame, {.type = 4, .rest = pointer})};
    }
    return Case{rule(what), frame, expect};
  };
  verify(
      two(), "a",
      {about("not whole blocks of 8 bytes, and more to come", {0, 47, true}, 4),
       about("one byte, and more to come", {8, 9, true}, 4),
       about("nothing, and more to come", {8, 8, true}, 4), about("past 65,535", {65528, 65544, false}, 42),
       about("past 65,535, whole blocks", {65520, 65544, true}, 42)});
}

TEST_P(Reassembly, MoreThanTheLimitsGoes) {
  // Datagrams: the oldest goes.
  for (std::uint32_t id = 0; id < 65; ++id) send(echo(100, id).fragment({0, 48, true}));
  EXPECT_EQ(newly_dropped(DropReason::reassembly_full), 1U) << rule("64 datagrams at a time");
  send(echo(100, 0).fragment({48, 108, false}));  // begins anew, and the next oldest goes
  EXPECT_EQ(newly_dropped(DropReason::reassembly_full), 1U);
  expect_silence();
  send(echo(100, 64).fragment({48, 108, false}));
  expect_answer(echo(100, 64));
  two().advance(61);
  two().settle();
  // Parts of one datagram.
  const Echo whole = echo(2000, 7);
  for (std::size_t part = 0; part < 129; ++part) send(whole.fragment({part * 8, part * 8 + 8, true}));
  EXPECT_EQ(newly_dropped(DropReason::reassembly_full), 129U) << rule("128 parts of a datagram");
}

// Buffers of all datagrams together: fragments in many segments.
TEST_P(Reassembly, BuffersAreBounded) {
  const Echo whole = echo(1000);
  Layout many;
  many.segments.assign(60, 10);
  for (std::uint32_t id = 0; id < 40; ++id) {
    two().send("a", echo(1000, id).fragment({0, 640, true}), many);
    two().run();
    EXPECT_LE(two().buffers_waiting(), std::size_t{dataplane::kMaxReassemblyBuffers}) << rule("buffers");
  }
  EXPECT_GT(newly_dropped(DropReason::reassembly_full), 0U) << rule("the oldest go");
  expect_silence();
}

// The answer is longer than the link takes, as the request was.
TEST_P(Reassembly, ALongAnswerLeavesInFragments) {
  for (const std::size_t data : {1600U, 4000U, 9000U}) {
    SCOPED_TRACE(rule("data of " + std::to_string(data)));
    const Echo whole = echo(data);
    send(whole, cut(whole.size(), 1440));
    const std::size_t head = kEthernet + (ipv6() ? 48 : 20);
    const std::size_t largest = ipv6() ? 1448 : 1480;
    Bytes message;
    const std::vector<Bytes> frames = two().received("a");
    EXPECT_EQ(frames.size(), (whole.size() + largest - 1) / largest);
    for (const Bytes& frame : frames) {
      EXPECT_LE(frame.size(), kEthernet + 1500);
      const std::size_t offset =
          ipv6() ? get16(frame, kEthernet + 42) & 0xfff8U : (get16(frame, kEthernet + 6) & 0x1fffU) * 8U;
      EXPECT_EQ(offset, message.size());
      message = join(message, slice(frame, head, frame.size() - head));
    }
    const Bytes reply = whole.reply();
    const std::size_t reply_head = kEthernet + (ipv6() ? 40 : 20);
    EXPECT_TRUE(message == slice(reply, reply_head, reply.size() - reply_head));
  }
}

// --- IPv6 alone ---

class Reassembly6 : public Reassembly {};
INSTANTIATE_TEST_SUITE_P(Ipv6, Reassembly6, ::testing::Values(true));

// RFC 6946 3: by itself, whatever else has its identification.
TEST_P(Reassembly6, Rfc6946_AtomicFragmentsAreTakenByThemselves) {
  const Echo whole = echo(100), other = echo(200);
  verify(two(), "a",
         {"rule 27: an atomic fragment", whole.fragment({0, 108, false}), sent("a", whole.reply())});
  send(other.fragment({0, 48, true}));
  verify(two(), "a",
         {"rule 27: beside a datagram of its identification", whole.fragment({0, 108, false}),
          sent("a", whole.reply())});
  send(other.fragment({48, 208, false}));
  expect_answer(other);
}

// RFC 8200 4.5: the headers before the fragment header are those of the first fragment.
TEST_P(Reassembly6, HeadersBeforeTheFragmentHeaderStayAndThoseBehindItAreRead) {
  const Bytes options = {kFragment, 0, 1, 4, 0, 0, 0, 0};
  const Ipv6Packet request = icmp6({.destination = ip6("2001:db8:1::1")}, 128, 0, 0x00010002, pattern(100));
  const Bytes inner = join({kIcmp6, 0, 1, 4, 0, 0, 0, 0}, request.payload);
  const auto fragment = [&](std::size_t from, std::size_t to, bool more, const Bytes& before) {
    Bytes header = {60, 0, 0, 0, 0, 0, 0, 9};
    put16(header, 2, static_cast<std::uint32_t>(from) | (more ? 1 : 0));
    Ipv6Packet packet = request;
    packet.next_header = before.empty() ? kFragment : 60;
    packet.payload = join(join(before, header), slice(inner, from, to - from));
    return in(packet);
  };
  for (const Bytes& before : {Bytes{}, options}) {
    send(fragment(64, 116, false, {}));
    send(fragment(0, 64, true, before));
    expect_answer(echo(100));
  }
}

TEST_P(Reassembly6, AFragmentHeaderCutShort) {
  Ipv6Packet packet{.destination = ip6("2001:db8:1::1"), .next_header = kFragment};
  for (std::size_t length = 0; length < 8; ++length) {
    packet.payload = slice({kIcmp6, 0, 0, 1, 0, 0, 0, 1}, 0, length);
    verify(
        two(), "a",
        drops("rule 27: of " + std::to_string(length) + " bytes", packet, DropReason::local_headers_invalid));
  }
}

// --- RFC 7112 5: all headers are in the first fragment ---

// The first fragment of a datagram to us that carries `next`.
Ipv6Packet first_fragment(std::uint8_t next, const Bytes& held, const char* to = "2001:db8:1::1") {
  return {.destination = ip6(to),
          .next_header = kFragment,
          .payload = join(fragment_header(next, 0, true), held)};
}

// The first `held` bytes of a TCP header of `words` words.
Bytes tcp_header(std::uint8_t words, std::size_t held) {
  Bytes header(60);
  header[12] = static_cast<std::uint8_t>(words << 4);
  return slice(header, 0, held);
}

class FirstFragment6 : public TwoLinksTest {
 protected:
  Case incomplete(const std::string& what, const Ipv6Packet& packet) {
    return refuses("rule 26: " + what, packet, DropReason::local_headers_incomplete, {.type = 4, .code = 3});
  }
  Case incomplete_silent(const std::string& what, const Ipv6Packet& packet) {
    return {"rule 26: " + what, in(packet), dropped(DropReason::local_headers_incomplete)};
  }
};

TEST_F(FirstFragment6, Rfc7112_5_WithoutAllHeadersIsRefusedWithCode3) {
  Ipv6Packet behind_options = first_fragment(kUdp, {});
  behind_options.next_header = kDestination;
  behind_options.payload = join(options_header(kFragment, Bytes(6)), behind_options.payload);
  Ipv6Packet to_all = first_fragment(kUdp, {}, "ff02::1");
  verify(two(), "a",
         {incomplete("UDP, nothing of it", first_fragment(kUdp, {})),
          incomplete("behind options, too", behind_options),
          incomplete("TCP, 16 bytes", first_fragment(kTcp, tcp_header(5, 16))),
          incomplete("TCP with options, 24 of 28 bytes", first_fragment(kTcp, tcp_header(7, 24))),
          incomplete("TCP whose length is less than any", first_fragment(kTcp, tcp_header(1, 16))),
          incomplete("of a protocol unknown to us, nothing", first_fragment(253, {})),
          incomplete("options cut short",
                     first_fragment(kDestination, slice(options_header(kUdp, Bytes(14)), 0, 8))),
          incomplete("options, and nothing behind them",
                     first_fragment(kDestination, options_header(kUdp, Bytes(6)))),
          incomplete("a routing header cut short", first_fragment(kRouting, {kUdp, 2, 0, 0, 0, 0, 0, 0})),
          // RFC 4443 2.4 (e.1): this could be an error.
          incomplete_silent("ICMPv6, nothing of it", first_fragment(kIcmp6, {})),
          {"rule 26: to a group", frame(group_mac(to_all.destination), kHostA, to_all),
           dropped(DropReason::local_headers_incomplete)}});
}

TEST_F(FirstFragment6, Rfc7112_5_WithAllHeadersWaitsForTheRest) {
  struct Row {
    const char* what;
    std::uint8_t next;
    Bytes held;
    std::size_t offset = 0;
  };
  const Row rows[] = {{"UDP, its header", kUdp, Bytes(8)},
                      {"ICMPv6, its header", kIcmp6, Bytes(8)},
                      {"TCP without options", kTcp, tcp_header(5, 24)},
                      {"TCP with options, 24 of 24 bytes", kTcp, tcp_header(6, 24)},
                      {"of a protocol unknown to us, something", 253, Bytes(8)},
                      {"no next header", kNoNext, Bytes(8)},
                      {"options and no next header", kDestination, options_header(kNoNext, Bytes(6))},
                      {"options and UDP", kDestination, join(options_header(kUdp, Bytes(6)), Bytes(8))},
                      {"more headers than we follow", kDestination, options_header(kUdp, Bytes(262))},
                      {"a later fragment has none", kTcp, Bytes(8), 8}};
  for (const Row& row : rows) {
    Ipv6Packet packet = first_fragment(row.next, row.held);
    put16(packet.payload, 2, static_cast<std::uint32_t>(row.offset) | 1);
    verify(two(), "a", {"rule 26: " + std::string(row.what), in(packet), Expect{}});
    EXPECT_EQ(two().control().local().reassembly().datagrams(), 1U) << row.what;
    two().advance(61);
    two().settle();
  }
}

// Who only passes packets on does not look.
TEST_F(FirstFragment6, Rfc7112_5_InTransitPassesAsItIs) {
  Ipv6Packet packet = first_fragment(kUdp, {}, "2001:db8:2::2");
  verify(two(), "a", forwards("rule 26: in transit, without its headers", packet));
  packet.payload = join(fragment_header(kDestination, 0, true), slice(options_header(kUdp, Bytes(14)), 0, 8));
  verify(two(), "a", forwards("rule 26: in transit, options cut short", packet));
}

TEST_F(FirstFragment6, Rfc4443_2_4_f_RefusalsAreRateLimited) {
  two().must_apply(kTwoLinks + "control: {icmp_error_rate: 10/s}\n");
  two().advance(10);
  for (unsigned i = 0; i < 9; ++i) two().send("a", in(first_fragment(kUdp, {})));
  two().run();
  EXPECT_EQ(two().received("a").size(), 6U) << "rule 27";
  EXPECT_EQ(two().dropped(DropReason::local_headers_incomplete), 9U) << "rule 26";
}

}  // namespace
}  // namespace millrace::behaviour
