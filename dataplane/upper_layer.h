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

// Behind at most kMaxChain extension headers that lie in the first segment.
inline UpperLayer upper_layer(const rte_mbuf* m, const wire::Ipv6& ip) {
  constexpr unsigned kMaxChain = 4;
  UpperLayer upper{ip.next_header, sizeof(wire::Ethernet) + sizeof ip, false};
  const unsigned end = rte_pktmbuf_data_len(m);
  for (unsigned i = 0; i < kMaxChain && upper.at + 8 <= end && wire::is_extension(upper.protocol); ++i) {
    const auto* header = rte_pktmbuf_mtod_offset(m, const std::uint8_t*, upper.at);
    upper.is_fragment = upper.protocol == wire::kFragment;
    upper.at += 8U * (header[1] + 1U);
    upper.protocol = header[0];
    if (upper.is_fragment) break;  // what follows it is the datagram's, not the packet's
  }
  return upper;
}

}  // namespace millrace::dataplane
