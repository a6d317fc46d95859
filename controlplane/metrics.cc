#include "controlplane/metrics.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace millrace::controlplane {

void LagHistogram::record(std::uint64_t lag_ns) {
  const double seconds = static_cast<double>(lag_ns) / 1e9;
  const auto bucket = std::lower_bound(kBounds.begin(), kBounds.end(), seconds) - kBounds.begin();
  counts_[static_cast<std::size_t>(bucket)].fetch_add(1, std::memory_order_relaxed);
  sum_ns_.fetch_add(lag_ns, std::memory_order_relaxed);
  if (lag_ns > max_ns_.load(std::memory_order_relaxed)) max_ns_.store(lag_ns, std::memory_order_relaxed);
}

std::uint64_t LagHistogram::total() const {
  std::uint64_t sum = 0;
  for (const auto& c : counts_) sum += c.load(std::memory_order_relaxed);
  return sum;
}

double LagHistogram::quantile(double q) const {
  const auto rank = static_cast<std::uint64_t>(std::ceil(q * static_cast<double>(total())));
  std::uint64_t seen = 0;
  for (std::size_t i = 0; i < kBounds.size() && rank != 0; ++i) {
    seen += count(i);
    if (seen >= rank) return std::min(kBounds[i], max_seconds());
  }
  return max_seconds();
}

void MetricsText::family(std::string_view name, std::string_view type, std::string_view help) {
  text_.append("# TYPE ").append(name).append(" ").append(type);
  text_.append("\n# HELP ").append(name).append(" ").append(help).append("\n");
}

void MetricsText::head(std::string_view name, Labels labels) {
  text_.append(name);
  char separator = '{';
  for (const auto& [key, value] : labels) {
    text_ += separator;
    text_.append(key).append("=\"").append(value).append("\"");
    separator = ',';
  }
  text_.append(labels.size() == 0 ? " " : "} ");
}

void MetricsText::sample(std::string_view name, Labels labels, std::uint64_t value) {
  head(name, labels);
  text_.append(std::to_string(value)).append("\n");
}

void MetricsText::sample(std::string_view name, Labels labels, double value) {
  head(name, labels);
  char number[32];
  std::snprintf(number, sizeof number, "%.9g\n", value);
  text_.append(number);
}

void MetricsText::histogram(std::string_view name, std::string_view help, const LagHistogram& lag) {
  family(name, "histogram", help);
  const std::string base(name);
  std::uint64_t below = 0;
  for (std::size_t i = 0; i < LagHistogram::kBounds.size(); ++i) {
    below += lag.count(i);
    char bound[32];
    std::snprintf(bound, sizeof bound, "%g", LagHistogram::kBounds[i]);
    sample(base + "_bucket", {{"le", bound}}, below);
  }
  below += lag.count(LagHistogram::kBounds.size());
  sample(base + "_bucket", {{"le", "+Inf"}}, below);
  sample(base + "_sum", {}, lag.sum_seconds());
  sample(base + "_count", {}, below);
}

std::string MetricsText::finish() {
  text_.append("# EOF\n");
  return std::move(text_);
}

}  // namespace millrace::controlplane
