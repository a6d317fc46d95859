// What Millrace answers by itself in IPv4: echo to its own addresses, and ICMP errors about packets that
// could not go on. icmp6.h is the same for IPv6.
//
// Supported: RFC 792, RFC 1122 3.2.2, RFC 1812 4.3, RFC 1191 (next-hop MTU), RFC 6918 (deprecated types
// unanswered). Control thread only.
#pragma once

#include <rte_mbuf.h>

#include <cstdint>
#include <optional>
#include <utility>

#include "controlplane/icmp_limits.h"
#include "controlplane/interfaces.h"
#include "controlplane/output.h"
#include "dataplane/drop_reason.h"

namespace millrace::controlplane {

class Icmp {
 public:
  Icmp(Output& output, IcmpLimits& limits) : output_(output), limits_(limits) {}
  void set_rate(unsigned errors_per_second) { limits_.set_rate(errors_per_second); }

  void set_too_big(TooBig too_big) { too_big_ = std::move(too_big); }

  // A message in a whole packet of IPv4 to one of our addresses. Takes the buffer if it has no reason to drop
  // it; else the caller drops it with that reason.
  std::optional<dataplane::DropReason> deliver(rte_mbuf* m, const Interface& ingress);
  // The error that `reason` calls for, about `m`, which came on `ingress`. The buffer stays the caller's.
  void send_error(rte_mbuf* m, const Interface& ingress, dataplane::DropReason reason);
  // The same, whoever it is from and whatever limits say: a packet, or null without a buffer. The reason has
  // an error in this family.
  rte_mbuf* make_error(rte_mbuf* m, Ipv4Address from, dataplane::DropReason reason);

  [[nodiscard]] const IcmpCounters& counters() const { return limits_.counters(); }  // of both families

 private:
  void echo_reply(rte_mbuf* m, const Interface& ingress);
  [[nodiscard]] bool may_answer(rte_mbuf* m) const;

  Output& output_;
  IcmpLimits& limits_;
  TooBig too_big_ = [](const rte_mbuf*, std::uint32_t, std::uint32_t) {};
  std::uint16_t identification_ = 0;
};

}  // namespace millrace::controlplane
