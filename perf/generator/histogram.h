// Counts of delays: exact below 64 ticks, above that in steps of 1/64 of the value, so that a percentile is
// within 1.6 % of the true one.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace millrace::perf {

class Histogram {
 public:
  static constexpr unsigned kStepBits = 6;
  static constexpr std::size_t kSteps = std::size_t{1} << kStepBits;
  static constexpr std::size_t kBuckets = (64 - kStepBits + 1) * kSteps;

  void add(std::uint64_t value) { ++counts_[bucket(value)]; }
  [[nodiscard]] std::uint64_t count(std::size_t bucket) const { return counts_[bucket]; }

  // The value's highest bit picks a row, the six bits below it a place in the row. Example: 200 = 0b1100'1000
  // has its highest bit at 7, one above the exact row 0: row 2, place 0b100100: 2 * 64 + 36 = 164.
  static constexpr std::size_t bucket(std::uint64_t value) {
    if (value < kSteps) return value;
    const unsigned shift = static_cast<unsigned>(std::bit_width(value)) - 1 - kStepBits;
    return (shift + 1) * kSteps + ((value >> shift) - kSteps);
  }
  // The least value of a bucket.
  static constexpr std::uint64_t value(std::size_t bucket) {
    if (bucket < kSteps) return bucket;
    return (kSteps + bucket % kSteps) << (bucket / kSteps - 1);
  }

 private:
  std::array<std::uint64_t, kBuckets> counts_{};
};
static_assert(Histogram::bucket(200) == 164 && Histogram::value(164) == 200);

}  // namespace millrace::perf
