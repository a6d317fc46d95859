// The Internet checksum (RFC 1071) and its incremental update (RFC 1624).
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "net/byte_order.h"

namespace millrace {

// Adds 16-bit words as they lie in memory. One's complement sums do not depend on byte order (RFC 1071 §2
// (B)). An odd last byte counts as if a zero byte followed. `sum` is a partial sum to go on from: for all
// spans but the last of a packet, an even number of bytes.
inline std::uint64_t checksum_add(std::span<const std::byte> data, std::uint64_t sum = 0) {
  const std::byte* at = data.data();
  std::size_t left = data.size();
  for (; left >= 4; at += 4, left -= 4) {
    std::uint32_t word;
    std::memcpy(&word, at, 4);
    sum += word;
  }
  if (left >= 2) {
    std::uint16_t word;
    std::memcpy(&word, at, 2);
    sum += word;
    at += 2;
    left -= 2;
  }
  if (left == 1) sum += std::to_integer<std::uint16_t>(*at);
  return sum;
}

// Folds a partial sum to 16 bits with end-around carry.
constexpr std::uint16_t checksum_fold(std::uint64_t sum) {
  sum = (sum & 0xffffffff) + (sum >> 32);
  sum = (sum & 0xffffffff) + (sum >> 32);
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<std::uint16_t>(sum);
}

// The checksum to store (in wire order) for data whose checksum field is zero.
inline Be16 internet_checksum(std::span<const std::byte> data) {
  return Be16::from_wire(static_cast<std::uint16_t>(~checksum_fold(checksum_add(data))));
}

// True if the checksum in `data` is right: the sum over all of it is all ones. Both 0x0000 and 0xffff in the
// field stand for zero and are accepted (RFC 1071 §1, RFC 1624 §3).
inline bool checksum_ok(std::span<const std::byte> data) {
  return checksum_fold(checksum_add(data)) == 0xffff;
}

// The same for an IPv4 header without options: 20 bytes in five words, straight code.
inline bool checksum_ok_20(const void* header) {
  std::uint64_t first, second;
  std::uint32_t third;
  std::memcpy(&first, header, 8);
  std::memcpy(&second, static_cast<const std::byte*>(header) + 8, 8);
  std::memcpy(&third, static_cast<const std::byte*>(header) + 16, 4);
  std::uint64_t sum;
  sum = first + second;
  sum += sum < first ? 1 : 0;  // the carry comes in at the other end
  sum += third;
  sum += sum < third ? 1 : 0;
  // A word plus itself turned by half: the upper half is the sum of both with the lower half's carry.
  sum += std::rotl(sum, 32);
  auto half = static_cast<std::uint32_t>(sum >> 32);
  half += std::rotl(half, 16);
  return half >> 16 == 0xffff;
}

// TTL (at least 1), protocol and header checksum, as the four bytes lie in memory, after the TTL went down by
// one: the TTL is the lowest byte, the checksum the upper half with its high byte first.
//
// RFC 1624 3, eqn. 3: HC' = ~(~HC + ~m + m'). The TTL is the high byte of its word m in network order, so m'
// = m - 0x0100, and HC' = HC + 0x0100 with the carry at the other end, and one more where HC is 0xfeff: in
// this order of bytes, one more in the upper half, and one more again where that is 0xfffe or 0xffff.
constexpr std::uint32_t after_ttl_decrement(std::uint32_t ttl_protocol_checksum) {
  const std::uint32_t again = ttl_protocol_checksum >= 0xfffe'0000 ? 0x1'0000 : 0;
  return ttl_protocol_checksum + 0x1'0000 + again - 1;
}
static_assert(after_ttl_decrement(0xfffe'1140) == 0x0000'113f);  // 0xfeff -> 0x0000

}  // namespace millrace
