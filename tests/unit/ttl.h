// What workers do to TTL and checksum, seen from the checksum.
#pragma once

#include <array>
#include <bit>
#include <cstdint>

#include "net/checksum.h"

namespace millrace {

using TtlWord = std::array<std::uint8_t, 4>;  // TTL, protocol and checksum as they lie in a header

constexpr TtlWord decremented(const TtlWord& before) {
  return std::bit_cast<TtlWord>(after_ttl_decrement(std::bit_cast<std::uint32_t>(before)));
}

constexpr std::uint16_t checksum_after_ttl_decrement(std::uint16_t checksum, std::uint8_t ttl = 64) {
  const TtlWord after =
      decremented({ttl, 17, static_cast<std::uint8_t>(checksum >> 8), static_cast<std::uint8_t>(checksum)});
  return static_cast<std::uint16_t>(after[2] << 8 | after[3]);
}
static_assert(checksum_after_ttl_decrement(0xfeff) == 0x0000);

}  // namespace millrace
