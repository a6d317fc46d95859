// Congestion's marks on tunnels (RFC 6040).
#pragma once

#include <cstdint>
#include <optional>

namespace millrace::dataplane {

// The lower two bits of what was the TOS, or the traffic class.
namespace ecn {
inline constexpr std::uint8_t kMask = 3;
inline constexpr std::uint8_t kNotCapable = 0, kCapable1 = 1, kCapable0 = 2, kCongested = 3;
}  // namespace ecn

// Of the packet that comes out of a tunnel (section 4.2, figure 4); nothing: it is dropped. On the way in,
// the outer packet has the inner one's mark (section 4.1, normal mode).
constexpr std::optional<std::uint8_t> decapsulated_ecn(std::uint8_t inner, std::uint8_t outer) {
  if (outer == ecn::kCongested) {
    if (inner == ecn::kNotCapable) return {};  // its sender would not see that it is marked
    return ecn::kCongested;
  }
  if (inner == ecn::kCapable0 && outer == ecn::kCapable1) return ecn::kCapable1;
  return inner;
}

}  // namespace millrace::dataplane
