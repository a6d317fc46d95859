// The generator sends at its rate, and counts every frame once: pacer, tracker, histogram.
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <random>
#include <vector>

#include "perf/generator/histogram.h"
#include "perf/generator/pacer.h"
#include "perf/generator/tracker.h"

namespace millrace::perf {
namespace {

constexpr std::uint64_t kBegin = 1000;

// What is sent by a loop that looks every `every` ticks and sends up to `most` at once.
std::uint64_t run(Pacer& pacer, std::uint64_t every, std::uint64_t most = 32) {
  std::uint64_t sent = 0;
  for (std::uint64_t now = kBegin; !pacer.over(); now += every) {
    const std::uint64_t count = std::min(pacer.due(now), most);
    if (count != 0) pacer.take(count);
    sent += count;
  }
  return sent;
}

TEST(GeneratorPacer, SendsAtTheRate) {
  for (const double rate : {0.001, 0.0123, 0.1, 1.7}) {
    Pacer pacer({{.frames_per_tick = rate, .ticks = 1'000'000}}, kBegin);
    EXPECT_NEAR(static_cast<double>(run(pacer, 7)), rate * 1e6, rate * 7 + 1) << rate;
    EXPECT_LE(static_cast<double>(pacer.late()), rate * 7 + 1);  // what was due at the end, between two looks
  }
}

TEST(GeneratorPacer, IsNeverAheadOfTheRate) {
  Pacer pacer({{.frames_per_tick = 0.01, .ticks = 100'000}}, kBegin);
  std::uint64_t sent = 0;
  for (std::uint64_t now = kBegin; now < kBegin + 100'000; now += 13) {
    const std::uint64_t count = pacer.due(now);
    if (count != 0) pacer.take(count);
    sent += count;
    EXPECT_LE(static_cast<double>(sent), static_cast<double>(now - kBegin) * 0.01 + 1);
  }
}

TEST(GeneratorPacer, AfterAPauseCatchesUpWithLittleAndCountsTheRestAsLate) {
  Pacer pacer({{.frames_per_tick = 1, .ticks = 20'000}}, kBegin);
  EXPECT_EQ(pacer.due(kBegin + 9'999), Pacer::kMaxCatchUp);  // of the 10,000 that are due
  EXPECT_EQ(pacer.late(), 10'000 - Pacer::kMaxCatchUp);
  pacer.take(Pacer::kMaxCatchUp);
  EXPECT_EQ(pacer.due(kBegin + 9'999), 0U);
  EXPECT_EQ(pacer.due(kBegin + 10'000), 1U);
}

TEST(GeneratorPacer, SentAndLateAreAllThatWasAskedFor) {
  Pacer pacer({{.frames_per_tick = 1, .ticks = 100'000}}, kBegin);
  const std::uint64_t sent = run(pacer, 100, 64);
  EXPECT_NEAR(static_cast<double>(sent + pacer.late()), 100'000, 1);
  EXPECT_GT(pacer.late(), 30'000U);
}

TEST(GeneratorPacer, WhatWasDueWhenAPhaseEndedUnseenIsLate) {
  Pacer pacer({{.frames_per_tick = 0.1, .ticks = 1000}}, kBegin);
  pacer.take(pacer.due(kBegin));
  EXPECT_EQ(pacer.due(kBegin + 5000), 0U);
  EXPECT_TRUE(pacer.over());
  EXPECT_EQ(pacer.late(), 99U);
}

TEST(GeneratorPacer, GoesThroughPhasesByTimeAndByFrames) {
  Pacer pacer(
      {{.frames_per_tick = 0.1, .ticks = 10'000}, {.frames = 333}, {.frames_per_tick = 0.01, .frames = 10}},
      kBegin);
  EXPECT_NEAR(static_cast<double>(run(pacer, 5)), 1000 + 333 + 10, 1);
  ASSERT_EQ(pacer.ends().size(), 3U);
  EXPECT_EQ(pacer.ends()[0], kBegin + 10'000);
  EXPECT_NEAR(static_cast<double>(pacer.ends()[2] - pacer.ends()[1]), 900, 10);
}

TEST(GeneratorHistogram, BucketsAreWithinASixtyfourthOfTheValue) {
  std::mt19937_64 random(5);
  for (int i = 0; i < 100'000; ++i) {
    const std::uint64_t value = random() >> (random() % 64);
    const std::uint64_t least = Histogram::value(Histogram::bucket(value));
    EXPECT_LE(least, value);
    EXPECT_LE(value - least, value / 64) << value;
    EXPECT_LT(Histogram::bucket(value), Histogram::kBuckets);
  }
}

// Frame n is sent at 10 n.
Tracker sent(std::uint32_t frames, std::uint32_t flows = 1) {
  Tracker tracker(frames, flows, 100);
  for (std::uint32_t i = 0; i < frames; ++i) tracker.sent(i, 10 * i);
  return tracker;
}

TEST(GeneratorTracker, CountsEachLostFrame) {
  Tracker tracker = sent(10'000);
  for (std::uint32_t i = 0; i < 10'000; ++i)
    if (i % 1000 != 999) tracker.arrived(i, 5, 10 * i + 5);
  EXPECT_EQ(tracker.lost(), 10U);
  EXPECT_EQ(tracker.received(), 9'990U);
  EXPECT_EQ(tracker.reordered(), 0U);
  EXPECT_EQ(tracker.duplicates(), 0U);
  // To within 256 frames, of which each takes 10.
  ASSERT_TRUE(tracker.last_lost_sent_at());
  EXPECT_LE(*tracker.last_lost_sent_at(), 99'990U);
  EXPECT_GT(*tracker.last_lost_sent_at(), 99'990U - 2560);
}

TEST(GeneratorTracker, HasNoLossWhereAllArriveInWhateverOrder) {
  Tracker tracker = sent(5000);
  std::vector<std::uint32_t> order(5000);
  std::iota(order.begin(), order.end(), 0);
  std::shuffle(order.begin(), order.end(), std::mt19937(3));
  std::uint32_t highest = 0, naive = 0;
  for (const std::uint32_t number : order) {
    naive += number < highest;
    highest = std::max(highest, number);
    tracker.arrived(number, 1, 100'000);
  }
  EXPECT_EQ(tracker.lost(), 0U);
  EXPECT_FALSE(tracker.last_lost_sent_at());
  EXPECT_EQ(tracker.reordered(), naive);  // RFC 4737
}

TEST(GeneratorTracker, ADuplicateIsNoFrameThatWasLost) {
  Tracker tracker = sent(3);
  for (const std::uint32_t number : {0U, 0U, 0U, 1U}) tracker.arrived(number, 1, 1);
  EXPECT_EQ(tracker.duplicates(), 2U);
  EXPECT_EQ(tracker.lost(), 1U);
}

TEST(GeneratorTracker, FramesOfDifferentFlowsMayOvertakeEachOther) {
  Tracker tracker = sent(6, 2);
  for (const std::uint32_t number : {1U, 0U, 3U, 2U, 4U, 5U}) tracker.arrived(number, 1, 1);
  EXPECT_EQ(tracker.reordered(), 0U);
  Tracker one = sent(6, 1);
  for (const std::uint32_t number : {1U, 0U, 3U, 2U, 4U, 5U}) one.arrived(number, 1, 1);
  EXPECT_EQ(one.reordered(), 2U);
}

TEST(GeneratorTracker, KnowsTheLongestSilenceAndTheDelays) {
  Tracker tracker = sent(4);
  tracker.arrived(0, 7, 100);
  tracker.arrived(1, 3, 150);
  tracker.arrived(2, 20, 950);
  tracker.arrived(3, 10, 1000);
  EXPECT_EQ(tracker.longest_gap().begin, 150U);
  EXPECT_EQ(tracker.longest_gap().end, 950U);
  EXPECT_EQ(tracker.min_delay(), 3U);
  EXPECT_EQ(tracker.max_delay(), 20U);
  EXPECT_EQ(tracker.sum_of_delays(), 40U);
  EXPECT_EQ(tracker.tagged(), (std::vector<std::uint64_t>{7, 3, 20, 10}));
  EXPECT_EQ(tracker.delays().count(Histogram::bucket(20)), 1U);
}

}  // namespace
}  // namespace millrace::perf
