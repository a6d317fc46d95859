// Metrics: the control loop's lag, and everything countable as OpenMetrics text.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <string>

namespace millrace::controlplane {

// How late timers of the control loop run. written by: the control thread; read by: the API thread.
class LagHistogram {
 public:
  // Upper bounds of the buckets, in seconds; the last one is infinite.
  static constexpr std::array kBounds = {0.0001, 0.00025, 0.0005, 0.001, 0.002, 0.003, 0.005,
                                         0.0075, 0.01,    0.02,   0.05,  0.1,   0.5,   1.0};
  void record(std::uint64_t lag_ns);
  [[nodiscard]] std::uint64_t count(std::size_t bucket) const {
    return counts_[bucket].load(std::memory_order_relaxed);
  }
  [[nodiscard]] std::uint64_t total() const;
  [[nodiscard]] double sum_seconds() const {
    return static_cast<double>(sum_ns_.load(std::memory_order_relaxed)) / 1e9;
  }
  [[nodiscard]] double max_seconds() const {
    return static_cast<double>(max_ns_.load(std::memory_order_relaxed)) / 1e9;
  }
  // The upper bound of the bucket that holds the quantile (the maximum for the last bucket); 0 without
  // samples.
  [[nodiscard]] double quantile(double q) const;

 private:
  std::array<std::atomic<std::uint64_t>, kBounds.size() + 1> counts_{};
  std::atomic<std::uint64_t> sum_ns_{0};
  std::atomic<std::uint64_t> max_ns_{0};
};

// Builds OpenMetrics text (https://openmetrics.io): families with help, samples with labels, # EOF.
class MetricsText {
 public:
  using Labels = std::initializer_list<std::pair<std::string_view, std::string_view>>;
  void family(std::string_view name, std::string_view type, std::string_view help);
  void sample(std::string_view name, Labels labels, std::uint64_t value);
  void sample(std::string_view name, Labels labels, double value);
  void histogram(std::string_view name, std::string_view help, const LagHistogram& lag);
  std::string finish();

 private:
  void head(std::string_view name, Labels labels);
  std::string text_;
};

}  // namespace millrace::controlplane
