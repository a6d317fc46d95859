// An ESP packet (RFC 4303 section 2), from its header on:
//
//   | SPI | sequence number | IV | payload, padding | pad length | next header | ICV |
//   |  4  |        4        | iv |                  |     1      |      1      | icv |
//                                \_____ a multiple of the algorithm's block _____/
//
// IV and ICV take what `Traits` says. With extended sequence numbers only the low half is in the packet.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "esp/algorithm.h"
#include "net/byte_order.h"

namespace millrace::esp {

struct Header {
  Be32 spi, sequence;
};
static_assert(sizeof(Header) == 8 && alignof(Header) == 1);

inline constexpr std::uint32_t kTrailerBytes = 2;
inline constexpr std::uint32_t kMaxPadding = 255;

// From the packet's begin to its payload.
constexpr std::uint32_t payload_offset(const Traits& of) {
  return std::uint32_t{sizeof(Header)} + of.iv();
}

// Payload, padding and trailer together.
constexpr std::uint32_t padded_bytes(const Traits& of, std::uint32_t payload) {
  const std::uint32_t rest = std::uint32_t{of.block()} - 1;  // a power of two, less one
  return (payload + kTrailerBytes + rest) & ~rest;
}

constexpr std::uint32_t packet_bytes(const Traits& of, std::uint32_t payload) {
  return payload_offset(of) + padded_bytes(of, payload) + of.icv;
}

// The longest payload of a packet that takes no more than `packet` bytes; nothing fits: 0.
constexpr std::uint32_t payload_room(const Traits& of, std::uint32_t packet) {
  const std::uint32_t around = payload_offset(of) + of.icv;
  if (packet < around + of.block()) return 0;
  return (packet - around) / of.block() * of.block() - kTrailerBytes;
}

// The longest packet that fits inside of one that takes no more than `way` with its outer IP header and, if
// it has that, UDP. In transport mode it has the IP header itself.
constexpr std::uint32_t inside_room(const Traits& of, std::uint32_t way, bool outer_ipv6, bool udp,
                                    bool transport) {
  constexpr std::uint32_t kUdp = 8;
  const std::uint32_t ip = outer_ipv6 ? 40 : 20;
  return payload_room(of, way - ip - (udp ? kUdp : 0)) + (transport ? ip : 0);
}

// Whether a packet of this length can be one of the algorithm: what is not is dropped before any key is used.
constexpr bool is_whole(const Traits& of, std::uint32_t packet) {
  const std::uint32_t around = payload_offset(of) + of.icv;
  return packet >= around + of.block() && ((packet - around) & (of.block() - 1U)) == 0;
}

// Behind the payload: padding 1, 2, 3 … (RFC 4303 section 2.4), its length, and the next header.
inline void write_trailer(const Traits& of, std::uint8_t* payload, std::uint32_t bytes,
                          std::uint8_t next_header) {
  const std::uint32_t padding = padded_bytes(of, bytes) - bytes - kTrailerBytes;
  std::uint8_t* at = payload + bytes;
  for (std::uint32_t i = 1; i <= padding; ++i) *at++ = static_cast<std::uint8_t>(i);
  *at++ = static_cast<std::uint8_t>(padding);
  *at = next_header;
}

struct Payload {
  std::uint32_t bytes;
  std::uint8_t next_header;
};

// Of a whole packet that has verified; false where its padding is longer than what there is.
inline bool read_trailer(const Traits& of, const std::uint8_t* esp, std::uint32_t packet, Payload& payload) {
  const std::uint32_t padded = packet - payload_offset(of) - of.icv;
  const std::uint8_t* end = esp + packet - of.icv;
  const std::uint32_t padding = end[-2];
  if (padding + kTrailerBytes > padded) return false;
  payload.bytes = padded - padding - kTrailerBytes;
  payload.next_header = end[-1];
  return true;
}

}  // namespace millrace::esp
