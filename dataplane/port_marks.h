// What a port found out about a frame and wrote into its buffer, and how far that is believed.
//
// A mark replaces work of ours where what it says is the same as what we would find; nothing is dropped for
// one. So a packet ends where it would end without marks, and only flows that share several next hops may
// take another one of them.
//
// - Drivers mark header checksums as good when the port saw no error, even of frames that it did not take
//   apart, and inside a tunnel the mark is the inner header's. Hence one counts only where the packet's type
//   is IPv4 outside of tunnels, and the outer header is not marked as bad.
// - A mark of a bad checksum is not asked for: what is not known to be good is summed.
// - The hash is Toeplitz's (rss.h), of addresses and ports where the type is TCP or UDP outside of tunnels.
//   Whether a fragment's is of ports depends on the port: it is never believed.
// - The straight way by AVX-512 asks for no mark: it sums 16 headers in some 25 instructions, fewer than it
//   takes to ask as many buffers.
// - Both are of the frame as it came: they go with a tag that we take off, behind which not all ports look.
#pragma once

#include <rte_mbuf.h>
#include <rte_mbuf_ptype.h>

#include <cstdint>

namespace millrace::dataplane {

// Of an interface: which marks of its port are believed.
struct PortMarks {
  bool ipv4_checksum = false;
  bool flow_hash = false;
};

// Of a frame that carries IPv4 by its EtherType.
inline bool is_marked_good(const rte_mbuf* m) {
  constexpr std::uint64_t kSaid = RTE_MBUF_F_RX_IP_CKSUM_MASK | RTE_MBUF_F_RX_OUTER_IP_CKSUM_BAD;
  constexpr std::uint32_t kIpv4 = RTE_PTYPE_L3_IPV4;  // the bit that all types of IPv4 have
  return (m->ol_flags & kSaid) == RTE_MBUF_F_RX_IP_CKSUM_GOOD &&
         (m->packet_type & (kIpv4 | RTE_PTYPE_TUNNEL_MASK)) == kIpv4;
}

// Whether the hash is of addresses and ports, unless the packet is a fragment.
inline bool is_flow_hashed(const rte_mbuf* m) {
  const std::uint32_t type = m->packet_type & (RTE_PTYPE_L4_MASK | RTE_PTYPE_TUNNEL_MASK);
  return (m->ol_flags & RTE_MBUF_F_RX_RSS_HASH) != 0 &&
         (type == RTE_PTYPE_L4_TCP || type == RTE_PTYPE_L4_UDP);
}

inline void forget_marks(rte_mbuf* m) {
  m->ol_flags &= ~(RTE_MBUF_F_RX_IP_CKSUM_MASK | RTE_MBUF_F_RX_RSS_HASH);
}

}  // namespace millrace::dataplane
