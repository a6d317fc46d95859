#include "controlplane/rib.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <tuple>
#include <vector>

#include "controlplane/route_owners.h"
#include "tests/unit/random.h"
#include "tests/unit/table_fixture.h"

namespace millrace::controlplane {
namespace {

using dataplane::DropReason;
using Outcome = Rib::Outcome;

const NextHopSpec kA = NextHopSpec::via({Ipv4Address(192, 0, 2, 2)});
const NextHopSpec kB = NextHopSpec::via({Ipv4Address(192, 0, 2, 3)});
const NextHopSpec kC = NextHopSpec::via({Ipv4Address(198, 51, 100, 2)});
const NextHopSpec kHole = NextHopSpec::drop(DropReason::route_blackhole);

Rib::Spec spec(const NextHopSpec& next_hop, RouteSource source, std::uint8_t distance = 1,
               std::uint32_t metric = 0) {
  return {next_hop, source, distance, metric, 0, 0};
}

class RibTest : public TableFixture {
 protected:
  Outcome add(Ipv4Prefix prefix, const Rib::Spec& s) {
    const auto added = rib_.add(prefix, s);
    EXPECT_TRUE(added) << (added ? "" : added.error());
    return added ? *added : Outcome::unchanged;
  }
  const NextHopSpec* in_fib(Ipv4Prefix prefix) {
    const auto* rule = writer_.fib(FibId(0)).find(prefix);
    return rule == nullptr ? nullptr : &next_hops_.find(rule->next_hop)->spec;
  }
  void expect_fib(Ipv4Prefix prefix, const NextHopSpec& expected) {
    const NextHopSpec* found = in_fib(prefix);
    ASSERT_NE(found, nullptr) << prefix.to_string();
    EXPECT_EQ(*found, expected) << prefix.to_string();
  }

  Rib rib_{writer_, next_hops_, FibId(0)};
};

// Rule 12.
TEST_F(RibTest, TheBestIsTheLowestDistanceThenMetricThenSource) {
  const Ipv4Prefix prefix = "10.0.0.0/8"_p;
  add(prefix, spec(kA, RouteSource::api, 20, 5));
  expect_fib(prefix, kA);
  add(prefix, spec(kB, RouteSource::static_config, 21, 0));
  expect_fib(prefix, kA);  // distance before metric
  add(prefix, spec(kB, RouteSource::static_config, 20, 6));
  expect_fib(prefix, kA);
  add(prefix, spec(kB, RouteSource::static_config, 20, 4));
  expect_fib(prefix, kB);
  add(prefix, spec(kB, RouteSource::static_config, 20, 5));
  expect_fib(prefix, kB);  // all equal: static comes before api
  add(prefix, spec(kC, RouteSource::connected, 20, 5));
  expect_fib(prefix, kC);
  EXPECT_EQ(rib_.prefixes(), 1U);
}

TEST_F(RibTest, AddTellsWhatItDid) {
  const Ipv4Prefix prefix = "10.0.0.0/8"_p;
  EXPECT_EQ(add(prefix, spec(kA, RouteSource::api)), Outcome::added);
  EXPECT_EQ(add(prefix, spec(kA, RouteSource::api)), Outcome::unchanged);
  EXPECT_EQ(add(prefix, spec(kB, RouteSource::api)), Outcome::replaced);
  EXPECT_EQ(add(prefix, spec(kB, RouteSource::api, 2)), Outcome::replaced);
  EXPECT_EQ(add(prefix, spec(kB, RouteSource::api, 2, 7)), Outcome::replaced);
  auto owned = spec(kB, RouteSource::api, 2, 7);
  owned.owner = 1;
  EXPECT_EQ(add(prefix, owned), Outcome::replaced);
  owned.mark = 5;
  EXPECT_EQ(add(prefix, owned), Outcome::unchanged) << "a mark alone is no change";
  EXPECT_EQ(rib_.find(prefix, RouteSource::api)->mark, 5U);
  EXPECT_EQ(add(prefix, spec(kB, RouteSource::static_config)), Outcome::added);
  EXPECT_EQ(next_hops_.size(), 1U) << "replaced next hops are released";
  EXPECT_EQ(next_hops_.find(rib_.find(prefix, RouteSource::api)->next_hop)->references, 2U);
}

TEST_F(RibTest, ARouteThatGetsWorseGivesWay) {
  const Ipv4Prefix prefix = "10.0.0.0/8"_p;
  add(prefix, spec(kA, RouteSource::static_config, 1));
  add(prefix, spec(kB, RouteSource::api, 5));
  expect_fib(prefix, kA);
  EXPECT_EQ(add(prefix, spec(kA, RouteSource::static_config, 9)), Outcome::replaced);
  expect_fib(prefix, kB);
  EXPECT_EQ(rib_.match("10.1.1.1"_a).second->source, RouteSource::api);
}

// Rule 12.
TEST_F(RibTest, RemoveFallsBackToTheNextBestAndThenToTheShorterPrefix) {
  add("0.0.0.0/0"_p, spec(kHole, RouteSource::static_config));
  add("10.0.0.0/8"_p, spec(kA, RouteSource::connected, 0));
  add("10.0.0.0/8"_p, spec(kB, RouteSource::static_config, 1));
  add("10.0.0.0/8"_p, spec(kC, RouteSource::api, 2));
  EXPECT_TRUE(rib_.remove("10.0.0.0/8"_p, RouteSource::connected));
  expect_fib("10.0.0.0/8"_p, kB);
  EXPECT_FALSE(rib_.remove("10.0.0.0/8"_p, RouteSource::connected));
  EXPECT_TRUE(rib_.remove("10.0.0.0/8"_p, RouteSource::api));  // not the best one
  expect_fib("10.0.0.0/8"_p, kB);
  EXPECT_TRUE(rib_.remove("10.0.0.0/8"_p, RouteSource::static_config));
  EXPECT_EQ(in_fib("10.0.0.0/8"_p), nullptr);
  const auto [prefix, route] = rib_.match("10.1.1.1"_a);
  EXPECT_EQ(prefix, "0.0.0.0/0"_p);
  EXPECT_EQ(next_hops_.find(route->next_hop)->spec, kHole);
  EXPECT_TRUE(rib_.remove("0.0.0.0/0"_p, RouteSource::static_config));
  EXPECT_EQ(rib_.match("10.1.1.1"_a).second, nullptr);
  EXPECT_EQ(next_hops_.size(), 0U);
}

TEST_F(RibTest, RemoveOfWhatIsNotThereIsFalse) {
  EXPECT_FALSE(rib_.remove("10.0.0.0/8"_p, RouteSource::api));
  add("10.0.0.0/8"_p, spec(kA, RouteSource::api));
  EXPECT_FALSE(rib_.remove("10.0.0.0/9"_p, RouteSource::api));
  EXPECT_FALSE(rib_.remove("10.0.0.0/8"_p, RouteSource::static_config));
  EXPECT_EQ(rib_.count(RouteSource::api), 1U);
}

TEST_F(RibTest, AFailingFibInsertLeavesEverythingAsItWas) {
  for (std::uint32_t i = 0; i < kGroups; ++i) {
    add(Ipv4Prefix(Ipv4Address(0x0a000000 + i * 256), 25), spec(kA, RouteSource::api));
  }
  const std::size_t entries = writer_.fib(FibId(0)).size();
  const Ipv4Prefix refused = "10.9.9.128/25"_p;
  for (const NextHopSpec& next_hop : {kA, kB}) {  // one that is in use already, and a new one
    const auto added = rib_.add(refused, spec(next_hop, RouteSource::api));
    ASSERT_FALSE(added);
    EXPECT_NE(added.error().find("10.9.9.128/25"), std::string::npos) << added.error();
  }
  EXPECT_EQ(rib_.find(refused, RouteSource::api), nullptr);
  EXPECT_EQ(rib_.prefixes(), kGroups);
  EXPECT_EQ(rib_.count(RouteSource::api), kGroups);
  EXPECT_EQ(writer_.fib(FibId(0)).size(), entries);
  EXPECT_EQ(next_hops_.size(), 1U);
  EXPECT_EQ(next_hops_.find(rib_.find("10.0.0.0/25"_p, RouteSource::api)->next_hop)->references, kGroups);
  // A second source of a prefix that is there needs no room.
  EXPECT_EQ(add("10.0.0.0/25"_p, spec(kB, RouteSource::static_config)), Outcome::added);
  expect_fib("10.0.0.0/25"_p, kB);
}

TEST(RouteOwners, AreNumberedOnceAndThereIsALastOne) {
  RouteOwners owners;
  EXPECT_EQ(*owners.id(""), 0U);
  const std::uint16_t bird = *owners.id("bird");
  EXPECT_EQ(*owners.id("bird"), bird);
  EXPECT_EQ(owners.name(bird), "bird");
  std::size_t made = 1;
  while (owners.id("owner" + std::to_string(made))) ++made;
  EXPECT_EQ(made, 65'535U) << "with \"bird\" and none: as many as 16 bits count";
  EXPECT_EQ(owners.name(0xffff), "owner65534");
  EXPECT_EQ(*owners.id("bird"), bird) << "who is known goes on";
}

TEST_F(RibTest, VisitsPrefixesInOrderTheBestRouteFirst) {
  add("10.0.0.0/16"_p, spec(kA, RouteSource::api));
  add("10.0.0.0/8"_p, spec(kA, RouteSource::api, 3));
  add("10.0.0.0/8"_p, spec(kB, RouteSource::static_config, 2));
  add("9.0.0.0/8"_p, spec(kA, RouteSource::api));
  std::vector<std::tuple<std::string, RouteSource, bool>> seen;
  rib_.visit_from("10.0.0.0/8"_p, [&](Ipv4Prefix prefix, const Route& route, bool best) {
    seen.emplace_back(prefix.to_string(), route.source, best);
    return true;
  });
  using Row = std::tuple<std::string, RouteSource, bool>;
  EXPECT_EQ(seen, (std::vector<Row>{Row{"10.0.0.0/8", RouteSource::static_config, true},
                                    Row{"10.0.0.0/8", RouteSource::api, false},
                                    Row{"10.0.0.0/16", RouteSource::api, true}}));
}

// --- against an oracle
// ----------------------------------------------------------------------------------------------

// Every route in one flat map; the best is found by looking at all.
template <class Prefix>
struct RibOracle {
  struct Value {
    NextHopSpec next_hop;
    unsigned distance;
    std::uint32_t metric;
  };
  std::map<std::pair<Prefix, RouteSource>, Value> routes;

  [[nodiscard]] std::map<Prefix, NextHopSpec> fib() const {
    std::map<Prefix, std::tuple<unsigned, std::uint32_t, RouteSource, NextHopSpec>> best;
    for (const auto& [key, value] : routes) {
      const std::tuple candidate(value.distance, value.metric, key.second, value.next_hop);
      const auto [at, fresh] = best.try_emplace(key.first, candidate);
      if (!fresh && candidate < at->second) at->second = candidate;
    }
    std::map<Prefix, NextHopSpec> result;
    for (const auto& [prefix, value] : best) result.emplace(prefix, std::get<3>(value));
    return result;
  }
};

template <class AddressType>
class RibRandomTest : public TableFixture {
 protected:
  using Prefix = IpPrefix<AddressType>;
  // 10.I.0.0/16 and the like, or the same bits at the top of an IPv6 address.
  static Prefix prefix(std::uint32_t bits, unsigned length) {
    using Value = typename AddressType::Value;
    return {AddressType(Value{bits} << (AddressType::kBits - 32)), length};
  }
  void expect_equal() {
    std::map<Prefix, NextHopSpec> fib;
    writer_.fib<Prefix>(FibId(0)).visit_from(
        {}, [&](Prefix prefix, const typename lpm::Table<Prefix>::Rule& rule) {
          fib.emplace(prefix, next_hops_.find(rule.next_hop)->spec);
          return true;
        });
    ASSERT_EQ(fib, oracle_.fib());
    EXPECT_EQ(rib_.prefixes(), fib.size());
    std::map<NextHopSpec, std::uint32_t> references;
    std::array<std::size_t, 4> counts{};
    for (const auto& [key, value] : oracle_.routes) {
      ++references[value.next_hop];
      ++counts[static_cast<std::size_t>(key.second)];
      const Route* route = rib_.find(key.first, key.second);
      ASSERT_NE(route, nullptr);
      EXPECT_EQ(next_hops_.find(route->next_hop)->spec, value.next_hop);
      EXPECT_EQ(route->distance, value.distance);
      EXPECT_EQ(route->metric, value.metric);
    }
    for (std::size_t i = 0; i < counts.size(); ++i)
      EXPECT_EQ(rib_.count(static_cast<RouteSource>(i)), counts[i]);
    EXPECT_EQ(next_hops_.size(), references.size());
    next_hops_.visit([&](const NextHops::Set& set) { EXPECT_EQ(set.references, references[set.spec]); });
    expect_visited_sorted();
  }
  void expect_visited_sorted() {
    std::size_t seen = 0;
    const Route* last = nullptr;
    rib_.visit_from({}, [&](Prefix, const Route& route, bool best) {
      ++seen;
      if (!best) {
        EXPECT_LE(std::tie(last->distance, last->metric), std::tie(route.distance, route.metric));
      }
      last = &route;
      return true;
    });
    EXPECT_EQ(seen, oracle_.routes.size());
  }

  BasicRib<Prefix> rib_{writer_, next_hops_, FibId(0)};
  RibOracle<Prefix> oracle_;
};

using Families = testing::Types<Ipv4Address, Ipv6Address>;
TYPED_TEST_SUITE(RibRandomTest, Families);

// Rules 12, 42.
TYPED_TEST(RibRandomTest, TheFibIsTheBestRoutesAfterAnyChanges) {
  Random random;
  const std::vector<NextHopSpec> next_hops = {kA,
                                              kB,
                                              kC,
                                              kHole,
                                              NextHopSpec::via(kA.hops),
                                              NextHopSpec::local(),
                                              NextHopSpec::via({"192.0.2.2"_a, "198.51.100.2"_a})};
  unsigned refused = 0;
  for (unsigned step = 0; step < 5000 && !this->HasFailure(); ++step) {
    // Few prefixes, so that sources meet; /25s, so that inserts fail for lack of a group (of shorter ones,
    // too: a /25 that had their answer needs a group when they get another one).
    const auto prefix = TestFixture::prefix(0x0a000000 + (random.below(8) << 8),
                                            std::array{8U, 16U, 24U, 25U}[random.below(4)]);
    const auto source = static_cast<RouteSource>(random.below(4));
    if (random.below(10) < 6) {
      const auto s = spec(next_hops[random.below(next_hops.size())], source,
                          static_cast<std::uint8_t>(1 + random.below(3)), random.below(3));
      if (this->rib_.add(prefix, s)) {
        this->oracle_.routes[{prefix, source}] = {s.next_hop, s.distance, s.metric};
      } else {
        ++refused;
      }
    } else {
      EXPECT_EQ(this->rib_.remove(prefix, source), this->oracle_.routes.erase({prefix, source}) == 1);
    }
    if (random.chance(3)) this->reclaimer_.poll();
    if (step % 20 == 0) this->expect_equal();
  }
  EXPECT_GT(refused, 0U);
  while (!this->oracle_.routes.empty()) {
    const auto [prefix, source] = this->oracle_.routes.begin()->first;
    EXPECT_TRUE(this->rib_.remove(prefix, source));
    this->oracle_.routes.erase(this->oracle_.routes.begin());
  }
  this->expect_equal();
  this->pass_grace_period();
  EXPECT_EQ(this->writer_.next_hops_used(), 0U);
  EXPECT_EQ(this->writer_.adjacencies_used(), 0U);
  EXPECT_EQ(this->writer_.template fib<IpPrefix<TypeParam>>(FibId(0)).statistics().groups, 0U);
}

}  // namespace
}  // namespace millrace::controlplane
