#include "controlplane/feed_routes.h"

#include <linux/rtnetlink.h>

#include <algorithm>

#include "config/route_rules.h"
#include "controlplane/route_protocols.h"

namespace millrace::controlplane {

using dataplane::DropReason;

namespace {

// Of several messages on one prefix, those before the last addition: what they remove will be replaced.
// Returns for each message whether it is left out; nothing for the many frames that need no look.
std::vector<bool> replaced_removals(std::span<const NetlinkMessage> messages) {
  if (messages.size() < 2) return {};
  std::vector<bool> left_out(messages.size());
  std::map<AnyPrefix, bool> added_later;
  for (std::size_t i = messages.size(); i-- != 0;) {
    const auto* route = std::get_if<NetlinkRoute>(&messages[i]);
    if (route == nullptr || route->table != RT_TABLE_MAIN || route->narrowed) continue;
    bool& later = added_later[route->prefix];
    left_out[i] = route->remove && later;
    later |= !route->remove;
  }
  return left_out;
}

// IPv4 by IPv6 next hops is RFC 8950; the other way round there is nothing.
bool can_go(const AnyPrefix& prefix, const NextHopSpec& spec) {
  return std::holds_alternative<Ipv4Prefix>(prefix) ||
         std::all_of(spec.hops.begin(), spec.hops.end(),
                     [](const config::NextHop& hop) { return hop.address.is_ipv6(); });
}

}  // namespace

void FeedRoutes::apply(std::span<const NetlinkMessage> messages) {
  const std::vector<bool> left_out = replaced_removals(messages);
  for (std::size_t i = 0; i < messages.size(); ++i) {
    ++counters_.messages;
    if (!left_out.empty() && left_out[i]) continue;
    if (const auto* route = std::get_if<NetlinkRoute>(&messages[i])) {
      put(*route);
    } else if (const auto* object = std::get_if<NetlinkNextHop>(&messages[i])) {
      put(*object);
    }
  }
}

// Routes of other tables, by source or by type of service are others than ours for the same prefix. What else
// cannot be used takes the place of what the prefix had.
void FeedRoutes::put(const NetlinkRoute& route) {
  if (route.table != RT_TABLE_MAIN || route.narrowed || !config::prefix_error(route.prefix).empty()) {
    ++counters_.ignored;
    return;
  }
  if (route.remove) return remove(route.prefix);
  // Connected routes and those of the daemon's kernel: we have our own.
  if (route.protocol == kProtocolKernel) return ignore(route);
  switch (route.type) {
    case NetlinkRoute::Type::unicast:
      return put_unicast(route);
    case NetlinkRoute::Type::blackhole:
      return put_spec(route, NextHopSpec::drop(DropReason::route_blackhole));
    case NetlinkRoute::Type::unreachable:
      return put_spec(route, NextHopSpec::drop(DropReason::route_unreachable));
    case NetlinkRoute::Type::prohibit:
      return put_spec(route, NextHopSpec::drop(DropReason::route_prohibit));
    case NetlinkRoute::Type::other:
      return ignore(route);
  }
}

void FeedRoutes::put_unicast(const NetlinkRoute& route) {
  if (route.next_hop_id != 0) return put_by_id(route);
  const NextHopSpec spec = NextHopSpec::via(ways_of(route.hops, tables_.interface_of));
  if (spec.hops.empty() || !can_go(route.prefix, spec)) return ignore(route);
  put_spec(route, spec);
}

void FeedRoutes::put_by_id(const NetlinkRoute& route) {
  const FeedNextHops::Found found = next_hops_.find(route.next_hop_id);
  if (found.state != FeedNextHops::State::usable) {
    // One that we know of and cannot use leaves nothing to stay on.
    if (found.state == FeedNextHops::State::unusable) remove(route.prefix);
    return park(route);
  }
  if (!can_go(route.prefix, *found.spec)) return ignore(route);
  tables_.next_hops.add_reference(found.id);
  install(route.prefix, found.id, route.protocol, route.priority);
}

void FeedRoutes::put_spec(const NetlinkRoute& route, const NextHopSpec& spec) {
  const auto next_hop = tables_.next_hops.acquire(spec);
  if (!next_hop) return fail(to_string(route.prefix) + ": " + next_hop.error());
  install(route.prefix, *next_hop, route.protocol, route.priority);
}

void FeedRoutes::put(const NetlinkNextHop& object) {
  if (object.remove) return next_hops_.remove(object.id);
  const auto ready = next_hops_.put(object);
  if (!ready) return fail("next hop " + std::to_string(object.id) + ": " + ready.error());
  ready_.insert(ready_.end(), ready->begin(), ready->end());
}

void FeedRoutes::ignore(const NetlinkRoute& route) {
  ++counters_.ignored;
  remove(route.prefix);
}

void FeedRoutes::fail(const std::string& what) {
  ++counters_.failed;
  last_failure_ = what;
}

void FeedRoutes::install(const AnyPrefix& prefix, NextHopId next_hop, std::uint8_t protocol,
                         std::uint32_t priority) {
  unpark(prefix);
  const Route route{next_hop, priority, mark_, owner_of(protocol), source_, protocol_of(protocol).distance};
  std::visit([&](auto of_family) { install_in(of_family, route); }, prefix);
}

template <class Prefix>
void FeedRoutes::install_in(Prefix prefix, const Route& route) {
  auto& rib = tables_.rib<Prefix>();
  const Route* before = rib.find(prefix, source_);
  const bool was_stale = before != nullptr && before->mark != mark_;
  const auto outcome = rib.add(prefix, route);
  if (!outcome) return fail(prefix.to_string() + ": " + outcome.error());
  if (was_stale) --stale_;
  if (*outcome == RouteOutcome::added) tables_.changed(prefix);
}

void FeedRoutes::remove(const AnyPrefix& prefix) {
  unpark(prefix);
  std::visit([&](auto of_family) { remove_from(of_family); }, prefix);
}

template <class Prefix>
void FeedRoutes::remove_from(Prefix prefix) {
  auto& rib = tables_.rib<Prefix>();
  const Route* route = rib.find(prefix, source_);
  if (route == nullptr) return;
  if (route->mark != mark_) --stale_;
  rib.remove(prefix, source_);
  tables_.changed(prefix);
}

void FeedRoutes::park(const NetlinkRoute& route) {
  unpark(route.prefix);
  if (parked_.size() >= kMaxParked)
    return fail(to_string(route.prefix) + ": too many routes wait for next hops");
  parked_[route.prefix] = {route.next_hop_id, route.priority, route.protocol};
  waiting_.emplace(route.next_hop_id, route.prefix);
}

void FeedRoutes::unpark(const AnyPrefix& prefix) {
  const auto at = parked_.find(prefix);
  if (at == parked_.end()) return;
  waiting_.erase({at->second.next_hop_id, prefix});
  parked_.erase(at);
}

// One route. False if none waits for a next hop that has come.
bool FeedRoutes::unpark_ready() {
  while (!ready_.empty()) {
    const std::uint32_t id = ready_.back();
    const auto first = waiting_.lower_bound({id, Ipv4Prefix()});
    const FeedNextHops::Found found = next_hops_.find(id);
    if (first == waiting_.end() || first->first != id || found.state != FeedNextHops::State::usable) {
      ready_.pop_back();
      continue;
    }
    const AnyPrefix prefix = first->second;
    NetlinkRoute route;
    const Parked& parked = parked_.at(prefix);
    route.prefix = prefix;
    route.next_hop_id = id;
    route.priority = parked.priority;
    route.protocol = parked.protocol;
    put_by_id(route);
    return true;
  }
  return false;
}

void FeedRoutes::begin_connection() {
  ++mark_;
  stale_ = routes();
  stop_sweep();
  parked_.clear();
  waiting_.clear();
  ready_.clear();
  next_hops_.clear();
}

bool FeedRoutes::work(std::size_t slice) {
  for (std::size_t i = 0; i < slice; ++i) {
    if (unpark_ready()) continue;
    if (!sweep_.is_on) return false;
    if (!sweep_.ipv4_done) {
      sweep_.ipv4_done = !sweep(sweep_.ipv4, slice);
    } else if (!sweep(sweep_.ipv6, slice)) {
      stop_sweep();
    }
    return true;
  }
  return true;
}

// Removes up to `slice` routes from the prefix on, which moves; false at the end.
template <class Prefix>
bool FeedRoutes::sweep(Prefix& from, std::size_t slice) {
  constexpr std::size_t kLooksARemoval = 8;
  bool more = false;
  std::size_t seen = 0;
  std::vector<Prefix> gone;
  if (stale_ == 0) return false;
  tables_.rib<Prefix>().visit_from(from, [&](Prefix prefix, const Route& route, bool) {
    if (seen++ >= kLooksARemoval * slice || gone.size() >= slice) {
      more = true;
      from = prefix;
      return false;
    }
    if (route.source == source_ && route.mark != mark_) gone.push_back(prefix);
    return true;
  });
  for (const Prefix prefix : gone) remove_from(prefix);
  return more;
}

std::uint16_t FeedRoutes::owner_of(std::uint8_t protocol) {
  std::uint16_t& owner = owners_[protocol];
  if (owner == 0) {
    if (const auto id = tables_.owners.id(std::string(protocol_of(protocol).name))) owner = *id;
  }
  return owner;
}

}  // namespace millrace::controlplane
