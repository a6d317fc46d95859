#include "perf/generator/frame_maker.h"

#include <algorithm>
#include <stdexcept>

#include "net/checksum.h"
#include "net/wire6.h"

namespace millrace::perf {
namespace {

constexpr std::size_t kIpAt = sizeof(wire::Ethernet);
constexpr std::size_t kMinEthernet = 60, kMaxSize = 1518 - 4;

struct Udp {
  Be16 source, destination, length, checksum;
};
static_assert(sizeof(Udp) == 8);

void append(std::vector<std::byte>& to, const IpAddress& address) {
  address.visit([&](auto value) {
    const auto put = [&](const auto& bytes) {
      const auto span = std::as_bytes(std::span(&bytes, 1));
      to.insert(to.end(), span.begin(), span.end());
    };
    if constexpr (std::is_same_v<decltype(value), Ipv4Address>)
      put(value.wire());
    else
      put(value.bytes());
  });
}

}  // namespace

FrameMaker::FrameMaker(Stream stream, unsigned direction)
    : stream_(std::move(stream)),
      direction_(direction),
      address_bytes_(is_ipv6() ? 16 : 4),
      destination_at_(kIpAt +
                      (is_ipv6() ? offsetof(wire::Ipv6, destination) : offsetof(wire::Ipv4, destination))),
      udp_at_(kIpAt + (is_ipv6() ? sizeof(wire::Ipv6) : sizeof(wire::Ipv4))),
      checksum_at_(is_ipv6() ? udp_at_ + offsetof(Udp, checksum) : kIpAt + offsetof(wire::Ipv4, checksum)) {
  if (stream_.sizes.empty() || stream_.destinations.empty())
    throw std::invalid_argument("frames need a size and a destination");
  for (const IpAddress& to : stream_.destinations) {
    if (to.is_ipv6() != is_ipv6()) throw std::invalid_argument("frames are of one family");
    append(destinations_, to);
  }
  for (const std::size_t size : stream_.sizes) {
    const std::size_t least = std::max(min_size(), kMinEthernet);
    if (size < least || size > kMaxSize)
      throw std::invalid_argument("frames have " + std::to_string(least) +
                                  " to 1514 bytes without their FCS");
    heads_.push_back(is_ipv6() ? make_head_ipv6(size) : make_head_ipv4(size));
  }
  stream_.flows = std::max(stream_.flows, static_cast<std::uint32_t>(stream_.destinations.size()));
}

std::size_t FrameMaker::max_size() const {
  return *std::max_element(stream_.sizes.begin(), stream_.sizes.end());
}

FrameMaker::Head FrameMaker::make_head_ipv4(std::size_t size) const {
  Head head;
  const wire::Ethernet ethernet{stream_.gateway_mac, stream_.source_mac, Be16(wire::kEtherTypeIpv4)};
  wire::Ipv4 ip{};
  ip.version_ihl = 0x45;
  ip.total_length = Be16(static_cast<std::uint16_t>(size - kIpAt));
  ip.ttl = 64;
  ip.protocol = wire::kProtocolUdp;
  ip.source = stream_.source.as<Ipv4Address>().wire();
  // No UDP checksum: it would cover the stamp, and RFC 768 lets IPv4 go without.
  const Udp udp{Be16(0), Be16(kEchoPort), Be16(static_cast<std::uint16_t>(size - udp_at_)), Be16(0)};
  std::memcpy(head.bytes.data(), &ethernet, sizeof ethernet);
  std::memcpy(&head.bytes[kIpAt], &ip, sizeof ip);
  std::memcpy(&head.bytes[udp_at_], &udp, sizeof udp);
  head.sum = checksum_fold(checksum_add(std::span<const std::byte>(head.bytes).subspan(kIpAt, sizeof ip)));
  return head;
}

FrameMaker::Head FrameMaker::make_head_ipv6(std::size_t size) const {
  Head head;
  const auto payload = static_cast<std::uint16_t>(size - udp_at_);
  const wire::Ethernet ethernet{stream_.gateway_mac, stream_.source_mac, Be16(wire::kEtherTypeIpv6)};
  wire::Ipv6 ip{};
  ip.version_class_label = Be32(6U << 28);
  ip.payload_length = Be16(payload);
  ip.next_header = wire::kProtocolUdp;
  ip.hop_limit = 64;
  ip.source = stream_.source.as<Ipv6Address>().bytes();
  const Udp udp{Be16(0), Be16(kEchoPort), Be16(payload), Be16(0)};
  std::memcpy(head.bytes.data(), &ethernet, sizeof ethernet);
  std::memcpy(&head.bytes[kIpAt], &ip, sizeof ip);
  std::memcpy(&head.bytes[udp_at_], &udp, sizeof udp);
  // RFC 8200 8.1: IPv6 does not go without. The body is the same in all frames of a size.
  std::vector<std::byte> frame(size);
  fill_body(frame);
  std::uint64_t sum =
      wire::pseudo_header_sum(stream_.source.as<Ipv6Address>(), Ipv6Address(), payload, wire::kProtocolUdp);
  sum = checksum_add(std::as_bytes(std::span(&udp, 1)), sum);
  head.sum = checksum_fold(checksum_add(std::span<const std::byte>(frame).subspan(min_size()), sum));
  return head;
}

void FrameMaker::fill_body(std::span<std::byte> frame) const {
  for (std::size_t i = min_size(); i < frame.size(); ++i)
    frame[i] = static_cast<std::byte>(i - header_bytes());
}

void FrameMaker::write_head(std::byte* frame, std::uint32_t sequence, std::uint8_t trial,
                            std::uint64_t ticks) const {
  const Head& head = heads_.size() == 1 ? heads_[0] : heads_[sequence % heads_.size()];
  const std::uint32_t number = flow(sequence);
  const std::span<const std::byte> to = destination(number);
  const Be16 port(source_port(number));
  std::memcpy(frame, head.bytes.data(), header_bytes());
  std::memcpy(frame + destination_at_, to.data(), to.size());
  std::memcpy(frame + udp_at_, &port, sizeof port);
  Stamp::make(direction_, trial, sequence, ticks).write(frame + header_bytes());
  std::uint64_t sum = checksum_add(to, head.sum);
  if (is_ipv6()) sum = checksum_add({frame + header_bytes(), sizeof(Stamp)}, sum + port.wire());
  auto checksum = static_cast<std::uint16_t>(~checksum_fold(sum));
  if (checksum == 0 && is_ipv6()) checksum = 0xffff;  // zero says that there is none
  std::memcpy(frame + checksum_at_, &checksum, sizeof checksum);
}

bool FrameMaker::matches(std::span<const std::byte> frame, std::uint32_t sequence) const {
  const std::uint32_t number = flow(sequence);
  const std::span<const std::byte> to = destination(number);
  const Be16 port(source_port(number));
  return frame.size() == size(sequence) && std::memcmp(&frame[destination_at_], to.data(), to.size()) == 0 &&
         std::memcmp(&frame[udp_at_], &port, sizeof port) == 0;
}

}  // namespace millrace::perf
