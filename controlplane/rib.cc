#include "controlplane/rib.h"

#include <algorithm>
#include <tuple>

namespace millrace::controlplane {

bool Rib::better(const Route& a, const Route& b) {
  return std::tie(a.distance, a.metric, a.source) < std::tie(b.distance, b.metric, b.source);
}

Route* Rib::route_of(Entry& entry, RouteSource source) {
  if (entry.best.source == source) return &entry.best;
  if (!entry.others) return nullptr;
  const auto at = std::find_if(entry.others->begin(), entry.others->end(),
                               [&](const Route& r) { return r.source == source; });
  return at == entry.others->end() ? nullptr : &*at;
}

Result<void> Rib::publish(Ipv4Prefix prefix, NextHopId next_hop) {
  return writer_.insert(fib_, prefix, next_hop);
}

Result<Rib::Outcome> Rib::add(Ipv4Prefix prefix, const Spec& spec) {
  const auto next_hop = next_hops_.acquire(spec.next_hop);
  if (!next_hop) return Error{next_hop.error()};
  const Route route{*next_hop, spec.metric, spec.mark, spec.owner, spec.source, spec.distance};

  Entry* entry = routes_.find(prefix);
  Route* old = entry == nullptr ? nullptr : route_of(*entry, spec.source);
  const bool same = old != nullptr && old->next_hop == route.next_hop && old->metric == route.metric &&
                    old->owner == route.owner && old->distance == route.distance;
  if (same) {
    old->mark = route.mark;
    next_hops_.release(*next_hop);
    return Outcome::unchanged;
  }
  // Who would be the best one now? Only if that is another next hop does the FIB change, and first of all: it
  // is what can fail.
  std::vector<Route> candidates{route};
  if (entry != nullptr) {
    if (&entry->best != old) candidates.push_back(entry->best);
    if (entry->others) {
      for (const Route& r : *entry->others) {
        if (&r != old) candidates.push_back(r);
      }
    }
  }
  std::sort(candidates.begin(), candidates.end(), better);
  if (entry == nullptr || entry->best.next_hop != candidates.front().next_hop) {
    if (auto published = publish(prefix, candidates.front().next_hop); !published) {
      next_hops_.release(*next_hop);
      return Error{published.error()};
    }
  }
  const std::optional<NextHopId> gone = old == nullptr ? std::nullopt : std::optional(old->next_hop);
  if (entry == nullptr) entry = &routes_.emplace(prefix).first;
  entry->best = candidates.front();
  candidates.erase(candidates.begin());
  entry->others = candidates.empty() ? nullptr : std::make_unique<std::vector<Route>>(std::move(candidates));
  if (gone) next_hops_.release(*gone);
  if (!gone) ++counts_[static_cast<std::size_t>(spec.source)];
  return gone ? Outcome::replaced : Outcome::added;
}

bool Rib::remove(Ipv4Prefix prefix, RouteSource source) {
  Entry* entry = routes_.find(prefix);
  Route* route = entry == nullptr ? nullptr : route_of(*entry, source);
  if (route == nullptr) return false;
  const NextHopId gone = route->next_hop;
  if (route != &entry->best) {
    entry->others->erase(entry->others->begin() + (route - entry->others->data()));
  } else if (!entry->others) {
    writer_.erase(fib_, prefix);
    routes_.erase(prefix);
    entry = nullptr;
  } else {
    // The next best one is the first: `others` is sorted. Its prefix is in the FIB, so that this cannot fail.
    const Route next = entry->others->front();
    entry->others->erase(entry->others->begin());
    if (next.next_hop != gone) [[maybe_unused]]
      const auto published = publish(prefix, next.next_hop);
    entry->best = next;
  }
  if (entry != nullptr && entry->others && entry->others->empty()) entry->others.reset();
  next_hops_.release(gone);
  --counts_[static_cast<std::size_t>(source)];
  return true;
}

const Route* Rib::find(Ipv4Prefix prefix, RouteSource source) const {
  auto* entry = const_cast<Rib*>(this)->routes_.find(prefix);
  return entry == nullptr ? nullptr : route_of(*entry, source);
}

std::pair<Ipv4Prefix, const Route*> Rib::match(Ipv4Address address) const {
  const auto [prefix, entry] = routes_.match(address);
  return {prefix, entry == nullptr ? nullptr : &entry->best};
}

std::pair<Ipv4Prefix, const Route*> Rib::covering(Ipv4Prefix prefix) const {
  const auto [cover, entry] = routes_.covering(prefix);
  return {cover, entry == nullptr ? nullptr : &entry->best};
}

Result<std::uint16_t> Rib::owner_id(const std::string& owner) {
  if (const auto at = owner_ids_.find(owner); at != owner_ids_.end()) return at->second;
  if (owners_.size() > 0xffff) return Error{"too many different route owners"};
  const auto id = static_cast<std::uint16_t>(owners_.size());
  owner_ids_.emplace(owner, id);
  owners_.push_back(owner);
  return id;
}

}  // namespace millrace::controlplane
