// The feed over FPM without its socket (fpm_server.h has that): bytes in, routes out.
//
// What is read is queued, and applied in steps: each frame as one, and published at once. The queue is
// bounded; whoever reads stops while it is full, so that a daemon waits that speaks faster than routes can be
// applied. Control thread only.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <vector>

#include "controlplane/fpm_frame.h"
#include "controlplane/route_feed.h"

namespace millrace::controlplane {

class FpmFeed {
 public:
  static constexpr std::size_t kAnswerBytes = 1 << 20;  // that wait to be sent: then nothing is applied

  explicit FpmFeed(const FeedTables& tables);
  FpmFeed(const FpmFeed&) = delete;
  FpmFeed& operator=(const FpmFeed&) = delete;

  void set_times(const RouteFeed::Times& times) { feed_.set_times(times); }
  // Whether the daemon is told what became of its routes; those that it has said it is to say again.
  void set_feedback(bool wanted);
  // If they are others than before, the daemon is to say everything again: work() ends its connection.
  void set_distances(const config::FeedsConfig::Distances& distances);
  void set_time(std::uint64_t now_ns) {
    now_ns_ = now_ns;
    feed_.set_time(now_ns);
  }
  void tick() { feed_.tick(); }

  void connected(const std::string& peer);
  // What is queued is forgotten: read it all first where the peer has closed in order.
  void disconnected(const std::string& why);
  // Room for bytes from the socket, to be written to and then taken with received(); empty: not now.
  std::span<std::uint8_t> room() { return frames_.room(); }
  void received(std::size_t bytes);

  // A step: a frame, or a slice of what else waits. True while there is more to do. On an error, which says
  // what is wrong with a frame, the connection has to be closed.
  Result<bool> work();

  // Frames for the daemon, to be sent, and taken as sent then; until the next call of another function.
  [[nodiscard]] std::span<const std::uint8_t> answers() const { return answers_; }
  // So many wait that work() does nothing.
  [[nodiscard]] bool is_full() const { return answers_.size() >= kAnswerBytes; }
  void answered(std::size_t bytes) {
    answers_.erase(answers_.begin(), answers_.begin() + static_cast<std::ptrdiff_t>(bytes));
  }

  [[nodiscard]] const RouteFeed& feed() const { return feed_; }
  [[nodiscard]] std::size_t queued_bytes() const { return frames_.queued_bytes(); }
  // For how long the oldest bytes in the queue have waited.
  [[nodiscard]] std::uint64_t lag_ns() const {
    return arrivals_.empty() ? 0 : now_ns_ - std::min(now_ns_, arrivals_.front().at_ns);
  }
  [[nodiscard]] std::uint64_t max_lag_ns() const { return max_lag_ns_; }

 private:
  struct Arrival {
    std::size_t unread_bytes;
    std::uint64_t at_ns;
  };
  void forget_arrivals(std::size_t read_bytes);

  RouteFeed feed_;
  FpmFrames frames_;
  std::vector<std::uint8_t> answers_;
  bool feedback_ = false;
  bool say_again_ = false;
  std::deque<Arrival> arrivals_;  // of what is queued
  std::uint64_t now_ns_ = 0;
  std::uint64_t max_lag_ns_ = 0;  // of frames that were applied
};

}  // namespace millrace::controlplane
