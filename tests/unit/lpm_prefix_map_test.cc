#include "lpm/prefix_map.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "tests/unit/lpm_oracle.h"

namespace millrace::lpm {
namespace {

using Entries = std::vector<std::pair<Ipv4Prefix, NextHopId>>;

template <class Map>
Entries entries_from(const Map& map, Ipv4Prefix from, std::size_t limit = SIZE_MAX) {
  Entries entries;
  if (limit == 0) return entries;
  map.visit_from(from, [&](Ipv4Prefix prefix, NextHopId id) {
    entries.emplace_back(prefix, id);
    return entries.size() < limit;
  });
  return entries;
}

Entries entries_from(const LpmOracle& oracle, Ipv4Prefix from) {
  return {oracle.rules.lower_bound(from), oracle.rules.end()};
}

// One random insertion, change or removal in both.
template <class Map>
Ipv4Prefix change(Random& random, Map& map, LpmOracle& oracle, unsigned removals) {
  Ipv4Prefix prefix = random_prefix(random);
  if (random.below(10) >= removals) {
    const NextHopId id(1 + random.below(1000));
    const auto [value, fresh] = map.emplace(prefix);
    EXPECT_EQ(fresh, !oracle.rules.contains(prefix)) << prefix.to_string();
    value = id;
    oracle.rules[prefix] = id;
    return prefix;
  }
  if (!oracle.rules.empty() && !random.chance(4)) prefix = oracle.rules.begin()->first;  // one that is there
  if (const auto at = oracle.rules.lower_bound(random_prefix(random)); at != oracle.rules.end())
    prefix = at->first;
  EXPECT_EQ(map.erase(prefix), oracle.rules.erase(prefix) == 1) << prefix.to_string();
  return prefix;
}

template <class Map>
void expect_same_matches(const Map& map, const LpmOracle& oracle, Ipv4Address address) {
  const auto [prefix, id] = oracle.match(address);
  const auto [found, value] = map.match(address);
  ASSERT_EQ(value != nullptr, id != NextHopId(0)) << address.to_string();
  if (value == nullptr) return;
  EXPECT_EQ(*value, id) << address.to_string();
  EXPECT_EQ(found, prefix) << address.to_string();
}

template <class Map>
void expect_same_cover(const Map& map, const LpmOracle& oracle, Ipv4Prefix of) {
  const auto [prefix, id] = oracle.match(of.address(), of.length());
  const auto [found, value] = map.covering(of);
  ASSERT_EQ(value != nullptr, id != NextHopId(0)) << of.to_string();
  if (value == nullptr) return;
  EXPECT_EQ(*value, id) << of.to_string();
  EXPECT_EQ(found, prefix) << of.to_string();
}

// One trie, and tries by the first bits, as the tables have them.
template <class Map>
class PrefixMapTest : public testing::Test {};
using Maps = testing::Types<PrefixMap<Ipv4Prefix, NextHopId>, PrefixMap<Ipv4Prefix, NextHopId, 20, 16, 8>>;
TYPED_TEST_SUITE(PrefixMapTest, Maps);

TYPED_TEST(PrefixMapTest, EqualsTheOracleUnderRandomChanges) {
  Random random;
  TypeParam map;
  LpmOracle oracle;
  for (unsigned step = 0; step < 6000 && !testing::Test::HasFailure(); ++step) {
    const unsigned removals = step / 1000 % 2 == 0 ? 2 : 7;  // grow, shrink, grow, ...
    const Ipv4Prefix prefix = change(random, map, oracle, removals);
    ASSERT_EQ(map.size(), oracle.rules.size());
    const auto at = oracle.rules.find(prefix);
    const NextHopId* found = map.find(prefix);
    ASSERT_EQ(found != nullptr, at != oracle.rules.end()) << prefix.to_string();
    if (found != nullptr) {
      EXPECT_EQ(*found, at->second);
    }
    expect_same_matches(map, oracle, random_address_near(random, prefix));
    expect_same_cover(map, oracle, prefix);
    expect_same_cover(map, oracle, random_prefix(random));
    if (step % 100 != 0) continue;
    EXPECT_EQ(entries_from(map, {}), entries_from(oracle, {})) << "in order";
    const Ipv4Prefix from = random_prefix(random);
    EXPECT_EQ(entries_from(map, from), entries_from(oracle, from)) << "from " << from.to_string();
  }
}

TYPED_TEST(PrefixMapTest, IsEmptyAndSmallAgainAfterEverythingWasErased) {
  Random random;
  TypeParam map;
  const std::size_t of_nothing = map.memory_bytes();
  for (int round = 0; round < 3; ++round) {
    std::vector<Ipv4Prefix> prefixes;
    while (prefixes.size() < 3000) {
      const Ipv4Prefix prefix(Ipv4Address(random.bits()), random.below(33));
      if (map.emplace(prefix).second) prefixes.push_back(prefix);
    }
    while (!prefixes.empty()) {
      std::swap(prefixes[random.below(prefixes.size())], prefixes.back());
      ASSERT_TRUE(map.erase(prefixes.back()));
      ASSERT_FALSE(map.erase(prefixes.back()));
      prefixes.pop_back();
    }
    EXPECT_EQ(map.size(), 0U);
    EXPECT_TRUE(entries_from(map, {}).empty());
    EXPECT_EQ(map.match(Ipv4Address(random.bits())).second, nullptr);
  }
  // Nodes are used again: three rounds need no more room than one, of at most two nodes an entry.
  EXPECT_LE(map.memory_bytes() - of_nothing, 2 * 4096 * 64U);
}

TYPED_TEST(PrefixMapTest, ValuesStayWhereTheyAreWhileOthersComeAndGo) {
  Random random;
  TypeParam map;
  const Ipv4Prefix kept(Ipv4Address(10, 0, 0, 0), 8);
  NextHopId& value = map.emplace(kept).first;
  value = NextHopId(7);
  LpmOracle oracle;
  oracle.rules[kept] = NextHopId(7);
  for (int i = 0; i < 20000; ++i) {
    const Ipv4Prefix other = random_prefix(random);
    if (other == kept) continue;
    if (random.chance(2)) {
      map.emplace(other);
    } else {
      map.erase(other);
    }
  }
  EXPECT_EQ(&value, map.find(kept));
  EXPECT_EQ(value, NextHopId(7));
}

// A listing in pages: each page starts after the last entry of the one before it, whether or not that is
// still there.
TYPED_TEST(PrefixMapTest, CursorsMeetEachEntryOnce) {
  Random random;
  TypeParam map;
  LpmOracle oracle;
  for (int i = 0; i < 400; ++i) change(random, map, oracle, 1);
  for (const std::size_t page : {1U, 2U, 3U, 7U, 100U, 1000U}) {
    Entries all;
    Ipv4Prefix from;
    bool past = false;
    for (bool more = true; more;) {
      Entries entries = entries_from(map, from, page + (past ? 1 : 0));
      if (past) entries.erase(entries.begin());
      more = !entries.empty();
      if (!more) break;
      from = entries.back().first;
      past = true;
      all.insert(all.end(), entries.begin(), entries.end());
    }
    EXPECT_EQ(all, entries_from(oracle, {})) << "pages of " << page;
  }
  const auto rules = oracle.rules;
  for (const auto& [gone, id] : rules) {
    ASSERT_TRUE(map.erase(gone));
    oracle.rules.erase(gone);
    EXPECT_EQ(entries_from(map, gone), entries_from(oracle, gone))
        << "from what is gone: " << gone.to_string();
  }
}

TYPED_TEST(PrefixMapTest, TheTopmostEntriesBelowAPrefixEqualANaiveLook) {
  Random random;
  TypeParam map;
  LpmOracle oracle;
  for (unsigned step = 0; step < 1500; ++step) {
    change(random, map, oracle, 4);
    const Ipv4Prefix prefix = random_prefix(random);
    std::vector<Ipv4Prefix> expected, found;
    for (auto at = oracle.rules.lower_bound(prefix); at != oracle.rules.end(); ++at) {
      if (!prefix.contains(at->first)) break;
      const bool held = !expected.empty() && expected.back().contains(at->first);
      if (at->first != prefix && !held) expected.push_back(at->first);
    }
    map.visit_below(prefix, [&](Ipv4Prefix inner) { found.push_back(inner); });
    ASSERT_EQ(found, expected) << prefix.to_string();
  }
}

TYPED_TEST(PrefixMapTest, HoldsTheEndsOfTheAddressSpace) {
  TypeParam map;
  const Ipv4Prefix everything(Ipv4Address(0), 0);
  const Ipv4Prefix first(Ipv4Address(0), 32);
  const Ipv4Prefix last(Ipv4Address(0xffffffff), 32);
  map.emplace(last).first = NextHopId(3);
  map.emplace(first).first = NextHopId(2);
  map.emplace(everything).first = NextHopId(1);
  EXPECT_EQ(entries_from(map, {}),
            (Entries{{everything, NextHopId(1)}, {first, NextHopId(2)}, {last, NextHopId(3)}}));
  EXPECT_EQ(*map.match(Ipv4Address(0)).second, NextHopId(2));
  EXPECT_EQ(*map.match(Ipv4Address(1)).second, NextHopId(1));
  EXPECT_EQ(*map.match(Ipv4Address(0xffffffff)).second, NextHopId(3));
  EXPECT_EQ(map.covering(everything).second, nullptr);
  EXPECT_EQ(map.covering(last).first, everything);
  EXPECT_EQ(entries_from(map, last).size(), 1U);
}

Ipv6Address random_ipv6_address(Random& random) {
  const auto half = [&] { return std::uint64_t{random.bits()} << 32 | random.bits(); };
  return {half(), half()};
}

unsigned bit_of_bytes(Ipv6Address a, unsigned i) {
  return (a.bytes()[i / 8] >> (7 - i % 8)) & 1U;
}

// Addresses that share each number of bits, and more by chance.
TEST(AddressBits, OfIpv6EqualALookAtEveryBit) {
  Random random;
  for (unsigned same = 0; same <= 128; ++same) {
    for (int round = 0; round < 10; ++round) {
      const Ipv6Address a = random_ipv6_address(random);
      const Ipv6Address b(a.value() ^ (random_ipv6_address(random).value() & ~ipv6_mask(same)));
      unsigned shared = 0;
      while (shared < 128 && bit_of_bytes(a, shared) == bit_of_bytes(b, shared)) ++shared;
      EXPECT_EQ(common_bits(a, b), shared) << a.to_string() << ' ' << b.to_string();
      EXPECT_EQ(common_bits(b, a), shared) << a.to_string() << ' ' << b.to_string();
      for (unsigned i = 0; i < 128; ++i) ASSERT_EQ(address_bit(a, i), bit_of_bytes(a, i)) << i;
    }
  }
}

// Prefixes of every length on the way to few addresses: they nest, and part at every bit.
TEST(PrefixMap, OfIpv6EqualsALookAtEveryPrefix) {
  Random random;
  const Ipv6Address place = random_ipv6_address(random);
  const auto address_near = [&] {
    return Ipv6Address(place.value() ^ (random_ipv6_address(random).value() & ~ipv6_mask(random.below(129))));
  };
  PrefixMap<Ipv6Prefix, unsigned> map;
  std::map<Ipv6Prefix, unsigned> rules;
  for (unsigned step = 0; step < 2000; ++step) {
    const Ipv6Prefix prefix(address_near(), random.below(129));
    if (random.chance(3)) {
      EXPECT_EQ(map.erase(prefix), rules.erase(prefix) == 1) << prefix.to_string();
    } else {
      map.emplace(prefix).first = rules[prefix] = step;
    }
    if (step % 3 == 0 && !rules.empty()) {
      ASSERT_TRUE(map.erase(rules.begin()->first));
      rules.erase(rules.begin());
    }
    ASSERT_EQ(map.size(), rules.size());
    const Ipv6Address address = address_near();
    const std::pair<const Ipv6Prefix, unsigned>* best = nullptr;
    for (const auto& rule : rules) {
      if (rule.first.contains(address)) best = &rule;  // the longer ones come later
    }
    const auto [found, value] = map.match(address);
    ASSERT_EQ(value != nullptr, best != nullptr) << address.to_string();
    if (best == nullptr) continue;
    EXPECT_EQ(found, best->first) << address.to_string();
    EXPECT_EQ(*value, best->second) << address.to_string();
  }
  auto rule = rules.begin();
  map.visit_from({}, [&](Ipv6Prefix prefix, unsigned value) {
    EXPECT_EQ(prefix, rule->first);
    EXPECT_EQ(value, rule->second);
    return ++rule != rules.end();
  });
  EXPECT_EQ(rule, rules.end());
}

}  // namespace
}  // namespace millrace::lpm
