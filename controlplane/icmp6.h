// What Millrace answers by itself in IPv6: echo to its own addresses, and ICMPv6 errors about packets that
// could not go on. icmp.h is the same for IPv4.
//
// Supported: RFC 4443 2 to 4. Control thread only.
#pragma once

#include <rte_mbuf.h>

#include <cstdint>
#include <optional>
#include <utility>

#include "controlplane/icmp_limits.h"
#include "controlplane/nd.h"
#include "controlplane/output.h"

namespace millrace::controlplane {

class Icmp6 {
 public:
  Icmp6(const dataplane::Tables& tables, const Nd& nd, Output& output, IcmpLimits& limits)
      : tables_(tables), nd_(nd), output_(output), limits_(limits) {}

  void set_too_big(TooBig too_big) { too_big_ = std::move(too_big); }

  // A message, `at` bytes behind the Ethernet header of a whole packet to us. Takes the buffer if it has no
  // reason to drop it; else the caller drops it with that reason.
  std::optional<dataplane::DropReason> deliver(rte_mbuf* m, const Interface& ingress, std::uint16_t at);
  // The error that `reason` calls for, about `m`, which came on `ingress`. What it points to or which MTU it
  // tells is in meta(m). The buffer stays the caller's.
  void send_error(rte_mbuf* m, const Interface& ingress, dataplane::DropReason reason);
  // The same, whoever it is from and whatever limits say: a packet, or null without a buffer. The reason has
  // an error in this family.
  rte_mbuf* make_error(rte_mbuf* m, Ipv6Address from, dataplane::DropReason reason);

 private:
  [[nodiscard]] std::optional<Ipv6Address> error_source(const wire::Ipv6& original,
                                                        const Interface& ingress) const;
  void echo_reply(rte_mbuf* m, const Interface& ingress, std::uint16_t at, Ipv6Address from);

  const dataplane::Tables& tables_;
  const Nd& nd_;
  Output& output_;
  IcmpLimits& limits_;
  TooBig too_big_ = [](const rte_mbuf*, std::uint32_t, std::uint32_t) {};
};

}  // namespace millrace::controlplane
