#include "controlplane/next_hops.h"

#include <algorithm>

namespace millrace::controlplane {

using dataplane::Adjacency;
using dataplane::DropReason;
using dataplane::NextHop;

// FNV-1a over words, and the finish of MurmurHash3 (public domain): specs differ in a few bits.
std::size_t NextHops::SpecHash::operator()(const NextHopSpec* spec) const {
  std::uint64_t hash = 0xcbf29ce484222325;
  const auto add = [&hash](std::uint64_t word) { hash = (hash ^ word) * 0x100000001b3; };
  add(static_cast<std::uint64_t>(spec->kind) << 48 | static_cast<std::uint64_t>(spec->reason) << 32 |
      spec->interface.value());
  for (const config::NextHop& hop : spec->hops) add(std::uint64_t{hop.weight} << 32 ^ hop.hash());
  hash = (hash ^ (hash >> 33)) * 0xff51afd7ed558ccd;
  return hash ^ (hash >> 33);
}

Result<NextHopId> NextHops::acquire(const NextHopSpec& spec) {
  if (const auto known = ids_.find(&spec); known != ids_.end()) {
    add_reference(known->second);
    return known->second;
  }
  const auto made = make_set(spec);
  if (!made) return Error{made.error()};
  Set& set = **made;
  ids_.emplace(&set.spec, set.id);
  resolve(set);
  return set.id;
}

Result<NextHopId> NextHops::make_own(NextHopSpec spec) {
  const auto made = make_set(std::move(spec));
  if (!made) return Error{made.error()};
  Set& set = **made;
  set.is_own = true;
  resolve(set);
  return set.id;
}

// Its first reference is the caller's.
auto NextHops::make_set(NextHopSpec spec) -> Result<Set*> {
  const auto id = writer_.allocate_next_hop();
  if (!id) return Error{"the next-hop table is full"};
  if (id->value() >= sets_.size()) sets_.resize(id->value() + 1);
  auto& set = sets_[id->value()];
  set = std::make_unique<Set>();
  set->spec = std::move(spec);
  set->id = *id;
  set->references = 1;
  ++count_;
  return set.get();
}

void NextHops::change_own(NextHopId id, NextHopSpec spec) {
  Set& set = *sets_[id.value()];
  if (set.spec == spec) return;
  set.spec = std::move(spec);
  resolve(set);
  // Who is found by a route may be so by this one.
  if (!asked_.empty()) resolve_asked(asked_.begin()->first, asked_.rbegin()->first);
}

// What workers may still do with the id leads to where it led: it goes with its group and adjacencies, a
// grace period later.
void NextHops::release(NextHopId id) {
  auto& set = sets_[id.value()];
  if (--set->references != 0) return;
  stop_asking(*set);
  leave(std::exchange(set->members, {}), *set);
  if (set->published.kind() == NextHop::Kind::group) writer_.release_group(set->published);
  writer_.release_next_hop(id);
  if (!set->is_own) ids_.erase(&set->spec);
  --count_;
  set.reset();
}

const NextHops::Link* NextHops::find_link(NeighborKey key) const {
  const auto at = links_.find(key);
  return at == links_.end() ? nullptr : &at->second;
}

// The interface that the hop's neighbour is on now, or nullptr.
const Interface* NextHops::interface_of(const Set& set, const config::NextHop& hop) const {
  if (set.spec.kind == NextHopSpec::Kind::neighbor) return interfaces_.find(set.spec.interface);
  if (hop.interface.empty()) return interfaces_.connected_to(hop.address);
  const Interface* on = interfaces_.find(hop.interface);
  return on != nullptr && on->up && on->is_neighbor(hop.address) ? on : nullptr;
}

// Not on a link, and not of one that is down either.
bool NextHops::is_recursive(const Set& set, const config::NextHop& hop) const {
  return set.spec.kind == NextHopSpec::Kind::via && hop.interface.empty() &&
         interfaces_.connected_to(hop.address) == nullptr && !interfaces_.has_subnet_of(hop.address);
}

std::vector<config::NextHop> NextHops::ways_of(Set& set) {
  const auto& hops = set.spec.hops;
  if (std::ranges::none_of(hops, [&](const auto& hop) { return is_recursive(set, hop); })) return hops;
  std::vector<config::NextHop> ways;
  std::vector<const Set*> by{&set};
  add_ways(by, set, 1, ways);
  // A way that several lead to has the share of all of them.
  std::ranges::sort(ways);
  std::vector<config::NextHop> merged;
  for (const config::NextHop& way : ways) {
    if (merged.empty() || !merged.back().is_same_way(way))
      merged.push_back(way);
    else
      merged.back().weight = static_cast<std::uint8_t>(std::min(255, merged.back().weight + way.weight));
  }
  return merged;
}

// RFC 4271 5.1.3: a next hop that is on no link goes where the route to it does, over any number of routes.
// What leads to itself, or over more than kMostRoutes, leads nowhere. `by` are the sets of the routes so far.
void NextHops::add_ways(std::vector<const Set*>& by, Set& of, unsigned weight,
                        std::vector<config::NextHop>& ways) {
  constexpr std::size_t kMostRoutes = 32;
  const Set& set = *by.back();
  for (const config::NextHop& hop : set.spec.hops) {
    if (ways.size() == config::kMaxNextHops) return;
    const unsigned share = std::min(255U, weight * hop.weight);
    const Set* next = nullptr;
    if (is_recursive(set, hop)) {
      ask(of, hop.address);
      next = covering_(hop.address);
      const bool again = std::ranges::find(by, next) != by.end();
      if (again || by.size() == kMostRoutes) next = nullptr;
    }
    if (next == nullptr || next->spec.kind != NextHopSpec::Kind::via) {
      ways.push_back(hop);
      ways.back().weight = static_cast<std::uint8_t>(share);
    } else {
      by.push_back(next);
      add_ways(by, of, share, ways);
      by.pop_back();
    }
  }
}

void NextHops::ask(Set& set, IpAddress address) {
  if (asked_[address].insert(set.id).second) set.asked.push_back(address);
}

void NextHops::stop_asking(Set& set) {
  for (const IpAddress& address : std::exchange(set.asked, {})) {
    const auto at = asked_.find(address);
    at->second.erase(set.id);
    if (at->second.empty()) asked_.erase(at);
  }
}

void NextHops::resolve_asked(IpAddress first, IpAddress last) {
  std::set<NextHopId> found;
  for (auto at = asked_.lower_bound(first); at != asked_.end() && at->first <= last; ++at) {
    found.insert(at->second.begin(), at->second.end());
  }
  for (const NextHopId id : found) resolve(*sets_[id.value()]);
}

// Which ways the set has, and which links they lie on now.
void NextHops::resolve(Set& set) {
  stop_asking(set);
  std::vector<config::NextHop> hops = ways_of(set);
  std::vector<Link*> members(hops.size());
  for (std::size_t i = 0; i < hops.size(); ++i) {
    if (const Interface* on = interface_of(set, hops[i]))
      members[i] = use_link({on->id, hops[i].address}, set);
  }
  if (hops != set.hops) {
    set.hops = std::move(hops);
    set.spread.reset();
  }
  attach(set, std::move(members));
}

// Moves the set from its old members to the new ones. Those that stay keep their adjacencies.
void NextHops::attach(Set& set, std::vector<Link*> members) {
  std::vector<Link*> before = std::exchange(set.members, std::move(members));
  publish(set);  // before an adjacency goes that it named
  leave(std::move(before), set);
}

// Leaves each link that the set has no member on any more. An address is there twice if it is named with and
// without its interface: both lie on one link.
void NextHops::leave(std::vector<Link*> links, const Set& user) {
  std::sort(links.begin(), links.end());
  links.erase(std::unique(links.begin(), links.end()), links.end());
  for (Link* link : links) {
    if (link != nullptr && std::find(user.members.begin(), user.members.end(), link) == user.members.end())
      leave_link(*link, user);
  }
}

NextHops::Link* NextHops::make_link(NeighborKey key) {
  const auto [state, mac] = known_(key);
  const auto counter = writer_.allocate_counter();
  if (!counter) return nullptr;
  Link link{key, state, mac, {}, *counter, {}, 0};
  const auto adjacency = adjacency_of(link);
  const auto slot = adjacency ? writer_.add_adjacency(*adjacency) : std::nullopt;
  if (!slot) {
    writer_.release_counter(*counter);
    return nullptr;
  }
  link.slot = *slot;
  return &links_.emplace(key, std::move(link)).first->second;
}

NextHops::Link* NextHops::use_link(NeighborKey key, const Set& user) {
  const auto at = links_.find(key);
  Link* link = at == links_.end() ? make_link(key) : &at->second;
  if (link == nullptr || !link->users.insert(user.id).second) return link;
  if (user.spec.kind == NextHopSpec::Kind::via && link->routed++ == 0) wanted_(key, true);
  return link;
}

void NextHops::leave_link(Link& link, const Set& user) {
  link.users.erase(user.id);
  if (user.spec.kind == NextHopSpec::Kind::via && --link.routed == 0) wanted_(link.key, false);
  if (!link.users.empty()) return;
  writer_.release_adjacency(link.slot);
  writer_.release_counter(link.counter);
  links_.erase(link.key);
}

std::optional<Adjacency> NextHops::adjacency_of(const Link& link) const {
  const Interface* on = interfaces_.find(link.key.interface);
  if (on == nullptr) return std::nullopt;
  Adjacency adjacency;
  adjacency.address = link.key.address;
  adjacency.counter = link.counter;
  adjacency.mtu = on->mtu();
  adjacency.egress.interface = on->id;
  adjacency.egress.port = on->port;
  if (link.state == LinkState::resolved) {
    adjacency.flags |= Adjacency::kComplete;
    adjacency.macs = {link.mac, on->mac};
  }
  adjacency.tags = on->tags;
  if (on->tags.any()) adjacency.flags |= Adjacency::kTagged;
  if (on->port_tags) adjacency.flags |= Adjacency::kPortTags;
  if (on->config.ipsec) adjacency.flags |= Adjacency::kTunnel;
  if (on->egress_mask() != 0) adjacency.flags |= Adjacency::kEgressFeatures;
  adjacency.set_straight_mtu();
  return adjacency;
}

// A changed adjacency is a new slot. Returns the old one, to be released after those who name it moved.
std::optional<AdjacencyId> NextHops::renew_slot(Link& link) {
  const auto adjacency = adjacency_of(link);
  if (!adjacency || *adjacency == writer_.adjacency(link.slot)) return std::nullopt;
  const auto slot = writer_.add_adjacency(*adjacency);
  if (!slot) return std::nullopt;
  return std::exchange(link.slot, *slot);
}

void NextHops::publish_users(const Link& link) {
  for (const NextHopId user : link.users) publish(*sets_[user.value()]);
}

void NextHops::neighbor_changed(NeighborKey key, LinkState state, MacAddress mac) {
  const auto at = links_.find(key);
  if (at == links_.end()) return;
  Link& link = at->second;
  if (link.state == state && link.mac == mac) return;
  link.state = state;
  link.mac = mac;
  const auto old = renew_slot(link);
  publish_users(link);  // in any case: who is usable depends on states that no adjacency shows
  if (old) writer_.release_adjacency(*old);
}

void NextHops::interfaces_lost() {
  for (auto at = links_.begin(); at != links_.end();) {
    const InterfaceId id = at->first.interface;
    if (!is_up(id)) {
      publish_users(at->second);
      ++at;
    } else {
      at = links_.lower_bound({InterfaceId(static_cast<std::uint16_t>(id.value() + 1)), {}});
    }
  }
}

void NextHops::interfaces_changed() {
  // Links first get what their interface is now (MTU, MAC, features), then sets find their links anew: each
  // set is published once, if at all.
  std::vector<AdjacencyId> old;
  for (auto& [key, link] : links_) {
    if (const auto slot = renew_slot(link)) old.push_back(*slot);
  }
  for (const auto& set : sets_) {
    if (set) resolve(*set);
  }
  for (const AdjacencyId slot : old) writer_.release_adjacency(slot);
}

bool NextHops::is_up(InterfaceId id) const {
  const Interface* on = interfaces_.find(id);
  return on != nullptr && on->up;
}

// Members that have answered; else those that may; all of them if none is left, so that traffic goes on
// asking for them. One that has not answered yet, as it is new or back, is asked for without traffic
// (wanted_), which would be lost. Returns how many.
std::size_t NextHops::find_usable(const Set& set) {
  const auto mark = [&](LinkState worst) {
    std::size_t count = 0;
    usable_.assign(set.members.size(), 0);
    for (std::size_t i = 0; i < set.members.size(); ++i) {
      const Link* link = set.members[i];
      if (link == nullptr || !is_up(link->key.interface) || link->state > worst) continue;
      usable_[i] = 1;
      ++count;
    }
    return count;
  };
  for (const LinkState worst : {LinkState::resolved, LinkState::unresolved}) {
    if (const std::size_t count = mark(worst); count != 0) return count;
  }
  return mark(LinkState::failed);
}

NextHop NextHops::to_members(Set& set) {
  const std::size_t usable = find_usable(set);
  if (usable == 0) return NextHop::drop(set.spec.hops.empty() ? set.spec.reason : DropReason::next_hop_lost);
  if (usable > 1) {
    if (const auto group = to_group(set)) return *group;
    // No room to spread: one path is better than none.
  }
  const auto first = std::find(usable_.begin(), usable_.end(), 1) - usable_.begin();
  return NextHop::forward(set.members[static_cast<std::size_t>(first)]->slot);
}

// A change of two buckets or more is a new run of them, so that the store of the word that names it moves
// readers at once. Only if there is no room for one are they changed where they are, one after the other.
std::optional<NextHop> NextHops::to_group(Set& set) {
  if (!set.spread) set.spread = std::make_unique<const Spread>(set.hops);
  const std::uint32_t size = set.spread->size();
  // One of another size is a group of other hops (change_own): its run is not this one's.
  const bool is_group = set.published.kind() == NextHop::Kind::group && set.published.buckets() == size;
  const std::uint32_t old = set.published.index();
  std::uint32_t changes = 0;
  buckets_.resize(size);
  for (std::uint32_t i = 0; i < size; ++i) {
    buckets_[i] = set.members[set.spread->holder(set.hops, i, usable_)]->slot;
    if (is_group && writer_.bucket(old + i) != buckets_[i]) ++changes;
  }
  if (is_group && changes == 0) return set.published;
  if (!is_group || changes > 1) {
    if (const auto group = writer_.add_group(buckets_)) return group;
    if (!is_group) return std::nullopt;
  }
  for (std::uint32_t i = 0; i < size; ++i) writer_.set_bucket(old + i, buckets_[i]);
  ++groups_published_;
  return set.published;
}

void NextHops::publish(Set& set) {
  switch (set.spec.kind) {
    case NextHopSpec::Kind::local:
      return store(set, NextHop::local());
    case NextHopSpec::Kind::glean:
      return store(set, NextHop::glean(set.spec.interface));
    case NextHopSpec::Kind::drop:
      return store(set, NextHop::drop(set.spec.reason));
    case NextHopSpec::Kind::via:
    case NextHopSpec::Kind::neighbor:
      return store(set, to_members(set));
  }
}

void NextHops::store(Set& set, NextHop next_hop) {
  if (next_hop == set.published) return;
  const NextHop old = std::exchange(set.published, next_hop);
  if (set.is_watched && (old == kLost) != set.is_lost()) ++losses_;
  writer_.set_next_hop(set.id, next_hop);
  ++groups_published_;
  if (old.kind() == NextHop::Kind::group) writer_.release_group(old);
}

}  // namespace millrace::controlplane
