// A router with a tunnel, and the other end of it by the reference of esp_peer.h.
#pragma once

#include <unistd.h>

#include <filesystem>
#include <string>
#include <vector>

#include "esp_peer.h"

namespace millrace::behaviour {

using esp::Algorithm;

inline constexpr std::uint8_t kIpv4Inside = 4, kIpv6Inside = 41, kEsp = 50, kUdpProtocol = 17;

struct IpsecSettings {
  bool outer_ipv6 = false;
  Algorithm algorithm = Algorithm::aes_128_gcm;
  bool esn = true;
  std::string more{};        // settings of the tunnel: ", esn: false"
  std::string interfaces{};  // further ones
  std::string policies{};    // of b: ", policies: [...]"
};

// The clear side is a, the tunnel's way b. The other end is host B, behind it are 192.168.9.0/24 and
// 2001:db8:9::/48; routes past the tunnel lead to 203.0.113.0/24 and 2001:db8:8::/48.
class IpsecLab : public LabTest {
 protected:
  void TearDown() override {
    LabTest::TearDown();
    std::filesystem::remove(state_);
  }

  Lab& with(const IpsecSettings& settings, const LabOptions& options = {}) {
    prepare(settings);
    return start(config(), options);
  }
  void prepare(const IpsecSettings& settings) {
    settings_ = settings;
    out_ = make_sa(0x1001, settings.algorithm, settings.esn, 1);
    in_ = make_sa(0x2001, settings.algorithm, settings.esn, 2);
  }
  std::string config() const {
    const bool six = settings_.outer_ipv6;
    std::string text = R"(
interfaces:
  a: {device: @a, addresses: [10.0.1.1/24, "2001:db8:1::1/64"]}
  b: {device: @b, addresses: [10.0.2.1/24, "2001:db8:2::1/64"])" +
                       settings_.policies + R"(}
  ipsec0:
    addresses: [10.9.0.1/30, "2001:db8:99::1/64"]
    ipsec:
)";
    text += six ? "      local: \"2001:db8:2::1\"\n      remote: \"2001:db8:2::2\"\n"
                : "      local: 10.0.2.1\n      remote: 10.0.2.2\n";
    text += "      algorithm: " + std::string(esp::traits(settings_.algorithm).name) + "\n";
    text += std::string("      esn: ") + (settings_.esn ? "true" : "false") + "\n";
    text += "      out: {spi: 0x1001, key: " + out_.key_text() + "}\n";
    text += "      in: [{spi: 0x2001, key: " + in_.key_text() + "}]\n";
    text += settings_.more;
    text += settings_.interfaces;
    text += R"(
routes:
  - {prefix: 192.168.9.0/24, via: 10.9.0.2}
  - {prefix: "2001:db8:9::/48", via: "2001:db8:99::2"}
  - {prefix: 203.0.113.0/24, via: 10.0.2.2}
  - {prefix: "2001:db8:8::/48", via: "2001:db8:2::2"}
neighbors:
  - {address: 10.0.1.2, mac: "02:00:00:00:01:02", interface: a}
  - {address: 10.0.2.2, mac: "02:00:00:00:02:02", interface: b}
  - {address: "2001:db8:1::2", mac: "02:00:00:00:01:02", interface: a}
  - {address: "2001:db8:2::2", mac: "02:00:00:00:02:02", interface: b}
ipsec:
  state: )" +
            state_ + "\n  allow: [";
    for (const esp::Traits& of : esp::kTraits) text += std::string(of.name) + ", ";
    return text + "]\n";
  }

  // From host A into the tunnel.
  Bytes from_a(const Ipv4Packet& packet = {.destination = ip("192.168.9.5")}) {
    return towards(*lab_, "a", kHostA, packet);
  }
  Bytes six_from_a(const Ipv6Packet& packet = {.destination = ip6("2001:db8:9::5")}) {
    return frame(lab_->mac("a"), kHostA, packet);
  }
  // From behind the other end to host A.
  static Ipv4Packet to_a() { return {.source = ip("192.168.9.5"), .destination = ip("10.0.1.2")}; }
  static Ipv6Packet six_to_a() {
    return {.source = ip6("2001:db8:9::5"), .destination = ip6("2001:db8:1::2")};
  }
  // What the other end puts around ESP.
  Bytes around(const Bytes& esp, std::uint8_t protocol = kEsp, std::uint8_t tos = 0) {
    if (settings_.outer_ipv6)
      return frame(lab_->mac("b"), kHostB,
                   Ipv6Packet{.source = ip6("2001:db8:2::2"),
                              .destination = ip6("2001:db8:2::1"),
                              .next_header = protocol,
                              .traffic_class = tos,
                              .payload = esp});
    return frame(lab_->mac("b"), kHostB,
                 Ipv4Packet{.source = ip("10.0.2.2"),
                            .destination = ip("10.0.2.1"),
                            .protocol = protocol,
                            .tos = tos,
                            .payload = esp});
  }
  Bytes sealed(const Bytes& inner, const Sealing& how) { return around(seal(in_, inner, how)); }
  Bytes sealed(std::uint64_t number) { return sealed(to_a().bytes(), {.number = number}); }
  std::size_t outer_header() const { return kEthernet + (settings_.outer_ipv6 ? 40 : 20); }

  std::vector<Bytes> send(const std::string& port, const std::vector<Bytes>& frames,
                          const std::string& from) {
    for (const Bytes& each : frames) lab_->send(port, each);
    lab_->run();
    return lab_->received(from);
  }
  // What the packets that left by b hold, as the other end has them.
  std::vector<Opened> opened(const std::vector<Bytes>& frames, std::uint32_t high = 0) {
    std::vector<Opened> all;
    for (const Bytes& each : frames) {
      const auto packet = open(out_, slice(each, outer_header(), each.size() - outer_header()), high);
      EXPECT_TRUE(packet) << describe(each);
      if (packet) all.push_back(*packet);
    }
    return all;
  }
  // A packet from the tunnel as host A gets it.
  Bytes at_a(const Bytes& packet, bool six = false) {
    const Bytes whole = ethernet({}, {}, six ? 0x86dd : 0x0800, packet);
    return six ? forwarded6(whole, kHostA, lab_->mac("a")) : forwarded(whole, kHostA, lab_->mac("a"));
  }
  // What a tunnel has inside of a frame that was sent into it.
  static Bytes inside(const Bytes& frame, bool six = false) {
    const Bytes hop = six ? forwarded6(frame, {}, {}) : forwarded(frame, {}, {});
    return slice(hop, kEthernet, hop.size() - kEthernet);
  }
  void expect_dropped(const std::string& what, const Bytes& frame, DropReason reason) {
    SCOPED_TRACE(what);
    const std::uint64_t before = lab_->dropped(reason);
    EXPECT_TRUE(send("b", {frame}, "a").empty());
    EXPECT_EQ(lab_->dropped(reason) - before, 1U) << dataplane::info(reason).name;
    EXPECT_EQ(lab_->control().accounting().difference(), 0);
  }
  // Of the only SA of that way.
  const dataplane::SaCounters& sa_counters(const std::string& way) {
    const auto& tunnel = lab_->control().tunnels().all().at("ipsec0");
    return way == "out" ? tunnel.out->sa->counters : tunnel.in.at(0).sa->counters;
  }
  void expect_taken(const std::string& what, const Bytes& frame) {
    SCOPED_TRACE(what);
    EXPECT_EQ(send("b", {frame}, "a").size(), 1U);
  }

  IpsecSettings settings_;
  PeerSa out_, in_;
  std::string state_ =
      std::filesystem::temp_directory_path() / ("millrace_ipsec_" + std::to_string(getpid()) + ".json");
};

}  // namespace millrace::behaviour
