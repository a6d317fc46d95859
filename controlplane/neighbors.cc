#include "controlplane/neighbors.h"

#include <cassert>
#include <utility>

#include "dataplane/packet.h"

namespace millrace::controlplane {

using dataplane::DropReason;
using LinkState = NextHops::LinkState;

std::string_view Neighbors::name(State state) {
  static constexpr std::string_view kNames[] = {"incomplete", "reachable", "stale",
                                                "probe",      "failed",    "static"};
  return kNames[static_cast<std::size_t>(state)];
}

Neighbors::~Neighbors() {
  for (auto& [key, entry] : entries_) {
    for (rte_mbuf* m : entry.waiting) rte_pktmbuf_free(m);
  }
}

std::pair<LinkState, MacAddress> Neighbors::known(NeighborKey key) const {
  const auto at = entries_.find(key);
  if (at == entries_.end() || at->second.state == State::incomplete) return {LinkState::unresolved, {}};
  if (at->second.state == State::failed) return {LinkState::failed, {}};
  return {LinkState::resolved, at->second.mac};
}

void Neighbors::set_deadline(Entries::iterator at, std::uint64_t deadline_ns) {
  deadlines_.erase({at->second.deadline_ns, at->first});
  at->second.deadline_ns = deadline_ns;
  if (deadline_ns != 0) deadlines_.insert({deadline_ns, at->first});
}

// A scan of unused addresses must not keep out the next hops of routes.
Neighbors::Entries::iterator Neighbors::make(NeighborKey key, bool wanted) {
  const bool full = incomplete_ >= limits_.incomplete || entries_.size() >= limits_.total;
  if (full && !wanted) return entries_.end();
  const auto at = entries_.try_emplace(key).first;
  ++incomplete_;
  at->second.used_ns = now_ns_;
  if (first_requests_ == 0) {  // too many at once: at one of the next ticks
    set_deadline(at, now_ns_);
    return at;
  }
  --first_requests_;
  ask(key, at->second);
  at->second.attempts = 1;
  set_deadline(at, now_ns_ + limits_.retry_ns);
  return at;
}

void Neighbors::ask(NeighborKey key, Entry& entry) {
  const Interface* on = interfaces_.find(key.interface);
  if (on == nullptr) return;
  // A probe goes to the MAC that we believe in (RFC 1122 2.3.2.1 (2)), a first request to everybody.
  const auto last = entry.state == State::probe ? std::optional(entry.mac) : std::nullopt;
  speakers_[key.address.is_ipv6() ? 1 : 0]->ask(*on, key.address, last);
}

const Neighbors::Entry* Neighbors::find(NeighborKey key) const {
  const auto at = entries_.find(key);
  return at == entries_.end() ? nullptr : &at->second;
}

void Neighbors::heard(NeighborKey key, MacAddress mac) {
  auto at = entries_.find(key);
  if (at == entries_.end()) {
    if (entries_.size() >= limits_.total) return;
    at = entries_.try_emplace(key).first;
    ++incomplete_;  // until learn(), a moment later
    at->second.used_ns = now_ns_;
  }
  learn(at, mac, State::stale);
}

bool Neighbors::update(NeighborKey key, MacAddress mac, State state) {
  const auto at = entries_.find(key);
  if (at == entries_.end()) return false;
  learn(at, mac, state);
  return true;
}

void Neighbors::doubt(NeighborKey key) {
  const auto at = entries_.find(key);
  if (at == entries_.end() || at->second.state != State::reachable) return;
  at->second.state = State::stale;
  set_deadline(at, now_ns_ + limits_.used_check_ns);
}

void Neighbors::resolve(NeighborKey key, rte_mbuf* m) {
  auto at = entries_.find(key);
  if (at == entries_.end()) at = make(key, false);
  if (at == entries_.end()) return hooks_.drop(m, key.interface, DropReason::neighbor_table_full);
  Entry& entry = at->second;
  const Interface* on = interfaces_.find(key.interface);
  if (on != nullptr && entry.state != State::incomplete && entry.state != State::failed) {
    return output_.send_packet_to(m, *on, entry.mac);  // answered while the packet was on its way here
  }
  if (entry.state == State::failed) {
    // Traffic asks for it again before its own retry, but not more often than a request may be sent.
    if (entry.deadline_ns - limits_.failed_retry_ns + limits_.retry_ns > now_ns_) {
      return hooks_.drop(m, key.interface, DropReason::neighbor_failed);
    }
    start_over(at);
  }
  // Packets that wait hold buffers of the port that they came by: all together are few enough for it to go
  // on.
  if (waiting_ >= limits_.waiting) return hooks_.drop(m, key.interface, DropReason::neighbor_queue_full);
  entry.waiting.push_back(m);
  ++waiting_;
  if (entry.waiting.size() <= limits_.queue) return;
  --waiting_;
  rte_mbuf* oldest = entry.waiting.front();
  entry.waiting.pop_front();
  hooks_.drop(oldest, key.interface, DropReason::neighbor_queue_full);
}

void Neighbors::want(NeighborKey key, bool wanted) {
  auto at = entries_.find(key);
  if (at == entries_.end()) {
    if (!wanted) return;
    at = make(key, true);
  }
  at->second.wanted = wanted;
}

void Neighbors::learn(Entries::iterator at, MacAddress mac, State state) {
  Entry& entry = at->second;
  if (entry.state == State::fixed) return;
  const bool news = entry.state == State::incomplete || entry.state == State::failed || entry.mac != mac;
  if (entry.state == State::incomplete) --incomplete_;
  // What is merely overheard does not confirm that the neighbour hears us.
  if (state == State::stale && !news && entry.state != State::probe) return;
  entry.state = state;
  entry.mac = mac;
  entry.attempts = 0;
  if (state == State::reachable) entry.confirmed_ns = now_ns_;
  set_deadline(at, now_ns_ + (state == State::reachable ? limits_.reachable_ns : limits_.used_check_ns));
  if (news) {
    ++counters_.learned;
    hooks_.changed(at->first, LinkState::resolved, mac);
  }
  const Interface* on = interfaces_.find(at->first.interface);
  for (rte_mbuf* m : take_waiting(entry)) {
    if (on != nullptr) {
      output_.send_packet_to(m, *on, mac);
    } else {
      rte_pktmbuf_free(m);
    }
  }
}

std::deque<rte_mbuf*> Neighbors::take_waiting(Entry& entry) {
  waiting_ -= entry.waiting.size();
  return std::exchange(entry.waiting, {});
}

void Neighbors::drop_waiting(NeighborKey key, Entry& entry, DropReason reason) {
  for (rte_mbuf* m : take_waiting(entry)) hooks_.drop(m, key.interface, reason);
}

void Neighbors::erase(Entries::iterator at) {
  assert(at->second.waiting.empty());
  if (at->second.state == State::incomplete) --incomplete_;
  set_deadline(at, 0);
  entries_.erase(at);
}

void Neighbors::fail(Entries::iterator at) {
  const NeighborKey key = at->first;
  Entry& entry = at->second;
  if (entry.state == State::incomplete) --incomplete_;
  entry.state = State::failed;
  // Before anything is sent about it: an ICMP error may need this very neighbour, and must not start it over.
  set_deadline(at, now_ns_ + limits_.failed_retry_ns);
  drop_waiting(key, entry, DropReason::neighbor_failed);
  hooks_.changed(key, LinkState::failed, {});
  // The hook may have made this the last use of the neighbour, or have erased it.
  at = entries_.find(key);
  if (at == entries_.end()) return;
  if (!at->second.wanted) erase(at);
}

void Neighbors::start_over(Entries::iterator at) {
  at->second.state = State::incomplete;
  ++incomplete_;
  at->second.attempts = 1;
  ask(at->first, at->second);
  set_deadline(at, now_ns_ + limits_.retry_ns);
}

// A stale neighbour that is in use is probed; one that nobody used for long is forgotten.
void Neighbors::check_use(Entries::iterator at) {
  Entry& entry = at->second;
  const std::uint64_t packets = hooks_.packets_to(at->first);
  const bool used = packets != entry.used_packets;
  entry.used_packets = packets;
  if (used) entry.used_ns = now_ns_;
  if (used || entry.wanted) {
    entry.state = State::probe;
    entry.attempts = 1;
    ask(at->first, entry);
    return set_deadline(at, now_ns_ + limits_.retry_ns);
  }
  if (now_ns_ - entry.used_ns < limits_.forget_ns) return set_deadline(at, now_ns_ + limits_.used_check_ns);
  forget(at);
}

void Neighbors::expire(Entries::iterator at) {
  Entry& entry = at->second;
  switch (entry.state) {
    case State::incomplete:
    case State::probe:
      if (entry.attempts >= limits_.attempts) return fail(at);
      ++entry.attempts;
      ask(at->first, entry);
      return set_deadline(at, now_ns_ + limits_.retry_ns);
    case State::reachable:
      entry.state = State::stale;
      return check_use(at);
    case State::stale:
      return check_use(at);
    case State::failed:  // wanted: ask again, as if new
      return entry.wanted ? start_over(at) : erase(at);
    case State::fixed:
      return set_deadline(at, 0);
  }
}

void Neighbors::tick() {
  first_requests_ = kExpiriesPerTick;
  announcements_ = kAnnouncementsPerTick;
  announce_waiting();
  for (unsigned done = 0; done < kExpiriesPerTick && !deadlines_.empty(); ++done) {
    const auto [deadline, key] = *deadlines_.begin();
    if (deadline > now_ns_) return;
    deadlines_.erase(deadlines_.begin());
    const auto at = entries_.find(key);
    if (at == entries_.end() || at->second.deadline_ns != deadline) continue;
    expire(at);
  }
}

void Neighbors::set_fixed(NeighborKey key, MacAddress mac) {
  const auto at = entries_.try_emplace(key).first;
  Entry& entry = at->second;
  if (entry.deadline_ns != 0 && entry.state == State::incomplete) --incomplete_;
  entry.state = State::reachable;  // so that learn() takes it, and sends what waits
  entry.mac = {};
  learn(at, mac, State::reachable);
  entry.state = State::fixed;
  set_deadline(at, 0);
}

// What was static is an ordinary neighbour from now on, to be confirmed when it is used.
void Neighbors::remove_fixed(NeighborKey key) {
  const auto at = entries_.find(key);
  if (at == entries_.end() || at->second.state != State::fixed) return;
  at->second.state = State::stale;
  at->second.used_ns = now_ns_;
  check_use(at);
}

void Neighbors::flush(InterfaceId interface, bool fixed_too) {
  to_announce_.erase(interface);
  for (NeighborSpeaker* speaker : speakers_) speaker->stop(interface);
  for (auto at = entries_.lower_bound({interface, IpAddress()}); at != entries_.end();) {
    const NeighborKey key = at->first;
    if (key.interface != interface) return;
    if (at->second.state == State::fixed && !fixed_too) {
      hooks_.changed(key, LinkState::resolved, at->second.mac);  // known still, but not by a connected subnet
      ++at;
      continue;
    }
    const bool wanted = at->second.wanted;
    forget(at);
    if (wanted && !fixed_too) want(key, true);
    at = entries_.upper_bound(key);
  }
}

void Neighbors::flush_off_link(const Interface& interface) {
  for (auto at = entries_.lower_bound({interface.id, IpAddress()}); at != entries_.end();) {
    const NeighborKey key = at->first;
    if (key.interface != interface.id) return;
    if (at->second.state != State::fixed && !interface.is_neighbor(key.address)) forget(at);
    at = entries_.upper_bound(key);
  }
}

// The entry ends, then what waits for it: an ICMP error about that may make the entry anew.
void Neighbors::forget(Entries::iterator at) {
  const NeighborKey key = at->first;
  const std::deque<rte_mbuf*> waiting = take_waiting(at->second);
  erase(at);
  hooks_.changed(key, LinkState::unresolved, {});
  for (rte_mbuf* m : waiting) hooks_.drop(m, key.interface, DropReason::neighbor_failed);
}

void Neighbors::announce(const Interface& interface) {
  if (!interface.config.has_link()) return;
  for (NeighborSpeaker* speaker : speakers_) speaker->sync(interface);
  to_announce_.insert(interface.id);
  announce_waiting();
}

// Too many at once wait for one of the next ticks.
void Neighbors::announce_waiting() {
  for (; announcements_ != 0 && !to_announce_.empty(); --announcements_) {
    const Interface* interface = interfaces_.find(*to_announce_.begin());
    to_announce_.erase(to_announce_.begin());
    if (interface == nullptr) continue;
    for (NeighborSpeaker* speaker : speakers_) speaker->announce(*interface);
  }
}

}  // namespace millrace::controlplane
