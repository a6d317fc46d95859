#include "config/diff.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "config/parse.h"

namespace millrace::config {
namespace {

Config config_of(const std::string& text) {
  const auto result = parse(text, "test.yaml");
  for (const Problem& problem : result.problems) ADD_FAILURE() << problem.to_string();
  return result.config;
}

std::vector<std::string> lines(const std::string& before, const std::string& after) {
  std::vector<std::string> texts;
  for (const Change& change : describe(config_of(before), config_of(after)))
    texts.push_back(change.to_string());
  return texts;
}

const std::string kWan = "interfaces:\n  wan0: { device: net_null, addresses: [192.0.2.1/24] }\n";

const std::string kWan6 = "interfaces:\n  wan0: { device: net_null, addresses: [\"2001:db8::1/64\"] }\n";

struct Case {
  std::string what;
  std::string before;
  std::string after;
  std::vector<std::string> lines;
};

TEST(ConfigDiff, SaysEachChangeInTheWordsOfTheFile) {
  const Case table[] = {
      {"nothing", kWan, kWan, {}},
      {"a default written out", "", "dataplane: {memory: 1024M, idle: adaptive}\ncontrol: {core: 0}", {}},
      {"workers appear", "", "dataplane: {workers: [2, 3]}", {"+ dataplane.workers: 2, 3 (needs a restart)"}},
      {"workers go", "dataplane: {workers: [2]}", "", {"- dataplane.workers: 2 (needs a restart)"}},
      {"the dataplane",
       "",
       "dataplane: {hugepages: none, memory: 65537K, idle: poll, rss: symmetric}",
       {"~ dataplane.hugepages: auto -> none (needs a restart)",
        "~ dataplane.memory: 1G -> 65537K (needs a restart)",
        "~ dataplane.idle: adaptive -> poll (needs a restart)",
        "~ dataplane.rss: standard -> symmetric (needs a restart)"}},
      {"drivers come",
       "",
       "dataplane: {drivers: [/a.so, /b.so]}",
       {"+ dataplane.drivers: /a.so, /b.so (needs a restart)"}},
      {"the control plane",
       "control: {metrics: 127.0.0.1:1}",
       "control: {core: 1, api: /a.sock, metrics: 127.0.0.1:2, icmp_error_rate: 5/s}",
       {"~ control.core: 0 -> 1 (needs a restart)",
        "~ control.api: /run/millrace/api.sock -> /a.sock (needs a restart)",
        "~ control.metrics: 127.0.0.1:1 -> 127.0.0.1:2 (needs a restart)",
        "~ control.icmp_error_rate: 1000/s -> 5/s"}},
      {"daemons get interfaces",
       "interfaces: {a: {device: net_null}}",
       "interfaces: {a: {device: net_null, host: true}}\nhost: {netns: routing}",
       {"+ host.netns: routing (needs a restart)", "~ interfaces.a.host: false -> true"}},
      {"a feed comes",
       "",
       "feeds: {fpm: {hold: 60s}}",
       {"+ feeds.fpm.listen: 127.0.0.1:2620 (needs a restart)", "+ feeds.fpm.hold: 60s",
        "+ feeds.fpm.sweep: 30s", "+ feeds.fpm.offload_feedback: false"}},
      {"a feed changes",
       "feeds: {fpm: {}}",
       "feeds: {fpm: {listen: 10.0.0.1:2620, hold: 0s, sweep: 1s}}",
       {"~ feeds.fpm.listen: 127.0.0.1:2620 -> 10.0.0.1:2620 (needs a restart)",
        "~ feeds.fpm.hold: 120s -> 0s", "~ feeds.fpm.sweep: 30s -> 1s"}},
      {"a feed goes",
       "feeds: {fpm: {}}",
       "",
       {"- feeds.fpm.listen: 127.0.0.1:2620 (needs a restart)", "- feeds.fpm.hold: 120s",
        "- feeds.fpm.sweep: 30s", "- feeds.fpm.offload_feedback: false"}},
      {"distances of protocols",
       "feeds: {fpm: {}, distances: {bgp: 200}}",
       "feeds: {fpm: {offload_feedback: true}, distances: {ospf: 5}}",
       {"~ feeds.fpm.offload_feedback: false -> true", "~ feeds.distances.bgp: 200 -> 20",
        "~ feeds.distances.ospf: 110 -> 5"}},
      {"the kernel's table is another",
       "feeds: {netlink: {}}",
       "feeds: {netlink: {table: 100}}",
       {"~ feeds.netlink.table: main -> 100 (needs a restart)"}},
      {"the kernel's table comes",
       "",
       "feeds: {netlink: {}}",
       {"+ feeds.netlink.table: main (needs a restart)"}},
      {"an interface comes",
       "",
       kWan,
       {"+ interfaces.wan0.device: net_null", "+ interfaces.wan0.queues: auto", "+ interfaces.wan0.mtu: 1500",
        "+ interfaces.wan0.addresses: 192.0.2.1/24"}},
      {"an interface goes",
       "interfaces: {a: {device: net_null, queues: 2}}",
       "",
       {"- interfaces.a.device: net_null", "- interfaces.a.queues: 2", "- interfaces.a.mtu: 1500"}},
      {"an interface changes",
       kWan,
       "interfaces: {wan0: {device: net_ring, queues: 4, mtu: 9000, addresses: [192.0.2.2/24]}}",
       {"~ interfaces.wan0.device: net_null -> net_ring", "~ interfaces.wan0.queues: auto -> 4",
        "~ interfaces.wan0.mtu: 1500 -> 9000", "- interfaces.wan0.addresses: 192.0.2.1/24",
        "+ interfaces.wan0.addresses: 192.0.2.2/24"}},
      {"a VLAN comes",
       kWan,
       kWan + "  wan0.7: {parent: wan0, vlan: 7, inner_vlan: 8, urpf: strict}\n  lo0: {loopback: true}\n",
       {"+ interfaces.lo0.loopback: true", "+ interfaces.wan0.7.parent: wan0", "+ interfaces.wan0.7.vlan: 7",
        "+ interfaces.wan0.7.inner_vlan: 8", "+ interfaces.wan0.7.vlan_type: dot1ad",
        "+ interfaces.wan0.7.mtu: 1500", "+ interfaces.wan0.7.urpf: strict"}},
      {"the knobs of an interface",
       "interfaces: {a: {device: net_null, urpf: strict}}",
       "interfaces: {a: {device: net_null, ip_options: ignore, directed_broadcast: true, offloads: false}}",
       {"~ interfaces.a.offloads: true -> false", "~ interfaces.a.urpf: strict -> off",
        "~ interfaces.a.ip_options: drop -> ignore", "~ interfaces.a.directed_broadcast: false -> true"}},
      {"the primary address changes",
       "interfaces: {a: {device: net_null, addresses: [10.0.0.1/8, 10.0.0.2/8]}}",
       "interfaces: {a: {device: net_null, addresses: [10.0.0.2/8, 10.0.0.1/8]}}",
       {"~ interfaces.a.addresses: 10.0.0.1/8, 10.0.0.2/8 -> 10.0.0.2/8, 10.0.0.1/8"}},
      {"routes",
       kWan +
           "routes:\n  - {prefix: 10.0.0.0/8, type: blackhole}\n  - {prefix: 11.0.0.0/8, via: 192.0.2.2}\n",
       kWan + "routes:\n  - {prefix: 11.0.0.0/8, via: [192.0.2.3, 192.0.2.2], distance: 5}\n"
              "  - {prefix: 0.0.0.0/0, via: 192.0.2.4, metric: 9}\n",
       {"- routes 10.0.0.0/8: blackhole", "+ routes 0.0.0.0/0: via 192.0.2.4, metric 9",
        "~ routes 11.0.0.0/8: via 192.0.2.2 -> via 192.0.2.2, 192.0.2.3, distance 5"}},
      {"several routes of one prefix",
       kWan + "routes: [{prefix: 10.0.0.0/8, via: 192.0.2.2}]",
       kWan + "routes: [{prefix: 10.0.0.0/8, via: 192.0.2.3, distance: 200}, {prefix: 10.0.0.0/8, via: "
              "192.0.2.2}]",
       {"~ routes 10.0.0.0/8: via 192.0.2.2 -> via 192.0.2.2; via 192.0.2.3, distance 200"}},
      {"weights of next hops",
       kWan + "routes: [{prefix: 10.0.0.0/8, via: [{address: 192.0.2.2, weight: 1}, 192.0.2.3]},\n"
              "         {prefix: 11.0.0.0/8, via: [192.0.2.2, 192.0.2.3]}]",
       kWan + "routes: [{prefix: 10.0.0.0/8, via: [{address: 192.0.2.2, weight: 3}, 192.0.2.3]},\n"
              "         {prefix: 11.0.0.0/8, via: [{address: 192.0.2.2, weight: 1}, 192.0.2.3]}]",
       {"~ routes 10.0.0.0/8: via 192.0.2.2, 192.0.2.3 -> via 192.0.2.2 weight 3, 192.0.2.3"}},
      {"both families, IPv4 first",
       kWan6 + "routes: [{prefix: \"2001:db8:1::/48\", type: blackhole}]",
       kWan6 + "routes: [{prefix: \"::/0\", via: [{address: \"fe80::2\", interface: wan0, weight: 2}]},\n"
               "         {prefix: 10.0.0.0/8, via: {address: \"fe80::1\", interface: wan0}}]",
       {"+ routes 10.0.0.0/8: via fe80::1 dev wan0", "- routes 2001:db8:1::/48: blackhole",
        "+ routes ::/0: via fe80::2 dev wan0 weight 2"}},
      {"another interface of a next hop",
       kWan6 + "routes: [{prefix: \"::/0\", via: \"2001:db8::2\"}]",
       kWan6 + "routes: [{prefix: \"::/0\", via: {address: \"2001:db8::2\", interface: wan0}}]",
       {"~ routes ::/0: via 2001:db8::2 -> via 2001:db8::2 dev wan0"}},
      {"addresses of both families, each with a primary one",
       "interfaces: {a: {device: net_null, addresses: [10.0.0.1/8, \"2001:db8::1/64\", \"2001:db8::2/64\"]}}",
       "interfaces: {a: {device: net_null, addresses: [\"2001:db8::2/64\", \"2001:db8::1/64\", 10.0.0.1/8]}}",
       {"~ interfaces.a.addresses: 2001:db8::1/64, 2001:db8::2/64 -> 2001:db8::2/64, 2001:db8::1/64"}},
      {"neighbours",
       kWan + "neighbors:\n  - {address: 192.0.2.2, mac: \"02:00:00:00:00:02\", interface: wan0}\n",
       kWan + "neighbors:\n  - {address: 192.0.2.2, mac: \"02:00:00:00:00:03\", interface: wan0}\n"
              "  - {address: 192.0.2.3, mac: \"02:00:00:00:00:04\", interface: wan0}\n",
       {"+ neighbors wan0 192.0.2.3: 02:00:00:00:00:04",
        "~ neighbors wan0 192.0.2.2: 02:00:00:00:00:02 -> 02:00:00:00:00:03"}},
      {"the same next hops in another order",
       kWan + "routes: [{prefix: 10.0.0.0/8, via: [192.0.2.2, 192.0.2.3]}]",
       kWan + "routes: [{prefix: 10.0.0.0/8, via: [192.0.2.3, 192.0.2.2]}]",
       {}},
  };
  for (const Case& c : table) EXPECT_EQ(lines(c.before, c.after), c.lines) << c.what;
}

TEST(ConfigDiff, FollowsTheOrderOfTheSections) {
  const auto all =
      lines("", kWan +
                    "control: {icmp_error_rate: 9/s}\ndataplane: {idle: poll}\n"
                    "routes: [{prefix: 10.0.0.0/8, type: prohibit}]\n"
                    "neighbors: [{address: 192.0.2.2, mac: \"02:00:00:00:00:02\", interface: wan0}]\n");
  ASSERT_EQ(all.size(), 8U);
  EXPECT_EQ(all[0].substr(0, 11), "~ dataplane");
  EXPECT_EQ(all[1].substr(0, 9), "~ control");
  EXPECT_EQ(all[2].substr(0, 12), "+ interfaces");
  EXPECT_EQ(all[6], "+ routes 10.0.0.0/8: prohibit");
  EXPECT_EQ(all[7].substr(0, 11), "+ neighbors");
}

TEST(ConfigDiff, GivesTypedSetsForTheRouterToApply) {
  const Config before = config_of(kWan + "routes: [{prefix: 10.0.0.0/8, type: blackhole}]");
  const Config after = config_of(
      "interfaces: {wan0: {device: net_null, mtu: 9000}, lan0: {device: net_null}}\n"
      "routes: [{prefix: 10.0.0.0/8, type: prohibit}]\ncontrol: {icmp_error_rate: 1/s}\n");
  const Diff changes = diff(before, after);
  ASSERT_EQ(changes.interfaces.added.size(), 1U);
  EXPECT_EQ(changes.interfaces.added[0].first, "lan0");
  ASSERT_EQ(changes.interfaces.changed.size(), 1U);
  EXPECT_EQ(changes.interfaces.changed[0].before.mtu, 1500U);
  EXPECT_EQ(changes.interfaces.changed[0].after.mtu, 9000U);
  ASSERT_EQ(changes.routes.ipv4.changed.size(), 1U);
  EXPECT_EQ(changes.routes.ipv4.changed[0].after.type, RouteType::prohibit);
  EXPECT_TRUE(changes.neighbors.empty());
  EXPECT_TRUE(changes.restart.empty());
  EXPECT_TRUE(changes.icmp_error_rate_changed);
  EXPECT_FALSE(changes.empty());
}

TEST(ConfigDiff, KeepsTheOldValueOfWhatIsRemoved) {
  const Diff changes = diff(config_of(kWan), Config{});
  ASSERT_EQ(changes.interfaces.removed.size(), 1U);
  EXPECT_EQ(changes.interfaces.removed[0].second.device, "net_null");
}

TEST(ConfigDiff, IsEmptyExactlyWhenNothingChanges) {
  const std::string texts[] = {"",
                               kWan,
                               "control: {icmp_error_rate: 1/s}",
                               "dataplane: {idle: poll}",
                               "routes: [{prefix: 10.0.0.0/8, type: blackhole}]",
                               "host: {netns: a}",
                               "feeds: {fpm: {}}",
                               "feeds: {fpm: {sweep: 1s}}",
                               "feeds: {netlink: {}}",
                               "feeds: {netlink: {table: 7}}"};
  for (const std::string& a : texts) {
    for (const std::string& b : texts) {
      EXPECT_EQ(diff(config_of(a), config_of(b)).empty(), a == b) << a << " / " << b;
      EXPECT_EQ(lines(a, b).empty(), a == b) << a << " / " << b;
    }
  }
}

}  // namespace
}  // namespace millrace::config
