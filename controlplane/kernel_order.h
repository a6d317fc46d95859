// Which of a kernel's routes of one prefix comes before which: where a message puts one, and which one it
// takes away.
//
// The lowest metric wins, in both families. Among routes of one prefix and metric:
// - IPv4: each has next hops of its own, and the first one is used. NLM_F_REPLACE takes the place of the
// first
//   one, NLM_F_APPEND comes last, any other addition first. Its removal names its next hops.
// - IPv6: those with a gateway are paths of one route, and each RTM_NEWROUTE says all of them; a removal says
//   the paths that go. Other ones (blackholes, by a next-hop object, by router advertisements) stand beside
//   them, the oldest first.
// - A dump says them in order.
#pragma once

#include <cstdint>
#include <optional>

#include "controlplane/feed_stacks.h"
#include "controlplane/netlink_message.h"

namespace millrace::controlplane {

class KernelOrder {
 public:
  // What a removal names.
  struct Named {
    std::uint16_t owner;
    std::optional<NextHopId> object;  // its set
    NextHopSpec spec;                 // without an object
  };

  KernelOrder(FeedStacks& stacks, std::uint16_t ra_owner) : stacks_(stacks), ra_owner_(ra_owner) {}

  // A route that was added or said by a dump; nothing if it is none for us, which may be in another's place.
  Result<void> put(const NetlinkRoute& said, const std::optional<Route>& route);
  // One that was removed. False if what we have does not fit what the kernel says.
  Result<bool> remove(const NetlinkRoute& said, const Named& named);
  // How many routes there are of its prefix and metric.
  [[nodiscard]] std::size_t alike(const NetlinkRoute& said) const;

 private:
  static constexpr std::size_t kNone = ~std::size_t{0};
  // Those of one metric: [first, last).
  struct Group {
    std::size_t first, last;
    [[nodiscard]] bool empty() const { return first == last; }
  };
  // Where the new one goes, and the one that is replaced, or is the same.
  struct Place {
    std::size_t at, old;
  };

  template <class Stack>
  static Group group(const Stack& stack, std::uint32_t metric);
  template <class Stack, class Is>
  static std::size_t find(const Stack& stack, Group in, Is&& is);
  template <class Stack>
  Place place(const Stack& stack, const NetlinkRoute& said, const std::optional<Route>& route) const;
  template <class Stack>
  Result<void> put(const Stack& stack, const NetlinkRoute& said, const std::optional<Route>& route);
  template <class Stack>
  Result<bool> remove(const Stack& stack, const NetlinkRoute& said, const Named& named);
  template <class Stack>
  Result<bool> remove_paths(const Stack& stack, std::size_t from, const NextHopSpec& paths);
  [[nodiscard]] bool is_multipath(const Route& route) const;
  [[nodiscard]] const NextHopSpec& spec_of(const Route& route) const;

  FeedStacks& stacks_;
  std::uint16_t ra_owner_;
};

}  // namespace millrace::controlplane
