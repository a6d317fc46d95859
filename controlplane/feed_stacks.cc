#include "controlplane/feed_stacks.h"

#include <utility>

namespace millrace::controlplane {

FeedStacks::~FeedStacks() {
  for_each_family([&]<class Address>() {
    for (const auto& [prefix, routes] : below_.of<Address>()) {
      for (const Route& route : routes) tables_.next_hops.release(route.next_hop);
    }
  });
  for (const auto* ids : {&lost_, &lost_next_}) {
    for (const NextHopId id : *ids) tables_.next_hops.release(id);
  }
}

template <class Prefix>
auto FeedStacks::of(Prefix prefix) const -> Stack<Prefix> {
  Stack<Prefix> stack;
  stack.prefix_ = prefix;
  stack.top_ = tables_.rib<Prefix>().find(prefix, source_);
  const auto& below = below_.of<typename Prefix::Address>();
  if (below.empty() || stack.top_ == nullptr) return stack;
  if (const auto at = below.find(prefix); at != below.end()) stack.below_ = &at->second;
  return stack;
}

template <class Prefix>
Result<void> FeedStacks::insert(const Stack<Prefix>& stack, std::size_t at, const Route& route) {
  auto& below = below_.of<typename Prefix::Address>();
  const Prefix prefix = stack.prefix_;
  if (at != 0) {
    auto& routes = below[prefix];
    routes.insert(routes.begin() + static_cast<std::ptrdiff_t>(at - 1), route);
    ++shadowed_;
    return {};
  }
  if (stack.top_ == nullptr) {
    const auto added = tables_.rib<Prefix>().add(prefix, route);
    if (!added) return Error{added.error()};
    tables_.changed(prefix);
    return {};
  }
  // What was the top goes below, with a reference of its own: the RIB gives its back.
  const Route before = *stack.top_;
  tables_.next_hops.add_reference(before.next_hop);
  if (const auto added = tables_.rib<Prefix>().add(prefix, route); !added) {
    tables_.next_hops.release(before.next_hop);
    return Error{added.error()};
  }
  auto& routes = below[prefix];
  routes.insert(routes.begin(), before);
  ++shadowed_;
  return {};
}

template <class Prefix>
Result<void> FeedStacks::replace(const Stack<Prefix>& stack, std::size_t at, const Route& route) {
  const Route before = stack[at];
  if (at == 0) {
    const auto added = tables_.rib<Prefix>().add(stack.prefix_, route);
    if (!added) return Error{added.error()};
  } else {
    below_.of<typename Prefix::Address>().at(stack.prefix_)[at - 1] = route;
    tables_.next_hops.release(before.next_hop);
  }
  forget_mark(before);
  return {};
}

template <class Prefix>
Result<void> FeedStacks::erase(const Stack<Prefix>& stack, std::size_t at) {
  auto& below = below_.of<typename Prefix::Address>();
  auto& rib = tables_.rib<Prefix>();
  const Prefix prefix = stack.prefix_;
  const Route gone = stack[at];
  if (stack.size() == 1) {
    forget_mark(gone);
    rib.remove(prefix, source_);
    tables_.changed(prefix);
    return {};
  }
  // One from below: the route itself, or the next one, which comes up.
  const auto entry = below.find(prefix);
  std::vector<Route>& routes = entry->second;
  const auto place = routes.begin() + static_cast<std::ptrdiff_t>(at == 0 ? 0 : at - 1);
  const Route taken = *place;
  routes.erase(place);
  if (routes.empty()) below.erase(entry);
  --shadowed_;
  if (at != 0) {
    tables_.next_hops.release(taken.next_hop);
  } else if (const auto added = rib.add(prefix, taken); !added) {
    // No room for it; and what is still there is no route any more.
    forget_mark(taken);
    static_cast<void>(erase(of(prefix), 0));
    return Error{added.error()};
  }
  forget_mark(gone);
  return {};
}

void FeedStacks::next_round() {
  ++mark_;
  stale_ = routes() + shadowed_;
  stop_sweep();
}

// Nothing is left to be done where no route names it.
void FeedStacks::lose(NextHopId next_hop) {
  if (tables_.next_hops.find(next_hop)->references == 1) return tables_.next_hops.release(next_hop);
  if (!sweep_.is_on) sweep_ = {.is_on = true};
  (sweep_.step == 0 && sweep_.from == PerFamily<IpPrefix>{} ? lost_ : lost_next_).insert(next_hop);
}

void FeedStacks::stop_sweep() {
  sweep_.of_stale = false;
  sweep_.is_on = !lost_.empty();
}

void FeedStacks::end_sweep() {
  for (const NextHopId id : lost_) tables_.next_hops.release(id);
  lost_ = std::exchange(lost_next_, {});
  sweep_ = {.is_on = !lost_.empty()};
}

bool FeedStacks::has_to_go(const Route& route) const {
  return (sweep_.of_stale && route.mark != mark_) || (!lost_.empty() && lost_.contains(route.next_hop));
}

bool FeedStacks::work(std::size_t slice) {
  if (!sweep_.is_on) return false;
  if (sweep_step(slice)) return true;
  end_sweep();
  return sweep_.is_on;
}

// False when the sweep is at its end.
bool FeedStacks::sweep_step(std::size_t slice) {
  if (lost_.empty() && stale_ == 0) return false;
  bool more = false;
  switch (sweep_.step) {
    case 0:
      more = sweep_rib<Ipv4Address>(slice);
      break;
    case 1:
      more = sweep_rib<Ipv6Address>(slice);
      break;
    case 2:
      more = sweep_below<Ipv4Address>(slice);
      break;
    default:
      return sweep_below<Ipv6Address>(slice);
  }
  if (more) return true;
  ++sweep_.step;
  if (sweep_.step == 2) sweep_.from = {};
  return true;
}

template <class Address>
bool FeedStacks::sweep_rib(std::size_t slice) {
  constexpr std::size_t kLooksARemoval = 8;
  using Prefix = IpPrefix<Address>;
  Prefix& from = sweep_.from.of<Address>();
  bool more = false;
  std::size_t seen = 0;
  std::vector<Prefix> found;
  tables_.rib<Prefix>().visit_from(from, [&](Prefix prefix, const Route& route, bool) {
    if (seen++ >= kLooksARemoval * slice || found.size() >= slice) {
      more = true;
      from = prefix;
      return false;
    }
    if (route.source == source_ && has_to_go(route)) found.push_back(prefix);
    return true;
  });
  for (const Prefix prefix : found) sweep_prefix(prefix);
  return more;
}

template <class Address>
bool FeedStacks::sweep_below(std::size_t slice) {
  using Prefix = IpPrefix<Address>;
  Prefix& from = sweep_.from.of<Address>();
  const auto& below = below_.of<Address>();
  std::vector<Prefix> some;
  auto at = below.lower_bound(from);
  for (; at != below.end() && some.size() < slice; ++at) some.push_back(at->first);
  const bool more = at != below.end();
  if (more) from = at->first;
  for (const Prefix prefix : some) sweep_prefix(prefix);
  return more;
}

// What has to go of one prefix, from below to the top.
template <class Prefix>
void FeedStacks::sweep_prefix(Prefix prefix) {
  for (std::size_t i = of(prefix).size(); i-- != 0;) {
    const auto stack = of(prefix);
    if (i < stack.size() && has_to_go(stack[i])) static_cast<void>(erase(stack, i));
  }
}

template FeedStacks::Stack<Ipv4Prefix> FeedStacks::of(Ipv4Prefix) const;
template FeedStacks::Stack<Ipv6Prefix> FeedStacks::of(Ipv6Prefix) const;
template Result<void> FeedStacks::insert(const Stack<Ipv4Prefix>&, std::size_t, const Route&);
template Result<void> FeedStacks::insert(const Stack<Ipv6Prefix>&, std::size_t, const Route&);
template Result<void> FeedStacks::replace(const Stack<Ipv4Prefix>&, std::size_t, const Route&);
template Result<void> FeedStacks::replace(const Stack<Ipv6Prefix>&, std::size_t, const Route&);
template Result<void> FeedStacks::erase(const Stack<Ipv4Prefix>&, std::size_t);
template Result<void> FeedStacks::erase(const Stack<Ipv6Prefix>&, std::size_t);

}  // namespace millrace::controlplane
