// A burst's packets of one family on their way through the steps, as arrays: what one step found out, the
// next ones read there instead of in the packet. Lives on a worker's stack; places hold nothing until set.
#pragma once

#include <rte_mbuf.h>

#include <cstddef>
#include <cstdint>
#include <new>

#include "dataplane/burst.h"
#include "dataplane/ip_family.h"

namespace millrace::dataplane {

template <class Family>
class IpBatch {
 public:
  using Batched = typename Family::Batched;
  using Hop = typename Family::Hop;
  // A length no MTU allows: of a packet in several segments, or whose hops end here. They leave the straight
  // way where packets that are too long do.
  static constexpr std::uint32_t kNotStraight = UINT32_MAX;

  // A packet that passed validation: its IP header lies in the first segment.
  void set(unsigned i, rte_mbuf* m) {
    const auto& ip = *Family::header(m);
    const bool straight = Family::hops_left(ip) > 1 && m->nb_segs == 1;
    packets[i] = m;
    frames[i] = rte_pktmbuf_mtod(m, std::byte*);
    lengths[i] = straight ? Family::length(ip) : kNotStraight;
    hops[i] = Family::after_hop(ip);
    new (destinations() + i) Batched(Family::destination(ip));
  }
  void move(unsigned from, unsigned to) {
    if (from == to) return;
    packets[to] = packets[from];
    frames[to] = frames[from];
    lengths[to] = lengths[from];
    hops[to] = hops[from];
    new (destinations() + to) Batched(destinations()[from]);
  }

  Batched* destinations() { return reinterpret_cast<Batched*>(destinations_); }

  rte_mbuf* packets[kBurst];
  std::byte* frames[kBurst];      // where each one's Ethernet header begins
  std::uint32_t lengths[kBurst];  // of IP, or kNotStraight
  Hop hops[kBurst];               // what takes the place of the header's when it leaves

 private:
  alignas(64) std::byte destinations_[kBurst * sizeof(Batched)];
};

}  // namespace millrace::dataplane
