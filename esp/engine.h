// Encrypts and decrypts bursts of ESP packets with IPsec-MB, in place.
//
// One for each worker, which alone uses it. It allocates nothing after make(). What is sequential about a
// packet (numbers, replay, selectors) is not its business.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>

#include "esp/ipsec_mb.h"
#include "esp/keys.h"
#include "net/byte_order.h"
#include "net/result.h"

namespace millrace::esp {

// In one piece, and of a length that is_whole() of esp/packet.h takes.
struct Packet {
  const Keys* keys;
  std::uint8_t* esp;            // its ESP header
  std::uint32_t bytes;          // up to the end of the ICV
  std::uint32_t sequence_high;  // of extended sequence numbers
  bool verified = false;        // said by open()
};

class Engine {
 public:
  static constexpr std::size_t kBurst = 64;

  // Fails where the processor runs none of IPsec-MB's code, or memory is out.
  static Result<std::unique_ptr<Engine>> make();

  // Header, payload and trailer are there, and in the place of the IV a number of 8 bytes that no other
  // packet under the key has (then zeros, of AES-CBC, whose IV it becomes encrypted: NIST SP 800-38A appendix
  // C). Writes the ICV. Packets of one algorithm that stand side by side, up to kBurst of them, are worked on
  // at once.
  void seal(std::span<Packet> packets);
  // Decrypts those that verify; what the others hold then is not to be looked at.
  void open(std::span<Packet> packets);

 private:
  using Run = std::span<Packet>;  // of one algorithm, at most kBurst
  // What IPsec-MB reads and writes beside the packet.
  struct alignas(64) Scratch {
    std::array<std::uint8_t, 16> nonce, associated;
    std::array<std::uint8_t, 32> icv;
    std::array<std::uint8_t, sizeof(Be32)> displaced;  // of the ICV in the packet
  };
  struct Gcm;

  Engine(Manager best, Manager sse) : best_(std::move(best)), sse_(std::move(sse)) {}

  template <class Work>
  static void by_runs(std::span<Packet> packets, const Work& work);
  void prepare(Run run);
  template <class Work>
  void by_keys(Run run, const Traits& of, const Work& work);
  template <IMB_CIPHER_DIRECTION kDirection>
  void gcm(Run run, const Traits& of);
  void gmac(Run run);
  void chacha(Run run, IMB_CIPHER_DIRECTION direction);
  void cbc(Run run, IMB_CIPHER_DIRECTION direction);
  void hmac(Run run);
  void compare(Run run);
  [[nodiscard]] Gcm gcm_of(std::uint8_t key_bytes) const;

  Manager best_, sse_;
  gcm_context_data context_{};
  std::array<Scratch, kBurst> scratch_{};
  std::array<IMB_JOB, kBurst> jobs_{};
};

}  // namespace millrace::esp
