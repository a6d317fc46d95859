// Messages of neighbour discovery (RFC 4861 4) for tests.
#pragma once

#include "tests/packets/packet6.h"

namespace millrace::packets {

inline constexpr std::uint8_t kRs = 133, kRa = 134, kNs = 135, kNa = 136, kRedirect = 137;
inline constexpr std::uint32_t kR = 0x80000000, kS = 0x40000000, kO = 0x20000000;

// RFC 4861 4.6.1
Bytes link_option(std::uint8_t type, const MacAddress& mac);

// A solicitation unless it says otherwise. What stands behind the first 8 bytes of other messages is
// `target`, if there is one, and `options`.
struct NdPacket {
  std::uint8_t type = kNs;
  Ipv6Address source;
  Ipv6Address destination;
  std::uint32_t flags = 0;
  std::optional<Ipv6Address> target{};
  Bytes options{};
  std::uint8_t hop_limit = 255;
  std::uint8_t code = 0;

  [[nodiscard]] Ipv6Packet packet() const;
};
inline Bytes frame(const MacAddress& to, const MacAddress& from, const NdPacket& nd) {
  return frame(to, from, nd.packet());
}

}  // namespace millrace::packets
