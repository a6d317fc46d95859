// Packets to the router itself: whole again if they came in fragments, and then to whom their protocol is.
// Control thread only.
#pragma once

#include <rte_mbuf.h>

#include <cstdint>
#include <functional>
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
  // Where packets go that we have no answer to: true if their interface has daemons, who got a copy.
  using Daemons = std::function<bool(const rte_mbuf*, const Interface&)>;
  // Where datagrams go that came in fragments: true if it took one.
  using Ipsec = std::function<bool(rte_mbuf*, const Interface&)>;
  void set_drop(Reassembly::Drop drop);
  void set_ipsec(Ipsec ipsec) { ipsec_ = std::move(ipsec); }
  void set_daemons(Daemons daemons) { daemons_ = std::move(daemons); }
  void set_time(std::uint64_t now_ns) { reassembly_.set_time(now_ns); }
  void tick() { reassembly_.tick(); }

  // A validated packet (Ethernet and IP) to one of our addresses or groups, or to all hosts of a link that
  // has daemons. Takes the buffer.
  void deliver(rte_mbuf* m, const Interface& ingress);

  [[nodiscard]] const Reassembly& reassembly() const { return reassembly_; }

 private:
  using Reason = std::optional<dataplane::DropReason>;
  void take_ipv4(rte_mbuf* m, const Interface& ingress);
  void take_ipv6(rte_mbuf* m, const Interface& ingress);
  void take_for_all(rte_mbuf* m, const Interface& ingress, Ipv4Address to);
  void end(rte_mbuf* m, const Interface& ingress, Reason reason);
  Reason dispatch(rte_mbuf* m, const Interface& ingress, const HeaderChain& chain, bool was_whole);

  Icmp& icmp_;
  Icmp6& icmp6_;
  Nd& nd_;
  Reassembly reassembly_;
  Reassembly::Drop drop_;
  Ipsec ipsec_ = [](rte_mbuf*, const Interface&) { return false; };
  Daemons daemons_ = [](const rte_mbuf*, const Interface&) { return false; };
};

}  // namespace millrace::controlplane
