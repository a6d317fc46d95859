// Fragmentation (RFC 791 3.2; RFC 8200 4.5, of our own packets alone) by copying into fresh buffers.
//
// Called by workers with the packet's own pool, and by the control thread with its own. The packet was
// validated: its header lies in the first segment and its total length is what it holds (validate_ipv4);
// anything else is refused, not trusted.
#pragma once

#include <rte_mbuf.h>

#include <cstdint>

#include "dataplane/drop_reason.h"
#include "dataplane/packet.h"

namespace millrace::dataplane {

// The most fragments of one packet: 65,515 bytes of payload over an MTU of 576 are 119.
inline constexpr unsigned kMaxFragments = 128;

struct FragmentResult {
  unsigned count = 0;   // fragments in `out`; 0 on failure
  DropReason reason{};  // why none was made: mtu_too_small or no_mbuf
};

// Makes the Ethernet frames that carry `m` (Ethernet header, IPv4, DF not set) over a link with `mtu` bytes
// of IP: offsets, more-fragments, copied options and checksums right, also if `m` is a fragment itself. `m`
// stays the caller's. On failure nothing is left allocated.
FragmentResult fragment_ipv4(rte_mbuf* m, std::uint16_t mtu, rte_mempool* pool,
                             rte_mbuf* (&out)[kMaxFragments]);

// The same of a packet of IPv6 that we send and that has no extension headers.
FragmentResult fragment_ipv6(rte_mbuf* m, std::uint16_t mtu, std::uint32_t identification, rte_mempool* pool,
                             rte_mbuf* (&out)[kMaxFragments]);

}  // namespace millrace::dataplane
