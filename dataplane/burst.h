// A burst: what a worker takes from a port at once, and runs through the steps together.
#pragma once

#include <cstdint>

namespace millrace::dataplane {

inline constexpr unsigned kBurst = 64;

// The bits of `count` places, at least one.
constexpr std::uint64_t all_of(unsigned count) {
  return count < kBurst ? (std::uint64_t{1} << count) - 1 : ~std::uint64_t{0};
}
static_assert(kBurst == 64, "one bit a place");

struct Ipv4Family;  // ip_family.h
struct Ipv6Family;
template <class Family>
class IpBatch;  // ip_batch.h

}  // namespace millrace::dataplane
