#include "tests/fuzz/mend.h"

#include "tests/packets/packet6.h"

namespace millrace::fuzz {
namespace {

using namespace packets;

// Of ICMP, whose checksum lies two bytes behind its begin, from `at` to `end`.
void mend_message(Bytes& frame, std::size_t at, std::size_t end, const Bytes& pseudo_header) {
  if (end > frame.size() || at + 4 > end) return;
  put16(frame, at + 2, 0);
  put16(frame, at + 2, naive_checksum(join(pseudo_header, slice(frame, at, end - at))));
}

void mend_ipv4(Bytes& frame, std::size_t at) {
  if (frame.size() < at + 20) return;
  const std::size_t header = std::size_t{frame[at] & 0xfU} * 4;
  if (header < 20 || frame.size() < at + header) return;
  put16(frame, at + 10, 0);
  put16(frame, at + 10, naive_checksum(slice(frame, at, header)));
  const bool is_fragment = (get16(frame, at + 6) & 0x3fff) != 0;
  if (frame[at + 9] == 1 && !is_fragment) mend_message(frame, at + header, at + get16(frame, at + 2), {});
}

void mend_ipv6(Bytes& frame, std::size_t at) {
  if (frame.size() < at + 40) return;
  const std::size_t end = at + 40 + get16(frame, at + 4);
  std::uint8_t next = frame[at + 6];
  std::size_t place = at + 40;
  while ((next == kHopByHop || next == kRouting || next == kDestination) && place + 8 <= frame.size()) {
    next = frame[place];
    place += (frame[place + 1] + std::size_t{1}) * 8;
  }
  if (next != kIcmp6 || place > end) return;
  Bytes pseudo = slice(frame, at + 8, 32);
  pseudo.resize(40);
  put32(pseudo, 32, static_cast<std::uint32_t>(end - place));
  pseudo[39] = kIcmp6;
  mend_message(frame, place, end, pseudo);
}

}  // namespace

Network network_of(const Bytes& frame) {
  std::size_t at = 12;
  for (unsigned tags = 0; frame.size() >= at + 2; ++tags, at += 4) {
    const std::uint16_t type = get16(frame, at);
    if (tags == 2 || (type != 0x8100 && type != 0x88a8)) return {type, at + 2};
  }
  return {};
}

void mend_checksums(Bytes& frame) {
  const Network network = network_of(frame);
  if (network.type == 0x0800) mend_ipv4(frame, network.at);
  if (network.type == 0x86dd) mend_ipv6(frame, network.at);
}

}  // namespace millrace::fuzz
