// How a longest-prefix-match table lies in memory: the strides of a multibit trie, and the width of its
// entries (Degermark et al., "Small Forwarding Tables for Fast Routing Lookups", SIGCOMM 1997, for strides
// with shared nodes; Gupta, Lin, McKeown, INFOCOM 1998, for DIR-24-8).
//
//   first[a >> (bits - s0)] --- plain ----> next hop
//                           --- extended -> block[s1 bits of a] --- plain ----> next hop
//                                                               --- extended -> block[s2 bits of a] ...
//   an answer of zero  -> top[first octet of a] -> next hop of a prefix of length 0..7, or 0: no route
//
// An entry is a next-hop id, or (highest bit set) the number of a block of the next level. `top` keeps a
// default route out of the rest: it changes by 256 stores at most instead of every entry of the table.
//
// One template serves all layouts; each is a set of constants, so that a lookup is straight code.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include "net/address.h"
#include "net/ipv6_address.h"

namespace millrace::lpm {

// The two meanings of an entry of an unsigned type.
template <class Entry>
struct EntryCode {
  static constexpr unsigned kBits = sizeof(Entry) * 8;
  static constexpr Entry kExtended = static_cast<Entry>(Entry{1} << (kBits - 1));
  static constexpr Entry kNumber = static_cast<Entry>(kExtended - 1);  // the largest id or block number
  static constexpr bool extended(Entry e) { return (e & kExtended) != 0; }
  static constexpr std::uint32_t number(Entry e) { return e & kNumber; }
};

namespace strides {
template <std::size_t n>
using List = std::array<unsigned, n>;

// What is left of an address behind the bits that each level looks at.
template <std::size_t n>
constexpr List<n> shifts(const List<n>& strides, unsigned bits) {
  List<n> result{};
  for (std::size_t i = 0; i < n; ++i) result[i] = bits -= strides[i];
  return result;
}

// Levels share a pool if their blocks have one size and name blocks of one pool: then equal blocks mean the
// same, whatever their level. Level 0 has none.
template <std::size_t n>
constexpr List<n> pools(const List<n>& strides) {
  List<n> result{};
  unsigned made = 0;
  for (std::size_t i = n - 1; i > 0; --i) {
    std::size_t same = i + 1;
    while (same < n && (strides[same] != strides[i] || (same + 1 < n && result[same + 1] != result[i + 1])))
      ++same;
    result[i] = same < n ? result[same] : made++;
  }
  return result;
}
}  // namespace strides

template <class AddressType, class FirstEntry, class BlockEntry, unsigned... kStrideList>
struct Layout {
  using Address = AddressType;
  using Word = decltype(AddressType{}.value());
  using First = FirstEntry;
  using Block = BlockEntry;
  static constexpr unsigned kLevels = sizeof...(kStrideList);
  static constexpr strides::List<kLevels> kStrides{kStrideList...};
  static constexpr strides::List<kLevels> kShifts = strides::shifts(kStrides, AddressType::kBits);
  static constexpr strides::List<kLevels> kPools = strides::pools(kStrides);
  static_assert(kShifts[kLevels - 1] == 0);

  static constexpr std::size_t entries(unsigned level) { return std::size_t{1} << kStrides[level]; }
  static constexpr std::size_t index(unsigned level, Word address) {
    return static_cast<std::size_t>(address >> kShifts[level]) & (entries(level) - 1);
  }

  static constexpr unsigned pool_count() {
    unsigned count = 0;
    for (unsigned level = 1; level < kLevels; ++level)
      count = kPools[level] < count ? count : kPools[level] + 1;
    return count;
  }
  static constexpr std::size_t pool_entries(unsigned pool) {
    unsigned level = 1;
    while (kPools[level] != pool) ++level;
    return entries(level);
  }
  // The most blocks of a pool that every entry which may name one can name. Vector forms index entries by
  // signed 32-bit numbers.
  static constexpr std::uint32_t pool_limit(unsigned pool) {
    std::uint64_t limit = (std::uint64_t{1} << 31) / pool_entries(pool);
    for (unsigned level = 1; level < kLevels; ++level) {
      const std::uint64_t names = level == 1 ? std::uint64_t{EntryCode<First>::kNumber} + 1
                                             : std::uint64_t{EntryCode<Block>::kNumber} + 1;
      if (kPools[level] == pool && names < limit) limit = names;
    }
    return static_cast<std::uint32_t>(limit);
  }
  // The largest next-hop id that every entry can hold.
  static constexpr std::uint32_t kMaxId = EntryCode<Block>::kNumber < EntryCode<First>::kNumber
                                              ? EntryCode<Block>::kNumber
                                              : EntryCode<First>::kNumber;
};

// IPv4. The narrow forms hold 32,767 next-hop ids; the wide ones are for more of them.
using CompactNarrow = Layout<Ipv4Address, std::uint32_t, std::uint16_t, 18, 6, 8>;
using CompactWide = Layout<Ipv4Address, std::uint32_t, std::uint32_t, 18, 6, 8>;
using Dir24Narrow = Layout<Ipv4Address, std::uint16_t, std::uint16_t, 24, 8>;
using Dir24Wide = Layout<Ipv4Address, std::uint32_t, std::uint32_t, 24, 8>;

using Ipv6Layout =
    Layout<Ipv6Address, std::uint32_t, std::uint32_t, 24, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8>;

inline constexpr unsigned kMaxPools = 3;
inline constexpr unsigned kTopLength = 7;  // the longest prefix that lives in `top`
inline constexpr std::size_t kTopEntries = 256;
// Behind them, what all of them say if they say the same (a default route, or nothing), else kMixed: then a
// vector form need not gather. The writer sets kMixed before it changes the first of them.
inline constexpr std::size_t kTopCommon = kTopEntries;
inline constexpr std::uint32_t kMixed = 0xffffffff;

// Where a table lies: what a lookup needs, and no more. Several readers, one writer (stride_table.h).
struct TableView {
  const std::uint32_t* top = nullptr;
  const void* first = nullptr;
  std::array<const void*, kMaxPools> pools{};
};

}  // namespace millrace::lpm
