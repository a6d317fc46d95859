// TTL and header checksum (RFC 1812 5.3.1, RFC 1624) against a naive oracle, for all values.
#include "cases.h"
#include "net/checksum.h"
#include "tests/unit/ttl.h"

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
      const std::uint16_t updated =
          checksum_after_ttl_decrement(complement_of_sum(before + id), static_cast<std::uint8_t>(ttl));
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

// Whatever way a packet would have taken, it does not take it with TTL 1, and none leaves with 0.
TEST_F(TtlChecksumInTheWorker, Rfc1812_5_3_1_TheLastHop) {
  start(R"(
interfaces:
  a: {device: @a, addresses: [10.0.1.1/24]}
  b: {device: @b, mtu: 576, addresses: [10.0.2.1/24]}
routes: [{prefix: 203.0.113.0/24, via: [10.0.2.2, 10.0.2.3]}]
neighbors:
  - {address: 10.0.1.2, mac: "02:00:00:00:01:02", interface: a}
  - {address: 10.0.2.2, mac: "02:00:00:00:02:02", interface: b}
  - {address: 10.0.2.3, mac: "02:00:00:00:02:02", interface: b}
)");
  const auto expires = [&](const std::string& what, const Ipv4Packet& packet) {
    return refuses(what, packet, DropReason::ttl_expired, {.type = 11});
  };
  for (const std::uint8_t ttl : {std::uint8_t{0}, std::uint8_t{1}}) {
    verify(two(), "a",
           {expires("rules 3, 4: to a neighbour", {.ttl = ttl}),
            expires("rules 3, 4: to a group", {.destination = ip("203.0.113.1"), .ttl = ttl}),
            expires("rules 3, 4: to an unknown neighbour", {.destination = ip("10.0.2.9"), .ttl = ttl}),
            expires("rules 3, 4: back where it came from", {.destination = ip("10.0.1.2"), .ttl = ttl}),
            expires("rules 3, 7: over the MTU", {.ttl = ttl, .payload = pattern(557)}),
            expires("rules 3, 7: over the MTU with DF",
                    {.ttl = ttl, .flags_offset = kDf, .payload = pattern(557)})});
  }
  verify(two(), "a",
         {forwards("rules 3, 4: TTL 2 to a neighbour", {.ttl = 2}),
          forwards("rules 3, 4: TTL 2 to a group", {.destination = ip("203.0.113.1"), .ttl = 2})});
  two().send("a", in({.ttl = 2, .payload = pattern(1000)}));
  two().run();
  const auto fragments = two().received("b");
  EXPECT_EQ(fragments.size(), 2U);
  for (const Bytes& f : fragments) EXPECT_EQ(f[kEthernet + 8], 1) << "rules 4, 7: TTL 2 in fragments";
}

TEST_F(TtlChecksumInTheWorker, Rfc1812_5_3_1_NoErrorForOtherAddressesThanHosts) {
  const auto silent = [&](const char* destination, DropReason reason) {
    return drops("rules 3, 17: TTL 1 to " + std::string(destination),
                 {.destination = ip(destination), .ttl = 1}, reason);
  };
  verify(
      two(), "a",
      {silent("224.0.0.1", DropReason::destination_multicast),
       silent("239.255.255.250", DropReason::destination_multicast),
       silent("255.255.255.255", DropReason::destination_broadcast),
       silent("10.0.2.255", DropReason::subnet_broadcast), silent("10.0.1.255", DropReason::subnet_broadcast),
       silent("240.0.0.1", DropReason::destination_reserved)});
}

// RFC 1812 4.2.2.9: a packet for us has arrived, whatever its TTL.
TEST_F(TtlChecksumInTheWorker, Rfc1812_4_2_2_9_NothingToUsExpires) {
  for (const std::uint8_t ttl : {std::uint8_t{0}, std::uint8_t{1}, std::uint8_t{2}}) {
    for (const char* own : {"10.0.1.1", "10.0.2.1"}) {
      const std::string what = "rule 4: TTL " + std::to_string(ttl) + " to " + own;
      verify(
          two(), "a",
          {refuses(what + ", UDP", {.destination = ip(own), .ttl = ttl, .payload = udp(1, 2)},
                   DropReason::local_no_port, {.code = 3}),
           drops(what + ", a redirect",
                 {.destination = ip(own), .ttl = ttl, .protocol = 1, .payload = icmp(5, 1, 0, pattern(28))},
                 DropReason::local_icmp_ignored)});
    }
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
