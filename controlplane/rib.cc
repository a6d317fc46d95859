#include "controlplane/rib.h"

#include <tuple>
#include <utility>

namespace millrace::controlplane {

template <class P>
bool BasicRib<P>::better(const Route& a, const Route& b) {
  const auto order = [](const Route& r) { return std::tuple(r.is_lost, r.distance, r.metric, r.source); };
  return order(a) < order(b);
}

template <class P>
auto BasicRib<P>::make(const Route& route) -> Index {
  const Index i = nodes_.take();
  node(i) = {route, kNone};
  return i;
}

template <class P>
template <class IsIt>
auto BasicRib<P>::link_to(Index& first, IsIt is_it) -> Index& {
  Index* link = &first;
  while (*link != kNone && !is_it(node(*link).route)) link = &node(*link).next;
  return *link;
}

template <class P>
auto BasicRib<P>::link_to_same(Index& first, const Route& route) -> Index& {
  const bool by_distance = route.source == RouteSource::static_config;
  return link_to(first, [&](const Route& other) {
    return other.source == route.source && (!by_distance || other.distance == route.distance);
  });
}

template <class P>
void BasicRib<P>::insert_sorted(Index& first, Index fresh) {
  Index* link = &first;
  while (*link != kNone && better(node(*link).route, node(fresh).route)) link = &node(*link).next;
  node(fresh).next = std::exchange(*link, fresh);
}

template <class P>
auto BasicRib<P>::add(Prefix prefix, const Spec& spec) -> Result<Outcome> {
  const auto next_hop = next_hops_.acquire(spec.next_hop);
  if (!next_hop) return Error{next_hop.error()};
  Route route{*next_hop, spec.metric, spec.mark, spec.owner, spec.distance, spec.source};
  if (spec.source == RouteSource::static_config) {
    next_hops_.watch(*next_hop);
    route.is_lost = next_hops_.find(*next_hop)->is_lost();
  }
  return add(prefix, route);
}

template <class P>
auto BasicRib<P>::add(Prefix prefix, const Route& route) -> Result<Outcome> {
  auto* rule = fib_.find(prefix);
  auto outcome = rule == nullptr ? add_first(prefix, route) : add_beside(prefix, *rule, route);
  if (!outcome || *outcome == Outcome::unchanged) next_hops_.release(route.next_hop);
  if (outcome && *outcome == Outcome::added) ++counts_[static_cast<std::size_t>(route.source)];
  if (outcome && *outcome != Outcome::unchanged) next_hops_.route_changed(prefix);
  return outcome;
}

template <class P>
auto BasicRib<P>::add_first(Prefix prefix, const Route& route) -> Result<Outcome> {
  const auto rule = fib_.insert(prefix, route.next_hop, writer_.now_ns());
  if (!rule) return Error{rule.error()};
  (*rule)->data = make(route);
  return Outcome::added;
}

// The prefix has routes already, maybe one of the same source. The FIB changes first: it is what can fail.
template <class P>
auto BasicRib<P>::add_beside(Prefix prefix, typename Fib::Rule& rule, const Route& route) -> Result<Outcome> {
  Index& old_link = link_to_same(rule.data, route);
  const Index old = old_link;
  if (old != kNone) {
    Route& before = node(old).route;
    if (before.next_hop == route.next_hop && before.metric == route.metric && before.owner == route.owner &&
        before.distance == route.distance && before.is_lost == route.is_lost) {
      before.mark = route.mark;
      return Outcome::unchanged;
    }
  }
  const Index best_other = old == rule.data ? node(old).next : rule.data;
  const bool is_best = best_other == kNone || better(route, node(best_other).route);
  const NextHopId best = is_best ? route.next_hop : node(best_other).route.next_hop;
  if (auto changed = fib_.change(prefix, rule, best, writer_.now_ns()); !changed)
    return Error{changed.error()};

  const NextHopId gone = old == kNone ? NextHopId() : node(old).route.next_hop;
  const Index fresh = old == kNone ? make(route) : old;
  if (old != kNone) old_link = node(old).next;
  node(fresh).route = route;
  insert_sorted(rule.data, fresh);
  if (old == kNone) return Outcome::added;
  next_hops_.release(gone);
  return Outcome::replaced;
}

template <class P>
bool BasicRib<P>::remove(Prefix prefix, RouteSource source, std::optional<std::uint8_t> distance) {
  auto* rule = fib_.find(prefix);
  if (rule == nullptr) return false;
  Index& link = link_to(rule->data, [&](const Route& route) {
    return route.source == source && (!distance || route.distance == *distance);
  });
  const Index gone = link;
  if (gone == kNone) return false;
  link = node(gone).next;
  if (rule->data == kNone) {
    fib_.erase(prefix, writer_.now_ns());
  } else {
    // Only the next hop changes: if there is no room even for that, the next change finds it.
    static_cast<void>(fib_.change(prefix, *rule, node(rule->data).route.next_hop, writer_.now_ns()));
  }
  const NextHopId next_hop = node(gone).route.next_hop;
  nodes_.give_back(gone);
  next_hops_.release(next_hop);
  --counts_[static_cast<std::size_t>(source)];
  next_hops_.route_changed(prefix);
  return true;
}

template <class P>
void BasicRib<P>::links_changed(Prefix prefix) {
  auto* rule = fib_.find(prefix);
  if (rule == nullptr) return;
  Index left = std::exchange(rule->data, kNone);
  while (left != kNone) {
    const Index i = std::exchange(left, node(left).next);
    Route& route = node(i).route;
    if (route.source == RouteSource::static_config)
      route.is_lost = next_hops_.find(route.next_hop)->is_lost();
    insert_sorted(rule->data, i);
  }
  static_cast<void>(fib_.change(prefix, *rule, node(rule->data).route.next_hop, writer_.now_ns()));
  next_hops_.route_changed(prefix);
}

template <class P>
const Route* BasicRib<P>::find(Prefix prefix, RouteSource source) const {
  const auto* rule = fib_.find(prefix);
  Index i = rule == nullptr ? kNone : rule->data;
  while (i != kNone && node(i).route.source != source) i = node(i).next;
  return i == kNone ? nullptr : &node(i).route;
}

template class BasicRib<Ipv4Prefix>;
template class BasicRib<Ipv6Prefix>;

}  // namespace millrace::controlplane
