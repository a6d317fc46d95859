#include "esp/engine.h"

#include <smmintrin.h>

#include <algorithm>
#include <cstring>

#include "esp/packet.h"

namespace millrace::esp {

namespace {

std::uint8_t* icv_of(const Packet& packet) {
  return packet.esp + packet.bytes - packet.keys->traits().icv;
}
std::uint8_t* payload_of(const Packet& packet) {
  return packet.esp + payload_offset(packet.keys->traits());
}
// Payload, padding and trailer.
std::uint32_t sealed_bytes(const Packet& packet) {
  const Traits& of = packet.keys->traits();
  return packet.bytes - payload_offset(of) - of.icv;
}

std::uint64_t associated_bytes(const Keys& keys) {
  return keys.extended_sequence() ? 12 : 8;
}

// Of 16 bytes each.
bool equal_blocks(const std::uint8_t* a, const std::uint8_t* b) {
  const auto load = [](const std::uint8_t* from) {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
  };
  const __m128i difference = _mm_xor_si128(load(a), load(b));
  return _mm_testz_si128(difference, difference) != 0;
}

// Without telling by its time where they differ.
bool equal(const std::uint8_t* a, const std::uint8_t* b, std::size_t bytes) {
  std::uint8_t difference = 0;
  for (std::size_t i = 0; i < bytes; ++i) difference |= static_cast<std::uint8_t>(a[i] ^ b[i]);
  return difference == 0;
}

constexpr IMB_HASH_ALG hash_of(Integrity integrity) {
  switch (integrity) {
    case Integrity::none:
      return IMB_AUTH_NULL;
    case Integrity::hmac_sha1:
      return IMB_AUTH_HMAC_SHA_1;
    case Integrity::hmac_sha256:
      return IMB_AUTH_HMAC_SHA_256;
    case Integrity::hmac_sha384:
      return IMB_AUTH_HMAC_SHA_384;
    case Integrity::hmac_sha512:
      return IMB_AUTH_HMAC_SHA_512;
  }
  return IMB_AUTH_NULL;
}

// For fewer packets SSE's code, with SHA-NI, is the faster one.
constexpr std::size_t kFewForHmac = 16;

}  // namespace

// IPsec-MB's functions for a length of keys.
struct Engine::Gcm {
  aes_gcm_enc_dec_t encrypt, decrypt;
  aes_gmac_init_t mac_init;
  aes_gmac_update_t mac_update;
  aes_gmac_finalize_t mac_finalize;
};

Engine::Gcm Engine::gcm_of(std::uint8_t key_bytes) const {
  const IMB_MGR& m = *best_;
  switch (key_bytes) {
    case 16:
      return {m.gcm128_enc, m.gcm128_dec, m.gmac128_init, m.gmac128_update, m.gmac128_finalize};
    case 24:
      return {m.gcm192_enc, m.gcm192_dec, m.gmac192_init, m.gmac192_update, m.gmac192_finalize};
    default:
      return {m.gcm256_enc, m.gcm256_dec, m.gmac256_init, m.gmac256_update, m.gmac256_finalize};
  }
}

template <class Work>
void Engine::by_runs(std::span<Packet> packets, const Work& work) {
  while (!packets.empty()) {
    const Algorithm algorithm = packets[0].keys->algorithm();
    std::size_t count = 1;
    while (count < std::min(packets.size(), kBurst) && packets[count].keys->algorithm() == algorithm) ++count;
    work(packets.first(count), traits(algorithm));
    packets = packets.subspan(count);
  }
}

void Engine::seal(std::span<Packet> packets) {
  by_runs(packets, [this](Run run, const Traits& of) {
    switch (of.cipher) {
      case Cipher::gcm:
        return gcm<IMB_DIR_ENCRYPT>(run, of);
      case Cipher::chacha20_poly1305:
        return chacha(run, IMB_DIR_ENCRYPT);
      case Cipher::gmac:
        gmac(run);
        break;
      case Cipher::cbc:
        cbc(run, IMB_DIR_ENCRYPT);
        [[fallthrough]];
      case Cipher::null:
        hmac(run);
        break;
    }
    for (std::size_t i = 0; i < run.size(); ++i) std::copy_n(scratch_[i].icv.begin(), of.icv, icv_of(run[i]));
  });
}

void Engine::open(std::span<Packet> packets) {
  by_runs(packets, [this](Run run, const Traits& of) {
    switch (of.cipher) {
      case Cipher::gcm:
        return gcm<IMB_DIR_DECRYPT>(run, of);
      case Cipher::chacha20_poly1305:
        chacha(run, IMB_DIR_DECRYPT);
        break;
      case Cipher::gmac:
        gmac(run);
        break;
      case Cipher::cbc:
      case Cipher::null:
        hmac(run);
        break;
    }
    compare(run);
    if (of.cipher == Cipher::cbc) cbc(run, IMB_DIR_DECRYPT);
  });
}

// What the AEADs take beside a packet: the nonce is salt and IV; associated are the SPI and the sequence
// number, its high half first (RFC 4106 sections 4 and 5, RFC 7634 section 2).
void Engine::prepare(Run run) {
  for (std::size_t i = 0; i < run.size(); ++i) {
    const Packet& packet = run[i];
    Scratch& scratch = scratch_[i];
    std::memcpy(scratch.nonce.data(), packet.keys->salt_.data(), 4);
    std::memcpy(scratch.nonce.data() + 4, packet.esp + sizeof(Header), 8);
    std::memcpy(scratch.associated.data(), packet.esp, sizeof(Header));
    if (!packet.keys->extended_sequence()) continue;
    const Be32 high(packet.sequence_high);
    std::memcpy(scratch.associated.data() + 4, &high, 4);
    std::memcpy(scratch.associated.data() + 8, packet.esp + 4, 4);
  }
}

// Of many SAs no key is in a near cache: while a packet is worked on, that of a later one is on its way. A
// few are prepared at a time, so that all that is touched between stays in the nearest one.
template <class Work>
void Engine::by_keys(Run run, const Traits& of, const Work& work) {
  constexpr std::size_t kAtOnce = 16, kAhead = 8;
  const auto ask = [&](std::size_t i) {
    if (i < run.size() && run[i].keys != run[i - 1].keys)
      run[i].keys->prefetch_gcm(run[i].bytes - payload_offset(of) - of.icv);
  };
  for (std::size_t i = 1; i < kAhead; ++i) ask(i);
  for (std::size_t first = 0; first < run.size(); first += kAtOnce) {
    const Run few = run.subspan(first, std::min(kAtOnce, run.size() - first));
    prepare(few);
    for (std::size_t i = 0; i < few.size(); ++i) {
      ask(first + i + kAhead);
      work(few[i], scratch_[i]);
    }
  }
}

// The ICV goes into the packet, or beside it, to be compared with the packet's.
template <IMB_CIPHER_DIRECTION kDirection>
void Engine::gcm(Run run, const Traits& of) {
  constexpr bool kEncrypts = kDirection == IMB_DIR_ENCRYPT;
  const Gcm gcm = gcm_of(of.cipher_key);
  const auto work = kEncrypts ? gcm.encrypt : gcm.decrypt;
  by_keys(run, of, [&](Packet& packet, Scratch& scratch) {
    std::uint8_t* payload = packet.esp + payload_offset(of);
    std::uint8_t* icv = packet.esp + packet.bytes - of.icv;
    work(reinterpret_cast<const gcm_key_data*>(packet.keys->gcm_.data()), &context_, payload, payload,
         static_cast<std::uint64_t>(icv - payload), scratch.nonce.data(), scratch.associated.data(),
         associated_bytes(*packet.keys), kEncrypts ? icv : scratch.icv.data(), of.icv);
    if constexpr (!kEncrypts) packet.verified = equal_blocks(scratch.icv.data(), icv);
  });
}

// RFC 4543 section 3.3: nothing is encrypted; behind SPI and sequence number, IV and payload are associated,
// too.
void Engine::gmac(Run run) {
  prepare(run);
  const Gcm gcm = gcm_of(run[0].keys->traits().cipher_key);
  for (std::size_t i = 0; i < run.size(); ++i) {
    const Packet& packet = run[i];
    Scratch& scratch = scratch_[i];
    const auto* keys = reinterpret_cast<const gcm_key_data*>(packet.keys->gcm_.data());
    gcm.mac_init(keys, &context_, scratch.nonce.data(), 12);
    gcm.mac_update(keys, &context_, scratch.associated.data(), associated_bytes(*packet.keys));
    gcm.mac_update(keys, &context_, packet.esp + sizeof(Header),
                   static_cast<std::uint64_t>(icv_of(packet) - packet.esp) - sizeof(Header));
    gcm.mac_finalize(keys, &context_, scratch.icv.data(), 16);
  }
}

void Engine::chacha(Run run, IMB_CIPHER_DIRECTION direction) {
  prepare(run);
  std::array<IMB_JOB*, kBurst> jobs;
  const auto count = static_cast<std::uint32_t>(run.size());
  IMB_GET_NEXT_BURST(best_.get(), count, jobs.data());
  for (std::size_t i = 0; i < run.size(); ++i) {
    const Packet& packet = run[i];
    IMB_JOB& job = *jobs[i];
    job.cipher_mode = IMB_CIPHER_CHACHA20_POLY1305;
    job.hash_alg = IMB_AUTH_CHACHA20_POLY1305;
    job.cipher_direction = direction;
    job.chain_order = direction == IMB_DIR_ENCRYPT ? IMB_ORDER_CIPHER_HASH : IMB_ORDER_HASH_CIPHER;
    job.enc_keys = job.dec_keys = packet.keys->chacha_.data();
    job.key_len_in_bytes = 32;
    job.src = job.dst = payload_of(packet);
    job.cipher_start_src_offset_in_bytes = job.hash_start_src_offset_in_bytes = 0;
    job.msg_len_to_cipher_in_bytes = job.msg_len_to_hash_in_bytes = sealed_bytes(packet);
    job.iv = scratch_[i].nonce.data();
    job.iv_len_in_bytes = 12;
    job.u.CHACHA20_POLY1305.aad = scratch_[i].associated.data();
    job.u.CHACHA20_POLY1305.aad_len_in_bytes = associated_bytes(*packet.keys);
    job.auth_tag_output = direction == IMB_DIR_ENCRYPT ? icv_of(packet) : scratch_[i].icv.data();
    job.auth_tag_output_len_in_bytes = 16;
  }
  IMB_SUBMIT_BURST_NOCHECK(best_.get(), count, jobs.data());
}

// One way in, the number in the IV's place is encrypted with the payload, under an IV of zeros; the other
// way, only what has verified.
void Engine::cbc(Run run, IMB_CIPHER_DIRECTION direction) {
  static constexpr std::array<std::uint8_t, 16> kZeros{};
  const bool encrypt = direction == IMB_DIR_ENCRYPT;
  std::uint32_t count = 0;
  for (const Packet& packet : run) {
    if (!encrypt && !packet.verified) continue;
    IMB_JOB& job = jobs_[count++];
    std::uint8_t* iv = packet.esp + sizeof(Header);
    job.enc_keys = packet.keys->cbc_.encrypt.data();
    job.dec_keys = packet.keys->cbc_.decrypt.data();
    job.src = job.dst = encrypt ? iv : payload_of(packet);
    job.cipher_start_src_offset_in_bytes = 0;
    job.msg_len_to_cipher_in_bytes = sealed_bytes(packet) + (encrypt ? 16 : 0);
    job.iv = encrypt ? kZeros.data() : iv;
    job.iv_len_in_bytes = 16;
  }
  const auto key_bytes = static_cast<IMB_KEY_SIZE_BYTES>(run[0].keys->traits().cipher_key);
  if (count != 0)
    IMB_SUBMIT_CIPHER_BURST_NOCHECK(best_.get(), jobs_.data(), count, IMB_CIPHER_CBC, direction, key_bytes);
}

// Over all before the ICV and the high half of the sequence number (RFC 4303 section 2.2.1), which meanwhile
// takes the place of the ICV's begin.
void Engine::hmac(Run run) {
  const Traits& of = run[0].keys->traits();
  for (std::size_t i = 0; i < run.size(); ++i) {
    Packet& packet = run[i];
    IMB_JOB& job = jobs_[i];
    std::uint8_t* icv = icv_of(packet);
    job.src = packet.esp;
    job.hash_start_src_offset_in_bytes = 0;
    job.msg_len_to_hash_in_bytes = packet.bytes - of.icv;
    job.u.HMAC._hashed_auth_key_xor_ipad = packet.keys->inner_.data();
    job.u.HMAC._hashed_auth_key_xor_opad = packet.keys->outer_.data();
    job.auth_tag_output = scratch_[i].icv.data();
    job.auth_tag_output_len_in_bytes = of.icv;
    if (!packet.keys->extended_sequence()) continue;
    job.msg_len_to_hash_in_bytes += sizeof(Be32);
    const Be32 high(packet.sequence_high);
    std::memcpy(scratch_[i].displaced.data(), icv, sizeof high);
    std::memcpy(icv, &high, sizeof high);
  }
  IMB_MGR* manager = run.size() < kFewForHmac ? sse_.get() : best_.get();
  IMB_SUBMIT_HASH_BURST_NOCHECK(manager, jobs_.data(), static_cast<std::uint32_t>(run.size()),
                                hash_of(of.integrity));
  for (std::size_t i = 0; i < run.size(); ++i)
    if (run[i].keys->extended_sequence())
      std::memcpy(icv_of(run[i]), scratch_[i].displaced.data(), sizeof(Be32));
}

void Engine::compare(Run run) {
  for (std::size_t i = 0; i < run.size(); ++i)
    run[i].verified = equal(scratch_[i].icv.data(), icv_of(run[i]), run[i].keys->traits().icv);
}

}  // namespace millrace::esp
