// Keys and packets for tests of esp/.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "esp/engine.h"
#include "esp/keys.h"
#include "esp/packet.h"
#include "esp_reference.h"
#include "random.h"

namespace millrace::esp {

class EspFixture : public ::testing::Test {
 protected:
  void SetUp() override {
    auto store = KeyStore::make();
    ASSERT_TRUE(store) << store.error();
    store_ = std::move(*store);
    auto engine = Engine::make();
    ASSERT_TRUE(engine) << engine.error();
    engine_ = std::move(*engine);
  }

  KeyStore::Owned expand(const ReferenceKeys& keys) {
    auto expanded =
        store_->expand(keys.algorithm, keys.extended_sequence, {keys.cipher, keys.salt, keys.integrity});
    EXPECT_TRUE(expanded) << expanded.error();
    return expanded ? std::move(*expanded) : KeyStore::Owned{nullptr, {store_.get()}};
  }

  // Whether a packet verifies; it is decrypted then.
  bool open_one(const Keys& keys, std::uint32_t sequence_high, Bytes& bytes) {
    Packet packet{&keys, bytes.data(), static_cast<std::uint32_t>(bytes.size()), sequence_high};
    engine_->open({&packet, 1});
    return packet.verified;
  }

  std::unique_ptr<KeyStore> store_;
  std::unique_ptr<Engine> engine_;
};

inline Bytes random_bytes(Random& random, std::size_t count) {
  Bytes bytes(count);
  for (auto& byte : bytes) byte = static_cast<std::uint8_t>(random.bits());
  return bytes;
}

inline ReferenceKeys random_keys(Random& random, Algorithm algorithm, bool extended_sequence) {
  const Traits& of = traits(algorithm);
  return {algorithm, extended_sequence, random_bytes(random, of.cipher_key), random_bytes(random, of.salt()),
          random_bytes(random, of.integrity_key)};
}

// Header, IV, payload and trailer, all but the trailer random.
inline Bytes random_packet(Random& random, const Traits& of, std::uint32_t payload) {
  Bytes packet = random_bytes(random, payload_offset(of) + padded_bytes(of, payload));
  write_trailer(of, packet.data() + payload_offset(of), payload, 4);
  return packet;
}

// A test for each algorithm is named so: letters, digits and underscores.
inline std::string test_name(Algorithm algorithm) {
  std::string name(traits(algorithm).name);
  for (char& c : name)
    if (c == '-') c = '_';
  return name;
}

inline std::vector<Algorithm> all_algorithms() {
  std::vector<Algorithm> all;
  for (std::size_t i = 0; i < kTraits.size(); ++i) all.push_back(static_cast<Algorithm>(i));
  return all;
}

}  // namespace millrace::esp
