// What Millrace answers by itself: echo to its own addresses, and ICMP errors about packets that could not go
// on.
//
// Supported: RFC 792, RFC 1122 3.2.2, RFC 1812 4.3, RFC 1191 (next-hop MTU), RFC 6918 (deprecated types
// unanswered). Control thread only.
#pragma once

#include <rte_mbuf.h>

#include <cstdint>
#include <optional>

#include "controlplane/interfaces.h"
#include "controlplane/output.h"
#include "dataplane/drop_reason.h"

namespace millrace::controlplane {

class Icmp {
 public:
  struct Counters {
    std::uint64_t echo_replies = 0;
    std::uint64_t errors_sent = 0;
    std::uint64_t errors_suppressed_rate = 0;  // over the rate limit
    std::uint64_t errors_suppressed_rule = 0;  // RFC 1812 4.3.2.7 forbids one
  };

  Icmp(const Interfaces& interfaces, Output& output) : interfaces_(interfaces), output_(output) {}
  void set_rate(unsigned errors_per_second) { rate_ = errors_per_second; }
  void set_time(std::uint64_t now_ns) { now_ns_ = now_ns; }

  // A validated packet (Ethernet and IPv4) to one of our addresses. Takes the buffer if it has no reason to
  // drop it; else the caller drops it with that reason.
  std::optional<dataplane::DropReason> deliver(rte_mbuf* m, const Interface& ingress);
  // The error that `reason` calls for, about `m`, which came on `ingress`. The buffer stays the caller's.
  void send_error(rte_mbuf* m, const Interface& ingress, dataplane::DropReason reason, std::uint16_t mtu);

  [[nodiscard]] const Counters& counters() const { return counters_; }

 private:
  std::optional<dataplane::DropReason> answer_icmp(rte_mbuf* m, const Interface& ingress);
  void echo_reply(rte_mbuf* m, const Interface& ingress);
  [[nodiscard]] bool may_answer(rte_mbuf* m) const;
  bool take_token();

  const Interfaces& interfaces_;
  Output& output_;
  std::uint64_t now_ns_ = 0;
  unsigned rate_ = 1000;
  std::uint64_t credit_ns_ = 0;  // a token bucket, in time: one error costs 1 s / rate
  std::uint64_t last_ns_ = 0;
  std::uint16_t identification_ = 0;
  Counters counters_;
};

}  // namespace millrace::controlplane
