// Whatever comes: received + originated + fragments added = transmitted + punted + dropped, and no buffer is
// lost. (dataplane/counters.h.) Random traffic of all kinds; MILLRACE_TEST_SEED repeats a run.
#include <cstdlib>
#include <iostream>
#include <random>

#include "cases.h"

namespace millrace::behaviour {
namespace {

std::uint64_t seed() {
  const char* given = std::getenv("MILLRACE_TEST_SEED");
  return given != nullptr ? std::strtoull(given, nullptr, 0) : std::random_device{}();
}

std::string config(unsigned mtu_b) {
  return R"(
interfaces:
  a: {device: @a, addresses: [10.0.1.1/24, 10.0.7.1/31]}
  b: {device: @b, mtu: )" +
         std::to_string(mtu_b) + R"(, addresses: [10.0.2.1/24]}
  c: {device: @c, addresses: [10.0.3.1/24]}
routes:
  - {prefix: 203.0.113.0/24, via: [10.0.2.2, 10.0.3.2]}
  - {prefix: 198.18.0.0/24, type: blackhole}
  - {prefix: 198.18.1.0/24, type: unreachable}
  - {prefix: 198.18.2.0/24, type: prohibit}
neighbors:
  - {address: 10.0.1.2, mac: "02:00:00:00:01:02", interface: a}
  - {address: 10.0.2.2, mac: "02:00:00:00:02:02", interface: b}
)";
}

class Traffic {
 public:
  Traffic(Lab& lab, std::uint64_t seed, unsigned queues) : lab_(lab), random_(seed), queues_(queues) {}

  void send_one() {
    const std::string on = pick({"a", "a", "b", "c"});
    if (lab_.control().interfaces().find(on) == nullptr) return;
    Bytes f = random_frame(on);
    if (one_in(3)) mutate(f);
    if (one_in(50)) f = Bytes(f.begin(), f.begin() + static_cast<std::ptrdiff_t>(below(f.size() + 1)));
    if (!f.empty()) lab_.send(on, f, layout(f.size()), static_cast<unsigned>(below(queues_)));
  }
  bool one_in(std::size_t n) { return below(n) == 0; }
  std::size_t below(std::size_t n) { return static_cast<std::size_t>(random_() % n); }

 private:
  template <class T>
  T pick_from(const std::vector<T>& from) {
    return from[below(from.size())];
  }
  std::string pick(const std::vector<std::string>& from) { return pick_from(from); }
  Ipv4Address address() {
    static const std::vector<const char*> kAddresses = {
        "10.0.1.1",   "10.0.1.2",   "10.0.1.9", "10.0.2.1",  "10.0.2.2",    "10.0.2.77",   "10.0.3.2",
        "10.0.3.255", "10.0.7.0",   "10.0.7.1", "8.8.8.8",   "203.0.113.1", "203.0.113.9", "198.18.0.1",
        "198.18.1.1", "198.18.2.1", "0.0.0.0",  "224.0.0.1", "127.0.0.1",   "169.254.1.1", "255.255.255.255"};
    return one_in(20) ? Ipv4Address(static_cast<std::uint32_t>(random_())) : ip(pick_from(kAddresses));
  }
  Bytes payload(std::uint8_t protocol) {
    const Bytes data = pattern(one_in(8) ? below(5000) : below(100), static_cast<unsigned>(below(256)));
    const auto port = static_cast<std::uint16_t>(random_());
    if (protocol == 17) return udp(port, 53, data);
    if (protocol == 6) return tcp(port, 80, data);
    if (protocol == 1) return icmp(static_cast<std::uint8_t>(one_in(2) ? 8 : below(20)), 0, port, data);
    return data;
  }
  Ipv4Packet packet() {
    Ipv4Packet p;
    p.source = one_in(2) ? ip("10.0.1.2") : address();
    p.destination = address();
    p.ttl = static_cast<std::uint8_t>(one_in(4) ? below(3) : 64);
    p.protocol = pick_from<std::uint8_t>({1, 1, 6, 17, 50});
    p.flags_offset = pick_from<std::uint16_t>({0, 0, 0, kDf, kMf, 185, kReservedFlag});
    if (one_in(10))
      p.options = pick_from<Bytes>({{0x94, 4, 0, 0}, {7, 4, 4, 0}, {0x5e, 0, 0, 0}, Bytes(40, 1)});
    p.payload = payload(p.protocol);
    return p;
  }
  Bytes random_frame(const std::string& on) {
    const MacAddress to = one_in(20) ? kBroadcastMac : one_in(20) ? kHostB : lab_.mac(on);
    if (one_in(6)) {
      const MacAddress from{{2, 0, 0, 0, 7, static_cast<std::uint8_t>(below(9))}};
      const auto operation = static_cast<std::uint16_t>(1 + below(2));
      return frame(to, from, ArpPacket{operation, from, address(), to, address()});
    }
    if (one_in(30)) return ethernet(to, kHostA, static_cast<std::uint16_t>(random_()), pattern(below(200)));
    return frame(to, kHostA, packet());
  }
  // Some bytes of the headers, mostly with the checksum made right again, so that it is not the first thing
  // wrong.
  void mutate(Bytes& f) {
    for (std::size_t n = 1 + below(3); n > 0; --n)
      f[below(std::min<std::size_t>(f.size(), 60))] = static_cast<std::uint8_t>(random_());
    if (f.size() >= kEthernet + 60 && !one_in(4)) fix_checksum(f);
  }
  Layout layout(std::size_t size) {
    Layout l;
    if (!one_in(4)) return l;
    for (std::size_t n = below(6); n > 0; --n) l.segments.push_back(below(std::min<std::size_t>(size, 200)));
    l.no_tailroom = one_in(4);
    return l;
  }

  Lab& lab_;
  std::mt19937_64 random_;
  unsigned queues_;
};

class AccountingTest : public LabTest, public ::testing::WithParamInterface<LabOptions> {};

// Rule 40.
TEST_P(AccountingTest, TheSumsHoldAndNoBufferIsLost) {
  const std::uint64_t chosen = seed();
  SCOPED_TRACE("MILLRACE_TEST_SEED=" + std::to_string(chosen));
  std::cout << "seed " << chosen << "\n";
  Lab& lab = start(config(1500), GetParam());
  Traffic traffic(lab, chosen, GetParam().rx_queues);
  const std::vector<std::string> names{"a", "b", "c"};
  std::vector<bool> up{true, true, true};
  for (unsigned batch = 0; batch < 400; ++batch) {
    for (std::size_t n = traffic.below(80); n > 0; --n) traffic.send_one();
    if (traffic.one_in(3)) lab.step();  // something is under way when the next change comes
    if (traffic.one_in(20)) lab.must_apply(config(576 + static_cast<unsigned>(traffic.below(900))));
    if (traffic.one_in(10)) lab.advance(0.1 * static_cast<double>(traffic.below(40)));
    if (traffic.one_in(20)) {
      const std::size_t which = traffic.below(3);
      up[which] = !up[which];
      lab.set_link(names[which], up[which]);
    }
    if (traffic.one_in(2)) lab.settle();
    if (traffic.one_in(10)) {
      lab.settle();
      ASSERT_EQ(lab.control().accounting().difference(), 0) << "batch " << batch;
      ASSERT_EQ(lab.buffers_out(), lab.buffers_waiting()) << "batch " << batch;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(OneWorker, AccountingTest,
                         ::testing::Values(LabOptions{.what = "one worker, own queue for the control thread"},
                                           LabOptions{.what = "one worker, one transmit queue",
                                                      .tx_queues = 1}));
INSTANTIATE_TEST_SUITE_P(
    TwoWorkers, AccountingTest,
    ::testing::Values(
        LabOptions{.what = "two workers, handoff", .workers = 2, .rx_queues = 2, .tx_queues = 1},
        LabOptions{.what = "two workers", .workers = 2, .rx_queues = 2, .tx_queues = 3}));

class Accounts : public TwoSubnetsTest {};

// Rule 40.
TEST_F(Accounts, EachTermOfTheSum) {
  two().send("a", in({}));                          // forwarded
  two().send("a", in({.payload = pattern(3000)}));  // three fragments
  two().send("a", in({.ttl = 1}));                  // dropped, and answered
  two().send("a",
             in({.destination = ip("10.0.1.1"), .protocol = 1, .payload = icmp(8, 0, 1, {})}));  // punted
  const Accounting before = two().control().accounting();
  two().run();
  const Accounting sums = two().control().accounting();
  EXPECT_EQ(sums.received - before.received, 4U);
  EXPECT_EQ(sums.fragments_added - before.fragments_added, 2U);
  EXPECT_EQ(sums.transmitted - before.transmitted, 1U + 3U + 1U + 1U);
  EXPECT_EQ(sums.originated - before.originated, 2U) << "an ICMP error and a reply";
  EXPECT_EQ(sums.punted - before.punted, 1U);
  EXPECT_EQ(sums.dropped - before.dropped, 1U);
}

// Rule 40.
TEST_F(Accounts, FramesThatAPortDidNotTakeAreNotCountedAsSent) {
  start(kTwoSubnets, {.tx_ring = 64});
  const auto before = two().control().totals(two().interface("b").id);
  for (unsigned i = 0; i < 100; ++i) two().send("a", in({}));
  two().run();
  const auto b = two().control().totals(two().interface("b").id);
  EXPECT_EQ(b.tx_packets - before.tx_packets, 63U);
  EXPECT_EQ(b.tx_bytes - before.tx_bytes, 63 * in({}).size());
  EXPECT_EQ(two().control().dropped(two().interface("b").id, DropReason::tx_queue_full), 37U);
}

// Rule 40.
TEST_F(Accounts, AnEndWithFramesEverywhereLosesNone) {
  for (unsigned i = 0; i < 100; ++i) two().send("a", in({}));
  for (unsigned i = 0; i < 20; ++i) two().send("a", in({.destination = ip("10.0.2.9")}));
  for (unsigned i = 0; i < 20; ++i) two().send("a", in({.ttl = 1}));
  while (two().step()) {  // in transmit rings and punt rings
  }
  for (unsigned i = 0; i < 50; ++i) two().send("a", in({}));  // and in a receive ring
  lab_.reset();
  EXPECT_EQ(rte_mempool_in_use_count(Lab::pool()), 0U);
}

}  // namespace
}  // namespace millrace::behaviour
