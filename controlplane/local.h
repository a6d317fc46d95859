// Packets to the router itself: whole again if they came in fragments, and then to whom their protocol is.
// Control thread only.
#pragma once

#include <rte_mbuf.h>

#include <cstdint>
#include <optional>

#include "controlplane/header_chain.h"
#include "controlplane/icmp.h"
#include "controlplane/icmp6.h"
#include "controlplane/nd.h"
#include "controlplane/reassembly.h"

namespace millrace::controlplane {

class Local {
 public:
  Local(Icmp& icmp, Icmp6& icmp6, Nd& nd) : icmp_(icmp), icmp6_(icmp6), nd_(nd) {}
  void set_drop(Reassembly::Drop drop);
  void set_time(std::uint64_t now_ns) { reassembly_.set_time(now_ns); }
  void tick() { reassembly_.tick(); }

  // A validated packet (Ethernet and IP) to one of our addresses or groups. Takes the buffer.
  void deliver(rte_mbuf* m, const Interface& ingress);

  [[nodiscard]] const Reassembly& reassembly() const { return reassembly_; }

 private:
  using Reason = std::optional<dataplane::DropReason>;
  void take_ipv4(rte_mbuf* m, const Interface& ingress);
  void take_ipv6(rte_mbuf* m, const Interface& ingress);
  Reason dispatch(rte_mbuf* m, const Interface& ingress, const HeaderChain& chain, bool was_whole);

  Icmp& icmp_;
  Icmp6& icmp6_;
  Nd& nd_;
  Reassembly reassembly_;
  Reassembly::Drop drop_;
};

}  // namespace millrace::controlplane
