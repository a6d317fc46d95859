// Feeds in the API, and what becomes of their routes beside those of other sources.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "tests/unit/api_fixture.h"
#include "tests/unit/netlink_bytes.h"

namespace millrace::controlplane {
namespace {

using nlohmann::json;

class ApiFeedsTest : public ApiFixture {
 protected:
  ApiFeedsTest() : ApiFixture(4096, kConfig + "feeds: { fpm: { hold: 60s, sweep: 5s } }\n") {}

  void say(std::initializer_list<ByteString> messages) {
    const ByteString frame = fpm_frame(joined(messages));
    FpmFeed& fpm = *control_->fpm();
    std::copy(frame.begin(), frame.end(), fpm.room().begin());
    fpm.received(frame.size());
    for (Result<bool> more = true; more && *more;) more = fpm.work();
  }
  json feed() { return get_ok("/v1/feeds")["feeds"][0]; }
  json route(const std::string& prefix, const std::string& source) {
    const json page = get_ok("/v1/routes?prefix=" + prefix);
    for (const json& route : page["routes"]) {
      if (route["source"] == source) return route;
    }
    return nullptr;
  }
  void pass(std::uint64_t seconds) {
    now_ns_ += seconds * 1'000'000'000;
    control_->set_time(now_ns_);
    control_->tick();
  }
};

TEST_F(ApiFeedsTest, AFeedSaysWhoIsThereAndWhatItHasSaid) {
  EXPECT_EQ(feed()["state"], "idle");
  EXPECT_EQ(feed()["peer"], nullptr);
  EXPECT_EQ(feed()["listen"], "127.0.0.1:2620");
  control_->fpm()->connected("192.0.2.9:4711");
  say({next_hop(1, "192.0.2.2"), new_route({"203.0.113.0/24"}, by_id(1)),
       new_route({"198.18.0.0/15"}, by_id(2)), new_route({"192.0.2.0/24", kKernel}, by_id(1))});
  pass(2);
  json now = feed();
  EXPECT_EQ(now["state"], "syncing");
  EXPECT_EQ(now["state_seconds"], 2.0);
  EXPECT_EQ(now["peer"], "192.0.2.9:4711");
  EXPECT_EQ(now["messages"], 4);
  EXPECT_EQ(now["ignored"], 1);
  EXPECT_EQ(now["routes"], 1);
  EXPECT_EQ(now["parked"], 1);
  EXPECT_EQ(now["next_hops"], 1);
  EXPECT_EQ(now["last_error"], nullptr);
  pass(3);
  EXPECT_EQ(feed()["state"], "up");
  control_->fpm()->disconnected("it closed the connection");
  now = feed();
  EXPECT_EQ(now["state"], "held");
  EXPECT_EQ(now["last_error"], "it closed the connection");
  EXPECT_EQ(now["routes"], 1);
}

TEST_F(ApiFeedsTest, RoutesSayTheirSourceAndTheProtocolThatMadeThem) {
  control_->fpm()->connected("peer");
  say({next_hop(1, "192.0.2.2"), next_hop(2, "198.51.100.2"), group(3, {{1, 3}, {2}}), blackhole_next_hop(4),
       new_route({"203.0.113.0/24"}, by_id(3)), new_route({"198.18.0.0/15", kBgp, kUnreachable}),
       new_route({"100.64.0.0/10", kZebraStatic}, by_id(4))});
  const json group_route = route("203.0.113.0/24", "fpm");
  EXPECT_EQ(group_route["owner"], "bgp");
  EXPECT_EQ(group_route["distance"], 20);
  EXPECT_EQ(group_route["type"], "unicast");
  EXPECT_EQ(group_route["via"][0]["address"], "192.0.2.2");
  EXPECT_EQ(group_route["via"][0]["weight"], 3);
  EXPECT_EQ(route("198.18.0.0/15", "fpm")["type"], "unreachable");
  EXPECT_EQ(route("100.64.0.0/10", "fpm")["type"], "blackhole");
  EXPECT_EQ(route("100.64.0.0/10", "fpm")["owner"], "static");
  EXPECT_EQ(get_ok("/v1/status")["rib"]["sources"]["fpm"], 3);
  EXPECT_EQ(get_ok("/v1/routes?source=fpm")["total"], 3);
}

TEST_F(ApiFeedsTest, AStaticRouteIsBetterThanADaemonsUntilItGoes) {
  control_->fpm()->connected("peer");
  say({new_route({"10.0.0.0/8"}, via("198.51.100.2"))});
  EXPECT_EQ(route("10.0.0.0/8", "static")["best"], true);
  EXPECT_EQ(route("10.0.0.0/8", "fpm")["best"], false);
  batch("10.0.0.0/8 via 198.51.100.3\n");
  auto next = control_->desired();
  next.routes.ipv4.clear();
  ASSERT_TRUE(control_->apply(next));
  EXPECT_EQ(route("10.0.0.0/8", "api")["best"], true);
  batch("del 10.0.0.0/8\n");
  EXPECT_EQ(route("10.0.0.0/8", "fpm")["best"], true);
}

TEST_F(ApiFeedsTest, AFeedNeedsARestartToGoAndNoneToHaveOtherTimes) {
  auto next = control_->desired();
  next.feeds.fpm->hold_s = 1;
  ASSERT_TRUE(control_->apply(next));
  control_->fpm()->connected("peer");
  say({new_route({"203.0.113.0/24"}, via("192.0.2.2"))});
  control_->fpm()->disconnected("it closed the connection");
  pass(1);
  while (*control_->fpm()->work()) {
  }
  EXPECT_EQ(feed()["routes"], 0);
  next.feeds.fpm.reset();
  const auto refused = control_->apply(next);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().find("feeds.fpm.listen"), std::string::npos) << refused.error();
}

TEST_F(ApiFeedsTest, MetricsHaveTheFeed) {
  control_->fpm()->connected("peer");
  say({new_route({"203.0.113.0/24"}, via("192.0.2.2"))});
  const std::string text = get("/metrics").body;
  for (const char* line :
       {"millrace_feed_connected{feed=\"fpm\"} 1\n", "millrace_feed_messages_total{feed=\"fpm\"} 1\n",
        "millrace_routes{family=\"ipv4\",source=\"fpm\"} 1\n",
        "millrace_feed_stale_routes{feed=\"fpm\"} 0\n"})
    EXPECT_NE(text.find(line), std::string::npos) << line << text;
}

class ApiNetlinkFeedTest : public ApiFixture {
 protected:
  ApiNetlinkFeedTest() : ApiFixture(4096, kConfig + "feeds: { fpm: {}, netlink: { table: 100 } }\n") {}

  void say(const ByteString& messages) { control_->netlink()->receive(messages); }
  json feed() { return get_ok("/v1/feeds")["feeds"][1]; }
};

TEST_F(ApiNetlinkFeedTest, TheKernelsFeedSaysItsTableAndHowOftenItWasReadAnew) {
  EXPECT_EQ(feed()["name"], "netlink");
  EXPECT_EQ(feed()["table"], 100);
  EXPECT_EQ(feed()["state"], "syncing");
  NetlinkFeed& netlink = *control_->netlink();
  for (std::uint32_t sequence = 1; sequence <= 4; ++sequence) {
    ASSERT_FALSE(netlink.next_request().empty());
    say(done(sequence));
  }
  say(new_route({"203.0.113.0/24", kBird, kUnicast, 100, 32, kFirst}, via("192.0.2.2")));
  say(new_route({"203.0.113.0/24", kBoot, kUnicast, 100, 50, kFirst}, via("192.0.2.3")));
  say(new_route({"198.18.0.0/15", kBgp, kUnicast, 100, 20, kFirst}, via("192.0.2.3")));
  netlink.set_queued(1000);
  now_ns_ += 2'000'000'000;
  control_->set_time(now_ns_);
  netlink.messages_lost();
  ASSERT_FALSE(netlink.next_request().empty());
  const json now = feed();
  EXPECT_EQ(now["state"], "resyncing");
  EXPECT_EQ(now["messages"], 3);
  EXPECT_EQ(now["ignored"], 1) << "BGP's come over FPM";
  EXPECT_EQ(now["routes"], 1);
  EXPECT_EQ(now["shadowed"], 1);
  EXPECT_EQ(now["stale"], 2);
  EXPECT_EQ(now["resyncs"], 1);
  EXPECT_EQ(now["queued_bytes"], 1000);
  EXPECT_EQ(now["lag_seconds"], 2.0);
  EXPECT_EQ(now["last_error"], "the kernel's messages came faster than they were read (ENOBUFS)");
  EXPECT_EQ(get_ok("/v1/routes?source=netlink")["routes"][0]["owner"], "bird");
  EXPECT_EQ(get_ok("/v1/status")["rib"]["sources"]["netlink"], 1);
  const std::string text = get("/metrics").body;
  for (const char* line :
       {"millrace_feed_messages_total{feed=\"netlink\"} 3\n",
        "millrace_feed_messages_total{feed=\"fpm\"} 0\n", "millrace_feed_resyncs_total{feed=\"netlink\"} 1\n",
        "millrace_feed_lag_seconds{feed=\"netlink\"} 2\n", "millrace_feed_synchronized{feed=\"netlink\"} 0\n",
        "millrace_routes{family=\"ipv4\",source=\"netlink\"} 1\n"})
    EXPECT_NE(text.find(line), std::string::npos) << line << text;
}

TEST_F(ApiNetlinkFeedTest, AnotherTableNeedsARestart) {
  auto next = control_->desired();
  next.feeds.netlink->table = 101;
  const auto refused = control_->apply(next);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().find("feeds.netlink.table"), std::string::npos) << refused.error();
}

}  // namespace
}  // namespace millrace::controlplane
