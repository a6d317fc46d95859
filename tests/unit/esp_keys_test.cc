// Where keys lie, and what of them is left.
#include "esp/keys.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string>

#include "esp_fixture.h"

namespace millrace::esp {
namespace {

// The kernel's flags of the mapping that holds an address.
std::string mapping_flags(const void* address) {
  std::ifstream smaps("/proc/self/smaps");
  const auto at = reinterpret_cast<std::uintptr_t>(address);
  bool inside = false;
  for (std::string line; std::getline(smaps, line);) {
    std::uintptr_t begin = 0, end = 0;
    if (std::sscanf(line.c_str(), "%lx-%lx ", &begin, &end) == 2) inside = begin <= at && at < end;
    if (inside && line.starts_with("VmFlags:")) return line;
  }
  return {};
}

class EspKeys : public EspFixture {
 protected:
  static bool holds(const void* place, const Bytes& secret) {
    const auto* bytes = static_cast<const volatile std::uint8_t*>(place);
    const Bytes copy(bytes, bytes + sizeof(Keys));
    return std::search(copy.begin(), copy.end(), secret.begin(), secret.end()) != copy.end();
  }
  Random random_;
};

TEST_F(EspKeys, AreInNoCoreAndNotSwapped) {
  const auto keys = expand(random_keys(random_, Algorithm::aes_128_gcm, false));
  const std::string flags = mapping_flags(keys.get());
  EXPECT_NE(flags.find(" dd"), std::string::npos) << flags;
  ASSERT_TRUE(store_->locked());
#ifndef MILLRACE_SANITIZED  // under which mlock() does nothing
  EXPECT_NE(flags.find(" lo"), std::string::npos) << flags;
#endif
}

// The rounds of AES begin with the key itself, and ChaCha20's is it: so what is looked for is there before.
TEST_F(EspKeys, LeaveNothingBehind) {
  for (const Algorithm algorithm : {Algorithm::aes_128_gcm, Algorithm::aes_256_gmac,
                                    Algorithm::chacha20_poly1305, Algorithm::aes_256_cbc_hmac_sha256}) {
    SCOPED_TRACE(traits(algorithm).name);
    const ReferenceKeys reference = random_keys(random_, algorithm, true);
    auto keys = expand(reference);
    const void* place = keys.get();
    const Bytes secret(reference.cipher.begin(), reference.cipher.begin() + 16);
    ASSERT_TRUE(holds(place, secret));
    keys.reset();
    const auto* bytes = static_cast<const volatile std::uint8_t*>(place);
    EXPECT_TRUE(std::all_of(bytes, bytes + sizeof(Keys), [](std::uint8_t byte) { return byte == 0; }));
  }
}

TEST_F(EspKeys, PlacesAreUsedAgain) {
  const ReferenceKeys reference = random_keys(random_, Algorithm::aes_128_gcm, false);
  auto keys = expand(reference);
  const void* place = keys.get();
  keys.reset();
  EXPECT_EQ(expand(reference).get(), place);
}

TEST_F(EspKeys, AreAsManyAsOneWants) {
  Random random;
  std::vector<ReferenceKeys> reference;
  std::vector<KeyStore::Owned> keys;
  for (int i = 0; i < 1'000; ++i) {
    reference.push_back(random_keys(random, Algorithm::aes_256_gcm, false));
    keys.push_back(expand(reference.back()));
  }
  for (int i = 0; i < 1'000; i += 37) {
    Bytes wire = reference_seal(reference[i], 0, random_packet(random, traits(Algorithm::aes_256_gcm), 60));
    EXPECT_TRUE(open_one(*keys[i], 0, wire)) << i;
  }
}

TEST_F(EspKeys, OfAnotherLengthAreRefused) {
  const auto said = [this](Algorithm algorithm, std::size_t cipher, std::size_t salt, std::size_t integrity) {
    const Bytes bytes(100, 1);
    const auto keys = store_->expand(
        algorithm, false, {{bytes.data(), cipher}, {bytes.data(), salt}, {bytes.data(), integrity}});
    return keys ? std::string("good") : keys.error();
  };
  EXPECT_EQ(said(Algorithm::aes_128_gcm, 16, 4, 0), "good");
  EXPECT_EQ(said(Algorithm::aes_128_gcm, 20, 4, 0), "aes-128-gcm takes a key of 16 bytes, not of 20");
  EXPECT_EQ(said(Algorithm::aes_128_gcm, 16, 0, 0), "aes-128-gcm takes a salt of 4 bytes, not of 0");
  EXPECT_EQ(said(Algorithm::aes_128_gcm, 16, 4, 1),
            "aes-128-gcm takes an integrity key of 0 bytes, not of 1");
  EXPECT_EQ(said(Algorithm::null_hmac_sha256, 0, 0, 31),
            "null-hmac-sha256 takes an integrity key of 32 bytes, not of 31");
}

}  // namespace
}  // namespace millrace::esp
