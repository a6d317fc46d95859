#include "controlplane/spread.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <random>
#include <string>

namespace millrace::controlplane {
namespace {

using Hops = std::vector<config::NextHop>;

// The addresses from 10.0.0.0 on, with these weights.
Hops weighted(const std::vector<unsigned>& weights, std::uint32_t from = 0x0a000000) {
  Hops hops;
  for (const unsigned weight : weights)
    hops.emplace_back(Ipv4Address(from++), static_cast<std::uint8_t>(weight));
  return hops;
}

Hops without(Hops hops, std::size_t i) {
  hops.erase(hops.begin() + static_cast<std::ptrdiff_t>(i));
  return hops;
}

// A group as flows see it, while the hops in `lost` are.
class Group {
 public:
  explicit Group(Hops hops) : hops_(std::move(hops)), spread_(hops_), usable_(hops_.size(), 1) {}
  void lose(std::size_t hop) { usable_[hop] = 0; }
  void regain(std::size_t hop) { usable_[hop] = 1; }
  [[nodiscard]] std::uint32_t size() const { return spread_.size(); }
  [[nodiscard]] IpAddress holder(std::uint32_t bucket) const {
    return hops_[spread_.holder(hops_, bucket % size(), usable_)].address;
  }
  [[nodiscard]] std::vector<IpAddress> holders() const {
    std::vector<IpAddress> all;
    for (std::uint32_t i = 0; i < size(); ++i) all.push_back(holder(i));
    return all;
  }
  [[nodiscard]] double share(const IpAddress& address) const {
    const auto all = holders();
    return static_cast<double>(std::ranges::count(all, address)) / static_cast<double>(all.size());
  }

 private:
  Hops hops_;
  Spread spread_;
  std::vector<std::uint8_t> usable_;
};

// The part of all flows that another member has in `b` than in `a`.
double moved(const Group& a, const Group& b) {
  std::uint32_t count = 0;
  for (std::uint32_t hash = 0; hash < 1024; ++hash) count += a.holder(hash) != b.holder(hash) ? 1 : 0;
  return count / 1024.0;
}

TEST(Spread, HasAsManyBucketsAsSharesNeed) {
  const struct {
    std::vector<unsigned> weights;
    std::uint32_t size;
  } table[] = {
      {{1, 1}, 256},                          // 128 each
      {{1, 1, 1}, 256},                       // 85 or 86 each
      {{1, 3}, 256},                          // 64, 192
      {{1, 255}, 256},                        // 1, 255
      {{1, 1, 1, 1, 1, 1, 1, 1, 1}, 256},     // 28.4: 28 or 29 each, 1.9 % off
      {std::vector<unsigned>(10, 1), 512},    // 51 or 52 each; of 256 buckets 25 would be 2.3 % off
      {std::vector<unsigned>(16, 1), 256},    // 16 each
      {std::vector<unsigned>(32, 1), 512},    // 16 each
      {std::vector<unsigned>(128, 1), 1024},  // 8 each: there are no more
  };
  for (const auto& [weights, size] : table) {
    EXPECT_EQ(Group(weighted(weights)).size(), size)
        << weights.size() << " members, " << weights.front() << " " << weights.back();
  }
}

// Rule 13.
TEST(Spread, SharesAreWithinTwoPercentOfTheWeights) {
  std::mt19937 random(2);
  for (int round = 0; round < 200; ++round) {
    std::vector<unsigned> weights(2 + random() % 7);
    for (unsigned& weight : weights) weight = 1 + static_cast<unsigned>(random() % 10);
    const Hops hops = weighted(weights, static_cast<std::uint32_t>(random()));
    const Group group(hops);
    double total = 0;
    for (const unsigned weight : weights) total += weight;
    for (const auto& hop : hops) {
      // 1024 buckets are the most: half of one is what rounding costs.
      const double ideal = hop.weight / total;
      EXPECT_NEAR(group.share(hop.address), ideal, std::max(0.0201 * ideal, 0.51 / 1024))
          << "round " << round << " weight " << unsigned{hop.weight} << " of " << total;
    }
  }
}

// Rule 13.
TEST(Spread, EveryMemberIsUsedHoweverSmallItsWeight) {
  std::vector<unsigned> weights(config::kMaxNextHops, 255);
  weights[5] = weights[77] = 1;
  const Hops hops = weighted(weights);
  const Group group(hops);
  for (const auto& hop : hops) EXPECT_GT(group.share(hop.address), 0) << hop.address.to_string();
}

// RFC 2992 3: disruption.
// Rule 13.
TEST(Spread, TheLossOfAMemberMovesItsBucketsAloneInProportionToWeights) {
  for (const auto& weights :
       {std::vector<unsigned>{1, 1}, {1, 1, 1}, {3, 1, 2, 2}, {1, 1, 1, 1, 1, 1, 1, 1}}) {
    const Hops hops = weighted(weights);
    const Group whole(hops);
    for (std::size_t lost = 0; lost < hops.size(); ++lost) {
      Group group(hops);
      group.lose(lost);
      for (std::uint32_t i = 0; i < whole.size(); ++i) {
        if (whole.holder(i) == hops[lost].address) continue;
        EXPECT_EQ(group.holder(i), whole.holder(i)) << "bucket " << i;
      }
      double rest = 0;
      for (const auto& hop : without(hops, lost)) rest += hop.weight;
      for (const auto& hop : without(hops, lost)) {
        EXPECT_NEAR(group.share(hop.address), hop.weight / rest, 1.0 / whole.size())
            << "member " << hop.address.to_string() << " of " << hops.size() << " without " << lost;
      }
      group.regain(lost);
      EXPECT_EQ(group.holders(), whole.holders());
    }
  }
}

// Rule 13.
TEST(Spread, MembersComeAndGoInAnyOrderAndOnlyTheirOwnBucketsMove) {
  const Hops hops = weighted({1, 2, 1, 4, 1});
  Group group(hops);
  std::vector<bool> usable(hops.size(), true);
  std::mt19937 random(3);
  for (int step = 0; step < 500; ++step) {
    const std::size_t hop = random() % hops.size();
    const auto before = group.holders();
    if (usable[hop] && std::ranges::count(usable, true) == 1) continue;
    usable[hop] = !usable[hop];
    usable[hop] ? group.regain(hop) : group.lose(hop);
    const auto after = group.holders();
    for (std::size_t i = 0; i < before.size(); ++i) {
      if (before[i] == after[i]) continue;
      EXPECT_EQ(usable[hop] ? after[i] : before[i], hops[hop].address) << "step " << step << " bucket " << i;
    }
  }
}

// The set of a route changes: what it had and what it gets share most buckets. The least that can move is the
// share of the new member.
// Rule 13.
TEST(Spread, ANewMemberTakesItsShareAndMovesLittleElse) {
  std::mt19937 random(4);
  for (const std::size_t members : {2U, 3U, 4U, 6U, 8U, 16U, 32U}) {
    double extra = 0;
    for (int round = 0; round < 20; ++round) {
      // Half of the rounds with neighbouring addresses, in which the new one may be any of them.
      Hops hops = weighted(std::vector<unsigned>(members + 1, 1), static_cast<std::uint32_t>(random()));
      if (round % 2 == 0) {
        for (auto& hop : hops) hop.address = Ipv4Address(static_cast<std::uint32_t>(random()));
        std::ranges::sort(hops);
      }
      const std::size_t added = random() % hops.size();
      const Group after(hops);
      const double share = after.share(hops[added].address);
      const double all = moved(Group(without(hops, added)), after);
      EXPECT_LE(all, share + 0.12) << members << " members, round " << round;
      extra += (all - share) / 20;
    }
    EXPECT_LE(extra, members <= 16 ? 0.05 : 0.08) << members << " members: on the average";
  }
}

TEST(Spread, AnotherWeightMovesLittleMoreThanTheDifference) {
  const Hops before = weighted({1, 1, 1});
  const Hops after = weighted({2, 1, 1});
  const double difference = 0.5 - 1.0 / 3;
  EXPECT_LE(moved(Group(before), Group(after)), difference + 0.1);
}

TEST(Spread, DependsOnTheMembersAlone) {
  const Hops hops = weighted({1, 2, 3});
  EXPECT_EQ(Group(hops).holders(), Group(hops).holders());
}

}  // namespace
}  // namespace millrace::controlplane
