// Which own addresses are used, and from when on (RFC 4862 5.4).
#include "controlplane/dad.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "tests/unit/table_fixture.h"

namespace millrace::controlplane {
namespace {

using State = Dad::State;

constexpr std::uint64_t kMs = 1'000'000;
const Ipv6Address kGlobal = *Ipv6Address::parse("2001:db8::1");
const Ipv6Address kSecond = *Ipv6Address::parse("2001:db8:1::1");

class DadTest : public TableFixture {
 protected:
  DadTest() {
    dad_.set_hooks({[this](const Interface& on, Ipv6Address own) { probes_.emplace_back(on.id, own); },
                    [this](const Interface& on, Ipv6Address own) { unique_.emplace_back(on.id, own); }});
    configure(*wan_, {kGlobal});
    own_ = *wan_->link_local();
  }
  static void configure(Interface& interface, const std::vector<Ipv6Address>& addresses) {
    interface.config.addresses.ipv6.clear();
    for (const Ipv6Address& address : addresses) interface.config.addresses.ipv6.push_back({address, 64});
  }
  void tick_at(std::uint64_t ms) {
    dad_.set_time(kStart + ms * kMs);
    dad_.tick();
  }
  void make_preferred() {
    dad_.sync(*wan_);
    tick_at(0);
    tick_at(1000);
    ASSERT_EQ(state(kGlobal), State::preferred);
  }
  [[nodiscard]] State state(Ipv6Address own) const { return dad_.state(wan_->id, own); }
  using Log = std::vector<std::pair<InterfaceId, Ipv6Address>>;
  [[nodiscard]] Log on_wan(const std::vector<Ipv6Address>& addresses) const {
    Log log;
    for (const Ipv6Address& address : addresses) log.emplace_back(wan_->id, address);
    return log;
  }
  static Log sorted(Log log) {
    std::ranges::sort(log);
    return log;
  }

  static constexpr std::uint64_t kStart = 1'000'000'000'000;
  Dad dad_{interfaces_};
  Log probes_;
  Log unique_;
  Ipv6Address own_;  // link-local
};

// Rule 28.
TEST_F(DadTest, Rfc4862_5_4_2_OneProbeForEachAddress) {
  dad_.sync(*wan_);
  EXPECT_EQ(probes_, on_wan({own_, kGlobal}));
  dad_.sync(*wan_);
  for (std::uint64_t ms = 0; ms <= 5000; ms += 100) tick_at(ms);
  EXPECT_EQ(probes_.size(), 2U) << "DupAddrDetectTransmits is 1";
  configure(*wan_, {kGlobal, kSecond});
  dad_.sync(*wan_);
  EXPECT_EQ(probes_, on_wan({own_, kGlobal, kSecond})) << "one that is new";
  EXPECT_EQ(state(kGlobal), State::preferred);
  EXPECT_EQ(state(kSecond), State::tentative);
}

// Rule 28.
TEST_F(DadTest, Rfc4862_5_4_UniqueAfterASecond) {
  dad_.sync(*wan_);
  tick_at(0);
  tick_at(999);
  EXPECT_EQ(state(kGlobal), State::tentative);
  EXPECT_TRUE(unique_.empty());
  tick_at(1000);
  EXPECT_EQ(state(kGlobal), State::preferred);
  EXPECT_EQ(state(own_), State::preferred);
  for (std::uint64_t ms = 1100; ms < 5000; ms += 100) tick_at(ms);
  EXPECT_EQ(sorted(unique_), sorted(on_wan({own_, kGlobal}))) << "told once";
}

// A configuration is applied in one go, ports and a full table with it: what that takes is no time to answer
// in.
TEST_F(DadTest, TheSecondBeginsWithTheFirstTick) {
  dad_.set_time(kStart);
  dad_.sync(*wan_);
  tick_at(7000);
  EXPECT_EQ(state(kGlobal), State::tentative);
  tick_at(7999);
  EXPECT_EQ(state(kGlobal), State::tentative);
  tick_at(8000);
  EXPECT_EQ(state(kGlobal), State::preferred);
}

// Rule 28.
TEST_F(DadTest, Rfc4862_5_4_5_AConflictWhileTentativeEndsTheAddressForGood) {
  dad_.sync(*wan_);
  tick_at(0);
  dad_.conflict(*wan_, kGlobal);
  for (std::uint64_t ms = 0; ms <= 60'000; ms += 500) tick_at(ms);
  dad_.sync(*wan_);
  EXPECT_EQ(state(kGlobal), State::duplicate);
  EXPECT_FALSE(dad_.may_answer(kGlobal, wan_->id));
  EXPECT_EQ(state(own_), State::preferred) << "the others are used";
  EXPECT_EQ(unique_, on_wan({own_}));
  EXPECT_EQ(probes_.size(), 2U);
}

// Rule 28.
TEST_F(DadTest, Rfc4862_5_4_OnlyATentativeAddressOfThatLinkCanBeADuplicate) {
  make_preferred();
  dad_.conflict(*wan_, kGlobal);
  EXPECT_EQ(state(kGlobal), State::preferred);
  dad_.conflict(*wan_, kSecond);
  EXPECT_EQ(state(kSecond), State::tentative) << "not ours";
  configure(*lan_, {kSecond});
  dad_.sync(*lan_);
  dad_.conflict(*wan_, kSecond);
  EXPECT_EQ(dad_.state(lan_->id, kSecond), State::tentative) << "of another link";
}

// Rule 28.
TEST_F(DadTest, Rfc4862_5_4_AllBeginsAnewWhenTheLinkComesUpAgain) {
  dad_.sync(*wan_);
  tick_at(0);
  dad_.conflict(*wan_, kGlobal);
  tick_at(1000);
  probes_.clear();
  wan_->up = false;
  dad_.sync(*wan_);
  EXPECT_EQ(state(own_), State::tentative);
  EXPECT_TRUE(probes_.empty());
  wan_->up = true;
  dad_.sync(*wan_);
  EXPECT_EQ(probes_, on_wan({own_, kGlobal})) << "the duplicate, too";
  tick_at(2000);
  tick_at(3000);
  EXPECT_EQ(state(kGlobal), State::preferred);
}

TEST_F(DadTest, AddressesThatGoAreForgottenAndAreNewWhenTheyComeBack) {
  dad_.sync(*wan_);
  tick_at(0);
  dad_.conflict(*wan_, kGlobal);
  configure(*wan_, {});
  dad_.sync(*wan_);
  EXPECT_EQ(state(kGlobal), State::tentative);
  tick_at(1000);
  EXPECT_EQ(state(own_), State::preferred) << "what stays goes on";
  configure(*wan_, {kGlobal});
  dad_.sync(*wan_);
  tick_at(1100);
  tick_at(2100);
  EXPECT_EQ(state(kGlobal), State::preferred);
  dad_.stop(wan_->id);
  EXPECT_EQ(state(kGlobal), State::tentative);
}

// A thousand interfaces may come at once: the way to a worker has to have room for other frames.
TEST_F(DadTest, NoMoreMessagesThanAFewAtATickAndNoneIsForgotten) {
  std::vector<Ipv6Address> many;
  for (unsigned i = 1; i <= 2 * Dad::kMessagesPerTick; ++i)
    many.push_back(*Ipv6Address::parse("2001:db8::" + std::to_string(i)));
  configure(*wan_, many);
  many.push_back(own_);
  dad_.sync(*wan_);
  EXPECT_EQ(probes_.size(), Dad::kMessagesPerTick);
  for (unsigned tick = 0; tick < 4; ++tick) {
    const std::size_t before = probes_.size();
    tick_at(tick * 5);
    EXPECT_LE(probes_.size(), before + Dad::kMessagesPerTick);
  }
  EXPECT_EQ(sorted(probes_), sorted(on_wan(many)));
  tick_at(999);
  EXPECT_TRUE(unique_.empty());
  for (unsigned tick = 0; tick < 5; ++tick) {
    const std::size_t before = unique_.size();
    tick_at(1015 + tick * 5);
    EXPECT_LE(unique_.size(), before + Dad::kMessagesPerTick);
  }
  EXPECT_EQ(sorted(unique_), sorted(on_wan(many)));
}

TEST_F(DadTest, AnAddressIsUniqueASecondBehindItsProbe) {
  std::vector<Ipv6Address> many;
  for (unsigned i = 1; i <= Dad::kMessagesPerTick; ++i)
    many.push_back(*Ipv6Address::parse("2001:db8::" + std::to_string(i)));
  configure(*wan_, many);
  dad_.sync(*wan_);
  const Ipv6Address last = many.back();
  EXPECT_EQ(std::ranges::count(probes_, std::pair(wan_->id, last)), 0) << "it has to wait";
  tick_at(500);
  EXPECT_EQ(std::ranges::count(probes_, std::pair(wan_->id, last)), 1);
  tick_at(1499);
  EXPECT_EQ(state(last), State::tentative);
  tick_at(1500);
  tick_at(1505);
  EXPECT_EQ(state(last), State::preferred);
}

TEST_F(DadTest, InterfacesWithoutIpv6HaveNothingToProbeFor) {
  wan_->config.mtu = 1279;
  dad_.sync(*wan_);
  lan_->config.loopback = true;
  dad_.sync(*lan_);
  EXPECT_TRUE(probes_.empty());
}

// Another link's address is answered for, too, once it is unique there or as long as that link is down; a
// link-local one belongs to its own link alone.
TEST_F(DadTest, MayAnswerForWhatIsUniqueWhereverItIs) {
  configure(*lan_, {kSecond});
  dad_.sync(*wan_);
  EXPECT_TRUE(dad_.may_answer(kSecond, wan_->id)) << "its link is down, or it has none";
  dad_.sync(*lan_);
  EXPECT_FALSE(dad_.may_answer(kSecond, wan_->id)) << "tentative on the other link";
  EXPECT_FALSE(dad_.may_answer(own_, wan_->id));
  EXPECT_TRUE(dad_.may_answer(own_, lan_->id)) << "on this link nobody probes for it";
  tick_at(0);
  tick_at(1000);
  EXPECT_TRUE(dad_.may_answer(kSecond, wan_->id));
  EXPECT_TRUE(dad_.may_answer(own_, wan_->id));
}

}  // namespace
}  // namespace millrace::controlplane
