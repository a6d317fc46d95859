// Builds packets for tests, byte by byte, and compares them with a readable difference.
//
// Everything that a header computes (lengths, checksums) is right unless it is given; the code is written
// from the RFCs and shares nothing with the router's.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "net/address.h"
#include "net/mac.h"

namespace millrace::packets {

using Bytes = std::vector<std::uint8_t>;

inline constexpr std::size_t kEthernet = 14;
inline constexpr std::uint16_t kReservedFlag = 0x8000;
inline constexpr std::uint16_t kDf = 0x4000;
inline constexpr std::uint16_t kMf = 0x2000;

// The ones' complement checksum, a 16-bit word at a time (RFC 1071), as a host number.
std::uint16_t naive_checksum(const Bytes& data);
std::uint16_t get16(const Bytes& data, std::size_t at);
std::uint32_t get32(const Bytes& data, std::size_t at);
void put16(Bytes& data, std::size_t at, std::uint32_t value);
void put32(Bytes& data, std::size_t at, std::uint32_t value);
Bytes join(const Bytes& a, const Bytes& b);
Bytes slice(const Bytes& data, std::size_t from, std::size_t length);
Bytes pattern(std::size_t length, unsigned seed = 0);  // bytes that differ from place to place

Ipv4Address ip(const char* text);
MacAddress mac(const char* text);

// RFC 791 3.1. A field that is not given follows from the others.
struct Ipv4Packet {
  Ipv4Address source{10, 0, 1, 2};
  Ipv4Address destination{10, 0, 2, 2};
  std::uint8_t ttl = 64;
  std::uint8_t protocol = 17;
  std::uint8_t tos = 0;
  std::uint16_t identification = 0x1234;
  std::uint16_t flags_offset = 0;
  std::uint8_t version = 4;
  std::optional<unsigned> ihl{};  // in words
  std::optional<std::uint16_t> total_length{};
  std::optional<std::uint16_t> checksum{};
  Bytes options{};  // padded with End of Option List to a multiple of 4
  Bytes payload = pattern(26);

  [[nodiscard]] Bytes bytes() const;
};

Bytes udp(std::uint16_t source_port, std::uint16_t destination_port, const Bytes& data = pattern(18));
Bytes tcp(std::uint16_t source_port, std::uint16_t destination_port, const Bytes& data = {});
Bytes icmp(std::uint8_t type, std::uint8_t code, std::uint32_t rest, const Bytes& data);

Bytes ethernet(const MacAddress& to, const MacAddress& from, std::uint16_t type, const Bytes& payload);
inline Bytes frame(const MacAddress& to, const MacAddress& from, const Ipv4Packet& packet) {
  return ethernet(to, from, 0x0800, packet.bytes());
}

// RFC 826, for IPv4 over Ethernet.
struct ArpPacket {
  std::uint16_t operation = 1;
  MacAddress sender_mac;
  Ipv4Address sender;
  MacAddress target_mac;
  Ipv4Address target;
  std::uint16_t hardware_type = 1;
  std::uint16_t protocol_type = 0x0800;
  std::uint8_t hardware_length = 6;
  std::uint8_t protocol_length = 4;

  [[nodiscard]] Bytes bytes() const;
};
inline Bytes frame(const MacAddress& to, const MacAddress& from, const ArpPacket& arp) {
  return ethernet(to, from, 0x0806, arp.bytes());
}

// Writes the IPv4 header checksum of a frame anew.
void fix_checksum(Bytes& frame);
// What a router makes of the frame: new Ethernet addresses, TTL less one, checksum (RFC 1812 5.3.1), no
// padding.
Bytes forwarded(const Bytes& frame, const MacAddress& to, const MacAddress& from);

std::string describe(const Bytes& frame);  // decoded, in a few lines
std::string hex(const Bytes& data, const Bytes* other = nullptr);
::testing::AssertionResult same(const Bytes& wanted, const Bytes& got);

}  // namespace millrace::packets
