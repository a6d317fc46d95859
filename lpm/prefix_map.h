// An ordered map from prefixes to values with longest-prefix match: a path-compressed binary trie.
//
//              10.0.0.0/8 *                 * holds a value; others only branch.
//              /          \                 A node's children extend its prefix; child[b] has bit b after it.
//      10.0.0.0/16 *    10.128.0.0/9 *      Order of iteration: by address, then shorter before longer.
//
// Written and read by one thread (the control thread). Nodes live in chunks that never move: references to
// values stay good until that prefix is erased, and growth costs no copy. Errors: none but std::bad_alloc.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

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

template <class Prefix, class Value>
class PrefixMap {
 public:
  using Address = typename Prefix::Address;

  PrefixMap() = default;
  PrefixMap(const PrefixMap&) = delete;
  PrefixMap& operator=(const PrefixMap&) = delete;

  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] std::size_t memory_bytes() const { return chunks_.size() * kChunk * sizeof(Node); }

  [[nodiscard]] Value* find(Prefix prefix) {
    const Index at = descend(prefix);
    return at != kNone && node(at).prefix == prefix && node(at).value ? &*node(at).value : nullptr;
  }
  [[nodiscard]] const Value* find(Prefix prefix) const { return const_cast<PrefixMap*>(this)->find(prefix); }

  // The value at `prefix`, made with Value{} if it is new; second: true if it is new.
  std::pair<Value&, bool> emplace(Prefix prefix) {
    Node& target = node(place(prefix));
    const bool fresh = !target.value;
    if (fresh) {
      target.value.emplace();
      ++size_;
    }
    return {*target.value, fresh};
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
  void visit_from(Prefix from, Visit&& visit) const {
    visit_node(root_, from, visit);
  }

 private:
  using Index = std::uint32_t;
  static constexpr Index kNone = 0xffffffff;
  static constexpr unsigned kChunk = 4096;

  struct Node {
    Prefix prefix;
    std::array<Index, 2> child{kNone, kNone};
    std::optional<Value> value;
  };

  Node& node(Index i) { return chunks_[i / kChunk][i % kChunk]; }
  const Node& node(Index i) const { return chunks_[i / kChunk][i % kChunk]; }

  Index allocate(Prefix prefix) {
    Index i;
    if (!free_.empty()) {
      i = free_.back();
      free_.pop_back();
    } else {
      if (used_ % kChunk == 0) chunks_.push_back(std::make_unique<Node[]>(kChunk));
      i = used_++;
    }
    node(i) = Node{};
    node(i).prefix = prefix;
    return i;
  }

  // The last node on the way to `prefix` that contains it, or kNone.
  [[nodiscard]] Index descend(Prefix prefix) const {
    Index at = root_;
    Index last = kNone;
    while (at != kNone && node(at).prefix.contains(prefix)) {
      last = at;
      if (node(at).prefix.length() == prefix.length()) break;
      at = node(at).child[address_bit(prefix.address(), node(at).prefix.length())];
    }
    return last;
  }

  [[nodiscard]] std::pair<Prefix, const Value*> longest(Address address, unsigned shorter_than) const {
    std::pair<Prefix, const Value*> best{Prefix{}, nullptr};
    Index at = root_;
    while (at != kNone && node(at).prefix.length() < shorter_than && node(at).prefix.contains(address)) {
      const Node& n = node(at);
      if (n.value) best = {n.prefix, &*n.value};
      if (n.prefix.length() == Address::kBits) break;
      at = n.child[address_bit(address, n.prefix.length())];
    }
    return best;
  }

  Index place(Prefix prefix);

  template <class Visit>
  bool visit_node(Index at, Prefix from, Visit& visit) const {
    if (at == kNone || node(at).prefix.last() < from.address()) return true;
    const Node& n = node(at);
    if (n.value && n.prefix >= from && !visit(n.prefix, *n.value)) return false;
    return visit_node(n.child[0], from, visit) && visit_node(n.child[1], from, visit);
  }

  std::vector<std::unique_ptr<Node[]>> chunks_;
  std::vector<Index> free_;
  Index used_ = 0;
  Index root_ = kNone;
  std::size_t size_ = 0;
};

// Finds or makes the node of `prefix`: below the last node that contains it, either in an empty place, above
// a longer prefix, or beside one under a new branch.
template <class Prefix, class Value>
auto PrefixMap<Prefix, Value>::place(Prefix prefix) -> Index {
  const Index above = descend(prefix);
  if (above != kNone && node(above).prefix == prefix) return above;
  const auto link = [&]() -> Index& {
    return above == kNone ? root_
                          : node(above).child[address_bit(prefix.address(), node(above).prefix.length())];
  };
  const Index fresh = allocate(prefix);
  const Index below = link();
  if (below == kNone) return link() = fresh;

  const Prefix other = node(below).prefix;
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

// Takes the value away, then every node on its way up that neither holds a value nor branches.
template <class Prefix, class Value>
bool PrefixMap<Prefix, Value>::erase(Prefix prefix) {
  std::array<Index*, Address::kBits + 2> way{};  // the links walked, from the root
  std::size_t depth = 0;
  Index* link = &root_;
  while (*link != kNone && node(*link).prefix.contains(prefix)) {
    way[depth++] = link;
    if (node(*link).prefix.length() == prefix.length()) break;
    link = &node(*link).child[address_bit(prefix.address(), node(*link).prefix.length())];
  }
  if (depth == 0 || node(*way[depth - 1]).prefix != prefix || !node(*way[depth - 1]).value) return false;
  node(*way[depth - 1]).value.reset();
  --size_;
  while (depth > 0) {
    Index& at = *way[--depth];
    const Node& n = node(at);
    if (n.value || (n.child[0] != kNone && n.child[1] != kNone)) break;
    free_.push_back(at);
    at = n.child[0] != kNone ? n.child[0] : n.child[1];
    if (at != kNone) break;  // the parent still has as many children as before
  }
  return true;
}

}  // namespace millrace::lpm
