// IPsec tunnels: what goes into them and comes out of them, against the reference of esp_peer.h.
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <set>

#include "ipsec_lab.h"

namespace millrace::behaviour {
namespace {

class Ipsec : public IpsecLab {};
class IpsecOf : public Ipsec, public ::testing::WithParamInterface<std::tuple<Algorithm, bool, bool>> {};

// Rule 39.
TEST_P(IpsecOf, Rfc4303_BothFamiliesGoInAndOut) {
  const auto& [algorithm, esn, outer_ipv6] = GetParam();
  with({.outer_ipv6 = outer_ipv6, .algorithm = algorithm, .esn = esn});
  const std::vector<Bytes> in{from_a(), from_a({.destination = ip("192.168.9.6"), .payload = pattern(1201)}),
                              six_from_a()};
  const auto out = opened(send("a", in, "b"));
  ASSERT_EQ(out.size(), 3U);
  for (std::size_t i = 0; i < out.size(); ++i) {
    const bool six = i == 2;
    EXPECT_TRUE(same(inside(in[i], six), out[i].inner));
    EXPECT_EQ(out[i].spi, 0x1001U);
    EXPECT_EQ(out[i].number, i + 1);
    EXPECT_EQ(out[i].next_header, six ? kIpv6Inside : kIpv4Inside);
  }
  Ipv4Packet longer = to_a();
  longer.payload = pattern(1201);
  const Bytes four = to_a().bytes(), long_four = longer.bytes(), six = six_to_a().bytes();
  const auto back = send("b",
                         {sealed(four, {.number = 1}), sealed(long_four, {.number = 3}),
                          sealed(six, {.number = 2, .next_header = kIpv6Inside})},
                         "a");
  expect_frames({at_a(four), at_a(long_four), at_a(six, true)}, back);
  EXPECT_EQ(lab_->control().accounting().difference(), 0);
}

std::string name_of(const ::testing::TestParamInfo<IpsecOf::ParamType>& info) {
  const auto& [algorithm, esn, outer_ipv6] = info.param;
  std::string name(esp::traits(algorithm).name);
  std::ranges::replace(name, '-', '_');
  return name + (esn ? "_esn" : "") + (outer_ipv6 ? "_over_ipv6" : "_over_ipv4");
}

std::vector<Algorithm> all_algorithms() {
  std::vector<Algorithm> all;
  for (std::size_t i = 0; i < esp::kTraits.size(); ++i) all.push_back(static_cast<Algorithm>(i));
  return all;
}

INSTANTIATE_TEST_SUITE_P(All, IpsecOf,
                         ::testing::Combine(::testing::ValuesIn(all_algorithms()), ::testing::Bool(),
                                            ::testing::Bool()),
                         name_of);

// RFC 4301 5.1.2.1.
TEST_F(Ipsec, Rfc4301_5_1_2_TheOuterHeaderIsTheTunnels) {
  with({});
  const auto out = send(
      "a", {from_a({.destination = ip("192.168.9.5"), .ttl = 9, .tos = 0xb9, .flags_offset = kDf})}, "b");
  ASSERT_EQ(out.size(), 1U);
  const Bytes& wire = out[0];
  Ipv4Packet wanted{.source = ip("10.0.2.1"),
                    .destination = ip("10.0.2.2"),
                    .ttl = 64,
                    .protocol = kEsp,
                    .tos = 0xb9,
                    .identification = get16(wire, kEthernet + 4),
                    .flags_offset = kDf,
                    .payload = slice(wire, 34, wire.size() - 34)};
  EXPECT_TRUE(same(frame(kHostB, lab_->mac("b"), wanted), wire));
}

// Rule 31: RFC 4301 5.1.2.1 (DSCP, DF), RFC 6040 4.1 (ECN).
TEST_F(Ipsec, Rfc6040_4_1_DscpEcnAndDfOnTheWayIn) {
  struct Row {
    std::string what, setting;
    std::uint8_t tos;
    std::uint16_t flags;
    std::uint8_t outer_tos;
    std::uint16_t outer_flags;
  };
  const std::vector<Row> rows{{"all copied", "", 0xb8, 0, 0xb8, 0},
                              {"ECT(0) is copied", "", 0xba, 0, 0xba, 0},
                              {"ECT(1) is copied", "", 0x01, 0, 0x01, 0},
                              {"CE is copied", "", 0x03, 0, 0x03, 0},
                              {"DF is copied", "", 0, kDf, 0, kDf},
                              {"a DSCP of the tunnel's, ECN copied", "      dscp: 10\n", 0xba, 0, 0x2a, 0},
                              {"DF always", "      df: set\n", 0, 0, 0, kDf},
                              {"DF never", "      df: clear\n", 0, kDf, 0, 0}};
  for (const Row& row : rows) {
    SCOPED_TRACE(row.what);
    with({.more = row.setting});
    const auto out = send(
        "a", {from_a({.destination = ip("192.168.9.5"), .tos = row.tos, .flags_offset = row.flags})}, "b");
    ASSERT_EQ(out.size(), 1U);
    EXPECT_EQ(out[0][kEthernet + 1], row.outer_tos);
    EXPECT_EQ(get16(out[0], kEthernet + 6), row.outer_flags);
    TearDown();
  }
}

TEST_F(Ipsec, Rfc4301_8_1_IPv6InsideMayNotBeFragmentedOutside) {
  with({});
  const auto out = send("a", {six_from_a({.destination = ip6("2001:db8:9::5"), .traffic_class = 0x2e})}, "b");
  ASSERT_EQ(out.size(), 1U);
  EXPECT_EQ(get16(out[0], kEthernet + 6), kDf);
  EXPECT_EQ(out[0][kEthernet + 1], 0x2e);
}

// Rule 31: figure 4.
TEST_F(Ipsec, Rfc6040_4_2_EcnOnTheWayOut) {
  struct Row {
    std::uint8_t inner, outer;
    std::optional<std::uint8_t> result;
  };
  constexpr std::uint8_t kNot = 0, kEct1 = 1, kEct0 = 2, kCe = 3;
  const std::vector<Row> rows{
      {kNot, kNot, kNot},   {kNot, kEct0, kNot},   {kNot, kEct1, kNot},   {kNot, kCe, {}},
      {kEct0, kNot, kEct0}, {kEct0, kEct0, kEct0}, {kEct0, kEct1, kEct1}, {kEct0, kCe, kCe},
      {kEct1, kNot, kEct1}, {kEct1, kEct0, kEct1}, {kEct1, kEct1, kEct1}, {kEct1, kCe, kCe},
      {kCe, kNot, kCe},     {kCe, kEct0, kCe},     {kCe, kEct1, kCe},     {kCe, kCe, kCe}};
  for (const bool six : {false, true}) {
    with({});
    std::uint64_t number = 0;
    for (const Row& row : rows) {
      SCOPED_TRACE(std::to_string(row.inner) + " in " + std::to_string(row.outer) + (six ? ", IPv6" : ""));
      const auto inner_of = [&](std::uint8_t tos) {
        Ipv4Packet four = to_a();
        Ipv6Packet other = six_to_a();
        four.tos = other.traffic_class = tos;
        return six ? other.bytes() : four.bytes();
      };
      constexpr std::uint8_t kDscp = 0xb8;
      const Bytes esp = seal(in_, inner_of(kDscp | row.inner),
                             {.number = ++number, .next_header = six ? kIpv6Inside : kIpv4Inside});
      const auto out = send("b", {around(esp, kEsp, row.outer)}, "a");
      ASSERT_EQ(out.size(), row.result ? 1U : 0U);
      if (!row.result) {
        EXPECT_EQ(lab_->dropped(DropReason::esp_congested), 1U);
        continue;
      }
      EXPECT_TRUE(same(at_a(inner_of(kDscp | *row.result), six), out[0]));
    }
    TearDown();
  }
}

// Rule 32.
TEST_F(Ipsec, Rfc4303_3_4_3_ANumberIsTakenOnce) {
  with({.more = "      replay_window: 64\n"});
  std::vector<Bytes> batch(8, sealed(7));
  batch[4] = sealed(8);
  EXPECT_EQ(send("b", batch, "a").size(), 2U) << "7 of 8 in one batch have one number";
  EXPECT_EQ(lab_->dropped(DropReason::esp_replayed), 6U);
  expect_dropped("again, later", sealed(7), DropReason::esp_replayed);
  expect_taken("out of order, in the window", sealed(3));
  expect_taken("far ahead", sealed(1000));
  expect_taken("the window's lowest", sealed(937));
  // Below it, an extended number is one of the next epoch, whose ICV is another.
  expect_dropped("below it", sealed(936), DropReason::esp_forged);
  TearDown();
  with({.esn = false, .more = "      replay_window: 64\n"});
  expect_taken("far ahead", sealed(1000));
  expect_taken("the window's lowest", sealed(937));
  expect_dropped("below it", sealed(936), DropReason::esp_late);
  expect_dropped("number 0 is never sent", sealed(0), DropReason::esp_late);
}

// Rule 32.
TEST_F(Ipsec, Rfc4303_3_4_3_WhatDoesNotVerifyMovesNoWindow) {
  with({.esn = false});
  expect_taken("the first", sealed(5));
  expect_dropped("forged, far ahead", sealed(to_a().bytes(), {.number = 100'000, .forged = true}),
                 DropReason::esp_forged);
  expect_taken("the window is where it was", sealed(4));
  expect_dropped("forged, with a number still free", sealed(to_a().bytes(), {.number = 6, .forged = true}),
                 DropReason::esp_forged);
  expect_taken("which is free yet", sealed(6));
}

// Rule 33.
TEST_F(Ipsec, Rfc4303_A2_ExtendedNumbersGoPastTheWrap) {
  constexpr std::uint64_t kEpoch = std::uint64_t{1} << 32;
  with({});
  expect_taken("before the wrap", sealed(kEpoch - 2));
  expect_taken("behind it", sealed(kEpoch + 3));
  expect_taken("an older one, of the epoch before", sealed(kEpoch - 5));
  expect_dropped("again", sealed(kEpoch - 2), DropReason::esp_replayed);
}

// Rule 34.
TEST_F(Ipsec, Rfc4303_EachFaultHasItsReason) {
  with({.esn = false});
  const Bytes good = seal(in_, to_a().bytes(), {.number = 1});
  PeerSa unknown = in_;
  unknown.spi = 0x2002;
  expect_dropped("unknown SPI", around(seal(unknown, to_a().bytes(), {})), DropReason::esp_unknown_sa);
  expect_dropped("no SPI", around(Bytes(7, 0)), DropReason::esp_runt);
  expect_dropped("nothing behind the header", around(slice(good, 0, 8)), DropReason::esp_runt);
  expect_dropped("an ICV alone", around(slice(good, 0, 32)), DropReason::esp_runt);
  expect_dropped("no whole blocks", around(slice(good, 0, good.size() - 1)), DropReason::esp_runt);
  expect_dropped("wrong ICV", sealed(to_a().bytes(), {.number = 1, .forged = true}), DropReason::esp_forged);
  expect_dropped("more padding than packet", sealed(to_a().bytes(), {.number = 2, .pad_length = 0xff}),
                 DropReason::esp_malformed);
  expect_dropped("no packet inside", sealed(to_a().bytes(), {.number = 3, .next_header = 17}),
                 DropReason::esp_not_ip);
  expect_dropped("a dummy packet", sealed(pattern(100), {.number = 4, .next_header = 59}),
                 DropReason::esp_dummy);
  expect_dropped("nothing inside", sealed({}, {.number = 5}), DropReason::ip_truncated);
  expect_dropped("half a header inside", sealed(slice(to_a().bytes(), 0, 12), {.number = 6}),
                 DropReason::ip_truncated);
  Ipv4Packet broken = to_a();
  broken.checksum = 1;
  expect_dropped("what is inside is validated", sealed(broken.bytes(), {.number = 7}),
                 DropReason::ip_bad_checksum);
  expect_dropped("IPv6 where IPv4 is said", sealed(six_to_a().bytes(), {.number = 8}),
                 DropReason::ip_bad_version);
  expect_taken("a good one", around(good));
}

// RFC 4303 2.7: what is behind the packet inside hides its length.
TEST_F(Ipsec, Rfc4303_2_7_PaddingBehindThePacketGoes) {
  with({});
  const auto out = send("b", {sealed(join(to_a().bytes(), pattern(333)), {})}, "a");
  expect_frames({at_a(to_a().bytes())}, out);
}

TEST_F(Ipsec, Rfc4301_4_1_AnSaIsOfItsDestination) {
  with({});
  const Bytes esp = seal(in_, to_a().bytes(), {});
  expect_dropped(
      "to another address of ours",
      frame(lab_->mac("b"), kHostB,
            Ipv4Packet{
                .source = ip("10.0.2.2"), .destination = ip("10.0.1.1"), .protocol = kEsp, .payload = esp}),
      DropReason::esp_unknown_sa);
  expect_dropped("in UDP where the tunnel has none", around(udp(4500, 4500, esp), kUdpProtocol),
                 DropReason::local_no_port);
}

// Rule 36.
TEST_F(Ipsec, Rfc3948_EspInUdp) {
  for (const bool outer_ipv6 : {false, true}) {
    SCOPED_TRACE(outer_ipv6);
    with({.outer_ipv6 = outer_ipv6, .more = "      udp: true\n"});
    const auto out = send("a", {from_a()}, "b");
    ASSERT_EQ(out.size(), 1U);
    const std::size_t at = outer_header();
    EXPECT_EQ(get16(out[0], at), 4500U);
    EXPECT_EQ(get16(out[0], at + 2), 4500U);
    EXPECT_EQ(get16(out[0], at + 4), out[0].size() - at);
    if (outer_ipv6) {
      EXPECT_EQ(checksum6({.source = ip6("2001:db8:2::1"),
                           .destination = ip6("2001:db8:2::2"),
                           .next_header = kUdpProtocol,
                           .payload = slice(out[0], at, out[0].size() - at)}),
                0U);
    } else {
      EXPECT_EQ(get16(out[0], at + 6), 0U) << "RFC 3948 2.1: no checksum over IPv4";
    }
    ASSERT_TRUE(open(out_, slice(out[0], at + 8, out[0].size() - at - 8)));
    const auto in_udp = [&](const Bytes& payload) { return around(udp(4500, 4500, payload), kUdpProtocol); };
    const Bytes esp = seal(in_, to_a().bytes(), {});
    expect_taken("ESP in UDP", in_udp(esp));
    expect_taken("from any port",
                 around(udp(31'000, 4500, seal(in_, to_a().bytes(), {.number = 2})), kUdpProtocol));
    expect_dropped("ESP without", around(seal(in_, to_a().bytes(), {.number = 3})),
                   DropReason::esp_unknown_sa);
    expect_dropped("2.3: a keepalive", in_udp({0xff}), DropReason::esp_keepalive);
    const std::uint64_t ports = lab_->dropped(DropReason::local_no_port);
    send("b", {in_udp(join(Bytes(4), pattern(28)))}, "a");
    EXPECT_EQ(lab_->dropped(DropReason::local_no_port) - ports, 1U) << "2.2: IKE, which nobody here speaks";
    send("b", {in_udp({0xfe}), in_udp({1, 2, 3})}, "a");
    EXPECT_EQ(lab_->dropped(DropReason::local_no_port) - ports, 3U) << "neither";
    TearDown();
  }
}

// Rule 38.
TEST_F(Ipsec, Rfc4301_8_2_WhatIsTooLongIsToldOrCut) {
  with({});
  const std::uint16_t mtu = static_cast<std::uint16_t>(lab_->interface("ipsec0").config.mtu);
  EXPECT_EQ(mtu, 1446U) << "1500 less 20 of IP, 16 of ESP and IV, 2 of its trailer, 16 of the ICV";
  const Bytes whole =
      from_a({.destination = ip("192.168.9.5"), .flags_offset = kDf, .payload = pattern(mtu - 20U)});
  const auto one = send("a", {whole}, "b");
  ASSERT_EQ(one.size(), 1U);
  EXPECT_EQ(one[0].size(), kEthernet + 1500U) << "it fills the way's MTU";
  const Bytes too_long =
      from_a({.destination = ip("192.168.9.5"), .flags_offset = kDf, .payload = pattern(mtu - 19U)});
  verify(*lab_, "a",
         {"DF: the sender learns the MTU", too_long,
          refused(DropReason::fragmentation_needed, "a",
                  icmp_error(*lab_, "a", kHostA, too_long, {.type = 3, .code = 4, .mtu = mtu}))});
  const auto fragments =
      opened(send("a", {from_a({.destination = ip("192.168.9.5"), .payload = pattern(2900)})}, "b"));
  ASSERT_EQ(fragments.size(), 3U);
  Bytes payload;
  for (const Opened& each : fragments) payload = join(payload, slice(each.inner, 20, each.inner.size() - 20));
  EXPECT_TRUE(same(pattern(2900), payload)) << "cut before it is encrypted";
  const Bytes six = six_from_a({.destination = ip6("2001:db8:9::5"), .payload = pattern(mtu - 39U)});
  verify(*lab_, "a",
         {"IPv6: the sender learns the MTU",
          six,
          {DropReason::fragmentation_needed,
           "a",
           {icmp6_error(*lab_, "a", kHostA, six, {.type = 2, .rest = mtu})}}});
}

// Rule 38.
TEST_F(Ipsec, Rfc4303_3_4_1_OuterFragmentsArePutTogether) {
  for (const bool outer_ipv6 : {false, true}) {
    SCOPED_TRACE(outer_ipv6);
    with({.outer_ipv6 = outer_ipv6});
    const Bytes inner =
        Ipv4Packet{.source = ip("192.168.9.5"), .destination = ip("10.0.1.2"), .payload = pattern(1400)}
            .bytes();
    const Bytes esp = seal(in_, inner, {});
    constexpr std::size_t kCut = 800;
    const Bytes rest = slice(esp, kCut, esp.size() - kCut);
    std::vector<Bytes> parts;
    if (outer_ipv6) {
      parts = {around(join(fragment_header(kEsp, 0, true), slice(esp, 0, kCut)), kFragment),
               around(join(fragment_header(kEsp, kCut, false), rest), kFragment)};
    } else {
      Ipv4Packet part{.source = ip("10.0.2.2"),
                      .destination = ip("10.0.2.1"),
                      .protocol = kEsp,
                      .flags_offset = kMf,
                      .payload = slice(esp, 0, kCut)};
      parts.push_back(frame(lab_->mac("b"), kHostB, part));
      part.flags_offset = kCut / 8;
      part.payload = rest;
      parts.push_back(frame(lab_->mac("b"), kHostB, part));
    }
    const auto out = send("b", parts, "a");
    expect_frames({at_a(inner)}, out);
    EXPECT_EQ(lab_->control().accounting().difference(), 0);
    TearDown();
  }
}

TEST_F(Ipsec, TheRouterAnswersOnATunnelsAddress) {
  with({});
  const Bytes echo = Ipv4Packet{.source = ip("10.9.0.2"),
                                .destination = ip("10.9.0.1"),
                                .protocol = 1,
                                .payload = icmp(8, 0, 0x10001, pattern(30))}
                         .bytes();
  const auto out = opened(send("b", {sealed(echo, {})}, "b"));
  ASSERT_EQ(out.size(), 1U);
  EXPECT_EQ(out[0].inner[9], 1U);
  EXPECT_EQ(get32(out[0].inner, 12), ip("10.9.0.1").value());
  EXPECT_EQ(get32(out[0].inner, 16), ip("10.9.0.2").value());
  EXPECT_TRUE(same(icmp(0, 0, 0x10001, pattern(30)), slice(out[0].inner, 20, out[0].inner.size() - 20)));
  EXPECT_EQ(lab_->control().accounting().difference(), 0);
}

// RFC 4443 3.3: its address on a tunnel is unique, as nobody else can have it.
TEST_F(Ipsec, TheRouterAnswersInIPv6WhoComesByATunnel) {
  with({});
  Ipv6Packet last = six_to_a();
  last.hop_limit = 1;
  const auto out = opened(send("b", {sealed(last.bytes(), {.next_header = kIpv6Inside})}, "b"));
  ASSERT_EQ(out.size(), 1U);
  EXPECT_TRUE(same(slice(out[0].inner, 8, 16), address_bytes(ip6("2001:db8:99::1"))));
  EXPECT_EQ(out[0].inner[40], 3U) << "time exceeded";
}

TEST_F(Ipsec, ClearAndProtectedPacketsOfABurstEachGoTheirWay) {
  with({});
  std::vector<Bytes> burst;
  for (unsigned i = 0; i < 40; ++i)
    burst.push_back(from_a({.destination = i % 2 == 0 ? ip("192.168.9.5") : ip("10.0.2.2"),
                            .identification = static_cast<std::uint16_t>(i)}));
  const auto out = send("a", burst, "b");
  std::vector<unsigned> clear, inside;
  for (const Bytes& each : out) {
    if (each[kEthernet + 9] != kEsp)
      clear.push_back(get16(each, kEthernet + 4));
    else
      inside.push_back(get16(opened({each}).at(0).inner, 4));
  }
  ASSERT_EQ(clear.size(), 20U);
  ASSERT_EQ(inside.size(), 20U);
  EXPECT_TRUE(std::ranges::is_sorted(clear)) << "in their order";
  EXPECT_TRUE(std::ranges::is_sorted(inside));
}

TEST_F(Ipsec, PacketsInSeveralSegmentsAreJoined) {
  with({});
  const Bytes packet = from_a({.destination = ip("192.168.9.5"), .payload = pattern(900)});
  lab_->send("a", packet, {.segments = {60, 300, 300}});
  lab_->run();
  const auto out = opened(lab_->received("b"));
  ASSERT_EQ(out.size(), 1U);
  EXPECT_TRUE(same(inside(packet), out[0].inner));
  lab_->send("a", packet, {.segments = {60, 300}, .no_tailroom = true});
  lab_->run();
  EXPECT_EQ(lab_->dropped(DropReason::esp_no_room), 1U);
  lab_->send("b", sealed(to_a().bytes(), {}), {.segments = {50, 40}});
  lab_->run();
  EXPECT_EQ(lab_->received("a").size(), 1U);
}

TEST_F(Ipsec, ATunnelsOwnPacketsGoIntoNone) {
  with({});
  std::string loop = config();
  loop.insert(loop.find("neighbors:"), "  - {prefix: 10.0.2.2/32, via: 10.9.0.2}\n");
  lab_->must_apply(loop);
  EXPECT_TRUE(send("a", {from_a()}, "b").empty());
  EXPECT_EQ(lab_->dropped(DropReason::esp_nested), 1U) << "the way to the other end leads into the tunnel";
  const Bytes inner = Ipv4Packet{.source = ip("192.168.9.5"),
                                 .destination = ip("10.0.2.1"),
                                 .protocol = kEsp,
                                 .payload = seal(in_, to_a().bytes(), {.number = 2})}
                          .bytes();
  expect_dropped("ESP in ESP", sealed(inner, {.number = 1}), DropReason::esp_nested);
}

TEST_F(Ipsec, WithoutAnOutboundSaNothingLeaves) {
  prepare({});
  std::string text = config();
  const std::string out = "      out: {spi: 0x1001, key: " + out_.key_text() + "}\n";
  text.erase(text.find(out), out.size());
  start(text);
  EXPECT_TRUE(send("a", {from_a()}, "b").empty());
  EXPECT_EQ(lab_->dropped(DropReason::esp_no_sa), 1U);
  expect_taken("but it takes", sealed(1));
}

TEST_F(Ipsec, PacketsGoFromTunnelToTunnel) {
  prepare({});
  const PeerSa second_out = make_sa(0x1009, settings_.algorithm, true, 7);
  std::string text = config();
  text.insert(text.find("routes:"),
              "  ipsec1:\n    addresses: [10.9.1.1/30]\n    ipsec: {local: 10.0.2.1, remote: "
              "10.0.2.2, out: {spi: 0x1009, key: " +
                  second_out.key_text() + "}}\n");
  text.insert(text.find("neighbors:"), "  - {prefix: 192.168.10.0/24, via: 10.9.1.2}\n");
  start(text);
  const Bytes inner = Ipv4Packet{.source = ip("192.168.9.5"), .destination = ip("192.168.10.5")}.bytes();
  std::vector<Bytes> burst;
  for (unsigned i = 1; i <= 3; ++i) burst.push_back(sealed(inner, {.number = i}));
  const auto out = send("b", burst, "b");
  ASSERT_EQ(out.size(), 3U);
  out_ = second_out;
  const Bytes hop = inside(ethernet({}, {}, 0x0800, inner));
  for (const Opened& each : opened(out)) EXPECT_TRUE(same(hop, each.inner));
  EXPECT_EQ(lab_->control().accounting().difference(), 0);
}

// Packets of many tunnels in one burst go together, and each is still its own interface's.
TEST_F(Ipsec, ABurstOfSeveralTunnelsIsCountedByEach) {
  prepare({});
  std::string text = config();
  std::vector<PeerSa> ins{in_}, outs{out_};
  for (unsigned i = 1; i <= 3; ++i) {
    outs.push_back(make_sa(0x1100 + i, settings_.algorithm, true, 10 + i));
    ins.push_back(make_sa(0x2100 + i, settings_.algorithm, true, 20 + i));
    const std::string n = std::to_string(i);
    text.insert(text.find("routes:"),
                "  ipsec" + n + ":\n    urpf: " + (i == 3 ? "strict" : "off") + "\n    addresses: [10.9." +
                    n + ".1/30]\n    ipsec: {local: 10.0.2.1, remote: 10.0.2.2, out: {spi: " +
                    std::to_string(outs[i].spi) + ", key: " + outs[i].key_text() +
                    "}, in: {spi: " + std::to_string(ins[i].spi) + ", key: " + ins[i].key_text() + "}}\n");
    text.insert(text.find("neighbors:"), "  - {prefix: 192.168.1" + n + ".0/24, via: 10.9." + n + ".2}\n");
  }
  start(text);
  const auto totals = [&](unsigned i) {
    return lab_->control().totals(lab_->interface("ipsec" + std::to_string(i)).id);
  };
  const auto dropped = [&](unsigned i, DropReason reason) {
    return lab_->control().dropped(lab_->interface("ipsec" + std::to_string(i)).id, reason);
  };
  std::vector<Bytes> burst;
  const auto add = [&](unsigned tunnel, std::uint64_t number, Ipv4Packet inner) {
    burst.push_back(around(seal(ins[tunnel], inner.bytes(), {.number = number})));
  };
  for (unsigned tunnel = 0; tunnel <= 3; ++tunnel) {
    add(tunnel, 1, to_a());
    add(tunnel, 2, {.source = ip("192.168.9.5"), .destination = ip("10.0.1.2"), .ttl = 1});
    add(tunnel, 3, {.source = ip("192.168.9.5"), .destination = ip("8.8.8.8")});
    add(tunnel, 4, {.source = ip("10.0.1.1"), .destination = ip("10.0.1.2")});
    add(tunnel, 5, {.source = ip("192.168.9.5"), .destination = ip("10.0.1.1"), .payload = udp(1, 2)});
  }
  EXPECT_EQ(send("b", burst, "a").size(), 3U);
  for (unsigned tunnel = 0; tunnel <= 3; ++tunnel) {
    SCOPED_TRACE(tunnel);
    const bool strict = tunnel == 3;  // no route leads to these sources by it
    EXPECT_EQ(totals(tunnel).rx_packets, 5U);
    EXPECT_EQ(dropped(tunnel, DropReason::urpf_failed), strict ? 4U : 0U);
    EXPECT_EQ(dropped(tunnel, DropReason::ttl_expired), strict ? 0U : 1U);
    EXPECT_EQ(dropped(tunnel, DropReason::no_route), strict ? 0U : 1U);
    EXPECT_EQ(dropped(tunnel, DropReason::source_is_own), 1U);
    EXPECT_EQ(dropped(tunnel, DropReason::local_no_port), strict ? 0U : 1U);
  }
  EXPECT_EQ(lab_->control().accounting().difference(), 0);
  // Into all of them at once, and the other way round out of one into another.
  lab_->received("b");
  std::vector<Bytes> out_burst;
  for (unsigned i = 0; i < 12; ++i)
    out_burst.push_back(from_a({.destination = Ipv4Address(192, 168, i % 4 == 0 ? 9 : 10 + i % 4, 5)}));
  std::map<std::uint32_t, unsigned> by_spi;
  for (const Bytes& each : send("a", out_burst, "b")) ++by_spi[get32(each, 34)];
  EXPECT_EQ(by_spi, (std::map<std::uint32_t, unsigned>{{0x1001, 3}, {0x1101, 3}, {0x1102, 3}, {0x1103, 3}}));
  EXPECT_EQ(lab_->control().accounting().difference(), 0);
}

}  // namespace
}  // namespace millrace::behaviour
