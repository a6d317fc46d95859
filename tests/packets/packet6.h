// Packets of IPv6 for tests, as packet.h has those of IPv4.
#pragma once

#include "net/ipv6_address.h"
#include "tests/packets/packet.h"

namespace millrace::packets {

Ipv6Address ip6(const char* text);
inline Ipv6Address address_at(const Bytes& data, std::size_t at) {
  return Ipv6Address(std::span<const std::uint8_t, 16>(data.data() + at, 16));
}

// RFC 8200 3. A field that is not given follows from the others.
struct Ipv6Packet {
  Ipv6Address source = ip6("2001:db8:1::2");
  Ipv6Address destination = ip6("2001:db8:2::2");
  std::uint8_t hop_limit = 64;
  std::uint8_t next_header = 17;
  std::uint8_t traffic_class = 0;
  std::uint32_t flow_label = 0;
  std::uint8_t version = 6;
  std::optional<std::uint16_t> payload_length{};
  Bytes payload = pattern(26);

  [[nodiscard]] Bytes bytes() const;
};
inline Bytes frame(const MacAddress& to, const MacAddress& from, const Ipv6Packet& packet) {
  return ethernet(to, from, 0x86dd, packet.bytes());
}

// The checksum over pseudo-header and payload (RFC 8200 8.1), whose own field holds zero or, to check one,
// itself.
std::uint16_t checksum6(const Ipv6Packet& packet);
// An ICMPv6 packet (RFC 4443 2.1) with its right checksum: type, code, checksum and `rest` in 4 bytes, then
// `data`.
Ipv6Packet icmp6(Ipv6Packet packet, std::uint8_t type, std::uint8_t code, std::uint32_t rest,
                 const Bytes& data);

// Next headers (RFC 8200 4), from the registry and not from the router.
inline constexpr std::uint8_t kHopByHop = 0, kTcp = 6, kUdp = 17, kRouting = 43, kFragment = 44, kIcmp6 = 58,
                              kNoNext = 59, kDestination = 60;
// RFC 8200 4.5; `offset` in bytes.
Bytes fragment_header(std::uint8_t next, std::size_t offset, bool more, std::uint32_t id = 0x1234);
Bytes address_bytes(Ipv6Address address);
// RFC 8200 4.2: an options header, filled up with Pad1.
Bytes options_header(std::uint8_t next, const Bytes& body);
// RFC 8200 4.4, of 24 bytes.
Bytes routing_header(std::uint8_t next, std::uint8_t type, std::uint8_t segments_left);
// RFC 2464 7: the MAC of a group.
MacAddress group_mac(Ipv6Address group);

// What a router makes of the frame: new Ethernet addresses, hop limit less one, no padding.
Bytes forwarded6(const Bytes& frame, const MacAddress& to, const MacAddress& from);

}  // namespace millrace::packets
