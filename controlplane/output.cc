#include "controlplane/output.h"

#include <rte_ethdev.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "controlplane/packet_bytes.h"
#include "dataplane/control_protocol.h"
#include "dataplane/ip_family.h"
#include "net/wire6.h"

namespace millrace::controlplane {

using dataplane::DropReason;
using dataplane::Ipv4Family;
using dataplane::Ipv6Family;
using dataplane::NextHop;
using dataplane::TxPath;

namespace {

std::uint32_t ip_length(rte_mbuf* m) {
  return is_ipv6(m) ? Ipv6Family::length(*dataplane::ipv6(m)) : Ipv4Family::length(*dataplane::ipv4(m));
}

// What a worker does to each packet that it forwards.
void count_hop(rte_mbuf* m) {
  is_ipv6(m) ? Ipv6Family::hop(*dataplane::ipv6(m)) : Ipv4Family::hop(*dataplane::ipv4(m));
}

}  // namespace

rte_mbuf* Output::allocate(std::uint16_t bytes) {
  rte_mbuf* m = rte_pktmbuf_alloc(pool_);
  if (m == nullptr || rte_pktmbuf_append(m, bytes) == nullptr) {
    rte_pktmbuf_free(m);
    ++counters_.lost;
    return nullptr;
  }
  std::memset(rte_pktmbuf_mtod(m, void*), 0, bytes);
  dataplane::meta(m) = {};
  dataplane::meta(m).from_control = true;
  return m;
}

rte_mbuf* Output::make(std::span<const std::byte> bytes) {
  rte_mbuf* whole = nullptr;
  while (!bytes.empty() || whole == nullptr) {
    rte_mbuf* part = rte_pktmbuf_alloc(pool_);
    if (part == nullptr) {
      rte_pktmbuf_free(whole);
      ++counters_.lost;
      return nullptr;
    }
    const auto take = std::min<std::size_t>(bytes.size(), rte_pktmbuf_tailroom(part));
    std::memcpy(rte_pktmbuf_append(part, static_cast<std::uint16_t>(take)), bytes.data(), take);
    bytes = bytes.subspan(take);
    if (whole == nullptr) {
      whole = part;
    } else {
      rte_pktmbuf_chain(whole, part);  // 64 KiB are fewer segments than a chain may have
    }
  }
  dataplane::meta(whole) = {};
  dataplane::meta(whole).from_control = true;
  return whole;
}

// A packet that was only passing through is a drop with a reason; one of ours is merely counted.
void Output::lose(rte_mbuf* m, InterfaceId egress, DropReason reason) {
  ++counters_.lost;
  if (dataplane::meta(m).from_control) return rte_pktmbuf_free(m);
  hooks_.drop(m, egress, reason);
}

void Output::send_frame(rte_mbuf* m, const Interface& egress) {
  if (may_leave(m, egress)) leave(m, egress);
}

// What the policies say of a packet that leaves; false if it does not, or was given to a tunnel. What is no
// IP and not of the link they cannot be asked about.
bool Output::may_leave(rte_mbuf* m, const Interface& egress) {
  const auto policies = egress.current_policies();
  if (!policies) return true;
  const std::uint16_t type = dataplane::ethernet(m)->type.host();
  if (type == wire::kEtherTypeArp || dataplane::is_of_link(type)) return true;
  if (!wire::is_ip(type)) return lose(m, egress.id, DropReason::policy_discard), false;
  const dataplane::Policies::Said said = policies->ask(tables_, m, dataplane::Way::out);
  if (said.action == PolicyAction::bypass) return true;
  if (said.action == PolicyAction::discard) return lose(m, egress.id, said.reason), false;
  const Interface* tunnel = interfaces_.find(said.tunnel);
  if (tunnel == nullptr || !tunnel->tunnel)
    lose(m, egress.id, DropReason::tx_gone);
  else
    protect(m, *tunnel, egress);
  return false;
}

// Of a daemon, whose device has the MTU of the link: it is told where the tunnel's is less.
void Output::protect(rte_mbuf* m, const Interface& tunnel, const Interface& link) {
  const bool may_cut = is_ipv6(m) ? !tunnel.tunnel->transport : !dataplane::ipv4(m)->dont_fragment();
  if (dataplane::meta(m).from_control && !may_cut && ip_length(m) > tunnel.mtu()) {
    dataplane::meta(m).mtu = tunnel.mtu();
    hooks_.too_long(m, link);
    return lose(m, tunnel.id, DropReason::fragmentation_needed);
  }
  send_packet_to(m, tunnel, {});
}

void Output::leave(rte_mbuf* m, const Interface& egress) {
  if (egress.tunnel)
    return hand_over(m, egress.id, {.egress = egress.id, .hand_off = dataplane::HandOff::protect},
                     worker_rings_[egress.tunnel->owner]);
  if (!egress.config.has_link()) return lose(m, egress.id, DropReason::tx_gone);
  if (egress.tags.any() && !dataplane::put_tags(m, egress.tags, egress.port_tags)) {
    return lose(m, egress.id, DropReason::no_mbuf);
  }
  const TxPath& path = paths_[egress.port.value()];
  if (path.kind == TxPath::Kind::none) return lose(m, egress.id, DropReason::tx_gone);
  if (path.kind == TxPath::Kind::handoff)
    return hand_over(m, egress.id, {.egress = egress.id, .out_port = egress.port}, path.ring);
  if (m->nb_segs > path.max_segments && rte_pktmbuf_linearize(m) != 0) {
    return lose(m, egress.id, DropReason::tx_segments);
  }
  const std::uint32_t bytes = m->pkt_len;
  if (rte_eth_tx_burst(egress.port.value(), path.queue, &m, 1) != 1) {
    return lose(m, egress.id, DropReason::tx_queue_full);
  }
  ++counters_.sent;
  ++counters_.sent_direct;
  direct_[egress.id.value()].tx_packets.add(1);
  direct_[egress.id.value()].tx_bytes.add(bytes);
}

void Output::hand_to_ipsec(rte_mbuf* m, const Interface& ingress) {
  hand_over(m, ingress.id, {.ingress = ingress.id, .hand_off = dataplane::HandOff::take},
            worker_rings_.front());
}

void Output::hand_over(rte_mbuf* m, InterfaceId lost_at, const dataplane::PacketMeta& what, rte_ring* ring) {
  dataplane::PacketMeta& meta = dataplane::meta(m);
  const dataplane::PacketMeta before = std::exchange(meta, what);
  meta.from_control = true;
  if (rte_ring_sp_enqueue(ring, m) == 0) {
    ++counters_.sent;
    return;
  }
  meta = before;
  lose(m, lost_at, DropReason::handoff_full);
}

void Output::send_packet(rte_mbuf* m, const Interface& on) {
  const auto* ip = rte_pktmbuf_mtod(m, const wire::Ipv4*);
  if (ip->version() == 4) return send_by_fib<Ipv4Family>(m, on.fib, Ipv4Address(ip->destination));
  const Ipv6Address destination(rte_pktmbuf_mtod(m, const wire::Ipv6*)->destination);
  if (destination.is_link_local() || destination.is_multicast()) return send_on_link(m, on, destination);
  send_by_fib<Ipv6Family>(m, on.fib, destination);
}

template <class Family>
void Output::send_by_fib(rte_mbuf* m, FibId fib, typename Family::Address destination) {
  using Address = typename Family::Address;
  const NextHop next_hop = tables_.next_hop(tables_.fib<Address>(fib).lookup(destination));
  dataplane::meta(m).from_control = true;
  if (rte_pktmbuf_prepend(m, sizeof(wire::Ethernet)) == nullptr) return rte_pktmbuf_free(m);
  if (next_hop.kind() == NextHop::Kind::forward) return send_over(m, tables_.adjacency(next_hop.index()));
  if (next_hop.kind() == NextHop::Kind::group) {
    const std::uint32_t hash = Family::flow_hash(m, *Family::header(m), tables_.flow_hashing());
    return send_over(m, tables_.adjacency(tables_.bucket(next_hop.bucket(hash))));
  }
  if (next_hop.kind() == NextHop::Kind::glean) {
    return hooks_.unresolved({InterfaceId(static_cast<std::uint16_t>(next_hop.index())), destination}, m);
  }
  ++counters_.no_route;
  rte_pktmbuf_free(m);
}

void Output::send_on_link(rte_mbuf* m, const Interface& on, Ipv6Address to, std::optional<MacAddress> mac) {
  dataplane::meta(m).from_control = true;
  if (rte_pktmbuf_prepend(m, sizeof(wire::Ethernet)) == nullptr) return rte_pktmbuf_free(m);
  if (to.is_multicast()) mac = wire::multicast_mac(to);
  if (mac) return send_packet_to(m, on, *mac);
  hooks_.unresolved({on.id, to}, m);
}

void Output::send_over(rte_mbuf* m, const dataplane::Adjacency& adjacency) {
  if (!adjacency.complete()) return hooks_.unresolved({adjacency.egress.interface, adjacency.address}, m);
  const Interface* egress = interfaces_.find(adjacency.egress.interface);
  if (egress == nullptr) return lose(m, adjacency.egress.interface, DropReason::tx_gone);
  send_packet_to(m, *egress, adjacency.macs[0]);
}

dataplane::FragmentResult Output::fragment(rte_mbuf* m, std::uint16_t mtu,
                                           rte_mbuf* (&out)[dataplane::kMaxFragments]) {
  if (is_ipv6(m)) return dataplane::fragment_ipv6(m, mtu, ++identification_, pool_, out);
  return dataplane::fragment_ipv4(m, mtu, pool_, out);
}

void Output::send_packet_to(rte_mbuf* m, const Interface& egress, const MacAddress& to) {
  const bool ipv6 = is_ipv6(m);
  const Be16 type(ipv6 ? wire::kEtherTypeIpv6 : wire::kEtherTypeIpv4);
  dataplane::ethernet(m)->type = type;
  if (!may_leave(m, egress)) return;
  const bool forwarded = !dataplane::meta(m).from_control;
  // What transport mode protects is whole, and so is what selectors ask ports of: it is cut up outside.
  const bool may_cut = !ipv6 && !dataplane::ipv4(m)->dont_fragment();
  const bool goes_whole =
      egress.tunnel && may_cut && (egress.tunnel->transport || egress.tunnel->asks_ports());
  const bool too_long = !goes_whole && ip_length(m) > egress.mtu();
  if (too_long && (ipv6 ? forwarded : dataplane::ipv4(m)->dont_fragment())) {
    if (!forwarded) return lose(m, egress.id, DropReason::fragmentation_needed);
    dataplane::meta(m).mtu = egress.mtu();
    return hooks_.drop(m, egress.id, DropReason::fragmentation_needed);
  }
  if (forwarded) count_hop(m);
  *dataplane::ethernet(m) = {to, egress.mac, type};
  if (!too_long) return leave(m, egress);
  rte_mbuf* fragments[dataplane::kMaxFragments];
  const auto result = fragment(m, egress.mtu(), fragments);
  if (result.count == 0) return lose(m, egress.id, result.reason);
  for (unsigned i = 0; i < result.count; ++i) {
    dataplane::meta(fragments[i]) = dataplane::meta(m);
    leave(fragments[i], egress);
  }
  rte_pktmbuf_free(m);
}

}  // namespace millrace::controlplane
