// Sequence numbers of ESP (RFC 4303 sections 2.2 and 3.3.3), always of 64 bits inside: without extended
// sequence numbers the high half stays 0.
#pragma once

#include <algorithm>
#include <cstdint>

namespace millrace::esp {

// What an outbound SA has given out. Written by: the SA's owner worker.
class SequenceCounter {
 public:
  struct Claim {
    std::uint64_t first;
    std::uint32_t count;  // fewer than were wanted: the SA is at its end, and the rest must not be sent
  };

  // `last` is the last number that may have been sent already: of a new SA 0, of one that goes on after a
  // restart the end of what was reserved.
  SequenceCounter(bool extended, std::uint64_t last)
      : limit_(extended ? ~std::uint64_t{0} : 0xffff'ffff), last_(std::min(last, limit_)) {}

  Claim claim(std::uint32_t wanted) {
    const auto count = static_cast<std::uint32_t>(std::min<std::uint64_t>(wanted, limit_ - last_));
    const Claim claimed{last_ + 1, count};
    last_ += count;
    return claimed;
  }

  [[nodiscard]] std::uint64_t last() const { return last_; }

 private:
  std::uint64_t limit_, last_;
};

// The number whose low half a packet carries: the first at or above the window's lower edge that ends so.
// This is RFC 4303 appendix A2.2 in one line; below number 2^32 it has no epoch to go back to.
constexpr std::uint64_t extended_sequence(std::uint32_t low, std::uint64_t highest_seen,
                                          std::uint32_t window) {
  const std::uint64_t bottom = highest_seen < window ? 0 : highest_seen - window + 1;
  return bottom + (low - static_cast<std::uint32_t>(bottom));
}

}  // namespace millrace::esp
