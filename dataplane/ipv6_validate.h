// Is this a packet that a router may forward or accept? RFC 8200 section 3, RFC 4291 and RFC 4443, step by
// step.
#pragma once

#include <rte_mbuf.h>

#include <cstdint>

#include "dataplane/feature.h"
#include "dataplane/packet.h"
#include "dataplane/tables.h"
#include "net/wire6.h"

namespace millrace::dataplane {

// By its first octet: not unspecified, loopback or mapped (0), not of link or site scope (0xfe), not
// multicast (0xff).
inline bool is_plainly_unicast(const Ipv6Address::Bytes& address) {
  return address[0] != 0 && address[0] < 0xfe;
}

// Steps 1 to 5 at once for what nearly every packet is: in one segment, between global unicast addresses. A
// no says nothing of the packet: validate_ipv6() does then.
inline bool is_plain_ipv6(const rte_mbuf* m, const wire::Ipv6& ip, const OwnAddresses<Ipv6Address>& own) {
  constexpr std::uint32_t kHeaders = sizeof(wire::Ethernet) + sizeof(wire::Ipv6);
  return rte_pktmbuf_data_len(m) >= kHeaders && ip.version() == 6 &&
         rte_pktmbuf_data_len(m) >= kHeaders + ip.payload_length.host() && is_plainly_unicast(ip.source) &&
         is_plainly_unicast(ip.destination) && !own.contains(Ipv6Address(ip.source));
}

// RFC 4861 4: messages of ICMPv6, which never are behind an extension header that we walk for it.
inline bool is_neighbor_discovery(const rte_mbuf* m, const wire::Ipv6& ip) {
  constexpr std::uint16_t kAt = sizeof(wire::Ethernet) + sizeof(wire::Ipv6);
  if (ip.next_header != wire::kProtocolIcmpv6 || rte_pktmbuf_data_len(m) <= kAt) return false;
  const std::uint8_t type = *rte_pktmbuf_mtod_offset(m, const std::uint8_t*, kAt);
  return wire::is_nd(type);
}

// `m` holds an Ethernet header and at least `type` says IPv6. After go_on the IPv6 header lies in the first
// segment, and the packet ends where its payload length says. The unspecified source is left to who sees
// more: it is right in packets to a group (RFC 4861 4.3), and has link scope.
inline Verdict validate_ipv6(rte_mbuf* m, const OwnAddresses<Ipv6Address>& own) {
  constexpr std::uint32_t kHeaders = sizeof(wire::Ethernet) + sizeof(wire::Ipv6);
  // 1. RFC 8200 3: the frame holds an IPv6 header.
  if (m->pkt_len < kHeaders) return Verdict::drop(DropReason::ipv6_truncated);
  if (!make_contiguous(m, kHeaders)) return Verdict::drop(DropReason::header_not_contiguous);
  const wire::Ipv6* ip = ipv6(m);
  // 2. Version 6.
  if (ip->version() != 6) return Verdict::drop(DropReason::ipv6_bad_version);
  // 3. The frame holds the payload.
  const std::uint32_t end = kHeaders + ip->payload_length.host();
  if (m->pkt_len < end) return Verdict::drop(DropReason::ipv6_payload_long);
  // 4. RFC 4291 2.7, 2.5.3: no group sends, and loopback addresses stay inside a node; nor do we ourselves.
  const Ipv6Address source(ip->source), destination(ip->destination);
  if (source.is_multicast()) return Verdict::drop(DropReason::source_multicast);
  if (source.is_loopback() || (source.is_unspecified() && !destination.is_multicast()))
    return Verdict::drop(DropReason::source_reserved);
  //    But for one who tells the link that the address is theirs (RFC 4862 5.4.4).
  const bool claims = destination.is_multicast() && is_neighbor_discovery(m, *ip);
  if (!claims && own.contains(source)) return Verdict::drop(DropReason::source_is_own);
  // 5. RFC 4291 2.5.2, 2.5.3: nobody is there.
  if (destination.is_unspecified() || destination.is_loopback())
    return Verdict::drop(DropReason::destination_reserved);
  // 6. What the link added behind the payload is not part of the packet.
  cut_to(m, end);
  return Verdict::go_on();
}

// Packets that stay on their link: to a group, or from or to an address of link scope (RFC 4291 2.5.6), or
// without a source.
inline bool has_link_scope_ipv6(const wire::Ipv6& ip) {
  const Ipv6Address source(ip.source), destination(ip.destination);
  return source.is_link_local() || source.is_unspecified() || destination.is_link_local() ||
         destination.is_multicast();
}

// ff02::1:ff00:0/104
inline bool is_solicited_node(const Ipv6Address& group) {
  return group.high() == 0xff02ULL << 48 && (group.low() >> 24) == 0x1ff;
}

// Groups that a router is in: all nodes and all routers (RFC 4291 2.7.1), and solicited-node groups, of which
// the control thread knows its own.
inline bool is_router_group(const Ipv6Address& group) {
  const std::uint64_t scope = group.high();
  constexpr std::uint64_t kInterface = 0xff01ULL << 48, kLink = 0xff02ULL << 48, kSite = 0xff05ULL << 48;
  if (is_solicited_node(group)) return true;
  if (group.low() == 2) return scope == kInterface || scope == kLink || scope == kSite;
  return group.low() == 1 && (scope == kInterface || scope == kLink);
}

}  // namespace millrace::dataplane
