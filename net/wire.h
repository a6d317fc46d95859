// Packet formats as they lie on the wire. Every field has an alignment of 1, so that a struct may lie at any
// address.
#pragma once

#include <cstdint>

#include "net/address.h"
#include "net/byte_order.h"
#include "net/ipv6_address.h"
#include "net/mac.h"

namespace millrace::wire {

inline constexpr std::uint16_t kEtherTypeIpv4 = 0x0800;
inline constexpr std::uint16_t kEtherTypeArp = 0x0806;
inline constexpr std::uint16_t kEtherTypeVlan = 0x8100;
inline constexpr std::uint16_t kEtherTypeQinQ = 0x88a8;
inline constexpr std::uint16_t kEtherTypeIpv6 = 0x86dd;
constexpr bool is_ip(std::uint16_t ether_type) {
  return ether_type == kEtherTypeIpv4 || ether_type == kEtherTypeIpv6;
}

struct Ethernet {
  MacAddress destination;
  MacAddress source;
  Be16 type;
};
static_assert(sizeof(Ethernet) == 14);

// IEEE 802.1Q 9.5: between the MACs and the type, as often as there are tags.
struct VlanTag {
  Be16 type;     // kEtherTypeVlan or kEtherTypeQinQ
  Be16 control;  // priority 3, drop eligible 1, VLAN id 12

  [[nodiscard]] std::uint16_t id() const { return control.host() & 0xfff; }
};
static_assert(sizeof(VlanTag) == 4);

inline constexpr std::uint8_t kProtocolIcmp = 1;
inline constexpr std::uint8_t kProtocolTcp = 6;
inline constexpr std::uint8_t kProtocolUdp = 17;
// Tunnels: a whole packet is inside (RFC 2003, RFC 2473), or ESP (RFC 4303).
inline constexpr std::uint8_t kProtocolIpv4 = 4;
inline constexpr std::uint8_t kProtocolIpv6 = 41;
inline constexpr std::uint8_t kProtocolEsp = 50;
inline constexpr std::uint8_t kProtocolSctp = 132;
// Whether what it carries begins with a source and a destination port.
constexpr bool has_ports(std::uint8_t protocol) {
  return protocol == kProtocolTcp || protocol == kProtocolUdp || protocol == kProtocolSctp;
}

inline constexpr std::uint16_t kIpv4Reserved =
    0x8000;  // RFC 791: "must be zero", but preserved (RFC 1812 4.2.2.3)
inline constexpr std::uint16_t kIpv4DontFragment = 0x4000;
inline constexpr std::uint16_t kIpv4MoreFragments = 0x2000;
inline constexpr std::uint16_t kIpv4OffsetMask = 0x1fff;  // in units of 8 bytes

// RFC 791 §3.1
struct Ipv4 {
  std::uint8_t version_ihl;
  std::uint8_t tos;
  Be16 total_length;
  Be16 identification;
  Be16 flags_offset;
  std::uint8_t ttl;
  std::uint8_t protocol;
  Be16 checksum;
  Be32 source;
  Be32 destination;

  [[nodiscard]] unsigned version() const { return version_ihl >> 4; }
  [[nodiscard]] unsigned header_length() const { return (version_ihl & 0xfU) * 4; }
  [[nodiscard]] bool dont_fragment() const { return (flags_offset.host() & kIpv4DontFragment) != 0; }
  [[nodiscard]] bool more_fragments() const { return (flags_offset.host() & kIpv4MoreFragments) != 0; }
  [[nodiscard]] unsigned fragment_offset() const { return flags_offset.host() & kIpv4OffsetMask; }
  [[nodiscard]] bool is_fragment() const { return more_fragments() || fragment_offset() != 0; }
};
static_assert(sizeof(Ipv4) == 20);
inline constexpr unsigned kIpv4MaxHeader = 60;

inline constexpr std::uint8_t kProtocolIcmpv6 = 58;

// RFC 8200 §3
struct Ipv6 {
  Be32 version_class_label;
  Be16 payload_length;
  std::uint8_t next_header;
  std::uint8_t hop_limit;
  Ipv6Address::Bytes source;
  Ipv6Address::Bytes destination;

  [[nodiscard]] unsigned version() const { return version_class_label.host() >> 28; }
};
static_assert(sizeof(Ipv6) == 40 && alignof(Ipv6) == 1);
inline constexpr unsigned kIpv6MinMtu = 1280;  // RFC 8200 §5

// RFC 768
struct Udp {
  Be16 source;
  Be16 destination;
  Be16 length;
  Be16 checksum;
};
static_assert(sizeof(Udp) == 8);
inline constexpr std::uint16_t kUdpEsp = 4500;  // RFC 3948: of both ends

// RFC 792; `rest` is id/sequence, unused, or the next-hop MTU of RFC 1191.
struct Icmp {
  std::uint8_t type;
  std::uint8_t code;
  Be16 checksum;
  Be16 rest_high;
  Be16 rest_low;
};
static_assert(sizeof(Icmp) == 8);

inline constexpr std::uint8_t kIcmpEchoReply = 0;
inline constexpr std::uint8_t kIcmpUnreachable = 3;
inline constexpr std::uint8_t kIcmpSourceQuench = 4;
inline constexpr std::uint8_t kIcmpRedirect = 5;
inline constexpr std::uint8_t kIcmpEchoRequest = 8;
inline constexpr std::uint8_t kIcmpTimeExceeded = 11;
inline constexpr std::uint8_t kIcmpParameterProblem = 12;

inline constexpr std::uint16_t kArpRequest = 1;
inline constexpr std::uint16_t kArpReply = 2;

// RFC 826, for IPv4 over Ethernet.
struct Arp {
  Be16 hardware_type;
  Be16 protocol_type;
  std::uint8_t hardware_length;
  std::uint8_t protocol_length;
  Be16 operation;
  MacAddress sender_mac;
  Be32 sender_address;
  MacAddress target_mac;
  Be32 target_address;
};
static_assert(sizeof(Arp) == 28);

}  // namespace millrace::wire
