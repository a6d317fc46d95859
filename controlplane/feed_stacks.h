// The routes of a feed, several of a prefix: a stack, of which the top is the feed's route in the RIB.
//
//   RIB:     prefix -> Route (the top)
//   below_:  prefix -> Route, Route, ...      of the few prefixes that have more than one
//
// A kernel has several routes of a prefix, and the next comes up when the first goes; zebra says one, and
// nothing is below it. Each route here holds a reference to its next hop. Each is marked with the round (a
// connection, a resync) that said it last: those of rounds before are stale, and a sweep removes them.
// Control thread only; long work is done in slices.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <type_traits>
#include <vector>

#include "controlplane/feed_next_hops.h"
#include "controlplane/rib.h"
#include "controlplane/route_owners.h"

namespace millrace::controlplane {

// What a feed works on; all outlive it.
struct FeedTables {
  Rib& ipv4;
  Rib6& ipv6;
  NextHops& next_hops;
  RouteOwners& owners;
  std::function<void(const AnyPrefix&)> changed;  // a route of the prefix came, or went
  InterfaceOfIndex interface_of;

  template <class Prefix>
  [[nodiscard]] BasicRib<Prefix>& rib() const {
    if constexpr (std::is_same_v<Prefix, Ipv4Prefix>) {
      return ipv4;
    } else {
      return ipv6;
    }
  }
};

class FeedStacks {
 public:
  // Of a prefix, as it is now; any change ends it.
  template <class Prefix>
  class Stack {
   public:
    [[nodiscard]] Prefix prefix() const { return prefix_; }
    [[nodiscard]] std::size_t size() const {
      return top_ == nullptr ? 0 : 1 + (below_ == nullptr ? 0 : below_->size());
    }
    const Route& operator[](std::size_t i) const { return i == 0 ? *top_ : (*below_)[i - 1]; }

   private:
    friend FeedStacks;
    Prefix prefix_;
    const Route* top_ = nullptr;
    const std::vector<Route>* below_ = nullptr;
  };

  FeedStacks(const FeedTables& tables, RouteSource source) : tables_(tables), source_(source) {}
  ~FeedStacks();  // the RIB keeps what it has
  FeedStacks(const FeedStacks&) = delete;
  FeedStacks& operator=(const FeedStacks&) = delete;

  template <class Prefix>
  [[nodiscard]] Stack<Prefix> of(Prefix prefix) const;
  // A route at that place; the caller gives a reference to its next hop away, whatever comes of it. On an
  // error (full tables) the stack is what it was.
  template <class Prefix>
  Result<void> insert(const Stack<Prefix>& stack, std::size_t at, const Route& route);
  template <class Prefix>
  Result<void> replace(const Stack<Prefix>& stack, std::size_t at, const Route& route);
  // The prefix is never without a route as long as there is one more.
  template <class Prefix>
  Result<void> erase(const Stack<Prefix>& stack, std::size_t at);

  [[nodiscard]] std::uint32_t mark() const { return mark_; }  // of what is said in this round
  void next_round();                                          // from now on all are stale
  // Routes by this next hop, which is gone, go as well; takes the caller's reference to it over.
  void lose(NextHopId next_hop);
  // Lets work() remove what is stale.
  void begin_sweep() { sweep_ = {.is_on = true, .of_stale = true}; }
  void stop_sweep();
  // Looks at some and removes up to `slice` that have to go; true while there is more to do.
  bool work(std::size_t slice);

  [[nodiscard]] std::size_t routes() const {
    return tables_.ipv4.count(source_) + tables_.ipv6.count(source_);
  }
  [[nodiscard]] std::size_t shadowed() const { return shadowed_; }  // those below a top
  [[nodiscard]] std::size_t stale() const { return stale_; }
  [[nodiscard]] const FeedTables& tables() const { return tables_; }

 private:
  template <class Address>
  using Below = std::map<IpPrefix<Address>, std::vector<Route>>;
  // What a sweep looks at next: the RIBs, then what is below.
  struct Sweep {
    bool is_on = false;
    bool of_stale = false;
    unsigned step = 0;
    PerFamily<IpPrefix> from{};
  };

  [[nodiscard]] bool has_to_go(const Route& route) const;
  void forget_mark(const Route& route) { stale_ -= route.mark != mark_ ? 1 : 0; }
  bool sweep_step(std::size_t slice);
  template <class Address>
  bool sweep_rib(std::size_t slice);
  template <class Address>
  bool sweep_below(std::size_t slice);
  template <class Prefix>
  void sweep_prefix(Prefix prefix);
  void end_sweep();

  FeedTables tables_;
  RouteSource source_;
  PerFamily<Below> below_;
  std::size_t shadowed_ = 0;
  std::uint32_t mark_ = 1;
  std::size_t stale_ = 0;  // in the RIBs and below
  Sweep sweep_;
  std::set<NextHopId> lost_;       // that this sweep looks for
  std::set<NextHopId> lost_next_;  // that came while it went on
};

}  // namespace millrace::controlplane
