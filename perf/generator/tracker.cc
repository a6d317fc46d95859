#include "perf/generator/tracker.h"

#include <algorithm>

namespace millrace::perf {

Tracker::Tracker(std::uint64_t expected_frames, std::uint32_t flows, std::uint32_t tagged)
    : seen_(expected_frames / 64 + 1),
      next_(flows),
      tag_every_(
          static_cast<std::uint32_t>(std::max<std::uint64_t>(1, expected_frames / std::max(1U, tagged)))) {
  sent_at_.reserve(expected_frames / kSentEvery + 1);
  tagged_.reserve(expected_frames / tag_every_ + 1);
}

void Tracker::sent(std::uint32_t sequence, std::uint64_t now) {
  ++sent_;
  if (sequence % kSentEvery == 0) sent_at_.push_back(now);
}

void Tracker::arrived(std::uint32_t sequence, std::uint64_t delay, std::uint64_t now) {
  if (last_arrival_ != 0 && now - last_arrival_ > longest_gap_.end - longest_gap_.begin)
    longest_gap_ = {last_arrival_, now};
  last_arrival_ = now;

  if (sequence >= 64 * seen_.size()) seen_.resize(sequence / 64 + 1);
  std::uint64_t& word = seen_[sequence / 64];
  const std::uint64_t bit = std::uint64_t{1} << (sequence % 64);
  if ((word & bit) != 0) {
    ++duplicates_;
    return;
  }
  word |= bit;
  ++received_;

  std::uint32_t& next = next_[sequence % next_.size()];
  if (sequence < next)
    ++reordered_;
  else
    next = sequence + 1;

  delays_.add(delay);
  min_delay_ = std::min(min_delay_, delay);
  max_delay_ = std::max(max_delay_, delay);
  sum_of_delays_ += delay;
  if (sequence % tag_every_ == 0) tagged_.push_back(delay);
}

std::optional<std::uint64_t> Tracker::last_lost_sent_at() const {
  for (std::uint64_t number = sent_; number-- > 0;) {
    const std::uint64_t word = number / 64 < seen_.size() ? seen_[number / 64] : 0;
    if ((word >> (number % 64) & 1) == 0) return sent_at_[number / kSentEvery];
  }
  return std::nullopt;
}

}  // namespace millrace::perf
