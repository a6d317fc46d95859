// The feed from a kernel's routing table without its socket (netlink_listener.h has that): a mirror.
//
//                a complete dump            messages were lost, a link changed, ...
//     syncing ──────────────────────▶ up ─────────────────────────────────────────▶ resyncing
//                                      ▲      a complete dump: what it did not say     │
//                                      └────────────────── goes ───────────────────────┘
//
// A resync asks for links, next hops and the routes of both families, in turn; changes are applied meanwhile,
// and no route is absent because of it. The kernel removes routes without a word when a link goes down or
// loses its last IPv4 address, and next-hop objects when a carrier is lost: objects on that link go at once
// here, and a resync finds the rest. Its links are our interfaces of the same name. Control thread only.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "controlplane/failure_log.h"
#include "controlplane/feed_routes.h"
#include "controlplane/kernel_dump.h"
#include "controlplane/kernel_links.h"

namespace millrace::controlplane {

class NetlinkFeed {
 public:
  enum class State : std::uint8_t { syncing, up, resyncing };
  static constexpr std::string_view name(State state) {
    constexpr std::string_view kNames[] = {"syncing", "up", "resyncing"};
    return kNames[static_cast<std::size_t>(state)];
  }
  using HasInterface = std::function<bool(const std::string& name)>;  // whether it is one of ours

  // `tables` need not say what interfaces indexes are: the kernel tells.
  NetlinkFeed(const FeedTables& tables, const FeedRules& rules, HasInterface has_interface);
  NetlinkFeed(const NetlinkFeed&) = delete;
  NetlinkFeed& operator=(const NetlinkFeed&) = delete;

  void set_time(std::uint64_t now_ns) {
    now_ns_ = now_ns;
    if (since_ns_ == 0) since_ns_ = now_ns;
  }
  void tick() { failure_log_.tick(kName, routes_, now_ns_); }
  // If they are others than before, all routes are read anew.
  void set_distances(const config::FeedsConfig::Distances& distances) {
    if (routes_.set_distances(distances)) ask_for_resync("distances of protocols changed", 0);
  }
  // Our interfaces came or went: links may mean others.
  void interfaces_changed() { ask_for_resync("the router's interfaces changed", 0); }

  // What the kernel is to be asked now; empty: nothing. Only when all was received that it has said so far:
  // what is older than the question must not be taken for a part of the answer (a socket tells that messages
  // were lost before it gives those that were not).
  std::vector<std::uint8_t> next_request();
  void request_failed(const std::string& why) { give_up(why); }
  // Messages from the kernel, of one or several datagrams, in memory at a multiple of 4.
  void receive(std::span<const std::uint8_t> messages);
  // The socket had no room for some (ENOBUFS).
  void messages_lost();
  // How much waits in the socket after a turn; 0: all was read.
  void set_queued(std::size_t bytes);
  // Some of the work that takes longer; true while there is more (FeedRoutes::work).
  bool work(std::size_t slice) { return routes_.work(slice); }

  [[nodiscard]] State state() const { return state_; }
  [[nodiscard]] std::uint64_t since_ns() const { return since_ns_; }  // of the state
  [[nodiscard]] const FeedRoutes& routes() const { return routes_; }
  [[nodiscard]] std::uint32_t table() const { return rules_.table; }
  [[nodiscard]] std::uint64_t resyncs() const { return resyncs_; }
  [[nodiscard]] std::size_t queued_bytes() const { return queued_; }
  // For how long some of that may have waited: since the socket was empty.
  [[nodiscard]] std::uint64_t lag_ns() const {
    return queued_ == 0 ? 0 : now_ns_ - std::min(now_ns_, behind_since_ns_);
  }
  [[nodiscard]] std::uint64_t max_lag_ns() const { return max_lag_ns_; }
  // What there was no room for, or why the last resync was begun or failed; empty: nothing yet.
  [[nodiscard]] const std::string& last_error() const {
    return routes_.last_failure().empty() ? last_error_ : routes_.last_failure();
  }

 private:
  static constexpr std::string_view kName = millrace::controlplane::name(RouteSource::netlink);

  FeedTables with_links(FeedTables tables);
  void set_state(State state);
  void ask_for_resync(const char* why, std::uint64_t delay_ns);
  void begin_resync();
  void end_resync();
  void give_up(const std::string& why);
  void take(const NetlinkLink& link);
  void take(const NetlinkAddress& address);
  void take(const NetlinkDone& done);
  void take_last();
  void apply_batch();
  void note(const NetlinkMessage& message);
  void finish_step();

  FeedRules rules_;
  HasInterface has_interface_;
  KernelLinks links_;
  FeedRoutes routes_;
  std::uint64_t now_ns_ = 0;
  State state_ = State::syncing;
  std::uint64_t since_ns_ = 0;

  std::optional<std::uint64_t> due_ns_ = 0;  // when the next resync begins
  std::uint64_t not_before_ns_ = 0;          // resyncs take half of the time at most
  std::uint64_t began_ns_ = 0;
  std::optional<KernelDump> step_;  // of the resync that goes on
  bool awaits_answer_ = false;
  std::uint32_t sequence_ = 0;
  unsigned attempts_ = 0;     // of this step, which failed
  bool interrupted_ = false;  // the kernel says that its dump is not consistent
  bool disturbed_ = false;    // it may not be
  bool overrun_ = false;      // messages were lost since the resync began

  std::vector<NetlinkMessage> batch_;  // routes and next hops of the messages at hand
  std::uint64_t resyncs_ = 0;
  std::size_t queued_ = 0;
  std::uint64_t behind_since_ns_ = 0;
  std::uint64_t max_lag_ns_ = 0;
  std::string last_error_;
  FailureLog failure_log_;
};

}  // namespace millrace::controlplane
