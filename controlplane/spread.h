// Which member of a group holds which of its buckets: in proportion to weights, and so that a change of
// members moves no more buckets than it has to.
//
// How many buckets a member gets is a seat apportionment by the method of Webster (Sainte-Laguë), after each
// member has one. Such a method takes nothing from one old member to give it to another when members or seats
// are added, and what it gives to some of the members is what it would give to these alone (Balinski and
// Young, Fair Representation, 1982).
//
// Which ones it gets is weighted rendezvous hashing (Thaler and Ravishankar, "Using Name-Based Mappings to
// Increase Hit Rates", 1998; RFC 2991, Highest Random Weight; weights by the logarithmic method of
// Schindelhauer and Schomaker, "Weighted Distributed Hash Tables", 2005), which depends on the bucket and the
// member's address (and interface, where it names one) alone: sets that share members share most buckets. A
// stable matching (Gale and Shapley, "College Admissions and the Stability of Marriage", 1962) makes the
// numbers exact. More buckets than kMinBuckets come by doubling: a flow (a hash masked by the size) keeps its
// member when the size doubles, but for what the finer numbers move.
//
// Each bucket has a fixed order of members: its first, its second (the first's buckets, dealt out in
// proportion), then the others by rendezvous. It is held by the first of them that is usable, whatever
// happened before. The loss of a member thus moves its buckets alone, and its return gives it just these
// back.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "config/model.h"

namespace millrace::controlplane {

class Spread {
 public:
  using Hops = std::span<const config::NextHop>;

  // At least two hops, at most config::kMaxNextHops, each way once. Makes as few buckets as give every
  // member a share within 2 % of its weight and 16 buckets on the average, or kMaxBuckets.
  explicit Spread(Hops hops);

  [[nodiscard]] std::uint32_t size() const { return static_cast<std::uint32_t>(order_.size()); }
  // Who of `hops` (those that it was made of) holds the bucket. usable[i] is 0 for those that cannot; one
  // can.
  [[nodiscard]] std::size_t holder(Hops hops, std::uint32_t bucket,
                                   std::span<const std::uint8_t> usable) const;

 private:
  struct Order {
    std::uint8_t first;
    std::uint8_t second;
  };
  std::vector<Order> order_;  // [bucket]
};

}  // namespace millrace::controlplane
