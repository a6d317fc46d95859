#include "config/parse.h"

#include <gtest/gtest.h>

#include <chrono>
#include <fstream>
#include <string>
#include <vector>

#include "config/document.h"

namespace millrace::config {
namespace {

// What most tables need around the lines that they are about.
constexpr std::string_view kTwoInterfaces =
    "interfaces:\n"
    "  wan0: { device: net_null, addresses: [192.0.2.1/24, \"2001:db8:0:1::1/64\"] }\n"
    "  lan0: { device: net_null, addresses: [198.51.100.1/25], mtu: 1000 }\n";

ParseResult parse_text(std::string_view text) {
  return parse(text, "test.yaml");
}

std::string listing(const std::vector<Problem>& problems) {
  std::string text;
  for (const Problem& problem : problems) text += problem.to_string() + "\n";
  return text;
}

struct Wrong {
  std::string_view text;
  int line;
  int column;
  std::string_view message;  // a part of it
  std::string_view hint;     // a part of it; empty: there is none
};

void expect_one_problem(const Wrong& wrong, std::string_view before = "") {
  SCOPED_TRACE(wrong.text);
  const auto result = parse_text(std::string(before) + std::string(wrong.text));
  ASSERT_EQ(result.problems.size(), 1U) << listing(result.problems);
  const Problem& problem = result.problems.front();
  EXPECT_EQ(problem.file, "test.yaml");
  EXPECT_EQ(problem.line, wrong.line) << problem.to_string();
  EXPECT_EQ(problem.column, wrong.column) << problem.to_string();
  EXPECT_NE(problem.message.find(wrong.message), std::string::npos) << problem.to_string();
  EXPECT_NE(problem.hint.find(wrong.hint), std::string::npos) << problem.to_string();
  EXPECT_EQ(problem.hint.empty(), wrong.hint.empty()) << problem.to_string();
}

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
      {"host: {netns: millrace}", 1, 1, "unknown key 'host'", "known keys: dataplane, control"},
      {"feeds: {}", 1, 1, "unknown key 'feeds'", "known keys"},
      {"ipsec: {}", 1, 1, "unknown key 'ipsec'", "known keys"},
      {"control: {}\nroutes: []\ncontrol: {}", 3, 1, "duplicate key 'control'", "line 1"},
      {"control: {core: 1,\n  core: 1}", 2, 3, "duplicate key 'core'", "line 1"},
      {"dataplane: [1]", 1, 12,
       "dataplane must be a mapping of workers, hugepages, memory, idle, flow_label_hash, drivers, not a "
       "list",
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
      {"dataplane: {memory: 1024}", 1, 21, "a size from 64M to 1024G, not '1024'", "add the unit"},
      {"dataplane: {memory: 1GB}", 1, 21, "not '1GB'", "did you mean '1G'?"},
      {"dataplane: {memory: 1T}", 1, 21, "not '1T'", "did you mean '1024G'?"},
      {"dataplane: {memory: 63M}", 1, 21, "not '63M'", ""},
      {"dataplane: {memory: 1025G}", 1, 21, "not '1025G'", ""},
      {"dataplane: {memory: 99999999999999999999G}", 1, 21, "a size from 64M", "such as"},
      {"dataplane: {idle: pol}", 1, 19, "one of adaptive, poll, not 'pol'", "did you mean 'poll'?"},
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

TEST(ConfigParse, RefusesWrongInterfaces) {
  const Wrong table[] = {
      {"interfaces:\n  wan0: {mtu: 1500}", 2, 3, "interface 'wan0' has no 'device'", "such as"},
      {"interfaces:\n  wan0: {device: 3b:00.0}", 2, 18, "a PCI address or DPDK devargs", "'0000:3b:00.0'"},
      {"interfaces:\n  wan0: {device: \"0000:3b:20.0\"}", 2, 18, "a PCI address or DPDK devargs", "such as"},
      {"interfaces:\n  wan0: {device: \"0000:3b:00.8\"}", 2, 18, "a PCI address or DPDK devargs", "such as"},
      {"interfaces:\n  wan0: {device: \"net_memif, id=0\"}", 2, 18, "a PCI address or DPDK devargs",
       "spaces"},
      {"interfaces:\n  wan0: {device: \"net_memif,id\"}", 2, 18, "a PCI address or DPDK devargs", "such as"},
      {"interfaces:\n  wan0: {device: Net_null}", 2, 18, "a PCI address or DPDK devargs", "such as"},
      {"interfaces:\n  wan0: {device: }", 2, 10, "device must be a PCI address or DPDK devargs, not empty",
       "such as"},
      {"interfaces:\n  wan0: {device: net_null, loopback: true}", 2, 38,
       "one of 'device', 'parent' and 'loopback'", ""},
      {"interfaces:\n  wan0: {device: net_null, loopback: maybe}", 2, 38,
       "loopback must be one of true, false", ""},
      {"interfaces:\n  wan0: {device: net_null, vlan: 7}", 2, 34, "vlan needs a parent", ""},
      {"interfaces:\n  wan0: {device: net_null, inner_vlan: 7}", 2, 40,
       "inner_vlan needs a parent and a vlan", ""},
      {"interfaces:\n  wan0: {device: net_null, vlan_type: dot1q}", 2, 39,
       "vlan_type needs a parent and a vlan", ""},
      {"interfaces:\n  wan0: {device: net_null, urpf: on}", 2, 34, "urpf must be one of off, loose, strict",
       ""},
      {"interfaces:\n  wan0: {device: net_null, ip_options: pass}", 2, 40, "one of drop, ignore", ""},
      {"interfaces:\n  wan0: {device: net_null, directed_broadcast: yes}", 2, 48, "one of true, false", ""},
      {"interfaces:\n  lo0: {loopback: true, mtu: 1500}", 2, 30, "a loopback has no mtu", ""},
      {"interfaces:\n  lo0: {loopback: true, queues: 1}", 2, 33, "only an interface with a device has queues",
       ""},
      {"interfaces:\n  lo0: {loopback: true, addresses: [192.0.2.1/24]}", 2, 37, "has no subnet",
       "192.0.2.1/32"},
      {"interfaces:\n  lo0: {loopback: true, addresses: [\"2001:db8::1/64\"]}", 2, 37, "has no subnet",
       "/128"},
      {"interfaces:\n  lo0: {loopback: true}\n  v: {parent: lo0, vlan: 7}", 3, 15, "no device to carry VLANs",
       ""},
      {"interfaces:\n  lan0: {device: net_null}\n  v: {parent: lan0}", 3, 15, "needs a vlan", ""},
      {"interfaces:\n  lan0: {device: net_null}\n  v: {parent: lan, vlan: 7}", 3, 15, "no interface 'lan'",
       "'lan0'"},
      {"interfaces:\n  lan0: {device: net_null}\n  v: {parent: lan0, vlan: 0}", 3, 27, "from 1 to 4094", ""},
      {"interfaces:\n  lan0: {device: net_null}\n  v: {parent: lan0, vlan: 4095}", 3, 27, "from 1 to 4094",
       ""},
      {"interfaces:\n  lan0: {device: net_null}\n  v: {parent: lan0, vlan: 7, inner_vlan: 0}", 3, 42,
       "from 1 to 4094", ""},
      {"interfaces:\n  lan0: {device: net_null}\n  v: {parent: lan0, vlan: 7, mtu: 1501}", 3, 35,
       "at most its parent's: 1500", ""},
      {"interfaces:\n  lan0: {device: net_null}\n  v: {parent: lan0, vlan: 7, queues: 2}", 3, 38,
       "only an interface with a device", ""},
      {"interfaces:\n  lan0: {device: net_null}\n  v: {parent: lan0, vlan: 7}\n  w: {parent: lan0, vlan: 7}",
       4, 27, "this VLAN is interface 'v' already", "line 3"},
      {"interfaces:\n  lan0: {device: net_null}\n  v: {parent: lan0, vlan: 7}\n  w: {parent: v, vlan: 8}", 4,
       15, "interface 'v' has no device to carry VLANs", ""},
      {"interfaces:\n  wan0: {device: net_null, mtu: 575}", 2, 33, "from 576 to 9600, not '575'", ""},
      {"interfaces:\n  wan0: {device: net_null, mtu: 9601}", 2, 33, "from 576 to 9600, not '9601'", ""},
      {"interfaces:\n  wan0: {device: net_null, mtu: 1_500}", 2, 33, "not '1_500'", ""},
      {"interfaces:\n  wan0: {device: net_null, queues: 0}", 2, 36, "from 1 to 64, not '0'", ""},
      {"interfaces:\n  wan0: {device: net_null, queues: 65}", 2, 36, "from 1 to 64, not '65'", ""},
      {"interfaces:\n  wan0: {device: net_null, queues: Auto}", 2, 36, "auto or a whole number", "'auto'"},
      {"interfaces:\n  wan0: {device: net_null, queues: [1]}", 2, 36, "auto or a whole number", ""},
      {"interfaces:\n  wan0: {device: net_null, adresses: []}", 2, 28,
       "unknown key 'adresses' in interface 'wan0'", "did you mean 'addresses'?"},
      {"interfaces:\n  wan0: {device: net_null, addresses: 192.0.2.1/24}", 2, 39, "must be a list",
       "[192.0.2.1/24]"},
      {"interfaces:\n  wan0: {device: net_null, addresses: [192.0.2.1]}", 2, 40, "with the length",
       "192.0.2.1/24"},
      {"interfaces:\n  wan0: {device: net_null, addresses: [192.0.2.1/33]}", 2, 40, "from /1 to /32", ""},
      {"interfaces:\n  wan0: {device: net_null, addresses: [192.0.2.1/0]}", 2, 40, "from /1 to /32", ""},
      {"interfaces:\n  wan0: {device: net_null, addresses: [\"2001:db8::1\"]}", 2, 40, "with the length",
       "2001:db8::1/64"},
      {"interfaces:\n  wan0: {device: net_null, addresses: [\"2001:db8::1/129\"]}", 2, 40, "or /128", ""},
      {"interfaces:\n  wan0: {device: net_null, addresses: [\"2001:db8::1/0\"]}", 2, 40, "or /128", ""},
      {"interfaces:\n  wan0: {device: net_null, addresses: [\"fe80::1%x/64\"]}", 2, 40, "an IP address", ""},
      {"interfaces:\n  wan0: {device: net_null, addresses: [192.0.2.0/24]}", 2, 40, "network address", ""},
      {"interfaces:\n  wan0: {device: net_null, addresses: [192.0.2.255/24]}", 2, 40, "broadcast address",
       ""},
      {"interfaces:\n  wan0: {device: net_null, addresses: [127.0.0.1/8]}", 2, 40, "loopback", ""},
      {"interfaces:\n  wan0: {device: net_null, addresses: [224.0.0.1/24]}", 2, 40, "multicast", ""},
      {"interfaces:\n  wan0: {device: net_null, addresses: [0.0.0.1/24]}", 2, 40, "0.0.0.0/8", ""},
      {"interfaces:\n  wan0: {device: net_null, addresses: [240.0.0.1/24]}", 2, 40, "240.0.0.0/4", ""},
      {"interfaces:\n  wan0: {device: net_null, addresses: [\"::/64\"]}", 2, 40, "the unspecified address",
       ""},
      {"interfaces:\n  wan0: {device: net_null, addresses: [\"::1/128\"]}", 2, 40, "the loopback address",
       ""},
      {"interfaces:\n  wan0: {device: net_null, addresses: [\"ff02::1/64\"]}", 2, 40, "a multicast address",
       ""},
      {"interfaces:\n  wan0: {device: net_null, addresses: [\"::ffff:192.0.2.1/96\"]}", 2, 40, "IPv4-mapped",
       ""},
      {"interfaces:\n  wan0: {device: net_null, addresses: [\"fe80::1/64\"]}", 2, 40,
       "fe80::1/64 cannot be an interface's address: it is link-local, and the router makes that one itself",
       ""},
      {"interfaces:\n  wan0: {device: net_null, addresses: [\"2001:db8::/126\"]}", 2, 40,
       "its subnet's router anycast address", ""},  // RFC 4291 2.6.1
      {"interfaces:\n  wan0: {device: net_null, mtu: 1279, addresses: [\"2001:db8::1/64\"]}", 2, 33,
       "an interface with IPv6 addresses needs an mtu of 1280 at least", ""},  // rule 25, RFC 8200 5
      {"interfaces:\n  9lan: {device: net_null}", 2, 3, "'9lan' cannot be an interface's name",
       "1 to 15 letters"},
      {"interfaces:\n  abcdefghijklmnop: {device: net_null}", 2, 3, "cannot be an interface's name",
       "1 to 15"},
      {"interfaces:\n  a/b: {device: net_null}", 2, 3, "cannot be an interface's name", "1 to 15"},
      {"interfaces:\n  \"\": {device: net_null}", 2, 3, "'' cannot be an interface's name", "1 to 15"},
      {"interfaces:\n  a: {device: \"0000:3b:00.0\"}\n  b: {device: \"0000:3B:00.0\"}", 3, 15,
       "this device is interface 'a' already", "line 2"},
      {"interfaces:\n  a: {device: \"net_tap,iface=x\"}\n  b: {device: \"net_tap,iface=x\"}", 3, 15,
       "this device is interface 'a' already", "line 2"},
      {"interfaces:\n  a: {device: net_null}\n  a: {device: net_null}", 3, 3, "duplicate key 'a'", "line 2"},
  };
  for (const Wrong& wrong : table) expect_one_problem(wrong);
}

TEST(ConfigParse, AVlanIsOnAnInterfaceAndHasItsMtu) {
  const auto result = parse(R"(
interfaces:
  v.7: {parent: lan0, vlan: 7}
  v.7.8: {parent: lan0, vlan: 7, inner_vlan: 8, mtu: 1400}
  v.9: {parent: lan0, vlan: 4094, inner_vlan: 1, vlan_type: dot1q}
  lan0: {device: net_null, mtu: 1300}
  lo0: {loopback: true, addresses: [192.0.2.1/32, "2001:db8::1/128"]}
)",
                            "test.yaml");
  ASSERT_EQ(result.problems.size(), 1U);
  EXPECT_EQ(result.problems[0].message, "a VLAN's mtu is at most its parent's: 1300");
  const auto good = parse(R"(
interfaces:
  v.7: {parent: lan0, vlan: 7}
  v.7.8: {parent: lan0, vlan: 7, inner_vlan: 8, mtu: 1280, urpf: loose}
  v.9: {parent: lan0, vlan: 4094, inner_vlan: 1, vlan_type: dot1q, ip_options: ignore, directed_broadcast: true,
        router_advertisements: true}
  lan0: {device: net_null, mtu: 1300}
  lo0: {loopback: true, addresses: [192.0.2.1/32, "2001:db8::1/128"]}
)",
                          "test.yaml");
  ASSERT_TRUE(good.ok()) << good.problems[0].to_string();
  const auto& all = good.config.interfaces;
  EXPECT_EQ(all.at("v.7").vlan, (VlanTags{7, 0, 0x8100}));
  EXPECT_EQ(all.at("v.7").mtu, 1300U);
  EXPECT_EQ(all.at("v.7.8").vlan, (VlanTags{7, 8, 0x88a8}));
  EXPECT_EQ(all.at("v.7.8").mtu, 1280U);
  EXPECT_EQ(all.at("v.7.8").urpf, Urpf::loose);
  EXPECT_EQ(all.at("v.9").vlan, (VlanTags{4094, 1, 0x8100}));
  EXPECT_EQ(all.at("v.9").ip_options, IpOptions::ignore);
  EXPECT_TRUE(all.at("v.9").directed_broadcast);
  EXPECT_TRUE(all.at("v.9").router_advertisements);
  EXPECT_TRUE(all.at("lo0").loopback);
}

TEST(ConfigParse, RefusesAddressesThatCollide) {
  // Behind the two interfaces of kTwoInterfaces, on line 4.
  const Wrong table[] = {
      {"  x: {device: net_null, addresses: [192.0.2.1/32]}", 4, 37,
       "192.0.2.1 is an address of interface 'wan0'", "line 2"},
      {"  x: {device: net_null, addresses: [192.0.2.9/24]}", 4, 37, "192.0.2.0/24 overlaps 192.0.2.0/24",
       "line 2"},
      {"  x: {device: net_null, addresses: [192.0.2.9/28]}", 4, 37, "192.0.2.0/28 overlaps 192.0.2.0/24",
       "line 2"},
      {"  x: {device: net_null, addresses: [192.0.0.9/16]}", 4, 37, "192.0.0.0/16 overlaps 192.0.2.0/24",
       "line 2"},
      {"  x: {device: net_null, addresses: [10.0.0.1/8, 10.0.0.1/8]}", 4, 49, "10.0.0.1 is an address",
       "line 4"},
      {"  x: {device: net_null, addresses: [\"2001:db8:0:1::1/128\"]}", 4, 37,
       "2001:db8:0:1::1 is an address of interface 'wan0'", "line 2"},
      {"  x: {device: net_null, addresses: [\"2001:db8:0:1::9/56\"]}", 4, 37,
       "2001:db8::/56 overlaps 2001:db8:0:1::/64", "line 2"},
      {"  x: {device: net_null, addresses: [\"2001:db8::1/64\", \"2001:db8::1/64\"]}", 4, 55,
       "2001:db8::1 is an address", "line 4"},
  };
  for (const Wrong& wrong : table) expect_one_problem(wrong, kTwoInterfaces);
}

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
      {"routes:\n  - {prefix: 10.0.0.0/8, via: {address: 203.0.113.1, weight: 2}}", 5, 41,
       "must be on a connected subnet", "recursive"},
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
      {"routes:\n  - {prefix: 10.0.0.0/8, via: 198.51.100.200}", 5, 31, "must be on a connected subnet",
       "recursive"},
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
      {prefix + "via: \"2001:db8:0:2::1\"}", 5, 38, "must be on a connected subnet", "recursive"},
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
      "test.yaml:6:3: interface 'lan0' has no 'device', 'parent' or 'loopback' (such as 'device: "
      "\"net_af_packet,iface=veth1\"')\n"
      "test.yaml:6:19: queues must be a whole number from 1 to 64, not '99'\n"
      "test.yaml:6:23: unknown key 'colour' in interface 'lan0' (known keys: device, parent, vlan, "
      "inner_vlan, vlan_type, loopback, queues, mtu, addresses, urpf, ip_options, directed_broadcast, "
      "router_advertisements)\n"
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
        "dataplane:\ncontrol:\ninterfaces:\nroutes:\n# - { prefix }\nneighbors:\n"}) {
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
  flow_label_hash: true
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
  lan0:
    device: "net_memif,role=client,id=0,socket=/run/memif.sock"
    queues: auto
    addresses: [198.51.100.1/24]
routes:
  - { prefix: 0.0.0.0/0, via: 192.0.2.254 }
  - { prefix: 203.0.113.0/24, via: [198.51.100.3, 198.51.100.2], distance: 20, metric: 7 }
  - { prefix: 10.0.0.0/8, type: unreachable }
  - { prefix: "2001:db8:9::/48", type: prohibit, metric: 5 }
neighbors:
  - { address: 192.0.2.254, mac: "02:00:00:00:00:fe", interface: wan0 }
  - { address: "2001:db8:0:1::2", mac: "02:00:00:00:00:02", interface: wan0 }
)");
  ASSERT_TRUE(result.ok()) << listing(result.problems);
  Config expected;
  expected.dataplane = {
      std::vector<unsigned>{2, 3}, Hugepages::size_2m, std::uint64_t{512} << 20, Idle::poll, true,
      {"/opt/a.so", "/opt/b.so"}};
  expected.control = {1, "/run/edge/api.sock", "127.0.0.1:9473", 250};
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
  expected.routes.ipv4[{Ipv4Address(), 0}] = {RouteType::unicast, {Ipv4Address(192, 0, 2, 254)}, 1, 0};
  expected.routes.ipv4[{Ipv4Address(203, 0, 113, 0), 24}] = {
      RouteType::unicast, {next_hop, Ipv4Address(198, 51, 100, 3)}, 20, 7};
  expected.routes.ipv4[{Ipv4Address(10, 0, 0, 0), 8}] = {RouteType::unreachable, {}, 1, 0};
  expected.routes.ipv6[*Ipv6Prefix::parse("2001:db8:9::/48")] = {RouteType::prohibit, {}, 1, 5};
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
