// What became of the frames of one direction: exact counts by their numbers, and delays.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "perf/generator/histogram.h"

namespace millrace::perf {

// A silence at the receiver, in ticks.
struct Gap {
  std::uint64_t begin = 0, end = 0;
};

class Tracker {
 public:
  // `flows`: frame n is of flow n % flows. Of all frames about `tagged` have their delay kept as it is.
  Tracker(std::uint64_t expected_frames, std::uint32_t flows, std::uint32_t tagged);

  void sent(std::uint32_t sequence, std::uint64_t now);
  void arrived(std::uint32_t sequence, std::uint64_t delay, std::uint64_t now);

  // Frames that arrived at least once.
  [[nodiscard]] std::uint64_t received() const { return received_; }
  [[nodiscard]] std::uint64_t duplicates() const { return duplicates_; }
  // RFC 4737: a frame whose number is lower than one of its flow that came before.
  [[nodiscard]] std::uint64_t reordered() const { return reordered_; }
  [[nodiscard]] std::uint64_t sent_frames() const { return sent_; }
  [[nodiscard]] std::uint64_t lost() const { return sent_ - received_; }
  // About when the last frame that is lost was sent; to within 256 frames.
  [[nodiscard]] std::optional<std::uint64_t> last_lost_sent_at() const;
  [[nodiscard]] const Gap& longest_gap() const { return longest_gap_; }
  [[nodiscard]] const Histogram& delays() const { return delays_; }
  [[nodiscard]] const std::vector<std::uint64_t>& tagged() const { return tagged_; }
  [[nodiscard]] std::uint64_t min_delay() const { return min_delay_; }
  [[nodiscard]] std::uint64_t max_delay() const { return max_delay_; }
  [[nodiscard]] std::uint64_t sum_of_delays() const { return sum_of_delays_; }

 private:
  static constexpr std::uint32_t kSentEvery = 256;

  std::vector<std::uint64_t> seen_;     // a bit a frame
  std::vector<std::uint32_t> next_;     // of each flow: one more than the highest number seen
  std::vector<std::uint64_t> sent_at_;  // of every 256th frame
  std::vector<std::uint64_t> tagged_;
  std::uint32_t tag_every_;
  std::uint64_t sent_ = 0, received_ = 0, duplicates_ = 0, reordered_ = 0;
  std::uint64_t last_arrival_ = 0;
  Gap longest_gap_;
  Histogram delays_;
  std::uint64_t min_delay_ = ~std::uint64_t{0}, max_delay_ = 0, sum_of_delays_ = 0;
};

}  // namespace millrace::perf
