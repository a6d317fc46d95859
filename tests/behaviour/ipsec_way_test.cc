// What a tunnel's way takes, and transport mode, where the way's header is the packet's own.
#include "ipsec_lab.h"

namespace millrace::behaviour {
namespace {

std::string family_name(const ::testing::TestParamInfo<bool>& info) {
  return info.param ? "ipv6" : "ipv4";
}

class IpsecPathMtu : public IpsecLab, public ::testing::WithParamInterface<bool> {
 protected:
  // The error that a router on the way sends about a packet of ours.
  Bytes too_big(const Bytes& outer, std::uint16_t mtu) {
    const Bytes quote = slice(outer, kEthernet, 64);
    if (GetParam())
      return frame(lab_->mac("b"), kHostB,
                   icmp6(Ipv6Packet{.source = ip6("2001:db8:2::77"), .destination = ip6("2001:db8:2::1")}, 2,
                         0, mtu, quote));
    return frame(lab_->mac("b"), kHostB,
                 Ipv4Packet{.source = ip("10.0.2.77"),
                            .destination = ip("10.0.2.1"),
                            .protocol = 1,
                            .payload = icmp(3, 4, mtu, quote)});
  }
  // A few milliseconds later it counts.
  void hear(const Bytes& error) {
    send("b", {error}, "a");
    lab_->advance(0.1);
  }
  void expect_dont_fragment(const Bytes& outer, bool wanted) {
    if (GetParam()) return;
    EXPECT_EQ((outer[kEthernet + 6] & 0x40) != 0, wanted);
  }
  Bytes of(std::size_t bytes) {
    return from_a({.destination = ip("192.168.9.5"), .flags_offset = kDf, .payload = pattern(bytes - 20)});
  }
  void expect_mtu(std::uint16_t mtu, std::size_t outer) {
    const auto fits = send("a", {of(mtu)}, "b");
    ASSERT_EQ(fits.size(), 1U);
    EXPECT_LE(fits[0].size(), kEthernet + outer);
    const Bytes one_more = of(mtu + 1U);
    verify(*lab_, "a",
           {"one byte more", one_more,
            refused(DropReason::fragmentation_needed, "a",
                    icmp_error(*lab_, "a", kHostA, one_more, {.type = 3, .code = 4, .mtu = mtu}))});
  }
};
INSTANTIATE_TEST_SUITE_P(All, IpsecPathMtu, ::testing::Bool(), family_name);

// Rule 38: RFC 4301 8.2, RFC 1191 6.3.
TEST_P(IpsecPathMtu, Rfc4301_8_2_1_TheWaysMtuIsLearntForTenMinutes) {
  with({.outer_ipv6 = GetParam()});
  const std::uint16_t whole = GetParam() ? 1426 : 1446, less = GetParam() ? 1326 : 1346;
  expect_mtu(whole, 1500);
  const auto outer = send("a", {of(whole)}, "b");
  ASSERT_EQ(outer.size(), 1U);
  Bytes forged = outer[0];
  forged[outer_header() + 3] ^= 1U;  // another SPI
  hear(too_big(forged, 1400));
  expect_mtu(whole, 1500);
  expect_dont_fragment(outer[0], true);
  hear(too_big(outer[0], 0));  // who does not say means 1492 (RFC 1191 7.1)
  expect_mtu(static_cast<std::uint16_t>(whole - 8), 1492);
  hear(too_big(outer[0], 1400));
  expect_mtu(less, 1400);
  hear(too_big(outer[0], 1450));
  expect_mtu(less, 1400);
  hear(too_big(outer[0], 100));
  expect_mtu(1280, 1500);  // IPv6 inside takes no less: it is cut up on the way
  expect_dont_fragment(send("a", {of(1280)}, "b").at(0), false);
  lab_->advance(599);
  expect_mtu(1280, 1500);
  lab_->advance(2);
  expect_mtu(whole, 1500);
  expect_dont_fragment(send("a", {of(whole)}, "b").at(0), true);
  EXPECT_EQ(lab_->control().accounting().difference(), 0);
}

TEST_P(IpsecPathMtu, Rfc4301_6_1_1_WhoSaysSoMayBeIgnored) {
  with({.outer_ipv6 = GetParam(), .more = "      path_mtu_discovery: false\n"});
  const std::uint16_t whole = GetParam() ? 1426 : 1446;
  const auto outer = send("a", {of(whole)}, "b");
  ASSERT_EQ(outer.size(), 1U);
  hear(too_big(outer[0], 1400));
  expect_mtu(whole, 1500);
}

TEST_P(IpsecPathMtu, ItIsForgottenWithTheWayThatHadIt) {
  with({.outer_ipv6 = GetParam()});
  const std::uint16_t whole = GetParam() ? 1426 : 1446, less = GetParam() ? 1326 : 1346;
  const auto outer = send("a", {of(whole)}, "b");
  ASSERT_EQ(outer.size(), 1U);
  hear(too_big(outer[0], 1400));
  settings_.more = "      hop_limit: 7\n";
  lab_->must_apply(config());
  expect_mtu(less, 1400);
  settings_.more = "      path_mtu_discovery: false\n";
  lab_->must_apply(config());
  expect_mtu(whole, 1500);
}

// The first link may be the one that takes less.
TEST_F(IpsecLab, Rfc4301_8_2_1_AnOwnLinksMtuIsLearntLikeAnyWays) {
  IpsecSettings settings;
  prepare(settings);
  std::string text = config();
  const std::string link = "b: {device: @b, ";
  text.insert(text.find(link) + link.size(), "mtu: 1400, ");
  start(text);
  const Bytes longer =
      from_a({.destination = ip("192.168.9.5"), .flags_offset = kDf, .payload = pattern(1400)});
  EXPECT_TRUE(send("a", {longer}, "b").empty());
  lab_->advance(0.1);
  lab_->received("a");
  verify(*lab_, "a",
         {"the next one is told", longer,
          refused(DropReason::fragmentation_needed, "a",
                  icmp_error(*lab_, "a", kHostA, longer, {.type = 3, .code = 4, .mtu = 1346}))});
}

class IpsecTransport : public IpsecLab, public ::testing::WithParamInterface<bool> {
 protected:
  // What is said to and by the router itself goes by policy.
  Lab& with_transport(const std::string& more = "") {
    prepare({.outer_ipv6 = GetParam(),
             .more = "      mode: transport\n" + more,
             .policies = R"(, policies: [{action: protect, tunnel: ipsec0, remote: 10.0.2.2/32},
                 {action: protect, tunnel: ipsec0, remote: "2001:db8:2::2/128"}, {action: bypass}])"});
    return start(config());
  }
  Bytes echo(std::size_t data, std::uint8_t type) const {
    if (GetParam()) return icmp6_bytes(type == 8 ? 128 : 129, data);
    return icmp(type, 0, 0x10001, pattern(data));
  }
  // ICMPv6 with its checksum, from the other end or from the router.
  static Bytes icmp6_bytes(std::uint8_t type, std::size_t data) {
    const bool request = type == 128;
    const Ipv6Packet packet{.source = ip6(request ? "2001:db8:2::2" : "2001:db8:2::1"),
                            .destination = ip6(request ? "2001:db8:2::1" : "2001:db8:2::2")};
    const Bytes whole = icmp6(packet, type, 0, 0x10001, pattern(data)).bytes();
    return slice(whole, 40, whole.size() - 40);
  }
  std::uint8_t protocol() const { return GetParam() ? 58 : 1; }
};
INSTANTIATE_TEST_SUITE_P(All, IpsecTransport, ::testing::Bool(), family_name);

// Rule 39.
TEST_P(IpsecTransport, Rfc4303_3_1_1_WhatEndsSayToEachOtherIsProtected) {
  with_transport();
  const auto out = send("b", {sealed(echo(40, 8), {.number = 1, .next_header = protocol()})}, "b");
  const auto packets = opened(out);
  ASSERT_EQ(packets.size(), 1U);
  EXPECT_EQ(packets[0].next_header, protocol());
  EXPECT_TRUE(same(echo(40, 0), packets[0].inner)) << "behind the IP header, and that is not inside";
  if (GetParam()) {
    EXPECT_TRUE(same(slice(out[0], kEthernet + 8, 16), address_bytes(ip6("2001:db8:2::1"))));
    EXPECT_TRUE(same(slice(out[0], kEthernet + 24, 16), address_bytes(ip6("2001:db8:2::2"))));
    EXPECT_EQ(out[0][kEthernet + 7], 64U) << "this is no hop";
  } else {
    EXPECT_EQ(get32(out[0], kEthernet + 12), ip("10.0.2.1").value());
    EXPECT_EQ(get32(out[0], kEthernet + 16), ip("10.0.2.2").value());
    EXPECT_EQ(out[0][kEthernet + 8], 64U) << "this is no hop";
  }
  EXPECT_EQ(lab_->control().accounting().difference(), 0);
}

TEST_P(IpsecTransport, Rfc4301_5_2_NothingElseIs) {
  with_transport();
  const Bytes clear = around(echo(40, 8), protocol());
  expect_dropped("in the clear", clear, DropReason::policy_unprotected);
  const Bytes from_another = GetParam()
                                 ? frame(lab_->mac("b"), kHostB,
                                         Ipv6Packet{.source = ip6("2001:db8:2::3"),
                                                    .destination = ip6("2001:db8:2::1"),
                                                    .next_header = kEsp,
                                                    .payload = seal(in_, echo(40, 8), {.next_header = 58})})
                                 : frame(lab_->mac("b"), kHostB,
                                         Ipv4Packet{.source = ip("10.0.2.3"),
                                                    .destination = ip("10.0.2.1"),
                                                    .protocol = kEsp,
                                                    .payload = seal(in_, echo(40, 8), {.next_header = 1})});
  expect_dropped("from another host", from_another, DropReason::esp_selectors_in);
  const Bytes transit = GetParam() ? six_from_a({.destination = ip6("2001:db8:2::2")})
                                   : from_a({.destination = ip("10.0.2.2")});
  const std::uint64_t before = lab_->dropped(DropReason::esp_selectors_out);
  EXPECT_TRUE(send("a", {transit}, "b").empty());
  EXPECT_EQ(lab_->dropped(DropReason::esp_selectors_out) - before, 1U) << "of another host";
  expect_dropped("a dummy", sealed(pattern(20), {.number = 50, .next_header = 59}), DropReason::esp_dummy);
  EXPECT_EQ(lab_->control().accounting().difference(), 0);
}

// RFC 4303 3.3.4: it is cut up after it is encrypted.
TEST_P(IpsecTransport, Rfc4303_3_3_4_WhatIsTooLongIsProtectedWhole) {
  with_transport();
  const auto out = send("b", {sealed(echo(1450, 8), {.number = 1, .next_header = protocol()})}, "b");
  if (GetParam()) {  // which is not cut up outside
    EXPECT_TRUE(out.empty());
    EXPECT_EQ(lab_->control().output().counters().lost, 1U);
    return;
  }
  ASSERT_EQ(out.size(), 2U);
  const Bytes esp = join(slice(out[0], kEthernet + 20, out[0].size() - kEthernet - 20),
                         slice(out[1], kEthernet + 20, out[1].size() - kEthernet - 20));
  const auto packet = open(out_, esp);
  ASSERT_TRUE(packet);
  EXPECT_TRUE(same(echo(1450, 0), packet->inner));
}

}  // namespace
}  // namespace millrace::behaviour
