// Bursts whose packets leave by several interfaces: each interface's leave together, in their order.
#include <random>

#include "cases.h"

namespace millrace::behaviour {
namespace {

const std::string kFourWays = R"(
interfaces:
  a: {device: @a, addresses: [10.0.1.1/24]}
  b: {device: @b, addresses: [10.0.2.1/24]}
  c: {device: @c, addresses: [10.0.3.1/24], mtu: 1400}
  c.7: {parent: c, vlan: 7, addresses: [10.0.4.1/24]}
neighbors:
  - {address: 10.0.2.2, mac: "02:00:00:00:02:02", interface: b}
  - {address: 10.0.2.3, mac: "02:00:00:00:02:03", interface: b}
  - {address: 10.0.3.2, mac: "02:00:00:00:03:02", interface: c}
  - {address: 10.0.4.2, mac: "02:00:00:00:04:02", interface: c.7}
)";

struct Way {
  Ipv4Address to;
  std::string interface, port;
  MacAddress mac;
};

class SeveralWays : public TwoSubnetsTest {
 protected:
  SeveralWays() { start(kFourWays); }

  const std::vector<Way> ways_ = {{ip("10.0.2.2"), "b", "b", mac("02:00:00:00:02:02")},
                                  {ip("10.0.2.3"), "b", "b", mac("02:00:00:00:02:03")},
                                  {ip("10.0.3.2"), "c", "c", mac("02:00:00:00:03:02")},
                                  {ip("10.0.4.2"), "c.7", "c", mac("02:00:00:00:04:02")}};
  std::mt19937 random_{7};
  std::uint16_t sent_ = 0;

  // Sends a burst of `count` packets of several lengths by ways of `ways`; every `expires`-th has no hop
  // left. What is to come out of each port.
  std::map<std::string, std::vector<Bytes>> send_burst(unsigned count, const std::vector<unsigned>& ways,
                                                       unsigned expires) {
    std::map<std::string, std::vector<Bytes>> wanted;
    for (unsigned i = 0; i < count; ++i) {
      const Way& way = ways_[ways[random_() % ways.size()]];
      const std::uint8_t ttl = expires != 0 && i % expires == 0 ? 1 : 64;
      const Bytes packet = in({.destination = way.to,
                               .ttl = ttl,
                               .identification = ++sent_,
                               .payload = pattern(26 + random_() % 1300)});
      two().send("a", packet);
      if (ttl == 1) continue;
      Bytes frame = forwarded(packet, way.mac, two().mac(way.interface));
      if (way.interface == "c.7") frame = tagged(frame, 7);
      wanted[way.port].push_back(frame);
    }
    return wanted;
  }
  // What left by each way so far, as its neighbour's counters have it: packets, and bytes of IP.
  std::vector<std::pair<std::uint64_t, std::uint64_t>> sent_by_way() {
    std::vector<std::pair<std::uint64_t, std::uint64_t>> sent;
    for (const Way& way : ways_)
      sent.push_back(two().control().sent_to({two().interface(way.interface).id, way.to}));
    return sent;
  }
  static Bytes tagged(Bytes frame, std::uint8_t vlan) {
    const Bytes tag{0x81, 0x00, 0x00, vlan};
    frame.insert(frame.begin() + 12, tag.begin(), tag.end());
    return frame;
  }
  // The frames to each neighbour are those that were wanted, in their order.
  void expect_in_order(const std::vector<Bytes>& got, const std::vector<Bytes>& wanted) {
    for (const Way& way : ways_) {
      const auto of_way = [&](const std::vector<Bytes>& frames) {
        std::vector<Bytes> some;
        std::ranges::copy_if(frames, std::back_inserter(some), [&](const Bytes& frame) {
          return std::equal(way.mac.bytes.begin(), way.mac.bytes.end(), frame.begin());
        });
        return some;
      };
      expect_frames(of_way(wanted), of_way(got));
    }
  }
};

TEST_F(SeveralWays, EachFlowStaysInItsOrderAndEachFrameIsCountedWhereItLeft) {
  struct Kind {
    const char* what;
    std::vector<unsigned> ways;
    unsigned expires;
  };
  const std::vector<Kind> kinds = {{"two ports", {0, 2}, 0},
                                   {"two neighbours of one", {0, 1}, 0},
                                   {"all", {0, 1, 2, 3}, 0},
                                   {"all, and some that end here", {0, 1, 2, 3}, 7},
                                   {"one port, and some that end here", {0, 1}, 5}};
  for (const Kind& kind : kinds) {
    for (const unsigned count : {1U, 2U, 15U, 16U, 17U, 33U, 63U, 64U}) {
      SCOPED_TRACE(std::string(kind.what) + ", " + std::to_string(count));
      std::map<std::string, controlplane::InterfaceTotals> before;
      for (const char* name : {"b", "c", "c.7"})
        before[name] = two().control().totals(two().interface(name).id);
      auto by_way = sent_by_way();
      auto wanted = send_burst(count, kind.ways, kind.expires);
      two().run();
      std::map<std::string, std::pair<std::uint64_t, std::uint64_t>> left;  // frames and bytes
      for (const char* port : {"b", "c"}) {
        const auto got = two().received(port);
        ASSERT_EQ(got.size(), wanted[port].size());
        expect_in_order(got, wanted[port]);
        for (const Bytes& frame : got) {
          const bool tagged = get16(frame, 12) == 0x8100;
          auto& [frames, bytes] = left[tagged ? "c.7" : port];
          ++frames;
          bytes += frame.size();
          const auto way = std::ranges::find_if(ways_, [&](const Way& w) {
            return std::equal(w.mac.bytes.begin(), w.mac.bytes.end(), frame.begin());
          });
          ASSERT_NE(way, ways_.end());
          auto& [packets, ip_bytes] = by_way[static_cast<std::size_t>(way - ways_.begin())];
          ++packets;
          ip_bytes += frame.size() - (tagged ? 18 : 14);
        }
      }
      two().received("a");
      EXPECT_EQ(sent_by_way(), by_way);
      for (const char* name : {"b", "c", "c.7"}) {
        const auto after = two().control().totals(two().interface(name).id);
        EXPECT_EQ(after.tx_packets - before[name].tx_packets, left[name].first) << name;
        EXPECT_EQ(after.tx_bytes - before[name].tx_bytes, left[name].second) << name;
      }
    }
  }
}

TEST_F(SeveralWays, OneThatGoesAnotherWayIsFoundWhereverItStands) {
  for (unsigned odd = 0; odd < dataplane::kBurst; ++odd) {
    for (unsigned i = 0; i < dataplane::kBurst; ++i)
      two().send("a", in({.destination = i == odd ? ip("10.0.3.2") : ip("10.0.2.2")}));
    two().run();
    EXPECT_EQ(two().received("b").size(), dataplane::kBurst - 1) << odd;
    EXPECT_EQ(two().received("c").size(), 1U) << odd;
  }
}

// Rules 7 and 25, where packets of one burst have several ways.
TEST_F(SeveralWays, ThePathMtuOfEachHolds) {
  constexpr std::size_t kFits = 1400 - 20;
  for (const std::size_t payload : {kFits, kFits + 1}) {
    two().send("a", in({.destination = ip("10.0.2.2"), .payload = pattern(kFits + 1)}));
    two().send("a", in({.destination = ip("10.0.3.2"), .payload = pattern(payload)}));
    two().run();
    EXPECT_EQ(two().received("b").size(), 1U);
    EXPECT_EQ(two().received("c").size(), payload == kFits ? 1U : 2U);
  }
}

}  // namespace
}  // namespace millrace::behaviour
