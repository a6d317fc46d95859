// Makes the checksums of a mutated frame right: a fuzzer does not find them by itself, and most inputs should
// come further than the first check.
#pragma once

#include "tests/packets/packet.h"

namespace millrace::fuzz {

// Where the packet begins, behind up to two VLAN tags, and what follows it.
struct Network {
  std::uint16_t type = 0;
  std::size_t at = 0;
};
Network network_of(const packets::Bytes& frame);

// Of the IPv4 header, and of ICMP or ICMPv6 behind it and behind extension headers, where they are whole.
void mend_checksums(packets::Bytes& frame);

}  // namespace millrace::fuzz
