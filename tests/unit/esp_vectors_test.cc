// Published packets and vectors (tests/data/esp, tests/data/wycheproof) through esp::Engine.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "esp_fixture.h"

namespace millrace::esp {
namespace {

using nlohmann::json;

json read(const std::string& name) {
  std::ifstream file(MILLRACE_SOURCE_DIR "/tests/data/" + name);
  EXPECT_TRUE(file) << name;
  return json::parse(file);
}

Bytes from_hex(const json& value) {
  Bytes bytes;
  if (value.is_null()) return bytes;
  const auto text = value.get<std::string>();
  for (std::size_t i = 0; i + 1 < text.size(); i += 2)
    bytes.push_back(static_cast<std::uint8_t>(std::stoul(text.substr(i, 2), nullptr, 16)));
  return bytes;
}

Bytes joined(const Bytes& a, const Bytes& b) {
  Bytes all = a;
  all.insert(all.end(), b.begin(), b.end());
  return all;
}

std::size_t ip_header_bytes(const Bytes& packet) {
  return packet[0] >> 4 == 6 ? 40 : std::size_t{4} * (packet[0] & 15);
}

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::tolower(c); });
  return text;
}

// "AES_CBC" and "SHA256_HMAC" with a key of 16 bytes: aes-128-cbc-hmac-sha256.
std::optional<Algorithm> algorithm_of(const json& vector, std::size_t key_bytes) {
  const std::string aes = "aes-" + std::to_string(8 * key_bytes);
  if (vector.at("aead") == "AES_GCM") return algorithm_named(aes + "-gcm");
  const auto auth = lower(vector.at("auth").get<std::string>());
  return algorithm_named(aes + "-cbc-hmac-" + auth.substr(0, auth.find('_')));
}

class EspVectors : public EspFixture {
 protected:
  // The packet is opened to what is within, and sealed again to what it was.
  void check_packet(const ReferenceKeys& reference, const Bytes& esp, const Bytes& inner, int next_header) {
    const auto keys = expand(reference);
    const Traits& of = traits(reference.algorithm);
    ASSERT_TRUE(is_whole(of, static_cast<std::uint32_t>(esp.size())));
    Bytes wire = esp;
    ASSERT_TRUE(open_one(*keys, 0, wire));
    Payload payload{};
    ASSERT_TRUE(read_trailer(of, wire.data(), static_cast<std::uint32_t>(wire.size()), payload));
    EXPECT_EQ(payload.next_header, next_header);
    EXPECT_EQ(Bytes(wire.begin() + payload_offset(of), wire.begin() + payload_offset(of) + payload.bytes),
              inner);
    if (of.cipher == Cipher::cbc) return;  // its IV is not ours to choose
    Packet packet{keys.get(), wire.data(), static_cast<std::uint32_t>(wire.size()), 0};
    engine_->seal({&packet, 1});
    EXPECT_EQ(wire, esp);
  }

  // Whether a message with a tag verifies: the associated data is an ESP header, its extended number where it
  // has 12 bytes.
  bool verifies(Algorithm algorithm, const json& test) {
    const Bytes nonce = from_hex(test.at("iv")), head = from_hex(test.at("aad"));
    const bool extended = head.size() == 12;
    Bytes wire(head.begin(), head.begin() + 4);
    wire.insert(wire.end(), head.end() - 4, head.end());
    wire.insert(wire.end(), nonce.begin() + 4, nonce.end());
    wire = joined(joined(wire, from_hex(test.at("ct"))), from_hex(test.at("tag")));
    const auto keys =
        expand({algorithm, extended, from_hex(test.at("key")), {nonce.begin(), nonce.begin() + 4}, {}});
    const std::uint32_t high = extended ? std::uint32_t{head[4]} << 24 | std::uint32_t{head[5]} << 16 |
                                              std::uint32_t{head[6]} << 8 | head[7]
                                        : 0;
    const bool verified = open_one(*keys, high, wire);
    if (verified) {
      const Bytes message = from_hex(test.at("msg"));
      EXPECT_TRUE(std::equal(message.begin(), message.end(), wire.begin() + 16));
    }
    return verified;
  }

  // Those that an ESP packet can say: a nonce of 12 bytes, an ICV of 16, associated data of 8 or 12.
  void check_aead(const std::string& file, const std::string& name, bool named_by_key, int at_least) {
    int checked = 0;
    const json all = read("wycheproof/" + file);
    for (const json& group : all.at("testGroups")) {
      const int key_bits = group.at("keySize");
      const auto algorithm = algorithm_named(named_by_key ? "aes-" + std::to_string(key_bits) + name : name);
      if (!algorithm || group.at("ivSize") != 96 || group.at("tagSize") != 128) continue;
      for (const json& test : group.at("tests")) {
        const std::size_t head = from_hex(test.at("aad")).size();
        if (head != 8 && head != 12) continue;
        ++checked;
        EXPECT_EQ(verifies(*algorithm, test), test.at("result") != "invalid")
            << file << ' ' << test.at("tcId");
      }
    }
    EXPECT_GE(checked, at_least);
  }

  // Any message, as NULL encryption has neither an IV nor blocks. `tag_bits` is the ICV's: longer tags are
  // cut where the file has none of them.
  void check_hmac(const std::string& file, Algorithm algorithm, int tag_bits, int at_least) {
    const Traits& of = traits(algorithm);
    int checked = 0;
    const json all = read("wycheproof/" + file);
    for (const json& group : all.at("testGroups")) {
      if (group.at("keySize") != 8 * of.integrity_key || group.at("tagSize") != tag_bits) continue;
      for (const json& test : group.at("tests")) {
        const Bytes message = from_hex(test.at("msg"));
        if (message.empty()) continue;  // there is no such packet, and IPsec-MB takes none
        Bytes tag = from_hex(test.at("tag"));
        const bool cut = tag.size() > of.icv;
        if (cut && test.at("result") == "invalid") continue;  // what makes it so may be cut off
        tag.resize(of.icv);
        ++checked;
        const auto keys = expand({algorithm, false, {}, {}, from_hex(test.at("key"))});
        Bytes wire = joined(message, tag);
        EXPECT_EQ(open_one(*keys, 0, wire), test.at("result") != "invalid") << file << ' ' << test.at("tcId");
      }
    }
    EXPECT_GE(checked, at_least);
  }
};

TEST_F(EspVectors, PacketsOfDpdk) {
  int checked = 0;
  for (const json& vector : read("esp/dpdk_ipsec_packets.json")) {
    SCOPED_TRACE(vector.at("name").get<std::string>());
    const Bytes key = from_hex(vector.at("key"));
    const auto algorithm = algorithm_of(vector, key.size());
    if (!algorithm) {
      EXPECT_EQ(vector.at("auth"), "MD5_HMAC") << "all others are known";
      continue;
    }
    ++checked;
    const Bytes inner = from_hex(vector.at("input_text"));
    Bytes esp = from_hex(vector.at("output_text"));
    esp.erase(esp.begin(), esp.begin() + static_cast<std::ptrdiff_t>(ip_header_bytes(esp)));
    check_packet({*algorithm, false, key, from_hex(vector.at("salt")), from_hex(vector.at("auth_key"))}, esp,
                 inner, inner[0] >> 4 == 6 ? 41 : 4);
  }
  EXPECT_EQ(checked, 8);
}

// RFC 7634 appendix A, and RFC 3602 section 4: the latter's packets have no ICV, so they get one here.
TEST_F(EspVectors, PacketsOfRfcs) {
  int checked = 0;
  for (const json& vector : read("esp/rfc_esp_packets.json")) {
    SCOPED_TRACE(vector.at("name").get<std::string>());
    const Bytes key = from_hex(vector.at("key")), inner = from_hex(vector.at("inner"));
    Bytes esp = from_hex(vector.at("esp"));
    ++checked;
    if (vector.at("alg") == "chacha20-poly1305") {
      check_packet({Algorithm::chacha20_poly1305, false, key, from_hex(vector.at("salt")), {}}, esp, inner,
                   4);
    } else {
      const Bytes integrity(32, 7);
      esp = reference_seal({Algorithm::null_hmac_sha256, false, {}, {}, integrity}, 0, esp);
      check_packet({Algorithm::aes_128_cbc_hmac_sha256, false, key, {}, integrity}, esp, inner,
                   vector.at("next_header"));
    }
  }
  EXPECT_EQ(checked, 5);
}

TEST_F(EspVectors, WycheproofAesGcm) {
  check_aead("aes_gcm_test.json", "-gcm", true, 5);
}
TEST_F(EspVectors, WycheproofChaCha20Poly1305) {
  check_aead("chacha20_poly1305_test.json", "chacha20-poly1305", false, 47);
}
TEST_F(EspVectors, WycheproofHmacSha1) {
  check_hmac("hmac_sha1_test.json", Algorithm::null_hmac_sha1, 160, 26);
}
TEST_F(EspVectors, WycheproofHmacSha256) {
  check_hmac("hmac_sha256_test.json", Algorithm::null_hmac_sha256, 128, 53);
}
TEST_F(EspVectors, WycheproofHmacSha384) {
  check_hmac("hmac_sha384_test.json", Algorithm::null_hmac_sha384, 192, 53);
}
TEST_F(EspVectors, WycheproofHmacSha512) {
  check_hmac("hmac_sha512_test.json", Algorithm::null_hmac_sha512, 256, 53);
}

}  // namespace
}  // namespace millrace::esp
