// The addresses that are looked up, made once from a seed so that all subjects get the same.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "perf/route.h"

namespace millrace::perf {

enum class Traffic : unsigned char {
  uniform,  // any IPv4 address; IPv6: any in 2000::/3
  prefix,   // a prefix of the table, each as likely as any other, then random host bits
  zipf,     // the same, but the k-th prefix of a random order is taken in proportion to 1/k
};

inline constexpr std::size_t kStreamSize = std::size_t{1} << 22;

std::string_view name(Traffic traffic);

template <class Address>
std::vector<Address> make_stream(Traffic traffic, std::span<const Route<Address>> routes, std::uint64_t seed);

}  // namespace millrace::perf
