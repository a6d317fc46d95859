#include "lpm/ipv4_table.h"

#include <gtest/gtest.h>
#include <rte_rcu_qsbr.h>
#include <zlib.h>

#include <array>
#include <cstdlib>
#include <memory>
#include <vector>

#include "tests/unit/lpm_oracle.h"

namespace millrace::lpm {
namespace {

Ipv4Prefix operator""_p(const char* text, std::size_t size) {
  return *Ipv4Prefix::parse({text, size});
}
Ipv4Address operator""_a(const char* text, std::size_t size) {
  return *Ipv4Address::parse({text, size});
}

void give_back(Reclaimer& reclaimer) {
  while (reclaimer.poll() != 0) {
  }
}

class Ipv4TableTest : public testing::Test {
 protected:
  // What is retired names the table: it comes back before the table goes.
  ~Ipv4TableTest() override { give_back(reclaimer_); }
  void make(std::uint32_t max_groups = 1 << 16) {
    table_ = std::make_unique<Ipv4TableBuilder>(reclaimer_,
                                                Ipv4TableBuilder::Limits{max_groups, Pages::transparent});
  }
  bool insert(Ipv4Prefix prefix, std::uint32_t id) { return bool(table_->insert(prefix, NextHopId(id), 1)); }
  bool erase(Ipv4Prefix prefix) { return table_->erase(prefix, 1); }
  std::uint32_t lookup(Ipv4Address address) const { return table_->lookup().lookup(address.value()).value(); }

  Reclaimer reclaimer_{1};
  std::unique_ptr<Ipv4TableBuilder> table_;
};

TEST_F(Ipv4TableTest, EqualsTheOracleUnderRandomChanges) {
  Random random;
  make();
  LpmOracle oracle;
  for (unsigned step = 0; step < 6000 && !HasFailure(); ++step) {
    const unsigned removals = step / 1000 % 2 == 0 ? 3 : 6;
    Ipv4Prefix prefix = random_prefix(random);
    if (random.below(10) >= removals) {
      const NextHopId id(random.chance(10) ? entry::kIdMask : 1 + random.below(50));
      ASSERT_TRUE(insert(prefix, id.value()));
      oracle.rules[prefix] = id;
    } else {
      if (const auto at = oracle.rules.lower_bound(prefix); at != oracle.rules.end()) prefix = at->first;
      ASSERT_EQ(erase(prefix), oracle.rules.erase(prefix) == 1);
    }
    ASSERT_EQ(table_->size(), oracle.rules.size());
    for (int i = 0; i < 4; ++i) {
      const Ipv4Address address = random_address_near(random, i == 0 ? prefix : random_prefix(random));
      ASSERT_EQ(NextHopId(lookup(address)), oracle.match(address).second)
          << address.to_string() << " at step " << step;
    }
    if (random.chance(4)) reclaimer_.poll();
  }
}

TEST_F(Ipv4TableTest, EqualsTheOracleOnEveryAddressOfAGroup) {
  Random random;
  make();
  LpmOracle oracle;
  for (unsigned step = 0; step < 400 && !HasFailure(); ++step) {
    const Ipv4Prefix prefix(Ipv4Address(0x0a010200 + random.below(256)), 20 + random.below(13));
    if (random.below(10) < 6) {
      ASSERT_TRUE(insert(prefix, 1 + step));
      oracle.rules[prefix] = NextHopId(1 + step);
    } else {
      ASSERT_EQ(erase(prefix), oracle.rules.erase(prefix) == 1);
    }
    for (std::uint32_t address = 0x0a0101f0; address < 0x0a010310; ++address) {
      ASSERT_EQ(NextHopId(lookup(Ipv4Address(address))), oracle.match(Ipv4Address(address)).second)
          << Ipv4Address(address).to_string() << " at step " << step;
    }
  }
}

TEST_F(Ipv4TableTest, ShortPrefixesLiveInTopAndGiveWayToLongerOnes) {
  make();
  ASSERT_TRUE(insert("0.0.0.0/0"_p, 1));
  ASSERT_TRUE(insert("8.0.0.0/5"_p, 2));
  ASSERT_TRUE(insert("10.0.0.0/7"_p, 3));
  ASSERT_TRUE(insert("10.0.0.0/8"_p, 4));
  ASSERT_TRUE(insert("10.1.2.3/32"_p, 5));
  const auto expect = [&](std::array<std::uint32_t, 5> ids) {
    EXPECT_EQ(lookup("200.0.0.1"_a), ids[0]);
    EXPECT_EQ(lookup("15.255.255.255"_a), ids[1]);
    EXPECT_EQ(lookup("11.0.0.0"_a), ids[2]);
    EXPECT_EQ(lookup("10.255.0.0"_a), ids[3]);
    EXPECT_EQ(lookup("10.1.2.3"_a), ids[4]);
  };
  expect({1, 2, 3, 4, 5});
  EXPECT_TRUE(erase("10.0.0.0/7"_p));
  expect({1, 2, 2, 4, 5});
  EXPECT_TRUE(erase("10.0.0.0/8"_p));
  expect({1, 2, 2, 2, 5});
  EXPECT_TRUE(erase("0.0.0.0/0"_p));
  expect({0, 2, 2, 2, 5});
  EXPECT_TRUE(erase("8.0.0.0/5"_p));
  expect({0, 0, 0, 0, 5});
  EXPECT_TRUE(erase("10.1.2.3/32"_p));
  expect({0, 0, 0, 0, 0});
}

TEST_F(Ipv4TableTest, RefusesIdsOutOfRange) {
  make();
  EXPECT_FALSE(insert("10.0.0.0/8"_p, 0)) << "that is \"no route\"";
  EXPECT_FALSE(insert("10.0.0.0/8"_p, entry::kIdMask + 1));
  EXPECT_FALSE(insert("10.0.0.0/32"_p, 0xffffffff));
  EXPECT_EQ(table_->size(), 0U);
  EXPECT_EQ(table_->groups_used(), 0U);
  EXPECT_TRUE(insert("10.0.0.0/8"_p, entry::kIdMask));
  EXPECT_EQ(lookup("10.0.0.1"_a), entry::kIdMask);
}

TEST_F(Ipv4TableTest, WithoutAGroupLeftAnInsertIsACleanError) {
  make(2);
  ASSERT_TRUE(insert("10.0.0.0/16"_p, 1));
  ASSERT_TRUE(insert("10.0.1.128/25"_p, 2));
  ASSERT_TRUE(insert("10.0.2.128/25"_p, 3));
  const auto failed = table_->insert("10.0.3.128/25"_p, NextHopId(4), 1);
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error(), "no room for 10.0.3.128/25: all 2 tbl8 groups are in use");
  EXPECT_EQ(table_->failed_inserts(), 1U);
  EXPECT_EQ(table_->size(), 3U);
  EXPECT_EQ(table_->find("10.0.3.128/25"_p), nullptr);
  EXPECT_EQ(lookup("10.0.3.128"_a), 1U) << "the covering route goes on";
  EXPECT_TRUE(insert("10.0.1.200/32"_p, 5)) << "a /24 that has its group takes more";
  EXPECT_TRUE(insert("10.0.2.128/25"_p, 6)) << "and changes";
  EXPECT_EQ(lookup("10.0.2.130"_a), 6U);
  EXPECT_TRUE(insert("10.0.3.0/24"_p, 7)) << "what needs no group is taken";
}

TEST_F(Ipv4TableTest, GroupsFoldBackWhenTheirLastLongPrefixGoes) {
  make();
  ASSERT_TRUE(insert("10.0.0.0/8"_p, 1));
  for (std::uint32_t i = 0; i < 100; ++i)
    ASSERT_TRUE(insert(Ipv4Prefix(Ipv4Address(0x0a000000 + i * 256 + 7), 32), 2));
  EXPECT_EQ(table_->groups_used(), 100U);
  for (std::uint32_t i = 0; i < 100; ++i)
    ASSERT_TRUE(erase(Ipv4Prefix(Ipv4Address(0x0a000000 + i * 256 + 7), 32)));
  reclaimer_.poll();
  EXPECT_EQ(table_->groups_used(), 0U);
  EXPECT_EQ(lookup("10.0.5.7"_a), 1U);
}

TEST_F(Ipv4TableTest, AGroupThatShortPrefixesCoverFoldsWhateverTheOrder) {
  make();
  // The /24 and the default come while the group is there, and go again.
  ASSERT_TRUE(insert("10.0.0.9/32"_p, 9));
  ASSERT_TRUE(insert("10.0.0.0/24"_p, 24));
  ASSERT_TRUE(insert("0.0.0.0/0"_p, 1));
  EXPECT_EQ(lookup("10.0.0.8"_a), 24U);
  ASSERT_TRUE(erase("10.0.0.0/24"_p));
  EXPECT_EQ(lookup("10.0.0.8"_a), 1U);
  EXPECT_EQ(lookup("10.0.0.9"_a), 9U);
  ASSERT_TRUE(erase("10.0.0.9/32"_p));
  EXPECT_EQ(lookup("10.0.0.9"_a), 1U);
  reclaimer_.poll();
  EXPECT_EQ(table_->groups_used(), 0U);
}

TEST_F(Ipv4TableTest, AGroupIsUsedAgainOnlyAfterAGracePeriod) {
  make(1);
  reclaimer_.register_worker(0);
  ASSERT_TRUE(insert("10.0.0.1/32"_p, 1));
  ASSERT_TRUE(erase("10.0.0.1/32"_p));
  reclaimer_.poll();
  EXPECT_FALSE(insert("10.0.1.1/32"_p, 2)) << "a worker may still read the group";
  EXPECT_EQ(lookup("10.0.1.1"_a), 0U);
  rte_rcu_qsbr_quiescent(reclaimer_.qsbr(), 0);
  EXPECT_FALSE(insert("10.0.1.1/32"_p, 2)) << "it comes back at a poll, not before";
  EXPECT_EQ(reclaimer_.poll(), 1U);
  EXPECT_TRUE(insert("10.0.1.1/32"_p, 2));
  EXPECT_EQ(lookup("10.0.1.1"_a), 2U);
  EXPECT_EQ(lookup("10.0.1.2"_a), 0U) << "nothing of its former life is left";
  EXPECT_EQ(lookup("10.0.0.1"_a), 0U);
  reclaimer_.unregister_worker(0);
}

TEST_F(Ipv4TableTest, EraseOfWhatIsNotThereChangesNothing) {
  make();
  ASSERT_TRUE(insert("10.0.0.0/16"_p, 1));
  EXPECT_FALSE(erase("10.0.0.0/15"_p));
  EXPECT_FALSE(erase("10.0.0.0/17"_p));
  EXPECT_FALSE(erase("10.0.0.0/30"_p));
  EXPECT_EQ(lookup("10.0.0.1"_a), 1U);
  EXPECT_EQ(table_->groups_used(), 0U);
}

TEST_F(Ipv4TableTest, ABatchOfAnySizeAnswersAsSingleLookupsDo) {
  Random random;
  make();
  std::vector<Ipv4Prefix> prefixes;
  for (std::uint32_t i = 0; i < 300; ++i) {
    prefixes.push_back(random_prefix(random));
    ASSERT_TRUE(insert(prefixes.back(), 1 + i));
  }
  for (const std::size_t size : {0U, 1U, 2U, 3U, 31U, 32U, 33U, 63U, 64U, 65U, 97U, 256U, 1001U}) {
    std::vector<std::uint32_t> addresses(size);
    for (auto& a : addresses)
      a = random_address_near(random, prefixes[random.below(prefixes.size())]).value();
    std::vector<NextHopId> answers(size + 1, NextHopId(0xabcd));
    table_->lookup().lookup(addresses, answers.data());
    for (std::size_t i = 0; i < size; ++i) {
      ASSERT_EQ(answers[i].value(), lookup(Ipv4Address(addresses[i]))) << "place " << i << " of " << size;
    }
    EXPECT_EQ(answers[size], NextHopId(0xabcd)) << "nothing is written behind the last one";
  }
}

// --- the Internet's table of 2024
// -----------------------------------------------------------------------------------

std::vector<std::pair<Ipv4Prefix, NextHopId>> read_full_table() {
  std::vector<std::pair<Ipv4Prefix, NextHopId>> routes;
  gzFile file = gzopen(MILLRACE_SOURCE_DIR "/tests/data/v4-2024-prefix-nhidx.txt.gz", "rb");
  if (file == nullptr) return routes;
  std::array<char, 128> line;
  while (gzgets(file, line.data(), line.size()) != nullptr) {
    const std::string_view text(line.data());
    const auto space = text.find(' ');
    const auto prefix = Ipv4Prefix::parse(text.substr(0, space));
    if (prefix) routes.emplace_back(*prefix, std::strtoul(line.data() + space, nullptr, 10));
  }
  gzclose(file);
  return routes;
}

// Match by asking the map for every length.
NextHopId match_by_length(const std::map<Ipv4Prefix, NextHopId>& rules, Ipv4Address address) {
  for (int length = 32; length >= 0; --length) {
    const auto at = rules.find({address, static_cast<unsigned>(length)});
    if (at != rules.end()) return at->second;
  }
  return kNoRoute;
}

TEST_F(Ipv4TableTest, HoldsTheWholeInternetTable) {
  Random random;
  make();
  auto routes = read_full_table();
  ASSERT_EQ(routes.size(), 901'899U);
  for (const auto& [prefix, id] : routes) ASSERT_TRUE(table_->insert(prefix, id, 1));
  EXPECT_EQ(table_->size(), routes.size());
  std::map<Ipv4Prefix, NextHopId> rules(routes.begin(), routes.end());
  const auto expect_equal = [&](int samples) {
    for (int i = 0; i < samples; ++i) {
      const Ipv4Address address = random_address_near(random, routes[random.below(routes.size())].first);
      ASSERT_EQ(NextHopId(lookup(address)), match_by_length(rules, address)) << address.to_string();
    }
  };
  expect_equal(100'000);
  // Take a random half out again.
  for (std::size_t i = 0; i < routes.size() / 2; ++i) {
    std::swap(routes[i], routes[i + random.below(routes.size() - i)]);
    ASSERT_TRUE(erase(routes[i].first));
    rules.erase(routes[i].first);
  }
  EXPECT_EQ(table_->size(), rules.size());
  expect_equal(100'000);
  for (const auto& [prefix, id] : rules) ASSERT_TRUE(erase(prefix));
  give_back(reclaimer_);
  EXPECT_EQ(table_->groups_used(), 0U);
  for (int i = 0; i < 10'000; ++i) ASSERT_EQ(lookup(Ipv4Address(random.bits())), 0U);
}

}  // namespace
}  // namespace millrace::lpm
