// What a configuration says of routes and neighbours.
#include "tests/unit/config_cases.h"

namespace millrace::config {
namespace {

TEST(ConfigParse, RefusesWrongRoutes) {
  // Behind kTwoInterfaces: its first line is line 4.
  const Wrong table[] = {
      {"routes:\n  - {type: blackhole}", 5, 5, "a route has no 'prefix'", ""},
      {"routes:\n  - {prefix: 10.1.0.0/8, type: blackhole}", 5, 14, "host bits",
       "did you mean '10.0.0.0/8'?"},
      {"routes:\n  - {prefix: 10.0.0.0, type: blackhole}", 5, 14, "a prefix (address/length)",
       "add the length"},
      {"routes:\n  - {prefix: default, type: blackhole}", 5, 14, "a prefix (address/length)",
       "::/0 that of IPv6"},
      {"routes:\n  - {prefix: 10.0.0.0/8}", 5, 5, "needs 'via' or 'type'", "such as"},
      {"routes:\n  - {prefix: 10.0.0.0/8, via: 192.0.2.2, type: blackhole}", 5, 48, "not both", ""},
      {"routes:\n  - {prefix: 10.0.0.0/8, type: drop}", 5, 32, "one of blackhole, unreachable, prohibit", ""},
      {"routes:\n  - {prefix: 10.0.0.0/8, type: unicast}", 5, 32, "one of blackhole", ""},
      {"routes:\n  - {prefix: 10.0.0.0/8, type: blackhole, distance: 0}", 5, 53, "from 1 to 255", ""},
      {"routes:\n  - {prefix: 10.0.0.0/8, type: blackhole, distance: 256}", 5, 53, "from 1 to 255", ""},
      {"routes:\n  - {prefix: 10.0.0.0/8, type: blackhole, metric: 4294967296}", 5, 51, "to 4294967295", ""},
      {"routes:\n  - {prefix: 10.0.0.0/8, via: []}", 5, 31, "via must name a next hop at least", ""},
      {"routes:\n  - {prefix: 10.0.0.0/8, via: {}}", 5, 31, "a next hop has no 'address'", ""},
      {"routes:\n  - {prefix: 10.0.0.0/8, via: {weight: 2}}", 5, 31, "a next hop has no 'address'", ""},
      {"routes:\n  - {prefix: 10.0.0.0/8, via: [[192.0.2.2]]}", 5, 32,
       "a next hop must be an IP address, not a list", ""},
      {"routes:\n  - {prefix: 10.0.0.0/8, via: {address: wan0}}", 5, 41,
       "address must be an IP address, not 'wan0'", ""},
      {"routes:\n  - {prefix: 10.0.0.0/8, via: [{address: 192.0.2.2, weight: 0}]}", 5, 61,
       "weight must be a whole number from 1 to 255, not '0'", ""},
      {"routes:\n  - {prefix: 10.0.0.0/8, via: {address: 192.0.2.2, weight: 256}}", 5, 60,
       "from 1 to 255, not '256'", ""},
      {"routes:\n  - {prefix: 10.0.0.0/8, via: {address: 192.0.2.2, wieght: 2}}", 5, 52,
       "unknown key 'wieght' in a next hop", "did you mean 'weight'?"},
      {"routes:\n  - {prefix: 10.0.0.0/8, via: [192.0.2.2, {address: 192.0.2.2, weight: 2}]}", 5, 53,
       "next hop 192.0.2.2 is in the list already", ""},
      {"routes:\n  - {prefix: 10.0.0.0/8, via: wan0}", 5, 31, "a next hop must be an IP address, not 'wan0'",
       ""},
      {"routes:\n  - {prefix: 10.0.0.0/8, via: 192.0.2.2/24}", 5, 31, "an IP address", "'192.0.2.2'"},
      {"routes:\n  - {prefix: 10.0.0.0/8, via: [192.0.2.2, 192.0.2.2]}", 5, 43, "in the list already", ""},
      {"routes:\n  - {prefix: 10.0.0.0/8, via: 192.0.2.1}", 5, 31,
       "the router's own address on interface 'wan0'", ""},
      {"routes:\n  - {prefix: 10.0.0.0/8, via: 192.0.2.255}", 5, 31, "the broadcast address of 192.0.2.0/24",
       ""},
      {"routes:\n  - {prefix: 10.0.0.0/8, via: 198.51.100.0}", 5, 31,
       "the network address of 198.51.100.0/25", ""},
      {"routes:\n  - {prefix: 10.0.0.0/8, type: blackhole}\n  - {prefix: 10.0.0.0/8, via: 192.0.2.2}", 6, 14,
       "10.0.0.0/8 has a route already, on line 5", "via: [a, b]"},
      {"routes:\n  - {prefix: 10.0.0.0/8, via: 192.0.2.2, weight: 2}", 5, 42,
       "unknown key 'weight' in a route", "known keys: prefix"},
  };
  for (const Wrong& wrong : table) expect_one_problem(wrong, kTwoInterfaces);
}

TEST(ConfigParse, RefusesWrongRoutesOfIpv6) {
  const std::string prefix = "routes:\n  - {prefix: \"2001:db8:9::/48\", ";
  const std::string mapping = prefix + "via: {address: \"fe80::1\", interface: ";
  const struct {
    std::string text;
    int line, column;
    std::string_view message, hint;
  } table[] = {
      {"routes:\n  - {prefix: \"2001:db8::1/32\", type: blackhole}", 5, 14, "host bits", "'2001:db8::/32'"},
      {"routes:\n  - {prefix: \"2001:db8::\", type: blackhole}", 5, 14, "a prefix",
       "2001:db8::/128 is this address alone"},
      {"routes:\n  - {prefix: \"fe80::/64\", type: blackhole}", 5, 14,
       "fe80::/64 is link-local: nothing is routed to it", ""},
      {"routes:\n  - {prefix: \"ff0e::/16\", type: blackhole}", 5, 14,
       "ff0e::/16 is multicast: nothing is routed to it", ""},
      {prefix + "via: 192.0.2.2}", 5, 38, "IPv6 cannot go by the IPv4 next hop 192.0.2.2", ""},
      {prefix + "via: \"fe80::1\"}", 5, 38, "next hop fe80::1 is link-local: it needs an interface", ""},
      {"routes:\n  - {prefix: 10.0.0.0/8, via: \"fe80::1\"}", 5, 31, "it needs an interface", ""},
      {prefix + "via: \"fe80::1%wan0\"}", 5, 38, "a next hop must be an IP address, not 'fe80::1%wan0'",
       "with the key 'interface'"},
      {mapping + "wna0}}", 5, 70, "there is no interface 'wna0'", "did you mean 'wan0'?"},
      {mapping + "1}}", 5, 70, "interface must be an interface's name", ""},
      {mapping + "lan0}}", 5, 48, "interface 'lan0' does not speak IPv6: its mtu is below 1280", ""},
      {prefix + "via: {address: \"2001:db8:0:1::2\", interface: lan0}}", 5, 48,
       "2001:db8:0:1::2 is not in a subnet of interface 'lan0'", "'wan0'"},
      {prefix + "via: \"2001:db8:0:1::1\"}", 5, 38, "the router's own address on interface 'wan0'", ""},
      {prefix + "via: \"2001:db8:0:1::\"}", 5, 38, "the router anycast address of 2001:db8:0:1::/64", ""},
      {prefix + "via: [\"2001:db8:0:1::2\", \"2001:DB8:0:1::2\"]}", 5, 58, "in the list already", ""},
      {prefix + "type: blackhole}\n  - {prefix: \"2001:DB8:9::/48\", type: prohibit}", 6, 14,
       "2001:db8:9::/48 has a route already, on line 5", "via: [a, b]"},
  };
  for (const auto& c : table)
    expect_one_problem({c.text, c.line, c.column, c.message, c.hint}, kTwoInterfaces);
}

TEST(ConfigParse, ANextHopMayNameItsInterface) {
  const auto result =
      parse_text(std::string(kTwoInterfaces) +
                 "  opt0: { device: net_null }\n"
                 "routes:\n"
                 "  - prefix: \"2001:db8:9::/48\"\n"
                 "    via: [{address: \"fe80::1\", interface: wan0, weight: 3}, {address: \"fe80::1\", "
                 "interface: opt0},\n"
                 "          \"2001:db8:0:1::2\"]\n"
                 "  - {prefix: 10.0.0.0/8, via: {address: \"fe80::2\", interface: opt0}}\n");  // RFC 8950
  ASSERT_TRUE(result.ok()) << listing(result.problems);
  using Via = std::vector<NextHop>;
  const Ipv6Address router = *Ipv6Address::parse("fe80::1");
  EXPECT_EQ(result.config.routes.ipv6.at(*Ipv6Prefix::parse("2001:db8:9::/48")).via,
            (Via{{*Ipv6Address::parse("2001:db8:0:1::2")}, {router, "opt0"}, {router, "wan0", 3}}));
  EXPECT_EQ(result.config.routes.ipv4.at({Ipv4Address(10, 0, 0, 0), 8}).via,
            (Via{{*Ipv6Address::parse("fe80::2"), "opt0"}}));
}

TEST(ConfigParse, NextHopsMayHaveWeights) {
  const auto result = parse_text(
      std::string(kTwoInterfaces) +
      "routes:\n"
      "  - {prefix: 10.0.0.0/8, via: [192.0.2.4, {address: 192.0.2.3, weight: 255}, {address: 192.0.2.2}]}\n"
      "  - {prefix: 11.0.0.0/8, via: {address: 192.0.2.2, weight: 7}}\n");
  ASSERT_TRUE(result.ok()) << listing(result.problems);
  using Via = std::vector<NextHop>;
  const auto at = [](unsigned last) { return Ipv4Address(192, 0, 2, last); };
  EXPECT_EQ(result.config.routes.ipv4.at({Ipv4Address(10, 0, 0, 0), 8}).via,
            (Via{{at(2), 1}, {at(3), 255}, {at(4), 1}}));
  EXPECT_EQ(result.config.routes.ipv4.at({Ipv4Address(11, 0, 0, 0), 8}).via, (Via{{at(2), 7}}));
}

TEST(ConfigParse, RoutesOfOnePrefixAreByRisingDistance) {
  const auto result = parse_text(std::string(kTwoInterfaces) +
                                 "routes:\n"
                                 "  - {prefix: 10.0.0.0/8, via: 192.0.2.3, distance: 200}\n"
                                 "  - {prefix: 10.0.0.0/8, type: blackhole, distance: 255}\n"
                                 "  - {prefix: 10.0.0.0/8, via: 192.0.2.2}\n"
                                 "  - {prefix: 10.0.0.0/8, via: 192.0.2.4, distance: 20, metric: 7}\n");
  ASSERT_TRUE(result.ok()) << listing(result.problems);
  const auto by = [](unsigned last, unsigned distance, unsigned metric) {
    return RouteConfig{RouteType::unicast, {Ipv4Address(192, 0, 2, last)}, distance, metric, {}};
  };
  RouteConfig expected = by(2, 1, 0);
  expected.floating = {by(4, 20, 7), by(3, 200, 0), {RouteType::blackhole, {}, 255, 0, {}}};
  EXPECT_EQ(result.config.routes.ipv4.at({Ipv4Address(10, 0, 0, 0), 8}), expected);
}

TEST(ConfigParse, ARouteHasUpTo128NextHops) {
  std::string route = "routes:\n  - prefix: 10.0.0.0/8\n    via:\n";
  for (int i = 2; i < 130; ++i) route += "      - 192.0.2." + std::to_string(i) + "\n";
  ASSERT_TRUE(parse_text(std::string(kTwoInterfaces) + route).ok());
  route += "      - 192.0.2.130\n";
  expect_one_problem({route, 135, 9, "a route has at most 128 next hops", ""}, kTwoInterfaces);
}

TEST(ConfigParse, RefusesWrongNeighbours) {
  const std::string ok = ", mac: \"02:00:00:00:00:fe\", interface: wan0}";
  const std::string outside = "neighbors:\n  - {address: 203.0.113.1" + ok;
  const std::string elsewhere = "neighbors:\n  - {address: 198.51.100.2" + ok;
  const std::string own = "neighbors:\n  - {address: 192.0.2.1" + ok;
  const std::string broadcast = "neighbors:\n  - {address: 192.0.2.255" + ok;
  const std::string name = "neighbors:\n  - {address: gateway" + ok;
  const std::string outside6 = "neighbors:\n  - {address: \"2001:db8:0:2::1\"" + ok;
  const std::string own6 = "neighbors:\n  - {address: \"2001:db8:0:1::1\"" + ok;
  const std::string anycast6 = "neighbors:\n  - {address: \"2001:db8:0:1::\"" + ok;
  const std::string twice6 =
      "neighbors:\n  - {address: \"fe80::1\"" + ok + "\n  - {address: \"fe80::1\"" + ok;
  const std::string twice = "neighbors:\n  - {address: 192.0.2.2" + ok + "\n  - {address: 192.0.2.2" + ok;
  const Wrong table[] = {
      {"neighbors:\n  - {address: 192.0.2.2, mac: \"02:00:00:00:00:fe\"}", 5, 5,
       "a neighbour has no 'interface'", ""},
      {"neighbors:\n  - {address: 192.0.2.2, interface: wan0}", 5, 5, "a neighbour has no 'mac'", ""},
      {"neighbors:\n  - {mac: \"02:00:00:00:00:fe\", interface: wan0}", 5, 5, "a neighbour has no 'address'",
       ""},
      {"neighbors:\n  - {address: 192.0.2.2, mac: 02-00-00-00-00-fe, interface: wan0}", 5, 31,
       "a MAC address", "did you mean '02:00:00:00:00:fe'?"},
      {"neighbors:\n  - {address: 192.0.2.2, mac: 0200.0000.00fe, interface: wan0}", 5, 31, "a MAC address",
       "such as"},
      {"neighbors:\n  - {address: 192.0.2.2, mac: \"01:00:5e:00:00:01\", interface: wan0}", 5, 31,
       "multicast", ""},
      {"neighbors:\n  - {address: 192.0.2.2, mac: \"ff:ff:ff:ff:ff:ff\", interface: wan0}", 5, 31,
       "broadcast", ""},
      {"neighbors:\n  - {address: 192.0.2.2, mac: \"00:00:00:00:00:00\", interface: wan0}", 5, 31,
       "all zeros", ""},
      {"neighbors:\n  - {address: 192.0.2.2, mac: \"02:00:00:00:00:fe\", interface: wna0}", 5, 63,
       "there is no interface 'wna0'", "did you mean 'wan0'?"},
      {"neighbors:\n  - {address: 192.0.2.2, mac: \"02:00:00:00:00:fe\", interface: 0}", 5, 63,
       "interface must be an interface's name", ""},
      {outside, 5, 15, "203.0.113.1 is not in a subnet of interface 'wan0'", ""},
      {elsewhere, 5, 15, "198.51.100.2 is not in a subnet of interface 'wan0'", "'lan0'"},
      {own, 5, 15, "the router's own address", ""},
      {broadcast, 5, 15, "the broadcast address", ""},
      {name, 5, 15, "address must be an IP address, not 'gateway'", ""},
      {outside6, 5, 15, "2001:db8:0:2::1 is not in a subnet of interface 'wan0'", ""},
      {own6, 5, 15, "the router's own address", ""},
      {anycast6, 5, 15, "the router anycast address", ""},
      {twice6, 6, 15, "fe80::1 has an entry on 'wan0' already, on line 5", ""},
      {twice, 6, 15, "192.0.2.2 has an entry on 'wan0' already, on line 5", ""},
  };
  for (const Wrong& wrong : table) expect_one_problem(wrong, kTwoInterfaces);
}

}  // namespace
}  // namespace millrace::config
