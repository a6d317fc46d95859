// Whole commands, from the words on the command line to what is printed, with canned answers in the daemon's
// place.
#include <gtest/gtest.h>
#include <unistd.h>

#include <deque>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <vector>

#include "cli/api.h"
#include "cli/app.h"

namespace millrace::cli {
namespace {

struct Script {
  std::deque<Response> answers;
  std::vector<Request> requests;
};

class CannedTransport : public Transport {
 public:
  explicit CannedTransport(Script& script) : script_(script) {}
  Response send(Request request) override {
    script_.requests.push_back(std::move(request));
    if (script_.answers.empty()) throw Failure("no daemon");
    Response answer = script_.answers.front();
    script_.answers.pop_front();
    return answer;
  }

 private:
  Script& script_;
};

struct Outcome {
  int code;
  std::string out;
  std::string err;
};

class CliCommand : public testing::Test {
 protected:
  Outcome run_words(std::vector<const char*> words) {
    words.insert(words.begin(), "millrace");
    std::ostringstream out;
    std::ostringstream err;
    const int code = run(static_cast<int>(words.size()), words.data(), {out, err, false},
                         [this](const std::string&) { return std::make_unique<CannedTransport>(script_); });
    return {code, out.str(), err.str()};
  }
  void answer(unsigned status, std::string body) { script_.answers.push_back({status, std::move(body)}); }
  [[nodiscard]] const std::string& requested(std::size_t i) const { return script_.requests.at(i).target; }

  Script script_;
};

TEST_F(CliCommand, ExitsWithTwoForWrongUsageAndAsksNothing) {
  const std::vector<std::vector<const char*>> wrong = {
      {},
      {"bogus"},
      {"show"},
      {"show", "bogus"},
      {"show", "routes", "--source", "bogus"},
      {"show", "routes", "--limit", "0"},
      {"show", "routes", "--limit", "-1"},
      {"route", "add", "10.0.0.0/8"},
      {"route", "add", "10.0.0.0/8", "via"},
      {"route", "add", "10.0.0.0/8", "via", "weight", "2"},
      {"route", "add", "10.0.0.0/8", "via", "192.0.2.1", "weight"},
      {"route", "add", "10.0.0.0/8", "via", "192.0.2.1", "weight", "0"},
      {"route", "add", "10.0.0.0/8", "via", "192.0.2.1", "weight", "256"},
      {"route", "add", "10.0.0.0/8", "via", "192.0.2.1", "weight", "2", "weight", "2"},
      {"route", "add", "::/0", "via", "dev", "wan0"},
      {"route", "add", "::/0", "via", "fe80::1", "dev"},
      {"route", "add", "::/0", "via", "fe80::1", "dev", "wan0", "dev", "lan0"},
      {"route", "add", "10.0.0.0/8", "blackhole", "192.0.2.1"},
      {"route", "add", "10.0.0.0/8", "192.0.2.1"},
      {"route", "add", "10.0.0.0/8", "blackhole", "--distance", "256"},
      {"load"},
      {"status", "--bogus"},
      {"completion", "tcsh"}};
  for (const auto& words : wrong) {
    const Outcome outcome = run_words(words);
    EXPECT_EQ(outcome.code, kUsage) << outcome.err;
    EXPECT_EQ(outcome.out, "");
    EXPECT_NE(outcome.err.find("--help`"), std::string::npos) << outcome.err;
  }
  EXPECT_TRUE(script_.requests.empty());
}

TEST_F(CliCommand, ExitsWithZeroForHelpAndVersion) {
  EXPECT_EQ(run_words({"--help"}).code, kDone);
  EXPECT_EQ(run_words({"show", "routes", "--help"}).code, kDone);
  EXPECT_EQ(run_words({"--version"}).out, "millrace " MILLRACE_VERSION "\n");
}

TEST_F(CliCommand, ExitsWithOneForAProblemAndPrintsItToStderr) {
  answer(404, R"({"title":"no such route","status":404,"detail":"there is no api route for 10.0.0.0/8"})");
  const Outcome outcome = run_words({"route", "del", "10.0.0.0/8"});
  EXPECT_EQ(outcome.code, kFailed);
  EXPECT_EQ(outcome.out, "");
  EXPECT_EQ(outcome.err, "millrace: no such route: there is no api route for 10.0.0.0/8\n");
}

TEST_F(CliCommand, SurvivesAnAnswerThatIsNotJson) {
  answer(500, "<html>");
  EXPECT_EQ(run_words({"status"}).err, "millrace: the daemon answered with status 500\n");
  answer(200, "<html>");
  EXPECT_EQ(run_words({"status"}).code, kFailed);
  answer(200, "{}");
  EXPECT_EQ(run_words({"status"}).code, kDone);  // an older daemon's fields are just missing
}

TEST_F(CliCommand, EncodesWhatGoesIntoAQuery) {
  answer(200, R"({"result":"removed"})");
  EXPECT_EQ(run_words({"route", "del", "10.0.0.0/8&x=\xff y#"}).code, kDone);
  EXPECT_EQ(script_.requests.at(0).method, "DELETE");
  EXPECT_EQ(requested(0), "/v1/routes?prefix=10.0.0.0/8%26x%3D%FF%20y%23");
}

TEST_F(CliCommand, FollowsTheCursorToTheEnd) {
  answer(200, R"({"routes":[{"prefix":"10.0.0.0/8"}],"total":2,"next":"a b"})");
  answer(200, R"({"routes":[{"prefix":"11.0.0.0/8"}],"total":2,"next":null})");
  const Outcome outcome = run_words({"show", "routes", "--json"});
  EXPECT_EQ(requested(0), "/v1/routes?limit=1000");
  EXPECT_EQ(requested(1), "/v1/routes?limit=10000&after=a%20b");
  const Json document = Json::parse(outcome.out);
  EXPECT_EQ(document["routes"].size(), 2U);
  EXPECT_EQ(document["total"], 2);
  EXPECT_TRUE(document["next"].is_null());
}

TEST_F(CliCommand, AsksForNoMoreThanTheLimit) {
  answer(200, R"({"entries":[{"prefix":"10.0.0.0/8"},{"prefix":"11.0.0.0/8"}],"total":9,"next":"c"})");
  const Outcome outcome = run_words({"show", "fib", "0.0.0.0/0", "--orlonger", "--limit", "2"});
  ASSERT_EQ(script_.requests.size(), 1U);
  EXPECT_EQ(requested(0), "/v1/fib?prefix=0.0.0.0/0&orlonger=1&limit=2");
  EXPECT_NE(outcome.out.find("... stopped at the limit: 2 shown, 9 in the whole table\n"), std::string::npos);
}

TEST_F(CliCommand, SaysSoWhenAListIsEmpty) {
  answer(200, R"({"routes":[],"total":0,"next":null})");
  EXPECT_EQ(run_words({"show", "routes"}).out, "no routes\n");
  answer(200, R"({"neighbors":[]})");
  EXPECT_EQ(run_words({"show", "neighbors"}).out, "no neighbors\n");
  answer(200, R"({"feeds":[]})");
  EXPECT_EQ(run_words({"show", "feeds"}).out, "no feeds\n");
  answer(200, R"({"drops":[]})");
  EXPECT_EQ(run_words({"show", "drops"}).out, "no drops\n");
}

TEST_F(CliCommand, ShowsFeedsOfEitherKind) {
  answer(200, R"({"feeds":[
    {"name":"fpm","state":"up","state_seconds":12.0,"peer":"127.0.0.1:51544","routes":902,"stale":0,"parked":1,"next_hops":14},
    {"name":"netlink","state":"resyncing","state_seconds":0.5,"table":254,"routes":1000,"shadowed":3,"resyncs":7},
    {"name":"netlink","state":"up","state_seconds":1.0,"table":1000,"last_error":"what was wrong"}]})");
  const std::string out = run_words({"show", "feeds"}).out;
  for (const char* words : {"127.0.0.1:51544", "resyncing", "table main", "1,000", "table 1000",
                            "what was wrong", "SHADOWED", "RESYNCS"})
    EXPECT_NE(out.find(words), std::string::npos) << words << '\n' << out;
}

TEST_F(CliCommand, LetsNoStringOfTheApiReachTheTerminalRaw) {
  const std::string body =
      R"({"neighbors":[{"address":"\u001b[2J","interface":"\u009b31m","state":"a\nb"}]})";
  for (const std::vector<const char*>& words :
       {std::vector<const char*>{"show", "neighbors"}, {"show", "neighbors", "--json"}}) {
    answer(200, body);
    const std::string out = run_words(words).out;
    for (const char c : out) EXPECT_TRUE(c == '\n' || (c >= 0x20 && c < 0x7f)) << out;
  }
  answer(400, R"({"title":"\u001b[2J","detail":"\u0007"})");
  EXPECT_EQ(run_words({"status"}).err, "millrace: \\x1b[2J: \\x07\n");
}

TEST_F(CliCommand, SendsARouteAsItWasGiven) {
  answer(200, R"({"result":"replaced"})");
  const Outcome outcome = run_words(
      {"route", "add", "10.0.0.0/8", "via", "192.0.2.1", "192.0.2.2", "--distance", "5", "--owner", "me"});
  EXPECT_EQ(outcome.out, "replaced 10.0.0.0/8\n");
  EXPECT_EQ(script_.requests.at(0).body,
            R"({"prefix":"10.0.0.0/8","via":["192.0.2.1","192.0.2.2"],"distance":5,"owner":"me"})");
  answer(200, R"({"result":"added"})");
  run_words({"route", "add", "10.0.0.0/8", "prohibit"});
  EXPECT_EQ(script_.requests.at(1).body, R"({"prefix":"10.0.0.0/8","type":"prohibit"})");
  answer(200, R"({"result":"added"})");
  run_words({"route", "add", "10.0.0.0/8", "via", "192.0.2.1", "weight", "3", "192.0.2.2"});
  EXPECT_EQ(script_.requests.at(2).body,
            R"({"prefix":"10.0.0.0/8","via":[{"address":"192.0.2.1","weight":3},"192.0.2.2"]})");
  answer(200, R"({"result":"added"})");
  run_words({"route", "add", "2001:db8::/32", "via", "fe80::1", "dev", "wan0", "weight", "3", "fe80::2",
             "weight", "2", "dev", "lan0", "2001:db8::1"});
  EXPECT_EQ(script_.requests.at(3).body,
            R"({"prefix":"2001:db8::/32","via":[{"address":"fe80::1","interface":"wan0","weight":3},)"
            R"({"address":"fe80::2","weight":2,"interface":"lan0"},"2001:db8::1"]})");
}

TEST_F(CliCommand, ShowsBothFamilies) {
  answer(200, R"({"rib":{"routes":5,"families":{"ipv4":2,"ipv6":3},"sources":{"api":5}},
                  "fib":{"entries":6,"families":{"ipv4":2,"ipv6":4}}})");
  const std::string status = run_words({"status"}).out;
  EXPECT_NE(status.find("RIB:          5 routes (2 IPv4, 3 IPv6), api 5\n"), std::string::npos) << status;
  EXPECT_NE(status.find("FIB:          6 entries (2 IPv4, 4 IPv6), "), std::string::npos) << status;
  answer(200, R"({"interfaces":[{"name":"wan0","addresses":["192.0.2.1/24"],"link_local":"fe80::1"}]})");
  const std::string interfaces = run_words({"show", "interfaces"}).out;
  EXPECT_NE(interfaces.find(" 192.0.2.1/24 "), std::string::npos) << interfaces;
  EXPECT_NE(interfaces.find(" fe80::1/64"), std::string::npos) << interfaces;
}

TEST_F(CliCommand, AsksForAPrefixOfIpv6) {
  answer(200, R"({"routes":[],"total":0,"next":null})");
  run_words({"show", "routes", "2001:db8::/32"});
  EXPECT_EQ(requested(0), "/v1/routes?prefix=2001:db8::/32&limit=1000");
  answer(200, R"({"matched":false,"explanation":"no route"})");
  run_words({"route", "lookup", "2001:db8::1"});
  EXPECT_EQ(requested(1), "/v1/fib/lookup?address=2001:db8::1");
}

TEST_F(CliCommand, ShowsWeightsThatAreNot1) {
  answer(200,
         R"({"routes":[{"prefix":"10.0.0.0/8","source":"api","distance":1,"metric":0,"type":"unicast","via":[
      {"address":"192.0.2.1","interface":"a","state":"resolved","weight":3},
      {"address":"192.0.2.2","interface":"a","state":"failed","weight":1}],"best":true,"owner":null}],
      "total":1,"next":null})");
  const std::string routes = run_words({"show", "routes"}).out;
  EXPECT_NE(routes.find("192.0.2.1 a weight 3  resolved"), std::string::npos) << routes;
  EXPECT_NE(routes.find("192.0.2.2 a           failed"), std::string::npos) << routes;
}

TEST_F(CliCommand, PrintsProblemsOfAConfigurationWithTheirPlaces) {
  answer(422, R"({"title":"invalid","status":422,"problems":[
      {"file":"a.yaml","line":3,"column":5,"message":"unknown key 'quues'","hint":"did you mean 'queues'?"},
      {"file":"a.yaml","line":9,"column":1,"message":"expected a mapping","hint":""}]})");
  const Outcome outcome = run_words({"check", "/dev/null"});
  EXPECT_EQ(outcome.code, kFailed);
  EXPECT_EQ(outcome.err,
            "a.yaml:3:5: unknown key 'quues' (did you mean 'queues'?)\n"
            "a.yaml:9:1: expected a mapping\n");
}

TEST_F(CliCommand, AppliesOnTopOfTheGenerationThatItShowed) {
  answer(200, R"({"generation":7,"changes":[{"text":"+ routes 10.0.0.0/8: blackhole"}]})");
  answer(200, R"({"generation":8,"changes":[{"text":"+ routes 10.0.0.0/8: blackhole"}]})");
  const Outcome outcome = run_words({"apply", "/dev/null"});
  EXPECT_EQ(outcome.out, "+ routes 10.0.0.0/8: blackhole\napplied 1 change: generation 8\n");
  EXPECT_EQ(requested(1), "/v1/config:apply?file=/dev/null");
  EXPECT_EQ(script_.requests.at(1).if_match, "\"7\"");
}

TEST_F(CliCommand, RefusesToApplyOnTopOfAnotherGeneration) {
  answer(200, R"({"generation":7,"changes":[]})");
  EXPECT_EQ(run_words({"apply", "/dev/null", "--generation", "6"}).code, kFailed);
  EXPECT_EQ(script_.requests.size(), 1U);
  answer(200, R"({"generation":7,"changes":[]})");
  answer(412, R"({"title":"stale","status":412})");
  const Outcome outcome = run_words({"apply", "/dev/null"});
  EXPECT_EQ(outcome.code, kFailed);
  EXPECT_NE(outcome.err.find("no longer that of generation 7"), std::string::npos) << outcome.err;
}

class CliLoad : public CliCommand {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "cli-load-XXXXXX").string();
    close(mkstemp(name.data()));
    path_ = name;
    std::ofstream file(path_);
    for (int i = 0; i < 10'001; ++i) file << "10.0.0.0/8 via 192.0.2.1\n";
  }
  void TearDown() override { std::filesystem::remove(path_); }
  std::string path_;
};

TEST_F(CliLoad, CountsLinesOfErrorsFromTheStartOfTheFile) {
  answer(200, R"({"added":9998,"failed":2,"errors":[{"line":10000,"message":"no"}]})");
  answer(200, R"({"added":0,"failed":1,"errors":[{"line":1,"message":"not\u001b"}]})");
  const Outcome outcome = run_words({"load", path_.c_str()});
  EXPECT_EQ(outcome.code, kFailed);
  EXPECT_EQ(outcome.err, path_ + ":10000: no\n" + path_ + ": 1 more error in lines 1 to 10000\n" + path_ +
                             ":10001: not\\x1b\nmillrace: 3 lines of " + path_ + " failed\n");
  EXPECT_EQ(outcome.out.substr(0, 15), "9,998 routes in");
}

TEST_F(CliLoad, SaysHowFarItGotWhenTheDaemonGoesAway) {
  answer(200, R"({"added":10000})");
  const Outcome outcome = run_words({"load", path_.c_str()});
  EXPECT_EQ(outcome.code, kFailed);
  EXPECT_EQ(outcome.err, "millrace: no daemon (10,000 routes were loaded before)\n");
}

TEST_F(CliLoad, PrintsOneDocumentWithJson) {
  answer(200, R"({"added":10000})");
  answer(200, R"({"replaced":1})");
  const Outcome outcome = run_words({"load", "--json", path_.c_str()});
  EXPECT_EQ(outcome.code, kDone);
  const Json document = Json::parse(outcome.out);
  EXPECT_EQ(document["added"], 10'000);
  EXPECT_EQ(document["replaced"], 1);
  EXPECT_EQ(document["errors"].size(), 0U);
}

TEST_F(CliCommand, CompletesEveryCommand) {
  const std::string script = run_words({"completion", "bash"}).out;
  for (const char* const path : {"'millrace')", "'millrace show routes')", "'millrace route lookup')"}) {
    EXPECT_NE(script.find(path), std::string::npos) << path;
  }
  EXPECT_NE(script.find("compgen -W 'connected static api fpm netlink neighbor'"), std::string::npos);
}

}  // namespace
}  // namespace millrace::cli
