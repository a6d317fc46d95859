#include "controlplane/local.h"

#include <algorithm>
#include <span>

#include "controlplane/packet_bytes.h"
#include "dataplane/control_protocol.h"
#include "dataplane/ipv4_validate.h"
#include "dataplane/ipv6_validate.h"
#include "dataplane/packet.h"
#include "net/wire6.h"

namespace millrace::controlplane {

using dataplane::DropReason;

namespace {

constexpr bool has_ports(std::uint8_t protocol) {
  return protocol == wire::kProtocolUdp || protocol == wire::kProtocolTcp;
}

// The groups that workers let through, but of the solicited-node ones those of its addresses alone.
bool is_joined(const Interface& on, Ipv6Address group) {
  if (!dataplane::is_solicited_node(group)) return dataplane::is_router_group(group);
  if (const auto own = on.link_local(); own && own->solicited_node() == group) return true;
  return std::ranges::any_of(on.config.addresses.ipv6,
                             [&](const auto& own) { return own.address.solicited_node() == group; });
}

bool is_subnet_broadcast(const Interface& on, Ipv4Address to) {
  return std::ranges::any_of(on.config.addresses.ipv4,
                             [&](const auto& own) { return own.has_broadcast() && own.broadcast() == to; });
}

// Packets that are in order, and none of our business.
constexpr bool may_be_for_daemons(DropReason reason) {
  return reason == DropReason::local_no_port || reason == DropReason::local_no_protocol ||
         reason == DropReason::local_icmp_ignored;
}

// Of a message of neighbour discovery; 0 of any other packet.
std::uint8_t nd_type(const rte_mbuf* m, const HeaderChain& chain) {
  if (chain.problem || chain.protocol != wire::kProtocolIcmpv6) return 0;
  std::uint8_t type = 0;
  copy_out(m, static_cast<std::uint32_t>(sizeof(wire::Ethernet)) + chain.at,
           std::as_writable_bytes(std::span(&type, 1)));
  return wire::is_nd(type) ? type : std::uint8_t{0};
}

}  // namespace

void Local::set_drop(Reassembly::Drop drop) {
  drop_ = std::move(drop);
  reassembly_.set_drop(drop_);
}

void Local::deliver(rte_mbuf* m, const Interface& ingress) {
  is_ipv6(m) ? take_ipv6(m, ingress) : take_ipv4(m, ingress);
}

void Local::take_ipv4(rte_mbuf* m, const Interface& ingress) {
  const bool was_whole = !dataplane::ipv4(m)->is_fragment();
  if (!was_whole) m = reassembly_.add_ipv4(m);
  if (m == nullptr) return;
  const Ipv4Address to(dataplane::ipv4(m)->destination);
  if (!dataplane::is_unicast_host(to) || dataplane::ethernet(m)->destination.is_group())
    return take_for_all(m, ingress, to);
  if (!was_whole && ipsec_(m, ingress)) return;
  const std::uint8_t protocol = dataplane::ipv4(m)->protocol;
  Reason reason = has_ports(protocol) ? DropReason::local_no_port : DropReason::local_no_protocol;
  if (protocol == wire::kProtocolIcmp) reason = icmp_.deliver(m, ingress);
  end(m, ingress, reason);
}

// Groups of the link, and all hosts of it or of its subnet (RIPv1, DHCP): daemons alone listen.
void Local::take_for_all(rte_mbuf* m, const Interface& ingress, Ipv4Address to) {
  const bool is_ours = !dataplane::is_unicast_host(to) || is_subnet_broadcast(ingress, to);
  if (is_ours && daemons_(m, ingress)) return rte_pktmbuf_free(m);
  drop_(m, is_ours ? dataplane::bad_destination(to) : DropReason::l2_broadcast, false);
}

void Local::end(rte_mbuf* m, const Interface& ingress, Reason reason) {
  if (!reason) return;
  if (may_be_for_daemons(*reason) && daemons_(m, ingress)) return rte_pktmbuf_free(m);
  drop_(m, *reason, true);
}

void Local::take_ipv6(rte_mbuf* m, const Interface& ingress) {
  const Ipv6Address destination(dataplane::ipv6(m)->destination);
  if (destination.is_multicast() && !is_joined(ingress, destination)) {
    if (dataplane::is_link_group(destination) && daemons_(m, ingress)) return rte_pktmbuf_free(m);
    return drop_(m, DropReason::destination_multicast, false);
  }
  HeaderChain chain = read_chain(m, ChainUse::deliver);
  const bool was_whole = chain.problem || chain.protocol != wire::kFragment;
  if (!was_whole) {
    if (!holds_all_headers(m)) {
      dataplane::meta(m).pointer = 0;  // RFC 8200 4.5
      return drop_(m, DropReason::local_headers_incomplete, true);
    }
    m = reassembly_.add_ipv6(m, chain.at, chain.named_at);
    if (m == nullptr || ipsec_(m, ingress)) return;
    chain = read_chain(m, ChainUse::deliver);
  }
  end(m, ingress, dispatch(m, ingress, chain, was_whole));
}

std::optional<DropReason> Local::dispatch(rte_mbuf* m, const Interface& ingress, const HeaderChain& chain,
                                          bool was_whole) {
  dataplane::meta(m).pointer = chain.problem ? chain.pointer : chain.named_at;
  // Neighbour discovery is never in fragments (RFC 6980 5), and may be about an address that is tentative.
  if (const std::uint8_t type = nd_type(m, chain); type != 0) {
    const bool in_fragments = !was_whole || chain.atomic_fragment;
    // The kernel asks for neighbours by itself.
    if (!in_fragments && type == wire::kNdAdvertisement) daemons_(m, ingress);
    return in_fragments ? DropReason::nd_ignored : nd_.handle(m, ingress, chain.at);
  }
  const Ipv6Address destination(dataplane::ipv6(m)->destination);
  if (!nd_.may_answer(destination, ingress.id)) return DropReason::local_tentative;
  if (chain.problem) return chain.problem;
  if (chain.protocol == wire::kProtocolIcmpv6) return icmp6_.deliver(m, ingress, chain.at);
  if (chain.protocol == wire::kNoNextHeader) return DropReason::local_no_payload;
  return has_ports(chain.protocol) ? DropReason::local_no_port : DropReason::local_no_protocol;
}

}  // namespace millrace::controlplane
