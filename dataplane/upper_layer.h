// Where the transport header of a packet is.
#pragma once

#include <rte_mbuf.h>

#include <cstdint>

#include "dataplane/packet.h"
#include "net/wire6.h"

namespace millrace::dataplane {

struct UpperLayer {
  std::uint8_t protocol;  // of IPv6 an extension header's, where the chain goes on behind what is looked at
  unsigned at;            // from the frame's begin
  bool is_fragment;       // that may lack the header, or is the first one, whose others do
};

inline UpperLayer upper_layer(const wire::Ipv4& ip) {
  return {ip.protocol, static_cast<unsigned>(sizeof(wire::Ethernet)) + ip.header_length(), ip.is_fragment()};
}

// Behind at most kMaxChain extension headers that lie in the first segment. A call would cost a burst's loop
// its registers: 20 instructions a packet.
[[gnu::always_inline]] inline UpperLayer upper_layer(const rte_mbuf* m, const wire::Ipv6& ip) {
  constexpr unsigned kMaxChain = 4;
  std::uint8_t next = ip.next_header;
  const unsigned end = rte_pktmbuf_data_len(m);
  unsigned at = sizeof(wire::Ethernet) + sizeof ip;
  bool fragment = false;
  for (unsigned i = 0; i < kMaxChain && at + 8 <= end && wire::is_extension(next); ++i) {
    const auto* header = rte_pktmbuf_mtod_offset(m, const std::uint8_t*, at);
    fragment = next == wire::kFragment;
    at += 8U * (header[1] + 1U);
    next = header[0];
    if (fragment) break;  // what follows it is the datagram's, not the packet's
  }
  return {next, at, fragment};
}

}  // namespace millrace::dataplane
