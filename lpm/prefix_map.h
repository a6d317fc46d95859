// An ordered map from prefixes to values with longest-prefix match: path-compressed binary tries.
//
//              10.0.0.0/8 *                 * holds a value; others only branch.
//              /          \                 A node's children extend its prefix; child[b] has bit b after it.
//      10.0.0.0/16 *    10.128.0.0/9 *      Order of iteration: by address, then shorter before longer.
//
// With kRootBits = n > 0 there is a trie for each value of the first n bits, found by index, and a map of its
// own kind (by the numbers that follow) for the prefixes shorter than n: each prefix of a full Internet table
// is then 2 or 3 nodes deep instead of 20. With 0, one trie.
//
// Written and read by one thread (the control thread). Nodes never move: references to values stay good until
// that prefix is erased, and growth costs no copy. Errors: none but std::bad_alloc.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <new>
#include <type_traits>
#include <utility>

#include "lpm/slab.h"
#include "net/address.h"
#include "net/ipv6_address.h"

namespace millrace::lpm {

// How many leading bits two addresses share.
inline unsigned common_bits(Ipv4Address a, Ipv4Address b) {
  return static_cast<unsigned>(std::countl_zero(a.value() ^ b.value()));
}
inline unsigned common_bits(Ipv6Address a, Ipv6Address b) {
  const std::uint64_t high = a.high() ^ b.high();
  return static_cast<unsigned>(high != 0 ? std::countl_zero(high) : 64 + std::countl_zero(a.low() ^ b.low()));
}
// Bit `i` of an address, 0 the first. `i` is less than the address's width.
inline unsigned address_bit(Ipv4Address a, unsigned i) {
  return (a.value() >> (31 - i)) & 1;
}
inline unsigned address_bit(Ipv6Address a, unsigned i) {
  return static_cast<unsigned>((i < 64 ? a.high() : a.low()) >> (63 - i % 64)) & 1;
}

template <class Prefix, class Value, unsigned kRootBits = 0, unsigned... kShorterBits>
class PrefixMap {
 public:
  using Address = typename Prefix::Address;

  // `pages`: of the nodes; small maps are not worth a large page.
  explicit PrefixMap(Pages pages = Pages::normal)
      : shorter_(pages), nodes_(pages), roots_(kRoots * sizeof(Index), pages) {
    if (!roots_) throw std::bad_alloc();
  }
  PrefixMap(const PrefixMap&) = delete;
  PrefixMap& operator=(const PrefixMap&) = delete;

  [[nodiscard]] std::size_t size() const { return size_ + shorter_.size(); }
  [[nodiscard]] std::size_t memory_bytes() const {
    return kRoots * sizeof(Index) + nodes_.memory_bytes() + shorter_.memory_bytes();
  }

  [[nodiscard]] Value* find(Prefix prefix) {
    if (is_shorter(prefix)) return shorter_.find(prefix);
    const Index at = descend(root(slot(prefix.address())), prefix);
    return at != kNone && node(at).length == prefix.length() && node(at).has_value ? &node(at).value
                                                                                   : nullptr;
  }
  [[nodiscard]] const Value* find(Prefix prefix) const { return const_cast<PrefixMap*>(this)->find(prefix); }

  // The value at `prefix`, made with Value{} if it is new; second: true if it is new.
  std::pair<Value&, bool> emplace(Prefix prefix) {
    if (is_shorter(prefix)) return shorter_.emplace(prefix);
    return value_at(place(root(slot(prefix.address())), prefix));
  }
  // The same with visit_below(prefix, visit), for the price of one way down.
  template <class Visit>
  std::pair<Value&, bool> emplace_and_visit_below(Prefix prefix, Visit&& visit) {
    if (is_shorter(prefix)) {
      visit_below(prefix, visit);
      return shorter_.emplace(prefix);
    }
    const Index at = place(root(slot(prefix.address())), prefix);
    visit_topmost(node(at).child[0], visit);
    visit_topmost(node(at).child[1], visit);
    return value_at(at);
  }

  bool erase(Prefix prefix);

  // The longest prefix that contains `address`, with its value; nullptr if none does.
  [[nodiscard]] std::pair<Prefix, const Value*> match(Address address) const {
    return longest(address, Address::kBits + 1);
  }
  // The longest prefix that contains `prefix` and is shorter than it.
  [[nodiscard]] std::pair<Prefix, const Value*> covering(Prefix prefix) const {
    return longest(prefix.address(), prefix.length());
  }

  // Calls visit(prefix, value) in order for every entry that is not before `from`, until it returns false.
  template <class Visit>
  void visit_from(Prefix from, Visit&& visit) const;

  // Calls visit(prefix) in order for the entries inside `prefix` and longer than it that no other such entry
  // holds.
  template <class Visit>
  void visit_below(Prefix prefix, Visit&& visit) const;

 private:
  using Index = std::uint32_t;
  static constexpr Index kNone = 0;  // node 0 is never used: zeroed roots are empty ones
  static constexpr std::size_t kRoots = std::size_t{1} << kRootBits;

  // What is shorter than nothing.
  struct NoMap {
    explicit NoMap(Pages) {}
    static std::size_t size() { return 0; }
    static std::size_t memory_bytes() { return 0; }
    static Value* find(Prefix) { return nullptr; }
    static std::pair<Value&, bool> emplace(Prefix) { __builtin_unreachable(); }
    static bool erase(Prefix) { return false; }
    static std::pair<Prefix, const Value*> longest(Address, unsigned) { return {}; }
    template <class Visit>
    static bool visit_in_order(Prefix, Visit&&) {
      return true;
    }
    template <class Visit>
    static void visit_below(Prefix, Visit&&) {}
  };
  template <unsigned... kBits>
  struct ShorterMap {
    using type = PrefixMap<Prefix, Value, kBits...>;
  };
  using Shorter = typename std::conditional_t<kRootBits == 0, std::type_identity<NoMap>,
                                              ShorterMap<kShorterBits...>>::type;
  template <class, class, unsigned, unsigned...>
  friend class PrefixMap;

  struct Node {
    Address address;
    std::uint8_t length = 0;
    bool has_value = false;
    std::array<Index, 2> child{kNone, kNone};
    Value value{};

    [[nodiscard]] Prefix prefix() const { return {address, length}; }
    [[nodiscard]] bool contains(Address other) const {
      return length == 0 || common_bits(address, other) >= length;
    }
  };

  Node& node(Index i) { return nodes_[i]; }
  const Node& node(Index i) const { return nodes_[i]; }

  static std::size_t slot(Address address) {
    if constexpr (kRootBits == 0) {
      return 0;
    } else {
      return static_cast<std::size_t>(address.value() >> (Address::kBits - kRootBits));
    }
  }
  static bool is_shorter(Prefix prefix) { return prefix.length() < kRootBits; }
  Index& root(std::size_t i) { return roots_.template as<Index>()[i]; }
  [[nodiscard]] Index root(std::size_t i) const { return roots_.template as<Index>()[i]; }

  std::pair<Value&, bool> value_at(Index at) {
    Node& n = node(at);
    const bool fresh = !std::exchange(n.has_value, true);
    size_ += fresh ? 1 : 0;
    return {n.value, fresh};
  }

  Index allocate(Prefix prefix) {
    Index i = nodes_.take();
    if (i == kNone) i = nodes_.take();
    node(i).address = prefix.address();
    node(i).length = static_cast<std::uint8_t>(prefix.length());
    return i;
  }

  // The last node on the way to `prefix` that contains it, or kNone.
  [[nodiscard]] Index descend(Index at, Prefix prefix) const {
    Index last = kNone;
    while (at != kNone && node(at).length <= prefix.length() && node(at).contains(prefix.address())) {
      last = at;
      if (node(at).length == prefix.length()) break;
      at = node(at).child[address_bit(prefix.address(), node(at).length)];
    }
    return last;
  }

  [[nodiscard]] std::pair<Prefix, const Value*> longest(Address address, unsigned shorter_than) const {
    const Node* best = nullptr;
    Index at = shorter_than > kRootBits ? root(slot(address)) : kNone;
    while (at != kNone && node(at).length < shorter_than && node(at).contains(address)) {
      const Node& n = node(at);
      if (n.has_value) best = &n;
      if (n.length == Address::kBits) break;
      at = n.child[address_bit(address, n.length)];
    }
    if (best != nullptr) return {best->prefix(), &best->value};
    return shorter_.longest(address, shorter_than);
  }

  Index place(Index& top, Prefix prefix);

  template <class Visit>
  bool visit_node(Index at, Prefix from, Visit& visit) const {
    if (at == kNone || node(at).prefix().last() < from.address()) return true;
    const Node& n = node(at);
    if (n.has_value && n.prefix() >= from && !visit(n.prefix(), n.value)) return false;
    return visit_node(n.child[0], from, visit) && visit_node(n.child[1], from, visit);
  }

  // The topmost entries at and under a node.
  template <class Visit>
  void visit_topmost(Index at, Visit& visit) const {
    if (at == kNone) return;
    if (node(at).has_value) return visit(node(at).prefix());
    visit_topmost(node(at).child[0], visit);
    visit_topmost(node(at).child[1], visit);
  }
  // The same for those inside `prefix` and longer.
  template <class Visit>
  void visit_topmost_below(Index at, Prefix prefix, Visit& visit) const {
    while (at != kNone && node(at).length < prefix.length()) {
      if (!node(at).contains(prefix.address())) return;
      at = node(at).child[address_bit(prefix.address(), node(at).length)];
    }
    if (at == kNone || !prefix.contains(node(at).address)) return;
    if (node(at).length > prefix.length()) return visit_topmost(at, visit);
    visit_topmost(node(at).child[0], visit);
    visit_topmost(node(at).child[1], visit);
  }

  // visit_from(), which says whether it came to the end.
  template <class Visit>
  bool visit_in_order(Prefix from, Visit&& visit) const;

  Shorter shorter_;
  Slab<Node> nodes_;
  PageMemory roots_;  // [first bits]
  std::size_t size_ = 0;
};

template <class Prefix, class Value, unsigned kRootBits, unsigned... kShorterBits>
template <class Visit>
void PrefixMap<Prefix, Value, kRootBits, kShorterBits...>::visit_from(Prefix from, Visit&& visit) const {
  visit_in_order(from, visit);
}

// Shorter prefixes start where the tries by index do: each comes before the first longer one with its
// address.
template <class Prefix, class Value, unsigned kRootBits, unsigned... kShorterBits>
template <class Visit>
bool PrefixMap<Prefix, Value, kRootBits, kShorterBits...>::visit_in_order(Prefix from, Visit&& visit) const {
  std::size_t next = slot(from.address());
  const auto visit_roots = [&](std::size_t end) {
    for (; next < end; ++next) {
      if (root(next) != kNone && !visit_node(root(next), from, visit)) return false;
    }
    return true;
  };
  const auto with_roots = [&](Prefix prefix, const Value& value) {
    return visit_roots(slot(prefix.address())) && visit(prefix, value);
  };
  return shorter_.visit_in_order(from, with_roots) && visit_roots(kRoots);
}

template <class Prefix, class Value, unsigned kRootBits, unsigned... kShorterBits>
template <class Visit>
void PrefixMap<Prefix, Value, kRootBits, kShorterBits...>::visit_below(Prefix prefix, Visit&& visit) const {
  if (!is_shorter(prefix)) return visit_topmost_below(root(slot(prefix.address())), prefix, visit);
  std::size_t next = slot(prefix.address());
  const auto visit_roots = [&](std::size_t end) {
    for (; next < end; ++next) {
      if (root(next) != kNone) visit_topmost(root(next), visit);
    }
  };
  shorter_.visit_below(prefix, [&](Prefix inner) {
    visit_roots(slot(inner.address()));
    visit(inner);
    next = slot(inner.last()) + 1;
  });
  visit_roots(slot(prefix.last()) + 1);
}

// Finds or makes the node of `prefix`: below the last node that contains it, either in an empty place, above
// a longer prefix, or beside one under a new branch.
template <class Prefix, class Value, unsigned kRootBits, unsigned... kShorterBits>
auto PrefixMap<Prefix, Value, kRootBits, kShorterBits...>::place(Index& top, Prefix prefix) -> Index {
  const Index above = descend(top, prefix);
  if (above != kNone && node(above).length == prefix.length()) return above;
  const auto link = [&]() -> Index& {
    return above == kNone ? top : node(above).child[address_bit(prefix.address(), node(above).length)];
  };
  const Index fresh = allocate(prefix);
  const Index below = link();
  if (below == kNone) return link() = fresh;

  const Prefix other = node(below).prefix();
  if (prefix.contains(other)) {
    node(fresh).child[address_bit(other.address(), prefix.length())] = below;
    return link() = fresh;
  }
  const Prefix branch(prefix.address(), common_bits(prefix.address(), other.address()));
  const Index fork = allocate(branch);
  node(fork).child[address_bit(prefix.address(), branch.length())] = fresh;
  node(fork).child[address_bit(other.address(), branch.length())] = below;
  link() = fork;
  return fresh;
}

// Takes the value, then the nodes that neither hold one nor branch any more.
template <class Prefix, class Value, unsigned kRootBits, unsigned... kShorterBits>
bool PrefixMap<Prefix, Value, kRootBits, kShorterBits...>::erase(Prefix prefix) {
  if (is_shorter(prefix)) return shorter_.erase(prefix);
  std::array<Index*, Address::kBits + 2> way{};  // the links walked, from the root
  std::size_t depth = 0;
  Index* link = &root(slot(prefix.address()));
  while (*link != kNone && node(*link).length <= prefix.length() && node(*link).contains(prefix.address())) {
    way[depth++] = link;
    if (node(*link).length == prefix.length()) break;
    link = &node(*link).child[address_bit(prefix.address(), node(*link).length)];
  }
  if (depth == 0) return false;
  Node& last = node(*way[depth - 1]);
  if (last.length != prefix.length() || !last.has_value) return false;
  last.has_value = false;
  last.value = Value{};
  --size_;
  while (depth > 0) {
    Index& at = *way[--depth];
    const Node& n = node(at);
    if (n.has_value || (n.child[0] != kNone && n.child[1] != kNone)) break;
    nodes_.give_back(at);
    at = n.child[0] != kNone ? n.child[0] : n.child[1];
    if (at != kNone) break;  // the parent still has as many children as before
  }
  return true;
}

}  // namespace millrace::lpm
