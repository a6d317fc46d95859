#include "controlplane/next_hops.h"

#include <algorithm>

namespace millrace::controlplane {

using dataplane::Adjacency;
using dataplane::DropReason;
using dataplane::NextHop;

Result<NextHopId> NextHops::acquire(const NextHopSpec& spec) {
  if (const auto known = ids_.find(spec); known != ids_.end()) {
    ++sets_.at(known->second)->references;
    return known->second;
  }
  const auto id = writer_.allocate_next_hop();
  if (!id) return Error{"the next-hop table is full"};
  auto set = std::make_unique<Set>(Set{spec, *id, 1, {}, {}, {}});
  resolve(*set);
  ids_.emplace(spec, *id);
  sets_.emplace(*id, std::move(set));
  return *id;
}

void NextHops::release(NextHopId id) {
  const auto at = sets_.find(id);
  if (at == sets_.end() || --at->second->references != 0) return;
  Set& set = *at->second;
  attach(set, {});
  if (set.first_bucket) writer_.release_group(*set.first_bucket);
  writer_.release_next_hop(id);
  ids_.erase(set.spec);
  sets_.erase(at);
}

const NextHops::Set* NextHops::find(NextHopId id) const {
  const auto at = sets_.find(id);
  return at == sets_.end() ? nullptr : at->second.get();
}

const NextHops::Link* NextHops::find_link(NeighborKey key) const {
  const auto at = links_.find(key);
  return at == links_.end() ? nullptr : &at->second;
}

// Which links the set's addresses lie on now.
void NextHops::resolve(Set& set) {
  std::vector<NeighborKey> members;
  if (set.spec.kind == NextHopSpec::Kind::via) {
    for (const Ipv4Address address : set.spec.addresses) {
      if (const Interface* on = interfaces_.connected_to(address)) members.push_back({on->id, address});
    }
  } else if (set.spec.kind == NextHopSpec::Kind::neighbor) {
    members.push_back({set.spec.interface, set.spec.addresses.front()});
  }
  attach(set, members);
}

// Moves the set from its old members to the new ones. Those that stay keep their adjacencies.
void NextHops::attach(Set& set, const std::vector<NeighborKey>& members) {
  std::vector<NeighborKey> attached;
  for (const NeighborKey& key : members) {
    if (use_link(key, set)) attached.push_back(key);
  }
  const std::vector<NeighborKey> before = std::exchange(set.members, attached);
  publish(set);  // before an adjacency goes that it named
  for (const NeighborKey& key : before) {
    if (std::find(attached.begin(), attached.end(), key) == attached.end()) leave_link(key, set);
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

bool NextHops::use_link(NeighborKey key, const Set& user) {
  const auto at = links_.find(key);
  Link* link = at == links_.end() ? make_link(key) : &at->second;
  if (link == nullptr) return false;
  if (!link->users.insert(user.id).second) return true;
  if (user.spec.kind == NextHopSpec::Kind::via && link->routed++ == 0) wanted_(key, true);
  return true;
}

void NextHops::leave_link(NeighborKey key, const Set& user) {
  const auto at = links_.find(key);
  if (at == links_.end() || at->second.users.erase(user.id) == 0) return;
  Link& link = at->second;
  if (user.spec.kind == NextHopSpec::Kind::via && --link.routed == 0) wanted_(key, false);
  if (!link.users.empty()) return;
  writer_.release_adjacency(link.slot);
  writer_.release_counter(link.counter);
  links_.erase(at);
}

std::optional<Adjacency> NextHops::adjacency_of(const Link& link) const {
  const Interface* on = interfaces_.find(link.key.interface);
  if (on == nullptr) return std::nullopt;
  Adjacency adjacency;
  adjacency.address = link.key.address;
  adjacency.counter = link.counter;
  adjacency.mtu = static_cast<std::uint16_t>(on->config.mtu);
  adjacency.interface = on->id;
  adjacency.port = on->port;
  if (link.state == LinkState::resolved) {
    adjacency.flags |= Adjacency::kComplete;
    adjacency.set_l2_header(link.mac, on->mac, wire::kEtherTypeIpv4);
  }
  if (on->egress_features != 0) adjacency.flags |= Adjacency::kEgressFeatures;
  return adjacency;
}

// A changed adjacency is a new slot; the old one goes after those who name it moved. They are published in
// any case: who of a group is usable depends on states that no adjacency shows.
bool NextHops::renew_slot(Link& link) {
  const auto adjacency = adjacency_of(link);
  if (!adjacency) return false;
  const bool same = *adjacency == writer_.adjacency(link.slot);
  const auto slot = same ? std::optional(link.slot) : writer_.add_adjacency(*adjacency);
  if (!slot) return false;
  const AdjacencyId old = std::exchange(link.slot, *slot);
  for (const NextHopId user : link.users) {
    if (const auto at = sets_.find(user); at != sets_.end()) publish(*at->second);
  }
  if (!same) writer_.release_adjacency(old);
  return true;
}

void NextHops::neighbor_changed(NeighborKey key, LinkState state, MacAddress mac) {
  const auto at = links_.find(key);
  if (at == links_.end()) return;
  Link& link = at->second;
  if (link.state == state && link.mac == mac) return;
  link.state = state;
  link.mac = mac;
  renew_slot(link);
}

void NextHops::interfaces_changed() {
  // Links first get what their interface is now (MTU, MAC, features), then sets find their links anew.
  for (auto& [key, link] : links_) renew_slot(link);
  for (auto& [id, set] : sets_) resolve(*set);
}

// Members that are not known to be dead; all of them if none is left, so that traffic goes on asking for
// them.
std::vector<const NextHops::Link*> NextHops::usable_members(const Set& set) const {
  std::vector<const Link*> usable, all;
  for (const NeighborKey& key : set.members) {
    const Link& link = links_.at(key);
    const Interface* on = interfaces_.find(key.interface);
    if (on == nullptr || !on->up) continue;
    all.push_back(&link);
    if (link.state != LinkState::failed) usable.push_back(&link);
  }
  return usable.empty() ? all : usable;
}

// Bucket i belongs to the (i mod n)-th address of the set, usable or not: the loss of one moves its buckets
// alone, to the others in turn.
void NextHops::fill_buckets(const Set& set, const std::vector<const Link*>& usable) {
  const auto& addresses = set.spec.addresses;
  for (std::uint32_t i = 0; i < dataplane::kBuckets; ++i) {
    const auto owner = std::find_if(usable.begin(), usable.end(), [&](const Link* link) {
      return link->key.address == addresses[i % addresses.size()];
    });
    const Link* link = owner != usable.end() ? *owner : usable[i / addresses.size() % usable.size()];
    writer_.set_bucket(*set.first_bucket + i, link->slot);
  }
}

void NextHops::publish(Set& set) {
  NextHop next_hop;
  const auto usable = usable_members(set);
  switch (set.spec.kind) {
    case NextHopSpec::Kind::local:
      next_hop = NextHop::local();
      break;
    case NextHopSpec::Kind::glean:
      next_hop = NextHop::glean(set.spec.interface);
      break;
    case NextHopSpec::Kind::drop:
      next_hop = NextHop::drop(set.spec.reason);
      break;
    case NextHopSpec::Kind::via:
    case NextHopSpec::Kind::neighbor:
      if (usable.empty()) {
        next_hop = NextHop::drop(DropReason::next_hop_lost);
      } else if (usable.size() == 1) {
        next_hop = NextHop::forward(usable.front()->slot);
      } else {
        if (!set.first_bucket) set.first_bucket = writer_.allocate_group();
        if (!set.first_bucket) {
          next_hop =
              NextHop::forward(usable.front()->slot);  // no room to spread: one path is better than none
          break;
        }
        fill_buckets(set, usable);
        next_hop = NextHop::group(*set.first_bucket);
      }
      break;
  }
  set.published = next_hop;
  writer_.set_next_hop(set.id, next_hop);
}

}  // namespace millrace::controlplane
