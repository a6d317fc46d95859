// Says in the log which of a feed's messages had no effect: at most once a second.
#pragma once

#include <spdlog/spdlog.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "controlplane/feed_routes.h"

namespace millrace::controlplane {

class FailureLog {
 public:
  void tick(std::string_view feed, const FeedRoutes& routes, std::uint64_t now_ns) {
    constexpr std::uint64_t kSecondNs = 1'000'000'000;
    const std::uint64_t failed = routes.counters().failed;
    if (failed == told_ || now_ns < next_ns_) return;
    spdlog::error("feed {}: {} message(s) without effect, the last one on {}", feed, failed - told_,
                  routes.last_failure());
    told_ = failed;
    next_ns_ = now_ns + kSecondNs;
  }

 private:
  std::uint64_t told_ = 0;
  std::uint64_t next_ns_ = 0;
};

}  // namespace millrace::controlplane
