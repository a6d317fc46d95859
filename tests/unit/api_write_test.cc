#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "tests/unit/api_fixture.h"

namespace millrace::controlplane {
namespace {

using nlohmann::json;

class ApiWriteTest : public ApiFixture {
 protected:
  using ApiFixture::ApiFixture;
  json routes_of(const std::string& source) { return get_ok("/v1/routes?source=" + source)["routes"]; }
  std::vector<std::string> prefixes_of(const std::string& owner) {
    std::vector<std::string> prefixes;
    const json all = get_ok("/v1/routes?source=api&limit=10000");
    for (const json& route : all["routes"]) {
      if (route["owner"] == owner) prefixes.push_back(route["prefix"]);
    }
    return prefixes;
  }
  json replace(const std::string& owner, const std::string& lines) {
    return ok(send("POST", "/v1/routes:replace?owner=" + owner, lines, "text/plain"));
  }
};

class ApiFullTableTest : public ApiWriteTest {
 protected:
  ApiFullTableTest() : ApiWriteTest(8) {}
};

// --- single routes
// --------------------------------------------------------------------------------------------------

TEST_F(ApiWriteTest, PostRouteTellsWhatItDid) {
  const auto post = [&](const std::string& body) { return ok(send("POST", "/v1/routes", body))["result"]; };
  EXPECT_EQ(
      post(R"({"prefix": "203.0.113.0/24", "via": "192.0.2.7", "distance": 20, "metric": 5, "owner": "me"})"),
      "added");
  EXPECT_EQ(
      post(
          R"({"prefix": "203.0.113.0/24", "via": ["192.0.2.7"], "distance": 20, "metric": 5, "owner": "me"})"),
      "unchanged");
  EXPECT_EQ(
      post(R"({"prefix": "203.0.113.0/24", "via": "192.0.2.8", "distance": 20, "metric": 5, "owner": "me"})"),
      "replaced");
  EXPECT_EQ(routes_of("api"),
            json::parse(R"([{"prefix": "203.0.113.0/24", "source": "api", "distance": 20, "metric": 5,
      "type": "unicast", "recursive": [], "best": true, "owner": "me",
      "via": [{"address": "192.0.2.8", "interface": "wan0", "state": "unresolved", "weight": 1}]}])"));
}

TEST_F(ApiWriteTest, RoutesOfIpv6TakeTheSameWay) {
  const char* const route =
      R"({"prefix": "2001:db8::/32", "via": [{"address": "fe80::1", "interface": "lan0", "weight": 2},
                                             {"address": "fe80::1", "interface": "gone0"}], "owner": "me"})";
  EXPECT_EQ(ok(send("POST", "/v1/routes", route))["result"], "added");
  EXPECT_EQ(ok(send("POST", "/v1/routes", route))["result"], "unchanged");
  EXPECT_EQ(get_ok("/v1/routes?prefix=2001:db8::/32")["routes"],
            json::parse(R"([{"prefix": "2001:db8::/32", "source": "api", "distance": 1, "metric": 0,
      "type": "unicast", "recursive": [], "best": true, "owner": "me",
      "via": [{"address": "fe80::1", "interface": "gone0", "state": "unreachable", "weight": 1},
              {"address": "fe80::1", "interface": "lan0", "state": "unresolved", "weight": 2}]}])"));
  EXPECT_EQ(get_ok("/v1/fib?prefix=2001:db8::/32")["entries"][0]["detail"],
            "via fe80::1 gone0, via fe80::1 lan0 weight 2");
  EXPECT_EQ(get_ok("/v1/fib/lookup?address=2001:db8::1")["explanation"],
            "2001:db8::1 is reached by 2001:db8::/32 (api), sent to fe80::1 on lan0 (MAC not known)");
  EXPECT_EQ(ok(send("DELETE", "/v1/routes?prefix=2001:db8::/32"))["result"], "removed");
  problem_of(send("DELETE", "/v1/routes?prefix=2001:db8::/32"), 404);
  EXPECT_TRUE(routes_of("api").empty());
}

TEST_F(ApiWriteTest, AReplaceSweepsBothFamilies) {
  replace("feed",
          "203.0.113.0/24 blackhole\n203.0.114.0/24 blackhole\n2001:db8:1::/48 blackhole\n"
          "2001:db8:2::/48 blackhole\n");
  batch("2001:db8:3::/48 blackhole\n");
  const json counts = replace("feed", "2001:db8:2::/48 blackhole\n203.0.114.0/24 blackhole\n");
  EXPECT_EQ(counts["removed"], 2);
  EXPECT_EQ(counts["unchanged"], 2);
  EXPECT_EQ(prefixes_of("feed"), (std::vector<std::string>{"203.0.114.0/24", "2001:db8:2::/48"}));
  EXPECT_EQ(routes_of("api").size(), 3U) << "what others have stays";
}

TEST_F(ApiWriteTest, PostRouteRefusesWhatItDoesNotUnderstand) {
  for (const char* body :
       {"", "{", "x", "\xff", "{\"prefix\": \"\xff\"}", "[]", "{}", "null", "5",
        R"({"prefix": "203.0.113.0/24"})", R"({"prefix": "203.0.113.1/24", "type": "blackhole"})",
        R"({"prefix": "203.0.113.0/24", "type": "blackhole", "action": "del"})",
        R"({"prefix": "2001:db8::/32", "via": "192.0.2.7"})", R"({"prefix": "::/0", "via": "fe80::1"})",
        R"({"prefix": "fe80::/64", "type": "blackhole"})",
        R"({"prefix": "203.0.113.0/24", "type": "blackhole"} x)"}) {
    problem_of(send("POST", "/v1/routes", body), 400);
  }
  problem_of(send("POST", "/v1/routes", std::string(100'000, '[')), 400);
  problem_of(send("POST", "/v1/routes", std::string("{\"prefix\": \0}", 12)), 400);
  EXPECT_TRUE(routes_of("api").empty());
}

TEST_F(ApiWriteTest, DeleteTakesApiRoutesOnly) {
  batch("203.0.113.0/24 blackhole\n10.0.0.0/8 prohibit\n");
  EXPECT_EQ(ok(send("DELETE", "/v1/routes?prefix=203.0.113.0/24"))["result"], "removed");
  EXPECT_EQ(problem_of(send("DELETE", "/v1/routes?prefix=203.0.113.0/24"), 404),
            "there is no API route for 203.0.113.0/24");
  problem_of(send("DELETE", "/v1/routes?prefix=0.0.0.0/0"), 404);  // the static one stays
  ok(send("DELETE", "/v1/routes?prefix=10.0.0.0%2f8"));
  for (const char* query : {"", "?prefix=", "?prefix=10.0.0.0", "?prefix=10.0.0.1/8", "?prefix=%ff"}) {
    problem_of(send("DELETE", std::string("/v1/routes") + query), 400);
  }
  EXPECT_EQ(routes_of("static").size(), 2U);
}

TEST_F(ApiFullTableTest, AFullFibIs507AndInABatchOneErrorALine) {
  std::string lines;
  for (int i = 0; i < 10; ++i) lines += "203.0." + std::to_string(i) + ".0/25 blackhole\n";
  const json counts = batch(lines);
  const auto added = counts["added"].get<unsigned>();
  EXPECT_LT(added, 8U);  // the interfaces' own host routes have groups, too
  EXPECT_EQ(counts["failed"], 10 - added);
  EXPECT_EQ(counts["errors"][0]["line"], added + 1);
  EXPECT_EQ(
      problem_of(send("POST", "/v1/routes", R"({"prefix": "203.0.99.0/25", "type": "blackhole"})"), 507),
      "no room for 203.0.99.0/25: all 8 tbl8 groups are in use");
  EXPECT_EQ(get_ok("/v1/counters")["control"]["failed_fib_inserts"], 11 - added);
}

// --- batches
// --------------------------------------------------------------------------------------------------------

TEST_F(ApiWriteTest, ABatchOfLinesCountsAndNamesBadLines) {
  const json counts = batch(
      "# a comment\n"
      "\n"
      "203.0.113.0/24 via 192.0.2.7\r\n"
      "203.0.113.0/24 via 192.0.2.7\n"
      "203.0.113.0/24 via 192.0.2.8\n"
      "203.0.113.1/24 blackhole\n"
      "nonsense \xff\xfe\n"
      "del 203.0.113.0/24\n"
      "del 203.0.113.0/24\n"
      "   \t\n"
      "203.0.114.0/24 blackhole");  // without a newline
  EXPECT_EQ(counts["added"], 2);
  EXPECT_EQ(counts["replaced"], 1);
  EXPECT_EQ(counts["unchanged"], 1);
  EXPECT_EQ(counts["removed"], 1);
  EXPECT_EQ(counts["failed"], 3);
  std::vector<unsigned> lines;
  for (const json& error : counts["errors"]) lines.push_back(error["line"]);
  std::sort(lines.begin(), lines.end());
  EXPECT_EQ(lines, (std::vector<unsigned>{6, 7, 9}));
  EXPECT_EQ(routes_of("api").size(), 1U);
}

TEST_F(ApiWriteTest, ErrorsOfABatchComeInTheOrderOfItsLines) {
  const json counts = batch("del 203.0.113.0/24\nnonsense\ndel 203.0.114.0/24\n");
  std::vector<unsigned> lines;
  for (const json& error : counts["errors"]) lines.push_back(error["line"]);
  EXPECT_EQ(lines, (std::vector<unsigned>{1, 2, 3}));
}

TEST_F(ApiWriteTest, TheFirstTwentyErrorsAreShownAndAllCounted) {
  std::string lines;
  for (int i = 0; i < 1000; ++i) lines += "bad\n";
  const json counts = batch(lines + "203.0.113.0/24 blackhole\n");
  EXPECT_EQ(counts["failed"], 1000);
  EXPECT_EQ(counts["added"], 1);
  ASSERT_EQ(counts["errors"].size(), 20U);
  EXPECT_EQ(counts["errors"][19]["line"], 20);
}

TEST_F(ApiWriteTest, ABatchOfJsonDoesTheSame) {
  const json counts = ok(send("POST", "/v1/routes:batch", R"({"routes": [
    {"prefix": "203.0.113.0/24", "via": "192.0.2.7", "owner": "me"},
    {"prefix": "203.0.114.0/24"},
    {"action": "del", "prefix": "203.0.113.0/24"},
    null]})"));
  EXPECT_EQ(counts["added"], 1);
  EXPECT_EQ(counts["removed"], 1);
  EXPECT_EQ(counts["failed"], 2);
  EXPECT_EQ(counts["errors"][0]["line"], 2) << "the place in the list";
  EXPECT_EQ(ok(send("POST", "/v1/routes:batch", R"({"routes": []})"))["failed"], 0);
}

TEST_F(ApiWriteTest, ABatchThatIsNoneIs400) {
  for (const char* body : {"", "[]", "{}", "{\"routes\": {}}", "{\"routes\": 1}", "10.0.0.0/8 blackhole",
                           "{\"routes\": [}", "{\"routes\": [\"\xc3\x28\"]}"}) {
    problem_of(send("POST", "/v1/routes:batch", body), 400);
  }
  EXPECT_EQ(ok(send("POST", "/v1/routes:batch", "", "text/plain"))["added"], 0);
  EXPECT_EQ(
      ok(send("POST", "/v1/routes:batch", "20.0.0.0/8 blackhole", "text/plain; charset=utf-8"))["added"], 1);
}

TEST_F(ApiWriteTest, ABatchLongerThanManySlicesIsApplied) {
  std::string lines;
  for (int i = 0; i < 3000; ++i) {
    lines += "20." + std::to_string(i / 250) + "." + std::to_string(i % 250) + ".0/24 via 192.0.2.254\n";
  }
  EXPECT_EQ(batch(lines)["added"], 3000);
  EXPECT_EQ(batch(lines)["unchanged"], 3000);
  EXPECT_EQ(get_ok("/v1/status")["rib"]["sources"]["api"], 3000);
}

// --- replace
// --------------------------------------------------------------------------------------------------------

TEST_F(ApiWriteTest, ReplaceMakesTheSetExactlyThatAndLeavesOthersAlone) {
  batch("30.0.0.0/8 blackhole\n");  // of nobody
  EXPECT_EQ(replace("a", "20.0.0.0/8 blackhole\n21.0.0.0/8 blackhole\n22.0.0.0/8 blackhole\n")["added"], 3);
  EXPECT_EQ(replace("b", "23.0.0.0/8 blackhole\n24.0.0.0/8 blackhole\n")["added"], 2);
  const json counts = replace("a", "21.0.0.0/8 blackhole\n22.0.0.0/8 prohibit\n25.0.0.0/8 blackhole\n");
  EXPECT_EQ(counts["unchanged"], 1);
  EXPECT_EQ(counts["replaced"], 1);
  EXPECT_EQ(counts["added"], 1);
  EXPECT_EQ(counts["removed"], 1);
  EXPECT_EQ(prefixes_of("a"), (std::vector<std::string>{"21.0.0.0/8", "22.0.0.0/8", "25.0.0.0/8"}));
  EXPECT_EQ(prefixes_of("b"), (std::vector<std::string>{"23.0.0.0/8", "24.0.0.0/8"}));
  EXPECT_EQ(routes_of("api").size(), 6U);
  EXPECT_EQ(replace("a", "")["removed"], 3);
  EXPECT_EQ(routes_of("static").size(), 2U);
  EXPECT_EQ(routes_of("connected").size(), 8U);
}

TEST_F(ApiWriteTest, ReplaceWithAnErrorRemovesNothing) {
  replace("a", "20.0.0.0/8 blackhole\n21.0.0.0/8 blackhole\n");
  const json counts = replace("a", "22.0.0.0/8 blackhole\nnonsense\n");
  EXPECT_EQ(counts["failed"], 1);
  EXPECT_EQ(counts["removed"], 0);
  EXPECT_EQ(prefixes_of("a").size(), 3U);
  EXPECT_EQ(replace("a", "22.0.0.0/8 blackhole\n")["removed"], 2);
}

TEST_F(ApiWriteTest, ReplaceSweepsTablesOfAnySize) {
  std::string mine, others;
  for (int i = 0; i < 3000; ++i) {
    const std::string line = std::to_string(i / 250) + "." + std::to_string(i % 250) + ".0/24 blackhole\n";
    mine += "20." + line;
    others += "21." + line;
  }
  EXPECT_EQ(replace("mine", mine)["added"], 3000);
  EXPECT_EQ(replace("others", others)["added"], 3000);
  EXPECT_EQ(replace("mine", "20.0.0.0/24 blackhole\n")["removed"], 2999);
  EXPECT_EQ(get_ok("/v1/status")["rib"]["sources"]["api"], 3001);
  EXPECT_EQ(replace("others", "")["removed"], 3000);
}

TEST_F(ApiWriteTest, ReplaceNeedsAnOwner) {
  for (const char* query : {"", "?owner", "?owner=", "?x=y"}) {
    problem_of(send("POST", std::string("/v1/routes:replace") + query, "", "text/plain"), 400);
  }
  problem_of(send("POST", "/v1/routes:replace?owner=" + std::string(65, 'x'), "", "text/plain"), 400);
  EXPECT_EQ(replace(std::string(64, 'x'), "20.0.0.0/8 blackhole\n")["added"], 1);
  EXPECT_EQ(replace("my%20feed", "21.0.0.0/8 blackhole\n")["added"], 1);
  EXPECT_EQ(prefixes_of("my feed").size(), 1U);
}

TEST_F(ApiWriteTest, AnOwnerThatIsNotUtf8HarmsNoListing) {
  send("POST", "/v1/routes:replace?owner=%ff%fe", "20.0.0.0/8 blackhole\n", "text/plain");
  ok(get("/v1/routes"));
  ok(get("/v1/fib/lookup?address=20.0.0.1"));
}

// --- configuration
// --------------------------------------------------------------------------------------------------

TEST_F(ApiWriteTest, CheckAndDiffChangeNothing) {
  EXPECT_EQ(ok(send("POST", "/v1/config:check", kConfig))["ok"], true);
  const json none = ok(send("POST", "/v1/config:diff", kConfig));
  EXPECT_TRUE(none["changes"].empty());
  const json changes =
      ok(send("POST", "/v1/config:diff", kConfig + "control: { icmp_error_rate: 5/s }\n"))["changes"];
  ASSERT_EQ(changes.size(), 1U);
  EXPECT_EQ(changes[0]["text"], "~ control.icmp_error_rate: 1000/s -> 5/s");
  EXPECT_EQ(changes[0]["action"], "change");
  EXPECT_EQ(changes[0]["needs_restart"], false);
  EXPECT_EQ(control_->generation(), 1U);
}

// Rule 43.
TEST_F(ApiWriteTest, ABadConfigurationIs422WithEveryProblem) {
  for (const char* what : {"check", "diff", "apply"}) {
    const ApiResponse response = send("POST", std::string("/v1/config:") + what + "?file=my%2Fnet.yaml",
                                      "interfaces: 5\nroutes: {}\n");
    EXPECT_EQ(problem_of(response, 422), "2 problem(s)");
    const json problems = json::parse(response.body)["problems"];
    ASSERT_EQ(problems.size(), 2U);
    EXPECT_EQ(problems[0]["file"], "my/net.yaml");
    EXPECT_EQ(problems[1]["line"], 2);
    problem_of(send("POST", std::string("/v1/config:") + what, "\xff\xfe: \xc3\x28"), 422);
    problem_of(send("POST", std::string("/v1/config:") + what + "?file=%ff", "x"), 422);
  }
  EXPECT_EQ(control_->generation(), 1U);
}

TEST_F(ApiWriteTest, ApplyAnswersWithItsChangesAndTheNewGeneration) {
  batch("203.0.113.0/24 blackhole\n");
  const ApiResponse response =
      send("POST", "/v1/config:apply", kConfig + "control: { icmp_error_rate: 5/s }\n");
  const json body = ok(response);
  EXPECT_EQ(body["generation"], 2);
  EXPECT_EQ(body["changes"].size(), 1U);
  EXPECT_EQ(response.etag, "\"2\"");
  EXPECT_EQ(get("/v1/config").etag, "\"2\"");
  EXPECT_EQ(get_ok("/v1/config"), json({{"generation", 2}, {"file", "/etc/millrace/test.yaml"}}));
  EXPECT_EQ(routes_of("api").size(), 1U) << "they survive an apply";
}

TEST_F(ApiWriteTest, IfMatchKeepsTwoOperatorsApart) {
  const auto apply = [&](const std::string& if_match) {
    return send("POST", "/v1/config:apply", kConfig, "application/yaml", if_match);
  };
  for (const char* stale : {"\"0\"", "\"2\"", "1", "\"1", "W/\"1\"", "x"}) problem_of(apply(stale), 412);
  EXPECT_EQ(control_->generation(), 1U);
  ok(apply("\"1\""));
  problem_of(apply("\"1\""), 412);
  ok(apply("*"));
  ok(apply(""));
  EXPECT_EQ(control_->generation(), 4U);
}

// Rule 43.
TEST_F(ApiWriteTest, WhatNeedsARestartOrAPortThatIsNotThereIs409AndChangesNothing) {
  EXPECT_NE(problem_of(send("POST", "/v1/config:apply", kConfig + "dataplane: { memory: 128M }\n"), 409)
                .find("restart"),
            std::string::npos);
  const json before = get_ok("/v1/routes");
  const std::string bad =
      std::string(kConfig).insert(kConfig.find("routes:"), "  new0: { device: net_nonsense }\n");
  EXPECT_NE(problem_of(send("POST", "/v1/config:apply", bad), 409).find("net_nonsense"), std::string::npos);
  EXPECT_EQ(get_ok("/v1/routes"), before);
  EXPECT_EQ(control_->generation(), 1U);
  EXPECT_EQ(get_ok("/v1/interfaces")["interfaces"].size(), 2U);
}

}  // namespace
}  // namespace millrace::controlplane
