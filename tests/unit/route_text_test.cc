#include "controlplane/route_text.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

namespace millrace::controlplane {
namespace {

using config::RouteType;
using nlohmann::json;

// What was understood, in one line; "error: ..." if nothing was.
std::string in_words(const Result<RouteRequest>& parsed) {
  if (!parsed) return "error: " + parsed.error();
  static constexpr const char* kTypes[] = {"unicast", "blackhole", "unreachable", "prohibit"};
  std::string text = std::string(parsed->remove ? "del " : "add ") + to_string(parsed->prefix);
  if (parsed->remove) return text;
  text += std::string(" ") + kTypes[static_cast<std::size_t>(parsed->route.type)];
  for (const config::NextHop& hop : parsed->route.via) text += " " + hop.to_string();
  if (parsed->route.distance != 1) text += " distance " + std::to_string(parsed->route.distance);
  if (parsed->route.metric != 0) text += " metric " + std::to_string(parsed->route.metric);
  if (!parsed->owner.empty()) text += " owner " + parsed->owner;
  return text;
}

TEST(RouteLine, IsUnderstoodOrRefusedInWords) {
  const struct {
    std::string line, expected;
  } table[] = {
      {"10.0.0.0/8 via 192.0.2.1", "add 10.0.0.0/8 unicast 192.0.2.1"},
      {"  10.0.0.0/8 \t via   192.0.2.1 \r", "add 10.0.0.0/8 unicast 192.0.2.1"},
      {"0.0.0.0/0 via 192.0.2.2 192.0.2.1 192.0.2.2", "add 0.0.0.0/0 unicast 192.0.2.1 192.0.2.2"},
      {"10.0.0.0/8 blackhole", "add 10.0.0.0/8 blackhole"},
      {"10.0.0.0/8 unreachable", "add 10.0.0.0/8 unreachable"},
      {"192.0.2.1/32 prohibit", "add 192.0.2.1/32 prohibit"},
      {"del 10.0.0.0/8", "del 10.0.0.0/8"},
      {"del 10.0.0.0/8 via 192.0.2.1", "error: unexpected \"via\" after the prefix"},
      {"del", "error: \"\" is not a prefix such as 203.0.113.0/24 or 2001:db8::/32"},
      {"10.0.0.1/8 via 192.0.2.1", "error: \"10.0.0.1/8\" has host bits set (did you mean 10.0.0.0/8?)"},
      {"10.0.0.0 via 192.0.2.1",
       "error: \"10.0.0.0\" is not a prefix such as 203.0.113.0/24 or 2001:db8::/32"},
      {"10.0.0.0/33 blackhole",
       "error: \"10.0.0.0/33\" is not a prefix such as 203.0.113.0/24 or 2001:db8::/32"},
      {"10.0.0.0/8",
       "error: expected \"via\", \"blackhole\", \"unreachable\" or \"prohibit\" after the prefix"},
      {"10.0.0.0/8 unicast",
       "error: expected \"via\", \"blackhole\", \"unreachable\" or \"prohibit\" after the prefix"},
      {"10.0.0.0/8 192.0.2.1",
       "error: expected \"via\", \"blackhole\", \"unreachable\" or \"prohibit\" after the prefix"},
      {"10.0.0.0/8 VIA 192.0.2.1",
       "error: expected \"via\", \"blackhole\", \"unreachable\" or \"prohibit\" after the prefix"},
      {"10.0.0.0/8 via", "error: no next hop after \"via\""},
      {"10.0.0.0/8 via wan0", "error: \"wan0\" is not an IP address"},
      {"10.0.0.0/8 via 192.0.2.2 weight 3 192.0.2.1", "add 10.0.0.0/8 unicast 192.0.2.1 192.0.2.2 weight 3"},
      {"10.0.0.0/8 via 192.0.2.1 weight 255 192.0.2.2 weight 1\r",
       "add 10.0.0.0/8 unicast 192.0.2.1 weight 255 192.0.2.2"},
      {"10.0.0.0/8 via 192.0.2.1 weight 2 192.0.2.1 weight 2", "add 10.0.0.0/8 unicast 192.0.2.1 weight 2"},
      {"10.0.0.0/8 via 192.0.2.1 weight 2 192.0.2.1", "error: next hop 192.0.2.1 has two weights"},
      {"10.0.0.0/8 via weight 2", "error: \"weight\" is not an IP address"},
      {"10.0.0.0/8 via 192.0.2.1 weight", "error: \"weight\" is not a number from 1 to 255"},
      {"10.0.0.0/8 via 192.0.2.1 weight 0", "error: \"weight\" is not a number from 1 to 255"},
      {"10.0.0.0/8 via 192.0.2.1 weight 256", "error: \"weight\" is not a number from 1 to 255"},
      {"10.0.0.0/8 via 192.0.2.1 weight -1", "error: \"weight\" is not a number from 1 to 255"},
      {"10.0.0.0/8 via 192.0.2.1 weight 2x", "error: \"weight\" is not a number from 1 to 255"},
      {"10.0.0.0/8 via 192.0.2.1 weight 192.0.2.2", "error: \"weight\" is not a number from 1 to 255"},
      {"10.0.0.0/8 via 192.0.2.1 weight 2 weight 3", "error: \"weight\" is not an IP address"},
      {"10.0.0.0/8 via 192.0.2.1 metric 5", "error: \"metric\" is not an IP address"},
      {"2001:DB8::/32 via fe80::1 dev wan0", "add 2001:db8::/32 unicast fe80::1 dev wan0"},
      {"::/0 via fe80::2 dev wan0 weight 3 fe80::1 dev wan0 2001:db8::1 weight 2 dev lan0",
       "add ::/0 unicast 2001:db8::1 dev lan0 weight 2 fe80::1 dev wan0 fe80::2 dev wan0 weight 3"},
      {"::/0 via fe80::1 dev wan0 fe80::1 dev lan0", "add ::/0 unicast fe80::1 dev lan0 fe80::1 dev wan0"},
      {"::/0 via fe80::1 dev wan0 fe80::1 dev wan0 weight 2", "error: next hop fe80::1 has two weights"},
      {"10.0.0.0/8 via 192.0.2.1 dev wan0", "add 10.0.0.0/8 unicast 192.0.2.1 dev wan0"},
      {"10.0.0.0/8 via fe80::1 dev wan0", "add 10.0.0.0/8 unicast fe80::1 dev wan0"},  // RFC 8950
      {"2001:db8::/32 blackhole", "add 2001:db8::/32 blackhole"},
      {"del 2001:db8::/32", "del 2001:db8::/32"},
      {"2001:db8::1/32 blackhole",
       "error: \"2001:db8::1/32\" has host bits set (did you mean 2001:db8::/32?)"},
      {"::/0 via fe80::1", "error: next hop fe80::1 is link-local: it needs an interface"},
      {"::/0 via fe80::1%wan0", "error: \"fe80::1%wan0\" is not an IP address"},
      {"::/0 via fe80::1 dev", "error: \"\" is not an interface's name"},
      {"::/0 via fe80::1 dev 0wan", "error: \"0wan\" is not an interface's name"},
      {"::/0 via fe80::1 dev a dev b", "error: \"dev\" is not an IP address"},
      {"::/0 via dev wan0", "error: \"dev\" is not an IP address"},
      {"::/0 via 192.0.2.1", "error: IPv6 cannot go by the IPv4 next hop 192.0.2.1"},
      {"fe80::/10 blackhole", "error: fe80::/10 is link-local: nothing is routed to it"},
      {"ff02::1/128 blackhole", "error: ff02::1/128 is multicast: nothing is routed to it"},
      {"del fe80::/10", "del fe80::/10"},
      {"10.0.0.0/8 blackhole now", "error: unexpected \"now\" at the end"},
  };
  for (const auto& c : table) EXPECT_EQ(in_words(parse_route_line(c.line)), c.expected) << c.line;
}

TEST(RouteLine, OneHundredAndTwentyEightNextHopsAreTheMost) {
  std::string line = "10.0.0.0/8 via";
  for (int i = 0; i < 128; ++i) line += " 192.0.2." + std::to_string(i);
  ASSERT_TRUE(parse_route_line(line));
  EXPECT_EQ(parse_route_line(line)->route.via.size(), 128U);
  EXPECT_EQ(in_words(parse_route_line(line + " 192.0.2.128")), "error: more than 128 next hops");
}

TEST(RouteLine, BytesOfAnyKindAreRefusedNotFeared) {
  for (const std::string_view line :
       {std::string_view("\xff\xfe/8 via x"), std::string_view("10.0.0.0/8\0via", 14),
        std::string_view("10.0.0.0/8 via 192.0.2.1\0", 25), std::string_view("\0", 1)}) {
    EXPECT_FALSE(parse_route_line(line));
  }
  EXPECT_FALSE(parse_route_line(std::string(100'000, '1')));
}

TEST(RouteLine, BlankLinesAndCommentsAreNoRoutes) {
  for (const char* line : {"", " ", "\t\r", "#", "  # 10.0.0.0/8 via 192.0.2.1", "#10.0.0.0/8 blackhole"}) {
    EXPECT_TRUE(is_blank(line)) << line;
  }
  EXPECT_FALSE(is_blank("10.0.0.0/8 blackhole"));
  EXPECT_FALSE(is_blank("x"));
}

TEST(RouteJson, IsUnderstoodOrRefusedInWords) {
  const struct {
    std::string text, expected;
  } table[] = {
      {R"({"prefix": "10.0.0.0/8", "via": "192.0.2.1"})", "add 10.0.0.0/8 unicast 192.0.2.1"},
      {R"({"prefix": "10.0.0.0/8", "via": ["192.0.2.2", "192.0.2.1", "192.0.2.2"], "type": "unicast"})",
       "add 10.0.0.0/8 unicast 192.0.2.1 192.0.2.2"},
      {R"({"prefix": "10.0.0.0/8", "type": "blackhole", "distance": 255, "metric": 4294967295, "owner": "bgp"})",
       "add 10.0.0.0/8 blackhole distance 255 metric 4294967295 owner bgp"},
      {R"({"action": "add", "prefix": "10.0.0.0/8", "type": "prohibit"})", "add 10.0.0.0/8 prohibit"},
      {R"({"action": "del", "prefix": "10.0.0.0/8"})", "del 10.0.0.0/8"},
      {R"([])", "error: a route is a JSON object"},
      {R"(null)", "error: a route is a JSON object"},
      {R"("10.0.0.0/8 via 192.0.2.1")", "error: a route is a JSON object"},
      {R"({})", "error: \"prefix\" is missing"},
      {R"({"prefix": 5, "via": "192.0.2.1"})",
       "error: \"\" is not a prefix such as 203.0.113.0/24 or 2001:db8::/32"},
      {R"({"prefix": "10.0.0.1/8", "via": "192.0.2.1"})",
       "error: \"10.0.0.1/8\" has host bits set (did you mean 10.0.0.0/8?)"},
      {R"({"prefix": "10.0.0.0/8"})", "error: neither \"via\" nor a \"type\" without next hops"},
      {R"({"prefix": "10.0.0.0/8", "type": "unicast"})",
       "error: neither \"via\" nor a \"type\" without next hops"},
      {R"({"prefix": "10.0.0.0/8", "type": "blackhole", "via": "192.0.2.1"})",
       "error: \"via\" goes with unicast routes only"},
      {R"({"prefix": "10.0.0.0/8", "type": "local"})",
       "error: \"type\" is not unicast, blackhole, unreachable or prohibit"},
      {R"({"prefix": "10.0.0.0/8", "type": 1})",
       "error: \"type\" is not unicast, blackhole, unreachable or prohibit"},
      {R"({"prefix": "10.0.0.0/8", "via": []})",
       "error: \"via\" is neither a next hop nor a list of next hops"},
      {R"({"prefix": "10.0.0.0/8", "via": 5})",
       "error: \"via\" is neither a next hop nor a list of next hops"},
      {R"({"prefix": "10.0.0.0/8", "via": {"address": "192.0.2.1", "weight": 3}})",
       "add 10.0.0.0/8 unicast 192.0.2.1 weight 3"},
      {R"({"prefix": "10.0.0.0/8", "via": [{"address": "192.0.2.2", "weight": 255}, "192.0.2.1", {"address": "192.0.2.3"}]})",
       "add 10.0.0.0/8 unicast 192.0.2.1 192.0.2.2 weight 255 192.0.2.3"},
      {R"({"prefix": "10.0.0.0/8", "via": ["192.0.2.1", {"address": "192.0.2.1", "weight": 3}]})",
       "error: next hop 192.0.2.1 has two weights"},
      {R"({"prefix": "::/0", "via": [{"address": "fe80::1", "interface": "wan0", "weight": 2}, "2001:db8::1"]})",
       "add ::/0 unicast 2001:db8::1 fe80::1 dev wan0 weight 2"},
      {R"({"prefix": "::/0", "via": {"address": "fe80::1", "interface": 5}})",
       "error: \"5\" is not an interface's name"},
      {R"({"prefix": "::/0", "via": {"address": "fe80::1", "interface": "way-too-long-name"}})",
       "error: \"way-too-long-name\" is not an interface's name"},
      {R"({"prefix": "::/0", "via": "fe80::1"})",
       "error: next hop fe80::1 is link-local: it needs an interface"},
      {R"({"via": "192.0.2.1", "prefix": "::/0"})", "error: IPv6 cannot go by the IPv4 next hop 192.0.2.1"},
      {R"({"prefix": "ff00::/8", "type": "blackhole"})",
       "error: ff00::/8 is multicast: nothing is routed to it"},
      {R"({"prefix": "10.0.0.0/8", "via": {}})", "error: a next hop has no \"address\""},
      {R"({"prefix": "10.0.0.0/8", "via": [{"weight": 3}]})", "error: a next hop has no \"address\""},
      {R"({"prefix": "10.0.0.0/8", "via": {"address": 5}})", "error: a next hop has no \"address\""},
      {R"({"prefix": "10.0.0.0/8", "via": {"address": "wan0"}})", "error: \"wan0\" is not an IP address"},
      {R"({"prefix": "10.0.0.0/8", "via": {"address": "192.0.2.1", "weight": 0}})",
       "error: \"weight\" is not a number from 1 to 255"},
      {R"({"prefix": "10.0.0.0/8", "via": {"address": "192.0.2.1", "weight": 256}})",
       "error: \"weight\" is not a number from 1 to 255"},
      {R"({"prefix": "10.0.0.0/8", "via": {"address": "192.0.2.1", "weight": "3"}})",
       "error: \"weight\" is not a number from 1 to 255"},
      {R"({"prefix": "10.0.0.0/8", "via": {"address": "192.0.2.1", "metric": 3}})",
       "error: unknown key \"metric\" in a next hop"},
      {R"({"prefix": "10.0.0.0/8", "via": [1]})", "error: \"via\" holds something that is not a next hop"},
      {R"({"prefix": "10.0.0.0/8", "via": [["192.0.2.1"]]})",
       "error: \"via\" holds something that is not a next hop"},
      {R"({"prefix": "10.0.0.0/8", "via": "wan0"})", "error: \"wan0\" is not an IP address"},
      {R"({"prefix": "10.0.0.0/8", "via": "192.0.2.1", "distance": 0})",
       "error: \"distance\" is not a number from 1 to 255"},
      {R"({"prefix": "10.0.0.0/8", "via": "192.0.2.1", "distance": 256})",
       "error: \"distance\" is not a number from 1 to 255"},
      {R"({"prefix": "10.0.0.0/8", "via": "192.0.2.1", "distance": 1.0})",
       "error: \"distance\" is not a number from 1 to 255"},
      {R"({"prefix": "10.0.0.0/8", "via": "192.0.2.1", "metric": -1})",
       "error: \"metric\" is not a number from 0 to 4294967295"},
      {R"({"prefix": "10.0.0.0/8", "via": "192.0.2.1", "metric": 4294967296})",
       "error: \"metric\" is not a number from 0 to 4294967295"},
      {R"({"prefix": "10.0.0.0/8", "via": "192.0.2.1", "metric": "1"})",
       "error: \"metric\" is not a number from 0 to 4294967295"},
      {R"({"prefix": "10.0.0.0/8", "action": "replace"})", "error: \"action\" is neither add nor del"},
      {R"({"prefix": "10.0.0.0/8", "action": true})", "error: \"action\" is neither add nor del"},
      {R"({"prefix": "10.0.0.0/8", "owner": 5})", "error: \"owner\" is not a string of up to 64 characters"},
      {R"({"prefix": "10.0.0.0/8", "via": "192.0.2.1", "nexthop": "192.0.2.1"})",
       "error: unknown key \"nexthop\""},
  };
  for (const auto& c : table)
    EXPECT_EQ(in_words(parse_route_json(json::parse(c.text))), c.expected) << c.text;
}

TEST(RouteJson, AnOwnerHasUpTo64Characters) {
  json route = {{"prefix", "10.0.0.0/8"}, {"type", "blackhole"}, {"owner", std::string(64, 'x')}};
  EXPECT_EQ(parse_route_json(route)->owner.size(), 64U);
  route["owner"] = std::string(65, 'x');
  EXPECT_FALSE(parse_route_json(route));
}

}  // namespace
}  // namespace millrace::controlplane
