#include "controlplane/spread.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <limits>
#include <queue>
#include <tuple>
#include <utility>

#include "dataplane/next_hop.h"

namespace millrace::controlplane {
namespace {

using dataplane::kMaxBuckets;
using dataplane::kMinBuckets;
using Hops = Spread::Hops;
using Seats = std::vector<std::uint32_t>;  // [hop]: how many buckets it gets

constexpr std::uint32_t kBucketsPerMember = 16;
constexpr std::uint64_t kErrorPercent = 2;
constexpr std::uint8_t kNobody = 0xff;

// The finish of SplitMix64 (S. Vigna, public domain): every bit of the input changes half of the output.
std::uint64_t mix(std::uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

// What it costs to give the bucket to the hop: -ln(u) / weight for a u in (0, 1) that is random but fixed.
// The hop of least cost is each one with a probability in proportion to its weight.
double cost(std::uint32_t bucket, const config::NextHop& hop) {
  const std::uint64_t random = mix((std::uint64_t{bucket} << 32 ^ hop.hash()) + 0x9e3779b97f4a7c15);
  const double u = (static_cast<double>(random >> 11) + 0.5) * 0x1p-53;
  return -std::log(u) / hop.weight;
}

// Who has the better claim to one more seat: whoever has none, then by weight / (2 seats + 1).
bool comes_first(Hops hops, const Seats& seats, std::size_t a, std::size_t b) {
  if ((seats[a] == 0) != (seats[b] == 0)) return seats[a] == 0;
  return hops[a].weight * (2 * seats[b] + 1) > hops[b].weight * (2 * seats[a] + 1);
}

// Gives one more seat, to anyone but `except`. Returns to whom.
std::size_t give_seat(Hops hops, Seats& seats, std::size_t except) {
  std::size_t best = except == 0 ? 1 : 0;
  for (std::size_t hop = best + 1; hop < hops.size(); ++hop) {
    if (hop != except && comes_first(hops, seats, hop, best)) best = hop;
  }
  ++seats[best];
  return best;
}

bool is_fine_enough(Hops hops, const Seats& seats, std::uint32_t size) {
  if (size < kBucketsPerMember * hops.size()) return false;
  std::uint64_t total = 0;
  for (const config::NextHop& hop : hops) total += hop.weight;
  for (std::size_t i = 0; i < hops.size(); ++i) {
    const std::uint64_t has = seats[i] * total;  // both times size * total: the share and the ideal one
    const std::uint64_t ideal = std::uint64_t{hops[i].weight} * size;
    if ((has > ideal ? has - ideal : ideal - has) * 100 > ideal * kErrorPercent) return false;
  }
  return true;
}

// The buckets' owners while their number grows.
class Owners {
 public:
  explicit Owners(Hops hops) : hops_(hops), owner_(kMinBuckets, kNobody) {}

  // Makes the numbers of buckets equal to `seats`: who has too many gives up the worst matches.
  void fit(const Seats& seats) {
    Seats room = seats;
    std::vector<std::vector<Match>> held(hops_.size());
    std::vector<std::uint32_t> free;
    for (std::uint32_t bucket = 0; bucket < owner_.size(); ++bucket) {
      const std::uint8_t owner = owner_[bucket];
      if (owner == kNobody) {
        free.push_back(bucket);
      } else {
        held[owner].push_back({cost(bucket, hops_[owner]), bucket});
      }
    }
    for (std::size_t hop = 0; hop < hops_.size(); ++hop) {
      const std::size_t keeps = std::min<std::size_t>(held[hop].size(), seats[hop]);
      room[hop] -= static_cast<std::uint32_t>(keeps);
      std::sort(held[hop].begin(), held[hop].end());
      for (std::size_t i = keeps; i < held[hop].size(); ++i) free.push_back(held[hop][i].bucket);
    }
    match(std::move(free), room);
  }

  // Each half of the new buckets is as the old ones were: hash & (2 n - 1) leads to where hash & (n - 1) did.
  void twice() {
    const std::size_t half = owner_.size();
    owner_.resize(2 * half);
    std::copy_n(owner_.begin(), half, owner_.begin() + static_cast<std::ptrdiff_t>(half));
  }

  [[nodiscard]] const std::vector<std::uint8_t>& get() const { return owner_; }

 private:
  struct Match {
    double cost;
    std::uint32_t bucket;
    friend bool operator<(const Match& a, const Match& b) {
      return std::tie(a.cost, a.bucket) < std::tie(b.cost, b.bucket);
    }
  };

  // Deferred acceptance (Gale and Shapley, 1962): a bucket asks its best hop, then its second best ...; a hop
  // that has no more room gives up the worst match for a better one.
  void match(std::vector<std::uint32_t> free, const Seats& room) {
    constexpr double kAsked = std::numeric_limits<double>::infinity();
    const std::size_t hops = hops_.size();
    std::vector<std::size_t> row(owner_.size());            // of a free bucket in `costs`
    std::vector<double> costs(free.size() * hops, kAsked);  // of those that a free bucket did not ask yet
    for (std::size_t i = 0; i < free.size(); ++i) {
      row[free[i]] = i * hops;
      for (std::size_t hop = 0; hop < hops; ++hop) {
        if (room[hop] != 0) costs[i * hops + hop] = cost(free[i], hops_[hop]);
      }
    }
    std::vector<std::priority_queue<Match>> accepted(hops);
    while (!free.empty()) {
      const std::uint32_t bucket = free.back();
      free.pop_back();
      double* const own = &costs[row[bucket]];
      double* const best = std::min_element(own, own + hops);
      auto& matches = accepted[static_cast<std::size_t>(best - own)];
      matches.push({std::exchange(*best, kAsked), bucket});
      if (matches.size() <= room[static_cast<std::size_t>(best - own)]) continue;
      free.push_back(matches.top().bucket);
      matches.pop();
    }
    for (std::size_t hop = 0; hop < hops; ++hop) {
      for (auto& matches = accepted[hop]; !matches.empty(); matches.pop())
        owner_[matches.top().bucket] = static_cast<std::uint8_t>(hop);
    }
  }

  Hops hops_;
  std::vector<std::uint8_t> owner_;  // [bucket]
};

}  // namespace

Spread::Spread(Hops hops) {
  assert(hops.size() >= 2 && hops.size() <= config::kMaxNextHops);
  const std::size_t nobody = hops.size();
  Seats seats(hops.size(), 0);
  for (std::uint32_t i = 0; i < kMinBuckets; ++i) give_seat(hops, seats, nobody);
  Owners owners(hops);
  owners.fit(seats);
  for (std::uint32_t size = kMinBuckets; size < kMaxBuckets && !is_fine_enough(hops, seats, size);
       size *= 2) {
    for (std::uint32_t i = 0; i < size; ++i) give_seat(hops, seats, nobody);
    owners.twice();
    owners.fit(seats);
  }
  for (const std::uint8_t owner : owners.get()) order_.push_back({owner, 0});
  // The seconds: the first's seats go to the others, as if it had never been there.
  for (std::size_t lost = 0; lost < hops.size(); ++lost) {
    Seats without = seats;
    for (Order& order : order_) {
      if (order.first == lost) order.second = static_cast<std::uint8_t>(give_seat(hops, without, lost));
    }
  }
}

std::size_t Spread::holder(Hops hops, std::uint32_t bucket, std::span<const std::uint8_t> usable) const {
  const auto [first, second] = order_[bucket];
  if (usable[first] != 0) return first;
  if (usable[second] != 0) return second;
  std::size_t best = hops.size();
  double least = 0;
  for (std::size_t hop = 0; hop < hops.size(); ++hop) {
    if (usable[hop] == 0) continue;
    const double price = cost(bucket, hops[hop]);
    if (best == hops.size() || price < least) {
      best = hop;
      least = price;
    }
  }
  assert(best != hops.size());
  return best;
}

}  // namespace millrace::controlplane
