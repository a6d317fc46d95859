#include "net/ip_address.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace millrace {
namespace {

TEST(IpAddress, IsOfTheFamilyThatItWasMadeOf) {
  const IpAddress ipv4(Ipv4Address(192, 0, 2, 1)), ipv6(*Ipv6Address::parse("2001:db8::1"));
  EXPECT_TRUE(ipv4.is<Ipv4Address>());
  EXPECT_FALSE(ipv4.is_ipv6());
  EXPECT_TRUE(ipv6.is<Ipv6Address>());
  EXPECT_EQ(ipv4.as<Ipv4Address>(), Ipv4Address(192, 0, 2, 1));
  EXPECT_EQ(ipv6.as<Ipv6Address>().to_string(), "2001:db8::1");
  EXPECT_TRUE(ipv6.visit([](auto address) { return std::is_same_v<decltype(address), Ipv6Address>; }));
}

TEST(IpAddress, ReadsAndWritesBothFamilies) {
  for (const char* text : {"0.0.0.0", "192.0.2.1", "::", "2001:db8::1", "fe80::1", "::ffff:192.0.2.1"}) {
    const auto address = IpAddress::parse(text);
    ASSERT_TRUE(address) << text;
    EXPECT_EQ(address->to_string(), text);
  }
  for (const char* text : {"", "192.0.2", "192.0.2.256", "2001:db8::1::", "fe80::1%eth0", "host"}) {
    EXPECT_FALSE(IpAddress::parse(text)) << text;
  }
}

// An IPv4 address never equals the IPv6 one of the same bits, and comes before all of them.
TEST(IpAddress, OrdersIpv4BeforeIpv6) {
  std::vector<IpAddress> all;
  for (const char* text : {"::", "255.255.255.255", "::1", "0.0.0.0", "2001:db8::1", "10.0.0.1"})
    all.push_back(*IpAddress::parse(text));
  EXPECT_NE(all[0], all[3]);
  EXPECT_NE(all[0].hash(), all[3].hash());
  std::ranges::sort(all);
  std::vector<std::string> texts;
  for (const auto& address : all) texts.push_back(address.to_string());
  EXPECT_EQ(texts,
            (std::vector<std::string>{"0.0.0.0", "10.0.0.1", "255.255.255.255", "::", "::1", "2001:db8::1"}));
}

}  // namespace
}  // namespace millrace
