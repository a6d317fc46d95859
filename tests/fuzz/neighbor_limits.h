// Everything about neighbours happens within seconds, so that an input sees it, and does not live on in the
// next.
#pragma once

#include "controlplane/neighbors.h"

namespace millrace::fuzz {

inline controlplane::NeighborLimits quick_neighbors() {
  controlplane::NeighborLimits limits;
  limits.retry_ns = 200'000'000;
  limits.reachable_ns = 500'000'000;
  limits.used_check_ns = 200'000'000;
  limits.forget_ns = 800'000'000;
  limits.failed_retry_ns = 300'000'000;
  limits.defend_ns = 400'000'000;
  return limits;
}

}  // namespace millrace::fuzz
