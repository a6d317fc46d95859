// What ICMP and ICMPv6 share: one rate limit for the errors of both (RFC 1812 4.3.2.8, RFC 4443 2.4 (f)), and
// what they count; and who hears of packets of ours that were too long.
#pragma once

#include <rte_mbuf.h>

#include <algorithm>
#include <cstdint>
#include <functional>

namespace millrace::controlplane {

// In `m`, from `at` on, is the beginning of a packet of ours that was too long for a way which takes `mtu`;
// 0: the way does not say.
using TooBig = std::function<void(const rte_mbuf* m, std::uint32_t at, std::uint32_t mtu)>;

struct IcmpCounters {
  std::uint64_t echo_replies = 0;
  std::uint64_t errors_sent = 0;
  std::uint64_t errors_suppressed_rate = 0;  // over the rate limit
  std::uint64_t errors_suppressed_rule = 0;  // RFC 1812 4.3.2.7 or RFC 4443 2.4 (e) forbids one
};

// A token bucket, in time: one error costs 1 s / rate.
class IcmpLimits {
 public:
  void set_rate(unsigned errors_per_second) { rate_ = errors_per_second; }
  void set_time(std::uint64_t now_ns) { now_ns_ = now_ns; }

  // Whether an error may be sent that the rules allow or not; counts why it may not.
  bool allow(bool by_rule) {
    if (!by_rule) {
      ++counters_.errors_suppressed_rule;
      return false;
    }
    if (take_token()) return true;
    ++counters_.errors_suppressed_rate;
    return false;
  }
  [[nodiscard]] const IcmpCounters& counters() const { return counters_; }
  [[nodiscard]] IcmpCounters& count() { return counters_; }

 private:
  static constexpr std::uint64_t kSecond = 1'000'000'000;

  bool take_token() {
    const std::uint64_t cost = kSecond / rate_;
    // A bucket holds a tenth of a second's errors, and at least 6: a traceroute sends that many at once.
    const std::uint64_t capacity = std::max(kSecond / 10, 6 * cost);
    credit_ns_ = std::min(capacity, last_ns_ == 0 ? capacity : credit_ns_ + (now_ns_ - last_ns_));
    last_ns_ = now_ns_;
    if (credit_ns_ < cost) return false;
    credit_ns_ -= cost;
    return true;
  }

  std::uint64_t now_ns_ = 0;
  unsigned rate_ = 1000;
  std::uint64_t credit_ns_ = 0;
  std::uint64_t last_ns_ = 0;
  IcmpCounters counters_;
};

}  // namespace millrace::controlplane
