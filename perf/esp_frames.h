// The SAs of the benches of IPsec, by their number: perf/ipsec.py makes the same.
#pragma once

#include <cstdint>
#include <vector>

#include "esp/algorithm.h"
#include "esp/keys.h"

namespace millrace::perf {

inline constexpr std::uint32_t kFirstSpi = 0x10000;

// The number, in the first four bytes, and bytes that are no others' key.
inline std::vector<std::uint8_t> sa_key(std::uint32_t number, esp::Algorithm algorithm) {
  const esp::Traits& of = esp::traits(algorithm);
  std::vector<std::uint8_t> key(std::size_t{of.cipher_key} + of.salt() + of.integrity_key);
  for (std::size_t i = 0; i < key.size(); ++i)
    key[i] = static_cast<std::uint8_t>(i < 4 ? number >> 8 * i : 13 * i + 7);
  return key;
}

inline esp::KeyMaterial parts_of(const std::vector<std::uint8_t>& key, esp::Algorithm algorithm) {
  const esp::Traits& of = esp::traits(algorithm);
  const std::span bytes(key);
  return {bytes.first(of.cipher_key), bytes.subspan(of.cipher_key, of.salt()), bytes.last(of.integrity_key)};
}

}  // namespace millrace::perf
