// The tables of both families, in every layout and every form of their code, against a naive look.
#include "lpm/table.h"

#include <gtest/gtest.h>
#include <rte_rcu_qsbr.h>

#include <array>
#include <memory>
#include <vector>

#include "tests/unit/full_table.h"
#include "tests/unit/lpm_oracle.h"

namespace millrace::lpm {
namespace {

Ipv4Prefix operator""_p(const char* text, std::size_t size) {
  return *Ipv4Prefix::parse({text, size});
}
Ipv4Address operator""_a(const char* text, std::size_t size) {
  return *Ipv4Address::parse({text, size});
}
Ipv6Prefix operator""_p6(const char* text, std::size_t size) {
  return *Ipv6Prefix::parse({text, size});
}
Ipv6Address operator""_a6(const char* text, std::size_t size) {
  return *Ipv6Address::parse({text, size});
}

// Sanitizers are for what can be seen in fewer steps.
#if defined(MILLRACE_SANITIZED)
constexpr unsigned kSlower = 20;
#else
constexpr unsigned kSlower = 1;
#endif

void give_back(Reclaimer& reclaimer) {
  while (reclaimer.poll() != 0) {
  }
}

std::uint32_t batched(Ipv4Address a) {
  return a.value();
}
Ipv6Address batched(Ipv6Address a) {
  return a;
}

template <class TableType>
class TableTest : public testing::Test {
 public:
  using Table = TableType;
  using Prefix = typename Table::Prefix;
  using Address = typename Prefix::Address;

  // What is retired names the table: it comes back before the table goes.
  ~TableTest() override { give_back(reclaimer_); }
  void make(std::uint32_t max_groups = 1 << 20) {
    table_ = std::make_unique<Table>(reclaimer_, TableLimits{max_groups, Pages::transparent});
  }
  bool insert(Prefix prefix, std::uint32_t id) { return bool(table_->insert(prefix, NextHopId(id), 1)); }
  bool erase(Prefix prefix) { return table_->erase(prefix, 1); }
  std::uint32_t lookup(Address address) const { return table_->lookup().lookup(address).value(); }
  std::size_t groups() const { return table_->statistics().groups; }
  void share_all() {
    while (table_->maintain(64, 1)) {
    }
  }
  static Prefix any_prefix(Random& random) {
    if constexpr (Address::kBits == 32) {
      return random_prefix(random);
    } else {
      return random_ipv6_prefix(random);
    }
  }

  // Every form of the code, and one by one.
  void expect_answers(const std::vector<Address>& addresses, const LengthOracle<Prefix>& oracle) {
    std::vector<typename Lookup<Address>::Batched> batch;
    for (const Address a : addresses) batch.push_back(batched(a));
    std::vector<NextHopId> expected, answers(batch.size());
    for (const Address a : addresses) expected.push_back(oracle.match(a));
    for (const Isa isa : kIsas) {
      if (!supported(isa)) continue;
      table_->lookup_by(isa).lookup(batch, answers.data());
      for (std::size_t i = 0; i < batch.size(); ++i) {
        ASSERT_EQ(answers[i], expected[i]) << addresses[i].to_string() << " by " << name(isa);
      }
    }
    for (std::size_t i = 0; i < batch.size(); ++i) {
      ASSERT_EQ(NextHopId(lookup(addresses[i])), expected[i]) << addresses[i].to_string();
    }
  }

  // `steps` random insertions, changes, removals and pieces of maintenance, with a batch looked up now and
  // then.
  void run_against_oracle(unsigned steps, std::uint32_t ids, std::size_t check_every) {
    Random random;
    LengthOracle<Prefix> oracle;
    std::vector<Address> addresses;
    for (unsigned step = 0; step < steps && !this->HasFailure(); ++step) {
      // Fuller and emptier in turn.
      const unsigned removals = step / 8192 % 2 == 0 ? 3 : 6;
      Prefix prefix = any_prefix(random);
      if (random.below(10) >= removals) {
        const NextHopId id(1 + random.below(ids));
        ASSERT_TRUE(insert(prefix, id.value()));
        oracle.insert(prefix, id);
      } else {
        if (random.chance(2) && !oracle.rules().empty()) prefix = oracle.rules().begin()->first;
        ASSERT_EQ(erase(prefix), oracle.erase(prefix));
      }
      ASSERT_EQ(table_->size(), oracle.rules().size());
      addresses.push_back(random_address_near(random, random.chance(2) ? prefix : any_prefix(random)));
      if (addresses.size() == check_every) {
        expect_answers(addresses, oracle);
        addresses.clear();
      }
      if (random.chance(16)) table_->maintain(random.below(8), 1);
      if (random.chance(4)) reclaimer_.poll();
    }
    while (!oracle.rules().empty()) {
      const Prefix prefix = oracle.rules().begin()->first;
      ASSERT_TRUE(erase(prefix));
      ASSERT_TRUE(oracle.erase(prefix));
    }
    give_back(reclaimer_);
    EXPECT_EQ(groups(), 0U) << "nothing is left behind";
  }

  Reclaimer reclaimer_{1};
  std::unique_ptr<Table> table_;
};

using Compact = Table<Ipv4Prefix>;
using Dir24 = Table<Ipv4Prefix, Dir24Layouts>;
using Tables = testing::Types<Compact, Dir24, Ipv6Table>;

struct TableNames {
  template <class T>
  static std::string GetName(int) {
    return std::is_same_v<T, Compact> ? "Compact" : std::is_same_v<T, Dir24> ? "Dir24" : "Ipv6";
  }
};
TYPED_TEST_SUITE(TableTest, Tables, TableNames);

template <class TableType>
class Ipv4LayoutTest : public TableTest<TableType> {
 public:
  // A route that the oracle knows, too, and an address to ask for.
  void add(Ipv4Prefix prefix, std::uint32_t id) {
    ASSERT_TRUE(this->insert(prefix, id));
    oracle_.insert(prefix, NextHopId(id));
    addresses_.push_back(random_address_near(random_, prefix));
  }
  void add_somewhere(std::uint32_t id) { add(random_prefix(random_), id); }

  Random random_;
  LengthOracle<Ipv4Prefix> oracle_;
  std::vector<Ipv4Address> addresses_;
};
using Ipv4Tables = testing::Types<Compact, Dir24>;
TYPED_TEST_SUITE(Ipv4LayoutTest, Ipv4Tables, TableNames);

// Rule 12.
TYPED_TEST(TableTest, EqualsTheOracleUnderRandomChanges) {
  this->make();
  this->run_against_oracle(60'000, 50, 37);
}

TYPED_TEST(TableTest, EqualsTheOracleWithFewNextHops) {
  this->make();
  this->run_against_oracle(60'000, 2, 64);  // blocks are uniform often
}

// 33 or 129 prefixes, each inside the one before, in either order, and each one taken out of the middle.
// Rule 12.
TYPED_TEST(TableTest, EveryLengthNestsInTheOneBefore) {
  Random random;
  this->make();
  LengthOracle<typename TestFixture::Prefix> oracle;
  std::vector<typename TestFixture::Address> addresses;
  std::vector<typename TestFixture::Prefix> nested;
  for (int chain = 0; chain < 10; ++chain) {
    const typename TestFixture::Address place = random_address_near(random, TestFixture::any_prefix(random));
    for (unsigned length = 0; length <= TestFixture::Address::kBits; ++length) {
      nested.emplace_back(place, length);
      addresses.push_back(random_address_near(random, nested.back()));
    }
  }
  for (std::uint32_t round = 0; round < 3; ++round) {
    for (std::size_t i = 0; i < nested.size(); ++i) std::swap(nested[i], nested[random.below(nested.size())]);
    for (std::uint32_t i = 0; i < nested.size(); ++i) {
      const NextHopId id(1 + i + round * 400);
      ASSERT_TRUE(this->insert(nested[i], id.value()));
      oracle.insert(nested[i], id);
      if (i % 16 == 0) this->expect_answers(addresses, oracle);
    }
    this->share_all();
    this->expect_answers(addresses, oracle);
    for (std::uint32_t i = 0; i < nested.size() && !this->HasFailure(); ++i) {
      ASSERT_EQ(this->erase(nested[i]), oracle.erase(nested[i]));
      if (i % 16 == 0) this->expect_answers(addresses, oracle);
    }
  }
}

TYPED_TEST(TableTest, AllRoutesAtOnceEqualOneByOne) {
  Random random;
  this->make();
  LengthOracle<typename TestFixture::Prefix> oracle;
  std::vector<typename TestFixture::Table::Route> routes;
  for (std::uint32_t i = 0; i < 3000; ++i) {
    routes.push_back({TestFixture::any_prefix(random), NextHopId(1 + random.below(100))});
    oracle.insert(routes.back().prefix, routes.back().next_hop);
  }
  std::vector<typename TestFixture::Address> addresses;
  for (const auto& route : routes) addresses.push_back(random_address_near(random, route.prefix));
  ASSERT_TRUE(this->insert(TestFixture::any_prefix(random), 7)) << "gone afterwards";
  ASSERT_TRUE(this->table_->replace_all(routes, 1));
  EXPECT_EQ(this->table_->size(), oracle.rules().size());
  this->expect_answers(addresses, oracle);
  // Changes go on from there.
  for (const auto& route : routes) {
    if (random.chance(2)) continue;
    ASSERT_EQ(this->erase(route.prefix), oracle.erase(route.prefix));
  }
  this->expect_answers(addresses, oracle);

  routes.push_back({TestFixture::any_prefix(random), NextHopId(0)});
  EXPECT_FALSE(this->table_->replace_all(routes, 1)) << "id 0 is \"no route\"";
  EXPECT_EQ(this->table_->size(), oracle.rules().size());
  this->expect_answers(addresses, oracle);
}

TYPED_TEST(TableTest, ABatchOfAnySizeWritesItsAnswersAndNoMore) {
  Random random;
  this->make();
  std::vector<typename TestFixture::Prefix> prefixes;
  for (std::uint32_t i = 0; i < 300; ++i) {
    prefixes.push_back(TestFixture::any_prefix(random));
    ASSERT_TRUE(this->insert(prefixes.back(), 1 + i));
  }
  for (const std::size_t size :
       {0U, 1U, 2U, 3U, 7U, 8U, 15U, 16U, 17U, 31U, 32U, 33U, 63U, 64U, 65U, 97U, 1001U}) {
    std::vector<typename TestFixture::Address> addresses;
    std::vector<typename Lookup<typename TestFixture::Address>::Batched> batch;
    for (std::size_t i = 0; i < size; ++i) {
      addresses.push_back(random_address_near(random, prefixes[random.below(prefixes.size())]));
      batch.push_back(batched(addresses.back()));
    }
    for (const Isa isa : kIsas) {
      if (!supported(isa)) continue;
      std::vector<NextHopId> answers(size + 1, NextHopId(0xabcd));
      this->table_->lookup_by(isa).lookup(batch, answers.data());
      for (std::size_t i = 0; i < size; ++i) {
        ASSERT_EQ(answers[i].value(), this->lookup(addresses[i])) << "place " << i << " of " << size;
      }
      EXPECT_EQ(answers[size], NextHopId(0xabcd)) << "nothing is written behind the last one";
    }
  }
}

// --- what is special to a family or a layout

using Ipv4TableTest = TableTest<Compact>;
using Dir24Test = TableTest<Dir24>;
using Ipv6TableTest = TableTest<Ipv6Table>;

// Rule 12.
TEST_F(Ipv4TableTest, TenMillionOperationsAndLookupsEqualTheOracle) {
  make();
  run_against_oracle(2'500'000 / kSlower, 200, 64);  // with four lookups each: three forms, and one by one
}

TEST_F(Ipv6TableTest, TwoMillionOperationsAndLookupsEqualTheOracle) {
  make();
  run_against_oracle(400'000 / kSlower, 200, 64);
}

// Rule 12.
TEST_F(Ipv4TableTest, EqualsTheOracleOnEveryAddressOfASmallRange) {
  Random random;
  make();
  LengthOracle<Ipv4Prefix> oracle;
  std::vector<Ipv4Address> addresses;
  for (std::uint32_t address = 0x0a0101f0; address < 0x0a010310; ++address) addresses.emplace_back(address);
  for (unsigned step = 0; step < 400 && !HasFailure(); ++step) {
    const Ipv4Prefix prefix(Ipv4Address(0x0a010200 + random.below(256)), 16 + random.below(17));
    if (random.below(10) < 6) {
      ASSERT_TRUE(insert(prefix, 1 + step));
      oracle.insert(prefix, NextHopId(1 + step));
    } else {
      ASSERT_EQ(erase(prefix), oracle.erase(prefix));
    }
    if (random.chance(3)) share_all();
    expect_answers(addresses, oracle);
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

TEST_F(Ipv6TableTest, AnswersByTheLongestPrefix) {
  make();
  ASSERT_TRUE(insert("::/0"_p6, 1));
  ASSERT_TRUE(insert("2000::/3"_p6, 2));
  ASSERT_TRUE(insert("2001:db8::/32"_p6, 3));
  ASSERT_TRUE(insert("2001:db8:1::/48"_p6, 4));
  ASSERT_TRUE(insert("2001:db8:1:2::/64"_p6, 5));
  ASSERT_TRUE(insert("2001:db8:1:2::3/128"_p6, 6));
  EXPECT_EQ(lookup("fe80::1"_a6), 1U);
  EXPECT_EQ(lookup("3fff::1"_a6), 2U);
  EXPECT_EQ(lookup("2001:db8:2::"_a6), 3U);
  EXPECT_EQ(lookup("2001:db8:1:3::"_a6), 4U);
  EXPECT_EQ(lookup("2001:db8:1:2:8000::"_a6), 5U);
  EXPECT_EQ(lookup("2001:db8:1:2::2"_a6), 5U);
  EXPECT_EQ(lookup("2001:db8:1:2::3"_a6), 6U);
}

TEST_F(Ipv4TableTest, RefusesIdsOutOfRange) {
  make();
  EXPECT_FALSE(insert("10.0.0.0/8"_p, 0)) << "that is \"no route\"";
  EXPECT_FALSE(insert("10.0.0.0/8"_p, CompactWide::kMaxId + 1));
  EXPECT_FALSE(insert("10.0.0.0/32"_p, 0xffffffff));
  EXPECT_EQ(table_->size(), 0U);
  EXPECT_EQ(groups(), 0U);
  EXPECT_TRUE(insert("10.0.0.0/8"_p, CompactWide::kMaxId));
  EXPECT_EQ(lookup("10.0.0.1"_a), CompactWide::kMaxId);
}

// --- two-byte entries become four-byte ones

TYPED_TEST(Ipv4LayoutTest, GoesOnWideWhenIdsRunOut) {
  this->make();
  for (std::uint32_t i = 0; i < 500; ++i) this->add_somewhere(0x7fff - i);
  EXPECT_FALSE(this->table_->statistics().wide);
  this->add("10.0.0.0/24"_p, 0x8000);
  EXPECT_TRUE(this->table_->statistics().wide) << "a change that cannot wait";
  for (std::uint32_t i = 0; i < 500; ++i) this->add_somewhere(0x8000 + this->random_.below(1 << 20));
  this->expect_answers(this->addresses_, this->oracle_);
}

TYPED_TEST(Ipv4LayoutTest, GoesOnWideInSlicesBeforeIdsRunOut) {
  this->make();
  for (std::uint32_t i = 0; i < 2000; ++i) this->add_somewhere(1 + i);
  this->add("10.0.0.0/24"_p, 0x7000);
  // Changes of every kind while it is under way, of rules that have moved and of rules that have not.
  unsigned slices = 0;
  for (; !this->table_->statistics().wide && slices < 10'000; ++slices) {
    this->table_->maintain(16, 1);
    this->add_somewhere(1 + this->random_.below(0x7000));
    const Ipv4Prefix gone = random_prefix(this->random_);
    ASSERT_EQ(this->erase(gone), this->oracle_.erase(gone));
    if (slices % 8 == 0) this->expect_answers(this->addresses_, this->oracle_);
  }
  EXPECT_GT(slices, 20U);
  EXPECT_LT(slices, 10'000U);
  this->expect_answers(this->addresses_, this->oracle_);
  this->share_all();
  this->expect_answers(this->addresses_, this->oracle_);
}

// --- blocks

TYPED_TEST(Ipv4LayoutTest, EqualBlocksAreOneAndPartAgainWhenOneChanges) {
  this->make();
  for (std::uint32_t i = 0; i < 200; ++i) {
    ASSERT_TRUE(this->insert({Ipv4Address(0x0a000000 + i * 256 + 7), 32}, 2));
  }
  EXPECT_EQ(this->groups(), 200U);
  this->share_all();
  give_back(this->reclaimer_);
  EXPECT_EQ(this->groups(), 1U);
  ASSERT_TRUE(this->insert("10.0.5.8/32"_p, 3));
  EXPECT_EQ(this->groups(), 2U);
  EXPECT_EQ(this->lookup("10.0.5.8"_a), 3U);
  EXPECT_EQ(this->lookup("10.0.6.8"_a), 0U);
  ASSERT_TRUE(this->erase("10.0.5.8/32"_p));
  this->share_all();
  give_back(this->reclaimer_);
  EXPECT_EQ(this->groups(), 1U);
}

TYPED_TEST(Ipv4LayoutTest, WithoutAGroupLeftAnInsertIsACleanError) {
  this->make(2);
  ASSERT_TRUE(this->insert("10.0.0.0/16"_p, 1));
  ASSERT_TRUE(this->insert("10.0.1.128/25"_p, 2));
  ASSERT_TRUE(this->insert("10.0.2.128/25"_p, 3));
  const auto failed = this->table_->insert("10.0.3.128/25"_p, NextHopId(4), 1);
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error(), "no room for 10.0.3.128/25: all 2 tbl8 groups are in use");
  EXPECT_EQ(this->table_->statistics().failed_inserts, 1U);
  EXPECT_EQ(this->table_->size(), 3U);
  EXPECT_EQ(this->table_->find("10.0.3.128/25"_p), nullptr);
  EXPECT_EQ(this->lookup("10.0.3.128"_a), 1U) << "the covering route goes on";
  EXPECT_TRUE(this->insert("10.0.1.200/32"_p, 5)) << "a /24 that has its group takes more";
  EXPECT_TRUE(this->insert("10.0.2.128/25"_p, 6)) << "and changes";
  EXPECT_EQ(this->lookup("10.0.2.130"_a), 6U);
  EXPECT_TRUE(this->insert("10.0.3.0/24"_p, 7)) << "what needs no group is taken";
}

// A short prefix over folded long ones with its own next hop needs blocks in the middle of its change.
// Rule 42.
TYPED_TEST(Ipv4LayoutTest, AChangeThatFailsHalfWayIsUndone) {
  this->make(3);
  for (std::uint32_t i = 0; i < 8; ++i) {
    ASSERT_TRUE(this->insert({Ipv4Address(0x0a000080 + i * 256), 25}, 1));
    ASSERT_TRUE(this->insert({Ipv4Address(0x0a000000 + i * 256), 24}, 1)) << "and folds";
    give_back(this->reclaimer_);
  }
  EXPECT_EQ(this->groups(), 0U);
  for (std::uint32_t i = 0; i < 8; ++i) ASSERT_TRUE(this->erase({Ipv4Address(0x0a000000 + i * 256), 24}));
  give_back(this->reclaimer_);
  const std::size_t before = this->groups();
  const bool took = this->insert("10.0.0.0/16"_p, 1);
  for (std::uint32_t i = 0; i < 8; ++i) {
    EXPECT_EQ(this->lookup(Ipv4Address(0x0a000080 + i * 256)), 1U);
    EXPECT_EQ(this->lookup(Ipv4Address(0x0a000000 + i * 256)), took ? 1U : 0U);
  }
  EXPECT_LE(this->groups(), before);
}

TEST_F(Dir24Test, GroupsFoldBackWhenTheirLastLongPrefixGoes) {
  make();
  ASSERT_TRUE(insert("10.0.0.0/8"_p, 1));
  for (std::uint32_t i = 0; i < 100; ++i)
    ASSERT_TRUE(insert(Ipv4Prefix(Ipv4Address(0x0a000000 + i * 256 + 7), 32), 2));
  EXPECT_EQ(groups(), 100U);
  for (std::uint32_t i = 0; i < 100; ++i)
    ASSERT_TRUE(erase(Ipv4Prefix(Ipv4Address(0x0a000000 + i * 256 + 7), 32)));
  give_back(reclaimer_);
  EXPECT_EQ(groups(), 0U);
  EXPECT_EQ(lookup("10.0.5.7"_a), 1U);
}

TYPED_TEST(Ipv4LayoutTest, AGroupThatShortPrefixesCoverFoldsWhateverTheOrder) {
  this->make();
  // The /24 and the default come while the group is there, and go again.
  ASSERT_TRUE(this->insert("10.0.0.9/32"_p, 9));
  ASSERT_TRUE(this->insert("10.0.0.0/24"_p, 24));
  ASSERT_TRUE(this->insert("0.0.0.0/0"_p, 1));
  EXPECT_EQ(this->lookup("10.0.0.8"_a), 24U);
  ASSERT_TRUE(this->erase("10.0.0.0/24"_p));
  EXPECT_EQ(this->lookup("10.0.0.8"_a), 1U);
  EXPECT_EQ(this->lookup("10.0.0.9"_a), 9U);
  ASSERT_TRUE(this->erase("10.0.0.9/32"_p));
  EXPECT_EQ(this->lookup("10.0.0.9"_a), 1U);
  give_back(this->reclaimer_);
  EXPECT_EQ(this->groups(), 0U);
}

// Rule 42.
TYPED_TEST(Ipv4LayoutTest, AGroupIsUsedAgainOnlyAfterAGracePeriod) {
  this->make(1);
  Reclaimer& reclaimer = this->reclaimer_;
  give_back(reclaimer);
  reclaimer.register_worker(0);
  ASSERT_TRUE(this->insert("10.0.0.1/32"_p, 1));
  ASSERT_TRUE(this->erase("10.0.0.1/32"_p));
  reclaimer.poll();
  EXPECT_FALSE(this->insert("10.0.1.1/32"_p, 2)) << "a worker may still read the group";
  EXPECT_EQ(this->lookup("10.0.1.1"_a), 0U);
  rte_rcu_qsbr_quiescent(reclaimer.qsbr(), 0);
  EXPECT_FALSE(this->insert("10.0.1.1/32"_p, 2)) << "it comes back at a poll, not before";
  EXPECT_GE(reclaimer.poll(), 1U);
  EXPECT_TRUE(this->insert("10.0.1.1/32"_p, 2));
  EXPECT_EQ(this->lookup("10.0.1.1"_a), 2U);
  EXPECT_EQ(this->lookup("10.0.1.2"_a), 0U) << "nothing of its former life is left";
  EXPECT_EQ(this->lookup("10.0.0.1"_a), 0U);
  reclaimer.unregister_worker(0);
}

TEST_F(Ipv4TableTest, EraseOfWhatIsNotThereChangesNothing) {
  make();
  ASSERT_TRUE(insert("10.0.0.0/16"_p, 1));
  EXPECT_FALSE(erase("10.0.0.0/15"_p));
  EXPECT_FALSE(erase("10.0.0.0/17"_p));
  EXPECT_FALSE(erase("10.0.0.0/30"_p));
  EXPECT_EQ(lookup("10.0.0.1"_a), 1U);
  EXPECT_EQ(groups(), 0U);
}

// --- the Internet's tables of 2024

template <class Prefix, class Test>
void hold_the_whole_table(Test& test, std::vector<typename Table<Prefix>::Route> routes) {
  Random random;
  LengthOracle<Prefix> oracle;
  for (const auto& route : routes) {
    ASSERT_TRUE(test.insert(route.prefix, route.next_hop.value()));
    oracle.insert(route.prefix, route.next_hop);
  }
  const auto expect_equal = [&] {
    std::vector<typename Prefix::Address> addresses;
    for (int i = 0; i < 50'000; ++i) {
      addresses.push_back(random_address_near(random, routes[random.below(routes.size())].prefix));
    }
    test.expect_answers(addresses, oracle);
  };
  expect_equal();
  test.share_all();
  expect_equal();
  // Take a random half out again.
  for (std::size_t i = 0; i < routes.size() / 2; ++i) {
    std::swap(routes[i], routes[i + random.below(routes.size() - i)]);
    ASSERT_TRUE(test.erase(routes[i].prefix));
    oracle.erase(routes[i].prefix);
  }
  expect_equal();
  for (const auto& [prefix, id] : oracle.rules()) ASSERT_TRUE(test.erase(prefix));
  give_back(test.reclaimer_);
  EXPECT_EQ(test.groups(), 0U);
  for (int i = 0; i < 10'000; ++i) {
    ASSERT_EQ(test.lookup(random_address_near(random, routes[random.below(routes.size())].prefix)), 0U);
  }
}

// Rule 12.
TEST_F(Ipv4TableTest, HoldsTheWholeInternetTable) {
  make();
  auto routes = read_full_table<Ipv4Prefix>("v4-2024-prefix-nhidx.txt.gz");
  ASSERT_EQ(routes.size(), 901'899U);
  hold_the_whole_table<Ipv4Prefix>(*this, std::move(routes));
}

// Rule 12.
TEST_F(Ipv6TableTest, HoldsTheWholeInternetTable) {
  make();
  auto routes = read_full_table<Ipv6Prefix>("v6-2024-prefix-nhidx.txt.gz");
  ASSERT_EQ(routes.size(), 160'147U);
  hold_the_whole_table<Ipv6Prefix>(*this, std::move(routes));
}

}  // namespace
}  // namespace millrace::lpm
