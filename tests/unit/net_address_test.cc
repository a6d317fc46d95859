#include "net/address.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

namespace millrace {
namespace {

TEST(Ipv4Address, ParsesDottedQuadsAndPrintsThemBack) {
  const struct {
    std::string_view text;
    std::uint32_t value;
  } table[] = {{"0.0.0.0", 0},
               {"0.0.0.1", 1},
               {"192.0.2.1", 0xc0000201},
               {"127.0.0.1", 0x7f000001},
               {"10.20.30.40", 0x0a141e28},
               {"255.255.255.255", 0xffffffff}};
  for (const auto& c : table) {
    const auto parsed = Ipv4Address::parse(c.text);
    ASSERT_TRUE(parsed) << c.text;
    EXPECT_EQ(parsed->value(), c.value);
    EXPECT_EQ(parsed->to_string(), c.text);
    EXPECT_EQ(Ipv4Address(parsed->wire()), *parsed);
  }
}

TEST(Ipv4Address, RefusesEverythingElse) {
  for (const std::string_view text : {"",
                                      " ",
                                      "1",
                                      "1.2.3",
                                      "1.2.3.",
                                      "1.2.3.4.",
                                      "1.2.3.4.5",
                                      ".1.2.3.4",
                                      "1..2.3",
                                      "1.2.3.256",
                                      "256.2.3.4",
                                      "01.2.3.4",
                                      "1.2.3.00",
                                      "1.2.3.04",
                                      "1.2.3.-4",
                                      "1.2.3.+4",
                                      " 1.2.3.4",
                                      "1.2.3.4 ",
                                      "1.2.3. 4",
                                      "1.2.3.4/32",
                                      "0x1.2.3.4",
                                      "a.b.c.d",
                                      "1,2,3,4",
                                      "1.2.3.4\n",
                                      "99999999999.1.1.1",
                                      "1.2.3.4294967297",
                                      "::1",
                                      "localhost"}) {
    EXPECT_FALSE(Ipv4Address::parse(text)) << '"' << text << '"';
  }
  EXPECT_FALSE(Ipv4Address::parse(std::string_view("1.2.3.4\0", 8)));
  // A view that ends where its text goes on is read no further.
  EXPECT_EQ(Ipv4Address::parse(std::string_view("1.2.3.45").substr(0, 7)), Ipv4Address(1, 2, 3, 4));
}

// Rule 10.
TEST(Ipv4Address, KnowsItsSpecialRangesAtTheirEdges) {
  const auto address = [](std::string_view text) { return *Ipv4Address::parse(text); };
  const struct {
    bool (Ipv4Address::*is)() const;
    std::string_view before, first, last, after;  // empty: there is none
  } table[] = {
      {&Ipv4Address::is_this_network, "", "0.0.0.0", "0.255.255.255", "1.0.0.0"},
      {&Ipv4Address::is_loopback, "126.255.255.255", "127.0.0.0", "127.255.255.255", "128.0.0.0"},
      {&Ipv4Address::is_link_local, "169.253.255.255", "169.254.0.0", "169.254.255.255", "169.255.0.0"},
      {&Ipv4Address::is_multicast, "223.255.255.255", "224.0.0.0", "239.255.255.255", "240.0.0.0"},
      {&Ipv4Address::is_class_e, "239.255.255.255", "240.0.0.0", "255.255.255.255", ""},
      {&Ipv4Address::is_broadcast, "255.255.255.254", "255.255.255.255", "255.255.255.255", ""},
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

TEST(Ipv4Prefix, ParsesWithoutHostBitsAndPrintsBack) {
  for (const std::string_view text : {"0.0.0.0/0", "128.0.0.0/1", "10.0.0.0/8", "192.0.2.0/24",
                                      "192.0.2.254/31", "192.0.2.1/32", "255.255.255.255/32"}) {
    const auto parsed = Ipv4Prefix::parse(text);
    ASSERT_TRUE(parsed) << text;
    EXPECT_EQ(parsed->to_string(), text);
  }
}

TEST(Ipv4Prefix, RefusesHostBitsOnlyWhenStrict) {
  for (const std::string_view text : {"192.0.2.1/24", "0.0.0.1/0", "10.0.0.0/6", "192.0.2.1/31"}) {
    EXPECT_FALSE(Ipv4Prefix::parse(text)) << text;
    EXPECT_TRUE(Ipv4Prefix::parse(text, false)) << text;
  }
  EXPECT_EQ(Ipv4Prefix::parse("192.0.2.1/24", false)->to_string(), "192.0.2.0/24");
}

TEST(Ipv4Prefix, RefusesWhatIsNoPrefix) {
  for (const std::string_view text :
       {"", "/", "/24", "192.0.2.0", "192.0.2.0/", "192.0.2.0/33", "192.0.2.0/-1", "192.0.2.0/+8",
        "192.0.2.0/024", "192.0.2.0/24/", "192.0.2.0/24 ", "192.0.2.0 /24", "192.0.2.0/ 24", "192.0.2.0/24x",
        "192.0.2/24", "192.0.2.0/255.255.255.0", "192.0.2.0/4294967320", "::/0"}) {
    EXPECT_FALSE(Ipv4Prefix::parse(text)) << '"' << text << '"';
    EXPECT_FALSE(Ipv4Prefix::parse(text, false)) << '"' << text << '"';
    EXPECT_FALSE(Ipv4InterfaceAddress::parse(text)) << '"' << text << '"';
  }
}

TEST(Ipv4Prefix, HasMaskEndsAndContainmentOfEveryLength) {
  EXPECT_EQ(ipv4_mask(0), 0U);
  EXPECT_EQ(ipv4_mask(1), 0x80000000U);
  EXPECT_EQ(ipv4_mask(32), 0xffffffffU);
  const Ipv4Address inside(203, 0, 113, 77);
  for (unsigned length = 0; length <= 32; ++length) {
    const Ipv4Prefix prefix(inside, length);
    EXPECT_TRUE(prefix.contains(inside));
    EXPECT_TRUE(prefix.contains(prefix.address()));
    EXPECT_TRUE(prefix.contains(prefix.last()));
    EXPECT_TRUE(prefix.contains(prefix));
    EXPECT_EQ(std::uint64_t{prefix.last().value()} - prefix.address().value() + 1,
              std::uint64_t{1} << (32 - length));
    if (length == 0) continue;
    EXPECT_FALSE(prefix.contains(Ipv4Address(prefix.last().value() + 1)));
    EXPECT_FALSE(prefix.contains(Ipv4Address(prefix.address().value() - 1)));
    EXPECT_FALSE(prefix.contains(Ipv4Prefix(inside, length - 1)));
    EXPECT_TRUE(Ipv4Prefix(inside, length - 1).contains(prefix));
  }
}

TEST(Ipv4Prefix, SortsByAddressThenShorterFirst) {
  const auto prefix = [](std::string_view text) { return *Ipv4Prefix::parse(text); };
  EXPECT_LT(prefix("10.0.0.0/8"), prefix("10.0.0.0/9"));
  EXPECT_LT(prefix("10.0.0.0/32"), prefix("10.0.0.1/32"));
  EXPECT_LT(prefix("9.255.255.255/32"), prefix("10.0.0.0/8"));
}

TEST(Ipv4InterfaceAddress, KeepsHostBitsAndKnowsItsSubnet) {
  const auto own = Ipv4InterfaceAddress::parse("192.0.2.1/24");
  ASSERT_TRUE(own);
  EXPECT_EQ(own->address, Ipv4Address(192, 0, 2, 1));
  EXPECT_EQ(own->subnet().to_string(), "192.0.2.0/24");
  EXPECT_TRUE(own->has_broadcast());
  EXPECT_EQ(own->broadcast(), Ipv4Address(192, 0, 2, 255));
  EXPECT_EQ(own->to_string(), "192.0.2.1/24");
  EXPECT_FALSE(Ipv4InterfaceAddress::parse("192.0.2.0/31")->has_broadcast());  // RFC 3021
  EXPECT_FALSE(Ipv4InterfaceAddress::parse("192.0.2.0/32")->has_broadcast());
}

}  // namespace
}  // namespace millrace
