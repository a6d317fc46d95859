// The longest-prefix match that nobody can get wrong: look at every prefix, or for every length.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <unordered_map>
#include <utility>

#include "net/address.h"
#include "net/ipv6_address.h"
#include "net/strong_id.h"
#include "tests/unit/random.h"

namespace millrace {

class LpmOracle {
 public:
  std::map<Ipv4Prefix, NextHopId> rules;

  // Id 0 with no prefix matching. `shorter_than` 33: the match of an address.
  [[nodiscard]] std::pair<Ipv4Prefix, NextHopId> match(Ipv4Address address,
                                                       unsigned shorter_than = 33) const {
    std::pair<Ipv4Prefix, NextHopId> best{};
    for (const auto& [prefix, id] : rules) {
      if (prefix.length() >= shorter_than || !prefix.contains(address)) continue;
      if (best.second == NextHopId(0) || prefix.length() > best.first.length()) best = {prefix, id};
    }
    return best;
  }
};

// For many rules and many questions: asks for the prefix of every length that there is, the longest first.
template <class Prefix>
class LengthOracle {
 public:
  using Address = typename Prefix::Address;

  void insert(Prefix prefix, NextHopId id) {
    const bool fresh = rules_.insert_or_assign(prefix, id).second;
    if (fresh) ++of_length_[prefix.length()];
  }
  bool erase(Prefix prefix) {
    if (rules_.erase(prefix) == 0) return false;
    --of_length_[prefix.length()];
    return true;
  }
  [[nodiscard]] NextHopId match(Address address) const {
    for (unsigned length = Address::kBits + 1; length-- > 0;) {
      if (of_length_[length] == 0) continue;
      if (const auto at = rules_.find(Prefix(address, length)); at != rules_.end()) return at->second;
    }
    return {};
  }
  [[nodiscard]] const std::unordered_map<Prefix, NextHopId>& rules() const { return rules_; }

 private:
  std::unordered_map<Prefix, NextHopId> rules_;
  std::array<std::size_t, Address::kBits + 1> of_length_{};
};

// Prefixes that nest and collide: few places, every length, short and long ones more often than the Internet
// has them.
inline Ipv4Prefix random_prefix(Random& random) {
  static constexpr std::array<std::uint32_t, 6> kPlaces = {0x00000000, 0x0a000000, 0x0a010200,
                                                           0x7fffff00, 0xc0000200, 0xffffff00};
  std::uint32_t address = kPlaces[random.below(kPlaces.size())];
  if (random.chance(2)) address ^= random.below(1024);
  if (random.chance(8)) address ^= random.bits() & 0x00ff0000;
  if (random.chance(16)) address = random.bits();
  unsigned length = random.below(33);
  if (random.chance(3)) length = 22 + random.below(11);
  if (random.chance(8)) length = random.below(9);
  return {Ipv4Address(address), length};
}

inline Ipv6Prefix random_ipv6_prefix(Random& random) {
  static constexpr std::array<std::uint64_t, 6> kPlaces = {0,
                                                           0x20010db8'00000000,
                                                           0x20010db8'00010002,
                                                           0x2a000000'0000ffff,
                                                           0xfe800000'00000000,
                                                           0xffffffff'ffffffff};
  std::uint64_t high = kPlaces[random.below(kPlaces.size())];
  std::uint64_t low = random.chance(2) ? 0 : high;
  if (random.chance(2)) low ^= random.below(1024);
  if (random.chance(4)) high ^= std::uint64_t{random.below(1024)} << (8 * random.below(7));
  if (random.chance(16)) high = std::uint64_t{random.bits()} << 32 | random.bits();
  unsigned length = random.below(129);
  if (random.chance(3)) length = 28 + random.below(24);
  if (random.chance(8)) length = random.below(9);
  if (random.chance(8)) length = 120 + random.below(9);
  return {Ipv6Address(high, low), length};
}

// Addresses where answers change: the ends of a prefix and their neighbours; now and then any address.
template <class Prefix>
typename Prefix::Address random_address_near(Random& random, Prefix prefix) {
  using Address = typename Prefix::Address;
  using Word = decltype(Address{}.value());
  Word any = 0;
  for (unsigned i = 0; i < sizeof(Word); i += sizeof(std::uint32_t)) {
    any = static_cast<Word>(any << (Address::kBits > 32 ? 32 : 0) | random.bits());
  }
  switch (random.below(6)) {
    case 0:
      return prefix.address();
    case 1:
      return prefix.last();
    case 2:
      return Address(static_cast<Word>(prefix.address().value() - 1));
    case 3:
      return Address(static_cast<Word>(prefix.last().value() + 1));
    case 4:
      return Address(static_cast<Word>(prefix.address().value() |
                                       (any & (prefix.last().value() ^ prefix.address().value()))));
    default:
      return Address(any);
  }
}

}  // namespace millrace
