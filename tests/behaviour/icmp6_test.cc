// What the router says by itself in IPv6: echo and errors of ICMPv6 (RFC 4443), and what extension headers of
// packets to it make it do (RFC 8200 4).
#include <string>
#include <vector>

#include "cases6.h"

namespace millrace::behaviour {
namespace {

constexpr std::uint8_t kRequest = 128, kReply = 129;
const char* const kOwn = "2001:db8:1::1";

class Icmp6 : public TwoLinksTest {
 protected:
  Ipv6Packet to_us(std::uint8_t next_header, const Bytes& payload, const char* destination = kOwn) {
    return {.destination = ip6(destination), .next_header = next_header, .payload = payload};
  }
  Ipv6Packet request(Ipv6Packet packet = {.destination = ip6(kOwn)}, const Bytes& data = pattern(20)) {
    return icmp6(std::move(packet), kRequest, 0, 0x12345678, data);
  }
  // An echo request behind `headers`, the first of which is `first` and the last of which names ICMPv6.
  Ipv6Packet behind(std::uint8_t first, const Bytes& headers, const char* destination = kOwn) {
    Ipv6Packet packet = request({.destination = ip6(destination)});
    packet.next_header = first;
    packet.payload = join(headers, packet.payload);
    return packet;
  }
  // To groups in frames to groups.
  Bytes in_frame(const Ipv6Packet& packet, const std::string& on = "a", const MacAddress& host = kHostA) {
    const bool to_group = packet.destination.is_multicast();
    return frame(to_group ? group_mac(packet.destination) : two().mac(on), host, packet);
  }
  // The answer of `from`: the message of the request, but for type and checksum.
  Expect echo(const Ipv6Packet& request, Ipv6Address from, const Bytes& data = pattern(20),
              const std::string& on = "a", const MacAddress& host = kHostA) {
    Ipv6Packet reply{.source = from, .destination = request.source, .traffic_class = request.traffic_class};
    reply = icmp6(reply, kReply, 0, 0x12345678, data);
    return sent(on, frame(host, two().mac(on), reply));
  }
  Case echoes(const std::string& what, const Ipv6Packet& request, const Bytes& data = pattern(20)) {
    return {what, in_frame(request), echo(request, request.destination, data)};
  }
  Case echoes_from(const std::string& what, const Ipv6Packet& request, Ipv6Address from) {
    return {what, in_frame(request), echo(request, from)};
  }
  Case silent(const std::string& what, const Ipv6Packet& packet, DropReason reason) {
    return {what, in_frame(packet), dropped(reason)};
  }
  Case told(const std::string& what, const Ipv6Packet& packet, DropReason reason, const Icmp6Error& error) {
    const Bytes frame = in_frame(packet);
    return {what, frame, {reason, "a", {icmp6_error(two(), "a", kHostA, frame, error)}}};
  }
  Ipv6Address link_local(const std::string& interface = "a") {
    return *two().interface(interface).link_local();
  }
};

TEST_F(Icmp6, Rfc4443_4_2_EchoReplyByteForByte) {
  for (const std::size_t length : {0U, 1U, 2U, 3U, 55U, 56U, 57U, 1231U, 1232U, 1233U, 1452U}) {
    verify(two(), "a",
           echoes("rule 27: data of " + std::to_string(length),
                  request({.destination = ip6(kOwn)}, pattern(length)), pattern(length)));
  }
  Ipv6Packet marked{.destination = ip6(kOwn), .hop_limit = 1, .traffic_class = 0xb9, .flow_label = 0x12345};
  verify(two(), "a", echoes("rule 24: hop limit 1 to us, and the traffic class comes back", request(marked)));
  marked.hop_limit = 0;
  verify(two(), "a", echoes("rule 24: hop limit 0 to us", request(marked)));
}

TEST_F(Icmp6, Rfc8200_8_1_EchoReplyFromSegmentsAndWithAChecksumAtItsEdges) {
  for (std::size_t first = 10; first <= 70; ++first) {
    Case c = echoes("rule 27: first segment of " + std::to_string(first),
                    request({.destination = ip6(kOwn)}, pattern(301)), pattern(301));
    c.layout.segments = {first, 1, 2, 7, 100};
    verify(two(), "a", c);
  }
  for (std::uint32_t word = 0; word < 0x10000; word += 0x101) {
    Bytes data(2);
    put16(data, 0, word);
    verify(two(), "a",
           echoes("rule 27: word " + std::to_string(word), request({.destination = ip6(kOwn)}, data), data));
  }
}

TEST_F(Icmp6, Rfc4443_4_2_SourceIsTheAddressThatWasAsked) {
  start(kTwoLinks.substr(0, kTwoLinks.find("routes:")) +
        "  l: {loopback: true, addresses: [\"2001:db8:9::1/128\"]}\n" +
        kTwoLinks.substr(kTwoLinks.find("routes:")));
  const Ipv6Packet to_group{.destination = ip6("ff02::1")};
  const Ipv6Packet from_link{.source = ip6("fe80::a"), .destination = ip6("ff02::1")};
  const auto to = [&](const char* own) { return request({.destination = ip6(own)}); };
  verify(two(), "a",
         {echoes("rule 27: its own address on the link", to(kOwn)),
          echoes("rule 27: that of the other link", to("2001:db8:2::1")),
          echoes("rule 27: that of a loopback", to("2001:db8:9::1")),
          echoes("rule 27: the link-local one",
                 request({.source = ip6("fe80::a"), .destination = link_local()})),
          echoes_from("rule 27: all nodes, from the address of the sender's prefix", request(to_group),
                      ip6(kOwn)),
          echoes_from("rule 27: all nodes, from the link-local address to such a one", request(from_link),
                      link_local()),
          echoes_from("rule 27: all routers", to("ff02::2"), ip6(kOwn)),
          echoes_from("rule 27: all routers of the site", to("ff05::2"), ip6(kOwn)),
          echoes_from("rule 27: a solicited-node group of ours", to("ff02::1:ff00:1"), ip6(kOwn)),
          silent("rule 27: a group of others", to("ff02::1:ff00:7"), DropReason::destination_multicast)});
}

TEST_F(Icmp6, Rfc4443_4_1_WhatIsNotAnEchoThatCanBeAnswered) {
  Ipv6Packet wrong = request();
  wrong.payload[2] ^= 1;
  Ipv6Packet short_one = icmp6({.destination = ip6(kOwn)}, kRequest, 0, 0, {});
  Ipv6Packet from_nobody{.source = ip6("::"), .destination = ip6("ff02::1")};
  Ipv6Packet cut = to_us(kIcmp6, slice(short_one.payload, 0, 7));
  put16(cut.payload, 2, 0);
  put16(cut.payload, 2, checksum6(cut));
  verify(
      two(), "a",
      {silent("rule 27: a wrong checksum", wrong, DropReason::local_icmp_invalid),
       silent("rule 27: no message", to_us(kIcmp6, {}), DropReason::local_icmp_invalid),
       silent("rule 27: 7 bytes", cut, DropReason::local_icmp_invalid),
       silent("rule 27: a code that echo has not",
              icmp6({.destination = ip6(kOwn)}, kRequest, 1, 0, pattern(8)), DropReason::local_icmp_ignored),
       silent("rule 27: of the unspecified address", request(from_nobody), DropReason::local_icmp_ignored),
       echoes("rule 27: a message of 8 bytes", request({.destination = ip6(kOwn)}, {}), {})});
}

TEST_F(Icmp6, Rfc4443_2_4_AllOtherTypesToUsAreNotAnswered) {
  for (unsigned type = 0; type < 256; ++type) {
    if (type == kRequest || (type >= 133 && type <= 137)) continue;
    const auto packet =
        icmp6({.destination = ip6(kOwn)}, static_cast<std::uint8_t>(type), 0, 1280, pattern(48));
    verify(two(), "a",
           silent("rule 27: type " + std::to_string(type), packet, DropReason::local_icmp_ignored));
  }
}

TEST_F(Icmp6, Rfc4443_3_1_NobodyListensAndNobodyKnows) {
  const Icmp6Error port{.type = 1, .code = 4};
  verify(two(), "a",
         {told("rule 27: UDP", to_us(kUdp, udp(4000, 53)), DropReason::local_no_port, port),
          told("rule 27: TCP", to_us(kTcp, tcp(4000, 179)), DropReason::local_no_port, port),
          told("rule 27: UDP without a header", to_us(kUdp, {}), DropReason::local_no_port, port),
          silent("rule 27: nothing behind the headers", to_us(kNoNext, pattern(8)),
                 DropReason::local_no_payload)});
  // RFC 4443 2.2 (a)
  const Icmp6Error asked{.type = 1, .code = 4, .source = ip6("2001:db8:2::1")};
  verify(two(), "a",
         told("rule 27: from the address that it was for, of the other link",
              to_us(kUdp, udp(4000, 53), "2001:db8:2::1"), DropReason::local_no_port, asked));
  const std::string own = link_local().to_string();
  verify(two(), "a",
         told("rule 27: from the link-local address that it was for", to_us(kUdp, udp(4000, 53), own.c_str()),
              DropReason::local_no_port, {.type = 1, .code = 4, .source = link_local()}));
}

TEST_F(Icmp6, Rfc8200_4_UnknownNextHeadersAreNamed) {
  for (unsigned next = 1; next < 256; ++next) {
    const bool known = next == kTcp || next == kUdp || next == kRouting || next == kFragment ||
                       next == kIcmp6 || next == kNoNext || next == kDestination;
    if (known) continue;
    two().advance(0.1);  // the errors' rate limit
    verify(two(), "a",
           told("rule 27: next header " + std::to_string(next),
                to_us(static_cast<std::uint8_t>(next), pattern(9)), DropReason::local_no_protocol,
                {.type = 4, .code = 1, .rest = 6}));
  }
  Ipv6Packet behind_options = to_us(kDestination, join(options_header(253, {}), pattern(8)));
  Ipv6Packet hop_by_hop_second =
      to_us(kDestination, join(options_header(kHopByHop, {}), options_header(kIcmp6, {})));
  Ipv6Packet both = to_us(kHopByHop, join(options_header(kDestination, {}), options_header(253, Bytes(13))));
  const auto unknown = [&](const char* what, const Ipv6Packet& packet, std::uint32_t pointer) {
    return told(what, packet, DropReason::local_no_protocol, {.type = 4, .code = 1, .rest = pointer});
  };
  verify(two(), "a",
         {unknown("rule 27: behind destination options", behind_options, 40),
          unknown("rule 27: behind two headers", both, 48),
          unknown("rule 27: hop-by-hop options that are not first", hop_by_hop_second, 40)});
}

TEST_F(Icmp6, Rfc8200_4_2_OptionsThatNobodyKnowsSayWhatIsToBecomeOfThePacket) {
  const Bytes known = {1, 2, 0, 0};
  for (const std::uint8_t header : {kHopByHop, kDestination}) {
    const std::string where = header == kHopByHop ? "hop-by-hop: " : "destination options: ";
    const auto with = [&](std::uint8_t option, const char* to = kOwn) {
      return behind(header, options_header(kIcmp6, {option, 2, 0xab, 0xcd}), to);
    };
    const Icmp6Error refused{.type = 4, .code = 2, .rest = 42};
    verify(
        two(), "a",
        {echoes("rule 26: padding, " + where, behind(header, options_header(kIcmp6, known))),
         echoes("rule 26: a router alert, " + where, behind(header, options_header(kIcmp6, {5, 2, 0, 0}))),
         echoes("rule 26: 00 is skipped, " + where, with(0x1e)),
         silent("rule 26: 01 is dropped, " + where, with(0x5e), DropReason::local_option_discard),
         told("rule 26: 10 is refused, " + where, with(0x9e), DropReason::local_option_refused, refused),
         told("rule 26: 11 is refused, " + where, with(0xde), DropReason::local_option_refused, refused),
         echoes_from("rule 26: 00 to a group, " + where, with(0x1e, "ff02::1"), ip6(kOwn)),
         silent("rule 26: 01 to a group, " + where, with(0x5e, "ff02::1"), DropReason::local_option_discard),
         told("rule 26: 10 to a group is refused, " + where, with(0x9e, "ff02::1"),
              DropReason::local_option_refused, refused),
         silent("rule 26: 11 to a group is dropped, " + where, with(0xde, "ff02::1"),
                DropReason::local_option_discard),
         told("rule 26: the pointer is that of the option, " + where,
              behind(header, options_header(kIcmp6, {0, 1, 1, 0, 0x9e, 0})), DropReason::local_option_refused,
              {.type = 4, .code = 2, .rest = 46}),
         told("rule 26: the first that is refused counts, " + where,
              behind(header, options_header(kIcmp6, {0x1e, 0, 0x9e, 0, 0x5e, 0})),
              DropReason::local_option_refused, {.type = 4, .code = 2, .rest = 44}),
         silent("rule 26: an option past the end, " + where,
                behind(header, options_header(kIcmp6, {0x1e, 5, 0})), DropReason::local_headers_invalid),
         silent("rule 26: an option without a length, " + where,
                behind(header, options_header(kIcmp6, {1, 3, 0, 0, 0, 0x1e})),
                DropReason::local_headers_invalid)});
  }
}

TEST_F(Icmp6, Rfc5095_3_RoutingHeaders) {
  for (const unsigned type : {0U, 1U, 2U, 3U, 4U, 253U}) {
    const std::string of = ", type " + std::to_string(type);
    const auto t = static_cast<std::uint8_t>(type);
    verify(two(), "a",
           {echoes("rule 26: no segments left" + of, behind(kRouting, routing_header(kIcmp6, t, 0))),
            told("rule 26: one segment left" + of, behind(kRouting, routing_header(kIcmp6, t, 1)),
                 DropReason::local_routing_header, {.type = 4, .rest = 42})});
  }
  const Bytes second = join(options_header(kRouting, {}), routing_header(kIcmp6, 0, 3));
  verify(two(), "a",
         told("rule 26: behind other headers", behind(kDestination, second), DropReason::local_routing_header,
              {.type = 4, .rest = 50}));
}

TEST_F(Icmp6, Rfc8200_4_HeadersAreBounded) {
  const auto chain = [&](unsigned count, std::size_t bytes) {
    Bytes headers;
    for (unsigned i = 0; i < count; ++i) {
      headers = join(headers, options_header(i + 1 == count ? kIcmp6 : kDestination, Bytes(bytes - 2)));
    }
    return behind(kDestination, headers);
  };
  Ipv6Packet long_header = behind(kDestination, options_header(kIcmp6, {}));
  long_header.payload[1] = 5;
  const auto cut = [&](std::size_t length) {
    return to_us(kDestination, slice(options_header(kIcmp6, {}), 0, length));
  };
  const DropReason invalid = DropReason::local_headers_invalid;
  verify(
      two(), "a",
      {echoes("rule 26: eight headers", chain(8, 8)), silent("rule 26: nine headers", chain(9, 8), invalid),
       echoes("rule 26: 256 bytes of headers", chain(4, 64)),
       silent("rule 26: 264 bytes of headers", chain(1, 264), invalid),
       silent("rule 26: a header longer than the packet", long_header, invalid),
       silent("rule 26: a header of no bytes", cut(0), invalid),
       silent("rule 26: a header of one byte", cut(1), invalid),
       silent("rule 26: a header of seven bytes", cut(7), invalid),
       silent("rule 26: options and nothing behind them", cut(8), DropReason::local_icmp_invalid)});
  Case spread = echoes("rule 26: headers in segments", chain(8, 8));
  spread.layout.segments = {50, 7, 9, 3, 30};
  verify(two(), "a", spread);
}

TEST_F(Icmp6, Rfc4443_2_4_c_QuotesUpTo1280BytesInAll) {
  for (const std::size_t total : {40U, 41U, 48U, 100U, 1231U, 1232U, 1233U, 1280U, 1500U}) {
    verify(two(), "a",
           told("rule 27: " + std::to_string(total) + " bytes",
                {.hop_limit = 1, .payload = pattern(total - 40)}, DropReason::ttl_expired, {.type = 3}));
  }
  Case chained = told("rule 27: from segments", {.hop_limit = 1, .payload = pattern(900)},
                      DropReason::ttl_expired, {.type = 3});
  chained.layout.segments = {15, 40, 1, 500, 3};
  verify(two(), "a", chained);
  const Bytes padded = join(in({.hop_limit = 1, .payload = pattern(6)}), pattern(20));
  verify(two(), "a",
         {"rule 27: padding is not quoted",
          padded,
          {DropReason::ttl_expired, "a", {icmp6_error(two(), "a", kHostA, padded, {.type = 3})}}});
}

TEST_F(Icmp6, Rfc4443_2_4_e_NoErrorAboutErrorsAndRedirects) {
  for (unsigned type = 0; type < 256; ++type) {
    two().advance(0.1);  // the errors' rate limit
    const auto packet = icmp6({.hop_limit = 1}, static_cast<std::uint8_t>(type), 0, 0, pattern(48));
    const bool is_error = type < 128 || type == 137;
    const std::string what = "rule 27: about type " + std::to_string(type);
    verify(two(), "a",
           is_error ? silent(what, packet, DropReason::ttl_expired)
                    : told(what, packet, DropReason::ttl_expired, {.type = 3}));
  }
  EXPECT_EQ(two().control().icmp().counters().errors_suppressed_rule, 129U);
  // Wherever in the packet the message stands.
  const Ipv6Packet error = icmp6({.hop_limit = 1}, 1, 0, 0, pattern(48));
  const auto within = [&](std::uint8_t first, const Bytes& headers) {
    Ipv6Packet packet = error;
    packet.next_header = first;
    packet.payload = join(headers, error.payload);
    return packet;
  };
  const Bytes first_fragment = {kIcmp6, 0, 0, 1, 0, 0, 0, 9};
  verify(two(), "a",
         {silent("rule 27: an error behind options", within(kDestination, options_header(kIcmp6, {})),
                 DropReason::ttl_expired),
          silent("rule 27: an error in a first fragment", within(kFragment, first_fragment),
                 DropReason::ttl_expired),
          silent("rule 27: a message cut before its type",
                 {.hop_limit = 1, .next_header = kIcmp6, .payload = {}}, DropReason::ttl_expired)});
}

TEST_F(Icmp6, Rfc4443_2_4_e_NoErrorAboutGroups) {
  const auto to_group = [&](std::uint8_t next, const Bytes& payload) {
    return to_us(next, payload, "ff02::1");
  };
  verify(two(), "a",
         {silent("rule 27: UDP to a group", to_group(kUdp, udp(1, 2)), DropReason::local_no_port),
          silent("rule 27: an unknown next header to a group", to_group(253, pattern(8)),
                 DropReason::local_no_protocol),
          silent("rule 27: a routing header to a group", to_group(kRouting, routing_header(kIcmp6, 0, 1)),
                 DropReason::local_routing_header)});
}

// One bucket for both families.
TEST_F(Icmp6, Rfc4443_2_4_f_ErrorsAreRateLimitedTogetherWithThoseOfIpv4AndCounted) {
  two().must_apply(kTwoLinks + "control: {icmp_error_rate: 10/s}\n");
  two().advance(10);
  for (unsigned i = 0; i < 4; ++i) two().send("a", in({.hop_limit = 1}));
  for (unsigned i = 0; i < 4; ++i) two().send("a", towards(two(), "a", kHostA, {.ttl = 1}));
  for (unsigned i = 0; i < 4; ++i) two().send("a", in({.hop_limit = 1}));
  two().run();
  EXPECT_EQ(two().received("a").size(), 6U) << "rule 27";
  EXPECT_EQ(two().control().icmp().counters().errors_suppressed_rate, 6U);
  two().advance(0.1);
  for (unsigned i = 0; i < 3; ++i) two().send("a", in({.hop_limit = 1}));
  two().run();
  EXPECT_EQ(two().received("a").size(), 1U) << "rule 27";
  for (unsigned i = 0; i < 50; ++i) verify(two(), "a", echoes("rule 27: echo has no limit", request()));
}

// RFC 4862 5.4: an address is not used, in no way, before it is known to be unique.
TEST_F(Icmp6, Rfc4862_5_4_ATentativeAddressSaysNothing) {
  two().set_link("a", false);
  two().set_link("a", true);
  two().settle();
  const Ipv6Packet bad_option = behind(kDestination, options_header(kIcmp6, {0x9e, 0}));
  const Ipv6Packet segments = behind(kRouting, routing_header(kIcmp6, 0, 1));
  const DropReason tentative = DropReason::local_tentative;
  verify(two(), "a",
         {silent("rule 28: echo", request(), tentative),
          silent("rule 28: UDP", to_us(kUdp, udp(1, 2)), tentative),
          silent("rule 28: an unknown next header", to_us(253, {}), tentative),
          silent("rule 28: an option that wants an answer", bad_option, tentative),
          silent("rule 28: a routing header", segments, tentative)});
  two().advance(1.1);
  two().settle();
  verify(two(), "a", echoes("rule 28: a second later", request()));
}

}  // namespace
}  // namespace millrace::behaviour
