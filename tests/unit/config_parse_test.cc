#include "config/parse.h"

#include <gtest/gtest.h>

#include <chrono>
#include <fstream>
#include <string>
#include <vector>

#include "config/document.h"
#include "tests/unit/config_cases.h"

namespace millrace::config {
namespace {

TEST(ConfigParse, NamesThePlaceOfWhatIsNotYaml) {
  const Wrong table[] = {
      {"control: [", 1, 10, "end of sequence flow not found", "']'"},
      {"control: {core: 1", 1, 10, "end of map flow not found", "'}'"},
      {"control: core: 1", 1, 14, "illegal map value", "quotes"},
      {"control:\n\tcore: 1", 2, 6, "illegal map value", "indent with spaces"},
      {"control: \"x", 1, 12, "illegal EOF in scalar", ""},
      {"control: *x", 1, 10, "anchor is not defined", ""},
      {"control: {}\n---\nroutes: []", 2, 1, "a second YAML document", ""},
      {"control: {}\n}", 2, 1, "illegal flow end", ""},
      {"control: !!map {}", 1, 10, "tag 'tag:yaml.org,2002:map' is not used", "remove it"},
      {"? [core]\n: 1", 1, 3, "a key must be a word", ""},
      {"&a control: {}\n*a : 1", 2, 1, "an alias cannot be a key", ""},
      {"routes: &a [*a]", 1, 13, "this alias is a part of what it stands for", ""},
      {"control: {}\nroutes: \xff", 2, 9, "not UTF-8", "UTF-8"},
      {"control: \"\xed\xa0\x80\"", 1, 11, "not UTF-8", "UTF-8"},
      {"control: {} # \x04", 1, 15, "a control character", "UTF-8"},
      {"control: {}\rroutes: []", 1, 12, "carriage return", "UTF-8"},
  };
  for (const Wrong& wrong : table) expect_one_problem(wrong);
  expect_one_problem({std::string_view("control: {}\0", 12), 1, 12, "a control character", "UTF-8"});
}

TEST(ConfigParse, RefusesAWrongShapeOrAnUnknownKey) {
  const Wrong table[] = {
      {"[1, 2]", 1, 1, "the configuration must be a mapping of dataplane, control", ""},
      {"millrace", 1, 1, "the configuration must be a mapping", ""},
      {"interface: {}", 1, 1, "unknown key 'interface' in the configuration", "did you mean 'interfaces'?"},
      {"wireguard: {}", 1, 1, "unknown key 'wireguard'", "known keys: dataplane, control"},
      {"control: {}\nroutes: []\ncontrol: {}", 3, 1, "duplicate key 'control'", "line 1"},
      {"control: {core: 1,\n  core: 1}", 2, 3, "duplicate key 'core'", "line 1"},
      {"dataplane: [1]", 1, 12,
       "dataplane must be a mapping of workers, hugepages, memory, idle, tx_wait_us, flow_label_hash, rss, "
       "drivers, not a list",
       ""},
      {"control: 5", 1, 10, "control must be a mapping of core, api", ""},
      {"interfaces: []", 1, 13, "interfaces must be a mapping of names to interfaces, not a list", ""},
      {"routes: {}", 1, 9, "routes must be a list of routes, not a mapping", ""},
      {"routes: [foo]", 1, 10, "a route must be a mapping of prefix, via", ""},
      {"neighbors: foo", 1, 12, "neighbors must be a list of neighbours", "[foo]"},
      {"neighbors: [[]]", 1, 13, "a neighbour must be a mapping", ""},
      {"interfaces:\n  wan0:\n\nroutes: []", 2, 3, "interface 'wan0' must be a mapping of device", ""},
  };
  for (const Wrong& wrong : table) expect_one_problem(wrong);
}

TEST(ConfigParse, RefusesWrongSettingsOfDataplaneAndControl) {
  const Wrong table[] = {
      {"dataplane: {workers: []}", 1, 22, "workers must name a core at least", "leave the key out"},
      {"dataplane: {workers: 2}", 1, 22, "workers must be a list of cores, not '2'", "write a list: [2]"},
      {"dataplane: {workers: [2, x]}", 1, 26, "must be a whole number from 0 to 1023, not 'x'", ""},
      {"dataplane: {workers: [1024]}", 1, 23, "from 0 to 1023, not '1024'", ""},
      {"dataplane: {workers: [-1]}", 1, 23, "not '-1'", ""},
      {"dataplane: {workers: [02]}", 1, 23, "not '02'", ""},
      {"dataplane: {workers: [\"2\"]}", 1, 23, "not '2'", "remove the quotes"},
      {"dataplane: {workers: [2, 2]}", 1, 26, "core 2 has a worker already", "one worker"},
      {"dataplane: {hugepages: 4M}", 1, 24, "one of auto, 1G, 2M, none, not '4M'", "did you mean '2M'?"},
      {"dataplane: {hugepages: 64K}", 1, 24, "one of auto, 1G, 2M, none, not '64K'", ""},
      {"dataplane: {tx_wait_us: 1001}", 1, 25, "tx_wait_us must be a whole number from 0 to 1000, not '1001'",
       ""},
      {"dataplane: {memory: 1024}", 1, 21, "a size from 64M to 1024G, not '1024'", "add the unit"},
      {"dataplane: {memory: 1GB}", 1, 21, "not '1GB'", "did you mean '1G'?"},
      {"dataplane: {memory: 1T}", 1, 21, "not '1T'", "did you mean '1024G'?"},
      {"dataplane: {memory: 63M}", 1, 21, "not '63M'", ""},
      {"dataplane: {memory: 1025G}", 1, 21, "not '1025G'", ""},
      {"dataplane: {memory: 99999999999999999999G}", 1, 21, "a size from 64M", "such as"},
      {"dataplane: {idle: pol}", 1, 19, "one of adaptive, poll, not 'pol'", "did you mean 'poll'?"},
      {"dataplane: {rss: symetric}", 1, 18, "one of standard, symmetric, not 'symetric'",
       "did you mean 'symmetric'?"},
      {"dataplane: {idle: }", 1, 13, "one of adaptive, poll, not empty", ""},
      {"dataplane: {drivers: /a.so}", 1, 22, "drivers must be a list of files, not '/a.so'", "[/a.so]"},
      {"dataplane: {drivers: [a.so]}", 1, 23, "a driver must be the absolute path of a file, not 'a.so'", ""},
      {"dataplane: {drivers: [/usr/lib/]}", 1, 23, "the absolute path of a file", ""},
      {"dataplane: {drivers: [/a.so, [/b.so]]}", 1, 30, "a driver must be the absolute path of a file", ""},
      {"dataplane: {Memory: 1G}", 1, 13, "unknown key 'Memory' in dataplane", "did you mean 'memory'?"},
      {"control: {core: 1.5}", 1, 17, "core must be a whole number", ""},
      {"control: {api: api.sock}", 1, 16, "absolute path", "/run/millrace/api.sock"},
      {"control: {api: \"/run/\\0\"}", 1, 16, "absolute path of a socket, up to 107 bytes long, not '/run/?'",
       "such"},
      {"control: {metrics: 9473}", 1, 20, "an IPv4 address and a port, not '9473'", "127.0.0.1:9473"},
      {"control: {metrics: 127.0.0.1:0}", 1, 20, "an IPv4 address and a port", "such as"},
      {"control: {metrics: 127.0.0.1:65536}", 1, 20, "an IPv4 address and a port", "such as"},
      {"control: {metrics: }", 1, 11, "an IPv4 address and a port, not empty", "such as"},
      {"control: {icmp_error_rate: 1000}", 1, 28, "a rate from 1/s to 1000000/s", "did you mean '1000/s'?"},
      {"control: {icmp_error_rate: 0/s}", 1, 28, "a rate from 1/s", ""},
      {"control: {icmp_error_rate: 1000001/s}", 1, 28, "a rate from 1/s", ""},
      {"control: {icmp_error_rate: 10/m}", 1, 28, "not '10/m'", ""},
  };
  for (const Wrong& wrong : table) expect_one_problem(wrong);
}

TEST(ConfigParse, RefusesWrongSettingsOfFeeds) {
  const Wrong table[] = {
      {"host: {netns: }", 1, 8, "netns must be 1 to 64 letters, digits, '-', '_' and '.'", ""},
      {"host: {netns: ../a}", 1, 15, "a letter or digit first, not '../a'", ""},
      {"host: {netns: .hidden}", 1, 15, "not '.hidden'", ""},
      {"host: {net: a}", 1, 8, "unknown key 'net' in host", "netns"},
      {"feeds: {bgp: {}}", 1, 9, "unknown key 'bgp' in feeds", "known keys: fpm, netlink, distances"},
      {"feeds: {fpm: }", 1, 9, "fpm must be a mapping of listen, hold, sweep, offload_feedback, not empty",
       ""},
      {"feeds: {fpm: {listen: 2620}}", 1, 23, "an IPv4 address and a port, not '2620'", "such as"},
      {"feeds: {fpm: {hold: 120}}", 1, 21, "hold must be a time from 0s to 3600s, not '120'",
       "did you mean '120s'?"},
      {"feeds: {fpm: {hold: 2m}}", 1, 21, "not '2m'", ""},
      {"feeds: {fpm: {hold: 3601s}}", 1, 21, "not '3601s'", ""},
      {"feeds: {fpm: {hold: s}}", 1, 21, "not 's'", ""},
      {"feeds: {fpm: {sweep: 0s}}", 1, 22, "sweep must be a time from 1s to 600s, not '0s'", ""},
      {"feeds: {netlink: {table: local}}", 1, 26,
       "table must be main or a whole number from 1 to 4294967295, not 'local'", ""},
      {"feeds: {netlink: {table: mian}}", 1, 26, "not 'mian'", "did you mean 'main'?"},
      {"feeds: {netlink: {table: 0}}", 1, 26, "a whole number from 1 to 4294967295, not '0'", ""},
      {"feeds: {netlink: {table: 4294967296}}", 1, 26, "not '4294967296'", ""},
      {"feeds: {netlink: {table: []}}", 1, 26, "not a list", ""},
      {"feeds: {netlink: {hold: 1s}}", 1, 19, "unknown key 'hold' in netlink", "known keys: table"},
      {"feeds: {fpm: {offload_feedback: on}}", 1, 33, "offload_feedback must be one of true, false, not 'on'",
       ""},
      {"feeds: {distances: 20}", 1, 20, "distances must be a mapping of redirect, kernel, boot", ""},
      {"feeds: {distances: {bpg: 20}}", 1, 21, "unknown key 'bpg' in distances", "did you mean 'bgp'?"},
      {"feeds: {distances: {bgp: 0}}", 1, 26, "bgp must be a whole number from 1 to 255, not '0'", ""},
      {"feeds: {distances: {bgp: 256}}", 1, 26, "not '256'", ""},
  };
  for (const Wrong& wrong : table) expect_one_problem(wrong);
}

TEST(ConfigParse, AFeedWithoutSettingsHasTheDefaults) {
  EXPECT_EQ(parse_text("feeds: {fpm: {}}").config.feeds.fpm, FpmConfig{});
  EXPECT_FALSE(parse_text("feeds: {}").config.feeds.fpm);
  EXPECT_EQ(parse_text("feeds: {netlink: {}}").config.feeds.netlink, NetlinkConfig{});
  EXPECT_EQ(parse_text("feeds: {netlink: {table: main}}").config.feeds.netlink, NetlinkConfig{254});
  EXPECT_EQ(parse_text("feeds:").config, Config{});
}

TEST(ConfigParse, DistancesAreThoseThatAreNotAProtocolsOwn) {
  EXPECT_EQ(parse_text("feeds: {distances: {bgp: 200, ospf: 110, static: 5}}").config.feeds.distances,
            (FeedsConfig::Distances{{"bgp", 200}, {"static", 5}}));
}

TEST(ConfigParse, ReportsEveryProblemInTheOrderOfTheFile) {
  const auto result = parse_text(
      "routes:\n"
      "  - { prefix: 10.1.0.0/8, type: blackhole }\n"
      "  - { prefix: 10.0.0.0/8, via: 203.0.113.1, metric: -1 }\n"
      "interfaces:\n"
      "  wan0: { device: net_null, mtu: big, addresses: [192.0.2.0/24] }\n"
      "  lan0: { queues: 99, colour: red }\n"
      "control: { core: 1, core: 2 }\n"
      "dataplane: { memory: 1, workers: [1, 1] }\n");
  EXPECT_EQ(
      listing(result.problems),
      "test.yaml:2:15: prefix must be a prefix whose host bits are zero, not '10.1.0.0/8' (did you mean "
      "'10.0.0.0/8'?)\n"
      "test.yaml:3:53: metric must be a whole number from 0 to 4294967295, not '-1'\n"
      "test.yaml:5:34: mtu must be a whole number from 576 to 9600, not 'big'\n"
      "test.yaml:5:51: 192.0.2.0/24 cannot be an interface's address: it is its subnet's network address\n"
      "test.yaml:6:3: interface 'lan0' has no 'device', 'parent', 'loopback' or 'ipsec' (such as 'device: "
      "\"net_af_packet,iface=veth1\"')\n"
      "test.yaml:6:19: queues must be a whole number from 1 to 64, not '99'\n"
      "test.yaml:6:23: unknown key 'colour' in interface 'lan0' (known keys: device, parent, vlan, "
      "inner_vlan, vlan_type, loopback, queues, offloads, mtu, addresses, urpf, ip_options, "
      "directed_broadcast, router_advertisements, host, ipsec, policies)\n"
      "test.yaml:7:21: duplicate key 'core' (it stands on line 7 already)\n"
      "test.yaml:8:22: memory must be a size from 64M to 1024G, not '1' (add the unit: K, M or G, such as "
      "512M or 1G)\n"
      "test.yaml:8:38: core 1 has a worker already (one core runs one worker)\n");
}

TEST(ConfigParse, LooksForAMisspelledNameAmongNamesOfAnyLength) {
  const auto result =
      parse_text("interfaces: {" + std::string(500, 'x') + ": {device: net_null}}\n" +
                 "neighbors: [{address: 192.0.2.2, mac: \"02:00:00:00:00:02\", interface: wan0}]\n");
  ASSERT_EQ(result.problems.size(), 2U) << listing(result.problems);
  EXPECT_EQ(result.problems[1].message, "there is no interface 'wan0'");
  EXPECT_EQ(result.problems[1].hint, "");
}

// A next hop or neighbour depends on the interfaces: what is wrong there is not said twice.
TEST(ConfigParse, DoesNotReportWhatOnlyFollowsFromAnotherProblem) {
  const std::string rest =
      "routes: [{prefix: 10.0.0.0/8, via: 192.0.2.2}]\n"
      "neighbors: [{address: 192.0.2.2, mac: \"02:00:00:00:00:02\", interface: wan0}]\n";
  const std::string interfaces[] = {
      "interfaces: {wan0: {device: net_null, addresses: [192.0.2.1]}}\n",
      "interfaces: {wan0: {device: net_null, adresses: [192.0.2.1/24]}}\n",
      "interfaces: {wan0: [192.0.2.1/24]}\n",
      "interfaces: [wan0]\n",
      "interface: {wan0: {device: net_null, addresses: [192.0.2.1/24]}}\n",
  };
  for (const std::string& text : interfaces)
    EXPECT_EQ(parse_text(text + rest).problems.size(), 1U) << listing(parse_text(text + rest).problems);
}

TEST(ConfigParse, AcceptsAFileThatSaysNothing) {
  for (const std::string_view text :
       {"", "\n", "# nothing\n", "---\n", "{}", "~", "...\n",
        "dataplane:\ncontrol:\ninterfaces:\nroutes:\n# - { prefix }\nneighbors:\nhost:\nfeeds:\n"}) {
    const auto result = parse_text(text);
    EXPECT_TRUE(result.ok()) << listing(result.problems);
    EXPECT_EQ(result.config, Config{});
  }
}

TEST(ConfigParse, ReadsEveryKey) {
  const auto result = parse_text(R"(
dataplane:
  workers: [2, 3]
  hugepages: 2M
  memory: 512M
  idle: poll
  tx_wait_us: 20
  flow_label_hash: true
  rss: symmetric
  drivers: [/opt/a.so, /opt/b.so]
control:
  core: 1
  api: /run/edge/api.sock
  metrics: 127.0.0.1:9473
  icmp_error_rate: 250/s
interfaces:
  wan0:
    device: "0000:3B:00.0"
    queues: 4
    mtu: 9000
    addresses: [192.0.2.1/24, "2001:db8:0:1::1/64", 192.0.2.10/24]
    host: true
  lan0:
    device: "net_memif,role=client,id=0,socket=/run/memif.sock"
    queues: auto
    offloads: false
    addresses: [198.51.100.1/24]
routes:
  - { prefix: 0.0.0.0/0, via: 192.0.2.254 }
  - { prefix: 203.0.113.0/24, via: [198.51.100.3, 198.51.100.2], distance: 20, metric: 7 }
  - { prefix: 10.0.0.0/8, type: unreachable }
  - { prefix: "2001:db8:9::/48", type: prohibit, metric: 5 }
neighbors:
  - { address: 192.0.2.254, mac: "02:00:00:00:00:fe", interface: wan0 }
  - { address: "2001:db8:0:1::2", mac: "02:00:00:00:00:02", interface: wan0 }
host: { netns: routing }
feeds:
  fpm: { listen: 192.0.2.1:2621, hold: 60s, sweep: 5s }
  netlink: { table: 4294967295 }
)");
  ASSERT_TRUE(result.ok()) << listing(result.problems);
  Config expected;
  expected.dataplane = {std::vector<unsigned>{2, 3},
                        Hugepages::size_2m,
                        std::uint64_t{512} << 20,
                        Idle::poll,
                        20,
                        true,
                        Rss::symmetric,
                        {"/opt/a.so", "/opt/b.so"}};
  expected.control = {1, "/run/edge/api.sock", "127.0.0.1:9473", 250};
  expected.host.netns = "routing";
  expected.feeds.fpm = {"192.0.2.1:2621", 60, 5};
  expected.feeds.netlink = {0xffffffff};
  const Ipv4Address next_hop(198, 51, 100, 2);
  const Ipv6Address gateway = *Ipv6Address::parse("2001:db8:0:1::1");
  expected.interfaces["wan0"] = {
      "0000:3b:00.0",
      4,
      9000,
      {{{Ipv4Address(192, 0, 2, 1), 24}, {Ipv4Address(192, 0, 2, 10), 24}}, {{gateway, 64}}}};
  expected.interfaces["lan0"] = {"net_memif,role=client,id=0,socket=/run/memif.sock",
                                 std::nullopt,
                                 1500,
                                 {{{Ipv4Address(198, 51, 100, 1), 24}}, {}}};
  expected.interfaces["wan0"].host = true;
  expected.interfaces["lan0"].offloads = false;
  expected.routes.ipv4[{Ipv4Address(), 0}] = {RouteType::unicast, {Ipv4Address(192, 0, 2, 254)}, 1, 0, {}};
  expected.routes.ipv4[{Ipv4Address(203, 0, 113, 0), 24}] = {
      RouteType::unicast, {next_hop, Ipv4Address(198, 51, 100, 3)}, 20, 7};
  expected.routes.ipv4[{Ipv4Address(10, 0, 0, 0), 8}] = {RouteType::unreachable, {}, 1, 0, {}};
  expected.routes.ipv6[*Ipv6Prefix::parse("2001:db8:9::/48")] = {RouteType::prohibit, {}, 1, 5, {}};
  expected.neighbors[{"wan0", *Ipv6Address::parse("2001:db8:0:1::2")}] =
      *MacAddress::parse("02:00:00:00:00:02");
  expected.neighbors[{"wan0", Ipv4Address(192, 0, 2, 254)}] = *MacAddress::parse("02:00:00:00:00:fe");
  EXPECT_EQ(result.config, expected);
}

TEST(ConfigParse, AcceptsWhatIsUnusualButRight) {
  const std::string_view table[] = {
      "interfaces: {a: {device: net_null, addresses: [192.0.2.0/31]}}",    // RFC 3021
      "interfaces: {a: {device: net_null, addresses: [192.0.2.255/32]}}",  // a host
      "interfaces: {a: {device: net_null, addresses: [192.0.2.1/24, 192.0.2.9/28]}}",
      "interfaces: {a: {device: net_null, mtu: 1280, addresses: [\"2001:db8::1/64\"]}}",  // RFC 8200 5
      "interfaces: {a: {device: net_null, addresses: [\"2001:db8::/127\"]}}",             // RFC 6164
      "interfaces: {a: {device: net_null, addresses: [\"2001:db8::/128\"]}}",
      "interfaces: {a: {device: net_null, addresses: [\"fc00::1/7\"]}}",  // RFC 4193
      "interfaces: {a: {device: net_null}}\n"
      "neighbors: [{address: \"fe80::1\", mac: \"02:00:00:00:00:fe\", interface: a}]",
      "routes: [{prefix: \"::/0\", type: blackhole}, {prefix: 0.0.0.0/0, type: blackhole}]",
      "interfaces: {a: {device: net_null}, b: {device: net_null}}",  // a driver's name makes a new device
                                                                     // each time
      "interfaces: {A-b_c.123456789: {device: net_ring}}\n",
      "interfaces: {a: {device: net_null, addresses: []}}",
      "dataplane: {memory: 65536K}",
      "dataplane: {memory: 1024G}",
      "control: {icmp_error_rate: 1000000/s}",
      "control: {metrics: \"0.0.0.0:65535\"}",
      "\xef\xbb\xbf"
      "control: {core: 1}",  // a byte order mark
      "control:\r\n  core: 1\r\n",
      "%YAML 1.2\n---\ncontrol: {core: 1}\n...\n",
      "control: {core: 1} # gr\xc3\xbc\xc3\x9f dich",
      "interfaces:\n  a: &like {device: net_null, mtu: 9000}\n  b: *like\n",
  };
  for (const std::string_view text : table)
    EXPECT_TRUE(parse_text(text).ok()) << text << listing(parse_text(text).problems);
}

TEST(ConfigParse, BoundsWhatAFileMayCost) {
  std::string laughs = "control: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 12; ++i) {
    laughs += "k" + std::to_string(i) + ": &a" + std::to_string(i) + " [";
    for (int j = 0; j < 10; ++j) laughs += "*a" + std::to_string(i - 1) + ", ";
    laughs += "]\n";
  }
  std::string keys;
  for (int i = 0; i < 5000; ++i) keys += "k" + std::to_string(i) + ": 1\n";
  struct Costly {
    std::string what;
    std::string text;
    std::string_view message;
  } table[] = {
      {"a bomb of aliases", laughs, "more than 4194304 values"},
      {"block nesting",
       [] {
         std::string t;
         for (int i = 0; i < 100000; ++i) t += "- ";
         return t;
       }(),
       "nested more than"},
      {"open brackets", std::string(5 << 20, '['), "does not end within 1 MiB"},
      {"a long value", "control: \"" + std::string(5 << 20, 'x') + "\"", "does not end within 1 MiB"},
      {"a large file", std::string(kMaxFileBytes + 1, ' '), "larger than 64 MiB"},
      {"many problems", keys, "more than 1000 problems"},
  };
  for (const Costly& costly : table) {
    const auto result = parse_text(costly.text);
    ASSERT_FALSE(result.ok()) << costly.what;
    EXPECT_LE(result.problems.size(), 1001U);
    EXPECT_NE(result.problems.back().message.find(costly.message), std::string::npos)
        << costly.what << ": " << result.problems.back().to_string();
  }
}

TEST(ConfigParse, LongCommentsAreFree) {
  std::string text = "control:\n";
  for (int i = 0; i < 100000; ++i) text += "#  - { prefix: 10.0.0.0/8, via: 192.0.2.1 }\n";
  EXPECT_TRUE(parse_text(text + "  core: 1\n").ok());
}

TEST(ConfigParse, ReadsAThousandRoutesInWellUnderASecond) {
  std::string text = "interfaces:\n";
  for (int i = 0; i < 100; ++i) {
    const std::string n = std::to_string(i);
    text += "  eth" + n + ": { device: \"net_tap,iface=t" + n + "\", addresses: [10." + n + ".0.1/16] }\n";
  }
  text += "routes:\n";
  for (int i = 0; i < 1000; ++i)
    text += "  - { prefix: 20." + std::to_string(i / 250) + "." + std::to_string(i % 250) +
            ".0/24, via: 10." + std::to_string(i % 100) + ".0.2 }\n";
  const auto start = std::chrono::steady_clock::now();
  const auto result = parse_text(text);
  const auto took = std::chrono::steady_clock::now() - start;
  ASSERT_TRUE(result.ok()) << listing(result.problems);
  EXPECT_EQ(result.config.routes.ipv4.size(), 1000U);
  // About 10 ms; the rest is for sanitizers and busy machines.
  EXPECT_LT(took, std::chrono::seconds(1));
}

TEST(ConfigParse, AFileThatCannotBeReadIsAProblem) {
  for (const std::string path : {"/nonexistent/millrace.yaml", "/tmp"}) {
    const auto result = parse_file(path);
    ASSERT_EQ(result.problems.size(), 1U);
    EXPECT_EQ(result.problems.front().file, path);
    EXPECT_NE(result.problems.front().message.find("cannot read the file: "), std::string::npos);
  }
  EXPECT_TRUE(parse_file("/dev/null").ok());
}

TEST(ConfigParse, AProblemPrintsAsFileLineColumn) {
  EXPECT_EQ((Problem{"a.yaml", 3, 7, "wrong", "mend it"}).to_string(), "a.yaml:3:7: wrong (mend it)");
  EXPECT_EQ((Problem{"a.yaml", 3, 7, "wrong", ""}).to_string(), "a.yaml:3:7: wrong");
}

}  // namespace
}  // namespace millrace::config
