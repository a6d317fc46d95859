// The frames of the benches' traffic source are right, whatever their destination: routers check headers.
#include "perf/net_stamp/frame.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "perf/net_stamp/arguments.h"

namespace millrace::perf {
namespace {

const FrameMacs kMacs{{{2, 0, 0, 0, 0, 1}}, {{2, 0, 0, 0, 0, 2}}};

std::vector<std::byte> room_for(std::size_t size) {
  return std::vector<std::byte>(std::max(size, kHeaderBytes));
}

unsigned word_at(std::span<const std::byte> frame, std::size_t at) {
  return std::to_integer<unsigned>(frame[at]) << 8 | std::to_integer<unsigned>(frame[at + 1]);
}

TEST(NetStampFrame, HasARightIpv4Header) {
  std::mt19937_64 random(1);
  for (const std::size_t size : {std::size_t{60}, std::size_t{64}, std::size_t{590}, std::size_t{1514}}) {
    const FrameTemplate<Ipv4Frame> frames(size, kMacs);
    std::vector<std::byte> frame = room_for(size);
    for (int i = 0; i < 20000; ++i) {
      // Addresses of ones and zeroes are where a sum's carries are.
      const auto to = static_cast<std::uint32_t>(i == 0 ? 0 : i == 1 ? 0xffffffff : random());
      frames.stamp(frame.data(), to);
      EXPECT_TRUE(checksum_ok(std::span(frame).subspan(14, 20))) << to;
      EXPECT_EQ(std::memcmp(&frame[30], &to, 4), 0);
    }
    EXPECT_EQ(std::memcmp(frame.data(), kMacs.destination.bytes.data(), 6), 0);
    EXPECT_EQ(std::memcmp(&frame[6], kMacs.source.bytes.data(), 6), 0);
    EXPECT_EQ(word_at(frame, 12), 0x0800U);
    EXPECT_EQ(word_at(frame, 14), 0x4500U);
    EXPECT_EQ(word_at(frame, 16), size - 14);
    EXPECT_EQ(word_at(frame, 38), size - 34);
    EXPECT_EQ(word_at(frame, 40), 0U);
  }
}

TEST(NetStampFrame, HasARightIpv6HeaderAndUdpChecksum) {
  std::mt19937_64 random(1);
  for (const std::size_t size : {std::size_t{62}, std::size_t{74}, std::size_t{1514}}) {
    const FrameTemplate<Ipv6Frame> frames(size, kMacs);
    std::vector<std::byte> frame = room_for(size);
    for (int i = 0; i < 20000; ++i) {
      Ipv6Frame::Address to{random(), random()};
      if (i < 2) to.first = to.last = i == 0 ? 0 : ~std::uint64_t{0};
      frames.stamp(frame.data(), to);
      EXPECT_EQ(std::memcmp(&frame[38], &to, 16), 0);
      const std::size_t udp = size - 54;
      const std::byte pseudo[] = {static_cast<std::byte>(udp >> 8), static_cast<std::byte>(udp), std::byte{0},
                                  std::byte{17}};
      const auto addresses = checksum_add(std::span(frame).subspan(22, 32), checksum_add(pseudo));
      EXPECT_EQ(checksum_fold(checksum_add(std::span(frame).subspan(54, udp), addresses)), 0xffff);
      EXPECT_NE(word_at(frame, 60), 0U);
    }
    EXPECT_EQ(word_at(frame, 12), 0x86ddU);
    EXPECT_EQ(word_at(frame, 18), size - 54);
  }
}

TEST(NetStampFrame, RefusesASizeThatHoldsNoUdp) {
  EXPECT_THROW(FrameTemplate<Ipv4Frame>(41, kMacs), std::invalid_argument);
  EXPECT_THROW(FrameTemplate<Ipv6Frame>(61, kMacs), std::invalid_argument);
}

TEST(NetStampArguments, AreReadAsDpdkGivesThem) {
  const Arguments defaults = parse_arguments("");
  EXPECT_EQ(defaults.sizes, std::vector<unsigned>{60});
  EXPECT_TRUE(defaults.rx);
  const Arguments given =
      parse_arguments("size=imix,ipv=6,file=/a,stats=/b,offset=5,stride=3,rx=none,dst_mac=02:00:00:00:00:09");
  EXPECT_EQ(given.sizes.size(), 12U);
  EXPECT_TRUE(given.ipv6);
  EXPECT_EQ(given.file, "/a");
  EXPECT_EQ(given.stats, "/b");
  EXPECT_EQ(given.offset, 5U);
  EXPECT_EQ(given.stride, 3U);
  EXPECT_FALSE(given.rx);
  EXPECT_EQ(given.destination, MacAddress::parse("02:00:00:00:00:09"));
  EXPECT_FALSE(given.once);
  const Arguments recorded = parse_arguments("frames=/c,size=140,rx=once");
  EXPECT_EQ(recorded.frames, "/c");
  EXPECT_TRUE(recorded.rx && recorded.once);
}

TEST(NetStampArguments, ImixOfIpv6HasNoFrameThatHoldsNoUdp) {
  const auto least = [](const char* text) {
    const auto sizes = parse_arguments(text).sizes;
    return *std::ranges::min_element(sizes);
  };
  EXPECT_EQ(least("size=imix"), 60U);
  EXPECT_EQ(least("ipv=6,size=imix"), 74U);
  EXPECT_EQ(parse_arguments("ipv=6,size=imix").sizes[9], 1514U);
}

TEST(NetStampArguments, ThatMakeNoSenseAreRefused) {
  for (const char* text : {"size", "size=", "size=x", "size=60x", "size=100000", "ipv=5", "mac=1", "rx=some",
                           "sizes=60", "offset=-1"})
    EXPECT_THROW(parse_arguments(text), std::invalid_argument) << text;
}

}  // namespace
}  // namespace millrace::perf
