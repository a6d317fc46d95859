// The first step of every frame: is it for us, and what does it carry?
#include <rte_ether.h>

#include <cstddef>
#include <cstring>

#include "dataplane/worker.h"
#include "net/wire.h"

namespace millrace::dataplane {
namespace {

// The type, in wire order, of what nearly every frame is: untagged, to the interface's own MAC, in a segment
// that holds its header. 0 of any other.
std::uint16_t type_of_straight(const rte_mbuf* m, std::uint64_t own_mac) {
  if (rte_pktmbuf_data_len(m) < sizeof(wire::Ethernet)) [[unlikely]]
    return 0;
  const auto* frame = rte_pktmbuf_mtod(m, const std::uint8_t*);
  std::uint64_t start;  // the destination, and two bytes of the source
  std::uint16_t type;
  std::memcpy(&start, frame, sizeof start);
  std::memcpy(&type, frame + offsetof(wire::Ethernet, type), sizeof type);
  const bool straight = ((start ^ own_mac) << 16) == 0 && (m->ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED) == 0;
  return straight ? type : std::uint16_t{0};
}

struct Class {
  enum class Kind : std::uint8_t { ipv4, ipv6, arp, drop } kind;
  DropReason reason{};
};

// A tag with VLAN id 0 carries only a priority (IEEE 802.1Q 6.9): the frame is untagged otherwise.
void strip_priority_tag(rte_mbuf* m) {
  constexpr std::uint16_t kTagged = sizeof(wire::Ethernet) + 4;
  if (!make_contiguous(m, kTagged)) return;
  const auto* tag = rte_pktmbuf_mtod_offset(m, const Be16*, sizeof(wire::Ethernet));
  if ((tag->host() & 0xfff) == 0) rte_vlan_strip(m);
}

// The same of any frame.
[[gnu::noinline]] Class classify(const InterfaceView& in, rte_mbuf* m) {
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
  if (type == wire::kEtherTypeIpv6) return {Class::Kind::ipv6};
  if (type == wire::kEtherTypeArp) return {Class::Kind::arp};
  return {Class::Kind::drop, DropReason::unknown_ethertype};
}

}  // namespace

void receive(Worker& worker, const InterfaceView& in, rte_mbuf** frames, unsigned count) {
  rte_mbuf* ipv4[kBurst];
  rte_mbuf* ipv6[kBurst];
  unsigned ipv4_count = 0, ipv6_count = 0;
  const std::uint64_t mac = in.mac.as_u48();
  constexpr std::uint16_t kIpv4 = Be16(wire::kEtherTypeIpv4).wire(),
                          kIpv6 = Be16(wire::kEtherTypeIpv6).wire();
  for (unsigned i = 0; i < count; ++i) {
    rte_mbuf* m = frames[i];
    const std::uint16_t type = type_of_straight(m, mac);
    if (type == kIpv4) {
      ipv4[ipv4_count++] = m;
      continue;
    }
    if (type == kIpv6) {
      ipv6[ipv6_count++] = m;
      continue;
    }
    const Class c = classify(in, m);
    switch (c.kind) {
      case Class::Kind::ipv4:
        ipv4[ipv4_count++] = m;
        break;
      case Class::Kind::ipv6:
        ipv6[ipv6_count++] = m;
        break;
      case Class::Kind::arp:
        worker.punt(m, in.id, PuntClass::arp);
        break;
      case Class::Kind::drop:
        worker.drop(m, in.id, c.reason);
        break;
    }
  }
  if (ipv4_count != 0) ipv4_burst(worker, in, ipv4, ipv4_count);
  if (ipv6_count != 0) ipv6_burst(worker, in, ipv6, ipv6_count);
}

}  // namespace millrace::dataplane
