// What a feed's messages make of its routes: which are ours, where they lead, which wait for a next hop.
//
// A route by a next hop that is not known yet is parked, and what the prefix had stays meanwhile. A daemon's
// feed has one route of a prefix, and says all of them again when it connects; a kernel has several
// (kernel_order.h), removes some without a word, and is asked for all of them by a dump. FeedStacks holds
// them. Control thread only; long work is done in slices.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "controlplane/feed_next_hops.h"
#include "controlplane/feed_stacks.h"
#include "controlplane/kernel_order.h"
#include "controlplane/netlink_message.h"

namespace millrace::controlplane {

// Who sends, and what of it is meant for us.
struct FeedRules {
  std::uint32_t table = 254;   // RT_TABLE_MAIN
  bool of_kernel = false;      // the kernel's own messages
  bool without_zebra = false;  // routes of FRR's daemons come another way
};

class FeedRoutes {
 public:
  static constexpr std::size_t kMaxParked = 1 << 20;

  struct Counters {
    std::uint64_t messages = 0;
    std::uint64_t ignored = 0;  // routes that are not for us, or that have no counterpart here
    std::uint64_t failed = 0;   // messages for which there was no room
  };

  // What became of a route that was said: it was taken, or cannot be.
  using Told = std::function<void(const NetlinkRoute& said, bool taken)>;

  FeedRoutes(const FeedTables& tables, RouteSource source, const FeedRules& rules = {});

  void set_told(Told told) { told_ = std::move(told); }
  // Of routes that are said from now on; true if they are others than before.
  bool set_distances(const config::FeedsConfig::Distances& distances);

  // Applies messages that belong together: a route that one of them removes and a later one adds is replaced,
  // and never absent.
  void apply(std::span<const NetlinkMessage> messages);

  // A daemon: from now on all routes are stale, and next-hop ids mean nothing: another connection begins.
  void begin_connection();
  // Lets work() remove what is stale.
  void begin_sweep() { stacks_.begin_sweep(); }
  void stop_sweep() { stacks_.stop_sweep(); }

  // A kernel: from now on all is stale until it is said again.
  void begin_resync();
  // Its routes are dumped. A notification is newer than a dump's message on the same route that comes later.
  void begin_dump() { said_live_.emplace(); }
  void end_dump() { said_live_.reset(); }
  void next_hops_are_complete() { next_hops_.remove_stale(); }
  void end_resync();
  // The kernel's next-hop objects on a link go with it, without a word.
  void link_lost(std::uint32_t index) { next_hops_.remove_on(index); }
  // Whether some route may go by this link.
  [[nodiscard]] bool uses_link(std::uint32_t index) const {
    return links_used_.contains(index) || next_hops_.uses(index);
  }
  // Whether a message did not fit what was known, so that a resync is due; forgets it.
  [[nodiscard]] bool take_doubt() { return std::exchange(in_doubt_, false); }

  // Does some of what waits: parked routes whose next hop has come, the sweep. At most `slice` routes. True
  // while there is more.
  bool work(std::size_t slice);

  [[nodiscard]] std::size_t routes() const { return stacks_.routes(); }
  [[nodiscard]] std::size_t shadowed() const { return stacks_.shadowed(); }
  [[nodiscard]] std::size_t stale() const { return stacks_.stale(); }
  [[nodiscard]] std::size_t parked() const { return parked_.size(); }
  [[nodiscard]] std::size_t next_hops() const { return next_hops_.size(); }
  [[nodiscard]] const Counters& counters() const { return counters_; }
  [[nodiscard]] const std::string& last_failure() const { return last_failure_; }  // empty: there was none
  // Counts a message that could not be applied.
  void fail(const std::string& what);

 private:
  // Which messages are on one route: a kernel's by prefix and metric.
  struct Key {
    AnyPrefix prefix;
    std::uint32_t priority = 0;
    friend auto operator<=>(const Key&, const Key&) = default;
  };
  struct Parked {
    std::uint32_t next_hop_id;
    std::uint32_t priority;
    std::uint8_t protocol;
    std::uint32_t mark;
  };

  [[nodiscard]] Key key_of(const NetlinkRoute& said) const {
    return {said.prefix, rules_.of_kernel ? said.priority : 0};
  }
  [[nodiscard]] bool is_of_table(const NetlinkRoute& said) const {
    return said.table == rules_.table && !said.narrowed;
  }
  [[nodiscard]] bool is_dumped(const NetlinkRoute& said) const;
  [[nodiscard]] std::vector<bool> replaced_removals(std::span<const NetlinkMessage> messages) const;
  bool is_left_out(const NetlinkRoute& removal);
  [[nodiscard]] bool is_for_us(const NetlinkRoute& said) const;
  bool is_old_news(const NetlinkRoute& said);
  void put(const NetlinkRoute& said);
  void put(const NetlinkNextHop& object);
  void put_by_id(const NetlinkRoute& said);
  void put_unicast(const NetlinkRoute& said);
  void put_spec(const NetlinkRoute& said, const NextHopSpec& spec);
  void ignore(const NetlinkRoute& said);
  void fail(const NetlinkRoute& said, const std::string& what);
  // Gives the reference to the next hop away.
  void install(const NetlinkRoute& said, NextHopId next_hop);
  void place(const NetlinkRoute& said, const std::optional<Route>& route);
  template <class Prefix>
  Result<void> place_alone(Prefix prefix, const std::optional<Route>& route);
  void remove(const NetlinkRoute& said);
  void remove_named(const NetlinkRoute& said);
  void park(const NetlinkRoute& said);
  void unpark(const Key& key);
  bool unpark_ready();
  std::uint16_t owner_of(std::uint8_t protocol);

  FeedRules rules_;
  FeedTables tables_;
  RouteSource source_;
  Told told_ = [](const NetlinkRoute&, bool) {};
  std::array<std::uint16_t, 256> owners_{};    // [protocol], 0: not asked for yet
  std::array<std::uint8_t, 256> distances_{};  // [protocol]
  FeedStacks stacks_;
  KernelOrder order_;
  FeedNextHops next_hops_;
  std::map<Key, Parked> parked_;
  std::set<std::pair<std::uint32_t, Key>> waiting_;  // parked_ by next hop
  std::vector<std::uint32_t> ready_;                 // next hops that may have some in waiting_
  std::optional<std::set<Key>> said_live_;           // while a dump goes on
  std::set<Key> replaced_;  // of the messages at hand: removed, and to be added again
  std::set<std::uint32_t> links_used_;
  bool in_doubt_ = false;
  Counters counters_;
  std::string last_failure_;
};

}  // namespace millrace::controlplane
