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

struct Verdict {
  enum class Kind : std::uint8_t { go_on, drop, consumed };
  Kind kind = Kind::go_on;
  DropReason reason{};

  static constexpr Verdict go_on() { return {}; }
  static constexpr Verdict drop(DropReason why) { return {Kind::drop, why}; }
  // The step took the packet: it punted or transmitted it, and it is counted.
  static constexpr Verdict consumed() { return {Kind::consumed, {}}; }
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
    if (verdict.kind != Verdict::Kind::go_on) return verdict;
  }
  return Verdict::go_on();
}

}  // namespace millrace::dataplane
