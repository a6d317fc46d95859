// ESP packets sealed and opened by esp::Engine, measured against OpenSSL: every algorithm, lengths, bursts,
// forgeries.
#include "esp/engine.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "esp_fixture.h"

namespace millrace::esp {
namespace {

// Packets of several keys, whose numbers and contents are random.
struct Burst {
  std::vector<ReferenceKeys> reference;
  std::vector<KeyStore::Owned> keys;
  std::vector<Bytes> plain, wire;  // without and with the ICV
  std::vector<Packet> packets;
};

class EspEngine : public EspFixture {
 protected:
  void add(Burst& burst, Algorithm algorithm, bool sealed) {
    const Traits& of = traits(algorithm);
    const bool extended = random_.chance(2);
    burst.reference.push_back(random_keys(random_, algorithm, extended));
    burst.keys.push_back(expand(burst.reference.back()));
    const std::uint32_t high = random_.bits();
    Bytes plain = random_packet(random_, of, random_.below(random_.chance(2) ? 64 : 1500));
    if (of.cipher == Cipher::cbc && !sealed) std::fill_n(plain.begin() + 16, 8, 0);
    Bytes wire = sealed ? reference_seal(burst.reference.back(), high, plain) : plain;
    wire.resize(plain.size() + of.icv);
    burst.packets.push_back(
        {burst.keys.back().get(), nullptr, static_cast<std::uint32_t>(wire.size()), high});
    burst.plain.push_back(std::move(plain));
    burst.wire.push_back(std::move(wire));
    for (std::size_t i = 0; i < burst.packets.size(); ++i) burst.packets[i].esp = burst.wire[i].data();
  }
  Burst burst_of(Algorithm algorithm, std::size_t count, bool sealed) {
    Burst burst;
    for (std::size_t i = 0; i < count; ++i) add(burst, algorithm, sealed);
    return burst;
  }
  // Between IV and ICV.
  static Bytes text(const Traits& of, const Bytes& packet, std::size_t end) {
    return {packet.begin() + payload_offset(of), packet.begin() + static_cast<std::ptrdiff_t>(end)};
  }
  static Bytes opened(const Burst& burst, std::size_t i) {
    const Traits& of = burst.packets[i].keys->traits();
    return text(of, burst.wire[i], burst.plain[i].size());
  }
  static Bytes original(const Burst& burst, std::size_t i) {
    return text(burst.packets[i].keys->traits(), burst.plain[i], burst.plain[i].size());
  }
  static std::optional<Bytes> opened_by_reference(const Burst& burst, std::size_t i) {
    return reference_open(burst.reference[i], burst.packets[i].sequence_high, burst.wire[i]);
  }

  Random random_;
};

class EspAlgorithm : public EspEngine, public ::testing::WithParamInterface<Algorithm> {};
INSTANTIATE_TEST_SUITE_P(All, EspAlgorithm, ::testing::ValuesIn(all_algorithms()),
                         [](const auto& of) { return test_name(of.param); });

TEST_P(EspAlgorithm, SealsWhatOpenSslOpens) {
  for (const std::size_t count : {1, 2, 15, 16, 17, 64, 65, 130}) {
    Burst burst = burst_of(GetParam(), count, false);
    engine_->seal(burst.packets);
    for (std::size_t i = 0; i < count; ++i) {
      SCOPED_TRACE("packet " + std::to_string(i) + " of " + std::to_string(count));
      const auto text = opened_by_reference(burst, i);
      ASSERT_TRUE(text) << "the ICV is wrong";
      EXPECT_EQ(*text, original(burst, i));
      EXPECT_TRUE(std::equal(burst.plain[i].begin(), burst.plain[i].begin() + 8, burst.wire[i].begin()));
    }
  }
}

TEST_P(EspAlgorithm, OpensWhatOpenSslSealed) {
  for (const std::size_t count : {1, 2, 15, 16, 17, 64, 65, 130}) {
    Burst burst = burst_of(GetParam(), count, true);
    engine_->open(burst.packets);
    for (std::size_t i = 0; i < count; ++i) {
      SCOPED_TRACE("packet " + std::to_string(i) + " of " + std::to_string(count));
      ASSERT_TRUE(burst.packets[i].verified);
      EXPECT_EQ(opened(burst, i), original(burst, i));
    }
  }
}

// Any bit of the packet, and of the half of the sequence number that is not in it.
TEST_P(EspAlgorithm, VerifiesNothingThatHasChanged) {
  for (int round = 0; round < 8; ++round) {
    Burst burst = burst_of(GetParam(), 33, true);
    std::vector<bool> changed(burst.packets.size());
    for (std::size_t i = 0; i < burst.packets.size(); ++i) {
      if (random_.chance(2)) continue;
      changed[i] = true;
      if (burst.reference[i].extended_sequence && random_.chance(4))
        burst.packets[i].sequence_high ^= 1U << random_.below(32);
      else
        burst.wire[i][random_.below(burst.wire[i].size())] ^=
            static_cast<std::uint8_t>(1U << random_.below(8));
    }
    engine_->open(burst.packets);
    for (std::size_t i = 0; i < burst.packets.size(); ++i) {
      SCOPED_TRACE("packet " + std::to_string(i));
      EXPECT_NE(burst.packets[i].verified, changed[i]);
      if (!changed[i]) {
        EXPECT_EQ(opened(burst, i), original(burst, i));
      }
    }
  }
}

TEST_P(EspAlgorithm, ABitOfTheIcvIsNotTooFew) {
  const Burst burst = burst_of(GetParam(), 1, true);
  const std::size_t icv = traits(GetParam()).icv;
  for (std::size_t bit = 0; bit < 8 * icv; ++bit) {
    Bytes wire = burst.wire[0];
    wire[wire.size() - icv + bit / 8] ^= static_cast<std::uint8_t>(1U << bit % 8);
    EXPECT_FALSE(open_one(*burst.keys[0], burst.packets[0].sequence_high, wire)) << "bit " << bit;
  }
}

TEST_F(EspEngine, AlgorithmsMayAlternateInABurst) {
  for (const bool sealed : {false, true}) {
    Burst burst;
    for (int i = 0; i < 200; ++i)
      add(burst, all_algorithms()[random_.below(all_algorithms().size())], sealed);
    if (sealed)
      engine_->open(burst.packets);
    else
      engine_->seal(burst.packets);
    for (std::size_t i = 0; i < burst.packets.size(); ++i) {
      EXPECT_EQ(burst.packets[i].verified, sealed);
      EXPECT_EQ(sealed ? opened(burst, i) : opened_by_reference(burst, i), original(burst, i));
    }
  }
}

// NIST SP 800-38A appendix C: unpredictable, as nobody without the key can say what a number becomes.
TEST_F(EspEngine, TheIvOfCbcIsTheNumberEncrypted) {
  const ReferenceKeys reference = random_keys(random_, Algorithm::aes_128_cbc_hmac_sha256, false);
  const auto keys = expand(reference);
  const Traits& of = traits(reference.algorithm);
  Bytes wire = random_packet(random_, of, 20);
  std::fill_n(wire.begin() + 8, 16, 0);
  wire[8] = 7;
  wire.resize(wire.size() + of.icv);
  Packet packet{keys.get(), wire.data(), static_cast<std::uint32_t>(wire.size()), 0};
  engine_->seal({&packet, 1});
  // A header, an IV of zeros and one block of text: the block becomes the number encrypted.
  Bytes block(40, 0);
  block[24] = 7;
  const Bytes encrypted = reference_seal(reference, 0, block);
  EXPECT_TRUE(std::equal(wire.begin() + 8, wire.begin() + 24, encrypted.begin() + 24));
}

TEST_F(EspEngine, WithoutExtendedNumbersTheHighHalfDoesNotCount) {
  for (const Algorithm algorithm : all_algorithms()) {
    const ReferenceKeys reference = random_keys(random_, algorithm, false);
    Bytes wire = reference_seal(reference, 0, random_packet(random_, traits(algorithm), 40));
    EXPECT_TRUE(open_one(*expand(reference), 5, wire)) << traits(algorithm).name;
  }
}

}  // namespace
}  // namespace millrace::esp
