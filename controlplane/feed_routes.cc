#include "controlplane/feed_routes.h"

#include <linux/rtnetlink.h>

#include <algorithm>

#include "config/route_protocols.h"
#include "config/route_rules.h"

namespace millrace::controlplane {

using config::kProtocolKernel;
using config::protocol_of;
using dataplane::DropReason;

namespace {

bool is_removal(const NetlinkMessage& message) {
  const auto* route = std::get_if<NetlinkRoute>(&message);
  return route != nullptr && route->remove;
}

bool has_gateway(const NetlinkRoute& said) {
  return said.next_hop_id != 0 ||
         std::any_of(said.hops.begin(), said.hops.end(), [](const NetlinkHop& hop) { return hop.gateway; });
}

// IPv4 by IPv6 next hops is RFC 8950; the other way round there is nothing.
bool can_go(const AnyPrefix& prefix, const NextHopSpec& spec) {
  return std::holds_alternative<Ipv4Prefix>(prefix) ||
         std::all_of(spec.hops.begin(), spec.hops.end(),
                     [](const config::NextHop& hop) { return hop.address.is_ipv6(); });
}

// What a route without next hops does, or nothing if it has some, or is of a kind that we do not have.
std::optional<NextHopSpec> drop_of(NetlinkRoute::Type type) {
  switch (type) {
    case NetlinkRoute::Type::blackhole:
      return NextHopSpec::drop(DropReason::route_blackhole);
    case NetlinkRoute::Type::unreachable:
      return NextHopSpec::drop(DropReason::route_unreachable);
    case NetlinkRoute::Type::prohibit:
      return NextHopSpec::drop(DropReason::route_prohibit);
    case NetlinkRoute::Type::unicast:
    case NetlinkRoute::Type::other:
      break;
  }
  return std::nullopt;
}

}  // namespace

FeedRoutes::FeedRoutes(const FeedTables& tables, RouteSource source, const FeedRules& rules)
    : rules_(rules),
      tables_(tables),
      source_(source),
      stacks_(tables, source),
      order_(stacks_, rules.of_kernel ? owner_of(RTPROT_RA) : std::uint16_t{0}),
      next_hops_(tables.next_hops, tables.interface_of,
                 rules.of_kernel ? FeedNextHops::Lost([this](NextHopId id) { stacks_.lose(id); })
                                 : FeedNextHops::Lost()) {
  set_distances({});
}

bool FeedRoutes::set_distances(const config::FeedsConfig::Distances& distances) {
  decltype(distances_) next{};
  for (std::size_t number = 0; number < next.size(); ++number) {
    const config::RouteProtocol protocol = protocol_of(static_cast<std::uint8_t>(number));
    const auto said = distances.find(std::string(protocol.name));
    next[number] = said == distances.end() ? protocol.distance : static_cast<std::uint8_t>(said->second);
  }
  return std::exchange(distances_, next) != next;
}

bool FeedRoutes::is_dumped(const NetlinkRoute& said) const {
  return rules_.of_kernel && (said.flags & NLM_F_MULTI) != 0;
}

// Of several messages on one route, those before the last addition: what they remove will be replaced.
// Returns for each message whether it is left out; nothing for the many batches that need no look.
std::vector<bool> FeedRoutes::replaced_removals(std::span<const NetlinkMessage> messages) const {
  if (messages.size() < 2 || std::none_of(messages.begin(), messages.end(), is_removal)) return {};
  std::vector<bool> left_out(messages.size());
  std::map<Key, bool> added_later;
  for (std::size_t i = messages.size(); i-- != 0;) {
    const auto* route = std::get_if<NetlinkRoute>(&messages[i]);
    if (route == nullptr || !is_of_table(*route) || is_dumped(*route)) continue;
    bool& later = added_later[key_of(*route)];
    left_out[i] = route->remove && later;
    later |= !route->remove;
  }
  return left_out;
}

// Where a kernel has more than one route of that prefix and metric, the others stay whatever comes.
bool FeedRoutes::is_left_out(const NetlinkRoute& removal) {
  if (!rules_.of_kernel) return true;
  if (!is_for_us(removal) || order_.alike(removal) != 1) return false;
  replaced_.insert(key_of(removal));
  return true;
}

void FeedRoutes::apply(std::span<const NetlinkMessage> messages) {
  const std::vector<bool> left_out = replaced_removals(messages);
  for (std::size_t i = 0; i < messages.size(); ++i) {
    ++counters_.messages;
    if (const auto* route = std::get_if<NetlinkRoute>(&messages[i])) {
      if (left_out.empty() || !left_out[i] || !is_left_out(*route)) put(*route);
    } else if (const auto* object = std::get_if<NetlinkNextHop>(&messages[i])) {
      put(*object);
    }
  }
  replaced_.clear();
}

// A dump is slower than what is said meanwhile: the kernel fills its messages without keeping others from
// changing routes, and sends them later.
bool FeedRoutes::is_old_news(const NetlinkRoute& said) {
  if (!said_live_) return false;
  if (is_dumped(said)) return said_live_->contains(key_of(said));
  said_live_->insert(key_of(said));
  return false;
}

// Connected routes and those of the daemon's kernel: we have our own. A kernel itself may have learnt some.
bool FeedRoutes::is_for_us(const NetlinkRoute& said) const {
  if (said.protocol == kProtocolKernel) return rules_.of_kernel && has_gateway(said);
  return !rules_.without_zebra || !protocol_of(said.protocol).is_of_zebra;
}

// Routes of other tables, by source or by type of service are others than ours for the same prefix. What else
// cannot be used takes the place of what the prefix had.
void FeedRoutes::put(const NetlinkRoute& said) {
  if (!is_of_table(said) || !config::prefix_error(said.prefix).empty()) {
    ++counters_.ignored;
    return;
  }
  if (is_old_news(said)) return;
  if (said.remove) return remove(said);
  if (!is_for_us(said)) return ignore(said);
  if (replaced_.erase(key_of(said)) != 0) {
    NetlinkRoute instead = said;
    instead.flags |= NLM_F_REPLACE;
    return put(instead);
  }
  for (const NetlinkHop& hop : said.hops) {
    if (rules_.of_kernel && hop.interface_index != 0) links_used_.insert(hop.interface_index);
  }
  // A kernel says the type of a blackhole with its object, too.
  if (said.next_hop_id != 0 && (rules_.of_kernel || said.type == NetlinkRoute::Type::unicast))
    return put_by_id(said);
  if (said.type == NetlinkRoute::Type::unicast) return put_unicast(said);
  const auto drop = drop_of(said.type);
  drop ? put_spec(said, *drop) : ignore(said);
}

void FeedRoutes::put_unicast(const NetlinkRoute& said) {
  const NextHopSpec spec = NextHopSpec::via(ways_of(said.hops, tables_.interface_of));
  if (spec.hops.empty() || !can_go(said.prefix, spec)) return ignore(said);
  put_spec(said, spec);
}

void FeedRoutes::put_by_id(const NetlinkRoute& said) {
  const FeedNextHops::Found found = next_hops_.find(said.next_hop_id);
  if (found.state != FeedNextHops::State::usable) {
    // One that we know of and cannot use leaves nothing to stay on.
    if (found.state == FeedNextHops::State::unusable) place(said, std::nullopt);
    return park(said);
  }
  if (!can_go(said.prefix, *found.spec)) return ignore(said);
  tables_.next_hops.add_reference(found.id);
  install(said, found.id);
}

void FeedRoutes::put_spec(const NetlinkRoute& said, const NextHopSpec& spec) {
  const auto next_hop = tables_.next_hops.acquire(spec);
  if (!next_hop) return fail(said, next_hop.error());
  install(said, *next_hop);
}

void FeedRoutes::put(const NetlinkNextHop& object) {
  if (object.remove) return next_hops_.remove(object.id);
  if (rules_.without_zebra && protocol_of(object.protocol).is_of_zebra) return;
  const auto ready = next_hops_.put(object);
  if (!ready) return fail("next hop " + std::to_string(object.id) + ": " + ready.error());
  ready_.insert(ready_.end(), ready->begin(), ready->end());
}

void FeedRoutes::ignore(const NetlinkRoute& said) {
  ++counters_.ignored;
  unpark(key_of(said));
  place(said, std::nullopt);
  if (is_for_us(said)) told_(said, false);
}

void FeedRoutes::fail(const NetlinkRoute& said, const std::string& what) {
  fail(to_string(said.prefix) + ": " + what);
  if (!said.remove) told_(said, false);
}

void FeedRoutes::fail(const std::string& what) {
  ++counters_.failed;
  last_failure_ = what;
}

void FeedRoutes::install(const NetlinkRoute& said, NextHopId next_hop) {
  unpark(key_of(said));
  place(said, Route{next_hop, said.priority, stacks_.mark(), owner_of(said.protocol),
                    distances_[said.protocol], source_});
}

void FeedRoutes::place(const NetlinkRoute& said, const std::optional<Route>& route) {
  const auto placed = rules_.of_kernel
                          ? order_.put(said, route)
                          : std::visit([&](auto prefix) { return place_alone(prefix, route); }, said.prefix);
  if (!placed) return fail(said, placed.error());
  if (route) told_(said, true);
}

// The only one of its prefix.
template <class Prefix>
Result<void> FeedRoutes::place_alone(Prefix prefix, const std::optional<Route>& route) {
  const auto stack = stacks_.of(prefix);
  if (stack.size() == 0) return route ? stacks_.insert(stack, 0, *route) : Result<void>();
  return route ? stacks_.replace(stack, 0, *route) : stacks_.erase(stack, 0);
}

void FeedRoutes::remove(const NetlinkRoute& said) {
  if (rules_.of_kernel) return remove_named(said);
  unpark(key_of(said));
  place(said, std::nullopt);
}

// A kernel removes one of the routes that it has for the prefix and metric.
void FeedRoutes::remove_named(const NetlinkRoute& said) {
  if (!is_for_us(said)) return;
  KernelOrder::Named named{owner_of(said.protocol), std::nullopt, {}};
  if (said.next_hop_id != 0) {
    const auto parked = parked_.find(key_of(said));
    if (parked != parked_.end() && parked->second.next_hop_id == said.next_hop_id)
      return unpark(parked->first);
    const auto found = next_hops_.find(said.next_hop_id);
    if (found.state != FeedNextHops::State::usable) return;  // it went with its next hop
    named.object = found.id;
  } else if (const auto drop = drop_of(said.type)) {
    named.spec = *drop;
  } else {
    named.spec = NextHopSpec::via(ways_of(said.hops, tables_.interface_of));
    if (named.spec.hops.empty() || !can_go(said.prefix, named.spec)) return;
  }
  const auto removed = order_.remove(said, named);
  if (!removed) return fail(said, removed.error());
  in_doubt_ |= !*removed;
}

void FeedRoutes::park(const NetlinkRoute& said) {
  const Key key = key_of(said);
  unpark(key);
  if (parked_.size() >= kMaxParked) return fail(said, "too many routes wait for next hops");
  parked_[key] = {said.next_hop_id, said.priority, said.protocol, stacks_.mark()};
  waiting_.emplace(said.next_hop_id, key);
}

void FeedRoutes::unpark(const Key& key) {
  const auto at = parked_.find(key);
  if (at == parked_.end()) return;
  waiting_.erase({at->second.next_hop_id, at->first});
  parked_.erase(at);
}

// One route. False if none waits for a next hop that has come.
bool FeedRoutes::unpark_ready() {
  while (!ready_.empty()) {
    const std::uint32_t id = ready_.back();
    const auto first = waiting_.lower_bound({id, Key{Ipv4Prefix()}});
    const FeedNextHops::Found found = next_hops_.find(id);
    if (first == waiting_.end() || first->first != id || found.state != FeedNextHops::State::usable) {
      ready_.pop_back();
      continue;
    }
    const Parked& parked = parked_.at(first->second);
    NetlinkRoute said;
    said.prefix = first->second.prefix;
    said.next_hop_id = id;
    said.priority = parked.priority;
    said.protocol = parked.protocol;
    put_by_id(said);
    return true;
  }
  return false;
}

void FeedRoutes::begin_connection() {
  stacks_.next_round();
  parked_.clear();
  waiting_.clear();
  ready_.clear();
  next_hops_.clear();
}

void FeedRoutes::begin_resync() {
  stacks_.next_round();
  next_hops_.next_round();
  links_used_.clear();
  in_doubt_ = false;
}

void FeedRoutes::end_resync() {
  for (auto at = parked_.begin(); at != parked_.end();) {
    const auto& [key, parked] = *at++;
    if (parked.mark != stacks_.mark()) unpark(key);
  }
  begin_sweep();
}

bool FeedRoutes::work(std::size_t slice) {
  for (std::size_t i = 0; i < slice; ++i) {
    if (!unpark_ready()) return stacks_.work(slice);
  }
  return true;
}

std::uint16_t FeedRoutes::owner_of(std::uint8_t protocol) {
  std::uint16_t& owner = owners_[protocol];
  if (owner == 0) {
    if (const auto id = tables_.owners.id(std::string(protocol_of(protocol).name))) owner = *id;
  }
  return owner;
}

}  // namespace millrace::controlplane
