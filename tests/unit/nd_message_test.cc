// Every rule by which RFC 4861 has a message discarded, at its edge, and what is read of the others.
#include "controlplane/nd_message.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/packets/nd_packet.h"
#include "tests/unit/plain_packet.h"

namespace millrace::controlplane {
namespace {

using packets::address_bytes;
using packets::Bytes;
using packets::ip6;
using packets::join;
using packets::kNa;
using packets::kNs;
using packets::kRa;
using packets::kRedirect;
using packets::kRs;
using packets::link_option;
using packets::NdPacket;

const MacAddress kHost{{2, 0, 0, 0, 2, 2}};
const MacAddress kOther{{2, 0, 0, 0, 2, 3}};
const MacAddress kRouter{{2, 0, 0, 0, 0, 1}};
const Ipv6Address kPeer = ip6("2001:db8::2");
const Ipv6Address kOwn = ip6("2001:db8::1");
const Ipv6Address kAllNodes = ip6("ff02::1");
constexpr std::uint8_t kSource = 1, kTarget = 2;  // options

std::optional<NdMessage> read(const Bytes& frame, const std::vector<std::size_t>& segments = {}) {
  PlainPacket packet(frame, segments);
  return read_nd(packet.mbuf(), sizeof(wire::Ipv6));
}
std::optional<NdMessage> read(const NdPacket& nd) {
  return read(frame(kRouter, kHost, nd));
}

// Good ones of each type.
NdPacket rs() {
  return {.type = kRs,
          .source = ip6("fe80::2"),
          .destination = ip6("ff02::2"),
          .options = link_option(kSource, kHost)};
}
NdPacket ra() {
  return {.type = kRa, .source = ip6("fe80::2"), .destination = kAllNodes, .options = Bytes(8)};
}
NdPacket ns() {
  return {.source = kPeer,
          .destination = kOwn.solicited_node(),
          .target = kOwn,
          .options = link_option(kSource, kHost)};
}
NdPacket probe() {
  return {.destination = kOwn.solicited_node(), .target = kOwn};
}
NdPacket na() {
  return {.type = kNa,
          .source = kPeer,
          .destination = kOwn,
          .flags = packets::kS | packets::kO,
          .target = kPeer,
          .options = link_option(kTarget, kHost)};
}
NdPacket redirect() {
  return {.type = kRedirect,
          .source = ip6("fe80::2"),
          .destination = kPeer,
          .target = ip6("fe80::3"),
          .options = address_bytes(ip6("2001:db8:9::1"))};
}

template <class Change>
NdPacket with(NdPacket nd, Change change) {
  change(nd);
  return nd;
}

struct Row {
  std::string what;
  NdPacket nd;
  bool taken;
};

void expect(const std::vector<Row>& rows) {
  for (const Row& row : rows) EXPECT_EQ(read(row.nd).has_value(), row.taken) << row.what;
}

// Rule 28.
TEST(NdMessages, Rfc4861_6_1_And_7_1_WhatAllTypesHaveInCommon) {
  const NdPacket all[] = {rs(), ra(), ns(), probe(), na(), redirect()};
  for (const NdPacket& good : all) {
    const std::string of = ", type " + std::to_string(good.type);
    expect({{"a good one" + of, good, true},
            {"hop limit 254" + of, with(good, [](NdPacket& m) { m.hop_limit = 254; }), false},
            {"hop limit 0" + of, with(good, [](NdPacket& m) { m.hop_limit = 0; }), false},
            {"code 1" + of, with(good, [](NdPacket& m) { m.code = 1; }), false},
            {"code 255" + of, with(good, [](NdPacket& m) { m.code = 255; }), false}});
    Bytes frame = packets::frame(kRouter, kHost, good);
    frame[packets::kEthernet + 40 + 2] ^= 1;
    EXPECT_FALSE(read(frame)) << "a wrong checksum" << of;
  }
}

// Rule 28.
TEST(NdMessages, Rfc4861_6_1_And_7_1_EachTypeHasItsLeastLength) {
  struct Least {
    NdPacket nd;
    std::size_t length;
  };
  const Least least[] = {{rs(), 8}, {ra(), 16}, {probe(), 24}, {na(), 24}, {redirect(), 40}};
  for (const Least& row : least) {
    for (std::size_t length = 0; length <= row.length; ++length) {
      packets::Ipv6Packet packet = row.nd.packet();
      packet.payload.resize(std::max<std::size_t>(length, 4));
      packets::put16(packet.payload, 2, 0);
      packets::put16(packet.payload, 2, checksum6(packet));
      packet.payload.resize(length);
      EXPECT_EQ(read(frame(kRouter, kHost, packet)).has_value(), length == row.length)
          << length << " bytes of type " << unsigned{row.nd.type};
    }
  }
}

// Rule 28.
TEST(NdMessages, Rfc4861_6_1_1_And_6_1_2_RouterMessages) {
  expect(
      {{"a solicitation of nobody",
        with(rs(),
             [](NdPacket& m) {
               m.source = {};
               m.options = {};
             }),
        true},
       {"a solicitation of nobody with a MAC", with(rs(), [](NdPacket& m) { m.source = {}; }), false},
       {"a solicitation of a global address", with(rs(), [](NdPacket& m) { m.source = kPeer; }), true},
       {"an advertisement of a global address", with(ra(), [](NdPacket& m) { m.source = kPeer; }), false},
       {"an advertisement to one node", with(ra(), [](NdPacket& m) { m.destination = kOwn; }), true},
       {"a redirect of a global address", with(redirect(), [](NdPacket& m) { m.source = kPeer; }), false}});
}

// Rule 28.
TEST(NdMessages, Rfc4861_7_1_1_Solicitations) {
  const Ipv6Address group = ip6("ff02::1:ff00:1");
  expect({{"to one node", with(ns(), [](NdPacket& m) { m.destination = kOwn; }), true},
          {"a multicast target", with(ns(), [&](NdPacket& m) { m.target = group; }), false},
          {"without a MAC", with(ns(), [](NdPacket& m) { m.options = {}; }), true},
          {"a probe with a MAC", with(ns(), [](NdPacket& m) { m.source = {}; }), false},
          {"a probe to one node", with(probe(), [](NdPacket& m) { m.destination = kOwn; }), false},
          {"a probe to all nodes", with(probe(), [](NdPacket& m) { m.destination = kAllNodes; }), false},
          {"a probe to the group of another target",
           with(probe(), [](NdPacket& m) { m.target = ip6("2001:db8::7"); }), false}});
}

// Rule 28.
TEST(NdMessages, Rfc4861_7_1_2_Advertisements) {
  const auto to_all = [](std::uint32_t flags) {
    return with(na(), [&](NdPacket& m) {
      m.destination = kAllNodes;
      m.flags = flags;
    });
  };
  expect({{"a multicast target", with(na(), [](NdPacket& m) { m.target = kAllNodes; }), false},
          {"to all, not solicited", to_all(packets::kO | packets::kR), true},
          {"to all, solicited", to_all(packets::kS), false},
          {"without a MAC", with(na(), [](NdPacket& m) { m.options = {}; }), true}});
}

// Long enough for each of them, and from a link-local address to one node.
TEST(NdMessages, OtherTypesOfIcmpv6AreNone) {
  for (unsigned type = 0; type < 256; ++type) {
    const NdPacket nd = with(na(), [&](NdPacket& m) {
      m.type = static_cast<std::uint8_t>(type);
      m.source = ip6("fe80::2");
      m.options = type == kRedirect ? address_bytes(kPeer) : Bytes{};
      if (type == kRs) m.target = ip6("fd01::fd01:0:0:0");  // two unknown options
      if (type == kRa) m.target = ip6("::fd01:0:0:0");
    });
    EXPECT_EQ(read(nd).has_value(), type >= kRs && type <= kRedirect) << type;
  }
}

// --- options (RFC 4861 4.6) ---

struct OptionsRow {
  std::string what;
  Bytes options;
  bool taken;
  std::optional<MacAddress> source_link{};
  std::optional<MacAddress> target_link{};
};

// Something that nobody knows, in `units` of 8 bytes.
Bytes unknown_option(std::uint8_t units, std::uint8_t type = 253) {
  Bytes option(units * std::size_t{8}, 0xee);
  option[0] = type;
  option[1] = units;
  return option;
}

void expect_options(const std::vector<OptionsRow>& rows) {
  for (const OptionsRow& row : rows) {
    SCOPED_TRACE(row.what);
    const auto message = read(with(ns(), [&](NdPacket& m) { m.options = row.options; }));
    ASSERT_EQ(message.has_value(), row.taken);
    if (!message) continue;
    EXPECT_EQ(message->source_link, row.source_link);
    EXPECT_EQ(message->target_link, row.target_link);
  }
}

// Rule 28.
TEST(NdMessages, Rfc4861_4_6_MalformedOptionsEndTheMessage) {
  std::vector<OptionsRow> rows = {
      {"of length 0", {kSource, 0, 2, 0, 0, 0, 2, 2}, false},
      {"unknown, of length 0", {253, 0, 0, 0, 0, 0, 0, 0}, false},
      {"of length 0 behind a good one", join(link_option(kSource, kHost), {253, 0, 0, 0, 0, 0, 0, 0}), false},
      {"one unit past the end", join({253, 2}, Bytes(6)), false},
      {"255 units past the end", join({253, 255}, Bytes(6)), false},
      {"a MAC of two units", join({kSource, 2}, Bytes(14, 2)), false},
      {"a target's MAC of two units", join({kTarget, 2}, Bytes(14, 2)), false},
      {"a group's MAC", link_option(kSource, {{3, 0, 0, 0, 0, 1}}), false},
      {"the broadcast MAC", link_option(kSource, {{255, 255, 255, 255, 255, 255}}), false},
      {"no MAC", link_option(kSource, MacAddress{}), false},
      {"a target's group MAC", link_option(kTarget, {{3, 0, 0, 0, 0, 1}}), false}};
  const Bytes good = link_option(kSource, kHost);
  for (std::size_t length = 1; length < good.size(); ++length) {
    rows.push_back({"cut after " + std::to_string(length), packets::slice(good, 0, length), false});
    rows.push_back({"a second one cut after " + std::to_string(length),
                    join(good, packets::slice(good, 0, length)), false});
  }
  expect_options(rows);
}

// Rule 28.
TEST(NdMessages, Rfc4861_4_6_UnknownOptionsArePassedAndSeveralRead) {
  const Bytes source = link_option(kSource, kHost), target = link_option(kTarget, kOther);
  expect_options(
      {{"none", {}, true},
       {"a source", source, true, kHost},
       {"a target", target, true, std::nullopt, kOther},
       {"both", join(source, target), true, kHost, kOther},
       {"behind unknown ones", join(join(unknown_option(1), unknown_option(3)), source), true, kHost},
       {"before an unknown one", join(source, unknown_option(31)), true, kHost},
       {"a nonce (RFC 3971)", unknown_option(1, 14), true},
       {"type 0", unknown_option(1, 0), true},
       {"the last of two sources", join(source, link_option(kSource, kOther)), true, kOther}});
}

TEST(NdMessages, OptionsMayFillAnOrdinaryFrameAndNoMore) {
  const auto filled = [](std::size_t units) {
    return with(probe(), [&](NdPacket& m) {
      for (std::size_t i = 0; i < units; ++i) m.options = join(m.options, unknown_option(1));
    });
  };
  expect(
      {{"1,456 bytes", filled(179), true}, {"1,464 bytes: more than an MTU of 1,500", filled(180), false}});
}

// --- what is read ---

TEST(NdMessages, WhatAMessageSaysIsRead) {
  const auto message = read(na());
  ASSERT_TRUE(message);
  EXPECT_EQ(message->type, kNa);
  EXPECT_EQ(message->from, kHost);
  EXPECT_EQ(message->source, kPeer);
  EXPECT_EQ(message->destination, kOwn);
  EXPECT_EQ(message->target, kPeer);
  EXPECT_EQ(message->flags, packets::kS | packets::kO);
  EXPECT_EQ(message->target_link, kHost);
}

TEST(NdMessages, OverSegmentsWhereverTheyAreCut) {
  const Bytes bytes = frame(kRouter, kHost, ns());
  for (std::size_t cut = 54; cut <= bytes.size(); ++cut) {
    const auto message = read(bytes, {cut, 1, 2});
    ASSERT_TRUE(message) << "a first segment of " << cut;
    EXPECT_EQ(message->source_link, kHost);
  }
}

// Padding of a short frame, or extension headers before it.
TEST(NdMessages, WhatLiesAroundAMessageIsNoneOfIt) {
  Bytes padded = frame(kRouter, kHost, probe());
  padded.resize(padded.size() + 10, 0x55);
  EXPECT_TRUE(read(padded));
  packets::Ipv6Packet behind = ns().packet();
  behind.next_header = packets::kDestination;
  behind.payload = join(packets::options_header(packets::kIcmp6, {}), behind.payload);
  PlainPacket packet(frame(kRouter, kHost, behind));
  EXPECT_TRUE(read_nd(packet.mbuf(), sizeof(wire::Ipv6) + 8));
  EXPECT_FALSE(read_nd(packet.mbuf(), sizeof(wire::Ipv6) + 80)) << "behind the packet's end";
}

TEST(NdMessages, WhatIsWrittenIsRead) {
  NdBytes bytes;
  bytes.add(wire::NdNeighbor{wire::kNdAdvertisement, 0, Be16(0), Be32(wire::kNdSolicited), kPeer.bytes()});
  bytes.add(wire::NdLinkOption{wire::kNdTargetLink, 1, kHost});
  Bytes ip(sizeof(wire::Ipv6) + bytes.bytes().size());
  write_nd(reinterpret_cast<std::byte*>(ip.data()), kPeer, kOwn, bytes.bytes());
  const NdPacket wanted = with(na(), [](NdPacket& m) { m.flags = packets::kS; });
  EXPECT_TRUE(packets::same(frame(kRouter, kHost, wanted), packets::ethernet(kRouter, kHost, 0x86dd, ip)));
  const auto message = read(packets::ethernet(kRouter, kHost, 0x86dd, ip));
  ASSERT_TRUE(message);
  EXPECT_EQ(message->target, kPeer);
  EXPECT_EQ(message->target_link, kHost);
}

}  // namespace
}  // namespace millrace::controlplane
