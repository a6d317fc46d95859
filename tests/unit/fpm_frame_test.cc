#include "controlplane/fpm_frame.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "tests/unit/netlink_bytes.h"
#include "tests/unit/random.h"

namespace millrace::controlplane {
namespace {

// As a socket does: as much as there is room for. Returns what did not fit.
ByteString feed(FpmFrames& frames, ByteString bytes) {
  const auto room = frames.room();
  const std::size_t size = std::min(room.size(), bytes.size());
  std::copy_n(bytes.begin(), size, room.begin());
  frames.add(size);
  bytes.erase(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size));
  return bytes;
}

std::optional<ByteString> next_of(FpmFrames& frames) {
  const auto next = frames.next();
  EXPECT_TRUE(next) << next.error();
  if (!next || !*next) return std::nullopt;
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>((*next)->data()) % 4, 0U);
  return ByteString((*next)->begin(), (*next)->end());
}

TEST(FpmFrames, FramesComeWholeHoweverTheirBytesArrive) {
  const ByteString first = {1, 2, 3, 4, 5}, second = {6};  // odd lengths: the next frame is not aligned
  const ByteString bytes = joined({fpm_frame(first), fpm_frame({}), fpm_frame(second)});
  for (std::size_t cut = 0; cut <= bytes.size(); ++cut) {
    FpmFrames frames;
    std::vector<ByteString> got;
    const auto middle = bytes.begin() + static_cast<std::ptrdiff_t>(cut);
    for (const ByteString& part : {ByteString(bytes.begin(), middle), ByteString(middle, bytes.end())}) {
      feed(frames, part);
      while (const auto frame = next_of(frames)) got.push_back(*frame);
    }
    EXPECT_EQ(got, (std::vector<ByteString>{first, {}, second})) << cut;
    EXPECT_EQ(frames.queued_bytes(), 0U);
  }
}

TEST(FpmFrames, AFrameMayHaveAnyLengthThatItsFieldCanSay) {
  FpmFrames frames;
  ByteString longest(0xffff - 4);
  for (std::size_t i = 0; i < longest.size(); ++i) longest[i] = static_cast<std::uint8_t>(i * 7);
  feed(frames, fpm_frame(longest));
  EXPECT_EQ(next_of(frames), longest);
}

TEST(FpmFrames, WhatIsNoFrameIsAnErrorThatSaysWhy) {
  const std::pair<ByteString, const char*> table[] = {
      {{2, 1, 0, 4}, "a frame has the FPM version 2, not 1"},
      {{1, 2, 0, 4}, "a frame holds protobuf: zebra needs -M dplane_fpm_nl"},
      {{1, 7, 0, 4}, "a frame has the type 7, not 1 (netlink)"},
      {{1, 1, 0, 3}, "a frame says that it has 3 bytes, and its header alone has 4"},
      {{'G', 'E', 'T', ' '}, "a frame has the FPM version 71, not 1"}};
  for (const auto& [bytes, says] : table) {
    FpmFrames frames;
    feed(frames, bytes);
    const auto next = frames.next();
    ASSERT_FALSE(next);
    EXPECT_EQ(next.error(), says);
  }
}

// Whoever reads slowly makes the sender wait; nothing is lost, and the queue does not grow.
TEST(FpmFrames, AFullQueueTakesNoMoreUntilItIsRead) {
  Random random;
  FpmFrames frames;
  ByteString waiting;
  std::uint8_t sent = 0, got = 0;
  unsigned full = 0;
  for (unsigned round = 0; round < 4000; ++round) {
    while (waiting.size() < 4096) put(waiting, fpm_frame(ByteString(1 + random.below(4000), sent++)));
    waiting = feed(frames, waiting);
    EXPECT_LE(frames.queued_bytes(), FpmFrames::kQueueBytes);
    full += waiting.empty() ? 0 : 1;
    for (unsigned reads = random.below(4); reads != 0; --reads) {
      const auto frame = next_of(frames);
      if (!frame) break;
      ASSERT_EQ(frame->front(), got);
      ASSERT_EQ(frame->back(), got++);
    }
  }
  EXPECT_GT(full, 0U);
}

}  // namespace
}  // namespace millrace::controlplane
