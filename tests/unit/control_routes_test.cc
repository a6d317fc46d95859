// Which prefixes a configuration puts into the FIBs, of either family.
#include <gtest/gtest.h>

#include <map>
#include <string>

#include "tests/unit/api_fixture.h"

namespace millrace::controlplane {
namespace {

using nlohmann::json;
using Fib = std::map<std::string, std::string>;  // prefix to "kind detail"

class ControlRoutesTest : public ApiFixture {
 protected:
  // The FIBs of this configuration.
  Fib fib(const std::string& text) {
    const auto parsed = config::parse(text, "test.yaml");
    for (const auto& p : parsed.problems) ADD_FAILURE() << p.to_string();
    const auto applied = control_->apply(parsed.config);
    EXPECT_TRUE(applied) << (applied ? "" : applied.error());
    return fib();
  }
  Fib fib() {
    Fib entries;
    const json listing = get_ok("/v1/fib?limit=10000");
    for (const json& entry : listing["entries"]) {
      const std::string detail = entry["detail"];
      entries[entry["prefix"]] = entry["kind"].get<std::string>() + (detail.empty() ? "" : " " + detail);
    }
    return entries;
  }
  static std::string interface(const std::string& addresses) {
    return "interfaces: {a: {device: net_null, addresses: [" + addresses + "]}}\n";
  }
  static std::string neighbor(const std::string& address) {
    return "neighbors: [{address: \"" + address + "\", mac: \"02:00:00:00:00:02\", interface: a}]\n";
  }
};

TEST_F(ControlRoutesTest, ConnectedSubnetsAreWhatTheirLengthsSay) {
  EXPECT_EQ(fib(interface("192.0.2.1/24")), (Fib{{"192.0.2.0/24", "glean a"},
                                                 {"192.0.2.0/32", "drop subnet_broadcast"},
                                                 {"192.0.2.1/32", "local"},
                                                 {"192.0.2.255/32", "drop subnet_broadcast"}}));
  EXPECT_EQ(fib(interface("192.0.2.0/31")), (Fib{{"192.0.2.0/31", "glean a"}, {"192.0.2.0/32", "local"}}));
  EXPECT_EQ(fib(interface("192.0.2.0/32")), (Fib{{"192.0.2.0/32", "local"}}));
  // RFC 4291 2.6.1: the first address is the anycast one of all routers on the link.
  EXPECT_EQ(fib(interface("\"2001:db8::1/64\"")),
            (Fib{{"2001:db8::/64", "glean a"}, {"2001:db8::/128", "local"}, {"2001:db8::1/128", "local"}}));
  EXPECT_EQ(fib(interface("\"2001:db8::2/126\"")),
            (Fib{{"2001:db8::/126", "glean a"}, {"2001:db8::/128", "local"}, {"2001:db8::2/128", "local"}}));
  EXPECT_EQ(fib(interface("\"2001:db8::/127\"")),  // RFC 6164
            (Fib{{"2001:db8::/127", "glean a"}, {"2001:db8::/128", "local"}}));
  EXPECT_EQ(fib(interface("\"2001:db8::/128\"")), (Fib{{"2001:db8::/128", "local"}}));
  EXPECT_EQ(fib(interface("")), Fib{}) << "the link-local address is on every interface, and in no FIB";
}

TEST_F(ControlRoutesTest, ANeighbourIsAHostRouteBelowItsSubnet) {
  for (const auto& [own, host, subnet] :
       {std::tuple("192.0.2.1/24", "192.0.2.2", "192.0.2.0/30"),
        std::tuple("\"2001:db8::1/64\"", "2001:db8::2", "2001:db8::/126")}) {
    const std::string prefix = to_string(*parse_prefix(std::string(host) + (own[0] == '1' ? "/32" : "/128")));
    EXPECT_EQ(fib(interface(own) + neighbor(host)).at(prefix), "forward via " + std::string(host) + " a");
    // A route inside the subnet wins over who is heard on the link.
    batch(std::string(subnet) + " blackhole\n");
    EXPECT_FALSE(fib().contains(prefix));
    batch("del " + std::string(subnet) + "\n");
    EXPECT_TRUE(fib().contains(prefix));
  }
}

TEST_F(ControlRoutesTest, ALinkLocalNeighbourHasNoHostRoute) {
  const Fib without = fib(interface("\"2001:db8::1/64\""));
  EXPECT_EQ(fib(interface("\"2001:db8::1/64\"") + neighbor("fe80::2")), without);
  EXPECT_EQ(get_ok("/v1/neighbors")["neighbors"][0]["address"], "fe80::2");
}

TEST_F(ControlRoutesTest, StaticRoutesOfBothFamiliesFollowTheConfiguration) {
  const std::string before =
      interface("192.0.2.1/24, \"2001:db8::1/64\"") + neighbor("fe80::2") +
      "routes: [{prefix: 10.0.0.0/8, via: {address: \"fe80::2\", interface: a}},\n"
      "         {prefix: \"2001:db8:1::/48\", via: {address: \"fe80::2\", interface: a}},\n"
      "         {prefix: \"2001:db8:2::/48\", type: prohibit}]\n";
  Fib entries = fib(before);
  EXPECT_EQ(entries["10.0.0.0/8"], "forward via fe80::2 a");  // RFC 8950
  EXPECT_EQ(entries["2001:db8:1::/48"], "forward via fe80::2 a");
  EXPECT_EQ(entries["2001:db8:2::/48"], "drop route_prohibit");
  const json lookup = get_ok("/v1/fib/lookup?address=2001:db8:1::1");
  EXPECT_EQ(lookup["explanation"],
            "2001:db8:1::1 is reached by 2001:db8:1::/48 (static), sent to fe80::2 on a (02:00:00:00:00:02)");
  entries = fib(interface("192.0.2.1/24, \"2001:db8::1/64\"") +
                "routes: [{prefix: \"2001:db8:1::/48\", type: blackhole},\n"
                "         {prefix: \"2001:db8:3::/48\", via: \"2001:db8::7\"}]\n");
  EXPECT_FALSE(entries.contains("10.0.0.0/8"));
  EXPECT_EQ(entries["2001:db8:1::/48"], "drop route_blackhole");
  EXPECT_FALSE(entries.contains("2001:db8:2::/48"));
  EXPECT_EQ(entries["2001:db8:3::/48"], "forward via 2001:db8::7 a");
}

}  // namespace
}  // namespace millrace::controlplane
