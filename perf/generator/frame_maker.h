// The frames of one direction: which size, flow and destination the frame of a number has, and its bytes.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "net/ip_address.h"
#include "net/mac.h"
#include "perf/generator/stamp.h"

namespace millrace::perf {

// RFC 2544 C.2.2, RFC 5180: UDP to the echo port. Flows differ in their source port and, where there are
// several, in their destination.
struct Stream {
  MacAddress source_mac;
  MacAddress gateway_mac;  // of the device under test
  IpAddress source;
  std::vector<IpAddress> destinations;  // of the source's family
  std::uint32_t flows = 1;              // at least as many as destinations
  std::vector<std::uint16_t> sizes;     // without FCS; frames take them in turn
};

class FrameMaker {
 public:
  static constexpr std::uint16_t kFirstSourcePort = 0xc020;
  static constexpr std::uint16_t kEchoPort = 7;

  // Throws std::invalid_argument where no such frames can be made.
  FrameMaker(Stream stream, unsigned direction);

  // Of Ethernet, IP and UDP; the stamp is behind them, so that no frame is shorter than the least size.
  [[nodiscard]] std::size_t header_bytes() const { return udp_at_ + kUdpBytes; }
  [[nodiscard]] std::size_t min_size() const { return header_bytes() + sizeof(Stamp); }
  [[nodiscard]] std::size_t size(std::uint32_t sequence) const {
    return stream_.sizes.size() == 1 ? stream_.sizes[0] : stream_.sizes[sequence % stream_.sizes.size()];
  }
  [[nodiscard]] std::uint32_t flow(std::uint32_t sequence) const { return sequence % stream_.flows; }
  [[nodiscard]] std::uint32_t flows() const { return stream_.flows; }
  [[nodiscard]] std::size_t max_size() const;

  // What comes behind the stamp, and is the same in all frames: C.2.2's counting bytes.
  void fill_body(std::span<std::byte> frame) const;
  // Headers and stamp. The body is there already: writing it each time would halve the rate of long frames.
  void write_head(std::byte* frame, std::uint32_t sequence, std::uint8_t trial, std::uint64_t ticks) const;
  // Whether what arrived is the frame of that number, unharmed as far as a router has to leave it alone.
  [[nodiscard]] bool matches(std::span<const std::byte> frame, std::uint32_t sequence) const;

 private:
  static constexpr std::size_t kUdpBytes = 8;
  static constexpr std::size_t kMaxHeaderBytes = 14 + 40 + kUdpBytes;
  struct Head {
    std::array<std::byte, kMaxHeaderBytes> bytes{};
    // Of what the checksum is over, without destination and, where UDP has one, source port and stamp.
    std::uint64_t sum = 0;
  };
  [[nodiscard]] bool is_ipv6() const { return stream_.source.is_ipv6(); }
  [[nodiscard]] Head make_head_ipv4(std::size_t size) const;
  [[nodiscard]] Head make_head_ipv6(std::size_t size) const;
  // As it lies in the frame.
  [[nodiscard]] std::span<const std::byte> destination(std::uint32_t flow) const {
    return std::span(destinations_)
        .subspan(flow % stream_.destinations.size() * address_bytes_, address_bytes_);
  }
  static std::uint16_t source_port(std::uint32_t flow) {
    return static_cast<std::uint16_t>(kFirstSourcePort + flow % (0x10000 - kFirstSourcePort));
  }

  Stream stream_;
  unsigned direction_;
  std::size_t address_bytes_, destination_at_, udp_at_, checksum_at_;
  std::vector<std::byte> destinations_;
  std::vector<Head> heads_;  // one a size
};

}  // namespace millrace::perf
