#include "esp_reference.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <memory>
#include <stdexcept>

#include "esp/packet.h"

namespace millrace::esp {

namespace {

Bytes joined(std::initializer_list<std::span<const std::uint8_t>> parts) {
  Bytes all;
  for (const auto part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}

// SPI and sequence number as they are authenticated: RFC 4106 section 5.
Bytes associated(const ReferenceKeys& keys, std::uint32_t high, std::span<const std::uint8_t> packet) {
  if (!keys.extended_sequence) return joined({packet.first(8)});
  const std::uint8_t high_bytes[] = {static_cast<std::uint8_t>(high >> 24),
                                     static_cast<std::uint8_t>(high >> 16),
                                     static_cast<std::uint8_t>(high >> 8), static_cast<std::uint8_t>(high)};
  return joined({packet.first(4), high_bytes, packet.subspan(4, 4)});
}

void must(int done) {
  if (done != 1) throw std::runtime_error("OpenSSL refuses");
}

const EVP_CIPHER* cipher_of(const Traits& of) {
  if (of.cipher == Cipher::chacha20_poly1305) return EVP_chacha20_poly1305();
  const bool cbc = of.cipher == Cipher::cbc;
  switch (of.cipher_key) {
    case 16:
      return cbc ? EVP_aes_128_cbc() : EVP_aes_128_gcm();
    case 24:
      return cbc ? EVP_aes_192_cbc() : EVP_aes_192_gcm();
    default:
      return cbc ? EVP_aes_256_cbc() : EVP_aes_256_gcm();
  }
}

const EVP_MD* hash_of(Integrity integrity) {
  switch (integrity) {
    case Integrity::hmac_sha1:
      return EVP_sha1();
    case Integrity::hmac_sha256:
      return EVP_sha256();
    case Integrity::hmac_sha384:
      return EVP_sha384();
    default:
      return EVP_sha512();
  }
}

struct Context {
  std::unique_ptr<EVP_CIPHER_CTX, void (*)(EVP_CIPHER_CTX*)> of{EVP_CIPHER_CTX_new(), EVP_CIPHER_CTX_free};

  Context(const ReferenceKeys& keys, const Bytes& nonce, bool encrypt) {
    must(EVP_CipherInit_ex(of.get(), cipher_of(traits(keys.algorithm)), nullptr, keys.cipher.data(),
                           nonce.data(), encrypt));
    must(EVP_CIPHER_CTX_set_padding(of.get(), 0));
  }
  void associate(const Bytes& data) {
    int length = 0;
    must(EVP_CipherUpdate(of.get(), nullptr, &length, data.data(), static_cast<int>(data.size())));
  }
  Bytes update(std::span<const std::uint8_t> data) {
    Bytes out(data.size() + 16);
    int length = 0;
    must(EVP_CipherUpdate(of.get(), out.data(), &length, data.data(), static_cast<int>(data.size())));
    out.resize(static_cast<std::size_t>(length));
    return out;
  }
  bool finish() {
    std::uint8_t rest[32];
    int length = 0;
    return EVP_CipherFinal_ex(of.get(), rest, &length) == 1;
  }
};

Bytes hmac(const ReferenceKeys& keys, std::uint32_t high, std::span<const std::uint8_t> packet) {
  const Traits& of = traits(keys.algorithm);
  Bytes data(packet.begin(), packet.end());
  if (keys.extended_sequence)
    for (const unsigned shift : {24, 16, 8, 0}) data.push_back(static_cast<std::uint8_t>(high >> shift));
  Bytes mac(64);
  HMAC(hash_of(of.integrity), keys.integrity.data(), static_cast<int>(keys.integrity.size()), data.data(),
       data.size(), mac.data(), nullptr);
  mac.resize(of.icv);
  return mac;
}

Bytes aead_nonce(const ReferenceKeys& keys, std::span<const std::uint8_t> packet) {
  return joined({keys.salt, packet.subspan(8, 8)});
}

// GCM and ChaCha20-Poly1305 encrypt what is behind the IV; GMAC only associates it, IV included (RFC 4543
// section 3.3).
struct AeadInput {
  Bytes associated, text;
};
AeadInput aead_input(const ReferenceKeys& keys, std::uint32_t high, std::span<const std::uint8_t> body) {
  const Bytes head = associated(keys, high, body);
  if (traits(keys.algorithm).cipher == Cipher::gmac) return {joined({head, body.subspan(8)}), {}};
  return {head, joined({body.subspan(16)})};
}

}  // namespace

Bytes reference_seal(const ReferenceKeys& keys, std::uint32_t sequence_high, const Bytes& packet) {
  const Traits& of = traits(keys.algorithm);
  const std::span<const std::uint8_t> all(packet);
  const std::size_t offset = payload_offset(of);
  if (of.integrity != Integrity::none) {
    Bytes sealed = packet;
    if (of.cipher == Cipher::cbc) {
      Context context(keys, joined({all.subspan(8, 16)}), true);
      sealed = joined({all.first(offset), context.update(all.subspan(offset))});
    }
    return joined({sealed, hmac(keys, sequence_high, sealed)});
  }
  Context context(keys, aead_nonce(keys, all), true);
  const AeadInput input = aead_input(keys, sequence_high, all);
  context.associate(input.associated);
  Bytes sealed = packet;
  if (!input.text.empty()) sealed = joined({all.first(offset), context.update(input.text)});
  Bytes icv(16);
  must(context.finish() ? 1 : 0);
  must(EVP_CIPHER_CTX_ctrl(context.of.get(), EVP_CTRL_AEAD_GET_TAG, 16, icv.data()));
  return joined({sealed, icv});
}

std::optional<Bytes> reference_open(const ReferenceKeys& keys, std::uint32_t sequence_high,
                                    const Bytes& packet) {
  const Traits& of = traits(keys.algorithm);
  const auto body = std::span(packet).first(packet.size() - of.icv);
  Bytes icv(packet.end() - of.icv, packet.end());
  const std::size_t offset = payload_offset(of);
  if (of.integrity != Integrity::none) {
    if (hmac(keys, sequence_high, body) != icv) return {};
    if (of.cipher == Cipher::null) return joined({body.subspan(offset)});
    return Context(keys, joined({body.subspan(8, 16)}), false).update(body.subspan(offset));
  }
  Context context(keys, aead_nonce(keys, body), false);
  const AeadInput input = aead_input(keys, sequence_high, body);
  context.associate(input.associated);
  Bytes text = joined({body.subspan(offset)});
  if (!input.text.empty()) text = context.update(input.text);
  must(EVP_CIPHER_CTX_ctrl(context.of.get(), EVP_CTRL_AEAD_SET_TAG, 16, icv.data()));
  if (!context.finish()) return {};
  return text;
}

}  // namespace millrace::esp
