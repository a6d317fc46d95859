// When the next frames are due. Time is given in ticks, so that tests need no clock.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

namespace millrace::perf {

// A stretch of one rate. It ends after `ticks` or, where `frames` is not zero, after so many frames.
struct Phase {
  double frames_per_tick = 0;  // 0: as fast as the port takes them
  std::uint64_t ticks = 0;
  std::uint64_t frames = 0;
};

class Pacer {
 public:
  // What was missed while the generator did not run is caught up with in bursts, but not more than this: a
  // device must not be blamed for a burst that nobody asked for. The rest is never sent, and `late()` says
  // so.
  static constexpr std::uint64_t kMaxCatchUp = 64;

  Pacer(std::vector<Phase> phases, std::uint64_t now) : phases_(std::move(phases)), next_(0), begin_(now) {}

  // How many frames are due now. Call take() with how many of them were sent.
  std::uint64_t due(std::uint64_t now) {
    while (!over()) {
      const Phase& phase = phases_[index_];
      const auto elapsed = static_cast<double>(now - begin_);
      if (phase.frames != 0 ? in_phase_ >= phase.frames : now - begin_ >= phase.ticks) {
        next_phase(now);
        continue;
      }
      const std::uint64_t left = phase.frames != 0 ? phase.frames - in_phase_ : unlimited();
      if (phase.frames_per_tick <= 0) return left;
      if (elapsed < next_) return 0;
      auto count = static_cast<std::uint64_t>((elapsed - next_) * phase.frames_per_tick) + 1;
      if (count > kMaxCatchUp) {
        next_ += static_cast<double>(count - kMaxCatchUp) / phase.frames_per_tick;
        late_ += count - kMaxCatchUp;
        count = kMaxCatchUp;
      }
      return std::min(count, left);
    }
    return 0;
  }
  void take(std::uint64_t count) {
    const Phase& phase = phases_[index_];
    in_phase_ += count;
    if (phase.frames_per_tick > 0) next_ += static_cast<double>(count) / phase.frames_per_tick;
  }

  [[nodiscard]] bool over() const { return index_ == phases_.size(); }
  [[nodiscard]] std::uint64_t late() const { return late_; }
  // When each phase that is over ended.
  [[nodiscard]] const std::vector<std::uint64_t>& ends() const { return ends_; }

 private:
  static constexpr std::uint64_t unlimited() { return std::numeric_limits<std::uint64_t>::max(); }

  void next_phase(std::uint64_t now) {
    // A phase of a given time ends at its time, however late one looks; what was still due then is late.
    const Phase& phase = phases_[index_];
    const double left = (static_cast<double>(phase.ticks) - next_) * phase.frames_per_tick;
    if (phase.frames == 0 && left > 0) late_ += static_cast<std::uint64_t>(std::ceil(left));
    begin_ = phase.frames != 0 ? now : begin_ + phase.ticks;
    ends_.push_back(begin_);
    ++index_;
    next_ = 0;
    in_phase_ = 0;
  }

  std::vector<Phase> phases_;
  std::size_t index_ = 0;
  double next_;  // when the next frame is due, in ticks from `begin_`
  std::uint64_t begin_;
  std::uint64_t in_phase_ = 0;
  std::vector<std::uint64_t> ends_;
  std::uint64_t late_ = 0;
};

}  // namespace millrace::perf
