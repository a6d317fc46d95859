// Readers at full speed against a writer: every answer is one that was right at some time during the lookup.
// Every layout, by every form of the code. ThreadSanitizer sees no gathers: its build runs the scalar form
// alone.
#include <gtest/gtest.h>
#include <rte_rcu_qsbr.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "lpm/table.h"
#include "tests/unit/random.h"

namespace millrace::lpm {
namespace {

constexpr unsigned kReaders = 3;
constexpr auto kTime = std::chrono::milliseconds(200);

std::vector<Isa> isas() {
#if defined(__SANITIZE_THREAD__)
  return {Isa::scalar};
#else
  std::vector<Isa> all;
  for (const Isa isa : kIsas) {
    if (supported(isa)) all.push_back(isa);
  }
  return all;
#endif
}

template <class Address>
struct Watched {
  Address address;
  std::vector<std::uint32_t> legal;  // ids that it may have at any time
};

std::uint32_t batched(Ipv4Address a) {
  return a.value();
}
Ipv6Address batched(Ipv6Address a) {
  return a;
}

// Looks all of `watched` up, a batch and single ones in turn, until finish(); counts answers that are not
// legal.
template <class Table>
class Reader {
 public:
  using Address = typename Table::Address;

  Reader(Reclaimer& reclaimer, const Table& table, const std::vector<Watched<Address>>& watched, unsigned id)
      : reclaimer_(reclaimer), table_(table), watched_(watched), id_(id), thread_([this] { run(); }) {}
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;
  ~Reader() { finish(); }
  void finish() {
    stop_ = true;
    if (thread_.joinable()) thread_.join();
  }
  std::uint64_t rounds = 0;  // after finish()
  std::uint64_t wrong = 0;
  std::string example;

 private:
  void run() {
    reclaimer_.register_worker(id_);
    std::vector<typename Lookup<Address>::Batched> addresses;
    for (const auto& w : watched_) addresses.push_back(batched(w.address));
    std::vector<NextHopId> ids(addresses.size());
    while (!stop_.load(std::memory_order_relaxed)) {
      const Lookup<Address>& lookup = *table_.published().load(std::memory_order_acquire);
      lookup.lookup(addresses, ids.data());
      for (std::size_t i = 0; i < ids.size(); ++i) check(i, ids[i]);
      for (std::size_t i = 0; i < ids.size(); ++i) check(i, lookup.lookup(watched_[i].address));
      ++rounds;
      rte_rcu_qsbr_quiescent(reclaimer_.qsbr(), id_);
      if (rounds % 1024 == 0) {  // a nap now and then, as workers take them
        rte_rcu_qsbr_thread_offline(reclaimer_.qsbr(), id_);
        std::this_thread::yield();
        rte_rcu_qsbr_thread_online(reclaimer_.qsbr(), id_);
      }
    }
    reclaimer_.unregister_worker(id_);
  }
  void check(std::size_t i, NextHopId id) {
    const auto& legal = watched_[i].legal;
    if (std::find(legal.begin(), legal.end(), id.value()) != legal.end()) return;
    ++wrong;
    example = watched_[i].address.to_string() + " -> " + std::to_string(id.value());
  }

  Reclaimer& reclaimer_;
  const Table& table_;
  const std::vector<Watched<Address>>& watched_;
  unsigned id_;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

// Runs `write` again and again beside the readers; it gets the number of the round.
template <class Table, class Write>
void race(Reclaimer& reclaimer, Table& table, const std::vector<Watched<typename Table::Address>>& watched,
          Write&& write) {
  std::vector<std::unique_ptr<Reader<Table>>> readers;
  for (unsigned i = 0; i < kReaders; ++i) {
    readers.push_back(std::make_unique<Reader<Table>>(reclaimer, table, watched, i));
  }
  const auto end = std::chrono::steady_clock::now() + kTime;
  for (std::uint64_t round = 0; std::chrono::steady_clock::now() < end; ++round) {
    write(round);
    reclaimer.poll();
  }
  for (auto& reader : readers) {
    reader->finish();
    EXPECT_GT(reader->rounds, 0U);
    EXPECT_EQ(reader->wrong, 0U) << reader->example;
  }
  while (reclaimer.poll() != 0) {  // what is retired names the table
  }
}

Ipv4Prefix prefix(std::uint32_t address, unsigned length) {
  return {Ipv4Address(address), length};
}
Ipv6Prefix prefix(const char* text) {
  return *Ipv6Prefix::parse(text);
}

template <class Table>
class Concurrency : public testing::Test {
 public:
  using Prefix = typename Table::Prefix;
  using Address = typename Table::Address;
  struct Changing {
    Prefix prefix;
    std::array<std::uint32_t, 2> ids;
  };

  // Random insertions, changes and removals of `changing`, none of which is ever the only answer, and sharing
  // of blocks in between.
  void change_under_readers(Isa isa, Prefix always, const std::vector<Changing>& changing,
                            const std::vector<Address>& addresses) {
    Random random;
    Reclaimer reclaimer(kReaders);
    Table table(reclaimer, {256, Pages::normal}, isa);
    ASSERT_TRUE(table.insert(always, NextHopId(8), 1));
    std::vector<Watched<Address>> watched;
    for (const Address address : addresses) {
      Watched<Address> w{address, {always.contains(address) ? 8U : 0U}};
      for (const Changing& c : changing) {
        if (c.prefix.contains(address)) w.legal.insert(w.legal.end(), c.ids.begin(), c.ids.end());
      }
      watched.push_back(std::move(w));
    }
    race(reclaimer, table, watched, [&](std::uint64_t round) {
      const Changing& c = changing[random.below(changing.size())];
      if (random.chance(3)) {
        table.erase(c.prefix, round);
      } else {
        // Fails now and then: all groups wait for a reader that lost its core.
        static_cast<void>(table.insert(c.prefix, NextHopId(c.ids[random.below(2)]), round));
      }
      if (random.chance(4)) table.maintain(4, round);
    });
  }
};

using Compact = Table<Ipv4Prefix>;
using Dir24 = Table<Ipv4Prefix, Dir24Layouts>;

template <class Table>
class Ipv4Concurrency : public Concurrency<Table> {};
using Ipv4Tables = testing::Types<Compact, Dir24>;
TYPED_TEST_SUITE(Ipv4Concurrency, Ipv4Tables);
using Ipv6Concurrency = Concurrency<Ipv6Table>;

// Rules 12, 42.
TYPED_TEST(Ipv4Concurrency, NestedPrefixesComeAndGo) {
  std::vector<Ipv4Address> addresses;
  for (const std::uint32_t address :
       {0x0a010000U, 0x0a010201U, 0x0a01027fU, 0x0a010280U, 0x0a0102c7U, 0x0a0102c8U, 0x0a010300U,
        0x0a01ffffU, 0x0a020000U, 0x0a050280U, 0x0b000001U}) {
    addresses.emplace_back(address);
  }
  for (const Isa isa : isas()) {
    SCOPED_TRACE(name(isa));
    // 10.5.2.128/25 makes blocks equal to those of 10.1.2.128/25, which are shared now and then.
    this->change_under_readers(isa, prefix(0x0a000000, 8),
                               {{prefix(0x0a010000, 16), {16, 116}},
                                {prefix(0x0a010000, 20), {20, 120}},
                                {prefix(0x0a010200, 24), {24, 124}},
                                {prefix(0x0a010280, 25), {25, 125}},
                                {prefix(0x0a050280, 25), {25, 225}},
                                {prefix(0x0a0102c8, 32), {32, 132}},
                                {prefix(0x08000000, 6), {6, 106}}},
                               addresses);
  }
}

// Rules 12, 42.
TEST_F(Ipv6Concurrency, NestedPrefixesComeAndGo) {
  std::vector<Ipv6Address> addresses;
  for (const char* text : {"2001:db8::1", "2001:db8:1::1", "2001:db8:1:2::1", "2001:db8:1:2::3",
                           "2001:db8:2:2::3", "2001:db9::1", "2001:db8:1:200::", "2400::1"}) {
    addresses.push_back(*Ipv6Address::parse(text));
  }
  for (const Isa isa : isas()) {
    SCOPED_TRACE(name(isa));
    change_under_readers(isa, prefix("2000::/3"),
                         {{prefix("2001:db8::/32"), {32, 132}},
                          {prefix("2001:db8:1::/48"), {48, 148}},
                          {prefix("2001:db8:2::/48"), {48, 248}},
                          {prefix("2001:db8:1::/52"), {52, 152}},
                          {prefix("2001:db8:1:2::/64"), {64, 164}},
                          {prefix("2001:db8:1:2::3/128"), {128, 1128}},
                          {prefix("2001:db8:2:2::3/128"), {128, 1128}}},
                         addresses);
  }
}

// One group for two /24s in turn: a reader that is still in the old life of it must not see the new one.
// Rule 42.
TYPED_TEST(Ipv4Concurrency, AGroupNeverShowsItsNextLife) {
  std::vector<Watched<Ipv4Address>> watched;
  for (std::uint32_t low = 0; low < 256; low += 17) {
    watched.push_back({Ipv4Address(0x0a000100 + low), {1, 11}});
    watched.push_back({Ipv4Address(0x0a000200 + low), {2, 12}});
  }
  for (const Isa isa : isas()) {
    SCOPED_TRACE(name(isa));
    Reclaimer reclaimer(kReaders);
    TypeParam table(reclaimer, {1, Pages::normal}, isa);
    ASSERT_TRUE(table.insert(prefix(0x0a000100, 24), NextHopId(1), 1));
    ASSERT_TRUE(table.insert(prefix(0x0a000200, 24), NextHopId(2), 1));
    std::uint64_t lives = 0;
    bool first = true;
    race(reclaimer, table, watched, [&](std::uint64_t round) {
      const Ipv4Prefix half = first ? prefix(0x0a000180, 25) : prefix(0x0a000280, 25);
      if (!table.insert(half, NextHopId(first ? 11 : 12), round)) return;  // the grace period is not over
      ASSERT_TRUE(table.erase(half, round));
      first = !first;
      ++lives;
    });
    EXPECT_GT(lives, 10U);
  }
}

// A whole new table under readers: by replace_all, and by entries that grow from two bytes to four.
// Rule 42.
TYPED_TEST(Ipv4Concurrency, TheWholeTableIsSwapped) {
  std::vector<typename TypeParam::Route> small, large;
  std::vector<Watched<Ipv4Address>> watched;
  for (std::uint32_t i = 0; i < 64; ++i) {
    const std::uint32_t address = 0x0a000000 + (i << 14) + (i << 6);
    small.push_back({prefix(address, 26), NextHopId(1 + i)});
    large.push_back({prefix(address, 24 + i % 9), NextHopId(0x10000 + i)});
    watched.push_back({Ipv4Address(address), {1 + i, 0x10000 + i}});
  }
  for (const Isa isa : isas()) {
    SCOPED_TRACE(name(isa));
    Reclaimer reclaimer(kReaders);
    TypeParam table(reclaimer, {256, Pages::normal}, isa);
    ASSERT_TRUE(table.replace_all(small, 1));
    race(reclaimer, table, watched, [&](std::uint64_t round) {
      ASSERT_TRUE(table.replace_all(round % 2 == 0 ? large : small, round));
      ASSERT_TRUE(table.statistics().wide == (round % 2 == 0));
      if (round % 2 != 0) {
        for (const auto& route : large) ASSERT_TRUE(table.insert(route.prefix, route.next_hop, round));
        ASSERT_TRUE(table.statistics().wide);
      }
    });
  }
}

}  // namespace
}  // namespace millrace::lpm
