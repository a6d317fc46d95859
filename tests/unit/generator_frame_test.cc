// The generator's frames are right, and tell which of them they are.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <vector>

#include "net/checksum.h"
#include "net/wire6.h"
#include "perf/generator/frame_maker.h"
#include "perf/generator/stamp.h"

namespace millrace::perf {
namespace {

Stream stream() {
  return {.source_mac = {{2, 0, 0, 0, 0, 1}},
          .gateway_mac = {{2, 0, 0, 0, 0, 2}},
          .source = Ipv4Address(198, 18, 0, 2),
          .destinations = {Ipv4Address(198, 19, 1, 2), Ipv4Address(198, 19, 255, 2)},
          .flows = 6,
          .sizes = {60, 590, 1514}};
}

Stream stream6() {
  Stream stream = perf::stream();
  stream.source = *Ipv6Address::parse("2001:2:0:1800::2");
  stream.destinations = {*Ipv6Address::parse("2001:2:0:1901::2"), *Ipv6Address::parse("2001:2:0:19ff::2")};
  stream.sizes = {74, 590, 1513, 1514};
  return stream;
}

std::vector<std::byte> frame_of(const FrameMaker& maker, std::uint32_t number) {
  std::vector<std::byte> frame(maker.size(number));
  maker.fill_body(frame);
  maker.write_head(frame.data(), number, 7, 123);
  return frame;
}

TEST(GeneratorFrame, HasRightHeadersInEverySizeAndFlow) {
  const FrameMaker maker(stream(), 1);
  for (std::uint32_t number = 0; number < 1000; ++number) {
    const auto frame = frame_of(maker, number);
    const auto* ip = reinterpret_cast<const wire::Ipv4*>(&frame[14]);
    EXPECT_EQ(frame.size(), stream().sizes[number % 3]);
    EXPECT_TRUE(checksum_ok(std::span(frame).subspan(14, 20))) << number;
    EXPECT_EQ(ip->total_length.host(), frame.size() - 14);
    EXPECT_EQ(IpAddress(Ipv4Address(ip->destination)), stream().destinations[number % 6 % 2]);
    EXPECT_EQ(IpAddress(Ipv4Address(ip->source)), stream().source);
    EXPECT_EQ(std::to_integer<unsigned>(frame[35]), 0x20U + number % 6);  // source port 0xc020 and on
  }
}

TEST(GeneratorFrame, OfIpv6HasARightUdpChecksumInEverySizeAndFlow) {
  const FrameMaker maker(stream6(), 1);
  for (std::uint32_t number = 0; number < 1000; ++number) {
    const auto frame = frame_of(maker, number);
    const auto* ip = reinterpret_cast<const wire::Ipv6*>(&frame[14]);
    EXPECT_EQ(frame.size(), stream6().sizes[number % 4]);
    EXPECT_EQ(ip->version(), 6U);
    EXPECT_EQ(ip->payload_length.host(), frame.size() - 54);
    EXPECT_EQ(IpAddress(Ipv6Address(ip->destination)), stream6().destinations[number % 6 % 2]);
    EXPECT_EQ(IpAddress(Ipv6Address(ip->source)), stream6().source);
    const std::uint64_t sum = wire::pseudo_header_sum(Ipv6Address(ip->source), Ipv6Address(ip->destination),
                                                      ip->payload_length.host(), wire::kProtocolUdp);
    EXPECT_EQ(checksum_fold(checksum_add(std::span(frame).subspan(54), sum)), 0xffff) << number;
    EXPECT_TRUE(frame[60] != std::byte{} || frame[61] != std::byte{}) << "zero says that there is none";
    EXPECT_TRUE(maker.matches(frame, number));
  }
}

TEST(GeneratorFrame, ComesBackAsItselfAndNotAsAnother) {
  const FrameMaker maker(stream(), 0);
  auto frame = frame_of(maker, 5);
  EXPECT_TRUE(maker.matches(frame, 5));
  EXPECT_FALSE(maker.matches(frame, 6));
  frame[22] = std::byte{63};  // a router takes one from the TTL
  EXPECT_TRUE(maker.matches(frame, 5));
  frame[33] ^= std::byte{1};  // and leaves the destination alone
  EXPECT_FALSE(maker.matches(frame, 5));
  const std::vector<std::byte> shorter(frame.begin(), frame.end() - 1);
  EXPECT_FALSE(maker.matches(shorter, 5));
}

TEST(GeneratorFrame, OfASizeThatEthernetDoesNotHaveIsRefused) {
  for (const std::uint16_t size : {std::uint16_t{59}, std::uint16_t{1515}}) {
    Stream bad = stream();
    bad.sizes = {size};
    EXPECT_THROW(FrameMaker(bad, 0), std::invalid_argument) << size;
  }
  Stream bad = stream6();
  bad.sizes = {73};
  EXPECT_THROW(FrameMaker(bad, 0), std::invalid_argument) << "no room for the stamp";
}

TEST(GeneratorFrame, IsOfOneFamily) {
  Stream bad = stream6();
  bad.source = stream().source;
  EXPECT_THROW(FrameMaker(bad, 0), std::invalid_argument);
}

TEST(GeneratorStamp, TellsDirectionTrialAndAge) {
  std::array<std::byte, sizeof(Stamp)> bytes{};
  constexpr std::uint64_t kSent = 0xffff'ffff'fff0;
  Stamp::make(1, 7, 0x12345678, kSent).write(bytes.data());
  const Stamp stamp = Stamp::read(bytes.data());
  EXPECT_TRUE(stamp.is(1, 7));
  EXPECT_FALSE(stamp.is(0, 7));
  EXPECT_FALSE(stamp.is(1, 8));
  EXPECT_EQ(stamp.sequence, 0x12345678U);
  EXPECT_EQ(stamp.age(kSent + 0x20), 0x20U);  // over the end of its 48 bits
}

}  // namespace
}  // namespace millrace::perf
