#include "controlplane/metrics.h"

#include <gtest/gtest.h>

#include <string>

namespace millrace::controlplane {
namespace {

constexpr std::uint64_t kMicrosecond = 1000;
constexpr std::uint64_t kMillisecond = 1000 * kMicrosecond;

TEST(LagHistogram, IsAllZeroWithoutSamples) {
  const LagHistogram lag;
  EXPECT_EQ(lag.total(), 0U);
  EXPECT_EQ(lag.quantile(0.5), 0.0);
  EXPECT_EQ(lag.quantile(1.0), 0.0);
  EXPECT_EQ(lag.max_seconds(), 0.0);
}

TEST(LagHistogram, PutsASampleIntoTheBucketWhoseBoundHoldsIt) {
  LagHistogram lag;
  lag.record(0);
  lag.record(100 * kMicrosecond);      // on the bound: in the bucket ("le")
  lag.record(100 * kMicrosecond + 1);  // just behind it
  lag.record(1000 * kMillisecond);
  lag.record(1000 * kMillisecond + 1);  // behind the last bound
  EXPECT_EQ(lag.count(0), 2U);
  EXPECT_EQ(lag.count(1), 1U);
  EXPECT_EQ(lag.count(LagHistogram::kBounds.size() - 1), 1U);
  EXPECT_EQ(lag.count(LagHistogram::kBounds.size()), 1U);
  EXPECT_EQ(lag.total(), 5U);
}

TEST(LagHistogram, AQuantileIsTheBoundOfItsBucketButNeverMoreThanTheMaximum) {
  LagHistogram lag;
  for (int i = 0; i < 98; ++i) lag.record(900 * kMicrosecond);
  lag.record(4 * kMillisecond);
  lag.record(7000 * kMillisecond);
  EXPECT_DOUBLE_EQ(lag.quantile(0.5), 0.001);
  EXPECT_DOUBLE_EQ(lag.quantile(0.98), 0.001);
  EXPECT_DOUBLE_EQ(lag.quantile(0.99), 0.005);
  EXPECT_DOUBLE_EQ(lag.quantile(1.0), 7.0) << "the last bucket has no bound: the maximum";
  EXPECT_DOUBLE_EQ(lag.max_seconds(), 7.0);
  EXPECT_NEAR(lag.sum_seconds(), 98 * 0.0009 + 0.004 + 7, 1e-9);

  LagHistogram one;
  one.record(120 * kMicrosecond);
  EXPECT_DOUBLE_EQ(one.quantile(0.99), 0.00012);
}

TEST(MetricsText, WritesFamiliesAndSamples) {
  MetricsText text;
  text.family("millrace_rx_packets", "counter", "Frames received.");
  text.sample("millrace_rx_packets_total", {{"interface", "wan0"}, {"queue", "1"}},
              std::uint64_t{18446744073709551615U});
  text.family("millrace_age_seconds", "gauge", "An age.");
  text.sample("millrace_age_seconds", {}, 0.25);
  text.sample("millrace_age_seconds", {{"of", "x"}}, 1e-9);
  EXPECT_EQ(text.finish(),
            "# TYPE millrace_rx_packets counter\n"
            "# HELP millrace_rx_packets Frames received.\n"
            "millrace_rx_packets_total{interface=\"wan0\",queue=\"1\"} 18446744073709551615\n"
            "# TYPE millrace_age_seconds gauge\n"
            "# HELP millrace_age_seconds An age.\n"
            "millrace_age_seconds 0.25\n"
            "millrace_age_seconds{of=\"x\"} 1e-09\n"
            "# EOF\n");
}

TEST(MetricsText, AHistogramIsCumulativeAndItsCountIsTheInfiniteBucket) {
  LagHistogram lag;
  lag.record(50 * kMicrosecond);
  lag.record(300 * kMicrosecond);
  lag.record(5000 * kMillisecond);
  MetricsText text;
  text.histogram("lag_seconds", "Lag.", lag);
  const std::string all = text.finish();
  const auto has = [&](const std::string& line) { return all.find("\n" + line + "\n") != std::string::npos; };
  EXPECT_EQ(all.find("# TYPE lag_seconds histogram\n# HELP lag_seconds Lag.\n"), 0U);
  EXPECT_TRUE(has("lag_seconds_bucket{le=\"0.0001\"} 1")) << all;
  EXPECT_TRUE(has("lag_seconds_bucket{le=\"0.00025\"} 1")) << all;
  EXPECT_TRUE(has("lag_seconds_bucket{le=\"0.0005\"} 2")) << all;
  EXPECT_TRUE(has("lag_seconds_bucket{le=\"1\"} 2")) << all;
  EXPECT_TRUE(has("lag_seconds_bucket{le=\"+Inf\"} 3")) << all;
  EXPECT_TRUE(has("lag_seconds_sum 5.00035")) << all;
  EXPECT_TRUE(has("lag_seconds_count 3")) << all;
}

}  // namespace
}  // namespace millrace::controlplane
