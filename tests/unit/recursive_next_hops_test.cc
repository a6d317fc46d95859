#include <gtest/gtest.h>

#include <map>
#include <set>
#include <vector>

#include "controlplane/next_hops.h"
#include "tests/unit/next_hops_fixture.h"

namespace millrace::controlplane {
namespace {

// Next hops on no link, found by the routes of a RIB: `lead()` says which set each address leads to.
class RecursiveTest : public NextHopsFixture {
 protected:
  RecursiveTest() {
    next_hops_.set_covering([this](IpAddress address) {
      const auto at = ways_.find(address);
      return at == ways_.end() ? nullptr : next_hops_.find(at->second);
    });
  }
  ~RecursiveTest() override {
    for (const NextHopId id : held_) next_hops_.release(id);
    EXPECT_EQ(next_hops_.size(), 0U);
  }
  NextHopId hold(std::vector<config::NextHop> hops) {
    return held_.emplace_back(acquire(NextHopSpec::via(std::move(hops))));
  }
  void lead(Ipv4Address address, NextHopId id) {
    ways_[address] = id;
    next_hops_.route_changed(Ipv4Prefix(address, 32));
  }
  bool is_lost(NextHopId id) { return next_hops_.find(id)->is_lost(); }
  using Addresses = std::set<IpAddress>;

  std::map<IpAddress, NextHopId> ways_;
  std::vector<NextHopId> held_;
};

TEST_F(RecursiveTest, AHopOnNoLinkGoesWhereTheRouteToItGoes) {
  const NextHopId by = hold({"192.0.2.2"_a, "198.51.100.2"_a});
  const NextHopId id = hold({"10.9.9.9"_a});
  EXPECT_TRUE(is_lost(id));
  lead("10.9.9.9"_a, by);
  EXPECT_EQ(reached(id), (Addresses{"192.0.2.2"_a, "198.51.100.2"_a}));
  set_up(*wan_, false);
  EXPECT_EQ(reached(id), (Addresses{"198.51.100.2"_a})) << "rule 14";
  set_up(*wan_, true);
  EXPECT_EQ(reached(id).size(), 2U);
  lead("10.9.9.9"_a, hold({"192.0.2.3"_a}));
  EXPECT_EQ(reached(id), (Addresses{"192.0.2.3"_a}));
  lead("10.9.9.9"_a, hold({}));
  EXPECT_TRUE(is_lost(id)) << "the route to it leads nowhere";
}

TEST_F(RecursiveTest, RoutesMayLeadOverRoutes) {
  const NextHopId last = hold({"192.0.2.2"_a});
  NextHopId id = last;
  for (std::uint32_t i = 0; i < 40; ++i) {
    lead(Ipv4Address(0x0a000000 + i), id);
    id = hold({Ipv4Address(0x0a000000 + i)});
    if (i == 30) {
      EXPECT_EQ(reached(id), (Addresses{"192.0.2.2"_a}));
    }
  }
  EXPECT_TRUE(is_lost(id)) << "but not over any number";
}

TEST_F(RecursiveTest, WhatLeadsToItselfLeadsNowhere) {
  const NextHopId a = hold({"10.0.0.1"_a}), b = hold({"10.0.0.2"_a}), c = hold({"10.0.0.3"_a, "192.0.2.2"_a});
  lead("10.0.0.1"_a, b);
  lead("10.0.0.2"_a, a);
  lead("10.0.0.3"_a, c);
  EXPECT_TRUE(is_lost(a));
  EXPECT_TRUE(is_lost(b));
  EXPECT_EQ(reached(c), (Addresses{"192.0.2.2"_a})) << "the other way is one";
  lead("10.0.0.1"_a, c);
  EXPECT_EQ(reached(b), (Addresses{"192.0.2.2"_a})) << "the loop is cut";
}

TEST_F(RecursiveTest, SharesAreThoseOfTheWaysInTheirs) {
  lead("10.0.0.1"_a, hold({{"192.0.2.2"_a, 3}, {"198.51.100.2"_a, 1}}));
  lead("10.0.0.2"_a, hold({"192.0.2.2"_a}));
  const auto count = buckets(hold({{"10.0.0.1"_a, 2}, {"10.0.0.2"_a, 8}}));  // 6 + 8 and 2
  const double all = count.at("192.0.2.2"_a) + count.at("198.51.100.2"_a);
  EXPECT_NEAR(count.at("198.51.100.2"_a) / all, 2 / 16.0, 0.02);
}

TEST_F(RecursiveTest, AddressesOfALinkThatIsDownAreNotLookedUp) {
  set_up(*wan_, false);
  lead("192.0.2.2"_a, hold({"198.51.100.2"_a}));
  EXPECT_TRUE(is_lost(hold({"192.0.2.2"_a})));
}

TEST_F(RecursiveTest, ASetThatChangesTakesAlongWhoIsFoundByIt) {
  const auto own = next_hops_.make_own(NextHopSpec::via({"192.0.2.2"_a}));
  ASSERT_TRUE(own);
  lead("10.0.0.1"_a, held_.emplace_back(*own));
  const NextHopId id = hold({"10.0.0.1"_a});
  EXPECT_EQ(reached(id), (Addresses{"192.0.2.2"_a}));
  next_hops_.change_own(*own, NextHopSpec::via({"198.51.100.2"_a}));
  EXPECT_EQ(reached(id), (Addresses{"198.51.100.2"_a}));
}

}  // namespace
}  // namespace millrace::controlplane
