// The keys of SAs, expanded as IPsec-MB wants them, in memory that is not swapped, not in core dumps and
// wiped when it is freed.
//
// Made and freed by the control thread; read by the workers. Whoever frees one waits for a grace period
// first.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "esp/algorithm.h"
#include "esp/manager.h"
#include "net/prefetch.h"
#include "net/result.h"

namespace millrace::esp {

// As a configuration or an IKE daemon gives it, in lengths that `Traits` says. It is not kept: whose it is
// wipes it.
struct KeyMaterial {
  std::span<const std::uint8_t> cipher, salt, integrity;

  // Of key_bytes() in one piece.
  static KeyMaterial of(const Traits& traits, std::span<const std::uint8_t> whole) {
    return {whole.first(traits.cipher_key), whole.subspan(traits.cipher_key, traits.salt()),
            whole.last(traits.integrity_key)};
  }
};

class Keys {
 public:
  Keys(const Keys&) = delete;
  Keys& operator=(const Keys&) = delete;

  [[nodiscard]] Algorithm algorithm() const { return algorithm_; }
  [[nodiscard]] const Traits& traits() const { return esp::traits(algorithm_); }
  // Whether sequence numbers have a high half, which is authenticated but not sent.
  [[nodiscard]] bool extended_sequence() const { return extended_sequence_; }
  // Asks for what is asked of a key before a packet is worked on: of many SAs it is in no near cache.
  void prefetch() const { millrace::prefetch(this); }

 private:
  friend class KeyStore;
  friend class Engine;

  // The rounds of AES-256.
  using Rounds = std::array<std::uint8_t, std::size_t{15} * 16>;
  struct Cbc {
    alignas(16) Rounds encrypt, decrypt;
  };

  Keys(Algorithm algorithm, bool extended_sequence)
      : algorithm_(algorithm), extended_sequence_(extended_sequence) {}
  // Of AES-GCM, the lines that are needed first to encrypt so many bytes: the rounds, and the powers of H,
  // four to a line and one for each block, from the last one on.
  void prefetch_gcm(std::uint32_t bytes) const {
    constexpr std::size_t kLine = 64, kRounds = 3, kMostPowers = 3;
    for (std::size_t line = 0; line < kRounds; ++line) millrace::prefetch(gcm_.data() + line * kLine);
    const std::size_t powers = std::min(kMostPowers, bytes / kLine + 1);
    for (std::size_t line = 1; line <= powers; ++line)
      millrace::prefetch(gcm_.data() + gcm_.size() - line * kLine);
  }
  void expand_hmac(IMB_MGR& manager, std::span<const std::uint8_t> key);

  Algorithm algorithm_;
  bool extended_sequence_;
  std::array<std::uint8_t, 4> salt_{};
  union {
    alignas(64) std::array<std::uint8_t, 1024> gcm_{};  // gcm_key_data, of AES-GCM and AES-GMAC
    Cbc cbc_;
    std::array<std::uint8_t, 32> chacha_;
  };
  alignas(16) std::array<std::uint8_t, 64> inner_{}, outer_{};  // HMAC's states behind its pads
};

// Hands out places for Keys, on pages of its own.
class KeyStore {
 public:
  // Fails where the processor runs none of IPsec-MB's code.
  static Result<std::unique_ptr<KeyStore>> make();
  KeyStore(const KeyStore&) = delete;
  KeyStore& operator=(const KeyStore&) = delete;
  ~KeyStore();  // all that it gave out is freed by then

  struct Wiper {
    KeyStore* store;
    void operator()(Keys* keys) const { store->free(keys); }
  };
  using Owned = std::unique_ptr<Keys, Wiper>;

  // Fails on a length that is not the algorithm's, and where there is no memory.
  Result<Owned> expand(Algorithm algorithm, bool extended_sequence, const KeyMaterial& material);

  // Tells keys apart without showing them: SHA-256.
  [[nodiscard]] std::array<std::uint8_t, 32> digest(std::span<const std::uint8_t> key) const;

  // Whether the kernel keeps all of the pages out of swap; if not, RLIMIT_MEMLOCK is too low.
  [[nodiscard]] bool locked() const { return locked_; }

 private:
  explicit KeyStore(Manager manager) : manager_(std::move(manager)) {}
  bool grow();
  void free(Keys* keys);

  Manager manager_;
  std::vector<void*> chunks_;
  std::vector<void*> places_;  // that are free
  bool locked_ = true;
};

}  // namespace millrace::esp
