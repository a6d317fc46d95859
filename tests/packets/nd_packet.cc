#include "tests/packets/nd_packet.h"

namespace millrace::packets {

Bytes link_option(std::uint8_t type, const MacAddress& mac) {
  return join({type, 1}, Bytes(mac.bytes.begin(), mac.bytes.end()));
}

Ipv6Packet NdPacket::packet() const {
  const Bytes body = join(target ? address_bytes(*target) : Bytes{}, options);
  return icmp6({.source = source, .destination = destination, .hop_limit = hop_limit}, type, code, flags,
               body);
}

}  // namespace millrace::packets
