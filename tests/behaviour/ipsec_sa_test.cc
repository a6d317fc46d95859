// IPsec's security associations over reloads, restarts and changes of keys.
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <set>

#include "ipsec_lab.h"

namespace millrace::behaviour {
namespace {

class IpsecSa : public IpsecLab {};

// Rule 33, and that no (key, IV) is seen twice.
TEST_F(IpsecSa, Rfc4106_3_1_NoNumberIsUsedAgainAfterARestart) {
  std::set<Bytes> ivs;
  for (unsigned restart = 0; restart < 3; ++restart) {
    with({});
    for (const Opened& each : opened(send("a", std::vector<Bytes>(20, from_a()), "b")))
      EXPECT_TRUE(ivs.insert(each.iv).second) << "restart " << restart << ", number " << each.number;
    LabTest::TearDown();  // the file stays
  }
  EXPECT_EQ(ivs.size(), 60U);
}

TEST_F(IpsecSa, AReloadLeavesAnSaAlone) {
  with({});
  expect_taken("the first", sealed(5));
  EXPECT_EQ(opened(send("a", {from_a()}, "b")).at(0).number, 1U);
  std::string other = config();
  other.replace(other.find("10.0.1.1/24"), 11, "10.0.1.9/24");
  lab_->must_apply(other);
  settings_.more = "      dscp: 7\n      hop_limit: 5\n";
  lab_->must_apply(config());
  expect_dropped("its window stays", sealed(5), DropReason::esp_replayed);
  EXPECT_EQ(opened(send("a", {from_a()}, "b")).at(0).number, 2U);
  settings_.more = "      replay_window: 64\n";
  const auto refused = lab_->apply(config());
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().find("an SA keeps its window"), std::string::npos) << refused.error();
}

// Rule 37.
TEST_F(IpsecSa, Rfc4301_ARekeyLosesNothing) {
  with({});
  const auto old_out = out_, old_in = in_;
  EXPECT_EQ(opened(send("a", {from_a()}, "b")).size(), 1U);
  expect_taken("by the old one", sealed(1));
  // 1. The new inbound SA is there beside the old one.
  const auto fresh_out = make_sa(0x1002, settings_.algorithm, true, 3),
             fresh_in = make_sa(0x2002, settings_.algorithm, true, 4);
  std::string both = config();
  const std::string old_entry = "{spi: 0x2001, key: " + old_in.key_text() + "}";
  both.insert(both.find(old_entry) + old_entry.size(), ", {spi: 0x2002, key: " + fresh_in.key_text() + "}");
  lab_->must_apply(both);
  expect_taken("still by the old one", sealed(2));
  expect_taken("by the new one", around(seal(fresh_in, to_a().bytes(), {})));
  // 2. The outbound one is swapped between two packets of a burst.
  const std::string old_out_text = "{spi: 0x1001, key: " + old_out.key_text() + "}";
  both.replace(both.find(old_out_text), old_out_text.size(),
               "{spi: 0x1002, key: " + fresh_out.key_text() + "}");
  for (unsigned i = 0; i < 10; ++i) lab_->send("a", from_a());
  lab_->step();
  lab_->must_apply(both);
  out_ = fresh_out;
  const auto out = opened(send("a", {from_a()}, "b"));
  ASSERT_EQ(out.size(), 1U);
  EXPECT_EQ(out[0].spi, 0x1002U);
  EXPECT_EQ(out[0].number, 1U);
  // 3. The old inbound one goes.
  both.erase(both.find(old_entry), old_entry.size() + 2);
  lab_->must_apply(both);
  expect_dropped("it is gone", sealed(3), DropReason::esp_unknown_sa);
  EXPECT_EQ(lab_->control().totals(lab_->interface("ipsec0").id).tx_packets, 12U)
      << "the tunnel's counters go on";
}

TEST_F(IpsecSa, Rfc4303_3_3_3_AnSaEndsBeforeItsNumbersWrap) {
  prepare({.esn = false});
  start(config());
  EXPECT_EQ(opened(send("a", {from_a()}, "b")).size(), 1U);
  const auto& all = lab_->control().tunnels().all();
  dataplane::OutboundSa& sa = *all.at("ipsec0").out->sa;
  sa.sa.sequence = esp::SequenceCounter(false, 0xffff'fffd);
  EXPECT_EQ(opened(send("a", std::vector<Bytes>(5, from_a()), "b")).size(), 2U);
  EXPECT_EQ(lab_->dropped(DropReason::esp_exhausted), 3U);
}

TEST_F(IpsecSa, AnSaIsItsOwnersWhoeverReceives) {
  LabOptions options;
  options.workers = 2;
  options.rx_queues = 2;
  options.tx_queues = 3;
  with({}, options);
  for (unsigned queue = 0; queue < 2; ++queue) {
    for (unsigned i = 0; i < 5; ++i) {
      lab_->send("a", from_a(), {}, queue);
      lab_->send("b", sealed(1 + 5 * queue + i), {}, queue);
    }
  }
  lab_->run();
  const auto out = opened(lab_->received("b"));
  std::set<std::uint32_t> numbers;
  for (const Opened& each : out) numbers.insert(each.number);
  EXPECT_EQ(numbers, (std::set<std::uint32_t>{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}));
  EXPECT_EQ(lab_->received("a").size(), 10U);
  EXPECT_EQ(lab_->control().accounting().difference(), 0);
}

TEST_F(IpsecSa, AKeyMayBeInAFileThatOthersCannotRead) {
  prepare({});
  const std::filesystem::path file = state_ + ".key";
  const auto write = [&](const std::string& text, std::filesystem::perms mode) {
    std::ofstream(file) << text;
    std::filesystem::permissions(file, mode);
  };
  using std::filesystem::perms;
  constexpr perms kPrivate = perms::owner_read | perms::owner_write;
  std::string text = config();
  const std::string key = "key: " + out_.key_text();
  text.replace(text.find(key), key.size(), "key_file: " + file.string());
  start("ipsec: {state: " + state_ + "}");
  const auto error_of = [&](const std::string& content, perms mode) {
    write(content, mode);
    const auto applied = lab_->apply(text);
    return applied ? std::string() : applied.error();
  };
  EXPECT_NE(error_of(out_.key_text(), kPrivate | perms::others_read).find("others may not read"),
            std::string::npos);
  EXPECT_NE(error_of(out_.key_text() + "00", kPrivate).find("a key of aes-128-gcm has 20 bytes, not 21"),
            std::string::npos);
  EXPECT_NE(error_of("secret", kPrivate).find("holds no key"), std::string::npos);
  EXPECT_NE(error_of(in_.key_text(), kPrivate).find("another SA has one of its keys"), std::string::npos);
  EXPECT_EQ(error_of(out_.key_text() + "\n", kPrivate), "");
  lab_->advance(3);  // the interfaces are new
  lab_->settle();
  EXPECT_EQ(opened(send("a", {from_a()}, "b")).size(), 1U);
  // It is read when the SA is new, and not for other changes.
  std::filesystem::remove(file);
  std::string other = text;
  other.replace(other.find("10.0.1.1/24"), 11, "10.0.1.9/24");
  EXPECT_TRUE(lab_->apply(other));
}

TEST_F(IpsecSa, AStateFileThatIsDamagedIsNoneThatIsEmpty) {
  prepare({});
  std::ofstream(state_) << "{\"reserved\": {\"00\": 1}}";
  start("ipsec: {state: " + state_ + "}");
  const auto applied = lab_->apply(config());
  ASSERT_FALSE(applied);
  EXPECT_NE(applied.error().find("is damaged"), std::string::npos) << applied.error();
  std::filesystem::remove(state_);
  EXPECT_TRUE(lab_->apply(config()));
}

// What is told of SAs: "out 0x1001 soft packets".
std::vector<std::string> told(Lab& lab) {
  std::vector<std::string> all;
  for (const controlplane::SaEvent& event : lab.control().tunnels().events().all()) {
    EXPECT_EQ(event.number, all.size() + 1);
    EXPECT_EQ(event.interface, "ipsec0");
    all.push_back((event.outbound ? "out " : "in ") + std::to_string(event.spi) +
                  (event.kind == controlplane::SaEvent::Kind::soft ? " soft " : " hard ") + event.limit);
  }
  return all;
}
using Told = std::vector<std::string>;

// Rule 37: RFC 4301 4.4.2.1.
TEST_F(IpsecSa, Rfc4301_4_4_2_1_PacketsOfALifetimeAreCounted) {
  with({.more = "      lifetime: {soft: {packets: 3}, hard: {packets: 5}}\n"});
  const auto send_some = [&](unsigned count) {
    return send("a", std::vector<Bytes>(count, from_a()), "b").size();
  };
  EXPECT_EQ(send_some(2), 2U);
  lab_->advance(1);
  EXPECT_EQ(told(*lab_), Told{});
  EXPECT_EQ(send_some(1), 1U);
  lab_->advance(1);
  EXPECT_EQ(told(*lab_), (Told{"out 4097 soft packets"}));
  EXPECT_EQ(send_some(9), 2U) << "not one more than it may, before anybody looks";
  EXPECT_EQ(lab_->dropped(DropReason::esp_exhausted), 7U);
  lab_->advance(1);
  EXPECT_EQ(told(*lab_), (Told{"out 4097 soft packets", "out 4097 hard packets"}));
  EXPECT_EQ(send_some(1), 0U);
  EXPECT_EQ(lab_->dropped(DropReason::esp_no_sa), 1U);
  for (std::uint64_t number = 1; number <= 5; ++number) expect_taken("inbound", sealed(number));
  lab_->advance(1);
  EXPECT_EQ(told(*lab_).size(), 4U);
  EXPECT_EQ(told(*lab_).back(), "in 8193 hard packets");
  expect_dropped("it has ended", sealed(6), DropReason::esp_unknown_sa);
  lab_->advance(100);
  EXPECT_EQ(told(*lab_).size(), 4U) << "each is told once";
}

TEST_F(IpsecSa, Rfc4301_4_4_2_1_BytesAndTimeOfALifetimeAreCounted) {
  const std::size_t bytes = Ipv4Packet{}.bytes().size();
  with({.more = "      lifetime: {soft: {bytes: " + std::to_string(2 * bytes) +
                "}, hard: {bytes: " + std::to_string(3 * bytes) + ", time: 50s}}\n"});
  EXPECT_EQ(send("a", {from_a(), from_a()}, "b").size(), 2U);
  lab_->advance(1);
  EXPECT_EQ(told(*lab_), (Told{"out 4097 soft bytes"}));
  EXPECT_EQ(send("a", {from_a()}, "b").size(), 1U);
  lab_->advance(1);
  EXPECT_EQ(told(*lab_), (Told{"out 4097 soft bytes", "out 4097 hard bytes"}));
  expect_taken("before its time", sealed(1));
  lab_->advance(49);
  EXPECT_EQ(told(*lab_).back(), "in 8193 hard time");
  expect_dropped("after it", sealed(2), DropReason::esp_unknown_sa);
  // Others take their place.
  out_ = make_sa(0x1002, settings_.algorithm, settings_.esn, 3);
  in_ = make_sa(0x2002, settings_.algorithm, settings_.esn, 4);
  std::string next = config();
  for (const auto& [from, to] : {std::pair("spi: 0x1001", "spi: 0x1002"), {"spi: 0x2001", "spi: 0x2002"}})
    next.replace(next.find(from), std::string(from).size(), to);
  lab_->must_apply(next);
  EXPECT_EQ(send("a", {from_a()}, "b").size(), 1U);
  expect_taken("by the new one", sealed(1));
}

TEST_F(IpsecSa, AReloadDoesNotBeginALifetimeAnew) {
  with({.more = "      lifetime: {hard: {packets: 3, time: 60s}}\n"});
  EXPECT_EQ(send("a", {from_a(), from_a()}, "b").size(), 2U);
  lab_->advance(50);
  settings_.more += "      hop_limit: 7\n";
  ASSERT_TRUE(lab_->apply(config()));
  EXPECT_EQ(send("a", {from_a(), from_a()}, "b").size(), 1U);
  lab_->advance(11);
  EXPECT_EQ(told(*lab_), (Told{"out 4097 hard packets", "in 8193 hard time"}));
  ASSERT_TRUE(lab_->apply(config()));
  EXPECT_EQ(send("a", {from_a()}, "b").size(), 0U) << "what has ended has";
}

// Rule 36: RFC 3948 4.
TEST_F(IpsecSa, Rfc3948_4_AKeepaliveLeavesWhenNothingElseDoes) {
  with({.more = "      udp: {remote_port: 40000, keepalive: 20s}\n"});
  lab_->advance(15);
  EXPECT_EQ(send("a", {from_a()}, "b").size(), 1U);
  lab_->advance(15);
  EXPECT_TRUE(lab_->received("b").empty()) << "something did leave";
  lab_->advance(10);
  const auto frames = lab_->received("b");
  ASSERT_EQ(frames.size(), 1U);
  Bytes udp_header(8);
  put16(udp_header, 0, 4500);
  put16(udp_header, 2, 40000);
  put16(udp_header, 4, 9);
  EXPECT_TRUE(same(join(udp_header, {0xff}), slice(frames[0], kEthernet + 20, 9)));
  EXPECT_EQ(get32(frames[0], kEthernet + 16), ip("10.0.2.2").value());
  lab_->advance(10);
  EXPECT_TRUE(lab_->received("b").empty());
  lab_->advance(15);
  EXPECT_EQ(lab_->received("b").size(), 1U);
}

}  // namespace
}  // namespace millrace::behaviour
