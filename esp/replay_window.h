// The anti-replay window of an inbound SA (RFC 4303 section 3.4.3) as a ring of words that is never shifted
// (RFC 6479).
//
// A number's bit is at number % (64 x words) of the ring. The window is the last `size` numbers up to the
// highest seen; the ring has at least one word more, so that the word which the highest number enters holds
// nothing of the window.
//
//   size 64, 2 words:   ... 128 |64 ........ 127| 128 ... 150          150 is the highest: the window is 87
//   to 150,
//                                  87 -> word 1      word 0            what word 0 held (0 to 63) was cleared
//
// Written and read by: the SA's owner worker.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <memory>

#include "net/prefetch.h"

namespace millrace::esp {

class ReplayWindow {
 public:
  static constexpr std::uint32_t kMinSize = 64, kMaxSize = 8192;  // in packets

  enum class Verdict : std::uint8_t { fresh, replayed, late };

  explicit ReplayWindow(std::uint32_t size)
      : size_(std::clamp(size, kMinSize, kMaxSize)),
        words_(std::bit_ceil((size_ + 63) / 64 + 1)),
        ring_(std::make_unique<std::uint64_t[]>(words_)) {}

  // Before decryption. Number 0 is never sent (RFC 4303 section 3.3.3).
  [[nodiscard]] Verdict look(std::uint64_t number) const {
    if (number > highest_) return Verdict::fresh;
    if (number == 0 || highest_ - number >= size_) return Verdict::late;
    return (word_of(number) & bit_of(number)) != 0 ? Verdict::replayed : Verdict::fresh;
  }

  void prefetch(std::uint64_t number) const { millrace::prefetch(&ring_[index_of(number)]); }

  // After it, of a packet that has verified: looks again, since its like may have come in the same batch, and
  // if it is fresh the window moves.
  Verdict take(std::uint64_t number) {
    const Verdict verdict = look(number);
    if (verdict != Verdict::fresh) return verdict;
    if (number > highest_) advance(number);
    ring_[index_of(number)] |= bit_of(number);
    return verdict;
  }

  // The control thread reads it, too.
  [[nodiscard]] std::uint64_t highest() const { return __atomic_load_n(&highest_, __ATOMIC_RELAXED); }
  [[nodiscard]] std::uint32_t size() const { return size_; }

 private:
  [[nodiscard]] std::size_t index_of(std::uint64_t number) const { return number / 64 & (words_ - 1); }
  [[nodiscard]] std::uint64_t word_of(std::uint64_t number) const { return ring_[index_of(number)]; }
  static constexpr std::uint64_t bit_of(std::uint64_t number) { return std::uint64_t{1} << (number & 63); }

  // The words that the highest number passes are new.
  void advance(std::uint64_t number) {
    const std::uint64_t passed = std::min<std::uint64_t>(number / 64 - highest_ / 64, words_);
    for (std::uint64_t i = 0; i < passed; ++i) ring_[index_of(number - 64 * i)] = 0;
    __atomic_store_n(&highest_, number, __ATOMIC_RELAXED);
  }

  std::uint32_t size_, words_;
  std::uint64_t highest_ = 0;
  std::unique_ptr<std::uint64_t[]> ring_;
};

}  // namespace millrace::esp
