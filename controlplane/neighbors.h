// The neighbour table: who has which MAC on which interface, with the ageing of RFC 4861 7.3 for both
// families. ARP (arp.h) and neighbour discovery (nd.h) speak for it and tell it what they hear.
//
//            resolve / want            reply                  30 s           used since: probe (unicast)
//   (none) ---------------> incomplete ------> reachable ----------> stale <--------------------> probe
//                             | 3 requests unanswered                  | unused for 20 min           | 3
//                             unanswered v                                        v v
//                           failed: 3/1 for what waits; a wanted one is asked again every 10 s, others go
//
// The delay state of RFC 4861 7.3.3 is not there, on purpose. It spares a probe to a neighbour that upper
// layers confirm within 5 s of its first use; a router hears no upper layer of what it forwards, and would
// probe in any case. Whether a stale neighbour is in use is asked every `used_check_ns` (the same 5 s): its
// first probe comes 0 to 5 s after its first use, not 5 s after it. While it is probed its packets go on as
// before.
//
// Control thread only. Supported: RFC 1812 3.3.2, RFC 1122 2.3.2, RFC 4861 7.2.2 and 7.3.
#pragma once

#include <rte_mbuf.h>

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string_view>

#include "controlplane/interfaces.h"
#include "controlplane/neighbor_speaker.h"
#include "controlplane/next_hops.h"
#include "controlplane/output.h"

namespace millrace::controlplane {

struct NeighborLimits {
  std::uint64_t retry_ns = 1'000'000'000;          // between requests (RFC 1122 2.3.2.1: at most 1 a second)
  unsigned attempts = 3;                           // requests, or probes, until it is dead
  std::uint64_t reachable_ns = 30'000'000'000;     // a confirmation is good for this long
  std::uint64_t used_check_ns = 5'000'000'000;     // how often a stale one is asked whether it is in use
  std::uint64_t forget_ns = 1'200'000'000'000;     // an unused stale one goes (RFC 1122 2.3.2.1)
  std::uint64_t failed_retry_ns = 10'000'000'000;  // a dead one that routes want is asked again
  std::uint64_t defend_ns = 10'000'000'000;        // between announcements against a conflict (RFC 5227 2.4)
  std::size_t queue = 4;                           // packets that wait for one neighbour: the newest
  std::size_t waiting = dataplane::kMaxWaitingPackets;  // for all neighbours together
  std::size_t incomplete = 8192;                        // neighbours that are asked for at a time
  std::size_t total = 131072;
};

class Neighbors {
 public:
  enum class State : std::uint8_t { incomplete, reachable, stale, probe, failed, fixed };
  static std::string_view name(State state);

  struct Entry {
    State state = State::incomplete;
    MacAddress mac;
    bool wanted = false;  // a route's next hop
    unsigned attempts = 0;
    std::uint64_t deadline_ns = 0;
    std::uint64_t confirmed_ns = 0;
    std::uint64_t used_ns = 0;
    std::uint64_t used_packets = 0;  // the adjacency's counter when last looked at
    std::deque<rte_mbuf*> waiting;   // Ethernet room and IP packet
  };
  struct Counters {
    std::uint64_t requests_sent = 0;  // of ARP
    std::uint64_t replies_sent = 0;
    std::uint64_t solicitations_sent = 0;  // of neighbour discovery
    std::uint64_t advertisements_sent = 0;
    std::uint64_t router_advertisements_sent = 0;
    std::uint64_t learned = 0;    // in either family
    std::uint64_t conflicts = 0;  // someone else claims one of our addresses
  };
  struct Hooks {
    // The neighbour's MAC is known, changed, or lost (for a while or for good).
    std::function<void(NeighborKey, NextHops::LinkState, MacAddress)> changed;
    // A packet that waited in vain.
    std::function<void(rte_mbuf*, InterfaceId egress, dataplane::DropReason)> drop;
    // Packets sent to the neighbour so far: to know whether it is in use.
    std::function<std::uint64_t(NeighborKey)> packets_to;
  };

  Neighbors(const Interfaces& interfaces, Output& output, NeighborLimits limits)
      : interfaces_(interfaces), output_(output), limits_(limits) {}
  ~Neighbors();
  Neighbors(const Neighbors&) = delete;
  Neighbors& operator=(const Neighbors&) = delete;
  void set_hooks(Hooks hooks) { hooks_ = std::move(hooks); }
  void set_speakers(NeighborSpeaker& ipv4, NeighborSpeaker& ipv6) { speakers_ = {&ipv4, &ipv6}; }
  void set_time(std::uint64_t now_ns) { now_ns_ = now_ns; }

  // --- what the speakers heard ---
  // A neighbour speaks to us, and so tells its MAC: it is known from now on, if there is room.
  void heard(NeighborKey key, MacAddress mac);
  // What is said of a neighbour. False if it is nobody that we know.
  bool update(NeighborKey key, MacAddress mac, State state);
  // A reachable one may have another MAC by now: it has to confirm before long.
  void doubt(NeighborKey key);
  [[nodiscard]] const Entry* find(NeighborKey key) const;

  // The packet waits until the neighbour answers, or is dropped through the hook. Takes the buffer.
  void resolve(NeighborKey key, rte_mbuf* m);
  void want(NeighborKey key, bool wanted);
  void set_fixed(NeighborKey key, MacAddress mac);
  void remove_fixed(NeighborKey key);
  void flush(InterfaceId interface, bool fixed_too);  // link down, or the interface goes
  void flush_off_link(
      const Interface& interface);  // those that its addresses no longer reach; static ones stay
  // The interface came up, or its addresses or MAC changed: both families follow, and say so soon.
  void announce(const Interface& interface);
  void tick();  // timers that are due, and announcements that had to wait

  [[nodiscard]] std::pair<NextHops::LinkState, MacAddress> known(NeighborKey key) const;
  [[nodiscard]] const std::map<NeighborKey, Entry>& entries() const { return entries_; }
  [[nodiscard]] const Counters& counters() const { return counters_; }
  [[nodiscard]] Counters& count() { return counters_; }  // for the speakers
  [[nodiscard]] const NeighborLimits& limits() const { return limits_; }
  [[nodiscard]] std::uint64_t now_ns() const { return now_ns_; }
  [[nodiscard]] std::size_t waiting_packets() const { return waiting_; }

 private:
  using Entries = std::map<NeighborKey, Entry>;
  // Work at one tick is bounded: a flood of unknown destinations must not hold the control loop.
  static constexpr unsigned kExpiriesPerTick = 128;
  // Frames, too: a thousand interfaces at once would fill the way to a worker, and others' frames find no
  // room.
  static constexpr unsigned kAnnouncementsPerTick = 64;

  Entries::iterator make(NeighborKey key, bool wanted);  // incomplete, first request sent; end() when full
  void ask(NeighborKey key, Entry& entry);
  void learn(Entries::iterator at, MacAddress mac, State state);
  void fail(Entries::iterator at);
  void start_over(Entries::iterator at);  // from failed to incomplete
  void expire(Entries::iterator at);
  void check_use(Entries::iterator at);
  void erase(Entries::iterator at);
  void forget(Entries::iterator at);
  void set_deadline(Entries::iterator at, std::uint64_t deadline_ns);
  std::deque<rte_mbuf*> take_waiting(Entry& entry);
  void announce_waiting();
  void drop_waiting(NeighborKey key, Entry& entry, dataplane::DropReason reason);

  const Interfaces& interfaces_;
  Output& output_;
  NeighborLimits limits_;
  Hooks hooks_;
  std::array<NeighborSpeaker*, 2> speakers_{};  // of IPv4, of IPv6
  std::uint64_t now_ns_ = 0;
  Entries entries_;
  std::set<std::pair<std::uint64_t, NeighborKey>> deadlines_;
  std::size_t incomplete_ = 0;
  std::size_t waiting_ = 0;                         // packets, over all entries
  unsigned first_requests_ = kExpiriesPerTick;      // that may still go out before the next tick
  unsigned announcements_ = kAnnouncementsPerTick;  // of interfaces, that may
  std::set<InterfaceId> to_announce_;
  Counters counters_;
};

}  // namespace millrace::controlplane
