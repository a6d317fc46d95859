#include "controlplane/fpm_feed.h"

namespace millrace::controlplane {

namespace {

constexpr std::size_t kSlice = 64;  // routes of other work between two frames

}  // namespace

FpmFeed::FpmFeed(const FeedTables& tables) : feed_(tables, RouteSource::fpm) {
  feed_.set_told([this](const NetlinkRoute& said, bool taken) {
    if (feedback_) append_offload(said.prefix, said.protocol, taken, answers_);
  });
}

void FpmFeed::set_feedback(bool wanted) {
  if (wanted && !feedback_) say_again_ = !feed_.peer().empty();
  feedback_ = wanted;
}

void FpmFeed::set_distances(const config::FeedsConfig::Distances& distances) {
  if (feed_.set_distances(distances)) say_again_ = !feed_.peer().empty();
}

void FpmFeed::connected(const std::string& peer) {
  frames_.clear();
  answers_.clear();
  say_again_ = false;
  arrivals_.clear();
  feed_.connected(peer);
}

void FpmFeed::disconnected(const std::string& why) {
  const std::string torn = queued_bytes() == 0 ? "" : ", in the middle of a frame";
  frames_.clear();
  answers_.clear();
  say_again_ = false;
  arrivals_.clear();
  feed_.disconnected(why + torn);
}

void FpmFeed::received(std::size_t bytes) {
  if (bytes == 0) return;
  frames_.add(bytes);
  arrivals_.push_back({bytes, now_ns_});
}

void FpmFeed::forget_arrivals(std::size_t read_bytes) {
  while (read_bytes != 0) {
    Arrival& oldest = arrivals_.front();
    const std::size_t taken = std::min(read_bytes, oldest.unread_bytes);
    oldest.unread_bytes -= taken;
    read_bytes -= taken;
    if (oldest.unread_bytes == 0) arrivals_.pop_front();
  }
}

Result<bool> FpmFeed::work() {
  if (say_again_) return Error{"by another configuration all is to be said again"};
  if (is_full()) return false;
  const bool more = feed_.work(kSlice);
  const std::size_t before = queued_bytes();
  const auto frame = frames_.next();
  if (!frame) return Error{frame.error()};
  if (!*frame) return more;
  if (auto received = feed_.receive(**frame); !received) return Error{received.error()};
  max_lag_ns_ = std::max(max_lag_ns_, lag_ns());
  forget_arrivals(before - queued_bytes());
  return true;
}

}  // namespace millrace::controlplane
