#include <gtest/gtest.h>

#include <map>
#include <regex>
#include <set>
#include <sstream>

#include "tests/unit/api_fixture.h"

namespace millrace::controlplane {
namespace {

using nlohmann::json;

class ApiReadTest : public ApiFixture {};

TEST_F(ApiReadTest, AnUnknownPathIs404) {
  for (const char* path : {"/", "", "?", "/v1", "/v2/status", "/v1/status/", "/v1//status", "/v1/Status",
                           "v1/status", "/v1/routes:apply", "/v1/%73tatus"}) {
    problem_of(get(path), 404);
  }
  EXPECT_EQ(problem_of(get("/v1/nothing?x=y"), 404), "there is no /v1/nothing");
  problem_of(get("/v1/\xff\xfe"), 404);
  problem_of(get(std::string("/v1/status\0x", 12)), 404);
}

TEST_F(ApiReadTest, AMethodThatAPathDoesNotHaveIs405AndSaysWhatItHas) {
  const struct {
    const char *method, *path, *allow;
  } table[] = {{"PUT", "/v1/routes", "GET, POST, DELETE"},
               {"POST", "/v1/status", "GET"},
               {"GET", "/v1/routes:batch", "POST"},
               {"DELETE", "/metrics", "GET"},
               {"get", "/v1/status", "GET"},
               {"", "/v1/config:apply", "POST"}};
  for (const auto& c : table) {
    const ApiResponse response = send(c.method, c.path);
    problem_of(response, 405);
    EXPECT_EQ(response.allow, c.allow) << c.path;
  }
}

TEST_F(ApiReadTest, EveryListingHasItsKey) {
  const struct {
    const char *target, *key;
  } table[] = {{"/v1/interfaces", "interfaces"}, {"/v1/routes", "routes"},   {"/v1/fib", "entries"},
               {"/v1/next-hops", "next_hops"},   {"/v1/workers", "workers"}, {"/v1/neighbors", "neighbors"},
               {"/v1/feeds", "feeds"},           {"/v1/drops", "drops"}};
  for (const auto& c : table) EXPECT_TRUE(get_ok(c.target)[c.key].is_array()) << c.target;
}

TEST_F(ApiReadTest, StatusIsOnePageAboutTheRouter) {
  now_ns_ += 2'500'000'000;
  const json status = get_ok("/v1/status");
  EXPECT_EQ(status["uptime_seconds"], 2.5);
  EXPECT_EQ(status["config"], json({{"file", "/etc/millrace/test.yaml"}, {"generation", 1}}));
  EXPECT_EQ(status["dataplane"]["workers"], 1);
  EXPECT_EQ(status["rib"]["sources"]["static"], 2);
  EXPECT_EQ(status["rib"]["sources"]["api"], 0);
  // Of each interface: the address, the subnet, its network and broadcast address.
  EXPECT_EQ(status["rib"]["sources"]["connected"], 8);
  EXPECT_EQ(status["rib"]["routes"], 10);
  EXPECT_EQ(status["rib"]["families"], json({{"ipv4", 10}, {"ipv6", 0}}));
  EXPECT_EQ(status["fib"]["families"], json({{"ipv4", 11}, {"ipv6", 0}}));
  EXPECT_EQ(status["fib"]["entries"], 11) << "the static neighbour has a host route";
  EXPECT_EQ(status["neighbors"], json({{"total", 1}, {"resolved", 1}}));
  EXPECT_EQ(status["accounting"]["difference"], 0);
  EXPECT_EQ(status["mbuf_pools"].size(), 2U) << "the control thread's, and the ports'";
  for (const json& pool : status["mbuf_pools"]) EXPECT_LE(pool["available"], pool["size"]);
}

TEST_F(ApiReadTest, InterfacesSayWhatTheyAre) {
  const json interfaces = get_ok("/v1/interfaces")["interfaces"];
  ASSERT_EQ(interfaces.size(), 2U);
  const json& wan = interfaces[1];
  EXPECT_EQ(wan["name"], "wan0");
  EXPECT_EQ(wan["state"], "up");
  EXPECT_EQ(wan["device"], "net_null");
  EXPECT_EQ(wan["driver"], "net_null");
  EXPECT_EQ(wan["rss"], "off");
  EXPECT_EQ(wan["offloads"], json::array());
  EXPECT_EQ(wan["host"], nullptr);
  EXPECT_EQ(wan["mtu"], 1500);
  EXPECT_EQ(wan["addresses"], json({"192.0.2.1/24"}));
  EXPECT_TRUE(std::regex_match(wan["mac"].get<std::string>(), std::regex("([0-9a-f]{2}:){5}[0-9a-f]{2}")));
  EXPECT_NE(wan["mac"], interfaces[0]["mac"]);
  EXPECT_EQ(wan["link_local"], control_->interfaces().find("wan0")->link_local()->to_string());
  for (const char* counter :
       {"rx_packets", "rx_bytes", "tx_packets", "tx_bytes", "punted", "dropped", "rx_missed"}) {
    EXPECT_TRUE(wan[counter].is_number_unsigned()) << counter;
  }
}

TEST_F(ApiReadTest, NeighboursWorkersAndNextHopsAreListed) {
  EXPECT_EQ(get_ok("/v1/neighbors")["neighbors"],
            json::parse(R"([{"address": "192.0.2.254", "interface": "wan0", "mac": "02:00:00:00:00:fe",
                             "state": "static", "age_seconds": 0.0, "queued": 0}])"));
  const json worker = get_ok("/v1/workers")["workers"][0];
  EXPECT_EQ(worker["core"], 3);
  EXPECT_EQ(worker["queues"].size(), 2U);
  EXPECT_EQ(worker["mean_burst"], 0.0) << "nothing received, and no division by it";
  EXPECT_EQ(worker["steps"].size(), 7U);
  EXPECT_EQ(worker["steps"][3]["step"], "lookup");
  EXPECT_EQ(worker["bursts"].size(), 7U);
  EXPECT_EQ(worker["bursts"][0], json({{"from", 1}, {"to", 1}, {"bursts", 0}}));
  EXPECT_EQ(worker["bursts"][4], json({{"from", 16}, {"to", 31}, {"bursts", 0}}));
  EXPECT_EQ(worker["bursts"][6], json({{"from", 64}, {"to", 64}, {"bursts", 0}}));
  std::set<std::string> kinds;
  const json hops = get_ok("/v1/next-hops");
  for (const json& hop : hops["next_hops"]) {
    kinds.insert(hop["kind"]);
    EXPECT_GT(hop["references"], 0);
  }
  EXPECT_EQ(kinds, (std::set<std::string>{"drop", "forward", "glean", "local"}));
}

TEST_F(ApiReadTest, WeightsAreShownWhereverNextHopsAre) {
  batch("203.0.113.0/24 via 192.0.2.254 weight 3 198.51.100.7\n");
  const auto weights = [](const json& list) {
    std::map<std::string, unsigned> result;
    for (const json& hop : list) result[hop["address"]] = hop["weight"];
    return result;
  };
  const std::map<std::string, unsigned> expected = {{"192.0.2.254", 3}, {"198.51.100.7", 1}};
  EXPECT_EQ(weights(get_ok("/v1/routes?prefix=203.0.113.0/24")["routes"][0]["via"]), expected);
  EXPECT_EQ(get_ok("/v1/fib?prefix=203.0.113.0/24")["entries"][0]["detail"],
            "via 192.0.2.254 wan0 weight 3, via 198.51.100.7 lan0");
  const json lookup = get_ok("/v1/fib/lookup?address=203.0.113.1");
  EXPECT_EQ(weights(lookup["adjacencies"]), expected);
  const json hops = get_ok("/v1/next-hops");
  for (const json& hop : hops["next_hops"]) {
    if (hop["id"] == lookup["next_hop"]["id"]) {
      EXPECT_EQ(weights(hop["members"]), expected);
    }
  }
}

TEST_F(ApiReadTest, APublishedGroupIsCounted) {
  const auto published = [&] {
    const std::uint64_t count = get_ok("/v1/status")["fib"]["groups_published"];
    const std::string sample = "\nmillrace_next_hop_groups_published_total " + std::to_string(count) + "\n";
    EXPECT_NE(get("/metrics").body.find(sample), std::string::npos) << sample;
    return count;
  };
  const std::uint64_t before = published();
  batch("203.0.113.0/24 via 192.0.2.7 198.51.100.7\n203.0.114.0/24 via 198.51.100.7 192.0.2.7\n");
  EXPECT_EQ(published(), before + 1) << "one set for both";
}

TEST_F(ApiReadTest, DropsAreThoseThatHappenedOrAll) {
  EXPECT_TRUE(get_ok("/v1/drops")["drops"].empty());
  EXPECT_TRUE(get_ok("/v1/drops?all=0")["drops"].empty());
  const json all = get_ok("/v1/drops?all=1")["drops"];
  EXPECT_EQ(all.size(), 2 * dataplane::kDropReasonCount);
  for (const json& drop : all) EXPECT_FALSE(drop["description"].get<std::string>().empty()) << drop["reason"];
}

TEST_F(ApiReadTest, LookupExplainsInOneSentence) {
  batch(
      "203.0.113.0/24 via 192.0.2.77\n203.0.114.0/24 via 172.16.0.1\n203.0.115.0/24 via 192.0.2.254 "
      "198.51.100.7\n");
  const struct {
    const char *address, *prefix, *type, *explanation;
  } table[] = {
      {"8.8.8.8", "0.0.0.0/0", "unicast",
       "8.8.8.8 is reached by 0.0.0.0/0 (static), sent to 192.0.2.254 on wan0 (02:00:00:00:00:fe)"},
      {"10.9.9.9", "10.0.0.0/8", "blackhole",
       "10.9.9.9 is reached by 10.0.0.0/8 (static): dropped, a blackhole route"},
      {"192.0.2.1", "192.0.2.1/32", "local", "192.0.2.1 is one of our own addresses"},
      {"198.51.100.9", "198.51.100.0/24", "connected",
       "198.51.100.9 is reached by 198.51.100.0/24 (connected): a connected subnet; a packet would start ARP "
       "for it"},
      {"192.0.2.255", "192.0.2.255/32", "broadcast",
       "192.0.2.255 is reached by 192.0.2.255/32 (connected): dropped, a broadcast route"},
      {"192.0.2.254", "192.0.2.254/32", "neighbor",
       "192.0.2.254 is reached by 192.0.2.254/32 (neighbor), sent to 192.0.2.254 on wan0 "
       "(02:00:00:00:00:fe)"},
      {"203.0.113.9", "203.0.113.0/24", "unicast",
       "203.0.113.9 is reached by 203.0.113.0/24 (api), sent to 192.0.2.77 on wan0 (MAC not known)"},
      {"203.0.114.9", "203.0.114.0/24", "unicast",
       "203.0.114.9 is reached by 203.0.114.0/24 (api): there is no way to a next hop: dropped"},
      {"203.0.115.9", "203.0.115.0/24", "unicast",
       "203.0.115.9 is reached by 203.0.115.0/24 (api), sent to 192.0.2.254 on wan0 (02:00:00:00:00:fe) and "
       "198.51.100.7 on lan0 (MAC not known)"},
  };
  for (const auto& c : table) {
    const json answer = get_ok(std::string("/v1/fib/lookup?address=") + c.address);
    EXPECT_EQ(answer["matched"], true);
    EXPECT_EQ(answer["prefix"], c.prefix) << c.address;
    EXPECT_EQ(answer["type"], c.type) << c.address;
    EXPECT_EQ(answer["explanation"], c.explanation);
  }
}

TEST_F(ApiReadTest, LookupTellsWhatNoRouteIsFor) {
  batch("::/0 blackhole\n");
  for (const auto& [address, explanation] :
       {std::pair("fe80::1", "fe80::1 is link-local: it stays on its link, and no route is for it"),
        std::pair("ff02::1", "ff02::1 is a multicast address: it is not forwarded"),
        std::pair("224.0.0.5", "224.0.0.5 is a multicast address: it is not forwarded")}) {
    const json answer = get_ok(std::string("/v1/fib/lookup?address=") + address);
    EXPECT_EQ(answer["matched"], false);
    EXPECT_EQ(answer["explanation"], explanation);
  }
}

TEST_F(ApiReadTest, LookupWithoutARouteSaysSo) {
  ASSERT_TRUE(control_->apply({}));
  EXPECT_EQ(get_ok("/v1/fib/lookup?address=2001:db8::1")["explanation"],
            "no route to 2001:db8::1: packets are dropped (no_route), and ICMPv6 1/0 says so");
  const json answer = get_ok("/v1/fib/lookup?address=8.8.8.8");
  EXPECT_EQ(answer["matched"], false);
  EXPECT_EQ(answer["prefix"], nullptr);
  EXPECT_TRUE(answer["adjacencies"].empty());
  EXPECT_EQ(answer["explanation"],
            "no route to 8.8.8.8: packets are dropped (no_route), and ICMP 3/0 says so");
}

TEST_F(ApiReadTest, ParametersArePercentDecoded) {
  EXPECT_EQ(get_ok("/v1/fib/lookup?address=192%2E0%2e2.254")["prefix"], "192.0.2.254/32");
  EXPECT_EQ(get_ok("/v1/fib/lookup?x=1&&%61ddress=192.0.2.254&")["prefix"], "192.0.2.254/32");
  EXPECT_EQ(get_ok("/v1/routes?prefix=10.0.0.0%2F8")["routes"].size(), 1U);
  for (const char* query : {"", "?", "?address", "?address=", "?address=%", "?address=192.0.2.25%3",
                            "?address=192.0.2.%zz", "?address=+192.0.2.1", "?address=%00", "?address=%ff%fe",
                            "?=192.0.2.1", "?address=::g", "?address=fe80::1%25wan0"}) {
    problem_of(get(std::string("/v1/fib/lookup") + query), 400);
  }
}

TEST_F(ApiReadTest, MetricsAreOpenMetrics) {
  lag_.record(300'000);
  const ApiResponse response = get("/metrics");
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.content_type, "application/openmetrics-text; version=1.0.0; charset=utf-8");
  const std::regex type("# TYPE ([a-z_]+) (counter|gauge|histogram)");
  const std::regex sample(R"(([a-z_]+)(\{[a-z_]+="[^"\\]*"(,[a-z_]+="[^"\\]*")*\})? [0-9.e+-]+)");
  std::map<std::string, std::string> families;
  std::set<std::string> seen;
  std::istringstream lines(response.body);
  std::string line, family, last;
  std::smatch match;
  while (std::getline(lines, line)) {
    last = line;
    if (std::regex_match(line, match, type)) {
      family = match[1];
      EXPECT_TRUE(families.emplace(family, match[2]).second) << "a family twice: " << line;
    } else if (line.starts_with("# HELP ")) {
      EXPECT_TRUE(line.starts_with("# HELP " + family + " ")) << line;
      EXPECT_EQ(line.back(), '.') << line;
    } else if (line != "# EOF") {
      ASSERT_TRUE(std::regex_match(line, match, sample)) << line;
      EXPECT_TRUE(seen.insert(match[1].str() + match[2].str()).second) << "a sample twice: " << line;
      const std::string name = match[1];
      if (families[family] == "counter") {
        EXPECT_EQ(name, family + "_total");
      }
      EXPECT_TRUE(name.starts_with(family)) << line << " in " << family;
    }
  }
  EXPECT_EQ(last, "# EOF");
  EXPECT_TRUE(seen.contains("millrace_rx_packets_total{interface=\"wan0\"}"));
  EXPECT_TRUE(seen.contains("millrace_control_loop_lag_seconds_count"));
}

TEST_F(ApiReadTest, AReceivedPacketIsCountedWhereverCountersAreShown) {
  const InterfaceId wan0 = control_->interfaces().find("wan0")->id;
  control_->worker(0).count(wan0).rx_packets.add(3);
  control_->worker(0).count_drop(wan0, dataplane::DropReason::ttl_expired).add(3);
  EXPECT_EQ(get_ok("/v1/interfaces")["interfaces"][1]["rx_packets"], 3);
  const json counters = get_ok("/v1/counters");
  EXPECT_EQ(counters["interfaces"][1]["dropped"], 3);
  EXPECT_EQ(counters["accounting"]["received"], 3);
  EXPECT_EQ(counters["punt"].size(), dataplane::kPuntClassCount);
  EXPECT_EQ(get_ok("/v1/workers")["workers"][0]["rx_packets"], 3);
  const json drops = get_ok("/v1/drops")["drops"];
  ASSERT_EQ(drops.size(), 1U);
  EXPECT_EQ(drops[0]["reason"], "ttl_expired");
  EXPECT_EQ(drops[0]["reference"], "RFC 1812 5.3.1, RFC 8200 3");
  EXPECT_NE(get("/metrics")
                .body.find("millrace_dropped_packets_total{interface=\"wan0\",reason=\"ttl_expired\"} 3\n"),
            std::string::npos);
}

}  // namespace
}  // namespace millrace::controlplane
