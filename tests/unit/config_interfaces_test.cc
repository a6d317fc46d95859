// What a configuration says of interfaces.
#include "tests/unit/config_cases.h"

namespace millrace::config {
namespace {

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
       "one of 'device', 'parent', 'loopback' and 'ipsec'", ""},
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
      {"interfaces:\n  lo0: {loopback: true, host: true}", 2, 31, "a loopback has no host interface", ""},
      {"interfaces:\n  lo0: {loopback: true, offloads: true}", 2, 35,
       "only an interface with a device has offloads", ""},
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

}  // namespace
}  // namespace millrace::config
