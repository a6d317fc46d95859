#include "esp_peer.h"

namespace millrace::behaviour {
namespace {

constexpr std::size_t kHeader = 8;

// AES-CBC's IV takes a block, those of combined modes 8 bytes; NULL has none.
std::size_t iv_bytes(const esp::Traits& of) {
  return of.cipher == esp::Cipher::null ? 0 : of.cipher == esp::Cipher::cbc ? 16 : 8;
}

}  // namespace

std::string PeerSa::key_text() const {
  std::string text;
  for (const Bytes& part : {keys.cipher, keys.salt, keys.integrity}) {
    for (const std::uint8_t byte : part) {
      constexpr char kDigits[] = "0123456789abcdef";
      text += kDigits[byte >> 4];
      text += kDigits[byte & 0xf];
    }
  }
  return text;
}

PeerSa make_sa(std::uint32_t spi, esp::Algorithm algorithm, bool esn, unsigned seed) {
  const esp::Traits& of = esp::traits(algorithm);
  return {spi,
          {algorithm, esn, pattern(of.cipher_key, 3 * seed), pattern(of.salt(), 3 * seed + 1),
           pattern(of.integrity_key, 3 * seed + 2)}};
}

Bytes seal(const PeerSa& sa, const Bytes& inner, const Sealing& how) {
  const esp::Traits& of = esp::traits(sa.keys.algorithm);
  const std::size_t block = of.cipher == esp::Cipher::cbc ? 16 : 4;
  Bytes packet(kHeader + iv_bytes(of));
  put32(packet, 0, sa.spi);
  put32(packet, 4, static_cast<std::uint32_t>(how.number));
  if (iv_bytes(of) != 0)
    put32(packet, kHeader + iv_bytes(of) - 4, static_cast<std::uint32_t>(how.number) * 7);
  packet.insert(packet.end(), inner.begin(), inner.end());
  std::uint8_t padding = 0;
  while ((inner.size() + padding + 2) % block != 0) packet.push_back(++padding);
  packet.push_back(how.pad_length.value_or(padding));
  packet.push_back(how.next_header);
  Bytes sealed = esp::reference_seal(sa.keys, static_cast<std::uint32_t>(how.number >> 32), packet);
  if (how.forged) sealed.back() ^= 1;
  return sealed;
}

std::optional<Opened> open(const PeerSa& sa, const Bytes& esp, std::uint32_t high) {
  const auto body = esp::reference_open(sa.keys, high, esp);
  if (!body || body->size() < 2) return {};
  const std::size_t padding = (*body)[body->size() - 2];
  if (padding + 2 > body->size()) return {};
  return Opened{get32(esp, 0), get32(esp, 4), slice(esp, kHeader, iv_bytes(esp::traits(sa.keys.algorithm))),
                body->back(), slice(*body, 0, body->size() - padding - 2)};
}

}  // namespace millrace::behaviour
