#include "tests/packets/packet6.h"

namespace millrace::packets {

Ipv6Address ip6(const char* text) {
  const auto address = Ipv6Address::parse(text);
  EXPECT_TRUE(address) << text;
  return address.value_or(Ipv6Address());
}

Bytes Ipv6Packet::bytes() const {
  Bytes all(8);
  put32(all, 0, std::uint32_t{version} << 28 | std::uint32_t{traffic_class} << 20 | flow_label);
  put16(all, 4, payload_length.value_or(static_cast<std::uint16_t>(payload.size())));
  all[6] = next_header;
  all[7] = hop_limit;
  for (const Ipv6Address& address : {source, destination}) {
    const auto bytes = address.bytes();
    all.insert(all.end(), bytes.begin(), bytes.end());
  }
  return join(all, payload);
}

std::uint16_t checksum6(const Ipv6Packet& packet) {
  Bytes pseudo = slice(packet.bytes(), 8, 32);
  pseudo.resize(40);
  put32(pseudo, 32, static_cast<std::uint32_t>(packet.payload.size()));
  pseudo[39] = packet.next_header;
  return naive_checksum(join(pseudo, packet.payload));
}

Ipv6Packet icmp6(Ipv6Packet packet, std::uint8_t type, std::uint8_t code, std::uint32_t rest,
                 const Bytes& data) {
  packet.next_header = 58;
  packet.payload = Bytes(8);
  packet.payload[0] = type;
  packet.payload[1] = code;
  put32(packet.payload, 4, rest);
  packet.payload = join(packet.payload, data);
  put16(packet.payload, 2, checksum6(packet));
  return packet;
}

Bytes fragment_header(std::uint8_t next, std::size_t offset, bool more, std::uint32_t id) {
  Bytes header = {next, 0, 0, 0, 0, 0, 0, 0};
  put16(header, 2, static_cast<std::uint32_t>(offset) | (more ? 1 : 0));
  put32(header, 4, id);
  return header;
}

Bytes options_header(std::uint8_t next, const Bytes& body) {
  Bytes header = join({next, 0}, body);
  header.resize((header.size() + 7) / 8 * 8);
  header[1] = static_cast<std::uint8_t>(header.size() / 8 - 1);
  return header;
}

Bytes routing_header(std::uint8_t next, std::uint8_t type, std::uint8_t segments_left) {
  Bytes header(24);
  header[0] = next;
  header[1] = 2;
  header[2] = type;
  header[3] = segments_left;
  return header;
}

Bytes address_bytes(Ipv6Address address) {
  const auto bytes = address.bytes();
  return {bytes.begin(), bytes.end()};
}

MacAddress group_mac(Ipv6Address group) {
  const auto b = group.bytes();
  return {{0x33, 0x33, b[12], b[13], b[14], b[15]}};
}

Bytes forwarded6(const Bytes& frame, const MacAddress& to, const MacAddress& from) {
  Bytes ip = slice(frame, kEthernet, 40u + get16(frame, kEthernet + 4));
  --ip[7];
  return ethernet(to, from, 0x86dd, ip);
}

}  // namespace millrace::packets
