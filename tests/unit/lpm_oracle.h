// The longest-prefix match that nobody can get wrong: look at every prefix.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <utility>

#include "net/address.h"
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

// Addresses where answers change: the ends of a prefix and their neighbours; now and then any address.
inline Ipv4Address random_address_near(Random& random, Ipv4Prefix prefix) {
  switch (random.below(6)) {
    case 0:
      return prefix.address();
    case 1:
      return prefix.last();
    case 2:
      return Ipv4Address(prefix.address().value() - 1);
    case 3:
      return Ipv4Address(prefix.last().value() + 1);
    case 4:
      return Ipv4Address(prefix.address().value() | (random.bits() & ~ipv4_mask(prefix.length())));
    default:
      return Ipv4Address(random.bits());
  }
}

}  // namespace millrace
