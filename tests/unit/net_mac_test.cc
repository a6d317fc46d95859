#include "net/mac.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string_view>

#include "net/byte_order.h"

namespace millrace {
namespace {

TEST(MacAddress, ParsesSixPairsAndPrintsThemInLowerCase) {
  const struct {
    std::string_view text, printed;
  } table[] = {{"02:00:00:00:00:fe", "02:00:00:00:00:fe"},
               {"AA:bB:Cc:0D:E0:0f", "aa:bb:cc:0d:e0:0f"},
               {"00:00:00:00:00:00", "00:00:00:00:00:00"},
               {"ff:ff:ff:ff:ff:ff", "ff:ff:ff:ff:ff:ff"}};
  for (const auto& c : table) {
    const auto parsed = MacAddress::parse(c.text);
    ASSERT_TRUE(parsed) << c.text;
    EXPECT_EQ(parsed->to_string(), c.printed);
  }
}

TEST(MacAddress, RefusesEverythingElse) {
  for (const std::string_view text :
       {"", "02:00:00:00:00", "02:00:00:00:00:f", "02:00:00:00:00:fe:", "02-00-00-00-00-fe", "0200.0000.00fe",
        "02:00:00:00:00:fg", "02:00:00:00:0:0fe", "0x:00:00:00:00:fe", "-2:00:00:00:00:fe",
        "+2:00:00:00:00:fe", " 2:00:00:00:00:fe", "02:00:00:00:00fe:", "2:0:0:0:0:fe",
        "02:00:00:00:00:fe "}) {
    EXPECT_FALSE(MacAddress::parse(text)) << '"' << text << '"';
  }
}

TEST(MacAddress, KnowsGroupZeroAndBroadcast) {
  EXPECT_FALSE(MacAddress::parse("02:00:00:00:00:01")->is_group());
  EXPECT_TRUE(MacAddress::parse("01:00:5e:00:00:01")->is_group());
  EXPECT_FALSE(MacAddress::parse("01:00:5e:00:00:01")->is_broadcast());
  EXPECT_TRUE(MacAddress::parse("ff:ff:ff:ff:ff:ff")->is_group());
  EXPECT_TRUE(MacAddress::parse("ff:ff:ff:ff:ff:ff")->is_broadcast());
  EXPECT_TRUE(MacAddress{}.is_zero());
  EXPECT_FALSE(MacAddress::parse("00:00:00:00:00:01")->is_zero());
}

TEST(MacAddress, AsU48IsWhatALoadOfTheFrameGives) {
  const MacAddress mac = *MacAddress::parse("02:11:22:33:44:fe");
  std::uint64_t loaded = 0;
  std::memcpy(&loaded, mac.bytes.data(), 6);
  EXPECT_EQ(mac.as_u48(), loaded);
}

TEST(BigEndian, HoldsWireOrderAndGivesHostOrder) {
  const Be16 port(0x1234);
  const Be32 address(0x01020304);
  std::uint8_t bytes[4];
  std::memcpy(bytes, &port, 2);
  EXPECT_EQ(bytes[0], 0x12);
  EXPECT_EQ(bytes[1], 0x34);
  std::memcpy(bytes, &address, 4);
  EXPECT_EQ(bytes[0], 1);
  EXPECT_EQ(bytes[3], 4);
  EXPECT_EQ(port.host(), 0x1234);
  EXPECT_EQ(port.wire(), 0x3412);
  EXPECT_EQ(address.host(), 0x01020304U);
  EXPECT_EQ(Be32::from_wire(address.wire()), address);
  EXPECT_EQ((BigEndian<std::uint64_t>(0x0102030405060708).wire()), 0x0807060504030201U);
  EXPECT_EQ(Be16(), Be16(0));
  static_assert(!std::is_convertible_v<Be16, std::uint16_t> && !std::is_convertible_v<std::uint16_t, Be16>,
                "no silent change of byte order");
}

}  // namespace
}  // namespace millrace
