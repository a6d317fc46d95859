// The checksum against the words of RFC 1071 §1, taken literally.
#include "net/checksum.h"

#include <gtest/gtest.h>

#include <array>
#include <span>
#include <vector>

#include "net/wire.h"
#include "tests/unit/random.h"
#include "tests/unit/ttl.h"

namespace millrace {
namespace {

// Adds up big-endian words one by one, with the carry put back at once.
std::uint16_t naive_sum(std::span<const std::byte> data) {
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < data.size(); i += 2) {
    const auto high = std::to_integer<std::uint32_t>(data[i]) << 8;
    const auto low = i + 1 < data.size() ? std::to_integer<std::uint32_t>(data[i + 1]) : 0;
    sum += high | low;
    if (sum > 0xffff) sum -= 0xffff;
  }
  return static_cast<std::uint16_t>(sum);
}

std::uint16_t naive_checksum(std::span<const std::byte> data) {
  return static_cast<std::uint16_t>(~naive_sum(data));
}

void store(std::byte* at, std::uint16_t word) {
  at[0] = std::byte(word >> 8);
  at[1] = std::byte(word & 0xff);
}

std::vector<std::byte> random_bytes(Random& random, std::size_t length) {
  std::vector<std::byte> data(length);
  // Long runs of zeroes and ones bring carries and both forms of zero.
  const std::uint32_t style = random.below(4);
  for (std::byte& b : data)
    b = style == 0 ? std::byte{0} : style == 1 ? std::byte{0xff} : std::byte(random.bits() & 0xff);
  if (!data.empty() && style < 2) data[random.below(length)] = std::byte(random.bits() & 0xff);
  return data;
}

TEST(Checksum, IsTheExampleOfRfc1071Section3) {
  const std::array<std::byte, 8> data{std::byte{0x00}, std::byte{0x01}, std::byte{0xf2}, std::byte{0x03},
                                      std::byte{0xf4}, std::byte{0xf5}, std::byte{0xf6}, std::byte{0xf7}};
  EXPECT_EQ(internet_checksum(data).host(), static_cast<std::uint16_t>(~0xddf2));
}

TEST(Checksum, EqualsTheNaiveOneForEveryLengthAtEveryAlignment) {
  Random random;
  for (std::size_t length = 0; length <= 256; ++length) {
    for (std::size_t offset = 0; offset < 4; ++offset) {
      const auto data = random_bytes(random, offset + length);
      const std::span<const std::byte> part(data.data() + offset, length);
      EXPECT_EQ(internet_checksum(part).host(), naive_checksum(part)) << "length " << length;
    }
  }
  for (const std::size_t length : {1499U, 1500U, 9000U, 65535U}) {
    const auto data = random_bytes(random, length);
    EXPECT_EQ(internet_checksum(data).host(), naive_checksum(data)) << "length " << length;
  }
}

// Rule 1.
TEST(Checksum, OfZeroesAndOfOnesIsRightAtBothZeroes) {
  const std::vector<std::byte> zeroes(20, std::byte{0});
  const std::vector<std::byte> ones(20, std::byte{0xff});
  EXPECT_EQ(internet_checksum(zeroes).host(), 0xffff);
  EXPECT_EQ(internet_checksum(ones).host(), 0x0000);
  EXPECT_EQ(internet_checksum({}).host(), 0xffff);
  EXPECT_FALSE(checksum_ok(zeroes)) << "nothing but zeroes has no checksum";
  EXPECT_TRUE(checksum_ok(ones));
  // The longest packet of ones: the partial sum carries far past 32 bits' worth of words.
  const std::vector<std::byte> longest(65535, std::byte{0xff});
  EXPECT_EQ(internet_checksum(longest).host(), naive_checksum(longest));
}

// Rule 1.
TEST(Checksum, OfTwentyBytesIsCheckedAsThatOfAnyLength) {
  Random random;
  unsigned good = 0;
  for (int i = 0; i < 20'000; ++i) {
    auto data = random_bytes(random, 20);
    if (random.chance(2)) {
      store(&data[10], 0);
      store(&data[10], naive_checksum(data));
      if (random.chance(4)) data[random.below(20)] ^= std::byte{1};
    }
    const bool right = naive_sum(data) == 0xffff;
    EXPECT_EQ(checksum_ok_20(data.data()), right);
    good += right ? 1 : 0;
  }
  EXPECT_GT(good, 5000U);
}

TEST(Checksum, FoldsAnyPartialSum) {
  for (const std::uint64_t sum :
       {std::uint64_t{0}, std::uint64_t{0xffff}, std::uint64_t{0x10000}, std::uint64_t{0x1fffe},
        std::uint64_t{0xffffffff}, std::uint64_t{0x1'0000'0000}, ~std::uint64_t{0},
        std::uint64_t{0xffff'ffff'0000'0001}, std::uint64_t{0x8000'0000'8000'7fff}}) {
    const std::uint64_t rest = sum % 0xffff;  // 2^16 = 1 in one's complement
    EXPECT_EQ(checksum_fold(sum), sum != 0 && rest == 0 ? 0xffff : rest) << sum;
  }
}

TEST(Checksum, OfTwoPartsIsThatOfTheWhole) {
  Random random;
  for (int i = 0; i < 2000; ++i) {
    const auto data = random_bytes(random, 2 + random.below(400));
    const std::size_t cut = random.below(data.size()) & ~std::size_t{1};
    const std::span<const std::byte> whole(data);
    const std::uint64_t sum = checksum_add(whole.subspan(cut), checksum_add(whole.first(cut)));
    EXPECT_EQ(checksum_fold(sum), checksum_fold(checksum_add(whole)));
  }
}

// Rule 1.
TEST(Checksum, OkAcceptsBothZeroesAndRefusesEveryFlippedBit) {
  std::array<std::byte, 20> header{};
  store(header.data(), 0x4500);
  store(header.data() + 2, 0xbaff);  // 0x4500 + 0xbaff = 0xffff: the checksum is zero
  ASSERT_EQ(naive_checksum(header), 0);
  EXPECT_TRUE(checksum_ok(header));
  store(header.data() + 10, 0xffff);
  EXPECT_TRUE(checksum_ok(header));
  for (std::size_t bit = 0; bit < header.size() * 8; ++bit) {
    auto damaged = header;
    damaged[bit / 8] ^= std::byte(1U << (bit % 8));
    EXPECT_FALSE(checksum_ok(damaged)) << "bit " << bit;
  }
}

// Every TTL and, by way of the identification field, every checksum that a header can have.
// Rule 3.
TEST(TtlDecrement, EqualsRecomputationForEveryTtlAndChecksum) {
  std::vector<bool> seen(0x10000);
  for (std::uint32_t ttl = 1; ttl <= 255; ++ttl) {
    std::array<std::byte, 20> before{};
    store(before.data(), 0x4500);
    store(before.data() + 8, static_cast<std::uint16_t>(ttl << 8 | wire::kProtocolUdp));
    auto after = before;
    store(after.data() + 8, static_cast<std::uint16_t>((ttl - 1) << 8 | wire::kProtocolUdp));
    std::uint32_t wrong = 0;
    for (std::uint32_t id = 0; id <= 0xffff; ++id) {
      store(before.data() + 4, static_cast<std::uint16_t>(id));
      store(after.data() + 4, static_cast<std::uint16_t>(id));
      const std::uint16_t old_checksum = naive_checksum(before);
      seen[old_checksum] = true;
      wrong +=
          checksum_after_ttl_decrement(old_checksum, static_cast<std::uint8_t>(ttl)) != naive_checksum(after)
              ? 1
              : 0;
    }
    ASSERT_EQ(wrong, 0U) << "TTL " << ttl;
  }
  for (std::uint32_t checksum = 0; checksum < 0xffff; ++checksum) EXPECT_TRUE(seen[checksum]) << checksum;
}

// Rule 3.
TEST(TtlDecrement, ChangesTtlAndChecksumAlone) {
  for (unsigned ttl = 1; ttl <= 255; ++ttl) {
    for (const std::uint8_t high : {std::uint8_t{0}, std::uint8_t{0xfe}, std::uint8_t{0xff}}) {
      const TtlWord after = decremented({static_cast<std::uint8_t>(ttl), 0xa5, high, 0xff});
      EXPECT_EQ(after[0], ttl - 1);
      EXPECT_EQ(after[1], 0xa5);
    }
  }
}

// A sender may write zero as 0xffff; what comes out must not be worse than what came in.
// Rule 3.
TEST(TtlDecrement, TakesTheOtherZeroForZero) {
  EXPECT_EQ(checksum_after_ttl_decrement(0xffff), checksum_after_ttl_decrement(0x0000));
  for (std::uint32_t checksum = 0; checksum <= 0xffff; ++checksum) {
    EXPECT_NE(checksum_after_ttl_decrement(static_cast<std::uint16_t>(checksum)), 0xffff) << checksum;
  }
}

}  // namespace
}  // namespace millrace
