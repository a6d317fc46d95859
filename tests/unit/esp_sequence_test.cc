// Sequence numbers of ESP: what is given out, the half that is not sent (RFC 4303 appendix A2), and the
// anti-replay window.
#include "esp/sequence.h"

#include <gtest/gtest.h>

#include <set>
#include <vector>

#include "esp/replay_window.h"
#include "random.h"

namespace millrace::esp {
namespace {

constexpr std::uint64_t kEpoch = std::uint64_t{1} << 32;

TEST(SequenceCounter, BeginsWithOneAndGivesABurstAtOnce) {
  SequenceCounter counter(false, 0);
  EXPECT_EQ(counter.claim(1).first, 1U);
  const auto burst = counter.claim(32);
  EXPECT_EQ(burst.first, 2U);
  EXPECT_EQ(burst.count, 32U);
  EXPECT_EQ(counter.last(), 33U);
}

TEST(SequenceCounter, EndsBeforeItWouldWrap) {
  SequenceCounter counter(false, kEpoch - 4);
  const auto last = counter.claim(8);
  EXPECT_EQ(last.first, kEpoch - 3);
  EXPECT_EQ(last.count, 3U);
  EXPECT_EQ(last.first + last.count - 1, kEpoch - 1);
  EXPECT_EQ(counter.claim(1).count, 0U);
}

TEST(SequenceCounter, GoesOnBehind32BitsWhenExtended) {
  SequenceCounter counter(true, kEpoch - 4);
  EXPECT_EQ(counter.claim(8).count, 8U);
  EXPECT_EQ(counter.last(), kEpoch + 4);
  SequenceCounter at_the_end(true, ~std::uint64_t{0} - 1);
  EXPECT_EQ(at_the_end.claim(8).count, 1U);
  EXPECT_EQ(at_the_end.claim(8).count, 0U);
}

TEST(SequenceCounter, WhatItIsToGoOnFromMayBeAtItsEnd) {
  EXPECT_EQ(SequenceCounter(false, kEpoch + 7).claim(1).count, 0U);
}

// The algorithm as RFC 4303 appendix A2.2 prints it. What the first epoch would lend from one before it stays
// in it.
std::uint64_t by_the_letter(std::uint32_t low, std::uint64_t highest, std::uint32_t window) {
  const auto top_high = static_cast<std::uint32_t>(highest >> 32),
             top_low = static_cast<std::uint32_t>(highest);
  std::uint32_t high = top_high;
  if (top_low >= window - 1) {
    if (low < top_low - window + 1) ++high;
  } else if (low >= top_low - window + 1 && top_high > 0) {
    --high;
  }
  return std::uint64_t{high} << 32 | low;
}

TEST(ExtendedSequence, IsWhatTheRfcSays) {
  Random random;
  for (int i = 0; i < 200'000; ++i) {
    const std::uint32_t window = 64 + random.below(8192 - 63);
    const std::uint64_t near_wrap = kEpoch * random.below(3) + random.below(20'000) - 10'000;
    const std::uint64_t highest =
        random.chance(2) ? near_wrap & 0x3'ffff'ffff : random.bits() + kEpoch * random.below(3);
    const std::uint32_t low = random.chance(2)
                                  ? static_cast<std::uint32_t>(highest) + random.below(20'000) - 10'000
                                  : random.bits();
    ASSERT_EQ(extended_sequence(low, highest, window), by_the_letter(low, highest, window))
        << low << " after " << highest << ", window " << window;
  }
}

TEST(ExtendedSequence, GoesOverTheWrapAndBack) {
  EXPECT_EQ(extended_sequence(3, kEpoch - 2, 64), kEpoch + 3);
  EXPECT_EQ(extended_sequence(0xffff'fff0, kEpoch + 3, 64), kEpoch - 16);
  EXPECT_EQ(extended_sequence(0xffff'ff00, kEpoch + 3, 64), kEpoch + 0xffff'ff00)
      << "below the window: ahead, then";
  EXPECT_EQ(extended_sequence(1, 0, 64), 1U);
  EXPECT_EQ(extended_sequence(0xffff'ffff, 0, 64), 0xffff'ffffU) << "there is no epoch before the first";
}

using Verdict = ReplayWindow::Verdict;

TEST(ReplayWindow, NumberZeroIsNeverTaken) {
  EXPECT_EQ(ReplayWindow(64).look(0), Verdict::late);
}

TEST(ReplayWindow, LookingChangesNothing) {
  ReplayWindow window(64);
  EXPECT_EQ(window.look(5), Verdict::fresh);
  EXPECT_EQ(window.look(5), Verdict::fresh);
  EXPECT_EQ(window.highest(), 0U);
}

TEST(ReplayWindow, OfSevenOfTheSameInABatchOneIsTaken) {
  ReplayWindow window(64);
  const std::uint64_t batch[] = {9, 9, 9, 9, 10, 9, 9, 9};
  int taken = 0;
  for (const auto number : batch) EXPECT_EQ(window.look(number), Verdict::fresh);  // before decryption
  for (const auto number : batch) taken += window.take(number) == Verdict::fresh;
  EXPECT_EQ(taken, 2);
  EXPECT_EQ(window.take(9), Verdict::replayed);
}

TEST(ReplayWindow, ItsLowerEdgeIsTakenAndTheNumberBelowIsLate) {
  for (const std::uint32_t size : {64U, 65U, 100U, 128U, 1024U, 8192U}) {
    ReplayWindow window(size);
    window.take(20'000);
    EXPECT_EQ(window.take(20'000 - size), Verdict::late) << size;
    EXPECT_EQ(window.take(20'000 - size + 1), Verdict::fresh) << size;
    EXPECT_EQ(window.take(20'000 - size + 1), Verdict::replayed) << size;
  }
}

TEST(ReplayWindow, SizesAreBounded) {
  EXPECT_EQ(ReplayWindow(1).size(), ReplayWindow::kMinSize);
  EXPECT_EQ(ReplayWindow(1 << 20).size(), ReplayWindow::kMaxSize);
}

TEST(ReplayWindow, AJumpForgetsAllThatItPasses) {
  ReplayWindow window(64);
  for (std::uint64_t number = 1; number <= 64; ++number) window.take(number);
  EXPECT_EQ(window.take(kEpoch + 64), Verdict::fresh);
  for (std::uint64_t number = kEpoch + 1; number < kEpoch + 64; ++number)
    EXPECT_EQ(window.take(number), Verdict::fresh) << number;
}

TEST(ReplayWindow, IsASetOfTheNumbersThatItHasTaken) {
  Random random;
  for (int round = 0; round < 40; ++round) {
    const std::uint32_t size = 64 + random.below(random.chance(2) ? 200 : 8192 - 63);
    ReplayWindow window(size);
    std::set<std::uint64_t> taken;
    std::uint64_t highest = 0;
    for (int i = 0; i < 5'000; ++i) {
      const std::uint32_t reach = random.chance(20) ? 4 * size : random.chance(3) ? size : 8;
      const std::uint64_t number =
          highest + random.below(2 * reach) > reach ? highest + random.below(2 * reach) - reach : 1;
      const Verdict wanted = number == 0 || (number <= highest && highest - number >= size) ? Verdict::late
                             : taken.contains(number) ? Verdict::replayed
                                                      : Verdict::fresh;
      ASSERT_EQ(window.look(number), wanted) << number << " below " << highest << ", window " << size;
      ASSERT_EQ(window.take(number), wanted);
      if (wanted != Verdict::fresh) continue;
      taken.insert(number);
      highest = std::max(highest, number);
    }
    ASSERT_EQ(window.highest(), highest);
  }
}

}  // namespace
}  // namespace millrace::esp
