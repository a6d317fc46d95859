#include "cases6.h"

namespace millrace::behaviour {

Bytes icmp6_error(Lab& lab, const std::string& interface, const MacAddress& to, const Bytes& offending,
                  const Icmp6Error& error) {
  const std::size_t total = 40u + get16(offending, kEthernet + 4);
  Ipv6Packet packet;
  packet.source = error.source;
  packet.destination = address_at(offending, kEthernet + 8);
  const Bytes quoted = slice(offending, kEthernet, std::min<std::size_t>(total, 1280 - 48));
  return frame(to, lab.mac(interface), icmp6(packet, error.type, error.code, error.rest, quoted));
}

}  // namespace millrace::behaviour
