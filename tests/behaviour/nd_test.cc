// Neighbour discovery (RFC 4861), duplicate address detection (RFC 4862), router advertisements.
#include <algorithm>

#include "cases6.h"
#include "tests/packets/nd_packet.h"

namespace millrace::behaviour {
namespace {

using controlplane::Neighbors;

const std::string kOneLink = R"(
interfaces:
  a: {device: @a, addresses: ["2001:db8:1::1/64"]}
  b: {device: @b, addresses: ["2001:db8:2::1/64"]}
neighbors:
  - {address: "2001:db8:1::2", mac: "02:00:00:00:01:02", interface: a}
)";
class Nd : public LabTest {
 protected:
  void SetUp() override { start(kOneLink); }

  // A solicitation of host B for an own address on b.
  NdPacket asks(const char* target) {
    return {.source = ip6("2001:db8:2::2"),
            .destination = ip6(target).solicited_node(),
            .target = ip6(target),
            .options = link_option(1, kHostB)};
  }
  Bytes from_b(const NdPacket& m) {
    return frame(m.destination.is_multicast() ? group_mac(m.destination) : lab_->mac("b"), kHostB, m);
  }
  // What the router says of its address to host B.
  Bytes tells(const char* own, const char* to, std::uint32_t flags = kR | kS | kO) {
    return frame(kHostB, lab_->mac("b"),
                 {.type = kNa,
                  .source = ip6(own),
                  .destination = ip6(to),
                  .flags = flags,
                  .target = ip6(own),
                  .options = link_option(2, lab_->mac("b"))});
  }
  // What it asks on b.
  Bytes router_asks(const char* target, const char* source = "2001:db8:2::1") {
    const Ipv6Address group = ip6(target).solicited_node();
    return frame(group_mac(group), lab_->mac("b"),
                 {.source = ip6(source),
                  .destination = group,
                  .target = ip6(target),
                  .options = link_option(1, lab_->mac("b"))});
  }
  NdPacket answers(const char* target, const MacAddress& mac, std::uint32_t flags = kS | kO) {
    return {.type = kNa,
            .source = ip6(target),
            .destination = ip6("2001:db8:2::1"),
            .flags = flags,
            .target = ip6(target),
            .options = link_option(2, mac)};
  }
  Bytes to(const char* destination) {
    return frame(lab_->mac("a"), kHostA, Ipv6Packet{.destination = ip6(destination)});
  }
  const Neighbors::Entry* entry(const char* address) {
    return lab_->control().neighbors().find({lab_->interface("b").id, ip6(address)});
  }
  // Has host B resolved: asked for, and answered.
  void learn_b() {
    lab_->send("a", to("2001:db8:2::2"));
    lab_->run();
    lab_->send("b", from_b(answers("2001:db8:2::2", kHostB)));
    lab_->settle();
    ASSERT_EQ(entry("2001:db8:2::2")->state, Neighbors::State::reachable);
  }
};

TEST_F(Nd, Rfc4861_7_2_4_AnswersForItsOwnAddressesOnThatInterface) {
  verify(*lab_, "b",
         {{"rule 28: for its address: router, solicited, override", from_b(asks("2001:db8:2::1")),
           sent("b", tells("2001:db8:2::1", "2001:db8:2::2"))},
          {"rule 28: of another interface", from_b(asks("2001:db8:1::1")), dropped(DropReason::nd_ignored)},
          {"rule 28: asked from another subnet",
           from_b({.source = ip6("2001:db8:9::2"),
                   .destination = ip6("2001:db8:2::1"),
                   .target = ip6("2001:db8:2::1"),
                   .options = link_option(1, kHostB)}),
           dropped(DropReason::nd_ignored)},
          {"rule 28: of somebody else", from_b(asks("2001:db8:2::77")),
           dropped(DropReason::destination_multicast)}});
  EXPECT_EQ(entry("2001:db8:2::2")->mac, kHostB) << "rule 28: it learns who asks";
  EXPECT_EQ(entry("2001:db8:2::2")->state, Neighbors::State::stale);
  NdPacket unicast = asks("2001:db8:2::1");
  unicast.destination = ip6("2001:db8:2::1");
  verify(*lab_, "b",
         {"rule 28: asked alone", from_b(unicast), sent("b", tells("2001:db8:2::1", "2001:db8:2::2"))});
  const std::string own = lab_->interface("b").link_local()->to_string();
  verify(*lab_, "b",
         {"rule 28: for the link-local address", from_b(asks(own.c_str())),
          sent("b", tells(own.c_str(), "2001:db8:2::2"))});
}

// RFC 4861 7.1.1, 7.1.2, 6.1.1, 6.1.2, 8.1: discarded without a word.
TEST_F(Nd, Rfc4861_7_1_MalformedMessagesAreDropped) {
  const auto bad = [&](const std::string& what, const NdPacket& m) {
    return Case{"rule 28: " + what, from_b(m), dropped(DropReason::nd_invalid)};
  };
  const auto with = [&](auto change) {
    NdPacket m = asks("2001:db8:2::1");
    change(m);
    return m;
  };
  Bytes checksum = from_b(asks("2001:db8:2::1"));
  checksum[kEthernet + 40 + 2] ^= 1;
  verify(
      *lab_, "b",
      {bad("hop limit 254: it came over a router", with([](NdPacket& m) { m.hop_limit = 254; })),
       bad("hop limit 0", with([](NdPacket& m) { m.hop_limit = 0; })),
       bad("code 1", with([](NdPacket& m) { m.code = 1; })),
       {"rule 28: a wrong checksum", checksum, dropped(DropReason::nd_invalid)},
       bad("no target", with([](NdPacket& m) {
             m.target = {};
             m.options = {};
           })),
       bad("a multicast target", with([](NdPacket& m) { m.target = ip6("ff02::1"); })),
       bad("an option of length 0", with([](NdPacket& m) { m.options = {1, 0, 0, 0, 0, 0, 0, 0}; })),
       bad("an option past the end", with([](NdPacket& m) { m.options[1] = 2; })),
       bad("half an option", with([](NdPacket& m) { m.options.resize(7); })),
       bad("a link-layer address of 14 bytes", with([](NdPacket& m) {
             m.options[1] = 2;
             m.options.resize(16);
           })),
       bad("a multicast link-layer address", with([](NdPacket& m) { m.options[2] = 3; })),
       {"rule 28: a probe to one node",
        from_b({.destination = ip6("2001:db8:2::1"), .target = ip6("2001:db8:2::1")}),
        dropped(DropReason::source_reserved)},
       bad("a probe with its link-layer address", with([](NdPacket& m) { m.source = Ipv6Address(); })),
       bad("a solicited answer to all", {.type = kNa,
                                         .source = ip6("2001:db8:2::2"),
                                         .destination = ip6("ff02::1"),
                                         .flags = kS,
                                         .target = ip6("2001:db8:2::2")}),
       bad("a router advertisement from afar",
           {.type = kRa, .source = ip6("2001:db8:2::2"), .destination = ip6("ff02::1"), .target = ip6("::")}),
       bad("a redirect from afar", {.type = kRedirect,
                                    .source = ip6("2001:db8:2::2"),
                                    .destination = ip6("2001:db8:2::1"),
                                    .target = ip6("2001:db8:2::3"),
                                    .options = address_bytes(ip6("2001:db8:9::1"))})});
  EXPECT_EQ(entry("2001:db8:2::2"), nullptr);
}

// RFC 4861 6.2.7, 8.2: a router's routes are its own.
TEST_F(Nd, Rfc4861_6_2_7_AdvertisementsAndRedirectsOfOthersAreNotObeyed) {
  NdPacket ra{.type = kRa, .source = ip6("fe80::b"), .destination = ip6("ff02::1"), .flags = 0x40000708};
  ra.options = join(Bytes(8), link_option(1, kHostB));
  const NdPacket redirect{.type = kRedirect,
                          .source = ip6("fe80::b"),
                          .destination = ip6("2001:db8:2::1"),
                          .target = ip6("fe80::c"),
                          .options = address_bytes(ip6("2001:db8:9::1"))};
  const std::size_t routes = lab_->control().prefixes();
  verify(*lab_, "b",
         {{"rule 29: a router advertisement", from_b(ra), dropped(DropReason::nd_ignored)},
          {"rule 29: a redirect", from_b(redirect), dropped(DropReason::nd_ignored)},
          {"rule 29: a router solicitation where none is sent",
           from_b({.type = kRs, .source = ip6("fe80::b"), .destination = ip6("ff02::2")}),
           dropped(DropReason::nd_ignored)}});
  EXPECT_EQ(lab_->control().prefixes(), routes);
}

TEST_F(Nd, Rfc4861_7_2_2_AnUnknownNeighbourIsAskedForAndTheFirstPacketsWait) {
  const Bytes packet = to("2001:db8:2::9");
  verify(*lab_, "a", {"rule 28: asked", packet, sent("b", router_asks("2001:db8:2::9"))});
  for (int i = 0; i < 2; ++i) lab_->send("a", packet);
  lab_->send("b", from_b(answers("2001:db8:2::9", kHostB)));
  lab_->run();
  const Bytes out = forwarded6(packet, kHostB, lab_->mac("b"));
  expect_frames({out, out, out}, lab_->received("b"));
  EXPECT_EQ(entry("2001:db8:2::9")->state, Neighbors::State::reachable);
}

TEST_F(Nd, Rfc4861_7_2_2_ThreeSolicitationsASecondApartThenAddressUnreachable) {
  const Bytes packet = to("2001:db8:2::9");
  lab_->send("a", packet);
  lab_->run();
  std::size_t asked = lab_->received("b").size();
  lab_->advance(2.05);
  asked += lab_->received("b").size();
  EXPECT_EQ(asked, 3U) << "rule 28";
  expect_frames({}, lab_->received("a"));
  lab_->advance(1.0);
  expect_frames({icmp6_error(*lab_, "a", kHostA, packet, {.type = 1, .code = 3})}, lab_->received("a"));
  expect_frames({}, lab_->received("b"));
  EXPECT_EQ(lab_->dropped(DropReason::neighbor_failed), 1U);
}

// RFC 4861 7.2.5, row by row of appendix C.
TEST_F(Nd, Rfc4861_7_2_5_WhatAnAdvertisementChanges) {
  using State = Neighbors::State;
  const MacAddress other = mac("02:00:00:00:02:99");
  struct Row {
    const char* what;
    std::uint32_t flags;
    bool same_mac;
    State state;
    bool takes_mac;
  };
  const Row rows[] = {{"solicited, the same MAC", kS, true, State::reachable, false},
                      {"not solicited, the same MAC", 0, true, State::reachable, false},
                      {"solicited, override, another MAC", kS | kO, false, State::reachable, true},
                      {"override, another MAC", kO, false, State::stale, true},
                      {"solicited, another MAC: doubt", kS, false, State::stale, false},
                      {"another MAC: doubt", 0, false, State::stale, false}};
  for (const Row& row : rows) {
    SCOPED_TRACE(row.what);
    lab_->reset(kOneLink);
    learn_b();
    lab_->send("b", from_b(answers("2001:db8:2::2", row.same_mac ? kHostB : other, row.flags)));
    lab_->settle();
    EXPECT_EQ(entry("2001:db8:2::2")->state, row.state);
    EXPECT_EQ(entry("2001:db8:2::2")->mac, row.takes_mac ? other : kHostB);
  }
  lab_->send("a", to("2001:db8:2::9"));
  lab_->run();
  lab_->send("b", from_b(answers("2001:db8:2::9", kHostB, kO)));
  lab_->settle();
  EXPECT_EQ(entry("2001:db8:2::9")->state, State::stale) << "the first answer, not solicited";
  lab_->send("b", from_b(answers("2001:db8:2::50", kHostB, kO)));
  lab_->settle();
  EXPECT_EQ(entry("2001:db8:2::50"), nullptr) << "of somebody who is not known";
}

TEST_F(Nd, Rfc4861_7_3_AUsedNeighbourIsProbedByUnicastAndOneThatIsSilentGoes) {
  learn_b();
  lab_->advance(31);
  lab_->settle();
  for (int i = 0; i < 6; ++i) {
    lab_->send("a", to("2001:db8:2::2"));
    lab_->run();
    lab_->advance(1);
  }
  std::vector<Bytes> frames = lab_->received("b");
  std::erase_if(frames, [](const Bytes& f) { return f[kEthernet + 6] != 58; });
  ASSERT_FALSE(frames.empty());
  const Bytes probe = frame(kHostB, lab_->mac("b"),
                            {.source = ip6("2001:db8:2::1"),
                             .destination = ip6("2001:db8:2::2"),
                             .target = ip6("2001:db8:2::2"),
                             .options = link_option(1, lab_->mac("b"))});
  EXPECT_TRUE(same(probe, frames.front())) << "rule 28";
  for (int i = 0; i < 4; ++i) {
    lab_->send("a", to("2001:db8:2::2"));
    lab_->advance(1);
  }
  const Neighbors::Entry* gone = entry("2001:db8:2::2");
  EXPECT_TRUE(gone == nullptr || gone->state != Neighbors::State::probe) << "after three probes";
}

TEST_F(Nd, Rfc4862_5_4_AnAddressIsProbedForBeforeItIsUsed) {
  lab_->set_link("b", false);
  lab_->set_link("b", true);
  lab_->run();
  std::vector<Bytes> probes = lab_->received("b");
  const auto probe = [&](Ipv6Address own) {
    return frame(group_mac(own.solicited_node()), lab_->mac("b"),
                 {.destination = own.solicited_node(), .target = own});
  };
  expect_frames({probe(*lab_->interface("b").link_local()), probe(ip6("2001:db8:2::1"))}, probes);
  for (const Bytes& own : probes) lab_->send("b", own);  // come back by a loop: nobody else's
  lab_->settle();
  verify(*lab_, "b",
         {"rule 28: not answered for meanwhile", from_b(asks("2001:db8:2::1")),
          dropped(DropReason::nd_ignored)});
  lab_->advance(1.1);
  const NdPacket announcement{.type = kNa,
                              .source = ip6("2001:db8:2::1"),
                              .destination = ip6("ff02::1"),
                              .flags = kR | kO,
                              .target = ip6("2001:db8:2::1"),
                              .options = link_option(2, lab_->mac("b"))};
  expect_frames({frame(group_mac(ip6("ff02::1")), lab_->mac("b"), announcement)}, lab_->received("b"));
  verify(*lab_, "b",
         {"rule 28: then it is", from_b(asks("2001:db8:2::1")),
          sent("b", tells("2001:db8:2::1", "2001:db8:2::2"))});
}

TEST_F(Nd, Rfc6980_5_NothingInFragmentsIsTaken) {
  const NdPacket ask = asks("2001:db8:2::1");
  const Bytes whole = slice(from_b(ask), kEthernet + 40, 32);
  const auto fragment = [&](unsigned offset, bool more, const Bytes& part) {
    Bytes header = {58, 0, 0, 0, 0, 0, 0, 7};
    put16(header, 2, offset | (more ? 1 : 0));
    return frame(group_mac(ask.destination), kHostB,
                 Ipv6Packet{.source = ask.source,
                            .destination = ask.destination,
                            .hop_limit = 255,
                            .next_header = 44,
                            .payload = join(header, part)});
  };
  verify(*lab_, "b",
         {{"rule 28: a fragment header around a whole message", fragment(0, false, whole),
           dropped(DropReason::nd_ignored)},
          {"rule 28: the first fragment waits", fragment(0, true, slice(whole, 0, 24)), {}},
          {"rule 28: put together, ignored", fragment(24, false, slice(whole, 24, 8)),
           dropped(DropReason::nd_ignored)}});
  EXPECT_EQ(entry("2001:db8:2::2"), nullptr) << "rule 28: and nothing is learnt";
}

TEST_F(Nd, Rfc4862_5_4_AnAddressThatSomebodyHasIsNotUsed) {
  const NdPacket taken[] = {
      {.type = kNa,
       .source = ip6("2001:db8:2::1"),
       .destination = ip6("ff02::1"),
       .flags = kO,
       .target = ip6("2001:db8:2::1"),
       .options = link_option(2, kHostB)},
      {.destination = ip6("2001:db8:2::1").solicited_node(), .target = ip6("2001:db8:2::1")},
  };
  for (const NdPacket& claim : taken) {
    SCOPED_TRACE(claim.type == kNa ? "somebody says so" : "somebody probes for it, too");
    lab_->reset(kOneLink);
    lab_->set_link("b", false);
    lab_->set_link("b", true);
    lab_->send("b", from_b(claim));
    lab_->settle();
    lab_->advance(2);
    lab_->settle();
    EXPECT_EQ(lab_->control().nd().address_state(lab_->interface("b").id, ip6("2001:db8:2::1")),
              controlplane::Dad::State::duplicate);
    verify(*lab_, "b",
           {"rule 28: no answer for it", from_b(asks("2001:db8:2::1")), dropped(DropReason::nd_ignored)});
  }
}

// RFC 4861 7.2.4: a probe for an address of ours is told to all.
TEST_F(Nd, Rfc4862_5_4_3_AProbeForAnAddressOfOursIsAnswered) {
  const NdPacket answer{.type = kNa,
                        .source = ip6("2001:db8:2::1"),
                        .destination = ip6("ff02::1"),
                        .flags = kR | kO,
                        .target = ip6("2001:db8:2::1"),
                        .options = link_option(2, lab_->mac("b"))};
  verify(*lab_, "b",
         {"rule 28: a probe",
          from_b({.destination = ip6("2001:db8:2::1").solicited_node(), .target = ip6("2001:db8:2::1")}),
          sent("b", frame(group_mac(ip6("ff02::1")), lab_->mac("b"), answer))});
}

TEST_F(Nd, Rfc4861_6_2_RoutersAreAdvertisedWhereTheKnobIsOn) {
  std::string yaml = kOneLink;
  yaml.insert(yaml.find("{device: @b") + 1, "router_advertisements: true, ");
  lab_->reset(yaml);
  lab_->advance(20);
  EXPECT_GE(lab_->received("b").size(), 1U) << "rule 29: by itself";  // the next one is due at 33 s
  lab_->send("b", from_b({.type = kRs,
                          .source = ip6("fe80::b"),
                          .destination = ip6("ff02::2"),
                          .options = link_option(1, kHostB)}));
  lab_->run();
  lab_->advance(3.6);
  const std::vector<Bytes> frames = lab_->received("b");
  ASSERT_EQ(frames.size(), 1U) << "rule 29: once more, as it was asked for";
  Bytes prefix = {3, 4, 64, 0xc0, 0, 0x27, 0x8d, 0, 0, 9, 0x3a, 0x80, 0, 0, 0, 0};
  prefix = join(prefix, address_bytes(ip6("2001:db8:2::")));
  NdPacket ra{.type = kRa,
              .source = *lab_->interface("b").link_local(),
              .destination = ip6("ff02::1"),
              .flags = 0x40000708};  // hop limit 64, no flags, 1,800 s
  ra.options =
      join(join(Bytes(8), link_option(1, lab_->mac("b"))), join({5, 1, 0, 0, 0, 0, 5, 0xdc}, prefix));
  EXPECT_TRUE(same(frame(group_mac(ip6("ff02::1")), lab_->mac("b"), ra), frames.front()));
  expect_frames({}, lab_->received("a"));
  lab_->must_apply(kOneLink);
}

// RFC 4861 6.2.4: only what is news to hosts begins the quick ones again.
TEST_F(Nd, Rfc4861_6_2_4_AConfigurationThatChangesNoAdvertisementSendsNone) {
  std::string yaml = kOneLink;
  yaml.insert(yaml.find("{device: @b") + 1, "router_advertisements: true, ");
  lab_->reset(yaml);
  lab_->advance(60);  // the quick ones are through
  lab_->settle();
  const auto advertised = [&] {
    lab_->advance(40);
    std::vector<Bytes> frames = lab_->received("b");
    std::erase_if(frames, [](const Bytes& f) { return f[kEthernet + 40] != kRa; });
    return frames.size();
  };
  std::string other = yaml;
  other.insert(other.find("device: @b"), "urpf: loose, ");
  ASSERT_TRUE(lab_->apply(other));
  EXPECT_EQ(advertised(), 0U) << "rule 29: nothing in it for hosts";
  other.insert(other.find("\"2001:db8:2::1/64\""), "\"2001:db8:3::1/64\", ");
  ASSERT_TRUE(lab_->apply(other));
  EXPECT_EQ(advertised(), 3U) << "rule 29: a new prefix";
  lab_->set_link("b", false);
  lab_->set_link("b", true);
  EXPECT_EQ(advertised(), 3U) << "rule 29: a link that came up";
}

TEST_F(Nd, Rfc4861_6_2_5_AnAdvertiserThatEndsSaysSo) {
  std::string yaml = kOneLink;
  yaml.insert(yaml.find("{device: @b") + 1, "router_advertisements: true, ");
  lab_->reset(yaml);
  lab_->advance(5);
  lab_->settle();
  ASSERT_TRUE(lab_->apply(kOneLink));
  lab_->run();
  std::vector<Bytes> frames = lab_->received("b");
  std::erase_if(frames, [](const Bytes& f) { return f[kEthernet + 40] != kRa; });
  ASSERT_EQ(frames.size(), 1U);
  EXPECT_EQ(get16(frames[0], kEthernet + 40 + 6), 0U) << "a lifetime of 0";
}

// RFC 6164: the two addresses of a /127 are two hosts.
TEST_F(Nd, Rfc6164_ALinkOfTwoAddresses) {
  std::string yaml = kOneLink;
  const std::string from = "2001:db8:2::1/64";
  yaml.replace(yaml.find(from), from.size(), "2001:db8:2::/127");
  lab_->reset(yaml);
  NdPacket ask = asks("2001:db8:2::");
  ask.source = ip6("2001:db8:2::1");
  verify(*lab_, "b",
         {"rule 30: its own address, all zeros, is answered for", from_b(ask),
          sent("b", tells("2001:db8:2::", "2001:db8:2::1"))});
  const Bytes packet = to("2001:db8:2::1");
  verify(*lab_, "a",
         {"rule 30: the other one is the neighbour", packet,
          sent("b", forwarded6(packet, kHostB, lab_->mac("b")))});
}

}  // namespace
}  // namespace millrace::behaviour
