// What tells one test frame from all others: its direction, trial and number, and when it was sent.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace millrace::perf {

// At the start of the UDP payload, as it lies in memory: sender and receiver are one process. 12 bytes, so
// that it fits into the shortest IPv4 frame.
struct Stamp {
  static constexpr std::uint8_t kMark = 0xa0;  // in the upper bits of `mark`; the direction is in the lowest

  std::uint32_t sequence;
  std::uint32_t time_low;
  std::uint16_t time_high;
  std::uint8_t trial;
  std::uint8_t mark;

  static Stamp make(unsigned direction, std::uint8_t trial, std::uint32_t sequence, std::uint64_t ticks) {
    return {sequence, static_cast<std::uint32_t>(ticks), static_cast<std::uint16_t>(ticks >> 32), trial,
            static_cast<std::uint8_t>(kMark | direction)};
  }
  static Stamp read(const std::byte* at) {
    Stamp stamp;
    std::memcpy(&stamp, at, sizeof stamp);
    return stamp;
  }
  void write(std::byte* at) const { std::memcpy(at, this, sizeof *this); }

  [[nodiscard]] bool is(unsigned direction, std::uint8_t of_trial) const {
    return mark == (kMark | direction) && trial == of_trial;
  }
  // The stamp has 48 bits of the clock: a day at 3 GHz, so that the difference is right where the count
  // wraps.
  [[nodiscard]] std::uint64_t age(std::uint64_t ticks) const {
    constexpr std::uint64_t kMask = (std::uint64_t{1} << 48) - 1;
    return (ticks - (time_low | std::uint64_t{time_high} << 32)) & kMask;
  }
};
static_assert(sizeof(Stamp) == 12);

}  // namespace millrace::perf
