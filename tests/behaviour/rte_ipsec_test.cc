// Tunnels whose other end is DPDK's librte_ipsec: all that both can do, cell by cell. What it seals the
// router takes, what the router seals it opens, and the packet inside is the same.
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <iostream>

#include "rte_ipsec_peer.h"

namespace millrace::behaviour {
namespace {

using ::testing::AssertionFailure;
using ::testing::AssertionResult;
using ::testing::AssertionSuccess;

constexpr std::uint8_t kEsp = 50;
constexpr std::uint64_t kEpoch = std::uint64_t{1} << 32;

constexpr const char* kImpossible =
    "impossible: librte_ipsec authenticates a number's high half behind the packet, not in its header (RFC "
    "4543 3.3)";

// What packets inside carry behind their headers: nothing, around the blocks of ciphers, and much.
constexpr std::size_t kSizes[] = {0, 1400, 1, 2, 13, 14, 15, 16, 17, 333, 64, 1000};

// A tunnel of its own in the router, with an SA for each direction.
struct Cell {
  unsigned number;
  PeerSa out, in;  // as the router has them
  bool outer_ipv6, inner_ipv6, udp;

  [[nodiscard]] std::string interface() const { return "ipsec" + std::to_string(number); }
  [[nodiscard]] bool esn() const { return out.keys.extended_sequence; }
  [[nodiscard]] bool possible() const {
    return !esn() || esp::traits(out.keys.algorithm).cipher != esp::Cipher::gmac;
  }
  [[nodiscard]] std::string text() const {
    std::string name(esp::traits(out.keys.algorithm).name);
    name.resize(24, ' ');
    return name + " IPv" + (inner_ipv6 ? '6' : '4') + " in IPv" + (outer_ipv6 ? '6' : '4') +
           (udp ? "  UDP" : "  -  ") + (esn() ? "  ESN  " : "  -    ");
  }
};

std::vector<Cell> cells_of(esp::Algorithm algorithm) {
  std::vector<Cell> all;
  for (unsigned i = 0; i < 16; ++i) {
    const bool esn = (i & 1) != 0;
    all.push_back({i, make_sa(0x1001 + i, algorithm, esn, 2 * i),
                   make_sa(0x2001 + i, algorithm, esn, 2 * i + 1), (i & 8) != 0, (i & 4) != 0, (i & 2) != 0});
  }
  return all;
}

// What a router makes of a packet, without Ethernet.
Bytes one_hop_on(const Bytes& packet) {
  const bool six = packet.at(0) >> 4 == 6;
  const Bytes whole = ethernet({}, {}, six ? 0x86dd : 0x0800, packet);
  const Bytes hop = six ? forwarded6(whole, {}, {}) : forwarded(whole, {}, {});
  return slice(hop, kEthernet, hop.size() - kEthernet);
}

AssertionResult same_packets(const std::string& what, const std::vector<Bytes>& wanted,
                             const std::vector<Bytes>& got) {
  if (got.size() != wanted.size())
    return AssertionFailure() << what << ": " << got.size() << " packets, not " << wanted.size();
  for (std::size_t i = 0; i < got.size(); ++i) {
    if (const auto equal = same(wanted[i], got[i]); !equal)
      return AssertionFailure() << what << ", packet " << i << ": " << equal.message();
  }
  return AssertionSuccess();
}

Bytes with_wrong_icv(Bytes packet) {
  packet.back() ^= 1;
  return packet;
}

bool contains(const Bytes& whole, const Bytes& part) {
  return std::search(whole.begin(), whole.end(), part.begin(), part.end()) != whole.end();
}

// The clear side is a, the tunnels' way b, the other end host B. Behind the cell of number N are
// 192.168.N.0/24 and 2001:db8:9:N::/64.
class RteIpsec : public LabTest, public ::testing::WithParamInterface<std::size_t> {
 protected:
  void TearDown() override {
    LabTest::TearDown();
    std::filesystem::remove(state_);
  }

  const esp::Algorithm algorithm_ = static_cast<esp::Algorithm>(GetParam());
  const esp::Traits& of_ = esp::traits(algorithm_);
  const std::vector<Cell> cells_ = cells_of(algorithm_);

  std::string config() const {
    std::string interfaces, routes;
    for (const Cell& cell : cells_) {
      const std::string n = std::to_string(cell.number);
      interfaces += "  " + cell.interface() + ":\n    mtu: 1460\n    addresses: [10.9." + n +
                    ".1/30, \"2001:db8:99:" + n + "::1/64\"]\n    ipsec: {" +
                    (cell.outer_ipv6 ? R"(local: "2001:db8:2::1", remote: "2001:db8:2::2")"
                                     : "local: 10.0.2.1, remote: 10.0.2.2") +
                    ", algorithm: " + std::string(of_.name) + ", esn: " + (cell.esn() ? "true" : "false") +
                    ", udp: " + (cell.udp ? "true" : "false") + ", out: " + sa_text(cell.out) +
                    ", in: " + sa_text(cell.in) + "}\n";
      routes += "  - {prefix: 192.168." + n + ".0/24, via: 10.9." + n +
                ".2}\n  - {prefix: \"2001:db8:9:" + n + "::/64\", via: \"2001:db8:99:" + n + "::2\"}\n";
    }
    return R"(
interfaces:
  a: {device: @a, addresses: [10.0.1.1/24, "2001:db8:1::1/64"]}
  b: {device: @b, mtu: 1600, addresses: [10.0.2.1/24, "2001:db8:2::1/64"]}
)" + interfaces +
           "routes:\n" + routes + R"(
neighbors:
  - {address: 10.0.1.2, mac: "02:00:00:00:01:02", interface: a}
  - {address: 10.0.2.2, mac: "02:00:00:00:02:02", interface: b}
  - {address: "2001:db8:1::2", mac: "02:00:00:00:01:02", interface: a}
  - {address: "2001:db8:2::2", mac: "02:00:00:00:02:02", interface: b}
ipsec: {state: )" +
           state_ + ", allow: [" + std::string(of_.name) + "]}\n";
  }
  static std::string sa_text(const PeerSa& sa) {
    return "{spi: " + std::to_string(sa.spi) + ", key: " + sa.key_text() + "}";
  }

  // Between host A and what is behind the tunnel: one packet of each size.
  static std::vector<Bytes> packets(const Cell& cell, bool from_a, std::span<const std::size_t> sizes) {
    std::vector<Bytes> all;
    const std::string n = std::to_string(cell.number);
    const auto four = [&](bool a) { return a ? ip("10.0.1.2") : ip(("192.168." + n + ".5").c_str()); };
    const auto six = [&](bool a) {
      return a ? ip6("2001:db8:1::2") : ip6(("2001:db8:9:" + n + "::5").c_str());
    };
    for (const std::size_t size : sizes) {
      if (cell.inner_ipv6)
        all.push_back(
            Ipv6Packet{.source = six(from_a), .destination = six(!from_a), .payload = pattern(size)}.bytes());
      else
        all.push_back(
            Ipv4Packet{.source = four(from_a), .destination = four(!from_a), .payload = pattern(size)}
                .bytes());
    }
    return all;
  }
  // What comes out of a port, without Ethernet, when these go into another.
  std::vector<Bytes> through(const std::string& in, const MacAddress& from, const std::vector<Bytes>& sent,
                             const std::string& out, const MacAddress& to) {
    for (const Bytes& each : sent) {
      const bool six = each.at(0) >> 4 == 6;
      Bytes frame = ethernet(lab_->mac(in), from, six ? 0x86dd : 0x0800, each);
      if (!six) fix_checksum(frame);  // as librte_ipsec's NIC does
      lab_->send(in, frame);
    }
    lab_->run();
    std::vector<Bytes> all;
    for (const Bytes& frame : lab_->received(out)) {
      EXPECT_TRUE(same(ethernet(to, lab_->mac(out), get16(frame, 12), {}), slice(frame, 0, kEthernet)));
      all.push_back(slice(frame, kEthernet, frame.size() - kEthernet));
    }
    return all;
  }
  std::vector<Bytes> into_tunnel(const std::vector<Bytes>& inner) {
    return through("a", kHostA, inner, "b", kHostB);
  }
  std::vector<Bytes> out_of_tunnel(const std::vector<Bytes>& outer) {
    return through("b", kHostB, outer, "a", kHostA);
  }

  static RteSa::Settings peer_settings(const Cell& cell, RteSa::Way way, std::uint64_t number) {
    const std::uint8_t protocol = cell.udp ? kUdp : kEsp;
    const Bytes outer = cell.outer_ipv6 ? Ipv6Packet{.source = ip6("2001:db8:2::2"),
                                                     .destination = ip6("2001:db8:2::1"),
                                                     .next_header = protocol,
                                                     .payload = {}}
                                              .bytes()
                                        : Ipv4Packet{.source = ip("10.0.2.2"),
                                                     .destination = ip("10.0.2.1"),
                                                     .protocol = protocol,
                                                     .payload = {}}
                                              .bytes();
    return {way, outer, cell.udp, cell.inner_ipv6, number};
  }
  static std::size_t before_esp(const Cell& cell) {
    return (cell.outer_ipv6 ? 40U : 20U) + (cell.udp ? 8U : 0U);
  }

  // Whether what is on the way is what the cell says, in order of its numbers, and hides what the algorithm
  // hides.
  AssertionResult on_the_way(const Cell& cell, std::uint32_t spi, std::uint64_t first,
                             const std::vector<Bytes>& inner, const std::vector<Bytes>& outer) const {
    if (outer.size() != inner.size())
      return AssertionFailure() << outer.size() << " packets are sealed, not " << inner.size();
    for (std::size_t i = 0; i < outer.size(); ++i) {
      const Bytes& wire = outer[i];
      const std::size_t esp = before_esp(cell), header = cell.inner_ipv6 ? 40 : 20;
      if (wire.at(cell.outer_ipv6 ? 6 : 9) != (cell.udp ? kUdp : kEsp) ||
          wire.at(0) >> 4 != (cell.outer_ipv6 ? 6 : 4))
        return AssertionFailure() << "packet " << i << " has another header around it";
      if (get32(wire, esp) != spi || get32(wire, esp + 4) != static_cast<std::uint32_t>(first + i))
        return AssertionFailure() << "packet " << i << " has SPI " << get32(wire, esp) << ", number "
                                  << get32(wire, esp + 4);
      const Bytes clear = slice(inner[i], header, inner[i].size() - header);
      const bool hides = of_.cipher != esp::Cipher::null && of_.cipher != esp::Cipher::gmac;
      if (clear.size() >= 16 && contains(wire, clear) == hides)
        return AssertionFailure() << "packet " << i << (hides ? " is not encrypted" : " is encrypted");
    }
    return AssertionSuccess();
  }
  // A burst by librte_ipsec: what is wrong with one and what comes twice is dropped, all others are taken.
  AssertionResult router_opens(const Cell& cell, RteSa& peer, std::uint64_t first,
                               std::span<const std::size_t> sizes) {
    const auto inner = packets(cell, false, sizes);
    const auto outer = peer.work(inner);
    if (auto right = on_the_way(cell, cell.in.spi, first, inner, outer); !right)
      return right << ", by librte_ipsec";
    const std::uint64_t forged = lab_->dropped(DropReason::esp_forged),
                        replayed = lab_->dropped(DropReason::esp_replayed);
    if (auto none = same_packets("forged", {}, out_of_tunnel({with_wrong_icv(outer[0])})); !none) return none;
    std::vector<Bytes> wanted;
    for (const Bytes& each : inner) wanted.push_back(one_hop_on(each));
    if (auto all = same_packets("librte_ipsec seals", wanted, out_of_tunnel(outer)); !all)
      return all << ", " << lab_->dropped(DropReason::esp_forged) - forged << " forged";
    if (auto none = same_packets("replayed to the router", {}, out_of_tunnel(outer)); !none) return none;
    if (lab_->dropped(DropReason::esp_forged) != forged + 1)
      return AssertionFailure() << "what is forged is not counted once";
    if (lab_->dropped(DropReason::esp_replayed) != replayed + outer.size())
      return AssertionFailure() << "what is replayed is not counted";
    return AssertionSuccess();
  }
  // The other way round. Nothing comes twice: of 64 numbers in a row librte_ipsec 22.11 takes 32 again, as it
  // keeps their bits in too short a word.
  AssertionResult router_seals(const Cell& cell, RteSa& peer, std::uint64_t first,
                               std::span<const std::size_t> sizes) {
    const auto inner = packets(cell, true, sizes);
    std::vector<Bytes> wanted;
    for (const Bytes& each : inner) wanted.push_back(one_hop_on(each));
    const auto outer = into_tunnel(inner);
    if (auto right = on_the_way(cell, cell.out.spi, first, inner, outer); !right)
      return right << ", by the router";
    if (auto none = same_packets("forged", {}, peer.work({with_wrong_icv(outer[0])})); !none) return none;
    return same_packets("the router seals", wanted, peer.work(outer));
  }

  AssertionResult holds(const Cell& cell) {
    auto sender = RteSa::make(cell.in, peer_settings(cell, RteSa::Way::seal, 1));
    auto receiver = RteSa::make(cell.out, peer_settings(cell, RteSa::Way::open, 0));
    if (!sender) return AssertionFailure() << sender.error();
    if (!receiver) return AssertionFailure() << receiver.error();
    if (!cell.possible()) return has_the_high_half_elsewhere(cell, **sender, **receiver);
    if (auto done = router_opens(cell, **sender, 1, kSizes); !done) return done;
    if (auto done = router_seals(cell, **receiver, 1, kSizes); !done) return done;
    return cell.esn() ? holds_at_the_wrap(cell, **receiver) : AssertionSuccess();
  }
  // RFC 4303 2.2.1: the last number of the first epoch is sent in a burst with the first of the next one.
  // Before that burst comes one near them, by which receivers know where they are.
  AssertionResult holds_at_the_wrap(const Cell& cell, RteSa& receiver) {
    constexpr std::uint64_t kNear = kEpoch - 3, kLast = kNear + std::size(kSizes);
    const auto& tunnel = lab_->control().tunnels().all().at(cell.interface());
    auto sender = RteSa::make(cell.in, peer_settings(cell, RteSa::Way::seal, kNear));
    if (!sender) return AssertionFailure() << sender.error();
    tunnel.out->sa->sa.sequence = esp::SequenceCounter(true, kNear - 1);
    const auto one = std::span(kSizes).first(1);
    if (auto done = router_opens(cell, **sender, kNear, one); !done) return done << ", before the wrap";
    if (auto done = router_opens(cell, **sender, kNear + 1, kSizes); !done) return done << ", at the wrap";
    if (auto done = router_seals(cell, receiver, kNear, one); !done) return done << ", before the wrap";
    if (auto done = router_seals(cell, receiver, kNear + 1, kSizes); !done) return done << ", at the wrap";
    if (tunnel.in.at(0).sa->sa.window.highest() != kLast || tunnel.out->sa->sa.sequence.last() != kLast)
      return AssertionFailure() << "the router has not gone past the wrap";
    return AssertionSuccess();
  }

  // kImpossible is true: what each seals is authentic by that, and forged for the other.
  AssertionResult has_the_high_half_elsewhere(const Cell& cell, RteSa& sender, RteSa& receiver) {
    const auto inner = packets(cell, false, kSizes);
    const auto outer = sender.work(inner);
    if (auto right = on_the_way(cell, cell.in.spi, 1, inner, outer); !right) return right;
    esp::ReferenceKeys keys = cell.in.keys;
    keys.extended_sequence = false;
    for (const Bytes& each : outer) {
      const std::size_t begin = before_esp(cell), end = each.size() - of_.icv;
      const Bytes with_high_half = join(slice(each, begin, end - begin), Bytes(4));
      const Bytes icv = slice(esp::reference_seal(keys, 0, with_high_half), with_high_half.size(), of_.icv);
      if (auto equal = same(icv, slice(each, end, of_.icv)); !equal) return equal;
    }
    const std::uint64_t before = lab_->dropped(DropReason::esp_forged);
    if (auto none = same_packets("librte_ipsec seals", {}, out_of_tunnel(outer)); !none) return none;
    if (lab_->dropped(DropReason::esp_forged) != before + outer.size())
      return AssertionFailure() << "they are not forged";
    const auto sealed = into_tunnel(packets(cell, true, kSizes));
    for (const Bytes& each : sealed) {
      const std::size_t begin = before_esp(cell);
      if (!open(cell.out, slice(each, begin, each.size() - begin)))
        return AssertionFailure() << "the router's ICV is not OpenSSL's";
    }
    if (sealed.size() != outer.size())
      return AssertionFailure() << sealed.size() << " are sealed by the router";
    return same_packets("the router seals", {}, receiver.work(sealed));
  }

  std::string state_ =
      std::filesystem::temp_directory_path() / ("millrace_rte_ipsec_" + std::to_string(getpid()) + ".json");
};

// Rules 33, 36, 39. The matrix: all cells are possible but half of those of AES-GMAC.
TEST_P(RteIpsec, Rfc4303_EachOpensWhatTheOtherSeals) {
  start(config());
  unsigned passed = 0;
  for (const Cell& cell : cells_) {
    SCOPED_TRACE(cell.text());
    const AssertionResult done = holds(cell);
    EXPECT_TRUE(done);
    passed += cell.possible() && done ? 1U : 0U;
    std::cout << cell.text() << (!done ? "failed" : cell.possible() ? "passed" : kImpossible) << "\n";
  }
  EXPECT_EQ(passed, of_.cipher == esp::Cipher::gmac ? 8U : 16U);
  EXPECT_EQ(lab_->control().accounting().difference(), 0);
}

std::string name_of(const ::testing::TestParamInfo<std::size_t>& of) {
  std::string name(esp::kTraits[of.param].name);
  std::ranges::replace(name, '-', '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(All, RteIpsec, ::testing::Range<std::size_t>(0, esp::kTraits.size()), name_of);

}  // namespace
}  // namespace millrace::behaviour
