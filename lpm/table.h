// The builder side of a FIB: owns the rules and the memory that a Lookup reads.
//
// Written and read by the control thread only; every change is at once visible to workers (lookup.h). Workers
// hold the table's `published()` place, whose pointer moves when the table lays itself out anew.
//
// IPv4 starts with two-byte entries. When next-hop ids or blocks are about to run out for them, maintain()
// builds the wide form aside, slice by slice, while changes go to both, and swaps the pointer; a change that
// cannot wait does the rest at once. IPv6 has one form.
//
// Cost of a change: what the prefix covers at the first level (a /8: 1,024 entries) plus the blocks at the
// edges of longer prefixes inside. Everything shorter than /8 is 256 stores.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "lpm/lookup.h"
#include "lpm/prefix_map.h"
#include "lpm/reclaimer.h"
#include "lpm/stride_table.h"
#include "net/result.h"

namespace millrace::lpm {

// Which forms a table takes, and its rules. DIR-24-8 is the other one for IPv4: docs/tables.md has both
// measured.
template <class Prefix>
struct DefaultLayouts;
template <>
struct DefaultLayouts<Ipv4Prefix> {
  using Narrow = CompactNarrow;
  using Wide = CompactWide;
  template <class Rule>
  using Rules = PrefixMap<Ipv4Prefix, Rule, 20, 16, 8>;
};
template <>
struct DefaultLayouts<Ipv6Prefix> {
  using Narrow = Ipv6Layout;
  using Wide = Ipv6Layout;
  template <class Rule>
  using Rules = PrefixMap<Ipv6Prefix, Rule, 16>;
};

struct Dir24Layouts {
  using Narrow = Dir24Narrow;
  using Wide = Dir24Wide;
};

template <class PrefixType, class Layouts = DefaultLayouts<PrefixType>>
class Table {
 public:
  using Prefix = PrefixType;
  using Address = typename Prefix::Address;
  using Narrow = typename Layouts::Narrow;
  using Wide = typename Layouts::Wide;

  // What the table keeps of a prefix; `data` is the owner's.
  struct Rule {
    NextHopId next_hop;
    std::uint32_t data = 0;
  };
  struct Route {
    Prefix prefix;
    NextHopId next_hop;
  };
  struct Statistics {
    std::size_t prefixes = 0;
    std::size_t groups = 0;        // blocks of the last level
    std::size_t lookup_bytes = 0;  // what lookups read
    std::size_t memory_bytes = 0;  // with what changes need
    std::uint64_t failed_inserts = 0;
    bool wide = false;
    std::string_view pages;
  };

  // Throws std::bad_alloc if the kernel refuses the address space. The reclaimer outlives the table, and
  // holds nothing of it any more when the table goes: poll() it until it returns 0.
  Table(Reclaimer& reclaimer, TableLimits limits, Isa isa = best_isa());
  ~Table();
  Table(const Table&) = delete;
  Table& operator=(const Table&) = delete;

  // Where workers find the lookup side: the pointer changes (release; pairs with an acquire), what it points
  // to does not, and goes a grace period after.
  [[nodiscard]] const std::atomic<const Lookup<Address>*>& published() const { return published_; }
  [[nodiscard]] const Lookup<Address>& lookup() const { return *published_.load(std::memory_order_relaxed); }
  // The same by the code for an instruction set, good as long as published() stays.
  [[nodiscard]] Lookup<Address> lookup_by(Isa isa) const {
    if (narrow_) return lookup_of(*narrow_, isa);
    return lookup_of(*wide_, isa);
  }

  // Adds the prefix or changes its next hop; the rule is good until the prefix is erased. On an error (no
  // block left, id out of range) nothing changed.
  Result<Rule*> insert(Prefix prefix, NextHopId next_hop, std::uint64_t now_ns);
  // The same for a rule that find() or insert() gave. It may use blocks that new prefixes do not get.
  Result<void> change(Prefix prefix, Rule& rule, NextHopId next_hop, std::uint64_t now_ns);
  // False if the prefix is not there.
  bool erase(Prefix prefix, std::uint64_t now_ns);
  // Makes these the only routes, in any order (of two with one prefix the last counts): built aside and
  // swapped in. On an error nothing changed.
  Result<void> replace_all(std::span<const Route> routes, std::uint64_t now_ns);

  // Work that makes the table smaller and faster, or wider: up to `budget` places. True if there is more.
  bool maintain(std::size_t budget, std::uint64_t now_ns);

  // Who finds a rule will change it.
  [[nodiscard]] Rule* find(Prefix prefix) {
    prefetch(prefix);
    return rules_->find(prefix);
  }
  [[nodiscard]] const Rule* find(Prefix prefix) const { return std::as_const(*rules_).find(prefix); }
  // The longest prefix that holds the address; that holds `prefix` and is shorter. nullptr: none.
  [[nodiscard]] std::pair<Prefix, const Rule*> match(Address address) const { return rules_->match(address); }
  [[nodiscard]] std::pair<Prefix, const Rule*> covering(Prefix prefix) const {
    return rules_->covering(prefix);
  }
  // visit(prefix, rule) in order from `from`, until it returns false.
  template <class Visit>
  void visit_from(Prefix from, Visit&& visit) const {
    rules_->visit_from(from, visit);
  }
  [[nodiscard]] std::size_t size() const { return rules_->size(); }
  [[nodiscard]] Statistics statistics() const;

 private:
  using Word = typename Narrow::Word;
  using Rules = typename DefaultLayouts<Prefix>::template Rules<Rule>;
  static constexpr bool kCanWiden = !std::is_same_v<Narrow, Wide>;
  static constexpr std::uint32_t kMaxId = Wide::kMaxId;

  using Top = std::array<std::uint32_t, kTopEntries + 1>;  // with kTopCommon
  struct Range {
    Word first, last;
  };
  // Walks the gaps of a prefix: the parts that no longer one covers, as these are visited in order.
  class GapFinder {
   public:
    GapFinder(std::vector<Range>& gaps, Prefix prefix)
        : gaps_(gaps), next_(prefix.address().value()), last_(prefix.last().value()) {
      gaps_.clear();
    }
    void operator()(Prefix inner) {
      const Word first = inner.address().value(), last = inner.last().value();
      if (next_ < first) gaps_.push_back({next_, static_cast<Word>(first - 1)});
      left_ = last != last_;
      next_ = static_cast<Word>(last + 1);
    }
    void finish() {
      if (left_) gaps_.push_back({next_, last_});
    }

   private:
    std::vector<Range>& gaps_;
    Word next_, last_;
    bool left_ = true;
  };
  // What the gaps of a prefix are to answer, and what they answered; without that, what covers the prefix.
  struct Edit {
    std::uint32_t id;
    std::optional<std::uint32_t> old_id;
    Reserve reserve;
    std::uint64_t now_ns;
  };

  void prefetch(Prefix prefix) const {
    reclaimer_.prefetch();
    if (narrow_) narrow_->prefetch(prefix.address().value());
    if (wide_) wide_->prefetch(prefix.address().value());
  }
  Result<void> apply(Prefix prefix, const Edit& edit);
  bool place(Prefix prefix, const Edit& edit);
  template <class L>
  bool paint(Prefix prefix, StrideTable<L>& table, const Edit& edit);
  template <class L>
  void fold_gaps(StrideTable<L>& table, std::uint64_t now_ns);
  void find_gaps(Prefix prefix);
  Result<void> change_gaps(Prefix prefix, Rule& rule, NextHopId next_hop, std::uint64_t now_ns);
  [[nodiscard]] std::uint32_t covering_id(Prefix prefix) const;
  [[nodiscard]] std::uint32_t old_id_of(Prefix prefix, const Edit& edit) const {
    return edit.old_id ? *edit.old_id : covering_id(prefix);
  }
  void write_top(Prefix prefix);

  template <class L>
  std::unique_ptr<StrideTable<L>> build(const Rules& rules, std::uint64_t now_ns) const;
  template <class L>
  [[nodiscard]] Lookup<Address> lookup_of(const StrideTable<L>& table, Isa isa) const {
    return Lookup<Address>::template of<L>(table.view(top_->data()), isa);
  }
  template <class L>
  void publish(const StrideTable<L>& table, std::uint64_t now_ns);
  [[nodiscard]] bool should_widen() const;
  bool start_widening();
  // Up to `budget` rules more; true when the wide table is in use.
  bool widen(std::size_t budget, std::uint64_t now_ns);

  Reclaimer& reclaimer_;
  TableLimits limits_;
  Isa isa_;
  std::unique_ptr<Rules> rules_ = std::make_unique<Rules>(Pages::transparent);
  std::unique_ptr<Top> top_ = std::make_unique<Top>();
  std::unique_ptr<StrideTable<Narrow>> narrow_;  // the table in use, until it is too narrow
  std::unique_ptr<StrideTable<Wide>> wide_;      // in use without a narrow one; else in the making
  Prefix widened_to_;                            // rules before this one are in the wide table
  std::uint32_t largest_id_ = 0;
  std::atomic<const Lookup<Address>*> published_{nullptr};
  std::vector<Range> gaps_;  // of the change in hand: the parts of its prefix that no longer one covers
  std::uint64_t failed_inserts_ = 0;
};

using Ipv4Table = Table<Ipv4Prefix>;
using Ipv6Table = Table<Ipv6Prefix>;

}  // namespace millrace::lpm
