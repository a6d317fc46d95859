// What ESP encrypts and authenticates with, and what each of them takes of a packet.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace millrace::esp {

enum class Cipher : std::uint8_t { null, cbc, gcm, gmac, chacha20_poly1305 };
enum class Integrity : std::uint8_t { none, hmac_sha1, hmac_sha256, hmac_sha384, hmac_sha512 };

enum class Algorithm : std::uint8_t {
#define ESP_ALGORITHM(id, ...) id,
#include "esp/algorithm.def"
#undef ESP_ALGORITHM
};

// All sizes in bytes.
struct Traits {
  std::string_view name;
  Cipher cipher;
  std::uint8_t cipher_key;
  Integrity integrity;
  std::uint8_t integrity_key;
  std::uint8_t icv;

  // Comes with the key and is no part of the packet (RFC 4106 section 4): the first bytes of the nonce.
  [[nodiscard]] constexpr std::uint8_t salt() const {
    return cipher == Cipher::null || cipher == Cipher::cbc ? 0 : 4;
  }
  // Of all of its key: the cipher's, the salt, the integrity algorithm's, in this order (RFC 7296
  // section 2.17).
  [[nodiscard]] constexpr std::size_t key_bytes() const {
    return std::size_t{cipher_key} + salt() + integrity_key;
  }
  [[nodiscard]] constexpr std::uint8_t iv() const {
    return cipher == Cipher::null ? 0 : cipher == Cipher::cbc ? 16 : 8;
  }
  // Of what payload, padding and trailer together are a multiple.
  [[nodiscard]] constexpr std::uint8_t block() const { return cipher == Cipher::cbc ? 16 : 4; }
};

inline constexpr std::array kTraits{
#define ESP_ALGORITHM(id, name, cipher, cipher_key, integrity, integrity_key, icv) \
  Traits{name, Cipher::cipher, cipher_key, Integrity::integrity, integrity_key, icv},
#include "esp/algorithm.def"
#undef ESP_ALGORITHM
};

constexpr const Traits& traits(Algorithm algorithm) {
  return kTraits[static_cast<std::size_t>(algorithm)];
}

constexpr std::optional<Algorithm> algorithm_named(std::string_view name) {
  for (std::size_t i = 0; i < kTraits.size(); ++i)
    if (kTraits[i].name == name) return static_cast<Algorithm>(i);
  return {};
}

}  // namespace millrace::esp
