// Lengths and trailers of ESP packets, and the names of algorithms.
#include "esp/packet.h"

#include <gtest/gtest.h>

#include <set>
#include <vector>

namespace millrace::esp {
namespace {

TEST(EspAlgorithms, HaveNamesOfTheirOwn) {
  std::set<std::string_view> names;
  for (std::size_t i = 0; i < kTraits.size(); ++i) {
    EXPECT_TRUE(names.insert(kTraits[i].name).second) << kTraits[i].name;
    EXPECT_EQ(algorithm_named(kTraits[i].name), static_cast<Algorithm>(i));
  }
  EXPECT_FALSE(algorithm_named("aes-128-ecb"));
}

// RFC 4106 section 8.1, RFC 4543 section 5.3 and RFC 7634 section 2: 4 bytes of salt, an IV of 8, an ICV
// of 16. RFC 3602 section 3 and RFC 4868 section 2.6: an IV and blocks of 16, ICVs of half the hash. RFC
// 2404: 96 bits.
TEST(EspAlgorithms, TakeOfThePacketWhatTheirRfcsSay) {
  const auto said = [](Algorithm algorithm) {
    const Traits& of = traits(algorithm);
    return std::vector<int>{of.salt(), of.iv(), of.block(), of.icv};
  };
  EXPECT_EQ(said(Algorithm::aes_128_gcm), (std::vector<int>{4, 8, 4, 16}));
  EXPECT_EQ(said(Algorithm::aes_256_gmac), (std::vector<int>{4, 8, 4, 16}));
  EXPECT_EQ(said(Algorithm::chacha20_poly1305), (std::vector<int>{4, 8, 4, 16}));
  EXPECT_EQ(said(Algorithm::aes_128_cbc_hmac_sha1), (std::vector<int>{0, 16, 16, 12}));
  EXPECT_EQ(said(Algorithm::aes_128_cbc_hmac_sha256), (std::vector<int>{0, 16, 16, 16}));
  EXPECT_EQ(said(Algorithm::aes_192_cbc_hmac_sha384), (std::vector<int>{0, 16, 16, 24}));
  EXPECT_EQ(said(Algorithm::aes_256_cbc_hmac_sha512), (std::vector<int>{0, 16, 16, 32}));
  EXPECT_EQ(said(Algorithm::null_hmac_sha256), (std::vector<int>{0, 0, 4, 16}));
}

TEST(EspPacket, PayloadAndTrailerFillBlocks) {
  for (const Traits& of : kTraits) {
    for (std::uint32_t payload = 0; payload < 100; ++payload) {
      SCOPED_TRACE(std::string(of.name) + ", " + std::to_string(payload));
      const std::uint32_t packet = packet_bytes(of, payload);
      ASSERT_TRUE(is_whole(of, packet));
      ASSERT_EQ((packet - 8 - of.iv() - of.icv) % of.block(), 0U);
      ASSERT_LT(packet - 8 - of.iv() - of.icv - 2 - payload, of.block()) << "no more padding than it takes";
      for (std::uint32_t less = 1; less < of.block(); ++less) ASSERT_FALSE(is_whole(of, packet - less));
    }
  }
}

TEST(EspPacket, WhatIsShorterThanItsPartsIsNotWhole) {
  for (const Traits& of : kTraits) {
    const std::uint32_t shortest = packet_bytes(of, 0);
    for (std::uint32_t bytes = 0; bytes < shortest; ++bytes)
      EXPECT_FALSE(is_whole(of, bytes)) << of.name << ' ' << bytes;
    EXPECT_TRUE(is_whole(of, shortest)) << of.name;
  }
}

TEST(EspPacket, ThePayloadThatARoomHoldsIsTheLongestThatFits) {
  for (const Traits& of : kTraits)
    for (std::uint32_t room = 0; room < 200; ++room) {
      const std::uint32_t payload = payload_room(of, room);
      if (payload != 0) {
        ASSERT_LE(packet_bytes(of, payload), room) << of.name;
      }
      ASSERT_GT(packet_bytes(of, payload + 1), room) << of.name;
    }
}

TEST(EspPacket, PaddingCountsUpFromOne) {
  const Traits& of = traits(Algorithm::aes_128_cbc_hmac_sha256);
  std::vector<std::uint8_t> payload(16, 0xaa);
  write_trailer(of, payload.data(), 5, 41);
  EXPECT_EQ(payload,
            (std::vector<std::uint8_t>{0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 41}));
}

TEST(EspPacket, TheTrailerSaysWhereThePayloadEnds) {
  for (const Traits& of : kTraits)
    for (std::uint32_t payload = 0; payload < 40; ++payload) {
      std::vector<std::uint8_t> packet(packet_bytes(of, payload), 0xaa);
      write_trailer(of, packet.data() + payload_offset(of), payload, 4);
      Payload read{};
      ASSERT_TRUE(read_trailer(of, packet.data(), static_cast<std::uint32_t>(packet.size()), read));
      ASSERT_EQ(read.bytes, payload);
      ASSERT_EQ(read.next_header, 4);
    }
}

TEST(EspPacket, MorePaddingThanThereIsIsRefused) {
  const Traits& of = traits(Algorithm::aes_128_gcm);
  std::vector<std::uint8_t> packet(packet_bytes(of, 18), 0);  // 20 with the trailer
  Payload read{};
  const auto with_padding = [&](std::uint8_t padding) {
    packet[packet.size() - of.icv - 2] = padding;
    return read_trailer(of, packet.data(), static_cast<std::uint32_t>(packet.size()), read);
  };
  ASSERT_TRUE(with_padding(18));
  EXPECT_EQ(read.bytes, 0U);
  EXPECT_FALSE(with_padding(19));
  EXPECT_FALSE(with_padding(255));
}

}  // namespace
}  // namespace millrace::esp
