// What the router says by itself: ICMP errors (RFC 792, RFC 1812 4.3) and echo (4.3.3.6).
#include "cases.h"

namespace millrace::behaviour {
namespace {

class Icmp : public TwoSubnetsTest {
 protected:
  Ipv4Packet to_us(std::uint8_t protocol, const Bytes& payload) {
    return {.destination = ip("10.0.1.1"), .protocol = protocol, .payload = payload};
  }
  // The answer to an echo request of host A: addresses swapped, all else of the ICMP message the same.
  Case echoes(const std::string& what, const Ipv4Packet& request, const Bytes& reply_message) {
    Ipv4Packet reply = request;
    reply.source = request.destination;
    reply.destination = request.source;
    reply.ttl = 64;
    reply.flags_offset = 0;
    reply.payload = reply_message;
    return {what, in(request), answered("a", frame(kHostA, two().mac("a"), reply))};
  }
  Case echoes(const std::string& what, std::uint32_t id_sequence, const Bytes& data) {
    return echoes(what, to_us(1, icmp(8, 0, id_sequence, data)), icmp(0, 0, id_sequence, data));
  }
};

TEST_F(Icmp, Rfc792_EchoReplyByteForByte) {
  for (const std::size_t length : {0U, 1U, 2U, 3U, 55U, 56U, 57U, 576U, 1471U, 1472U}) {
    verify(two(), "a", echoes("rule 19: data of " + std::to_string(length), 0x12345678, pattern(length)));
  }
}

TEST_F(Icmp, Rfc1071_EchoReplyChecksumAtItsEdges) {
  // Data that makes the sum of the request whatever it may be near the carries of the incremental update.
  for (std::uint32_t word = 0; word < 0x10000; word += 0x101) {
    verify(two(), "a", echoes("rule 19: word " + std::to_string(word), word << 16 | 1, {}));
  }
  for (const std::uint32_t word : {0x07feU, 0x07ffU, 0x0800U, 0xf7feU, 0xf7ffU, 0xf800U, 0xfffeU}) {
    verify(two(), "a", echoes("rule 19: edge " + std::to_string(word), word, {}));
  }
}

// A receiver wants the sum over all to be ffff. A sum of all zeros is 0000: that field has to be ffff. Where
// the rest sums to ffff, 0000 and ffff are equally good.
// Rule 19.
TEST_F(Icmp, Rfc1071_EchoRepliesWhoseChecksumIsZero) {
  for (const std::uint32_t word : {0U, 0xffffU}) {
    two().send("a", in(to_us(1, icmp(8, 0, word, Bytes(56, 0)))));
    two().run();
    const auto frames = two().received("a");
    ASSERT_EQ(frames.size(), 1U);
    const Bytes message = slice(frames[0], kEthernet + 20, 64);
    EXPECT_EQ(naive_checksum(message), 0) << hex(message);
  }
}

TEST_F(Icmp, EchoRequestInSegments) {
  for (std::size_t first = 10; first <= 60; ++first) {
    Case c = echoes("rule 19: first segment of " + std::to_string(first), 0x00010002, pattern(301));
    c.layout.segments = {first, 1, 2, 7, 100};
    verify(two(), "a", c);
  }
}

TEST_F(Icmp, Rfc1122_3_3_2_AnEchoRequestInFragmentsIsAnsweredOnceItIsWhole) {
  const Bytes message = icmp(8, 0, 0x00010002, pattern(1000));
  Ipv4Packet first = to_us(1, slice(message, 0, 512)), last = to_us(1, slice(message, 512, message.size()));
  first.flags_offset = kMf;
  last.flags_offset = 512 / 8;
  Case whole = echoes("", to_us(1, message), icmp(0, 0, 0x00010002, pattern(1000)));
  const auto with = [&](const char* what, const Ipv4Packet& fragment) {
    return Case{what, in(fragment), whole.expect};
  };
  verify(two(), "a",
         {{"rule 19: the first half", in(first), {}},
          with("rule 19: and the other one", last),
          {"rule 19: the last half before", in(last), {}},
          with("rule 19: the first one", first)});
}

TEST_F(Icmp, Rfc1812_4_3_3_6_SourceIsTheAddressThatWasAsked) {
  Ipv4Packet request = to_us(1, icmp(8, 0, 5, pattern(10)));
  request.destination = ip("10.0.2.1");
  verify(two(), "a", echoes("rule 19: the other interface's address", request, icmp(0, 0, 5, pattern(10))));
  request.options = {0x94, 4, 0, 0};
  verify(two(), "a", echoes("rule 19: with an option", request, icmp(0, 0, 5, pattern(10))));
  request.options = {};
  request.tos = 0xb8;
  verify(two(), "a", echoes("RFC 1812 5.3.3.3: the TOS of the request", request, icmp(0, 0, 5, pattern(10))));
}

TEST_F(Icmp, Rfc1812_4_2_2_9_TtlOfZeroOrOneToUsIsAccepted) {
  for (const std::uint8_t ttl : {std::uint8_t{0}, std::uint8_t{1}, std::uint8_t{255}}) {
    Ipv4Packet request = to_us(1, icmp(8, 0, 5, pattern(10)));
    request.ttl = ttl;
    verify(two(), "a", echoes("rule 4: TTL " + std::to_string(ttl), request, icmp(0, 0, 5, pattern(10))));
  }
}

// Rule 19.
TEST_F(Icmp, Rfc792_MalformedIcmpToUsIsDropped) {
  Bytes wrong = icmp(8, 0, 5, pattern(10));
  wrong[3] ^= 1;
  const Bytes right = icmp(8, 0, 5, {});
  verify(two(), "a",
         {drops("wrong checksum", to_us(1, wrong), DropReason::local_icmp_invalid),
          drops("no message", to_us(1, {}), DropReason::local_icmp_invalid),
          drops("7 bytes", to_us(1, slice(right, 0, 7)), DropReason::local_icmp_invalid),
          echoes("8 bytes", 5, {})});
}

TEST_F(Icmp, Rfc6918_AllOtherTypesToUsAreNotAnswered) {
  for (unsigned type = 0; type < 256; ++type) {
    if (type == 8) continue;
    verify(two(), "a",
           drops("rule 20: type " + std::to_string(type),
                 to_us(1, icmp(static_cast<std::uint8_t>(type), 0, 0x0a000202, pattern(28))),
                 DropReason::local_icmp_ignored));
  }
  verify(two(), "a",
         drops("echo with a code", to_us(1, icmp(8, 1, 0, pattern(28))), DropReason::local_icmp_ignored));
}

TEST_F(Icmp, Rfc1812_4_3_3_2_RedirectsChangeNoRoute) {
  const Bytes about = Ipv4Packet{.destination = ip("203.0.113.9")}.bytes();
  Ipv4Packet redirect = to_us(1, icmp(5, 1, ip("10.0.1.9").value(), slice(about, 0, 28)));
  verify(two(), "a",
         {drops("rule 20: redirect", redirect, DropReason::local_icmp_ignored),
          forwards("rule 20: the route is what it was", {.destination = ip("203.0.113.9")})});
}

TEST_F(Icmp, Rfc1122_4_1_3_1_UdpAndTcpToUsAreRefused) {
  const IcmpError port{.code = 3};
  verify(two(), "a",
         {refuses("UDP to us", to_us(17, udp(4000, 53)), DropReason::local_no_port, port),
          refuses("TCP to us", to_us(6, tcp(4000, 179)), DropReason::local_no_port, port),
          refuses("UDP without a header", to_us(17, {}), DropReason::local_no_port, port)});
  Ipv4Packet other = to_us(17, udp(4000, 53));
  other.destination = ip("10.0.2.1");
  verify(two(), "a",
         refuses("rule 16: to the other interface's address", other, DropReason::local_no_port, port));
}

// Rule 16.
TEST_F(Icmp, Rfc1122_3_2_2_1_OtherProtocolsToUsAreRefused) {
  for (unsigned protocol = 0; protocol < 256; ++protocol) {
    if (protocol == 1 || protocol == 6 || protocol == 17) continue;
    two().advance(0.1);  // the errors' rate limit
    verify(two(), "a",
           refuses("protocol " + std::to_string(protocol),
                   to_us(static_cast<std::uint8_t>(protocol), pattern(9)), DropReason::local_no_protocol,
                   {.code = 2}));
  }
}

TEST_F(Icmp, Rfc1812_5_3_1_TtlExpired) {
  const IcmpError expired{.type = 11};
  verify(two(), "a",
         {refuses("rule 3: TTL 0", {.ttl = 0}, DropReason::ttl_expired, expired),
          refuses("rule 3: TTL 1", {.ttl = 1}, DropReason::ttl_expired, expired),
          forwards("rule 3: TTL 2", {.ttl = 2}), forwards("rule 3: TTL 255", {.ttl = 255}),
          refuses("rule 16: options are quoted", {.ttl = 1, .options = {0x94, 4, 0, 0}},
                  DropReason::ttl_expired, expired),
          drops("rule 3: not for multicast", {.destination = ip("224.0.0.9"), .ttl = 1},
                DropReason::destination_multicast)});
}

TEST_F(Icmp, Rfc1812_4_3_2_3_QuotesUpTo576BytesInAll) {
  for (const std::size_t total : {20U, 21U, 28U, 100U, 547U, 548U, 549U, 1000U, 1500U}) {
    const Ipv4Packet packet{.ttl = 1, .payload = pattern(total - 20)};
    verify(two(), "a",
           refuses("rule 16: " + std::to_string(total) + " bytes", packet, DropReason::ttl_expired,
                   {.type = 11}));
  }
  Case chained = refuses("rule 16: from segments", {.ttl = 1, .payload = pattern(900)},
                         DropReason::ttl_expired, {.type = 11});
  chained.layout.segments = {15, 40, 1, 500, 3};
  verify(two(), "a", chained);
  Bytes padded = join(in({.ttl = 1, .payload = pattern(6)}), pattern(20));
  verify(two(), "a",
         {"rule 16: padding is not quoted", padded,
          refused(DropReason::ttl_expired, "a", icmp_error(two(), "a", kHostA, padded, {.type = 11}))});
}

TEST_F(Icmp, Rfc1812_4_3_2_7_NoErrorAboutErrors) {
  for (unsigned type = 0; type < 20; ++type) {
    const Ipv4Packet packet{
        .ttl = 1, .protocol = 1, .payload = icmp(static_cast<std::uint8_t>(type), 0, 0, pattern(28))};
    const bool is_error = type == 3 || type == 4 || type == 5 || type == 11 || type == 12;
    const std::string what = "rule 17: about ICMP type " + std::to_string(type);
    verify(two(), "a",
           is_error ? drops(what, packet, DropReason::ttl_expired)
                    : refuses(what, packet, DropReason::ttl_expired, {.type = 11}));
  }
  EXPECT_EQ(two().control().icmp().counters().errors_suppressed_rule, 5U);
  verify(two(), "a",
         drops("rule 17: ICMP cut before its type", {.ttl = 1, .protocol = 1, .payload = {}},
               DropReason::ttl_expired));
}

TEST_F(Icmp, Rfc1812_4_3_2_7_NoErrorAboutLaterFragments) {
  verify(two(), "a",
         {refuses("rule 17: the first fragment", {.ttl = 1, .flags_offset = kMf}, DropReason::ttl_expired,
                  {.type = 11}),
          drops("rule 17: offset 1", {.ttl = 1, .flags_offset = 1}, DropReason::ttl_expired),
          drops("rule 17: the last offset", {.ttl = 1, .flags_offset = 0x1fff}, DropReason::ttl_expired),
          drops("rule 17: in the middle", {.ttl = 1, .flags_offset = kMf | 100}, DropReason::ttl_expired)});
}

TEST_F(Icmp, Rfc1812_4_3_2_8_ErrorsAreRateLimitedAndCounted) {
  two().must_apply(kTwoSubnets + "control: {icmp_error_rate: 10/s}\n");
  two().advance(10);
  const auto burst = [&](unsigned count) {
    for (unsigned i = 0; i < count; ++i) two().send("a", in({.ttl = 1}));
    two().run();
    return two().received("a").size();
  };
  EXPECT_EQ(burst(20), 6U) << "rule 18: what a traceroute sends at once";
  EXPECT_EQ(two().control().icmp().counters().errors_suppressed_rate, 14U);
  EXPECT_EQ(burst(1), 0U);
  two().advance(0.1);
  EXPECT_EQ(burst(5), 1U);
  two().advance(100);
  EXPECT_EQ(burst(20), 6U) << "no saving up";
}

TEST_F(Icmp, EchoIsNotHeldBackByTheErrorsLimit) {
  two().must_apply(kTwoSubnets + "control: {icmp_error_rate: 1/s}\n");
  for (unsigned i = 0; i < 50; ++i) verify(two(), "a", echoes("rule 18", i, pattern(8)));
}

constexpr const char* kManyAddresses = R"(
interfaces:
  a: {device: @a, addresses: [10.0.1.1/24, 10.0.9.1/24, 10.0.1.7/24]}
  b: {device: @b, addresses: [10.0.2.1/24]}
routes: [{prefix: 198.18.0.0/15, via: 10.0.9.2}]
neighbors:
  - {address: 10.0.1.2, mac: "02:00:00:00:01:02", interface: a}
  - {address: 10.0.9.2, mac: "02:00:00:00:01:02", interface: a}
  - {address: 10.0.2.2, mac: "02:00:00:00:02:02", interface: b}
)";

TEST_F(Icmp, Rfc1812_4_3_2_4_SourceIsOfTheInterfaceThatFacesTheSender) {
  start(kManyAddresses);
  const auto about = [&](const char* source, const char* from) {
    return refuses("rule 16: to " + std::string(source), {.source = ip(source), .ttl = 1},
                   DropReason::ttl_expired, {.type = 11, .source = ip(from)});
  };
  verify(two(), "a",
         {about("10.0.1.2", "10.0.1.1"), about("10.0.9.2", "10.0.9.1"), about("198.18.0.1", "10.0.1.1")});
}

TEST_F(Icmp, ErrorsToASenderWithoutARouteAreNotSent) {
  verify(two(), "a", drops("no way back", {.source = ip("198.51.100.1"), .ttl = 1}, DropReason::ttl_expired));
  EXPECT_EQ(two().control().output().counters().no_route, 1U);
}

// Rules 16, 22.
TEST_F(Icmp, ErrorsToANeighborThatIsNotKnownWaitForIt) {
  const MacAddress host = mac("02:00:00:00:01:33");
  const Bytes packet = towards(two(), "a", host, {.source = ip("10.0.1.33"), .ttl = 1});
  two().send("a", packet);
  two().run();
  expect_frames({frame(kBroadcastMac, two().mac("a"),
                       ArpPacket{1, two().mac("a"), ip("10.0.1.1"), {}, ip("10.0.1.33")})},
                two().received("a"));
  two().send(
      "a", frame(two().mac("a"), host, ArpPacket{2, host, ip("10.0.1.33"), two().mac("a"), ip("10.0.1.1")}));
  two().run();
  expect_frames({icmp_error(two(), "a", host, packet, {.type = 11})}, two().received("a"), true);
}

}  // namespace
}  // namespace millrace::behaviour
