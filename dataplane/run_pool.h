// Runs of consecutive numbers, given out and taken back. A run is a power of two long and starts at a
// multiple of its length: the buddy system (Knuth, The Art of Computer Programming, volume 1, 2.5).
//
//   longest   |       0       |       8       |      a free run of 8 is halved until one of the
//             |   0   |   4   |               |      length that is asked for is left; two halves
//   shortest  | 0 | 2 |       |               |      that are both free become one again
#pragma once

#include <bit>
#include <cstdint>
#include <optional>
#include <set>
#include <vector>

namespace millrace::dataplane {

class RunPool {
 public:
  // Numbers below `limit`, a multiple of `longest`.
  RunPool(std::uint32_t limit, std::uint32_t shortest, std::uint32_t longest)
      : limit_(limit),
        shortest_(shortest),
        longest_(longest),
        free_(static_cast<std::size_t>(std::countr_zero(longest / shortest)) + 1) {}

  // The first number of a run of that length. Nothing if no run is as long.
  std::optional<std::uint32_t> take(std::uint32_t length) {
    std::uint32_t found = length;
    while (found < longest_ && runs(found).empty()) found *= 2;
    std::uint32_t first = next_;
    if (!runs(found).empty()) {
      first = runs(found).extract(runs(found).begin()).value();
    } else if (next_ != limit_) {
      next_ += longest_;
    } else {
      return std::nullopt;
    }
    for (; found != length; found /= 2) runs(found / 2).insert(first + found / 2);
    used_ += length;
    return first;
  }

  void give_back(std::uint32_t first, std::uint32_t length) {
    used_ -= length;
    while (length < longest_ && runs(length).erase(first ^ length) != 0) {  // its other half is free as well
      first &= ~length;
      length *= 2;
    }
    runs(length).insert(first);
  }

  [[nodiscard]] std::size_t used() const { return used_; }

 private:
  std::set<std::uint32_t>& runs(std::uint32_t length) {
    return free_[static_cast<std::size_t>(std::countr_zero(length / shortest_))];
  }

  std::uint32_t limit_;
  std::uint32_t shortest_;
  std::uint32_t longest_;
  std::uint32_t next_ = 0;                     // nothing from here on was ever given out
  std::size_t used_ = 0;                       // numbers that are given out
  std::vector<std::set<std::uint32_t>> free_;  // [log2(length / shortest)]
};

}  // namespace millrace::dataplane
