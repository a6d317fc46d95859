// A feed of routes: a daemon that connects, says its routes and next hops, and may go and come again.
//
//             connected()           first message              idle for `sweep`
//    idle ──────────────▶ syncing ────────────────▶ syncing ───────────────────▶ up
//      ▲                     │  what was here is stale, and what is said
//      │ `hold` has passed   │  again is not; what is stale then goes
//     held ◀─────────────────┴── disconnected() ◀──────────────────────────────── up
//          routes stay, and packets are forwarded by them
//
// A daemon that connects says everything again and gives no sign of the end: that is when it has said nothing
// for `sweep`, or `hold` after its first message at the latest. A connection that says nothing changes
// nothing: `hold` goes on. Control thread only; time comes from outside (set_time, monotonic).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "controlplane/failure_log.h"
#include "controlplane/feed_routes.h"

namespace millrace::controlplane {

class RouteFeed {
 public:
  enum class State : std::uint8_t { idle, syncing, up, held };
  static constexpr std::string_view name(State state) {
    constexpr std::string_view kNames[] = {"idle", "syncing", "up", "held"};
    return kNames[static_cast<std::size_t>(state)];
  }
  struct Times {
    std::uint64_t hold_ns = 120'000'000'000;
    std::uint64_t sweep_ns = 30'000'000'000;
  };

  RouteFeed(const FeedTables& tables, RouteSource source)
      : name_(millrace::controlplane::name(source)), routes_(tables, source) {}

  void set_times(const Times& times) { times_ = times; }  // what is running out already is not changed
  bool set_distances(const config::FeedsConfig::Distances& distances) {
    return routes_.set_distances(distances);
  }
  void set_told(FeedRoutes::Told told) { routes_.set_told(std::move(told)); }
  void set_time(std::uint64_t now_ns) {
    now_ns_ = now_ns;
    if (since_ns_ == 0) since_ns_ = now_ns;
  }

  void connected(const std::string& peer);
  void disconnected(const std::string& why);
  // Netlink messages that belong together, at a multiple of 4. On an error none of them was applied, and the
  // connection cannot go on.
  Result<void> receive(std::span<const std::uint8_t> messages);
  // Looks at the clock; call it every 10 ms or so.
  void tick();
  // Some of the work that takes longer; true while there is more (FeedRoutes::work).
  bool work(std::size_t slice) { return routes_.work(slice); }

  [[nodiscard]] State state() const { return state_; }
  [[nodiscard]] const std::string& peer() const { return peer_; }  // empty: none is connected
  [[nodiscard]] const FeedRoutes& routes() const { return routes_; }
  [[nodiscard]] std::uint64_t connections() const { return connections_; }
  [[nodiscard]] std::uint64_t since_ns() const { return since_ns_; }  // of the state
  // Why the last connection ended, or what there was no room for; empty: nothing yet.
  [[nodiscard]] std::string last_error() const;

 private:
  void set_state(State state);
  void first_message();
  void end_sync();

  std::string_view name_;
  FeedRoutes routes_;
  Times times_;
  std::uint64_t now_ns_ = 0;
  State state_ = State::idle;
  std::uint64_t since_ns_ = 0;
  std::string peer_;
  bool heard_ = false;  // this connection has said something
  std::uint64_t last_message_ns_ = 0;
  std::uint64_t sync_end_ns_ = 0;  // at the latest
  std::uint64_t hold_end_ns_ = 0;  // 0: no routes are held
  std::uint64_t connections_ = 0;
  FailureLog failure_log_;
  std::string closed_because_;
  std::vector<NetlinkMessage> messages_;  // of the frame at hand
};

}  // namespace millrace::controlplane
