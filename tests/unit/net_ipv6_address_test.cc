#include "net/ipv6_address.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <string>
#include <string_view>
#include <unordered_set>

#include "tests/unit/random.h"

namespace millrace {
namespace {

Ipv6Address address(std::string_view text) {
  const auto parsed = Ipv6Address::parse(text);
  EXPECT_TRUE(parsed) << text;
  return parsed.value_or(Ipv6Address());
}

TEST(Ipv6Address, ParsesEveryFormAndPrintsTheCanonicalOne) {
  const struct {
    std::string_view text;
    std::uint64_t high, low;
    std::string_view printed;
  } table[] = {
      // RFC 4291 §2.2
      {"ABCD:EF01:2345:6789:ABCD:EF01:2345:6789", 0xabcdef0123456789, 0xabcdef0123456789,
       "abcd:ef01:2345:6789:abcd:ef01:2345:6789"},
      {"2001:DB8:0:0:8:800:200C:417A", 0x20010db800000000, 0x00080800200c417a, "2001:db8::8:800:200c:417a"},
      {"2001:DB8::8:800:200C:417A", 0x20010db800000000, 0x00080800200c417a, "2001:db8::8:800:200c:417a"},
      {"FF01:0:0:0:0:0:0:101", 0xff01000000000000, 0x101, "ff01::101"},
      {"FF01::101", 0xff01000000000000, 0x101, "ff01::101"},
      {"0:0:0:0:0:0:0:1", 0, 1, "::1"},
      {"::1", 0, 1, "::1"},
      {"0:0:0:0:0:0:0:0", 0, 0, "::"},
      {"::", 0, 0, "::"},
      {"0:0:0:0:0:0:13.1.68.3", 0, 0x0d014403, "::d01:4403"},
      {"::13.1.68.3", 0, 0x0d014403, "::d01:4403"},
      {"0:0:0:0:0:FFFF:129.144.52.38", 0, 0xffff81903426, "::ffff:129.144.52.38"},
      {"::FFFF:129.144.52.38", 0, 0xffff81903426, "::ffff:129.144.52.38"},
      // RFC 5952 §4.1: no leading zeros
      {"2001:0db8:0000:0001:0010:0100:1000:0001", 0x20010db800000001, 0x0010010010000001,
       "2001:db8:0:1:10:100:1000:1"},
      {"0001::0000", 0x0001000000000000, 0, "1::"},
      // §4.2.1: as short as it gets
      {"2001:db8:0:0:0:0:2:1", 0x20010db800000000, 0x20001, "2001:db8::2:1"},
      {"2001:db8::0:1", 0x20010db800000000, 1, "2001:db8::1"},
      {"::0", 0, 0, "::"},
      {"0::", 0, 0, "::"},
      {"0::0:0", 0, 0, "::"},
      // §4.2.2: not for one group
      {"2001:db8::1:1:1:1:1", 0x20010db800000001, 0x0001000100010001, "2001:db8:0:1:1:1:1:1"},
      {"::2:3:4:5:6:7:8", 0x0000000200030004, 0x0005000600070008, "0:2:3:4:5:6:7:8"},
      {"1:2:3:4:5:6:7::", 0x0001000200030004, 0x0005000600070000, "1:2:3:4:5:6:7:0"},
      {"1:0:3:0:5:0:7:0", 0x0001000000030000, 0x0005000000070000, "1:0:3:0:5:0:7:0"},
      // §4.2.3: the longest run, the first on a tie
      {"2001:0:0:1:0:0:0:1", 0x2001000000000001, 1, "2001:0:0:1::1"},
      {"2001:db8:0:0:1:0:0:1", 0x20010db800000000, 0x0001000000000001, "2001:db8::1:0:0:1"},
      {"0:0:3:4:5:6:0:0", 0x0000000000030004, 0x0005000600000000, "::3:4:5:6:0:0"},
      {"0:2:3:4:5:6:0:0", 0x0000000200030004, 0x0005000600000000, "0:2:3:4:5:6::"},
      {"1::4:0:0:0:8", 0x0001000000000004, 8, "1:0:0:4::8"},
      {"0:0:3:0:0:6:0:0", 0x0000000000030000, 0x0000000600000000, "::3:0:0:6:0:0"},
      // §4.3: lower case
      {"2001:DB8::AbCd:EF", 0x20010db800000000, 0xabcd00ef, "2001:db8::abcd:ef"},
      // §5: a dotted quad for IPv4-mapped addresses and no others
      {"::ffff:c000:201", 0, 0xffffc0000201, "::ffff:192.0.2.1"},
      {"::ffff:0:0", 0, 0xffff00000000, "::ffff:0.0.0.0"},
      {"::ffff:255.255.255.255", 0, 0xffffffffffff, "::ffff:255.255.255.255"},
      {"::fffe:192.0.2.1", 0, 0xfffec0000201, "::fffe:c000:201"},
      {"::1:ffff:192.0.2.1", 0, 0x1ffffc0000201, "::1:ffff:c000:201"},
      {"::ffff:0:192.0.2.1", 0, 0xffff0000c0000201, "::ffff:0:c000:201"},
      {"64:ff9b::192.0.2.33", 0x0064ff9b00000000, 0xc0000221, "64:ff9b::c000:221"},
      {"::255.255.255.255", 0, 0xffffffff, "::ffff:ffff"},
      {"::0.0.0.1", 0, 1, "::1"},
      // where a quad may stand
      {"1:2:3:4:5:6:7.8.9.10", 0x0001000200030004, 0x000500060708090a, "1:2:3:4:5:6:708:90a"},
      {"1:2:3:4:5::7.8.9.10", 0x0001000200030004, 0x000500000708090a, "1:2:3:4:5:0:708:90a"},
      {"1::7.8.9.10", 0x0001000000000000, 0x0708090a, "1::708:90a"},
      {"::2:3:4:5:6:7.8.9.10", 0x0000000200030004, 0x000500060708090a, "0:2:3:4:5:6:708:90a"},
      // and plain ones
      {"fe80::1", 0xfe80000000000000, 1, "fe80::1"},
      {"ff02::1:ff00:0", 0xff02000000000000, 0x1ff000000, "ff02::1:ff00:0"},
      {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 0xffffffffffffffff, 0xffffffffffffffff,
       "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
  };
  for (const auto& c : table) {
    const Ipv6Address parsed = address(c.text);
    EXPECT_EQ(parsed, Ipv6Address(c.high, c.low)) << c.text;
    EXPECT_EQ(parsed.to_string(), c.printed);
    EXPECT_EQ(address(c.printed), parsed);
  }
}

TEST(Ipv6Address, RefusesEverythingElse) {
  for (const std::string_view text :
       {"", " ", ":", ":::", "::::", "1", "1:", ":1", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:", ":2:3:4:5:6:7:8",
        "1:2:3:4:5:6:7:8:", ":1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8:9",
        // "::" once, for one group at least
        "1::2::3", "::1::", "1:::2", ":::1", "1:::", ":1::", "::1:", "1::2:", "1:2:3:4::5:6:7:8",
        "::1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8::", "1:2:3:4:5:6:7:8:9::",
        // four hexadecimal digits at most
        "::00001", "::12345", "::g", "::0x1", "::-1", "::+1", "2001:db8::fffg",
        // quads in the last place, and right ones
        "1.2.3.4", "1.2.3.4::", "1:2.3.4.5::", "::1.2.3.4:5", "1.2.3.4:1:2:3:4:5:6", "1:2:3:4:5:6:7:1.2.3.4",
        "1:2:3:4:5:1.2.3.4", "::2:3:4:5:6:7:1.2.3.4", "1:2:3:4:5:6::1.2.3.4", "::1.2.3", "::1.2.3.4.5",
        "::1.2.3.256", "::1.2.3.04", "::1.2.3.a", "::.1.2.3", "::1.2.3.",
        // zones, brackets, lengths, spaces
        "fe80::1%eth0", "fe80::1%1", "[::1]", "::1/128", " ::1", "::1 ", ":: 1", "1: :2", "::1\n", "1;;2",
        "localhost"}) {
    EXPECT_FALSE(Ipv6Address::parse(text)) << '"' << text << '"';
  }
  EXPECT_FALSE(Ipv6Address::parse(std::string_view("::1\0", 4)));
  // A view that ends where its text goes on is read no further.
  EXPECT_EQ(Ipv6Address::parse(std::string_view("::12").substr(0, 3)), Ipv6Address(0, 1));
  EXPECT_EQ(Ipv6Address::parse(std::string_view("1::2").substr(0, 3)), address("1:0::"));
}

// Groups that are often zero, and often all of one form or another that embeds IPv4.
Ipv6Address random_address(Random& random) {
  Ipv6Address::Bytes bytes{};
  for (std::size_t i = 0; i < bytes.size(); i += 2) {
    if (random.chance(2)) continue;
    bytes[i] = random.chance(3) ? std::uint8_t{0} : static_cast<std::uint8_t>(random.bits());
    bytes[i + 1] = static_cast<std::uint8_t>(random.bits());
  }
  const Ipv6Address any(bytes);
  if (random.chance(16)) return {0, 0xffff00000000 | (any.low() & 0xffffffff)};
  if (random.chance(16)) return {0, any.low() & 0xffffffff};
  return any;
}

TEST(Ipv6Address, AgreesWithTheSystemsFunctions) {
  Random random;
  for (int i = 0; i < 10000 && !HasFailure(); ++i) {
    const Ipv6Address random_one = random_address(random);
    const Ipv6Address::Bytes bytes = random_one.bytes();
    char theirs[INET6_ADDRSTRLEN] = "";
    ASSERT_NE(inet_ntop(AF_INET6, bytes.data(), theirs, sizeof(theirs)), nullptr);
    EXPECT_EQ(Ipv6Address::parse(theirs), random_one) << theirs;

    const std::string ours = random_one.to_string();
    Ipv6Address::Bytes read{};
    ASSERT_EQ(inet_pton(AF_INET6, ours.c_str(), read.data()), 1) << ours;
    EXPECT_EQ(Ipv6Address(read), random_one) << ours;

    // The one difference: glibc shows IPv4-compatible addresses with a quad. They stay hexadecimal here:
    // ::/96 does not tell by itself that IPv4 is embedded (RFC 5952 §5), and is deprecated (RFC 4291
    // §2.5.5.1).
    const bool is_compatible = random_one.high() == 0 && random_one.low() >> 32 == 0;
    if (!is_compatible || std::strchr(theirs, '.') == nullptr) {
      EXPECT_EQ(ours, theirs);
    } else {
      EXPECT_EQ(ours.find('.'), std::string::npos) << ours;
    }
  }
}

TEST(Ipv6Address, RefusesWhatTheSystemsParserRefuses) {
  static constexpr std::string_view kAlphabet = "::::..0012f%g /";
  Random random;
  unsigned accepted = 0;
  for (int i = 0; i < 100000 && !HasFailure(); ++i) {
    std::string text = random_address(random).to_string();
    for (unsigned changes = random.below(3); changes > 0; --changes) {
      const std::size_t at = random.below(text.size() + 1);
      const char c = kAlphabet[random.below(kAlphabet.size())];
      if (random.chance(2)) {
        text.insert(at, 1, c);
      } else {
        text.erase(at, 1);
      }
    }
    Ipv6Address::Bytes theirs{};
    const bool good = inet_pton(AF_INET6, text.c_str(), theirs.data()) == 1;
    const auto ours = Ipv6Address::parse(text);
    ASSERT_EQ(ours.has_value(), good) << '"' << text << '"';
    if (!good) continue;
    ++accepted;
    EXPECT_EQ(*ours, Ipv6Address(theirs)) << text;
  }
  EXPECT_GT(accepted, 10000U);
  EXPECT_LT(accepted, 90000U);
}

TEST(Ipv6Address, HasTheSameValueAsWordsHalvesAndBytes) {
  constexpr Ipv6Address::Bytes kBytes = {0x20, 0x01, 0x0d, 0xb8, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
  constexpr Ipv6Address kAddress(kBytes);
  static_assert(kAddress == Ipv6Address(0x20010db801020304, 0x05060708090a0b0c));
  static_assert(kAddress == Ipv6Address(kAddress.value()));
  static_assert(kAddress.bytes() == kBytes);
  static_assert(kAddress.value() == (Uint128{0x20010db801020304} << 64 | 0x05060708090a0b0c));
  static_assert(kAddress.high() == 0x20010db801020304 && kAddress.low() == 0x05060708090a0b0c);
  const std::array<std::uint8_t, 20> frame = {0xee, 0xee, 0x20, 0x01, 0x0d, 0xb8, 1,  2,  3,    4,
                                              5,    6,    7,    8,    9,    10,   11, 12, 0xee, 0xee};
  EXPECT_EQ(Ipv6Address(std::span(frame).subspan<2, 16>()), kAddress);
}

TEST(Ipv6Address, SortsAsItsBytesDo) {
  EXPECT_LT(address("::ffff:ffff:ffff:ffff"), address("0:0:0:1::"));
  EXPECT_LT(address("7fff::"), address("8000::"));
  EXPECT_LT(address("2001:db8::1"), address("2001:db8::2"));
}

TEST(Ipv6Address, KnowsItsSpecialRangesAtTheirEdges) {
  const struct {
    bool (Ipv6Address::*is)() const;
    std::string_view before, first, last, after;  // empty: there is none
  } table[] = {
      {&Ipv6Address::is_unspecified, "", "::", "::", "::1"},
      {&Ipv6Address::is_unspecified, "", "::", "::", "0:0:0:1::"},
      {&Ipv6Address::is_loopback, "::", "::1", "::1", "::2"},
      {&Ipv6Address::is_loopback, "", "::1", "::1", "0:0:0:1::1"},
      {&Ipv6Address::is_link_local, "fe7f:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
       "fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "fec0::"},
      {&Ipv6Address::is_multicast, "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
       "ff00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", ""},
  };
  for (const auto& c : table) {
    EXPECT_TRUE((address(c.first).*c.is)()) << c.first;
    EXPECT_TRUE((address(c.last).*c.is)()) << c.last;
    if (!c.before.empty()) {
      EXPECT_FALSE((address(c.before).*c.is)()) << c.before;
    }
    if (!c.after.empty()) {
      EXPECT_FALSE((address(c.after).*c.is)()) << c.after;
    }
  }
}

TEST(Ipv6Address, HasASolicitedNodeAddressOfItsLast24Bits) {
  EXPECT_EQ(address("4037::01:800:200e:8c6c").solicited_node(),
            address("ff02::1:ff0e:8c6c"));  // RFC 4291 §2.7.1
  EXPECT_EQ(address("fe80::ffff:ffff:ff00:0").solicited_node(), address("ff02::1:ff00:0"));
  EXPECT_EQ(address("::ffff:ffff").solicited_node(), address("ff02::1:ffff:ffff"));
}

TEST(Ipv6Address, HashesDifferInEitherHalf) {
  std::unordered_set<std::size_t> hashes;
  for (std::uint64_t i = 0; i < 1000; ++i) {
    hashes.insert(std::hash<Ipv6Address>{}({i, 0}));
    hashes.insert(std::hash<Ipv6Address>{}({0x20010db800000000, i}));
  }
  EXPECT_GE(hashes.size(), 1999U);
  std::unordered_set<Ipv6Prefix> prefixes;
  for (unsigned length = 0; length <= 128; ++length) prefixes.emplace(Ipv6Address(), length);
  EXPECT_EQ(prefixes.size(), 129U);
}

TEST(Ipv6Prefix, ParsesWithoutHostBitsAndPrintsCanonically) {
  const struct {
    std::string_view text, printed;
  } table[] = {{"::/0", "::/0"},
               {"8000::/1", "8000::/1"},
               {"2001:DB8:0::/48", "2001:db8::/48"},
               {"2001:db8:0:fffe::/63", "2001:db8:0:fffe::/63"},
               {"2001:db8:0:ffff::/64", "2001:db8:0:ffff::/64"},
               {"2001:db8:0:ffff:8000::/65", "2001:db8:0:ffff:8000::/65"},
               {"fe80::/10", "fe80::/10"},
               {"::ffff:0:0/96", "::ffff:0.0.0.0/96"},
               {"::192.0.2.254/127", "::c000:2fe/127"},
               {"2001:db8::1/128", "2001:db8::1/128"}};
  for (const auto& c : table) {
    const auto parsed = Ipv6Prefix::parse(c.text);
    ASSERT_TRUE(parsed) << c.text;
    EXPECT_EQ(parsed->to_string(), c.printed);
  }
}

TEST(Ipv6Prefix, RefusesHostBitsOnlyWhenStrict) {
  for (const std::string_view text :
       {"::1/0", "4000::/1", "2001:db8:0:1::/63", "2001:db8::1/64", "2001:db8::4000:0:0:0/65", "::1/127"}) {
    EXPECT_FALSE(Ipv6Prefix::parse(text)) << text;
    EXPECT_TRUE(Ipv6Prefix::parse(text, false)) << text;
  }
  EXPECT_EQ(Ipv6Prefix::parse("2001:db8::1/64", false)->to_string(), "2001:db8::/64");
}

TEST(Ipv6Prefix, RefusesWhatIsNoPrefix) {
  for (const std::string_view text :
       {"",      "/",           "/64",       "::",      "::/",           "::/129",   "::/-1",
        "::/+8", "::/064",      "::/64/",    "::/64 ",  ":: /64",        "::/ 64",   "::/64x",
        ":/64",  "2001:db8/32", "::/ffff::", "::%1/64", "::/4294967360", "0.0.0.0/0"}) {
    EXPECT_FALSE(Ipv6Prefix::parse(text)) << '"' << text << '"';
    EXPECT_FALSE(Ipv6Prefix::parse(text, false)) << '"' << text << '"';
    EXPECT_FALSE(Ipv6InterfaceAddress::parse(text)) << '"' << text << '"';
  }
}

TEST(Ipv6Prefix, HasMaskAndEndsAtTheBoundaries) {
  constexpr std::uint64_t kOnes = ~std::uint64_t{0};
  const struct {
    unsigned length;
    std::uint64_t mask_high, mask_low;
    std::string_view first, last;  // around the address of all ones but the last bit
  } table[] = {
      {0, 0, 0, "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
      {1, 0x8000000000000000, 0, "8000::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
      {63, kOnes - 1, 0, "ffff:ffff:ffff:fffe::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
      {64, kOnes, 0, "ffff:ffff:ffff:ffff::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
      {65, kOnes, 0x8000000000000000,
       "ffff:ffff:ffff:ffff:8000::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
      {127, kOnes, kOnes - 1, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe",
       "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
      {128, kOnes, kOnes, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe",
       "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe"},
  };
  for (const auto& c : table) {
    EXPECT_EQ(Ipv6Address(ipv6_mask(c.length)), Ipv6Address(c.mask_high, c.mask_low)) << c.length;
    const Ipv6Prefix prefix(Ipv6Address(kOnes, kOnes - 1), c.length);
    EXPECT_EQ(prefix.address(), address(c.first)) << c.length;
    EXPECT_EQ(prefix.last(), address(c.last)) << c.length;
    EXPECT_EQ(prefix.length(), c.length);
  }
}

TEST(Ipv6Prefix, HasEndsAndContainmentOfEveryLength) {
  const Ipv6Address inside = address("2001:db8:5555:aaaa:5555:aaaa:5555:aaaa");
  for (unsigned length = 0; length <= 128; ++length) {
    const Ipv6Prefix prefix(inside, length);
    EXPECT_TRUE(prefix.contains(inside));
    EXPECT_TRUE(prefix.contains(prefix.address()));
    EXPECT_TRUE(prefix.contains(prefix.last()));
    EXPECT_TRUE(prefix.contains(prefix));
    const Uint128 after = prefix.last().value() + 1;
    const Uint128 before = prefix.address().value() - 1;
    if (length == 0) {
      EXPECT_TRUE(after == 0);
      continue;
    }
    EXPECT_TRUE(after - prefix.address().value() == (Uint128{1} << (128 - length))) << length;
    EXPECT_FALSE(prefix.contains(Ipv6Address(after))) << length;
    EXPECT_FALSE(prefix.contains(Ipv6Address(before))) << length;
    EXPECT_FALSE(prefix.contains(Ipv6Prefix(inside, length - 1))) << length;
    EXPECT_TRUE(Ipv6Prefix(inside, length - 1).contains(prefix)) << length;
  }
}

TEST(Ipv6Prefix, SortsByAddressThenShorterFirst) {
  const auto prefix = [](std::string_view text) { return *Ipv6Prefix::parse(text); };
  EXPECT_LT(prefix("2001:db8::/32"), prefix("2001:db8::/33"));
  EXPECT_LT(prefix("2001:db8::/128"), prefix("2001:db8::1/128"));
  EXPECT_LT(prefix("2001:db7:ffff::/48"), prefix("2001:db8::/32"));
}

TEST(Ipv6InterfaceAddress, KeepsHostBitsAndKnowsItsSubnet) {
  const auto own = Ipv6InterfaceAddress::parse("2001:db8::1/64");
  ASSERT_TRUE(own);
  EXPECT_EQ(own->address, address("2001:db8::1"));
  EXPECT_EQ(own->subnet().to_string(), "2001:db8::/64");
  EXPECT_EQ(own->to_string(), "2001:db8::1/64");
  EXPECT_EQ(Ipv6InterfaceAddress{}.length, 128U);
}

}  // namespace
}  // namespace millrace
