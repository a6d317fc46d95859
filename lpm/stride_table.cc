#include "lpm/stride_table.h"

#include <algorithm>
#include <cstring>
#include <new>

namespace millrace::lpm {
namespace {

// Pairs with the acquire of the lookups: what an entry names was written before it.
template <class Entry>
void publish(Entry& slot, Entry value) {
  __atomic_store_n(&slot, value, __ATOMIC_RELEASE);
}

template <class Entry>
Entry plain(std::uint32_t id) {
  return static_cast<Entry>(id);
}
template <class Entry>
Entry naming(std::uint32_t block) {
  return static_cast<Entry>(EntryCode<Entry>::kExtended | block);
}

}  // namespace

template <class L>
StrideTable<L>::StrideTable(Reclaimer& reclaimer, TableLimits limits)
    : reclaimer_(reclaimer), first_(L::entries(0) * sizeof(First), limits.pages) {
  if (!first_) throw std::bad_alloc();
  for (unsigned p = 0; p < L::pool_count(); ++p) {
    const bool last_level = p == L::kPools[L::kLevels - 1];
    const std::uint32_t wanted = last_level ? limits.max_groups : kUnshared;
    const std::uint32_t most = L::pool_limit(p) - BlockPool::kReserve;
    pools_.emplace_back(L::pool_entries(p) * sizeof(Block), std::min(wanted, most), limits.pages);
    if (!pools_.back().has_memory()) throw std::bad_alloc();
  }
}

template <class L>
TableView StrideTable<L>::view(const std::uint32_t* top) const {
  TableView view{top, first_.as<void>(), {}};
  for (std::size_t p = 0; p < pools_.size(); ++p) view.pools[p] = pools_[p].data();
  return view;
}

template <class L>
bool StrideTable<L>::set(Word first, Word last, std::uint32_t id, Reserve reserve, std::uint64_t now_ns) {
  return set_level(first_.as<First>(), 0, first, last, {id, reserve, now_ns});
}

// Edges that fill only a part of an entry first: they are what can fail, and nothing is done behind a
// failure.
template <class L>
template <class Entry>
bool StrideTable<L>::set_level(Entry* table, unsigned level, Word first, Word last, const Change& change) {
  const Word inside = (Word{1} << L::kShifts[level]) - 1;
  std::size_t from = L::index(level, first);
  std::size_t to = L::index(level, last) + 1;  // one behind
  const bool cut_first = (first & inside) != 0;
  const bool cut_last = (last & inside) != inside;
  if (from + 1 == to && (cut_first || cut_last))
    return set_below(table[from], level + 1, first, last, change);
  if (cut_first) {
    if (!set_below(table[from], level + 1, first, static_cast<Word>(first | inside), change)) return false;
    ++from;
  }
  if (cut_last) {
    --to;
    if (!set_below(table[to], level + 1, static_cast<Word>(last & ~inside), last, change)) return false;
  }
  for (; from < to; ++from) replace(table[from], plain<Entry>(change.id), level, change.now_ns);
  return true;
}

// The same in the block that `slot` names or will name.
template <class L>
template <class Entry>
bool StrideTable<L>::set_below(Entry& slot, unsigned level, Word first, Word last, const Change& change) {
  const bool has_block = EntryCode<Entry>::extended(slot);
  const std::uint32_t old = EntryCode<Entry>::number(slot);
  if (!has_block && old == change.id) return true;
  if (has_block && pool(level).is_own(old)) return set_level(entries(level, old), level, first, last, change);

  const auto fresh = pool(level).take(change.reserve == Reserve::use);
  if (!fresh) return false;
  Block* block = entries(level, *fresh);
  if (has_block) {
    std::copy_n(entries(level, old), L::entries(level), block);
    visit_children(level, *fresh, [&](std::uint32_t child) { pool(level + 1).add_reference(child); });
  } else {
    std::fill_n(block, L::entries(level), plain<Block>(old));
  }
  if (!set_level(block, level, first, last, change)) {
    release(level, *fresh, change.now_ns);
    return false;
  }
  publish(slot, naming<Entry>(*fresh));
  if (has_block) release(level, old, change.now_ns);
  if (level == 1) changed_.push_back(static_cast<std::uint32_t>(L::index(0, first)));
  return true;
}

// `level` is the one of the table that `slot` lies in.
template <class L>
template <class Entry>
void StrideTable<L>::replace(Entry& slot, Entry value, unsigned level, std::uint64_t now_ns) {
  const Entry old = slot;
  if (old == value) return;
  publish(slot, value);
  if (EntryCode<Entry>::extended(old)) release(level + 1, EntryCode<Entry>::number(old), now_ns);
}

template <class L>
void StrideTable<L>::release(unsigned level, std::uint32_t number, std::uint64_t now_ns) {
  if (!pool(level).drop_reference(number)) return;
  visit_children(level, number, [&](std::uint32_t child) { release(level + 1, child, now_ns); });
  reclaimer_.retire(
      [](void* blocks, std::uint64_t n) {
        static_cast<BlockPool*>(blocks)->give_back(static_cast<std::uint32_t>(n));
      },
      &pool(level), number, now_ns);
}

template <class L>
template <class Visit>
void StrideTable<L>::visit_children(unsigned level, std::uint32_t number, Visit&& visit) {
  if (level + 1 == L::kLevels) return;
  // Most blocks have none: eight bytes of entries are looked at together.
  constexpr std::size_t kTogether = sizeof(std::uint64_t) / sizeof(Block);
  constexpr std::uint64_t kAnyExtended =
      ~std::uint64_t{0} / ((std::uint64_t{1} << EntryCode<Block>::kBits) - 1) * EntryCode<Block>::kExtended;
  const Block* block = entries(level, number);
  for (std::size_t i = 0; i < L::entries(level); i += kTogether) {
    std::uint64_t together;
    std::memcpy(&together, block + i, sizeof together);
    if ((together & kAnyExtended) == 0) [[likely]]
      continue;
    for (std::size_t k = i; k < i + kTogether; ++k) {
      if (EntryCode<Block>::extended(block[k])) visit(EntryCode<Block>::number(block[k]));
    }
  }
}

template <class L>
void StrideTable<L>::fold(Word first, Word last, std::uint64_t now_ns) {
  First* table = first_.as<First>();
  fold_below(table[L::index(0, first)], 1, first, now_ns);
  if (first != last) fold_below(table[L::index(0, last)], 1, last, now_ns);
}

// Shared blocks are never uniform: they were folded when they were own ones.
template <class L>
template <class Entry>
void StrideTable<L>::fold_below(Entry& slot, unsigned level, Word address, std::uint64_t now_ns) {
  if (!EntryCode<Entry>::extended(slot) || !pool(level).is_own(EntryCode<Entry>::number(slot))) return;
  Block* block = entries(level, EntryCode<Entry>::number(slot));
  if (level + 1 < L::kLevels) fold_below(block[L::index(level, address)], level + 1, address, now_ns);
  if (EntryCode<Block>::extended(block[0])) return;
  if (std::memcmp(block, block + 1, (L::entries(level) - 1) * sizeof(Block)) != 0) return;
  replace(slot, plain<Entry>(block[0]), level - 1, now_ns);
}

template <class L>
bool StrideTable<L>::share(std::size_t budget, std::uint64_t now_ns) {
  for (; budget != 0 && !changed_.empty(); --budget) {
    share_below(first_.as<First>()[changed_.front()], 1, now_ns);
    changed_.pop_front();
  }
  return !changed_.empty();
}

template <class L>
template <class Entry>
void StrideTable<L>::share_below(Entry& slot, unsigned level, std::uint64_t now_ns) {
  if (!EntryCode<Entry>::extended(slot)) return;
  const std::uint32_t own = EntryCode<Entry>::number(slot);
  if (!pool(level).is_own(own)) return;
  if (level + 1 < L::kLevels) {
    Block* block = entries(level, own);
    for (std::size_t i = 0; i < L::entries(level); ++i) share_below(block[i], level + 1, now_ns);
  }
  const std::uint32_t equal = pool(level).share(own);
  if (equal == own) return;
  publish(slot, naming<Entry>(equal));
  release(level, own, now_ns);
}

template <class L>
std::size_t StrideTable<L>::lookup_memory_bytes() const {
  std::size_t bytes = L::entries(0) * sizeof(First);
  for (const BlockPool& p : pools_) bytes += p.used() * p.block_bytes();
  return bytes;
}

template <class L>
std::size_t StrideTable<L>::memory_bytes() const {
  std::size_t bytes = first_.usable_bytes();
  for (const BlockPool& p : pools_) bytes += p.memory_bytes();
  return bytes;
}

#define MILLRACE_LAYOUT(L) template class StrideTable<L>;
#include "lpm/layouts.def"
#undef MILLRACE_LAYOUT

}  // namespace millrace::lpm
