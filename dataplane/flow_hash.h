// A hash of what stays the same for all packets of a flow, so that they take one path in order (RFC 2992).
#pragma once

#include <rte_mbuf.h>

#include <cstdint>
#include <cstring>

#include "dataplane/packet.h"
#include "dataplane/port_marks.h"
#include "dataplane/upper_layer.h"

namespace millrace::dataplane {

inline std::uint32_t crc32c(std::uint32_t crc, std::uint64_t data) {
  return static_cast<std::uint32_t>(__builtin_ia32_crc32di(crc, data));
}

// CRC is linear in its seed: without this, a router's buckets are the next one's but for a constant, and two
// in a row polarise. The bijective finish of MurmurHash3 (A. Appleby, public domain).
constexpr std::uint32_t mix(std::uint32_t h) {
  h = (h ^ (h >> 16)) * 0x85ebca6bU;
  h = (h ^ (h >> 13)) * 0xc2b2ae35U;
  return h ^ (h >> 16);
}

// How the flows of a router are hashed: fixed at its start.
struct FlowHashing {
  std::uint32_t seed = 0;   // differs between routers, so that two in a row do not polarise
  bool flow_label = false;  // IPv6: addresses and flow label instead, where there is one (RFC 6438 3)
};

// 5-tuple; a fragment, which may lack the ports, by addresses and protocol alone, the first one too: all
// fragments of a datagram stay together. `seed` differs between routers.
inline std::uint32_t ipv4_flow_hash(const rte_mbuf* m, const wire::Ipv4& ip, std::uint32_t seed) {
  std::uint64_t addresses;
  std::memcpy(&addresses, &ip.source, 8);
  std::uint64_t rest = ip.protocol;
  const unsigned ports_at = static_cast<unsigned>(sizeof(wire::Ethernet)) + ip.header_length();
  const bool has_ports = ip.protocol == wire::kProtocolTcp || ip.protocol == wire::kProtocolUdp;
  if (has_ports && !ip.is_fragment() && ip.total_length.host() >= ip.header_length() + 4 &&
      rte_pktmbuf_data_len(m) >= ports_at + 4) {
    std::uint32_t ports;
    std::memcpy(&ports, rte_pktmbuf_mtod_offset(m, const char*, ports_at), 4);
    rest |= std::uint64_t{ports} << 32;
  }
  return mix(crc32c(crc32c(seed, addresses), rest));
}

// The port's hash of the flow, where it has said that; of two routers not the same, either.
inline std::uint32_t marked_flow_hash(const rte_mbuf* m, std::uint32_t seed) {
  return mix(m->hash.rss ^ seed);
}
inline bool has_flow_mark(const rte_mbuf* m, const wire::Ipv4& ip) {
  return is_flow_hashed(m) && !ip.is_fragment();
}
// Behind extension headers each port finds what it finds.
inline bool has_flow_mark(const rte_mbuf* m, const wire::Ipv6& ip) {
  return is_flow_hashed(m) && (ip.next_header == wire::kProtocolTcp || ip.next_header == wire::kProtocolUdp);
}

inline std::uint32_t ipv6_addresses_hash(const wire::Ipv6& ip, std::uint32_t seed, std::uint64_t rest) {
  std::uint64_t words[4];
  std::memcpy(words, &ip.source, sizeof words);
  for (const std::uint64_t word : words) seed = crc32c(seed, word);
  return mix(crc32c(seed, rest));
}

// Of a packet whose sender labelled its flow; nothing else is looked at (RFC 6437 5).
inline std::uint32_t flow_label(const wire::Ipv6& ip) {
  return ip.version_class_label.host() & 0xfffff;
}

// The same of IPv6, with the ports that upper_layer() finds.
inline std::uint32_t ipv6_flow_hash(const rte_mbuf* m, const wire::Ipv6& ip, FlowHashing hashing) {
  const std::uint32_t label = flow_label(ip);
  if (hashing.flow_label && label != 0) return ipv6_addresses_hash(ip, hashing.seed, label);
  const UpperLayer upper = upper_layer(m, ip);
  std::uint64_t rest = upper.protocol;
  const bool has_ports = upper.protocol == wire::kProtocolTcp || upper.protocol == wire::kProtocolUdp;
  if (has_ports && !upper.is_fragment && upper.at + 4 <= rte_pktmbuf_data_len(m)) {
    std::uint32_t ports;
    std::memcpy(&ports, rte_pktmbuf_mtod_offset(m, const char*, upper.at), 4);
    rest |= std::uint64_t{ports} << 32;
  }
  return ipv6_addresses_hash(ip, hashing.seed, rest);
}

}  // namespace millrace::dataplane
