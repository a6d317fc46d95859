// What the forwarding path asks of a packet, said for IPv4 and for IPv6: the path itself is one template
// (ip_forward.cc).
#pragma once

#include <rte_mbuf.h>

#include <cstdint>
#include <cstring>

#include "dataplane/control_protocol.h"
#include "dataplane/flow_hash.h"
#include "dataplane/ipv4_validate.h"
#include "dataplane/ipv6_validate.h"
#include "net/checksum.h"

namespace millrace::dataplane {

struct Ipv4Family {
  using Address = Ipv4Address;
  using Batched = std::uint32_t;  // an address in a burst's lookup
  static constexpr std::uint16_t kEtherType = wire::kEtherTypeIpv4;

  static wire::Ipv4* header(rte_mbuf* m) { return ipv4(m); }
  static Batched destination(const wire::Ipv4& ip) { return ip.destination.host(); }
  static std::uint32_t length(const wire::Ipv4& ip) { return ip.total_length.host(); }
  static std::uint8_t hops_left(const wire::Ipv4& ip) { return ip.ttl; }
  template <bool kMarks = false>
  static bool is_plain(const rte_mbuf* m, const wire::Ipv4& ip, const OwnAddresses<Address>& own) {
    return is_plain_ipv4<kMarks>(m, ip, own);
  }
  static Verdict validate(rte_mbuf* m, const InterfaceView& in, const OwnAddresses<Address>& own) {
    return validate_ipv4(m, in, own);
  }
  static bool has_link_scope(const wire::Ipv4& ip) { return is_link_local(ip); }
  static bool may_fragment(const wire::Ipv4& ip) { return !ip.dont_fragment(); }
  static std::uint32_t flow_hash(const rte_mbuf* m, const wire::Ipv4& ip, FlowHashing hashing) {
    return ipv4_flow_hash(m, ip, hashing.seed);
  }
  static bool has_flow_mark(const rte_mbuf* m, const wire::Ipv4& ip, FlowHashing /*hashing*/) {
    return dataplane::has_flow_mark(m, ip);
  }
  // 5.3.1 and RFC 1624: TTL down by one, checksum by the difference; the protocol lies between them.
  using Hop = std::uint32_t;
  static Hop after_hop(const wire::Ipv4& ip) {
    Hop word;
    std::memcpy(&word, &ip.ttl, sizeof word);
    return after_ttl_decrement(word);
  }
  static void set_hop(wire::Ipv4& ip, Hop word) { std::memcpy(&ip.ttl, &word, sizeof word); }
  static void hop(wire::Ipv4& ip) { set_hop(ip, after_hop(ip)); }
  static PuntClass local_class(const rte_mbuf* m, const wire::Ipv4& ip) {
    if (ip.protocol == wire::kProtocolIcmp) return PuntClass::icmp;
    const bool control =
        ip.fragment_offset() == 0 &&
        is_control_protocol(m, static_cast<std::uint32_t>(sizeof(wire::Ethernet)) + ip.header_length(),
                            ip.protocol);
    return control ? PuntClass::control : PuntClass::local;
  }
  // Whether daemons on an interface want to hear what was dropped for `reason`, or came in a broadcast frame:
  // groups of the link, all hosts of it, and all hosts of a subnet (RIPv1, DHCP).
  static bool is_for_daemons(const wire::Ipv4& ip, DropReason reason, const OwnAddresses<Address>& own) {
    const Address to(ip.destination);
    if (reason == DropReason::destination_multicast) return is_link_group(to);
    if (reason == DropReason::destination_broadcast) return true;
    return reason == DropReason::l2_broadcast && own.find(to) == AddressKind::broadcast;
  }
  // Whether a packet of link scope is for the router itself, whatever the FIB has for it.
  static bool is_for_link(const wire::Ipv4& /*ip*/, const InterfaceView& /*in*/) { return false; }
};

struct Ipv6Family {
  using Address = Ipv6Address;
  using Batched = Ipv6Address;
  static constexpr std::uint16_t kEtherType = wire::kEtherTypeIpv6;

  static wire::Ipv6* header(rte_mbuf* m) { return ipv6(m); }
  static Batched destination(const wire::Ipv6& ip) { return Ipv6Address(ip.destination); }
  static std::uint32_t length(const wire::Ipv6& ip) { return sizeof ip + ip.payload_length.host(); }
  static std::uint8_t hops_left(const wire::Ipv6& ip) { return ip.hop_limit; }
  template <bool kMarks = false>
  static bool is_plain(const rte_mbuf* m, const wire::Ipv6& ip, const OwnAddresses<Address>& own) {
    return is_plain_ipv6(m, ip, own);
  }
  static Verdict validate(rte_mbuf* m, const InterfaceView& /*in*/, const OwnAddresses<Address>& own) {
    return validate_ipv6(m, own);
  }
  static bool has_link_scope(const wire::Ipv6& ip) { return has_link_scope_ipv6(ip); }
  static bool may_fragment(const wire::Ipv6& /*ip*/) { return false; }
  static std::uint32_t flow_hash(const rte_mbuf* m, const wire::Ipv6& ip, FlowHashing hashing) {
    return ipv6_flow_hash(m, ip, hashing);
  }
  static bool has_flow_mark(const rte_mbuf* m, const wire::Ipv6& ip, FlowHashing hashing) {
    return !hashing.flow_label && dataplane::has_flow_mark(m, ip);
  }
  using Hop = std::uint8_t;
  static Hop after_hop(const wire::Ipv6& ip) { return static_cast<Hop>(ip.hop_limit - 1); }
  static void set_hop(wire::Ipv6& ip, Hop limit) { ip.hop_limit = limit; }
  static void hop(wire::Ipv6& ip) { set_hop(ip, after_hop(ip)); }
  static PuntClass local_class(const rte_mbuf* m, const wire::Ipv6& ip) {
    constexpr std::uint32_t kAt = sizeof(wire::Ethernet) + sizeof(wire::Ipv6);
    if (is_neighbor_discovery(m, ip)) return PuntClass::nd;
    if (ip.next_header == wire::kProtocolIcmpv6) return PuntClass::icmp;
    return is_control_protocol(m, kAt, ip.next_header) ? PuntClass::control : PuntClass::local;
  }
  static bool is_for_daemons(const wire::Ipv6& /*ip*/, DropReason /*reason*/,
                             const OwnAddresses<Address>& /*own*/) {
    return false;
  }
  static bool is_for_link(const wire::Ipv6& ip, const InterfaceView& in) {
    const Ipv6Address to(ip.destination);
    if (to.is_multicast()) return is_router_group(to) || (in.host && is_link_group(to));
    return to == in.link_local && !to.is_unspecified();
  }
};

}  // namespace millrace::dataplane
