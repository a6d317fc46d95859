// Selectors of tunnels, and policies of interfaces (RFC 4301): which packets may pass, and which only
// protected.
#include "ipsec_lab.h"

namespace millrace::behaviour {
namespace {

constexpr std::uint8_t kTcp = 6, kUdp = 17, kIcmp = 1;

// Between host A and a host behind the other end.
struct Flow {
  std::string what;
  const char* far = "192.168.9.5";
  std::uint8_t protocol = kUdp;
  std::uint16_t near_port = 1000, far_port = 2000;
  std::uint16_t flags_offset = 0;
};

// What TCP and UDP begin with, and ICMP need not.
Bytes ports(std::uint16_t from, std::uint16_t to) {
  Bytes both = pattern(20);
  put16(both, 0, from);
  put16(both, 2, to);
  return both;
}
Ipv4Packet outward(const Flow& flow) {
  return {.source = ip("10.0.1.2"),
          .destination = ip(flow.far),
          .protocol = flow.protocol,
          .flags_offset = flow.flags_offset,
          .payload = ports(flow.near_port, flow.far_port)};
}
Ipv4Packet inward(const Flow& flow) {
  return {.source = ip(flow.far),
          .destination = ip("10.0.1.2"),
          .protocol = flow.protocol,
          .flags_offset = flow.flags_offset,
          .payload = ports(flow.far_port, flow.near_port)};
}

class IpsecPolicies : public IpsecLab {
 protected:
  // A flow out of a that is dropped.
  void expect_out(const Flow& flow, DropReason reason) {
    SCOPED_TRACE(flow.what);
    const std::uint64_t before = lab_->dropped(reason);
    EXPECT_TRUE(send("a", {from_a(outward(flow))}, "b").empty());
    EXPECT_EQ(lab_->dropped(reason) - before, 1U);
    EXPECT_EQ(lab_->control().accounting().difference(), 0);
  }
  Bytes protected_frame(const Flow& flow) { return sealed(inward(flow).bytes(), {.number = ++number_}); }
  // The same in the clear.
  Bytes clear_frame(const Flow& flow) { return towards(*lab_, "b", kHostB, inward(flow)); }
  // From the other end: a datagram, or a fragment of one.
  Bytes to_router(const Bytes& payload, std::uint16_t flags_offset = 0) {
    return towards(*lab_, "b", kHostB,
                   {.source = ip("10.0.2.2"),
                    .destination = ip("10.0.2.1"),
                    .flags_offset = flags_offset,
                    .payload = payload});
  }
  // Out of a by b, as it is.
  void expect_clear(const Flow& flow) {
    SCOPED_TRACE(flow.what);
    const Bytes frame = from_a(outward(flow));
    expect_frames({forwarded(frame, kHostB, lab_->mac("b"))}, send("a", {frame}, "b"));
  }
  // Out of a by b, by the tunnel.
  void expect_protected(const Flow& flow) {
    SCOPED_TRACE(flow.what);
    const Bytes frame = from_a(outward(flow));
    const auto packets = opened(send("a", {frame}, "b"));
    ASSERT_EQ(packets.size(), 1U);
    EXPECT_TRUE(same(inside(frame), packets[0].inner));
  }

 private:
  std::uint64_t number_ = 0;
};

const std::string kSelectors = R"(      selectors:
        - {local: 10.0.1.0/24, remote: 192.168.9.0/28}
        - {remote: 192.168.9.64/26, protocol: tcp, remote_port: 443, local_port: 1024-65535}
        - {local: "2001:db8:1::/64", protocol: icmpv6}
)";

// Rule 35.
TEST_F(IpsecPolicies, Rfc4301_5_2_WhatComesOutOfATunnelIsOfItsSelectors) {
  with({.more = kSelectors});
  expect_taken("the first one has it", protected_frame({.far = "192.168.9.5"}));
  expect_taken(
      "the second one has it",
      protected_frame({.far = "192.168.9.65", .protocol = kTcp, .near_port = 1024, .far_port = 443}));
  const Flow refused[] = {
      {.what = "another source", .far = "192.168.9.16"},
      {.what = "another protocol", .far = "192.168.9.65", .far_port = 443},
      {.what = "another remote port",
       .far = "192.168.9.65",
       .protocol = kTcp,
       .near_port = 1024,
       .far_port = 444},
      {.what = "another local port",
       .far = "192.168.9.65",
       .protocol = kTcp,
       .near_port = 1023,
       .far_port = 443},
      {.what = "a fragment, whose ports are not known",
       .far = "192.168.9.65",
       .protocol = kTcp,
       .near_port = 1024,
       .far_port = 443,
       .flags_offset = kMf},
  };
  for (const Flow& flow : refused)
    expect_dropped(flow.what, protected_frame(flow), DropReason::esp_selectors_in);
  Ipv4Packet to_another = inward({});
  to_another.destination = ip("10.0.3.2");
  expect_dropped("another destination", sealed(to_another.bytes(), {.number = 100}),
                 DropReason::esp_selectors_in);
  expect_dropped("another protocol of IPv6",
                 sealed(six_to_a().bytes(), {.number = 101, .next_header = kIpv6Inside}),
                 DropReason::esp_selectors_in);
  expect_dropped("no whole header", sealed(slice(to_a().bytes(), 0, 12), {.number = 102}),
                 DropReason::esp_selectors_in);
  EXPECT_EQ(sa_counters("in").unselected.get(), std::size(refused) + 3);
}

// Rule 35.
TEST_F(IpsecPolicies, Rfc4301_5_1_WhatGoesIntoATunnelIsOfItsSelectors) {
  with({.more = kSelectors});
  expect_protected({.what = "the first one has it"});
  expect_out({.what = "none has it", .far = "192.168.9.16"}, DropReason::esp_selectors_out);
  expect_protected(
      {.what = "ports", .far = "192.168.9.65", .protocol = kTcp, .near_port = 1024, .far_port = 443});
  expect_out(
      {.what = "other ports", .far = "192.168.9.65", .protocol = kTcp, .near_port = 1024, .far_port = 80},
      DropReason::esp_selectors_out);
  EXPECT_EQ(sa_counters("out").unselected.get(), 2U);
}

const std::string kPolicies = R"(, policies: [
    {action: discard, remote: 203.0.113.128/25, protocol: tcp, remote_port: 23},
    {action: protect, tunnel: ipsec0, local: 10.0.1.0/24, remote: 203.0.113.0/24},
    {action: protect, tunnel: ipsec0, local: "2001:db8:1::/64", remote: "2001:db8:8::/48"},
    {action: bypass, remote: 10.0.2.2/32, protocol: icmp}])";

// Rule 35: RFC 4301 4.4.1, the first one that has it.
TEST_F(IpsecPolicies, Rfc4301_5_1_PoliciesSayWhatLeaves) {
  with({.policies = kPolicies});
  expect_protected({.what = "protected, though its route leads by b", .far = "203.0.113.5"});
  expect_protected(
      {.what = "not of the one before", .far = "203.0.113.200", .protocol = kTcp, .far_port = 22});
  expect_out({.what = "discarded", .far = "203.0.113.200", .protocol = kTcp, .far_port = 23},
             DropReason::policy_discard);
  expect_out({.what = "a fragment may be what is discarded",
              .far = "203.0.113.200",
              .protocol = kTcp,
              .flags_offset = kMf},
             DropReason::policy_fragment);
  expect_clear({.what = "bypassed", .far = "10.0.2.2", .protocol = kIcmp});
  expect_out({.what = "none has it", .far = "10.0.2.2"}, DropReason::policy_discard);
  const Bytes six = six_from_a({.destination = ip6("2001:db8:8::5")});
  const auto packets = opened(send("a", {six}, "b"));
  ASSERT_EQ(packets.size(), 1U);
  EXPECT_TRUE(same(inside(six, true), packets[0].inner));
}

// Rule 35: RFC 4301 5.2.
TEST_F(IpsecPolicies, Rfc4301_5_2_WhatIsProtectedMayNotComeInTheClear) {
  with({.policies = kPolicies});
  expect_dropped("protected", clear_frame({.far = "203.0.113.5"}), DropReason::policy_unprotected);
  expect_dropped("discarded", clear_frame({.far = "203.0.113.200", .protocol = kTcp, .far_port = 23}),
                 DropReason::policy_discard);
  expect_dropped("none has it", clear_frame({.far = "10.0.2.2"}), DropReason::policy_discard);
  expect_taken("bypassed", clear_frame({.far = "10.0.2.2", .protocol = kIcmp}));
  expect_taken("as ESP", protected_frame({.far = "203.0.113.5"}));
  expect_dropped("as ESP, but by no policy of the tunnel", protected_frame({.far = "192.168.9.5"}),
                 DropReason::esp_selectors_in);
}

TEST_F(IpsecPolicies, Rfc4301_8_2_WhatIsTooLongForThePolicysTunnelIsToldOrCut) {
  with({.policies = kPolicies});
  const auto mtu = static_cast<std::uint16_t>(lab_->interface("ipsec0").config.mtu);
  const Bytes too_long =
      from_a({.destination = ip("203.0.113.5"), .flags_offset = kDf, .payload = pattern(mtu - 19U)});
  verify(*lab_, "a",
         {"DF: the sender learns the tunnel's MTU", too_long,
          refused(DropReason::fragmentation_needed, "a",
                  icmp_error(*lab_, "a", kHostA, too_long, {.type = 3, .code = 4, .mtu = mtu}))});
  const Bytes may = from_a({.destination = ip("203.0.113.5"), .payload = pattern(mtu - 19U)});
  EXPECT_EQ(opened(send("a", {may}, "b")).size(), 2U);
  verify(*lab_, "a",
         {"the last hop", from_a({.destination = ip("203.0.113.5"), .ttl = 1}),
          refused(DropReason::ttl_expired, "a",
                  icmp_error(*lab_, "a", kHostA, from_a({.destination = ip("203.0.113.5"), .ttl = 1}),
                             {.type = 11, .code = 0}))});
}

// What the router itself says passes them, too.
TEST_F(IpsecPolicies, TheRoutersOwnPacketsAreAsked) {
  with({.policies = kPolicies});
  const Bytes echo = Ipv4Packet{.source = ip("203.0.113.5"),
                                .destination = ip("10.0.1.1"),
                                .protocol = kIcmp,
                                .payload = icmp(8, 0, 0x10001, pattern(30))}
                         .bytes();
  const auto answer = opened(send("b", {sealed(echo, {.number = 1})}, "b"));
  ASSERT_EQ(answer.size(), 1U);
  EXPECT_TRUE(
      same(icmp(0, 0, 0x10001, pattern(30)), slice(answer[0].inner, 20, answer[0].inner.size() - 20)));
  const Bytes clear = Ipv4Packet{.source = ip("10.0.2.2"),
                                 .destination = ip("10.0.2.1"),
                                 .protocol = kIcmp,
                                 .payload = icmp(8, 0, 0x10001, pattern(30))}
                          .bytes();
  const auto bypassed = send("b", {ethernet(lab_->mac("b"), kHostB, 0x0800, clear)}, "b");
  ASSERT_EQ(bypassed.size(), 1U);
  EXPECT_EQ(bypassed[0][kEthernet + 9], kIcmp);
  EXPECT_EQ(lab_->control().accounting().difference(), 0);
}

// Neighbours are found, and waited for, as on any link.
TEST_F(IpsecPolicies, TheLinkItselfIsAskedNothing) {
  IpsecSettings settings{.policies = kPolicies};
  prepare(settings);
  std::string without = config();
  const std::string neighbor = "  - {address: 10.0.2.2, mac: \"02:00:00:00:02:02\", interface: b}\n";
  without.erase(without.find(neighbor), neighbor.size());
  start(without);
  const Bytes sent = from_a(outward({.far = "203.0.113.5"}));
  EXPECT_TRUE(send("a", {sent}, "b").empty()) << "it waits for the other end's MAC";
  lab_->send("b", frame(lab_->mac("b"), kHostB,
                        ArpPacket{.operation = 2,
                                  .sender_mac = kHostB,
                                  .sender = ip("10.0.2.2"),
                                  .target_mac = lab_->mac("b"),
                                  .target = ip("10.0.2.1")}));
  lab_->run();
  const auto packets = opened(lab_->received("b"));
  ASSERT_EQ(packets.size(), 1U) << "it is protected all the same";
  EXPECT_TRUE(same(inside(sent), packets[0].inner));
  EXPECT_EQ(lab_->control().accounting().difference(), 0);
}

// IKE and ESP are the router's on its own ports alone, and neighbour discovery is the link's.
TEST_F(IpsecPolicies, WhatIsAskedNothingIsNoWayAroundThem) {
  with({.more = "      udp: true\n", .policies = ", policies: [{action: discard}]"});
  const auto to_us = [&](std::uint16_t from, std::uint16_t to) { return to_router(udp(from, to)); };
  const auto punted = [&](const Bytes& frame) {
    const std::uint64_t before = lab_->dropped(DropReason::local_no_port);
    send("b", {frame}, "a");
    return lab_->dropped(DropReason::local_no_port) != before;
  };
  EXPECT_TRUE(punted(to_us(40000, 500))) << "IKE, to whoever listens";
  expect_dropped("from the port of IKE to another", to_us(500, 161), DropReason::policy_discard);
  expect_dropped("from that of ESP", to_us(4500, 161), DropReason::policy_discard);
  const Ipv6Packet solicitation{
      .source = ip6("2001:db8:8::5"), .destination = ip6("2001:db8:1::2"), .hop_limit = 255};
  expect_dropped("forwarded, it is no neighbour discovery",
                 frame(lab_->mac("b"), kHostB, icmp6(solicitation, 135, 0, 0, pattern(16))),
                 DropReason::policy_discard);
  // A datagram in fragments is asked when it is whole.
  const Bytes whole = udp(500, 161, pattern(32));
  const std::uint64_t before = lab_->dropped(DropReason::policy_discard);
  send("b", {to_router(slice(whole, 0, 16), kMf), to_router(slice(whole, 16, whole.size() - 16), 2)}, "a");
  EXPECT_EQ(lab_->dropped(DropReason::policy_discard) - before, 1U);
  EXPECT_EQ(lab_->control().accounting().difference(), 0);
}

TEST_F(IpsecPolicies, EspInUdpMayComeInFragmentsAllTheSame) {
  with({.more = "      udp: true\n", .policies = ", policies: [{action: discard}]"});
  const Bytes esp = udp(4500, 4500, seal(in_, to_a().bytes(), {.number = 1}));
  EXPECT_EQ(send("b", {to_router(slice(esp, 0, 40), kMf), to_router(slice(esp, 40, esp.size() - 40), 5)}, "a")
                .size(),
            1U);
}

// RFC 4301 7.1: of its fragments nobody could tell whose they are.
TEST_F(IpsecPolicies, Rfc4301_7_1_WhatIsChosenByPortsIsCutUpOutside) {
  with({.policies = ", policies: [{action: protect, tunnel: ipsec0, protocol: udp, remote_port: 2000}]"});
  const Bytes frame = from_a({.destination = ip("203.0.113.5"), .payload = udp(1000, 2000, pattern(1460))});
  const auto outer = send("a", {frame}, "b");
  ASSERT_EQ(outer.size(), 2U);
  const auto packet = open(out_, join(slice(outer[0], kEthernet + 20, outer[0].size() - kEthernet - 20),
                                      slice(outer[1], kEthernet + 20, outer[1].size() - kEthernet - 20)));
  ASSERT_TRUE(packet);
  EXPECT_TRUE(same(inside(frame), packet->inner));
  EXPECT_EQ(lab_->control().accounting().difference(), 0);
}

// What was protected by policies does not leave in the clear before routes lead into the tunnel.
TEST_F(IpsecPolicies, TheyStayUntilTheRoutesAreThere) {
  IpsecSettings settings{.policies = kPolicies};
  with(settings);
  std::string next = config();
  next.erase(next.find(kPolicies), kPolicies.size());
  const std::string by_b = "{prefix: 203.0.113.0/24, via: 10.0.2.2}";
  next.replace(next.find(by_b), by_b.size(), "{prefix: 203.0.113.0/24, via: 10.9.0.2}");
  const auto wanted = std::make_shared<const config::Config>(lab_->parse(next));
  controlplane::Control& control = lab_->control();
  controlplane::Control::PendingApply pending{wanted, config::diff(control.desired(), *wanted)};
  ASSERT_TRUE(control.begin_apply(pending));
  lab_->settle();
  expect_protected({.what = "before the routes", .far = "203.0.113.5"});
  while (control.continue_apply(pending, 1)) {
  }
  expect_protected({.what = "after them", .far = "203.0.113.5"});
}

// A daemon's packets are asked as all others, and it learns of the tunnel's MTU.
TEST_F(IpsecPolicies, DaemonsAreToldWhatATunnelTakes) {
  IpsecSettings settings{.policies = ", host: true" + kPolicies};
  with(settings);
  const auto mtu = static_cast<std::uint16_t>(lab_->interface("ipsec0").config.mtu);
  const auto from_daemon = [&](std::size_t bytes) {
    return frame(lab_->mac("b"), lab_->mac("b"),
                 Ipv4Packet{.source = ip("10.0.1.1"),
                            .destination = ip("203.0.113.5"),
                            .flags_offset = kDf,
                            .payload = pattern(bytes - 20)});
  };
  const auto say = [&](const Bytes& packet) {
    lab_->hosts().say("b", packet);
    lab_->run();
    lab_->run();  // by a worker
  };
  say(from_daemon(mtu));
  EXPECT_EQ(opened(lab_->received("b")).size(), 1U);
  lab_->hosts().heard("b");
  const Bytes longer = from_daemon(mtu + 1U);
  say(longer);
  EXPECT_TRUE(lab_->received("b").empty());
  const auto heard = lab_->hosts().heard("b");
  ASSERT_EQ(heard.size(), 1U);
  const Bytes error = slice(heard[0], kEthernet, heard[0].size() - kEthernet);
  EXPECT_EQ(get32(error, 12), ip("203.0.113.5").value()) << "from no address of the host's";
  EXPECT_EQ(get32(error, 16), ip("10.0.1.1").value());
  EXPECT_TRUE(same(icmp(3, 4, mtu, slice(longer, kEthernet, 548)), slice(error, 20, error.size() - 20)));
}

TEST_F(IpsecPolicies, WhatIsNoIpLeavesByNoPolicy) {
  IpsecSettings settings{.policies = ", host: true" + kPolicies};
  with(settings);
  const std::uint64_t before = lab_->control().output().counters().lost;
  lab_->hosts().say("b", ethernet(kHostB, lab_->mac("b"), 0x8100, pattern(60)));
  lab_->run();
  EXPECT_TRUE(lab_->received("b").empty());
  EXPECT_EQ(lab_->control().output().counters().lost - before, 1U);
}

TEST_F(IpsecPolicies, TheyComeAndGoByReload) {
  with({});
  expect_clear({.far = "203.0.113.5"});
  settings_.policies = kPolicies;
  lab_->must_apply(config());
  expect_protected({.far = "203.0.113.5"});
  settings_.policies = ", policies: [{action: discard}]";
  lab_->must_apply(config());
  expect_out({.far = "203.0.113.5"}, DropReason::policy_discard);
  settings_.policies = "";
  lab_->must_apply(config());
  expect_clear({.far = "203.0.113.5"});
}

}  // namespace
}  // namespace millrace::behaviour
