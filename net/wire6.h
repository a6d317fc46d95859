// ICMPv6, neighbour discovery and extension headers as they lie on the wire; wire.h has what both families
// share.
#pragma once

#include "net/checksum.h"
#include "net/wire.h"

namespace millrace::wire {

// Next headers (RFC 8200 §4).
inline constexpr std::uint8_t kHopByHop = 0;
inline constexpr std::uint8_t kRouting = 43;
inline constexpr std::uint8_t kFragment = 44;
inline constexpr std::uint8_t kNoNextHeader = 59;
inline constexpr std::uint8_t kDestinationOptions = 60;

// Those that we can pass: each begins with the next header, and but for a fragment header with its length.
constexpr bool is_extension(std::uint8_t next_header) {
  return next_header == kHopByHop || next_header == kRouting || next_header == kFragment ||
         next_header == kDestinationOptions;
}

// RFC 8200 §4.5
struct Ipv6Fragment {
  std::uint8_t next_header;
  std::uint8_t reserved;
  Be16 offset_more;  // offset in bytes, whose low 3 bits are 0, and the M flag in bit 0
  Be32 identification;

  [[nodiscard]] unsigned offset() const { return offset_more.host() & 0xfff8U; }
  [[nodiscard]] bool more() const { return (offset_more.host() & 1) != 0; }
};
static_assert(sizeof(Ipv6Fragment) == 8);

// RFC 4443 §2.1. The header is that of ICMP: wire::Icmp.
inline constexpr std::uint8_t kIcmpv6TooBig = 2;
inline constexpr std::uint8_t kIcmpv6ParameterProblem = 4;
inline constexpr std::uint8_t kIcmpv6EchoRequest = 128;  // below: errors
inline constexpr std::uint8_t kIcmpv6EchoReply = 129;

// RFC 4861 §4
inline constexpr std::uint8_t kNdRouterSolicitation = 133;
inline constexpr std::uint8_t kNdRouterAdvertisement = 134;
inline constexpr std::uint8_t kNdSolicitation = 135;
inline constexpr std::uint8_t kNdAdvertisement = 136;
inline constexpr std::uint8_t kNdRedirect = 137;
inline constexpr std::uint8_t kNdHopLimit = 255;  // shows that no router passed it on

constexpr bool is_nd(std::uint8_t type) {
  return type >= kNdRouterSolicitation && type <= kNdRedirect;
}

inline constexpr std::uint32_t kNdRouter = 0x80000000;  // flags of an advertisement
inline constexpr std::uint32_t kNdSolicited = 0x40000000;
inline constexpr std::uint32_t kNdOverride = 0x20000000;

// RFC 4861 §4.3 and §4.4: neighbour solicitation and advertisement.
struct NdNeighbor {
  std::uint8_t type;
  std::uint8_t code;
  Be16 checksum;
  Be32 flags;
  Ipv6Address::Bytes target;
};
static_assert(sizeof(NdNeighbor) == 24);

// RFC 4861 §4.2
struct NdRouterAdvert {
  std::uint8_t type;
  std::uint8_t code;
  Be16 checksum;
  std::uint8_t hop_limit;
  std::uint8_t flags;
  Be16 lifetime_s;
  Be32 reachable_ms;
  Be32 retransmit_ms;
};
static_assert(sizeof(NdRouterAdvert) == 16);

inline constexpr std::uint8_t kNdSourceLink = 1;  // options (RFC 4861 §4.6); lengths in units of 8 bytes
inline constexpr std::uint8_t kNdTargetLink = 2;
inline constexpr std::uint8_t kNdPrefix = 3;
inline constexpr std::uint8_t kNdMtu = 5;

struct NdLinkOption {
  std::uint8_t type;
  std::uint8_t length;
  MacAddress mac;
};
static_assert(sizeof(NdLinkOption) == 8);

struct NdPrefixOption {
  std::uint8_t type;
  std::uint8_t length;
  std::uint8_t prefix_length;
  std::uint8_t flags;
  Be32 valid_s;
  Be32 preferred_s;
  Be32 reserved;
  Ipv6Address::Bytes prefix;
};
static_assert(sizeof(NdPrefixOption) == 32);
inline constexpr std::uint8_t kNdOnLink = 0x80;
inline constexpr std::uint8_t kNdAutonomous = 0x40;

struct NdMtuOption {
  std::uint8_t type;
  std::uint8_t length;
  Be16 reserved;
  Be32 mtu;
};
static_assert(sizeof(NdMtuOption) == 8);

inline constexpr Ipv6Address kAllNodes{0xff02'0000'0000'0000, 1};
inline constexpr Ipv6Address kAllRouters{0xff02'0000'0000'0000, 2};

// RFC 2464 §7: 33:33 and the last 32 bits of the group.
constexpr MacAddress multicast_mac(Ipv6Address group) {
  const std::uint64_t low = group.low();
  return {{0x33, 0x33, static_cast<std::uint8_t>(low >> 24), static_cast<std::uint8_t>(low >> 16),
           static_cast<std::uint8_t>(low >> 8), static_cast<std::uint8_t>(low)}};
}

// The partial checksum of the pseudo-header of what `next_header` names (RFC 8200 8.1).
inline std::uint64_t pseudo_header_sum(Ipv6Address source, Ipv6Address destination, std::uint32_t length,
                                       std::uint8_t next_header) {
  const struct {
    Ipv6Address::Bytes source;
    Ipv6Address::Bytes destination;
    Be32 length;
    Be32 next_header;
  } header{source.bytes(), destination.bytes(), Be32(length), Be32(next_header)};
  static_assert(sizeof header == 40);
  return checksum_add(std::as_bytes(std::span(&header, 1)));
}

// Of UDP over IPv6, which may not leave it out (RFC 8200 8.1); the field itself is 0.
inline Be16 udp_checksum(const Ipv6& ip, std::span<const std::byte> udp) {
  const std::uint64_t sum = pseudo_header_sum(Ipv6Address(ip.source), Ipv6Address(ip.destination),
                                              static_cast<std::uint32_t>(udp.size()), kProtocolUdp);
  const auto checksum = static_cast<std::uint16_t>(~checksum_fold(checksum_add(udp, sum)));
  return Be16::from_wire(checksum == 0 ? std::uint16_t{0xffff} : checksum);
}

}  // namespace millrace::wire
