#include "controlplane/route_feed.h"

#include <spdlog/spdlog.h>

#include <algorithm>

namespace millrace::controlplane {

namespace {

constexpr std::uint64_t kSecondNs = 1'000'000'000;

}  // namespace

void RouteFeed::set_state(State state) {
  state_ = state;
  since_ns_ = now_ns_;
}

void RouteFeed::connected(const std::string& peer) {
  peer_ = peer;
  heard_ = false;
  ++connections_;
  set_state(State::syncing);
  spdlog::info("feed {}: {} is connected", name_, peer);
}

// What was here before is stale from now on, and held as long as this connection is.
void RouteFeed::first_message() {
  heard_ = true;
  hold_end_ns_ = 0;
  sync_end_ns_ = now_ns_ + times_.hold_ns + times_.sweep_ns;
  routes_.begin_connection();
}

void RouteFeed::disconnected(const std::string& why) {
  if (peer_.empty()) return;
  closed_because_ = why;
  if (heard_ || hold_end_ns_ == 0) hold_end_ns_ = std::max<std::uint64_t>(1, now_ns_ + times_.hold_ns);
  spdlog::warn("feed {}: {}: {}; {} route(s) stay for {} s", name_, peer_, why, routes_.routes(),
               (hold_end_ns_ - std::min(hold_end_ns_, now_ns_)) / kSecondNs);
  peer_.clear();
  routes_.stop_sweep();  // what is left of it goes with the others, or is said again
  set_state(State::held);
}

Result<void> RouteFeed::receive(std::span<const std::uint8_t> bytes) {
  messages_.clear();
  if (auto parsed = parse_netlink(bytes, messages_); !parsed) return parsed;
  if (messages_.empty()) return {};
  if (!heard_) first_message();
  last_message_ns_ = now_ns_;
  routes_.apply(messages_);
  return {};
}

void RouteFeed::end_sync() {
  spdlog::info("feed {}: {} route(s), {} stale one(s) to be removed, {} wait(s) for a next hop", name_,
               routes_.routes(), routes_.stale(), routes_.parked());
  routes_.begin_sweep();
  set_state(State::up);
}

void RouteFeed::tick() {
  if (hold_end_ns_ != 0 && now_ns_ >= hold_end_ns_) {
    hold_end_ns_ = 0;
    spdlog::warn("feed {}: no daemon for too long: {} route(s) are removed", name_, routes_.routes());
    routes_.begin_connection();
    routes_.begin_sweep();
    if (state_ == State::held) set_state(State::idle);
  }
  if (state_ == State::syncing && heard_ &&
      (now_ns_ >= last_message_ns_ + times_.sweep_ns || now_ns_ >= sync_end_ns_))
    end_sync();
  failure_log_.tick(name_, routes_, now_ns_);
}

std::string RouteFeed::last_error() const {
  return routes_.last_failure().empty() ? closed_because_ : routes_.last_failure();
}

}  // namespace millrace::controlplane
