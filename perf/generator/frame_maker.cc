#include "perf/generator/frame_maker.h"

#include <algorithm>
#include <stdexcept>

#include "net/checksum.h"
#include "net/wire.h"

namespace millrace::perf {
namespace {

constexpr std::size_t kIpAt = 14, kUdpAt = 34;
constexpr std::size_t kChecksumAt = 24, kDestinationAt = 30;
constexpr std::size_t kMaxSize = 1518 - 4;

struct Udp {
  Be16 source, destination, length, checksum;
};
static_assert(sizeof(Udp) == 8);

}  // namespace

FrameMaker::FrameMaker(Stream stream, unsigned direction)
    : stream_(std::move(stream)), direction_(direction) {
  if (stream_.sizes.empty() || stream_.destinations.empty())
    throw std::invalid_argument("frames need a size and a destination");
  for (const std::size_t size : stream_.sizes) {
    if (size < std::max<std::size_t>(kMinSize, 60) || size > kMaxSize)
      throw std::invalid_argument("frames have 60 to 1514 bytes without their FCS");
    heads_.push_back(make_head(size));
  }
  stream_.flows = std::max(stream_.flows, static_cast<std::uint32_t>(stream_.destinations.size()));
}

std::size_t FrameMaker::max_size() const {
  return *std::max_element(stream_.sizes.begin(), stream_.sizes.end());
}

FrameMaker::Head FrameMaker::make_head(std::size_t size) const {
  Head head;
  const wire::Ethernet ethernet{stream_.gateway_mac, stream_.source_mac, Be16(wire::kEtherTypeIpv4)};
  wire::Ipv4 ip{};
  ip.version_ihl = 0x45;
  ip.total_length = Be16(static_cast<std::uint16_t>(size - kIpAt));
  ip.ttl = 64;
  ip.protocol = wire::kProtocolUdp;
  ip.source = stream_.source.wire();
  // No UDP checksum: it would cover the stamp, and RFC 768 lets IPv4 go without.
  const Udp udp{Be16(0), Be16(kEchoPort), Be16(static_cast<std::uint16_t>(size - kUdpAt)), Be16(0)};
  std::memcpy(head.bytes.data(), &ethernet, sizeof ethernet);
  std::memcpy(&head.bytes[kIpAt], &ip, sizeof ip);
  std::memcpy(&head.bytes[kUdpAt], &udp, sizeof udp);
  head.sum = checksum_fold(checksum_add(std::span<const std::byte>(head.bytes).subspan(kIpAt, sizeof ip)));
  return head;
}

void FrameMaker::fill_body(std::span<std::byte> frame) {
  for (std::size_t i = kMinSize; i < frame.size(); ++i) frame[i] = static_cast<std::byte>(i - kHeaderBytes);
}

void FrameMaker::write_head(std::byte* frame, std::uint32_t sequence, std::uint8_t trial,
                            std::uint64_t ticks) const {
  const Head& head = heads_.size() == 1 ? heads_[0] : heads_[sequence % heads_.size()];
  const std::uint32_t number = flow(sequence);
  const Be32 to = destination(number);
  const Be16 port(source_port(number));
  std::memcpy(frame, head.bytes.data(), head.bytes.size());
  std::uint32_t word;
  std::memcpy(&word, &to, sizeof word);
  const auto checksum = static_cast<std::uint16_t>(~checksum_fold(head.sum + word));
  std::memcpy(frame + kChecksumAt, &checksum, sizeof checksum);
  std::memcpy(frame + kDestinationAt, &to, sizeof to);
  std::memcpy(frame + kUdpAt, &port, sizeof port);
  Stamp::make(direction_, trial, sequence, ticks).write(frame + kHeaderBytes);
}

bool FrameMaker::matches(std::span<const std::byte> frame, std::uint32_t sequence) const {
  const std::uint32_t number = flow(sequence);
  const Be32 to = destination(number);
  const Be16 port(source_port(number));
  return frame.size() == size(sequence) && std::memcmp(&frame[kDestinationAt], &to, sizeof to) == 0 &&
         std::memcmp(&frame[kUdpAt], &port, sizeof port) == 0;
}

}  // namespace millrace::perf
