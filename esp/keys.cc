#include "esp/keys.h"

#include <string.h>
#include <sys/mman.h>

#include <algorithm>
#include <new>
#include <string>
#include <string_view>

#include "esp/ipsec_mb.h"

namespace millrace::esp {

namespace {

constexpr std::size_t kChunkBytes = std::size_t{256} << 10;

static_assert(sizeof(gcm_key_data) <= 1024, "fits into Keys");

Result<void> check_length(std::string_view name, std::string_view what, std::size_t has, std::size_t wanted) {
  if (has == wanted) return {};
  return Error{std::string(name) + " takes " + std::string(what) + " of " + std::to_string(wanted) +
               " bytes, not of " + std::to_string(has)};
}

Result<void> check(const Traits& of, const KeyMaterial& material) {
  if (auto good = check_length(of.name, "a key", material.cipher.size(), of.cipher_key); !good) return good;
  if (auto good = check_length(of.name, "a salt", material.salt.size(), of.salt()); !good) return good;
  return check_length(of.name, "an integrity key", material.integrity.size(), of.integrity_key);
}

void expand_gcm(IMB_MGR& manager, std::span<const std::uint8_t> key, gcm_key_data* expanded) {
  switch (key.size()) {
    case 16:
      return IMB_AES128_GCM_PRE(&manager, key.data(), expanded);
    case 24:
      return IMB_AES192_GCM_PRE(&manager, key.data(), expanded);
    default:
      return IMB_AES256_GCM_PRE(&manager, key.data(), expanded);
  }
}

void expand_cbc(IMB_MGR& manager, std::span<const std::uint8_t> key, std::uint8_t* encrypt,
                std::uint8_t* decrypt) {
  switch (key.size()) {
    case 16:
      return IMB_AES_KEYEXP_128(&manager, key.data(), encrypt, decrypt);
    case 24:
      return IMB_AES_KEYEXP_192(&manager, key.data(), encrypt, decrypt);
    default:
      return IMB_AES_KEYEXP_256(&manager, key.data(), encrypt, decrypt);
  }
}

}  // namespace

// RFC 2104: the key, which is never longer than a block here, filled with zeros, under each of the two pads.
void Keys::expand_hmac(IMB_MGR& manager, std::span<const std::uint8_t> key) {
  alignas(64) std::array<std::uint8_t, 128> block;
  const auto under = [&](std::uint8_t pad, std::uint8_t* state) {
    block.fill(pad);
    std::transform(key.begin(), key.end(), block.begin(), [pad](std::uint8_t byte) { return byte ^ pad; });
    switch (traits().integrity) {
      case Integrity::none:
        return;
      case Integrity::hmac_sha1:
        return IMB_SHA1_ONE_BLOCK(&manager, block.data(), state);
      case Integrity::hmac_sha256:
        return IMB_SHA256_ONE_BLOCK(&manager, block.data(), state);
      case Integrity::hmac_sha384:
        return IMB_SHA384_ONE_BLOCK(&manager, block.data(), state);
      case Integrity::hmac_sha512:
        return IMB_SHA512_ONE_BLOCK(&manager, block.data(), state);
    }
  };
  under(0x36, inner_.data());
  under(0x5c, outer_.data());
  explicit_bzero(block.data(), block.size());
}

Result<std::unique_ptr<KeyStore>> KeyStore::make() {
  Manager manager = best_manager();
  if (manager == nullptr) return Error{"IPsec-MB has no code for this processor"};
  return std::unique_ptr<KeyStore>(new KeyStore(std::move(manager)));
}

KeyStore::~KeyStore() {
  for (void* chunk : chunks_) munmap(chunk, kChunkBytes);
}

Result<KeyStore::Owned> KeyStore::expand(Algorithm algorithm, bool extended_sequence,
                                         const KeyMaterial& material) {
  const Traits& of = traits(algorithm);
  if (auto good = check(of, material); !good) return Error{good.error()};
  if (places_.empty() && !grow()) return Error{"no memory for keys"};
  void* place = places_.back();
  places_.pop_back();
  Owned keys{new (place) Keys(algorithm, extended_sequence), Wiper{this}};
  std::copy(material.salt.begin(), material.salt.end(), keys->salt_.begin());
  switch (of.cipher) {
    case Cipher::null:
      break;
    case Cipher::cbc:
      expand_cbc(*manager_, material.cipher, keys->cbc_.encrypt.data(), keys->cbc_.decrypt.data());
      break;
    case Cipher::gcm:
    case Cipher::gmac:
      expand_gcm(*manager_, material.cipher, reinterpret_cast<gcm_key_data*>(keys->gcm_.data()));
      break;
    case Cipher::chacha20_poly1305:
      std::copy(material.cipher.begin(), material.cipher.end(), keys->chacha_.begin());
      break;
  }
  if (of.integrity != Integrity::none) keys->expand_hmac(*manager_, material.integrity);
  return keys;
}

std::array<std::uint8_t, 32> KeyStore::digest(std::span<const std::uint8_t> key) const {
  std::array<std::uint8_t, 32> digest{};
  IMB_SHA256(manager_.get(), key.data(), key.size(), digest.data());
  return digest;
}

bool KeyStore::grow() {
  void* chunk = mmap(nullptr, kChunkBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (chunk == MAP_FAILED) return false;
  if (madvise(chunk, kChunkBytes, MADV_DONTDUMP) != 0) {
    munmap(chunk, kChunkBytes);
    return false;
  }
  locked_ &= mlock(chunk, kChunkBytes) == 0;
  chunks_.push_back(chunk);
  auto* bytes = static_cast<std::uint8_t*>(chunk);
  for (std::size_t at = 0; at + sizeof(Keys) <= kChunkBytes; at += sizeof(Keys))
    places_.push_back(bytes + at);
  return true;
}

void KeyStore::free(Keys* keys) {
  keys->~Keys();
  explicit_bzero(static_cast<void*>(keys), sizeof *keys);
  places_.push_back(keys);
}

}  // namespace millrace::esp
