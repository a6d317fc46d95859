// The SAs of the benches of IPsec, by their number: perf/ipsec.py makes the same.
#pragma once

#include <cstdint>
#include <vector>

#include "esp/algorithm.h"

namespace millrace::perf {

inline constexpr std::uint32_t kFirstSpi = 0x10000;

// The number, in the first four bytes, and bytes that are no others' key.
inline std::vector<std::uint8_t> sa_key(std::uint32_t number, esp::Algorithm algorithm) {
  std::vector<std::uint8_t> key(esp::traits(algorithm).key_bytes());
  for (std::size_t i = 0; i < key.size(); ++i)
    key[i] = static_cast<std::uint8_t>(i < 4 ? number >> 8 * i : 13 * i + 7);
  return key;
}

}  // namespace millrace::perf
