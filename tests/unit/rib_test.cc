#include "controlplane/rib.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
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
  add(prefix, spec(kA, RouteSource::api, 1));
  add(prefix, spec(kB, RouteSource::static_config, 5));
  expect_fib(prefix, kA);
  EXPECT_EQ(add(prefix, spec(kA, RouteSource::api, 9)), Outcome::replaced);
  expect_fib(prefix, kB);
  EXPECT_EQ(rib_.match("10.1.1.1"_a).second->source, RouteSource::static_config);
}

TEST_F(RibTest, StaticRoutesOfOnePrefixAreByDistance) {
  const Ipv4Prefix prefix = "10.0.0.0/8"_p;
  EXPECT_EQ(add(prefix, spec(kC, RouteSource::static_config, 200)), Outcome::added);
  EXPECT_EQ(add(prefix, spec(kA, RouteSource::static_config, 1)), Outcome::added);
  EXPECT_EQ(add(prefix, spec(kB, RouteSource::static_config, 1)), Outcome::replaced);
  expect_fib(prefix, kB);
  EXPECT_EQ(rib_.count(RouteSource::static_config), 2U);
  EXPECT_FALSE(rib_.remove(prefix, RouteSource::static_config, 2));
  EXPECT_TRUE(rib_.remove(prefix, RouteSource::static_config, 1));
  expect_fib(prefix, kC);
  EXPECT_TRUE(rib_.remove(prefix, RouteSource::static_config));
  EXPECT_EQ(in_fib(prefix), nullptr);
}

// Rule 14.
TEST_F(RibTest, AStaticRouteWithoutALinkGivesWayUntilItHasOneAgain) {
  const Ipv4Prefix prefix = "0.0.0.0/0"_p;
  add(prefix, spec(kA, RouteSource::static_config, 1));
  add(prefix, spec(kC, RouteSource::static_config, 200));
  set_up(*wan_, false);
  rib_.links_changed(prefix);
  expect_fib(prefix, kC);
  add(prefix, spec(kHole, RouteSource::api, 110));
  expect_fib(prefix, kHole);  // what else there is for the prefix, by its distance
  EXPECT_EQ(add(prefix, spec(kB, RouteSource::static_config, 1)), Outcome::replaced);
  expect_fib(prefix, kHole);  // nor has the new one a link
  set_up(*lan_, false);
  rib_.links_changed(prefix);
  rib_.remove(prefix, RouteSource::api);
  expect_fib(prefix, kB);  // of those without a link the best one: packets are dropped for that
  set_up(*wan_, true);
  rib_.links_changed(prefix);
  expect_fib(prefix, kB);
  EXPECT_FALSE(rib_.find(prefix, RouteSource::static_config)->is_lost);
  rib_.links_changed("10.0.0.0/8"_p);  // nothing is there
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
    friend bool operator==(const Value&, const Value&) = default;
  };
  using Key = std::tuple<Prefix, RouteSource, unsigned>;  // the distance, of static routes
  static Key key(Prefix prefix, RouteSource source, unsigned distance) {
    return {prefix, source, source == RouteSource::static_config ? distance : 0};
  }
  std::map<Key, Value> routes;
  std::map<Ipv4Address, bool> up;  // [the first octets of a next hop]: whether its link is

  [[nodiscard]] bool is_lost(const NextHopSpec& next_hop) const {
    return next_hop.kind == NextHopSpec::Kind::via &&
           std::ranges::none_of(next_hop.hops, [&](const auto& hop) {
             return hop.address == kC.hops[0].address ? up.at("198.51.100.0"_a) : up.at("192.0.2.0"_a);
           });
  }
  [[nodiscard]] auto order(const Key& key, const Value& value) const {
    const RouteSource source = std::get<1>(key);
    const bool lost = source == RouteSource::static_config && is_lost(value.next_hop);
    return std::tuple(lost, value.distance, value.metric, source);
  }
  [[nodiscard]] std::map<Prefix, NextHopSpec> fib() const {
    std::map<Prefix, std::pair<std::tuple<bool, unsigned, std::uint32_t, RouteSource>, NextHopSpec>> best;
    for (const auto& [key, value] : routes) {
      const std::pair candidate(order(key, value), value.next_hop);
      const auto [at, fresh] = best.try_emplace(std::get<0>(key), candidate);
      if (!fresh && candidate < at->second) at->second = candidate;
    }
    std::map<Prefix, NextHopSpec> result;
    for (const auto& [prefix, value] : best) result.emplace(prefix, value.second);
    return result;
  }
};

template <class AddressType>
class RibRandomTest : public TableFixture {
 protected:
  using Prefix = IpPrefix<AddressType>;
  using Oracle = RibOracle<Prefix>;
  // 10.I.0.0/16 and the like, or the same bits at the top of an IPv6 address.
  static Prefix prefix(std::uint32_t bits, unsigned length) {
    using Value = typename AddressType::Value;
    return {AddressType(Value{bits} << (AddressType::kBits - 32)), length};
  }
  void change_link(Interface& interface, Ipv4Address subnet) {
    bool& up = oracle_.up[subnet];
    up = !up;
    set_up(interface, up);
    std::set<Prefix> prefixes;
    for (const auto& [key, value] : oracle_.routes) prefixes.insert(std::get<0>(key));
    for (const Prefix& each : prefixes) rib_.links_changed(each);
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
      ++counts[static_cast<std::size_t>(std::get<1>(key))];
      EXPECT_NE(rib_.find(std::get<0>(key), std::get<1>(key)), nullptr);
    }
    for (std::size_t i = 0; i < counts.size(); ++i)
      EXPECT_EQ(rib_.count(static_cast<RouteSource>(i)), counts[i]);
    EXPECT_EQ(next_hops_.size(), references.size());
    next_hops_.visit([&](const NextHops::Set& set) { EXPECT_EQ(set.references, references[set.spec]); });
    expect_visited_sorted();
  }
  void expect_visited_sorted() {
    std::map<typename Oracle::Key, typename Oracle::Value> seen;
    std::tuple<bool, unsigned, std::uint32_t, RouteSource> last;
    rib_.visit_from({}, [&](Prefix prefix, const Route& route, bool best) {
      const auto key = Oracle::key(prefix, route.source, route.distance);
      const typename Oracle::Value value{next_hops_.find(route.next_hop)->spec, route.distance, route.metric};
      EXPECT_TRUE(seen.emplace(key, value).second);
      const auto order = oracle_.order(key, value);
      if (!best) {
        EXPECT_LT(last, order);
      }
      last = order;
      return true;
    });
    EXPECT_EQ(seen, oracle_.routes);
  }

  BasicRib<Prefix> rib_{writer_, next_hops_, FibId(0)};
  Oracle oracle_{{}, {{"192.0.2.0"_a, true}, {"198.51.100.0"_a, true}}};
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
        this->oracle_.routes[this->oracle_.key(prefix, source, s.distance)] = {s.next_hop, s.distance,
                                                                               s.metric};
      } else {
        ++refused;
      }
    } else {
      const auto distance = static_cast<std::uint8_t>(1 + random.below(3));
      const bool is_static = source == RouteSource::static_config;
      EXPECT_EQ(this->rib_.remove(prefix, source, is_static ? std::optional(distance) : std::nullopt),
                this->oracle_.routes.erase(this->oracle_.key(prefix, source, distance)) == 1);
    }
    if (random.chance(40)) this->change_link(*this->wan_, "192.0.2.0"_a);
    if (random.chance(40)) this->change_link(*this->lan_, "198.51.100.0"_a);
    if (random.chance(3)) this->reclaimer_.poll();
    if (step % 20 == 0) this->expect_equal();
  }
  EXPECT_GT(refused, 0U);
  while (!this->oracle_.routes.empty()) {
    const auto& [key, value] = *this->oracle_.routes.begin();
    EXPECT_TRUE(
        this->rib_.remove(std::get<0>(key), std::get<1>(key), static_cast<std::uint8_t>(value.distance)));
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
