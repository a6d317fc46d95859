// What travels with a packet beside its bytes: a struct at a fixed place behind the mbuf header.
//
// The straight way does not touch it: it is filled when a packet leaves that way (punt, drop with an ICMP
// error, hand-off to another worker, features). written by: whoever holds the mbuf; read by: the next to hold
// it.
#pragma once

#include <rte_mbuf.h>

#include <cstdint>

#include "dataplane/drop_reason.h"
#include "net/ip_address.h"
#include "net/strong_id.h"
#include "net/wire.h"

namespace millrace::dataplane {

enum class PuntClass : std::uint8_t {
#define PUNT_CLASS(name, text, rate, ring) name,
#include "dataplane/punt.def"
#undef PUNT_CLASS
};
inline constexpr std::size_t kPuntClassCount = 0
#define PUNT_CLASS(name, text, rate, ring) +1
#include "dataplane/punt.def"
#undef PUNT_CLASS
    ;

// Packets of all ports that wait on the control thread for a neighbour's MAC, at most.
inline constexpr unsigned kMaxWaitingPackets = 1024;
// Buffers of all ports that wait there for the rest of their datagram, at most.
inline constexpr unsigned kMaxReassemblyBuffers = 512;

// What the worker does that gets a packet from another, or from the control thread.
enum class HandOff : std::uint8_t {
  send,     // a frame that is whole
  protect,  // a packet that leaves by the tunnel of `egress`
  take,     // ESP to us
};

struct PacketMeta {
  InterfaceId ingress = kNoInterface;
  InterfaceId egress = kNoInterface;  // hand-off and injection: counted and sent there
  PortId out_port;
  FibId fib;
  IpAddress next_hop_address;  // unresolved: whose MAC is wanted
  std::uint16_t mtu = 0;       // fragmentation_needed: the next hop's
  std::uint16_t pointer = 0;   // reasons with a parameter problem: what is wrong, from the IPv6 header on
  DropReason reason{};         // class error: why it was dropped
  bool from_control = false;   // made by the control thread: counts as originated
  HandOff hand_off = HandOff::send;
};
inline constexpr std::uint16_t kMetaBytes = 64;
static_assert(sizeof(PacketMeta) <= kMetaBytes);

inline PacketMeta& meta(rte_mbuf* m) {
  return *static_cast<PacketMeta*>(rte_mbuf_to_priv(m));
}

inline wire::Ethernet* ethernet(rte_mbuf* m) {
  return rte_pktmbuf_mtod(m, wire::Ethernet*);
}
inline bool carries_ipv6(rte_mbuf* m) {
  return ethernet(m)->type.host() == wire::kEtherTypeIpv6;
}
inline wire::Ipv4* ipv4(rte_mbuf* m) {
  return rte_pktmbuf_mtod_offset(m, wire::Ipv4*, sizeof(wire::Ethernet));
}
inline wire::Ipv6* ipv6(rte_mbuf* m) {
  return rte_pktmbuf_mtod_offset(m, wire::Ipv6*, sizeof(wire::Ethernet));
}

// Makes the first `bytes` of the packet lie in its first segment, by moving them there from the next ones.
// False if the packet is shorter, or the first segment has no room. `bytes` is at most a header chain: 128.
inline bool make_contiguous(rte_mbuf* m, std::uint16_t bytes) {
  if (rte_pktmbuf_data_len(m) >= bytes) [[likely]]
    return true;
  if (rte_pktmbuf_pkt_len(m) < bytes) return false;
  auto missing = static_cast<std::uint16_t>(bytes - rte_pktmbuf_data_len(m));
  if (rte_pktmbuf_tailroom(m) < missing) return false;
  char* to = rte_pktmbuf_mtod_offset(m, char*, m->data_len);
  for (rte_mbuf* next = m->next; missing != 0; next = m->next) {
    const std::uint16_t take = next->data_len < missing ? next->data_len : missing;
    rte_memcpy(to, rte_pktmbuf_mtod(next, char*), take);
    to += take;
    missing = static_cast<std::uint16_t>(missing - take);
    m->data_len = static_cast<std::uint16_t>(m->data_len + take);
    next->data_off = static_cast<std::uint16_t>(next->data_off + take);
    next->data_len = static_cast<std::uint16_t>(next->data_len - take);
    if (next->data_len == 0) {
      m->next = next->next;
      m->nb_segs = static_cast<std::uint16_t>(m->nb_segs - 1);
      next->next = nullptr;
      rte_pktmbuf_free_seg(next);
    }
  }
  return true;
}

// Cuts the packet to its first `bytes`, whole segments behind them too. Does nothing to a shorter packet.
inline void cut_to(rte_mbuf* m, std::uint32_t bytes) {
  if (rte_pktmbuf_pkt_len(m) <= bytes) return;
  rte_mbuf* segment = m;
  std::uint32_t left = bytes;
  std::uint16_t kept = 1;
  while (segment->data_len < left) {
    left -= segment->data_len;
    segment = segment->next;
    ++kept;
  }
  segment->data_len = static_cast<std::uint16_t>(left);
  rte_mbuf* rest = segment->next;
  segment->next = nullptr;
  m->nb_segs = kept;
  m->pkt_len = bytes;
  if (rest != nullptr) [[unlikely]] {
    while (rest != nullptr) {
      rte_mbuf* next = rest->next;
      rest->next = nullptr;
      rest->nb_segs = 1;
      rte_pktmbuf_free_seg(rest);
      rest = next;
    }
  }
}

}  // namespace millrace::dataplane
