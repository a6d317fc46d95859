// Listings in pages: whatever the page size, each prefix is met once and in order.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/unit/api_fixture.h"

namespace millrace::controlplane {
namespace {

using nlohmann::json;

class ApiPagingTest : public ApiFixture {
 protected:
  // Routes of every source, several a prefix, and more hidden ones in a row than a slice holds.
  void make_many() {
    std::string neighbors = kConfig;
    for (int i = 0; i < 600; ++i) {
      neighbors += "  - { address: 172.16." + std::to_string(i / 250) + "." + std::to_string(1 + i % 250) +
                   ", mac: \"02:00:00:00:00:01\", interface: big0 }\n";
    }
    const std::string with_big = std::string(neighbors).insert(
        neighbors.find("routes:"), "  big0: { device: net_null, addresses: [172.16.255.254/16] }\n");
    const auto parsed = config::parse(with_big, "many.yaml");
    ASSERT_TRUE(parsed.ok()) << parsed.problems.front().to_string();
    ASSERT_TRUE(control_->apply(parsed.config));
    std::string lines =
        "0.0.0.0/0 blackhole\n10.0.0.0/8 via 192.0.2.254\n192.0.2.0/24 prohibit\n";  // not the best
    for (int i = 0; i < 300; ++i) {
      lines += "203." + std::to_string(i / 250) + "." + std::to_string(i % 250) + ".0/24 via 192.0.2.254\n";
    }
    lines += "255.255.255.255/32 prohibit\n";
    for (int i = 0; i < 300; ++i) lines += "2001:db8:" + std::to_string(i) + "::/48 unreachable\n";
    ASSERT_EQ(batch(lines)["failed"], 0);
  }

  // All rows of a listing, page by page.
  json all_pages(const std::string& target, const std::string& key, std::size_t limit) {
    json rows = json::array();
    std::string after;
    for (int pages = 0; pages < 5000; ++pages) {
      const json page = get_ok(target + (target.find('?') == std::string::npos ? "?" : "&") +
                               "limit=" + std::to_string(limit) + after);
      for (const json& row : page[key]) rows.push_back(row);
      if (page["next"].is_null()) return rows;
      after = "&after=" + page["next"].get<std::string>();
    }
    ADD_FAILURE() << "the listing does not end: " << target;
    return rows;
  }
  static void expect_sorted(const json& rows) {
    for (std::size_t i = 1; i < rows.size(); ++i) {
      const auto before = *parse_prefix(rows[i - 1]["prefix"].get<std::string>());
      const auto after = *parse_prefix(rows[i]["prefix"].get<std::string>());
      ASSERT_LE(before, after);
      if (before == after && rows[i].contains("best")) {
        EXPECT_EQ(rows[i]["best"], false) << rows[i];
      }
    }
  }
};

TEST_F(ApiPagingTest, RoutesAreMetOnceWhateverThePageSize) {
  make_many();
  const json all = get_ok("/v1/routes?limit=10000");
  EXPECT_EQ(all["next"], nullptr);
  EXPECT_EQ(all["total"], all["routes"].size())
      << "neighbours' host routes are no routes that anybody asked for";
  expect_sorted(all["routes"]);
  std::size_t api = 0;
  for (const json& route : all["routes"]) api += route["source"] == "api" ? 1 : 0;
  EXPECT_EQ(api, 604U);
  for (const std::size_t limit : {1U, 2U, 3U, 7U, 100U, 255U, 256U, 257U, 1000U}) {
    EXPECT_EQ(all_pages("/v1/routes", "routes", limit), all["routes"]) << "pages of " << limit;
  }
}

TEST_F(ApiPagingTest, FilteredRoutesAreMetOnceWhateverThePageSize) {
  make_many();
  const struct {
    const char* query;
    std::size_t rows;
  } table[] = {{"?source=api", 604},
               {"?source=static", 2},
               {"?source=connected", 12},
               {"?source=neighbor", 601},
               {"?prefix=10.0.0.0/8", 2},
               {"?prefix=10.0.0.0/8&source=api", 1},
               {"?prefix=10.0.0.0/9", 0},
               {"?prefix=203.0.0.0/8&orlonger=1", 300},
               {"?prefix=203.0.7.9/16&orlonger=true", 250},
               {"?prefix=0.0.0.0/0&orlonger=1&source=static", 2},
               {"?prefix=0.0.0.0/0", 2},
               {"?prefix=255.255.255.255/32", 1},
               {"?prefix=2001:db8:7::/48", 1},
               {"?prefix=2001:db8:7::1/48", 1},
               {"?prefix=2001:db8::/32", 0},
               {"?prefix=2001:db8::/32&orlonger=1", 300},
               {"?prefix=2001:db8::/44&orlonger=1", 10},
               {"?prefix=::/0&orlonger=1", 300},
               {"?prefix=::/0&orlonger=1&source=static", 0},
               {"?prefix=172.16.0.0/16&orlonger=1&source=api", 0},
               {"?via=192.0.2.254&source=api&prefix=203.0.0.0/16&orlonger=1", 250},
               {"?via=192.0.2.253", 0},
               {"?via=192.0.2.254&source=connected", 0}};
  for (const auto& c : table) {
    for (const std::size_t limit : {1U, 5U, 300U, 10000U}) {
      const json rows = all_pages(std::string("/v1/routes") + c.query, "routes", limit);
      EXPECT_EQ(rows.size(), c.rows) << c.query << " in pages of " << limit;
      expect_sorted(rows);
    }
  }
}

TEST_F(ApiPagingTest, FibEntriesAreMetOnceWhateverThePageSize) {
  make_many();
  const json all = get_ok("/v1/fib?limit=10000");
  EXPECT_EQ(all["total"], all["entries"].size());
  expect_sorted(all["entries"]);
  for (const std::size_t limit : {1U, 2U, 255U, 256U, 257U, 900U}) {
    EXPECT_EQ(all_pages("/v1/fib", "entries", limit), all["entries"]) << "pages of " << limit;
  }
  EXPECT_EQ(all_pages("/v1/fib?prefix=203.1.0.0/16&orlonger=1", "entries", 7).size(), 50U);
  EXPECT_EQ(all_pages("/v1/fib?prefix=2001:db8::/32&orlonger=1", "entries", 7).size(), 300U);
  EXPECT_EQ(all_pages("/v1/fib?prefix=203.1.0.0/16&orlonger=1&via=192.0.2.254", "entries", 7).size(), 50U);
  EXPECT_EQ(all_pages("/v1/fib?via=192.0.2.253", "entries", 7).size(), 0U);
  EXPECT_EQ(get_ok("/v1/fib?prefix=10.0.0.0/8")["entries"],
            json::parse(R"([{"prefix": "10.0.0.0/8", "next_hop": )" +
                        get_ok("/v1/fib/lookup?address=10.0.0.1")["next_hop"]["id"].dump() +
                        R"(, "kind": "drop", "detail": "route_blackhole"}])"));
}

TEST_F(ApiPagingTest, ACursorOutlivesItsPrefix) {
  batch("20.0.0.0/8 blackhole\n21.0.0.0/8 blackhole\n22.0.0.0/8 blackhole\n");
  const json first = get_ok("/v1/routes?source=api&limit=1");
  ASSERT_EQ(first["next"], "20.0.0.0/8");
  batch("del 20.0.0.0/8\n");
  EXPECT_EQ(get_ok("/v1/routes?source=api&limit=1&after=20.0.0.0/8")["routes"][0]["prefix"], "21.0.0.0/8");
}

// A page may end with the last prefix of IPv4: the next one goes on with IPv6, if there is any.
TEST_F(ApiPagingTest, APageMayEndBetweenTheFamilies) {
  batch("20.0.0.0/8 blackhole\n");
  EXPECT_EQ(get_ok("/v1/routes?source=api&limit=1&prefix=20.0.0.0/8")["next"], nullptr);
  batch("2001:db8::/32 blackhole\n");
  EXPECT_EQ(get_ok("/v1/routes?source=api&limit=1&prefix=20.0.0.0/8")["next"], nullptr);
  const json last4 = get_ok("/v1/fib?limit=1&after=198.51.100.255/32");
  EXPECT_EQ(last4["entries"][0]["prefix"], "2001:db8::/32");
  EXPECT_EQ(last4["next"], nullptr);
  EXPECT_TRUE(get_ok("/v1/fib?after=2001:db8::/32")["entries"].empty());
}

TEST_F(ApiPagingTest, BadParametersAre400AndNamed) {
  const struct {
    const char *query, *detail;
  } table[] = {{"limit=0", "limit: not a number from 1 to 10000"},
               {"limit=10001", "limit: not a number from 1 to 10000"},
               {"limit=-1", "limit: not a number from 1 to 10000"},
               {"limit=", "limit: not a number from 1 to 10000"},
               {"limit=5x", "limit: not a number from 1 to 10000"},
               {"limit=99999999999999999999", "limit: not a number from 1 to 10000"},
               {"after=x", "after: not a cursor of this listing"},
               {"after=10.0.0.1/8", "after: not a cursor of this listing"},
               {"after=2001:db8::1/32", "after: not a cursor of this listing"},
               {"prefix=2001:db8::", "prefix: \"2001:db8::\" is not a prefix"},
               {"source=bgp", "source: \"bgp\" is not connected, static, api, fpm, netlink or neighbor"},
               {"prefix=10.0.0.0", "prefix: \"10.0.0.0\" is not a prefix"},
               {"colour=red", "unknown parameter \"colour\""}};
  for (const auto& c : table) EXPECT_EQ(problem_of(get(std::string("/v1/routes?") + c.query), 400), c.detail);
  problem_of(get("/v1/fib?limit=0"), 400);
  problem_of(get("/v1/routes?prefix=%ff"), 400);
}

TEST_F(ApiPagingTest, ManyNeighboursAreListedWhole) {
  make_many();
  const json neighbors = get_ok("/v1/neighbors")["neighbors"];
  EXPECT_EQ(neighbors.size(), 601U);
}

}  // namespace
}  // namespace millrace::controlplane
