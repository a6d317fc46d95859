// The first step of every frame: is it for us, and what does it carry?
#include <rte_ether.h>

#include "dataplane/worker.h"
#include "net/wire.h"

namespace millrace::dataplane {
namespace {

struct Class {
  enum class Kind : std::uint8_t { ipv4, arp, drop } kind;
  DropReason reason{};
};

// A tag with VLAN id 0 carries only a priority (IEEE 802.1Q 6.9): the frame is untagged otherwise.
void strip_priority_tag(rte_mbuf* m) {
  constexpr std::uint16_t kTagged = sizeof(wire::Ethernet) + 4;
  if (!make_contiguous(m, kTagged)) return;
  const auto* tag = rte_pktmbuf_mtod_offset(m, const Be16*, sizeof(wire::Ethernet));
  if ((tag->host() & 0xfff) == 0) rte_vlan_strip(m);
}

Class classify(const InterfaceView& in, rte_mbuf* m) {
  // 1. The frame holds an Ethernet header.
  if (m->pkt_len < sizeof(wire::Ethernet)) return {Class::Kind::drop, DropReason::runt_frame};
  if (!make_contiguous(m, sizeof(wire::Ethernet)))
    return {Class::Kind::drop, DropReason::header_not_contiguous};
  const wire::Ethernet* eth = ethernet(m);
  // 2. It is addressed to us: our MACs, those we joined, broadcast. Group frames are looked at, too: what is
  // wrong
  //    with the packet in them is the better reason.
  if (!eth->destination.is_group() && !in.accepts(eth->destination)) [[unlikely]] {
    return {Class::Kind::drop, DropReason::not_our_mac};
  }
  // 3. What it carries. A NIC that strips tags says so in the mbuf.
  if (eth->type.host() == wire::kEtherTypeVlan) [[unlikely]] {
    strip_priority_tag(m);
    eth = ethernet(m);
  }
  const std::uint16_t type = eth->type.host();
  const bool tagged = type == wire::kEtherTypeVlan || type == wire::kEtherTypeQinQ ||
                      ((m->ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED) != 0 && (m->vlan_tci & 0xfff) != 0);
  if (tagged) [[unlikely]]
    return {Class::Kind::drop, DropReason::unknown_vlan};
  if (type == wire::kEtherTypeIpv4) [[likely]]
    return {Class::Kind::ipv4};
  if (type == wire::kEtherTypeArp) return {Class::Kind::arp};
  return {Class::Kind::drop, DropReason::unknown_ethertype};
}

}  // namespace

void receive(Worker& worker, const InterfaceView& in, rte_mbuf** frames, unsigned count) {
  std::array<rte_mbuf*, kBurst> packets;
  unsigned packet_count = 0;
  for (unsigned i = 0; i < count; ++i) {
    const Class c = classify(in, frames[i]);
    if (c.kind == Class::Kind::ipv4) [[likely]] {
      packets[packet_count++] = frames[i];
    } else if (c.kind == Class::Kind::arp) {
      worker.punt(frames[i], in.id, PuntClass::arp);
    } else {
      worker.drop(frames[i], in.id, c.reason);
    }
  }
  if (packet_count != 0) ipv4_burst(worker, in, packets.data(), packet_count);
}

}  // namespace millrace::dataplane
