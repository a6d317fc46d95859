// UDP frames that differ only in their destination address: a template, and the few stores that make the
// next frame of it.
//
// The header's 64 bytes are made in registers, as 8-byte words in memory order, and stored once: no store is
// written over by a narrower one, which would stall whoever loads the header soon after.
#pragma once

#include <emmintrin.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <stdexcept>
#include <vector>

#include "net/checksum.h"
#include "net/mac.h"

namespace millrace::perf {

// The first bytes of a frame, and what every frame has behind them.
using HeaderWords = std::array<std::uint64_t, 8>;
inline constexpr std::size_t kHeaderBytes = sizeof(HeaderWords);

struct FrameMacs {
  MacAddress destination;
  MacAddress source;
};

// The one's complement sum (RFC 1071) of the bytes of a word; at most 0x1fffffffe.
constexpr std::uint64_t halves(std::uint64_t word) {
  return (word & 0xffffffff) + (word >> 32);
}
constexpr std::uint64_t complement_of(std::uint64_t sum) {
  return static_cast<std::uint16_t>(~checksum_fold(sum));
}

namespace bytes {
inline void put16(std::span<std::byte> frame, std::size_t at, unsigned value) {
  frame[at] = static_cast<std::byte>(value >> 8);
  frame[at + 1] = static_cast<std::byte>(value & 0xff);
}
inline void put_ethernet(std::span<std::byte> frame, const FrameMacs& macs, unsigned type) {
  std::memcpy(frame.data(), macs.destination.bytes.data(), 6);
  std::memcpy(&frame[6], macs.source.bytes.data(), 6);
  put16(frame, 12, type);
}
// Port 9 is "discard" (RFC 863).
inline void put_udp(std::span<std::byte> frame, std::size_t at) {
  put16(frame, at, 1024);
  put16(frame, at + 2, 9);
  put16(frame, at + 4, static_cast<unsigned>(frame.size() - at));
}
}  // namespace bytes

// Ethernet, IPv4 and UDP without a checksum. Bytes of the frame:
//   14 IPv4: 16 total length, 22 TTL, 24 checksum, 26 source, 30 destination; 34 UDP
struct Ipv4Frame {
  using Address = std::uint32_t;  // as it lies in memory
  static constexpr std::size_t kMinSize = 14 + 20 + 8;
  static constexpr Address fixed_destination() { return 0x010012c6; }  // 198.18.0.1 (RFC 2544)

  // The template, with the destination and what depends on it zero; `base` is the header's sum.
  static void fill(std::span<std::byte> frame, const FrameMacs& macs, std::uint64_t& base) {
    constexpr std::uint8_t kHead[] = {0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 2};
    bytes::put_ethernet(frame, macs, 0x0800);
    std::memcpy(&frame[14], kHead, sizeof kHead);
    bytes::put16(frame, 16, static_cast<unsigned>(frame.size() - 14));
    bytes::put_udp(frame, 34);
    base = checksum_fold(checksum_add(frame.subspan(14, 20)));
  }

  static void stamp(HeaderWords& words, std::uint64_t base, Address to) {
    // At most 3 * 0xffff, whose folds are short.
    const std::uint64_t sum = base + (to & 0xffff) + (to >> 16);
    const std::uint64_t once = (sum & 0xffff) + (sum >> 16);
    const std::uint64_t checksum = static_cast<std::uint16_t>(~(once + (once >> 16)));
    words[3] |= checksum | (std::uint64_t{to & 0xffff} << 48);
    words[4] |= to >> 16;
  }
};

// Ethernet, IPv6 and UDP with its checksum. Bytes of the frame:
//   14 IPv6: 18 payload length, 20 next header, 21 hop limit, 22 source, 38 destination; 54 UDP: 60 checksum
struct Ipv6Frame {
  struct Address {
    std::uint64_t first, last;
  };
  static constexpr std::size_t kMinSize = 14 + 40 + 8;
  static constexpr Address fixed_destination() {
    return {0x0000000002000120, 0x0100000000000000};
  }  // 2001:2::1

  static void fill(std::span<std::byte> frame, const FrameMacs& macs, std::uint64_t& base) {
    constexpr std::uint8_t kHead[] = {0x60, 0, 0, 0, 0, 0, 17, 64, 0x20, 0x01, 0x0d, 0xb8,
                                      0,    0, 0, 0, 0, 0, 0,  0,  0,    0,    0,    2};
    bytes::put_ethernet(frame, macs, 0x86dd);
    std::memcpy(&frame[14], kHead, sizeof kHead);
    bytes::put16(frame, 18, static_cast<unsigned>(frame.size() - 54));
    bytes::put_udp(frame, 54);
    // The pseudo header (RFC 8200 8.1): addresses, length, next header.
    std::array<std::byte, 4> pseudo{};
    bytes::put16(pseudo, 0, static_cast<unsigned>(frame.size() - 54));
    bytes::put16(pseudo, 2, 17);
    base = checksum_fold(
        checksum_add(frame.subspan(54), checksum_add(frame.subspan(22, 16), checksum_add(pseudo))));
  }

  static void stamp(HeaderWords& words, std::uint64_t base, Address to) {
    std::uint64_t checksum = complement_of(base + halves(to.first) + halves(to.last));
    if (checksum == 0) checksum = 0xffff;  // zero would say that there is none
    words[4] |= to.first << 48;
    words[5] = to.first >> 16 | to.last << 48;
    words[6] |= to.last >> 16;
    words[7] |= checksum << 32;
  }
};

template <class Family>
class FrameTemplate {
 public:
  // `size` is the frame's without its FCS.
  FrameTemplate(std::size_t size, const FrameMacs& macs)
      : size_(size), frame_(size < kHeaderBytes ? kHeaderBytes : size) {
    if (size < Family::kMinSize) throw std::invalid_argument("a frame of this family is longer");
    Family::fill({frame_.data(), size}, macs, base_);
    std::memcpy(words_.data(), frame_.data(), kHeaderBytes);
  }

  [[nodiscard]] std::size_t size() const { return size_; }

  // Makes the frame to `destination` at `to`, which has room for size() bytes and at least kHeaderBytes.
  void stamp(std::byte* to, typename Family::Address destination) const {
    HeaderWords words = words_;
    Family::stamp(words, base_, destination);
    for (std::size_t i = 0; i < words.size(); i += 2) {
      _mm_storeu_si128(
          reinterpret_cast<__m128i*>(to + 8 * i),
          _mm_set_epi64x(static_cast<long long>(words[i + 1]), static_cast<long long>(words[i])));
    }
    if (size_ > kHeaderBytes)
      std::memcpy(to + kHeaderBytes, frame_.data() + kHeaderBytes, size_ - kHeaderBytes);
  }

 private:
  HeaderWords words_{};
  std::uint64_t base_ = 0;
  std::size_t size_;
  std::vector<std::byte> frame_;
};

}  // namespace millrace::perf
