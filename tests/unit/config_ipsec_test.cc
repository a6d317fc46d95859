// What a configuration says of IPsec tunnels.
#include "config/diff.h"
#include "tests/unit/config_cases.h"

namespace millrace::config {
namespace {

// 20 bytes, as AES-128-GCM takes them, that differ by `last`.
std::string key(char last = '7') {
  return std::string(39, '7') + last;
}

std::string tunnel(const std::string& settings) {
  return "interfaces:\n  t0: {ipsec: {local: 192.0.2.1, remote: 192.0.2.2, " + settings + "}}";
}

TEST(ConfigIpsec, ReadsATunnel) {
  const auto result = parse_text(
      "interfaces:\n"
      "  t0:\n"
      "    addresses: [10.9.0.1/30]\n"
      "    ipsec:\n"
      "      local: \"2001:db8::1\"\n"
      "      remote: \"2001:db8::2\"\n"
      "      algorithm: aes-128-cbc-hmac-sha256\n"
      "      esn: false\n"
      "      replay_window: 64\n"
      "      udp: true\n"
      "      dscp: 46\n"
      "      df: clear\n"
      "      hop_limit: 9\n"
      "      out: {spi: 0x1001, key: \"0x" +
      std::string(96, '1') +
      "\"}\n"
      "      in:\n"
      "        - {spi: 8193, key_file: /etc/millrace/in.key}\n"
      "        - {spi: 0xFFFFffff, key: \"" +
      std::string(96, '2') +
      "\"}\n"
      "ipsec: {state: /tmp/x.json, allow: [null-hmac-sha1]}\n");
  ASSERT_TRUE(result.ok()) << listing(result.problems);
  const InterfaceConfig& interface = result.config.interfaces.at("t0");
  EXPECT_FALSE(interface.has_link());
  const TunnelConfig& read = *interface.ipsec;
  EXPECT_EQ(read.local.to_string(), "2001:db8::1");
  EXPECT_EQ(read.algorithm, esp::Algorithm::aes_128_cbc_hmac_sha256);
  EXPECT_FALSE(read.esn);
  EXPECT_EQ(read.replay_window, 64U);
  ASSERT_TRUE(read.udp);
  EXPECT_EQ(read.udp->remote_port, 4500U);
  EXPECT_EQ(read.udp->keepalive_s, 20U);
  EXPECT_EQ(read.dscp, 46U);
  EXPECT_EQ(read.df, OuterDf::clear);
  EXPECT_EQ(read.hop_limit, 9U);
  EXPECT_EQ(read.out->spi, 0x1001U);
  EXPECT_EQ(read.out->key.bytes().size(), 48U);
  EXPECT_EQ(read.out->key.bytes()[5], 0x11);
  ASSERT_EQ(read.in.size(), 2U);
  EXPECT_EQ(read.in[0].key_file, "/etc/millrace/in.key");
  EXPECT_EQ(read.in[1].spi, 0xffffffffU);
  EXPECT_EQ(result.config.ipsec.state, "/tmp/x.json");
  EXPECT_EQ(result.config.ipsec.allow, std::vector{esp::Algorithm::null_hmac_sha1});
}

TEST(ConfigIpsec, ReadsWhatATunnelMayHaveBeside) {
  const auto result = parse_text(tunnel(
      "mode: transport, lifetime: {soft: {packets: 10, time: 50s}, hard: {packets: 10, bytes: "
      "4611686018427387904}},\n"
      "    path_mtu_discovery: false, selectors: [{local: 10.0.0.0/8, remote: 192.0.2.0/24, protocol: udp,\n"
      "    local_port: 53, remote_port: 1024-2047}, {remote: \"2001:db8::/32\", protocol: 47}]"));
  ASSERT_TRUE(result.ok()) << listing(result.problems);
  const InterfaceConfig& interface = result.config.interfaces.at("t0");
  const TunnelConfig& read = *interface.ipsec;
  EXPECT_EQ(read.mode, IpsecMode::transport);
  EXPECT_EQ(interface.mtu, 1466U) << "1500 less 16 of ESP and IV, 2 of its trailer, 16 of the ICV";
  EXPECT_EQ(read.lifetime.soft, (SaLimits{10, {}, 50}));
  EXPECT_EQ(read.lifetime.hard, (SaLimits{10, std::uint64_t{1} << 62, {}}));
  EXPECT_FALSE(read.path_mtu_discovery);
  ASSERT_EQ(read.selectors.size(), 2U);
  EXPECT_EQ(read.selectors[0].to_string(),
            "local 10.0.0.0/8 remote 192.0.2.0/24 protocol 17 local_port 53 remote_port 1024-2047");
  EXPECT_EQ(read.selectors[1].to_string(), "remote 2001:db8::/32 protocol 47");
  EXPECT_FALSE(parse_text(tunnel("udp: false")).config.interfaces.at("t0").ipsec->udp);
  const auto udp =
      parse_text(tunnel("udp: {remote_port: 40000, keepalive: 0s}")).config.interfaces.at("t0").ipsec->udp;
  EXPECT_EQ(udp, (EspInUdp{40000, 0}));
}

// An interface with policies and the tunnel that they name.
std::string policies(const std::string& list) {
  return "interfaces:\n  t0: {ipsec: {local: 192.0.2.1, remote: 192.0.2.2}}\n  a:\n    device: net_null\n    "
         "policies: [" +
         list + "]";
}

TEST(ConfigIpsec, ReadsPolicies) {
  const auto result =
      parse_text(policies("{action: protect, tunnel: t0, remote: 10.0.0.0/8}, {action: discard, protocol: "
                          "tcp, remote_port: 23}, {action: bypass}"));
  ASSERT_TRUE(result.ok()) << listing(result.problems);
  const auto& read = result.config.interfaces.at("a").policies;
  ASSERT_EQ(read.size(), 3U);
  EXPECT_EQ(read[0].action, PolicyAction::protect);
  EXPECT_EQ(read[0].tunnel, "t0");
  EXPECT_EQ(read[1].selector.to_string(), "protocol 6 remote_port 23");
  EXPECT_EQ(read[2].selector.to_string(), "any");
}

// RFC 4303 2: what is around a packet, worked out by hand.
TEST(ConfigIpsec, TheMtuIsWhatFitsInto1500Bytes) {
  struct Row {
    std::string ends, settings;
    unsigned mtu;
  };
  const std::string four = "local: 192.0.2.1, remote: 192.0.2.2",
                    six = "local: \"2001:db8::1\", remote: \"2001:db8::2\"";
  const std::vector<Row> rows{
      {four, "", 1500 - 20 - 8 - 8 - 16 - 2},                 // 1446, and 1448 is a multiple of 4
      {six, "", 1500 - 40 - 8 - 8 - 16 - 2},                  // 1426
      {four, ", udp: true", 1500 - 20 - 8 - 8 - 8 - 16 - 2},  // 1438
      {four, ", algorithm: aes-128-cbc-hmac-sha256", 1438}};  // of 1440, a multiple of 16: 1500-20-8-16-16
  for (const Row& row : rows) {
    const auto result = parse_text("interfaces: {t0: {ipsec: {" + row.ends + row.settings + "}}}");
    ASSERT_TRUE(result.ok()) << listing(result.problems);
    EXPECT_EQ(result.config.interfaces.at("t0").mtu, row.mtu) << row.settings;
  }
  EXPECT_EQ(parse_text("interfaces: {t0: {mtu: 1300, ipsec: {" + four + "}}}").config.interfaces.at("t0").mtu,
            1300U);
}

TEST(ConfigIpsec, RefusesWrongTunnels) {
  const std::string out = "out: {spi: 256, key: \"" + key() + "\"}";
  struct Row {
    std::string text;
    int line, column;
    std::string_view message, hint;
  };
  const Row table[] = {
      {"interfaces:\n  t0: {ipsec: {remote: 192.0.2.1}}", 2, 15, "ipsec has no 'local'", ""},
      {"interfaces:\n  t0: {ipsec: {local: 192.0.2.1, remote: 192.0.2.1}}", 2, 42, "is not its local one",
       ""},
      {"interfaces:\n  t0: {ipsec: {local: 192.0.2.1, remote: \"2001:db8::1\"}}", 2, 42,
       "both of IPv4 or both of IPv6", ""},
      {"interfaces:\n  t0: {ipsec: {local: 224.0.0.1, remote: 192.0.2.1}}", 2, 23,
       "224.0.0.1 is no host's address", ""},
      {"interfaces:\n  t0: {ipsec: {local: 192.0.2.1, remote: 127.0.0.1}}", 2, 42,
       "127.0.0.1 is no host's address", ""},
      {tunnel("out: {key: \"" + key() + "\"}"), 2, 58, "an SA has no 'spi'", ""},
      {tunnel("out: {spi: 255, key: \"" + key() + "\"}"), 2, 64, "spi must be a whole number from 256", ""},
      {tunnel("out: {spi: 0xff, key: \"" + key() + "\"}"), 2, 64, "those below are reserved", ""},
      {tunnel("out: {spi: 0x100000000, key: \"" + key() + "\"}"), 2, 64, "spi must be a whole number", ""},
      {tunnel("out: {spi: 0x, key: \"" + key() + "\"}"), 2, 64, "spi must be a whole number", ""},
      {tunnel("out: {spi: 256}"), 2, 58, "no 'key' or 'key_file'", ""},
      {tunnel("out: {spi: 256, key_file: /k, key: \"" + key() + "\"}"), 2, 88, "one of 'key' and 'key_file'",
       ""},
      {tunnel("out: {spi: 256, key_file: k}"), 2, 79, "key_file must be", ""},
      {tunnel("out: {spi: 256, key: \"" + key() + "77\"}"), 2, 74,
       "a key of aes-128-gcm has 20 bytes, not 21", "16 of the cipher, 4 of the salt"},
      {tunnel("out: {spi: 256, key: \"" + key('g') + "\"}"), 2, 74,
       "a key must be pairs of hexadecimal digits", ""},
      {tunnel("out: {spi: 256, key: \"" + key() + "7\"}"), 2, 74, "a key must be pairs of hexadecimal digits",
       ""},
      {tunnel("out: {spi: 256, key: [1]}"), 2, 74, "a key must be pairs of hexadecimal digits", ""},
      {tunnel(out + ",\n    in: {spi: 257, key: \"" + key() + "\"}"), 3, 25, "another SA has this key",
       "line 2"},
      {tunnel("in: [{spi: 256, key: \"" + key() + "\"},\n    {spi: 256, key: \"" + key('8') + "\"}]"), 3, 11,
       "an inbound SA has this SPI already", "line 2"},
      {tunnel("algorithm: null-hmac-sha256"), 2, 64, "null-hmac-sha256 does not encrypt",
       "allow: [null-hmac-sha256]"},
      {tunnel("algorithm: aes-128-gmac"), 2, 64, "aes-128-gmac does not encrypt", "allow"},
      {tunnel("algorithm: aes-128-cbc-hmac-sha1"), 2, 64, "aes-128-cbc-hmac-sha1 is weak", "allow"},
      {tunnel("algorithm: aes-128-gc"), 2, 64, "algorithm must be one of", "did you mean 'aes-128-gcm'?"},
      {tunnel("replay_window: 63"), 2, 68, "from 64 to 8192", ""},
      {tunnel("dscp: 64"), 2, 59, "dscp must be a whole number from 0 to 63", ""},
      {tunnel("dscp: ef"), 2, 59, "dscp must be copy or a whole number from 0 to 63", ""},
      {tunnel("hop_limit: 255"), 2, 64, "from 1 to 254", ""},
      {tunnel("mode: transport, udp: true"), 2, 75, "no transport mode in UDP", "NAT"},
      {tunnel("mode: transport, dscp: 7"), 2, 76, "in transport mode there is no 'dscp'", ""},
      {tunnel("mode: transport, hop_limit: 7"), 2, 81, "in transport mode there is no 'hop_limit'", ""},
      {tunnel("mode: beet"), 2, 59, "mode must be one of tunnel, transport", ""},
      {tunnel("udp: {remote_port: 0}"), 2, 72, "remote_port must be a whole number from 1", ""},
      {tunnel("udp: 4500"), 2, 58, "udp must be one of true, false", ""},
      {tunnel("lifetime: {soft: {bytes: 9}, hard: {bytes: 8}}"), 2, 78,
       "a soft limit is at most the hard one", ""},
      {tunnel("lifetime: {hard: {packets: 0}}"), 2, 80, "packets must be a whole number from 1", ""},
      {tunnel("lifetime: {hard: {time: 1}}"), 2, 77, "time must be a time from 1s", "did you mean '1s'?"},
      {tunnel("selectors: [{local: 10.0.0.0/8, remote: \"2001:db8::/32\"}]"), 2, 93,
       "both of IPv4 or both of IPv6", ""},
      {tunnel("selectors: [{protocol: icmp, local_port: 8}]"), 2, 94, "ports need a protocol that has them",
       ""},
      {tunnel("selectors: [{local_port: 8}]"), 2, 78, "ports need a protocol that has them", ""},
      {tunnel("selectors: [{protocol: tcp, local_port: 9-8}]"), 2, 93, "local_port must be a port or a range",
       "443"},
      {tunnel("selectors: [{protocol: tpc}]"), 2, 76, "protocol must be one of", "did you mean 'tcp'?"},
      {tunnel("selectors: [{protocol: 256}]"), 2, 76, "protocol must be a whole number from 0 to 255", ""},
      {policies("{action: protect}"), 5, 25, "who protects needs a 'tunnel'", ""},
      {policies("{action: bypass, tunnel: t0}"), 5, 41, "only 'action: protect' has a tunnel", ""},
      {policies("{action: protect, tunnel: t1}"), 5, 42, "there is no interface 't1'", "did you mean 't0'?"},
      {policies("{action: protect, tunnel: a}"), 5, 42, "interface 'a' is no tunnel", ""},
      {policies("{remote: 10.0.0.0/8}"), 5, 16, "a policy has no 'action'", ""},
      {"interfaces:\n  lo0: {loopback: true, policies: [{action: discard}]}", 2, 35,
       "only an interface with a link has policies", ""},
      {"interfaces:\n  t0: {device: net_null, ipsec: {local: 192.0.2.1, remote: 192.0.2.2}}", 2, 33,
       "one of 'device', 'parent', 'loopback' and 'ipsec'", ""},
      {"interfaces:\n  t0: {host: true, ipsec: {local: 192.0.2.1, remote: 192.0.2.2}}", 2, 14,
       "a tunnel has no host interface", ""},
      {"interfaces:\n  t0: {queues: 1, ipsec: {local: 192.0.2.1, remote: 192.0.2.2}}", 2, 16,
       "only an interface with a device", ""},
  };
  for (const Row& row : table) expect_one_problem({row.text, row.line, row.column, row.message, row.hint});
}

Config parsed(const std::string& text) {
  return parse_text(text).config;
}

// What differs, a line each.
std::string lines(const Config& from, const Config& to) {
  std::string all;
  for (const Change& change : describe(from, to)) all += change.to_string() + "\n";
  return all;
}

// Neither in a problem nor in a difference.
TEST(ConfigIpsec, ShowsNoKey) {
  const auto wrong = parse_text(tunnel("out: {spi: 256, key: \"" + key('g') + "\"}"));
  ASSERT_FALSE(wrong.ok());
  EXPECT_EQ(listing(wrong.problems).find("7777"), std::string::npos) << listing(wrong.problems);
  const auto config = [](const std::string& settings) { return parse_text(tunnel(settings)).config; };
  const Config before = config("out: {spi: 256, key: \"" + key() + "\"}"),
               other = config("out: {spi: 256, key: \"" + key('8') + "\"}"),
               more = config("esn: false, out: {spi: 257, key: \"" + key('9') +
                             "\"}, in: {spi: 300, key_file: /k}");
  EXPECT_EQ(lines(before, before), "");
  EXPECT_EQ(lines(before, other),
            "- interfaces.t0.ipsec.out: spi 256, key\n"
            "+ interfaces.t0.ipsec.out: spi 256, key\n");
  EXPECT_EQ(lines(before, more),
            "~ interfaces.t0.ipsec.esn: true -> false\n"
            "+ interfaces.t0.ipsec.in: spi 300, key_file /k\n"
            "~ interfaces.t0.ipsec.out: spi 256, key -> spi 257, key\n");
  EXPECT_EQ(lines({}, before),
            "+ interfaces.t0.mtu: 1446\n"
            "+ interfaces.t0.ipsec.mode: tunnel\n"
            "+ interfaces.t0.ipsec.local: 192.0.2.1\n"
            "+ interfaces.t0.ipsec.remote: 192.0.2.2\n"
            "+ interfaces.t0.ipsec.algorithm: aes-128-gcm\n"
            "+ interfaces.t0.ipsec.esn: true\n"
            "+ interfaces.t0.ipsec.replay_window: 1024\n"
            "+ interfaces.t0.ipsec.udp: false\n"
            "+ interfaces.t0.ipsec.dscp: copy\n"
            "+ interfaces.t0.ipsec.df: copy\n"
            "+ interfaces.t0.ipsec.hop_limit: 64\n"
            "+ interfaces.t0.ipsec.path_mtu_discovery: true\n"
            "+ interfaces.t0.ipsec.out: spi 256, key\n");
}

TEST(ConfigIpsec, ADifferenceShowsPoliciesAndSelectorsByPlace) {
  EXPECT_EQ(lines(parsed(policies("{action: bypass}, {action: discard}")),
                  parsed(policies("{action: protect, tunnel: t0, remote: 10.0.0.0/8}"))),
            "~ interfaces.a.policies[0]: bypass: any -> protect by t0: remote 10.0.0.0/8\n"
            "- interfaces.a.policies[1]: discard: any\n");
  EXPECT_EQ(lines(parsed(tunnel("udp: true, lifetime: {hard: {packets: 9, time: 5s}}")),
                  parsed(tunnel("udp: {keepalive: 5s}, selectors: [{protocol: tcp}]"))),
            "~ interfaces.t0.ipsec.udp: port 4500, keepalive 20s -> port 4500, keepalive 5s\n"
            "- interfaces.t0.ipsec.lifetime.hard: 9 packets, 5s\n"
            "+ interfaces.t0.ipsec.selectors[0]: protocol 6\n");
}

TEST(ConfigIpsec, TheStateFileIsFixedAtStart) {
  const auto changes = describe(parse_text("").config, parse_text("ipsec: {state: /x}").config);
  ASSERT_EQ(changes.size(), 1U);
  EXPECT_EQ(changes[0].to_string(), "~ ipsec.state: /var/lib/millrace/ipsec.json -> /x (needs a restart)");
}

TEST(Secret, IsReadFromHexadecimalDigitsAlone) {
  EXPECT_EQ(Secret::from_hex("00fF")->bytes()[1], 0xff);
  EXPECT_EQ(Secret::from_hex("0x00fF")->bytes().size(), 2U);
  for (const char* wrong : {"", "0x", "0", "0g", "g0", "+1", "-1", " 1", "00 11"})
    EXPECT_FALSE(Secret::from_hex(wrong)) << wrong;
  EXPECT_TRUE(Secret::from_hex(std::string(2 * Secret::kMaxBytes, '1')));
  EXPECT_FALSE(Secret::from_hex(std::string(2 * Secret::kMaxBytes + 2, '1')));
}

TEST(Secret, IsWipedWithItsLastCopy) {
  auto one = Secret::from_hex("deadbeefdeadbeef");
  const std::uint8_t* const bytes = one->bytes().data();
  auto copy = std::make_optional(*one);
  one.reset();
  EXPECT_EQ(*bytes, 0xde);
  copy.reset();
  EXPECT_EQ(*bytes, 0);  // pages of secrets stay for the life of the process
}

}  // namespace
}  // namespace millrace::config
