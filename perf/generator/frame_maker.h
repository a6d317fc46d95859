// The frames of one direction: which size, flow and destination the frame of a number has, and its bytes.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "net/address.h"
#include "net/mac.h"
#include "perf/generator/stamp.h"

namespace millrace::perf {

// RFC 2544 C.2.2: UDP to the echo port. Flows differ in their source port and, where there are several, in
// their destination.
struct Stream {
  MacAddress source_mac;
  MacAddress gateway_mac;  // of the device under test
  Ipv4Address source;
  std::vector<Ipv4Address> destinations;
  std::uint32_t flows = 1;           // at least as many as destinations
  std::vector<std::uint16_t> sizes;  // without FCS; frames take them in turn
};

class FrameMaker {
 public:
  static constexpr std::size_t kHeaderBytes = 14 + 20 + 8;
  static constexpr std::size_t kMinSize = kHeaderBytes + sizeof(Stamp);
  static constexpr std::uint16_t kFirstSourcePort = 0xc020;
  static constexpr std::uint16_t kEchoPort = 7;

  // Throws std::invalid_argument where no such frames can be made.
  FrameMaker(Stream stream, unsigned direction);

  [[nodiscard]] std::size_t size(std::uint32_t sequence) const {
    return stream_.sizes.size() == 1 ? stream_.sizes[0] : stream_.sizes[sequence % stream_.sizes.size()];
  }
  [[nodiscard]] std::uint32_t flow(std::uint32_t sequence) const { return sequence % stream_.flows; }
  [[nodiscard]] std::uint32_t flows() const { return stream_.flows; }
  [[nodiscard]] std::size_t max_size() const;

  // What comes behind the stamp, and is the same in all frames: C.2.2's counting bytes.
  static void fill_body(std::span<std::byte> frame);
  // Headers and stamp. The body is there already: writing it each time would halve the rate of long frames.
  void write_head(std::byte* frame, std::uint32_t sequence, std::uint8_t trial, std::uint64_t ticks) const;
  // Whether what arrived is the frame of that number, unharmed as far as a router has to leave it alone.
  [[nodiscard]] bool matches(std::span<const std::byte> frame, std::uint32_t sequence) const;

 private:
  struct Head {
    std::array<std::byte, kHeaderBytes> bytes{};
    std::uint64_t sum = 0;  // of the IPv4 header without the destination
  };
  [[nodiscard]] Head make_head(std::size_t size) const;
  [[nodiscard]] Be32 destination(std::uint32_t flow) const {
    return stream_.destinations[flow % stream_.destinations.size()].wire();
  }
  static std::uint16_t source_port(std::uint32_t flow) {
    return static_cast<std::uint16_t>(kFirstSourcePort + flow % (0x10000 - kFirstSourcePort));
  }

  Stream stream_;
  unsigned direction_;
  std::vector<Head> heads_;  // one a size
};

}  // namespace millrace::perf
