// The lookup side of the IPv4 table: DIR-24-8 (Gupta, Lin, McKeown, "Routing Lookups in Hardware at Memory
// Access Speeds", INFOCOM 1998), and a small table beside it for the shortest prefixes.
//
//   tbl24[a >> 8]  --- plain ----------------> next hop of a prefix of length 8..24
//                  --- extended -> tbl8[g][a & 255] -> next hop of a prefix of length 8..32
//        either one zero ------> top[a >> 24] -> next hop of a prefix of length 0..7, or 0: no route
//
// An entry:  31        30..25   24..0
//            extended  length   next-hop id, or the number of a tbl8 group if extended
//
// `top` keeps a default route, or any other short prefix, out of tbl24: it changes by 256 stores at most
// instead of 16 million, and needs no page of tbl24.
//
// Who reads: workers, at any time; who writes: Ipv4TableBuilder on the control thread, by single aligned
// 4-byte stores, each of which moves one or 256 addresses from their old answer to the new one. A tbl8 group
// is filled before the store that names it (release; pairs with the acquire in `load`), and used again a
// grace period after the store that stops naming it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "net/strong_id.h"

namespace millrace::lpm {

namespace entry {
inline constexpr std::uint32_t kExtended = 0x80000000;
inline constexpr std::uint32_t kIdMask = 0x01ffffff;
inline constexpr unsigned kLengthShift = 25;
constexpr std::uint32_t plain(std::uint32_t id, unsigned length) {
  return (length << kLengthShift) | id;
}
constexpr unsigned length(std::uint32_t e) {
  return (e >> kLengthShift) & 0x3f;
}
constexpr std::uint32_t id(std::uint32_t e) {
  return e & kIdMask;
}
constexpr bool extended(std::uint32_t e) {
  return (e & kExtended) != 0;
}
static_assert(length(plain(7, 32)) == 32 && id(plain(kIdMask, 32)) == kIdMask &&
              !extended(plain(kIdMask, 32)));
}  // namespace entry

inline constexpr NextHopId kNoRoute{0};

class Ipv4Lookup {
 public:
  static constexpr std::size_t kTopEntries = 256;
  static constexpr std::size_t kTbl24Entries = std::size_t{1} << 24;
  static constexpr std::size_t kGroupEntries = 256;

  Ipv4Lookup(const std::uint32_t* top, const std::uint32_t* tbl24, const std::uint32_t* tbl8)
      : top_(top), tbl24_(tbl24), tbl8_(tbl8) {}

  // Brings the line that lookup() reads first; call it a burst ahead.
  void prefetch(std::uint32_t address) const { __builtin_prefetch(&tbl24_[address >> 8], 0, 3); }

  [[nodiscard]] NextHopId lookup(std::uint32_t address) const {
    return finish(address, load(tbl24_[address >> 8]));
  }

  // The whole burst at once: all first reads are issued before any is used. `addresses` are in host order;
  // `next_hops` has room for as many.
  void lookup(std::span<const std::uint32_t> addresses, NextHopId* next_hops) const {
    constexpr std::size_t kStride = 32;
    std::uint32_t first[kStride];
    for (std::size_t base = 0; base < addresses.size(); base += kStride) {
      const std::size_t n = addresses.size() - base < kStride ? addresses.size() - base : kStride;
      for (std::size_t i = 0; i < n; ++i) {
        first[i] = load(tbl24_[addresses[base + i] >> 8]);
        if (entry::extended(first[i])) [[unlikely]]
          __builtin_prefetch(group_entry(first[i], addresses[base + i]));
      }
      for (std::size_t i = 0; i < n; ++i) next_hops[base + i] = finish(addresses[base + i], first[i]);
    }
  }

 private:
  static std::uint32_t load(const std::uint32_t& e) { return __atomic_load_n(&e, __ATOMIC_ACQUIRE); }

  const std::uint32_t* group_entry(std::uint32_t e, std::uint32_t address) const {
    return &tbl8_[std::size_t{entry::id(e)} * kGroupEntries + (address & 0xff)];
  }

  [[nodiscard]] NextHopId finish(std::uint32_t address, std::uint32_t e) const {
    if (entry::extended(e)) [[unlikely]]
      e = load(*group_entry(e, address));
    if (e == 0) [[unlikely]]
      e = load(top_[address >> 24]);
    return NextHopId(entry::id(e));
  }

  const std::uint32_t* top_;
  const std::uint32_t* tbl24_;
  const std::uint32_t* tbl8_;
};

}  // namespace millrace::lpm
