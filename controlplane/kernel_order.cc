#include "controlplane/kernel_order.h"

#include <linux/rtnetlink.h>

#include <algorithm>

namespace millrace::controlplane {
namespace {

bool is_ipv6(const NetlinkRoute& said) {
  return std::holds_alternative<Ipv6Prefix>(said.prefix);
}

// A route of IPv6 that is said with all of its paths.
bool is_multipath(const NetlinkRoute& said) {
  return is_ipv6(said) && said.type == NetlinkRoute::Type::unicast && said.next_hop_id == 0 &&
         said.protocol != RTPROT_RA &&
         std::any_of(said.hops.begin(), said.hops.end(),
                     [](const NetlinkHop& hop) { return hop.gateway.has_value(); });
}

}  // namespace

template <class Stack>
auto KernelOrder::group(const Stack& stack, std::uint32_t metric) -> Group {
  Group found{0, 0};
  while (found.first < stack.size() && stack[found.first].metric < metric) ++found.first;
  found.last = found.first;
  while (found.last < stack.size() && stack[found.last].metric == metric) ++found.last;
  return found;
}

template <class Stack, class Is>
std::size_t KernelOrder::find(const Stack& stack, Group in, Is&& is) {
  for (std::size_t i = in.first; i < in.last; ++i) {
    if (is(stack[i])) return i;
  }
  return kNone;
}

const NextHopSpec& KernelOrder::spec_of(const Route& route) const {
  return stacks_.tables().next_hops.find(route.next_hop)->spec;
}

bool KernelOrder::is_multipath(const Route& route) const {
  return !stacks_.tables().next_hops.find(route.next_hop)->is_own && route.owner != ra_owner_ &&
         spec_of(route).kind == NextHopSpec::Kind::via;
}

template <class Stack>
auto KernelOrder::place(const Stack& stack, const NetlinkRoute& said, const std::optional<Route>& route) const
    -> Place {
  const Group in = group(stack, said.priority);
  std::size_t old = find(stack, in, [&](const Route& one) {
    return route && one.next_hop == route->next_hop && one.owner == route->owner;  // the same once more
  });
  const bool by_paths = controlplane::is_multipath(said);
  const auto of_its_kind = [&](const Route& one) { return is_multipath(one) == by_paths; };
  const bool replaces = (said.flags & NLM_F_REPLACE) != 0;
  if (old == kNone && is_ipv6(said) && (replaces || by_paths)) old = find(stack, in, of_its_kind);
  if (old == kNone && replaces && !in.empty()) old = in.first;

  if ((said.flags & NLM_F_MULTI) != 0) {  // of a dump: behind what it has said already
    std::size_t at = in.first;
    while (at < in.last && at != old && stack[at].mark == stacks_.mark()) ++at;
    return {at, old};
  }
  if (replaces || is_ipv6(said)) return {old == kNone ? in.last : old, old};
  if ((said.flags & NLM_F_APPEND) != 0) return {old != kNone && old + 1 == in.last ? old : in.last, old};
  return {in.first, old};
}

template <class Stack>
Result<void> KernelOrder::put(const Stack& stack, const NetlinkRoute& said,
                              const std::optional<Route>& route) {
  const auto [at, old] = place(stack, said, route);
  if (!route) return old == kNone ? Result<void>() : stacks_.erase(stack, old);
  if (at == old) return stacks_.replace(stack, at, *route);
  if (auto inserted = stacks_.insert(stack, at, *route); !inserted || old == kNone) return inserted;
  return stacks_.erase(stacks_.of(stack.prefix()), at <= old ? old + 1 : old);
}

Result<void> KernelOrder::put(const NetlinkRoute& said, const std::optional<Route>& route) {
  return std::visit([&](auto prefix) { return put(stacks_.of(prefix), said, route); }, said.prefix);
}

template <class Stack>
Result<bool> KernelOrder::remove(const Stack& stack, const NetlinkRoute& said, const Named& named) {
  const Group in = group(stack, said.priority);
  if (controlplane::is_multipath(said)) {
    const std::size_t of_paths = find(stack, in, [&](const Route& one) { return is_multipath(one); });
    return of_paths == kNone ? Result<bool>(named.spec.hops.empty())
                             : remove_paths(stack, of_paths, named.spec);
  }
  const std::size_t same = find(stack, in, [&](const Route& one) {
    return one.owner == named.owner &&
           (named.object ? one.next_hop == *named.object : spec_of(one) == named.spec);
  });
  if (same == kNone) return false;
  if (auto erased = stacks_.erase(stack, same); !erased) return Error{erased.error()};
  return true;
}

// What is left of the route without these paths.
template <class Stack>
Result<bool> KernelOrder::remove_paths(const Stack& stack, std::size_t from, const NextHopSpec& paths) {
  Route route = stack[from];
  std::vector<config::NextHop> left = spec_of(route).hops;
  const std::size_t before = left.size();
  std::erase_if(left, [&](const config::NextHop& hop) {
    return std::any_of(paths.hops.begin(), paths.hops.end(),
                       [&](const config::NextHop& gone) { return gone.is_same_way(hop); });
  });
  if (left.size() + paths.hops.size() != before) return false;
  if (left.size() == before) return true;
  if (left.empty()) {
    if (auto erased = stacks_.erase(stack, from); !erased) return Error{erased.error()};
    return true;
  }
  const auto next_hop = stacks_.tables().next_hops.acquire(NextHopSpec::via(std::move(left)));
  if (!next_hop) return Error{next_hop.error()};
  route.next_hop = *next_hop;
  route.mark = stacks_.mark();
  if (auto replaced = stacks_.replace(stack, from, route); !replaced) return Error{replaced.error()};
  return true;
}

Result<bool> KernelOrder::remove(const NetlinkRoute& said, const Named& named) {
  return std::visit([&](auto prefix) { return remove(stacks_.of(prefix), said, named); }, said.prefix);
}

std::size_t KernelOrder::alike(const NetlinkRoute& said) const {
  return std::visit(
      [&](auto prefix) {
        const Group in = group(stacks_.of(prefix), said.priority);
        return in.last - in.first;
      },
      said.prefix);
}

}  // namespace millrace::controlplane
