// Features: steps that an interface may have on top of plain forwarding (VLAN, uRPF, ACL, NAT, capture, ...).
//
// An interface's ingress and egress masks say which run; the order is the order of the enums, and a burst
// without any pays one test. Ingress features run after validation and before the lookup; egress features
// once the egress interface is known and the packet may leave, before its MAC is looked for, its TTL goes
// down and it is cut to the MTU. A feature lives in a file of its own and registers a step here. written by:
// the control thread, before workers run; read by: workers.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "dataplane/drop_reason.h"
#include "dataplane/packet.h"

namespace millrace::dataplane {

class Worker;

using FeatureMask = std::uint32_t;
inline constexpr std::size_t kMaxFeatures = 32;

// What a step says of a packet. One word: two bytes that are written apart and read together stall a worker
// by some 11 cycles a packet.
class Verdict {
 public:
  static constexpr Verdict go_on() { return Verdict(kGoOn); }
  static constexpr Verdict drop(DropReason why) { return Verdict(kDrop + static_cast<std::uint32_t>(why)); }
  // The step took the packet: it punted or transmitted it, and it is counted.
  static constexpr Verdict consumed() { return Verdict(kConsumed); }

  [[nodiscard]] constexpr bool goes_on() const { return value_ == kGoOn; }
  [[nodiscard]] constexpr bool drops() const { return value_ >= kDrop; }
  [[nodiscard]] constexpr DropReason reason() const { return static_cast<DropReason>(value_ - kDrop); }

 private:
  static constexpr std::uint32_t kGoOn = 0, kConsumed = 1, kDrop = 2;
  constexpr explicit Verdict(std::uint32_t value) : value_(value) {}
  std::uint32_t value_;
};

// meta(m).ingress (and .egress on the way out) are set. Runs on a worker: no allocation, lock, log or system
// call.
using FeatureStep = Verdict (*)(Worker& worker, rte_mbuf* m);

struct FeatureTable {
  std::array<FeatureStep, kMaxFeatures> ingress{};
  std::array<FeatureStep, kMaxFeatures> egress{};
};

// Runs the steps of `mask` in order until one does not let the packet go on.
inline Verdict run_features(const std::array<FeatureStep, kMaxFeatures>& steps, FeatureMask mask,
                            Worker& worker, rte_mbuf* m) {
  for (; mask != 0; mask &= mask - 1) {
    const Verdict verdict = steps[static_cast<std::size_t>(__builtin_ctz(mask))](worker, m);
    if (!verdict.goes_on()) return verdict;
  }
  return Verdict::go_on();
}

}  // namespace millrace::dataplane
