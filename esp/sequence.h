// Sequence numbers of ESP (RFC 4303 sections 2.2 and 3.3.3), always of 64 bits inside: without extended
// sequence numbers the high half stays 0.
#pragma once

#include <algorithm>
#include <cstdint>

namespace millrace::esp {

// What an outbound SA has given out, up to what is reserved: numbers that are not given out before it is
// known that they are never given out again, after whatever ends the process.
class SequenceCounter {
 public:
  struct Claim {
    std::uint64_t first;
    std::uint32_t count;  // fewer than were wanted: the SA is at its end, and the rest must not be sent
  };

  static constexpr std::uint64_t end(bool extended) { return extended ? ~std::uint64_t{0} : 0xffff'ffff; }

  // `last` is the last number that may have been sent already: of a new SA 0, of one that goes on after a
  // restart the end of what was reserved. All that follow are reserved, unless less is.
  SequenceCounter(bool extended, std::uint64_t last)
      : last_(std::min(last, end(extended))), reserved_(end(extended)) {}

  // By the SA's owner worker.
  Claim claim(std::uint32_t wanted) {
    const std::uint64_t last = this->last(), reserved = this->reserved();
    const std::uint64_t left = reserved > last ? reserved - last : 0;
    const auto count = static_cast<std::uint32_t>(std::min<std::uint64_t>(wanted, left));
    __atomic_store_n(&last_, last + count, __ATOMIC_RELAXED);
    return {last + 1, count};
  }
  [[nodiscard]] std::uint64_t last() const { return __atomic_load_n(&last_, __ATOMIC_RELAXED); }

  // By the control thread.
  void reserve(std::uint64_t up_to) { __atomic_store_n(&reserved_, up_to, __ATOMIC_RELAXED); }
  [[nodiscard]] std::uint64_t reserved() const { return __atomic_load_n(&reserved_, __ATOMIC_RELAXED); }

 private:
  std::uint64_t last_, reserved_;
};

// The number whose low half a packet carries: the first at or above the window's lower edge that ends so.
// This is RFC 4303 appendix A2.2 in one line; below number 2^32 it has no epoch to go back to.
constexpr std::uint64_t extended_sequence(std::uint32_t low, std::uint64_t highest_seen,
                                          std::uint32_t window) {
  const std::uint64_t bottom = highest_seen < window ? 0 : highest_seen - window + 1;
  return bottom + (low - static_cast<std::uint32_t>(bottom));
}

}  // namespace millrace::esp
