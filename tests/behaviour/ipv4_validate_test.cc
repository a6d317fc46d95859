// What is a packet that a router may forward? RFC 1812 5.2.2, 5.3.5, 5.3.7, 4.2.2: every limit below, at and
// above.
#include "cases.h"

namespace millrace::behaviour {
namespace {

class Ipv4Validation : public TwoSubnetsTest {};

Bytes cut(const Bytes& frame, std::size_t length) {
  return slice(frame, 0, length);
}

TEST_F(Ipv4Validation, Rfc1812_5_2_2_FrameLengthAgainstTheHeader) {
  const Bytes whole = in({.payload = {}});
  ASSERT_EQ(whole.size(), 34U);
  verify(two(), "a",
         {{"rule 1: no IP at all", cut(whole, 14), dropped(DropReason::ip_truncated)},
          {"rule 1: one byte of IP", cut(whole, 15), dropped(DropReason::ip_truncated)},
          {"rule 1: 19 bytes of IP", cut(whole, 33), dropped(DropReason::ip_truncated)},
          forwards_frame("rule 1: 20 bytes of IP", whole)});
}

// Rule 1.
TEST_F(Ipv4Validation, RuntFrames) {
  const Bytes whole = in({});
  for (std::size_t length = 1; length < 14; ++length) {
    verify(two(), "a",
           {"runt of " + std::to_string(length), cut(whole, length), dropped(DropReason::runt_frame)});
  }
}

TEST_F(Ipv4Validation, Rfc1812_5_2_2_EveryVersionButFour) {
  for (unsigned version = 0; version < 16; ++version) {
    const Ipv4Packet packet{.version = static_cast<std::uint8_t>(version)};
    const std::string what = "rule 1: version " + std::to_string(version);
    verify(two(), "a",
           version == 4 ? forwards(what, packet) : drops(what, packet, DropReason::ip_bad_version));
  }
}

TEST_F(Ipv4Validation, Rfc1812_5_2_2_EveryIhl) {
  for (unsigned ihl = 0; ihl < 16; ++ihl) {
    const std::string what = "rule 1: IHL " + std::to_string(ihl);
    if (ihl < 5) {
      verify(two(), "a", drops(what, {.ihl = ihl}, DropReason::ip_header_length));
    } else {
      verify(two(), "a", forwards(what, {.options = Bytes((ihl - 5) * 4, 1)}));
    }
  }
}

TEST_F(Ipv4Validation, Rfc1812_5_2_2_TotalLengthAgainstTheHeader) {
  for (unsigned total : {0U, 1U, 19U}) {
    verify(two(), "a",
           drops("rule 1: total length " + std::to_string(total),
                 {.total_length = static_cast<std::uint16_t>(total)}, DropReason::ip_total_length_short));
  }
  const Bytes nops(4, 1);
  verify(two(), "a",
         {forwards("rule 1: total length 20, IHL 5", {.total_length = 20}),
          drops("rule 1: total length 20, IHL 6", {.total_length = 20, .options = nops},
                DropReason::ip_header_past_end),
          drops("rule 1: total length 23, IHL 6", {.total_length = 23, .options = nops},
                DropReason::ip_header_past_end),
          forwards("rule 1: total length 24, IHL 6", {.total_length = 24, .options = nops}),
          drops("rule 1: total length 59, IHL 15", {.total_length = 59, .options = Bytes(40, 1)},
                DropReason::ip_header_past_end),
          forwards("rule 1: total length 60, IHL 15", {.total_length = 60, .options = Bytes(40, 1)})});
}

TEST_F(Ipv4Validation, Rfc1812_5_2_2_TotalLengthAgainstTheFrame) {
  const Bytes payload = pattern(26);
  verify(two(), "a",
         {drops("rule 2: one more than the frame holds", {.total_length = 47, .payload = payload},
                DropReason::ip_total_length_long),
          drops("rule 2: 65,535", {.total_length = 0xffff, .payload = payload},
                DropReason::ip_total_length_long),
          forwards("rule 2: as much as the frame holds", {.total_length = 46, .payload = payload}),
          forwards("rule 2: one byte of padding is cut", {.total_length = 45, .payload = payload}),
          forwards("rule 2: all but the header is padding", {.total_length = 20, .payload = payload}),
          forwards("rule 2: 1,480 bytes of padding", {.total_length = 20, .payload = pattern(1480)})});
}

TEST_F(Ipv4Validation, PaddingOverSegmentsIsCut) {
  const Ipv4Packet packet{.total_length = 100, .payload = pattern(1000)};
  for (const auto& segments : std::vector<std::vector<std::size_t>>{{14},
                                                                    {34},
                                                                    {50},
                                                                    {113},
                                                                    {114},
                                                                    {115},
                                                                    {60, 54},
                                                                    {60, 53},
                                                                    {60, 55},
                                                                    {20, 20, 20, 54, 1},
                                                                    {1, 1, 1}}) {
    Case c = forwards("rule 2: padding in segments", packet);
    c.layout.segments = segments;
    verify(two(), "a", c);
  }
}

// Rule 1.
TEST_F(Ipv4Validation, HeadersOverSegmentsAreJoined) {
  const Ipv4Packet packet{.options = Bytes(40, 1), .payload = pattern(100)};
  for (std::size_t first = 0; first <= 80; ++first) {
    Case c = forwards("first segment of " + std::to_string(first), packet);
    c.layout.segments = {first, 3, 0, 5, 1, 40};
    verify(two(), "a", c);
  }
}

// Rule 40.
TEST_F(Ipv4Validation, HeadersThatCannotBeJoined) {
  const Bytes whole = in({.options = Bytes(8, 1)});
  for (const std::size_t first : {13U, 14U, 33U, 34U, 41U}) {
    verify(two(), "a",
           {"first segment of " + std::to_string(first) + " without room behind it",
            whole,
            dropped(DropReason::header_not_contiguous),
            {.segments = {first}, .no_tailroom = true}});
  }
  Case c = forwards_frame("the header just fits", whole);
  c.layout = {.segments = {42}, .no_tailroom = true};
  verify(two(), "a", c);
}

TEST_F(Ipv4Validation, Rfc1812_5_2_2_HeaderChecksum) {
  const std::uint16_t right = get16(Ipv4Packet{}.bytes(), 10);
  for (unsigned bit = 0; bit < 16; ++bit) {
    verify(two(), "a",
           drops("rule 1: bit " + std::to_string(bit) + " of the checksum",
                 {.checksum = static_cast<std::uint16_t>(right ^ (1U << bit))}, DropReason::ip_bad_checksum));
  }
  verify(two(), "a",
         {drops("rule 1: one less", {.checksum = static_cast<std::uint16_t>(right - 1)},
                DropReason::ip_bad_checksum),
          drops("rule 1: one more", {.checksum = static_cast<std::uint16_t>(right + 1)},
                DropReason::ip_bad_checksum),
          drops("rule 1: zero is not 'absent'", {.checksum = 0}, DropReason::ip_bad_checksum),
          drops("rule 1: ffff", {.checksum = 0xffff}, DropReason::ip_bad_checksum)});
}

TEST_F(Ipv4Validation, Rfc1624_ChecksumsOfZeroAndAllOnes) {
  // The identification is chosen so that the sum of all else is ffff: the right checksum is 0, and ffff is as
  // good.
  Ipv4Packet packet{.identification = 0};
  packet.identification = get16(packet.bytes(), 10);
  ASSERT_EQ(get16(packet.bytes(), 10), 0);
  verify(two(), "a", forwards("rule 1: 0000", packet));
  packet.checksum = 0xffff;
  verify(two(), "a", forwards("rule 1: ffff", packet));
  packet.checksum = 1;
  verify(two(), "a", drops("rule 1: 0001", packet, DropReason::ip_bad_checksum));
}

TEST_F(Ipv4Validation, ChecksumCoversTheOptions) {
  Bytes frame = in({.options = {0x94, 4, 0, 0}});
  frame[kEthernet + 23] ^= 1;
  verify(two(), "a", {"rule 1: an option's byte changed", frame, dropped(DropReason::ip_bad_checksum)});
}

TEST_F(Ipv4Validation, Rfc1812_5_2_2_EveryBitOfTheHeaderIsUnderTheChecksum) {
  for (const Bytes& options : {Bytes{}, Bytes{0x94, 4, 0, 0, 0x5e, 4, 1, 2}}) {
    const Bytes whole = in({.options = options});
    for (std::size_t byte = 1; byte < 20 + options.size(); ++byte) {
      if (byte == 2 || byte == 3) continue;  // the total length: other reasons come first
      for (unsigned bit = 0; bit < 8; ++bit) {
        Bytes frame = whole;
        frame[kEthernet + byte] = static_cast<std::uint8_t>(frame[kEthernet + byte] ^ (1U << bit));
        verify(two(), "a",
               {"rule 1: bit " + std::to_string(bit) + " of byte " + std::to_string(byte), frame,
                dropped(DropReason::ip_bad_checksum)});
      }
    }
  }
}

TEST_F(Ipv4Validation, Rfc1624_BothZeroesWithOptions) {
  Ipv4Packet packet{.identification = 0, .options = {0x94, 4, 0, 0}};
  packet.identification = get16(packet.bytes(), 10);
  verify(two(), "a", forwards("rule 1: 0000 with an option", packet));
  packet.checksum = 0xffff;
  verify(two(), "a", forwards("rule 1: ffff with an option", packet));
  packet.checksum = 0xfffe;
  verify(two(), "a", drops("rule 1: fffe with an option", packet, DropReason::ip_bad_checksum));
}

// Of several faults the first in the order of RFC 1812 5.2.2 is the reason: what comes later cannot be
// trusted.
TEST_F(Ipv4Validation, Rfc1812_5_2_2_TheFirstFaultIsTheReason) {
  verify(
      two(), "a",
      {drops("rule 1: version before IHL", {.version = 5, .ihl = 4}, DropReason::ip_bad_version),
       drops("rule 1: version before checksum", {.version = 6, .checksum = 1}, DropReason::ip_bad_version),
       drops("rule 1: IHL before total length", {.ihl = 4, .total_length = 19}, DropReason::ip_header_length),
       drops("rule 1: a short total length before the header's", {.ihl = 6, .total_length = 19},
             DropReason::ip_total_length_short),
       drops("rule 1: the header's end before the checksum", {.ihl = 6, .total_length = 20, .checksum = 1},
             DropReason::ip_header_past_end),
       drops("rules 1, 2: the frame's end before the checksum", {.total_length = 47, .checksum = 1},
             DropReason::ip_total_length_long),
       drops("rule 1: the checksum before addresses", {.source = ip("127.0.0.1"), .checksum = 1},
             DropReason::ip_bad_checksum),
       drops("rules 1, 6: the checksum before options", {.checksum = 1, .options = {7, 3, 4}},
             DropReason::ip_bad_checksum),
       drops("rules 6, 10: addresses before options", {.source = ip("127.0.0.1"), .options = {7, 3, 4}},
             DropReason::source_reserved),
       drops("rule 6: options before TTL", {.ttl = 1, .options = {7, 3, 4}}, DropReason::ip_option_refused)});
}

// The least Ethernet frame holds 46 bytes: shorter packets come with padding, which may be anything.
TEST_F(Ipv4Validation, Rfc894_PaddingOfTheLeastFrameIsCut) {
  for (std::uint16_t total = 20; total <= 46; ++total) {
    verify(two(), "a",
           forwards("rule 2: " + std::to_string(total) + " bytes in a frame of 60",
                    {.total_length = total, .payload = Bytes(26, 0xff)}));
  }
  verify(two(), "a",
         drops("rule 2: 47 bytes in a frame of 60", {.total_length = 47, .payload = Bytes(26, 0xff)},
               DropReason::ip_total_length_long));
}

TEST_F(Ipv4Validation, Rfc1812_5_2_2_TotalLengthAgainstSegments) {
  for (const int off : {-1, 0, 1}) {
    const auto total = static_cast<std::uint16_t>(20 + 600 + off);
    const Ipv4Packet packet{.total_length = total, .payload = pattern(600)};
    Case c = off > 0 ? drops("rule 2: one more than all segments", packet, DropReason::ip_total_length_long)
                     : forwards("rule 2: what all segments hold, or less", packet);
    c.layout.segments = {100, 200, 34};
    verify(two(), "a", c);
  }
}

TEST_F(Ipv4Validation, Rfc1812_4_2_2_3_FlagsAndTosPassUntouched) {
  for (unsigned tos = 0; tos < 256; ++tos) {
    verify(two(), "a",
           forwards("rule 5: TOS " + std::to_string(tos), {.tos = static_cast<std::uint8_t>(tos)}));
  }
  for (const std::uint16_t flags : {kReservedFlag, kDf, kMf}) {
    verify(
        two(), "a",
        {forwards("rule 5: a flag", {.flags_offset = flags}),
         forwards("rule 5: a flag and an offset", {.flags_offset = static_cast<std::uint16_t>(flags | 7)})});
  }
  verify(two(), "a", forwards("rule 5: all bits of flags and offset", {.flags_offset = 0xffff}));
}

TEST_F(Ipv4Validation, Rfc1812_4_2_2_6_OptionsThatPass) {
  verify(
      two(), "a",
      {forwards("rule 6: Router Alert in transit (RFC 2113)", {.options = {0x94, 4, 0, 0}}),
       forwards("rule 6: an unknown option", {.options = {0x5e, 6, 1, 2, 3, 4}}),
       forwards("rule 6: no operations", {.options = Bytes(40, 1)}),
       forwards("rule 6: an end, and no option behind it counts", {.options = {0, 7, 7, 4}}),
       forwards("rule 6: an option of the least length", {.options = {0x5e, 2, 0x5e, 2}}),
       forwards("rule 6: an option that fills the header", {.options = join({0x5e, 40}, pattern(38))}),
       forwards("rule 6: an option without a length as the last byte is an end", {.options = {1, 1, 1, 0}})});
}

TEST_F(Ipv4Validation, Rfc7126_OtherOptionsOfTheRegistryPass) {
  for (const unsigned type : {130U, 133U, 134U, 136U, 142U, 144U, 145U, 147U, 148U, 149U, 151U, 152U,
                              205U, 10U,  11U,  12U,  15U,  25U,  30U,  82U,  94U,  158U, 222U}) {
    verify(two(), "a",
           forwards("rule 6: option " + std::to_string(type),
                    {.options = {static_cast<std::uint8_t>(type), 4, 0xaa, 0x55}}));
  }
  for (const unsigned value : {0U, 1U, 0xffffU}) {
    verify(two(), "a",
           forwards("rule 6: Router Alert of " + std::to_string(value),
                    {.options = {0x94, 4, static_cast<std::uint8_t>(value >> 8),
                                 static_cast<std::uint8_t>(value)}}));
  }
}

TEST_F(Ipv4Validation, Rfc7126_ARefusedOptionAtTheEndsOfTheHeader) {
  const DropReason refused_option = DropReason::ip_option_refused, bad = DropReason::ip_option_malformed;
  verify(two(), "a",
         {drops("rule 6: of the least length", {.options = {7, 2, 0, 0}}, refused_option),
          drops("rule 6: that fills the header", {.options = join({7, 40, 4}, Bytes(37, 0))}, refused_option),
          drops("rule 6: in the last bytes", {.options = join(Bytes(37, 1), {7, 3, 4})}, refused_option),
          drops("rule 6: that runs past the header", {.options = {7, 5, 4, 0}}, bad),
          drops("rule 6: without a length", {.options = {1, 1, 1, 7}}, bad),
          drops("rule 6: before a malformed one", {.options = {7, 2, 0x5e, 9}}, refused_option),
          drops("rule 6: behind a malformed one", {.options = {0x5e, 1, 7, 2}}, bad),
          drops("rules 6, 16: no error about it", {.ttl = 1, .options = {137, 3, 4}}, refused_option)});
}

TEST_F(Ipv4Validation, Rfc7126_OptionsThatAreRefused) {
  for (const unsigned type : {7U, 68U, 131U, 137U}) {
    const std::string what = "rule 6: option " + std::to_string(type);
    const auto t = static_cast<std::uint8_t>(type);
    verify(two(), "a",
           {drops(what, {.options = {t, 7, 4, 10, 0, 2, 2, 0}}, DropReason::ip_option_refused),
            drops(what + " behind others", {.options = {1, 0x5e, 3, 9, t, 3, 4, 0}},
                  DropReason::ip_option_refused),
            drops(what + " to ourselves", {.destination = ip("10.0.1.1"), .options = {t, 3, 4}},
                  DropReason::ip_option_refused),
            forwards(what + " behind an end", {.options = {0, t, 3, 4}})});
  }
}

TEST_F(Ipv4Validation, Rfc7126_RefusedOptionsPassWhereTheyAreIgnored) {
  std::string yaml = kTwoSubnets;
  yaml.insert(yaml.find("{device: @a") + 1, "ip_options: ignore, ");
  start(yaml);
  for (const unsigned type : {7U, 68U, 131U, 137U}) {
    const auto t = static_cast<std::uint8_t>(type);
    const std::string what = "rule 6: ignored option " + std::to_string(type);
    verify(two(), "a",
           {forwards(what, {.options = {t, 7, 4, 10, 0, 2, 2, 0}}),
            drops(what + ", malformed", {.options = {t, 5, 4, 0}}, DropReason::ip_option_malformed)});
  }
  const Bytes other = towards(
      two(), "b", kHostB, {.source = ip("10.0.2.2"), .destination = ip("10.0.1.2"), .options = {7, 3, 4}});
  verify(two(), "b",
         {"rule 6: the knob is the interface's own", other, dropped(DropReason::ip_option_refused)});
}

// Rule 6.
TEST_F(Ipv4Validation, Rfc791_MalformedOptions) {
  verify(two(), "a",
         {drops("length 0", {.options = {0x5e, 0, 0, 0}}, DropReason::ip_option_malformed),
          drops("length 1", {.options = {0x5e, 1, 0, 0}}, DropReason::ip_option_malformed),
          drops("one past the header", {.options = {0x5e, 5, 0, 0}}, DropReason::ip_option_malformed),
          drops("length 255", {.options = {0x5e, 255, 0, 0}}, DropReason::ip_option_malformed),
          drops("no length", {.options = {1, 1, 1, 0x5e}}, DropReason::ip_option_malformed),
          drops("one past, as the last of many", {.options = join(Bytes(37, 1), {0x5e, 4, 0})},
                DropReason::ip_option_malformed)});
}

TEST_F(Ipv4Validation, Rfc1812_5_3_7_MartianSources) {
  const auto from = [&](const char* source, DropReason reason) {
    return drops("rule 10: from " + std::string(source), {.source = ip(source)}, reason);
  };
  const auto passes = [&](const char* source) {
    return forwards("rule 10: from " + std::string(source), {.source = ip(source)});
  };
  verify(
      two(), "a",
      {from("0.0.0.0", DropReason::source_reserved), from("0.255.255.255", DropReason::source_reserved),
       passes("1.0.0.0"), passes("126.255.255.255"), from("127.0.0.0", DropReason::source_reserved),
       from("127.255.255.255", DropReason::source_reserved), passes("128.0.0.0"), passes("223.255.255.255"),
       from("224.0.0.0", DropReason::source_multicast), from("239.255.255.255", DropReason::source_multicast),
       from("240.0.0.0", DropReason::source_reserved), from("255.255.255.254", DropReason::source_reserved),
       from("255.255.255.255", DropReason::source_broadcast)});
}

TEST_F(Ipv4Validation, Rfc1812_5_3_7_OwnAndSubnetBroadcastSources) {
  const auto from = [&](const char* source, DropReason reason) {
    return drops("rule 10: from " + std::string(source), {.source = ip(source)}, reason);
  };
  verify(two(), "a",
         {from("10.0.1.1", DropReason::source_is_own), from("10.0.2.1", DropReason::source_is_own),
          from("10.0.1.0", DropReason::source_broadcast), from("10.0.1.255", DropReason::source_broadcast),
          from("10.0.2.0", DropReason::source_broadcast), from("10.0.2.255", DropReason::source_broadcast),
          forwards("rule 10: from a neighbour of an own address", {.source = ip("10.0.1.2")}),
          forwards("rule 10: from the last host", {.source = ip("10.0.1.254")})});
}

TEST_F(Ipv4Validation, Rfc1812_5_3_7_MartianDestinations) {
  const auto to = [&](const char* destination, DropReason reason) {
    return drops("rules 9, 10: to " + std::string(destination), {.destination = ip(destination)}, reason);
  };
  verify(
      two(), "a",
      {to("0.0.0.0", DropReason::destination_reserved), to("0.255.255.255", DropReason::destination_reserved),
       to("127.0.0.0", DropReason::destination_reserved), to("127.0.0.1", DropReason::destination_reserved),
       to("127.255.255.255", DropReason::destination_reserved),
       to("224.0.0.0", DropReason::destination_multicast),
       to("239.255.255.255", DropReason::destination_multicast),
       to("240.0.0.0", DropReason::destination_reserved),
       to("255.255.255.254", DropReason::destination_reserved),
       to("255.255.255.255", DropReason::destination_broadcast)});
}

TEST_F(Ipv4Validation, Rfc1812_5_3_7_DestinationsBesideTheMartians) {
  start(R"(
interfaces:
  a: {device: @a, addresses: [10.0.1.1/24]}
  b: {device: @b, addresses: [10.0.2.1/24]}
routes: [{prefix: 0.0.0.0/0, via: 10.0.2.2}]
neighbors: [{address: 10.0.2.2, mac: "02:00:00:00:02:02", interface: b}]
)");
  for (const char* destination : {"1.0.0.0", "126.255.255.255", "128.0.0.0", "223.255.255.255", "8.8.8.8"}) {
    verify(two(), "a", forwards("rule 10: to " + std::string(destination), {.destination = ip(destination)}));
  }
}

TEST_F(Ipv4Validation, Rfc1812_5_3_5_SubnetBroadcasts) {
  const auto to = [&](const char* destination) {
    return drops("rule 9: to " + std::string(destination), {.destination = ip(destination)},
                 DropReason::subnet_broadcast);
  };
  verify(two(), "a", {to("10.0.2.255"), to("10.0.2.0"), to("10.0.1.255"), to("10.0.1.0")});
  Ipv4Packet echo{.destination = ip("10.0.1.255"), .protocol = 1, .payload = icmp(8, 0, 1, pattern(8))};
  verify(two(), "a",
         drops("rules 9, 19: echo to the subnet's broadcast", echo, DropReason::subnet_broadcast));
}

TEST_F(Ipv4Validation, Rfc3021_BothEndsOfA31AreHosts) {
  Lab& lab = start(R"(
interfaces:
  a: {device: @a, addresses: [10.0.1.0/31]}
  b: {device: @b, addresses: [10.0.2.1/31]}
neighbors:
  - {address: 10.0.1.1, mac: "02:00:00:00:01:02", interface: a}
  - {address: 10.0.2.0, mac: "02:00:00:00:02:02", interface: b}
)");
  const Ipv4Packet packet{.source = ip("10.0.1.1"), .destination = ip("10.0.2.0")};
  verify(lab, "a", forwards("rule 9: from .1 to .0", packet));
  const Bytes echo = in({.source = ip("10.0.1.1"),
                         .destination = ip("10.0.1.0"),
                         .protocol = 1,
                         .payload = icmp(8, 0, 7, pattern(8))});
  const Bytes reply = frame(kHostA, lab.mac("a"),
                            Ipv4Packet{.source = ip("10.0.1.0"),
                                       .destination = ip("10.0.1.1"),
                                       .protocol = 1,
                                       .payload = icmp(0, 0, 7, pattern(8))});
  verify(lab, "a", {"rule 9: the even address answers", echo, answered("a", reply)});
}

TEST_F(Ipv4Validation, Rfc1812_5_3_4_LinkLayerDestinations) {
  const Bytes packet = Ipv4Packet{}.bytes();
  const auto to = [&](const char* address) { return ethernet(mac(address), kHostA, 0x0800, packet); };
  MacAddress near = two().mac("a");
  near.bytes[5] ^= 1;
  verify(two(), "a",
         {{"rule 8: broadcast frame", to("ff:ff:ff:ff:ff:ff"), dropped(DropReason::l2_broadcast)},
          {"rule 8: multicast frame", to("01:00:5e:00:00:01"), dropped(DropReason::l2_broadcast)},
          {"rule 8: another's MAC", to("02:00:00:00:00:99"), dropped(DropReason::not_our_mac)},
          {"rule 8: one bit off", ethernet(near, kHostA, 0x0800, packet), dropped(DropReason::not_our_mac)},
          {"rule 8: the other interface's MAC", ethernet(two().mac("b"), kHostA, 0x0800, packet),
           dropped(DropReason::not_our_mac)},
          forwards("rule 8: ours", Ipv4Packet{})});
}

// Rules 8, 17.
TEST_F(Ipv4Validation, Rfc1812_5_3_4_WhatABroadcastFrameCarriesIsNotAnswered) {
  const Ipv4Packet echo{.destination = ip("10.0.1.1"), .protocol = 1, .payload = icmp(8, 0, 1, pattern(8))};
  verify(two(), "a",
         {{"echo to us", frame(kBroadcastMac, kHostA, echo), dropped(DropReason::l2_broadcast)},
          {"TTL 1", frame(kBroadcastMac, kHostA, Ipv4Packet{.ttl = 1}), dropped(DropReason::l2_broadcast)},
          {"the better reason wins", frame(kBroadcastMac, kHostA, Ipv4Packet{.destination = ip("224.0.0.5")}),
           dropped(DropReason::destination_multicast)}});
}

TEST_F(Ipv4Validation, Ieee8021q_6_9_APriorityTagIsTakenOff) {
  const Bytes packet = Ipv4Packet{}.bytes();
  const auto tagged = [&](std::uint8_t high, std::uint8_t low) {
    return ethernet(two().mac("a"), kHostA, 0x8100, join({high, low, 0x08, 0x00}, packet));
  };
  const Expect plain = sent("b", forwarded(in({}), kHostB, two().mac("b")));
  verify(two(), "a",
         {{"priority 0", tagged(0, 0), plain},
          {"priority 7, may be dropped", tagged(0xf0, 0), plain},
          {"priority 7 in segments", tagged(0xe0, 0), plain, {.segments = {15, 1, 2}}},
          {"VLAN 1", tagged(0, 1), dropped(DropReason::unknown_vlan)},
          {"VLAN 4,095", tagged(0x0f, 0xff), dropped(DropReason::unknown_vlan)},
          {"a tag that is cut", slice(tagged(0, 0), 0, 17), dropped(DropReason::unknown_vlan)}});
}

TEST_F(Ipv4Validation, EtherTypes) {
  const Bytes packet = Ipv4Packet{}.bytes();
  const auto of = [&](std::uint16_t type) { return ethernet(two().mac("a"), kHostA, type, packet); };
  verify(two(), "a",
         {{"IPv4 that says it is IPv6", of(0x86dd), dropped(DropReason::ipv6_bad_version)},
          {"LLDP", of(0x88cc), dropped(DropReason::unknown_ethertype)},
          {"an 802.3 length", of(46), dropped(DropReason::unknown_ethertype)},
          {"one below IPv4", of(0x07ff), dropped(DropReason::unknown_ethertype)},
          {"one above IPv4", of(0x0801), dropped(DropReason::unknown_ethertype)},
          {"a VLAN tag", of(0x8100), dropped(DropReason::unknown_vlan)},
          {"a service tag", of(0x88a8), dropped(DropReason::unknown_vlan)}});
}

}  // namespace
}  // namespace millrace::behaviour
