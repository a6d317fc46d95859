// What routing daemons say to each other: it goes to the control thread before all else that is for us, so
// that no flood of other packets takes a session down.
#pragma once

#include <rte_mbuf.h>

#include <cstdint>
#include <cstring>

#include "net/ip_address.h"
#include "net/wire6.h"

namespace millrace::dataplane {

// 224.0.0.0/24 (RFC 5771 4) and ff02::/16 (RFC 4291 2.7): groups of one link, that no router forwards to.
inline bool is_link_group(Ipv4Address group) {
  return group.value() >> 8 == 0xe00000;
}
inline bool is_link_group(const Ipv6Address& group) {
  return group.high() >> 48 == 0xff02;
}

// IEEE 802.3: below this the field is a length, and LLC follows (IS-IS, spanning tree); jumbo frames say LLC
// by a type. LLDP is IEEE 802.1AB.
inline bool is_of_link(std::uint16_t ether_type) {
  constexpr std::uint16_t kFirstType = 0x600, kJumboLlc = 0x8870, kLldp = 0x88cc;
  return ether_type < kFirstType || ether_type == kJumboLlc || ether_type == kLldp;
}

// Whether a packet whose payload of `protocol` begins at `at`, in its first segment or not, is one: IGMP,
// EIGRP, OSPF, PIM, VRRP; BGP and LDP over TCP; BFD, RIP, RIPng and LDP over UDP.
inline bool is_control_protocol(const rte_mbuf* m, std::uint32_t at, std::uint8_t protocol) {
  constexpr std::uint8_t kIgmp = 2, kEigrp = 88, kOspf = 89, kPim = 103, kVrrp = 112;
  if (protocol == kIgmp || protocol == kEigrp || protocol == kOspf || protocol == kPim || protocol == kVrrp)
    return true;
  Be16 ports[2];
  if (rte_pktmbuf_data_len(m) < at + sizeof ports) return false;
  std::memcpy(ports, rte_pktmbuf_mtod_offset(m, const std::byte*, at), sizeof ports);
  const auto is_port = [&](std::uint16_t port) { return ports[0].host() == port || ports[1].host() == port; };
  constexpr std::uint16_t kBgp = 179, kRip = 520, kRipng = 521, kLdp = 646, kBfd = 3784, kBfdEcho = 3785,
                          kBfdMultihop = 4784;
  if (protocol == wire::kProtocolTcp) return is_port(kBgp) || is_port(kLdp);
  if (protocol != wire::kProtocolUdp) return false;
  const std::uint16_t to = ports[1].host();
  return to == kBfd || to == kBfdEcho || to == kBfdMultihop || to == kRip || to == kRipng || to == kLdp;
}

}  // namespace millrace::dataplane
