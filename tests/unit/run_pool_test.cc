#include "dataplane/run_pool.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

namespace millrace::dataplane {
namespace {

TEST(RunPool, GivesOutRunsOfEveryLengthThatDoNotOverlap) {
  RunPool pool(4096, 64, 1024);
  std::map<std::uint32_t, std::uint32_t> taken;  // [first]: length
  std::mt19937 random(1);
  for (int i = 0; i < 20'000; ++i) {
    const std::uint32_t length = 64U << random() % 5;
    if (random() % 2 == 0) {
      if (const auto first = pool.take(length)) {
        EXPECT_EQ(*first % length, 0U);
        EXPECT_LE(*first + length, 4096U);
        const auto next = taken.lower_bound(*first);
        ASSERT_TRUE(next == taken.end() || next->first >= *first + length);
        ASSERT_TRUE(next == taken.begin() || std::prev(next)->first + std::prev(next)->second <= *first);
        taken.emplace(*first, length);
      }
    } else if (!taken.empty()) {
      const auto at = std::next(taken.begin(), static_cast<std::ptrdiff_t>(random() % taken.size()));
      pool.give_back(at->first, at->second);
      taken.erase(at);
    }
    std::size_t used = 0;
    for (const auto& [first, run] : taken) used += run;
    ASSERT_EQ(pool.used(), used);
  }
}

TEST(RunPool, ShortRunsThatComeBackMakeLongOnesAgain) {
  RunPool pool(2048, 64, 1024);
  for (int i = 0; i < 32; ++i) ASSERT_TRUE(pool.take(64)) << i;
  EXPECT_FALSE(pool.take(64));
  for (std::uint32_t i = 0; i < 32; i += 2) pool.give_back(64 * i, 64);
  EXPECT_FALSE(pool.take(128)) << "every second one is in use";
  for (std::uint32_t i = 1; i < 32; i += 2) pool.give_back(64 * i, 64);
  EXPECT_EQ(pool.used(), 0U);
  EXPECT_TRUE(pool.take(1024));
  EXPECT_TRUE(pool.take(1024));
  EXPECT_FALSE(pool.take(64));
}

}  // namespace
}  // namespace millrace::dataplane
