// The writing side of one layout (layout.h): sets what ranges of addresses answer, entry by entry, while
// workers read.
//
// It knows ranges and answers only; which prefixes there are, and which one of them wins, is Table's
// business. Written and read by the control thread. What is taken out of readers' way is retired
// (reclaimer.h).
//
// An own block (block_pool.h) has one way to it, and is changed in place: each store moves the addresses of
// one entry from their old answer to the new one. A shared block stands for several places: a change for one
// of them makes a copy, fills it, and moves that place's entry to it. A block below a shared one is shared,
// too. So no reader on its way to one place ever sees what was meant for another.
#pragma once

#include <deque>
#include <memory>
#include <vector>

#include "lpm/block_pool.h"
#include "lpm/layout.h"
#include "lpm/page_memory.h"
#include "lpm/reclaimer.h"

namespace millrace::lpm {

// Whether a change may take from the blocks that are kept for those that must not fail.
enum class Reserve : bool { keep, use };

struct TableLimits {
  // Blocks of the last level at most (tbl8 groups, as DIR-24-8 calls them).
  std::uint32_t max_groups = std::uint32_t{1} << 20;
  Pages pages = Pages::automatic;
};

template <class L>
class StrideTable {
 public:
  using Word = typename L::Word;

  // Throws std::bad_alloc if the kernel refuses the address space.
  StrideTable(Reclaimer& reclaimer, TableLimits limits);
  StrideTable(const StrideTable&) = delete;
  StrideTable& operator=(const StrideTable&) = delete;

  [[nodiscard]] TableView view(const std::uint32_t* top) const;

  // Every address from `first` to `last` answers `id`. False if a block was needed and there is none: part of
  // the range may have changed then, and setting the range to what it was needs no block.
  bool set(Word first, Word last, std::uint32_t id, Reserve reserve, std::uint64_t now_ns);
  // Asks for the memory that a change at `address` will touch. Worth its while before the rules are looked
  // for: both are far away, and neither needs the other.
  void prefetch(Word address) const {
    const First entry = first_.as<First>()[L::index(0, address)];
    if (!EntryCode<First>::extended(entry)) return;
    pools_[L::kPools[1]].prefetch(EntryCode<First>::number(entry));
  }
  // Takes out the blocks at the edges of the range that say the same everywhere.
  void fold(Word first, Word last, std::uint64_t now_ns);
  // Looks at up to `budget` places that changed, and lets those with equal blocks share one. True if there
  // are more.
  bool share(std::size_t budget, std::uint64_t now_ns);

  [[nodiscard]] std::size_t groups_used() const { return pools_[L::kPools[L::kLevels - 1]].used(); }
  [[nodiscard]] std::size_t groups_limit() const { return pools_[L::kPools[L::kLevels - 1]].limit(); }
  [[nodiscard]] std::size_t memory_bytes() const;         // all of it
  [[nodiscard]] std::size_t lookup_memory_bytes() const;  // what lookups read of it
  [[nodiscard]] std::string_view page_kind() const { return first_.page_kind(); }

 private:
  using First = typename L::First;
  using Block = typename L::Block;
  static constexpr std::uint32_t kUnshared = 1U << 19;  // the limit of pools that are not the last level's

  BlockPool& pool(unsigned level) { return pools_[L::kPools[level]]; }
  Block* entries(unsigned level, std::uint32_t number) { return pool(level).template block<Block>(number); }

  struct Change {
    std::uint32_t id;
    Reserve reserve;
    std::uint64_t now_ns;
  };
  template <class Entry>
  bool set_level(Entry* table, unsigned level, Word first, Word last, const Change& change);
  template <class Entry>
  bool set_below(Entry& slot, unsigned level, Word first, Word last, const Change& change);
  template <class Entry>
  void replace(Entry& slot, Entry value, unsigned level, std::uint64_t now_ns);
  template <class Entry>
  void fold_below(Entry& slot, unsigned level, Word address, std::uint64_t now_ns);
  template <class Entry>
  void share_below(Entry& slot, unsigned level, std::uint64_t now_ns);
  void release(unsigned level, std::uint32_t number, std::uint64_t now_ns);
  template <class Visit>
  void visit_children(unsigned level, std::uint32_t number, Visit&& visit);

  Reclaimer& reclaimer_;
  PageMemory first_;
  std::vector<BlockPool> pools_;
  std::deque<std::uint32_t> changed_;  // entries of the first level whose block became an own one
};

}  // namespace millrace::lpm
