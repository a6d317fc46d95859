// TTL and header checksum (RFC 1812 5.3.1, RFC 1624) against a naive oracle, for all values.
#include "cases.h"
#include "net/checksum.h"

namespace millrace::behaviour {
namespace {

// Headers that differ only in TTL and identification take every checksum: the oracle computes it from the
// start.
Bytes header_with(std::uint8_t ttl, std::uint16_t identification) {
  return Ipv4Packet{.ttl = ttl, .identification = identification, .payload = {}}.bytes();
}

std::uint32_t naive_sum_without_checksum(std::uint8_t ttl) {
  Bytes header = header_with(ttl, 0);
  put16(header, 10, 0);
  return static_cast<std::uint16_t>(~naive_checksum(header));
}

std::uint16_t complement_of_sum(std::uint32_t sum) {
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<std::uint16_t>(~sum);
}

TEST(TtlChecksum, Rfc1624_EveryChecksumAndEveryTtl) {
  for (unsigned ttl = 2; ttl < 256; ++ttl) {
    const std::uint32_t before = naive_sum_without_checksum(static_cast<std::uint8_t>(ttl));
    const std::uint32_t after = naive_sum_without_checksum(static_cast<std::uint8_t>(ttl - 1));
    unsigned wrong = 0;
    for (std::uint32_t id = 0; id < 0x10000; ++id) {
      const std::uint16_t updated = checksum_after_ttl_decrement(complement_of_sum(before + id));
      wrong += updated == complement_of_sum(after + id) ? 0 : 1;
    }
    EXPECT_EQ(wrong, 0U) << "rule 3: TTL " << ttl;
  }
}

TEST(TtlChecksum, Rfc1624_BothFormsOfZeroAreAcceptedAndUpdatedAlike) {
  EXPECT_EQ(checksum_after_ttl_decrement(0xffff), checksum_after_ttl_decrement(0x0000));
  for (std::uint32_t checksum = 0; checksum < 0x10000; ++checksum) {
    EXPECT_NE(checksum_after_ttl_decrement(static_cast<std::uint16_t>(checksum)), 0xffff)
        << "rule 3: never the form that a computed checksum does not take, from " << checksum;
  }
}

TEST(TtlChecksum, Rfc1071_WholeChecksumsOfAllLengthsAgainstTheOracle) {
  for (std::size_t length = 0; length < 200; ++length) {
    for (unsigned seed = 0; seed < 16; ++seed) {
      const Bytes data = pattern(length, seed * 17);
      const std::span bytes(reinterpret_cast<const std::byte*>(data.data()), data.size());
      ASSERT_EQ(internet_checksum(bytes).host(), naive_checksum(data))
          << "length " << length << " seed " << seed;
    }
  }
}

// Rule 1.
TEST(TtlChecksum, Rfc1071_AcceptsOneChecksumOfAll) {
  Bytes header = header_with(64, 0x1234);
  const std::uint16_t right = get16(header, 10);
  for (std::uint32_t checksum = 0; checksum < 0x10000; ++checksum) {
    put16(header, 10, checksum);
    const std::span bytes(reinterpret_cast<const std::byte*>(header.data()), header.size());
    ASSERT_EQ(checksum_ok(bytes), checksum == right) << checksum;
  }
}

class TtlChecksumInTheWorker : public TwoSubnetsTest {};

TEST_F(TtlChecksumInTheWorker, EveryTtl) {
  for (unsigned ttl = 2; ttl < 256; ++ttl) {
    verify(two(), "a",
           forwards("rule 3: TTL " + std::to_string(ttl), {.ttl = static_cast<std::uint8_t>(ttl)}));
  }
}

TEST_F(TtlChecksumInTheWorker, ASampleOfAllChecksums) {
  for (std::uint32_t id = 0; id < 0x10000; id += 31) {
    for (const std::uint8_t ttl : {std::uint8_t{2}, std::uint8_t{128}}) {
      two().send("a", in({.ttl = ttl, .identification = static_cast<std::uint16_t>(id), .payload = {}}));
      two().step();
      const auto out = two().received("b");
      ASSERT_EQ(out.size(), 1U);
      ASSERT_EQ(naive_checksum(slice(out[0], kEthernet, 20)), 0) << "rule 3: id " << id << "\n"
                                                                 << describe(out[0]);
      ASSERT_EQ(out[0][kEthernet + 8], ttl - 1);
    }
  }
}

}  // namespace
}  // namespace millrace::behaviour
