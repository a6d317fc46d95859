// Receive side scaling: by which key a port hashes addresses and ports to choose a frame's receive queue.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace millrace::dataplane {

enum class Rss : std::uint8_t { off, standard, symmetric };

// The longest that is hashed, the addresses and ports of IPv6, is 36 bytes: Toeplitz's hash reads four more
// of the key. What longer keys have behind is for other packets.
inline constexpr std::size_t kRssKeyBytes = 40;
using LongestRssKey = std::array<std::uint8_t, UINT8_MAX>;

// The key that Microsoft checks its specification with, which most drivers come with: all ports have the
// same, so that a flow has one hash wherever it comes in.
inline constexpr std::array<std::uint8_t, kRssKeyBytes> kStandardRssKey = {
    0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3,
    0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3,
    0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa};

// 16 bits over and over (Woo and Park, "Scalable TCP session monitoring with symmetric receive-side scaling",
// KAIST 2012): a hash does not change where source and destination, ports too, change places, as they are a
// multiple of 16 bits apart. It says less: both halves of it are the same.
inline constexpr std::size_t kSymmetricPeriod = 2;

constexpr LongestRssKey repeated(std::size_t first_bytes) {
  LongestRssKey key{};
  for (std::size_t i = 0; i < key.size(); ++i) key[i] = kStandardRssKey[i % first_bytes];
  return key;
}

// Of `bytes`, at most UINT8_MAX. It lives for ever: drivers come back to it when they reset a port.
inline std::span<const std::uint8_t> rss_key(bool symmetric, std::size_t bytes) {
  static constexpr LongestRssKey kStandard = repeated(kRssKeyBytes), kSymmetric = repeated(kSymmetricPeriod);
  return std::span(symmetric ? kSymmetric : kStandard).first(bytes);
}

}  // namespace millrace::dataplane
