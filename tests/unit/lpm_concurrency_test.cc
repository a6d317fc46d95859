// Readers at full speed against a writer: every answer is one that was right at some time during the lookup.
// The build with ThreadSanitizer runs this, too.
#include <gtest/gtest.h>
#include <rte_rcu_qsbr.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <memory>
#include <thread>
#include <vector>

#include "lpm/ipv4_table.h"
#include "tests/unit/random.h"

namespace millrace::lpm {
namespace {

constexpr unsigned kReaders = 3;
constexpr auto kTime = std::chrono::milliseconds(400);

struct Watched {
  Ipv4Address address;
  std::vector<std::uint32_t> legal;  // ids that it may have at any time
};

// Looks all of `watched` up, a batch and single ones in turn, until `stop`; counts answers that are not
// legal.
class Reader {
 public:
  Reader(Reclaimer& reclaimer, Ipv4Lookup lookup, const std::vector<Watched>& watched, unsigned id)
      : reclaimer_(reclaimer), lookup_(lookup), watched_(watched), id_(id), thread_([this] { run(); }) {}
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;
  ~Reader() {
    stop_ = true;
    if (thread_.joinable()) thread_.join();
  }
  void finish() {
    stop_ = true;
    thread_.join();
  }
  std::uint64_t rounds = 0;  // after finish()
  std::uint64_t wrong = 0;
  std::array<std::uint32_t, 2> example{};  // address, id

 private:
  void run() {
    reclaimer_.register_worker(id_);
    std::vector<std::uint32_t> addresses;
    for (const Watched& w : watched_) addresses.push_back(w.address.value());
    std::vector<NextHopId> ids(addresses.size());
    while (!stop_.load(std::memory_order_relaxed)) {
      lookup_.lookup(addresses, ids.data());
      for (std::size_t i = 0; i < ids.size(); ++i) check(i, ids[i]);
      for (std::size_t i = 0; i < ids.size(); ++i) check(i, lookup_.lookup(addresses[i]));
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
    example = {watched_[i].address.value(), id.value()};
  }

  Reclaimer& reclaimer_;
  Ipv4Lookup lookup_;
  const std::vector<Watched>& watched_;
  unsigned id_;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

// Runs `write` again and again beside the readers; it gets the number of the round.
template <class Write>
void race(Reclaimer& reclaimer, Ipv4TableBuilder& table, const std::vector<Watched>& watched, Write&& write) {
  std::vector<std::unique_ptr<Reader>> readers;
  for (unsigned i = 0; i < kReaders; ++i) {
    readers.push_back(std::make_unique<Reader>(reclaimer, table.lookup(), watched, i));
  }
  const auto end = std::chrono::steady_clock::now() + kTime;
  for (std::uint64_t round = 0; std::chrono::steady_clock::now() < end; ++round) {
    write(round);
    reclaimer.poll();
  }
  for (auto& reader : readers) {
    reader->finish();
    EXPECT_GT(reader->rounds, 0U);
    EXPECT_EQ(reader->wrong, 0U) << Ipv4Address(reader->example[0]).to_string() << " -> "
                                 << reader->example[1];
  }
  while (reclaimer.poll() != 0) {  // what is retired names the table
  }
}

Ipv4Prefix prefix(std::uint32_t address, unsigned length) {
  return {Ipv4Address(address), length};
}

TEST(Ipv4TableConcurrency, NestedPrefixesComeAndGo) {
  Random random;
  Reclaimer reclaimer(kReaders);
  Ipv4TableBuilder table(reclaimer, {64, Pages::normal});
  // Always there, so that "no route" is never legal below it.
  ASSERT_TRUE(table.insert(prefix(0x0a000000, 8), NextHopId(8), 1));
  const std::vector<std::pair<Ipv4Prefix, std::array<std::uint32_t, 2>>> changing = {
      {prefix(0x0a010000, 16), {16, 116}}, {prefix(0x0a010000, 20), {20, 120}},
      {prefix(0x0a010200, 24), {24, 124}}, {prefix(0x0a010280, 25), {25, 125}},
      {prefix(0x0a0102c8, 32), {32, 132}}, {prefix(0x08000000, 6), {6, 106}}};
  std::vector<Watched> watched;
  for (const std::uint32_t address : {0x0a010000U, 0x0a010201U, 0x0a01027fU, 0x0a010280U, 0x0a0102c7U,
                                      0x0a0102c8U, 0x0a010300U, 0x0a01ffffU, 0x0a020000U}) {
    Watched w{Ipv4Address(address), {8}};
    for (const auto& [p, ids] : changing) {
      if (p.length() > 8 && p.contains(w.address)) w.legal.insert(w.legal.end(), ids.begin(), ids.end());
    }
    watched.push_back(std::move(w));
  }
  watched.push_back({Ipv4Address(0x0b000001), {0, 6, 106}});
  race(reclaimer, table, watched, [&](std::uint64_t round) {
    const auto& [p, ids] = changing[random.below(changing.size())];
    if (random.chance(3)) {
      table.erase(p, round);
    } else {
      // Fails now and then: all groups wait for a reader that lost its core.
      static_cast<void>(table.insert(p, NextHopId(ids[random.below(2)]), round));
    }
  });
}

// One group for two /24s in turn: a reader that is still in the old life of it must not see the new one.
TEST(Ipv4TableConcurrency, AGroupNeverShowsItsNextLife) {
  Reclaimer reclaimer(kReaders);
  Ipv4TableBuilder table(reclaimer, {1, Pages::normal});
  ASSERT_TRUE(table.insert(prefix(0x0a000100, 24), NextHopId(1), 1));
  ASSERT_TRUE(table.insert(prefix(0x0a000200, 24), NextHopId(2), 1));
  std::vector<Watched> watched;
  for (std::uint32_t low = 0; low < 256; low += 17) {
    watched.push_back({Ipv4Address(0x0a000100 + low), {1, 11}});
    watched.push_back({Ipv4Address(0x0a000200 + low), {2, 12}});
  }
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

}  // namespace
}  // namespace millrace::lpm
