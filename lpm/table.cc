#include "lpm/table.h"

#include <algorithm>
#include <string>

namespace millrace::lpm {

template <class P, class Ls>
Table<P, Ls>::Table(Reclaimer& reclaimer, TableLimits limits, Isa isa)
    : reclaimer_(reclaimer),
      limits_(limits),
      isa_(isa),
      narrow_(std::make_unique<StrideTable<Narrow>>(reclaimer, limits)) {
  publish(*narrow_, 0);
}

template <class P, class Ls>
Table<P, Ls>::~Table() {
  delete published_.load(std::memory_order_relaxed);
}

template <class P, class Ls>
template <class L>
void Table<P, Ls>::publish(const StrideTable<L>& table, std::uint64_t now_ns) {
  const auto* next = new Lookup<Address>(lookup_of(table, isa_));
  const auto* last = published_.exchange(next, std::memory_order_acq_rel);
  if (last != nullptr) reclaimer_.retire_object(last, now_ns);
}

template <class P, class Ls>
auto Table<P, Ls>::insert(Prefix prefix, NextHopId next_hop, std::uint64_t now_ns) -> Result<Rule*> {
  prefetch(prefix);
  GapFinder gaps(gaps_, prefix);
  // `top` has no use for gaps.
  const auto [rule, fresh] =
      prefix.length() <= kTopLength ? rules_->emplace(prefix) : rules_->emplace_and_visit_below(prefix, gaps);
  gaps.finish();
  if (auto changed = change_gaps(prefix, rule, next_hop, now_ns); !changed) {
    if (fresh) rules_->erase(prefix);
    return Error{changed.error()};
  }
  return &rule;
}

template <class P, class Ls>
Result<void> Table<P, Ls>::change(Prefix prefix, Rule& rule, NextHopId next_hop, std::uint64_t now_ns) {
  if (rule.next_hop == next_hop) return {};
  if (prefix.length() > kTopLength) find_gaps(prefix);
  return change_gaps(prefix, rule, next_hop, now_ns);
}

template <class P, class Ls>
Result<void> Table<P, Ls>::change_gaps(Prefix prefix, Rule& rule, NextHopId next_hop, std::uint64_t now_ns) {
  if (next_hop == kNoRoute || next_hop.value() > kMaxId) return Error{"next-hop id out of range"};
  const NextHopId before = std::exchange(rule.next_hop, next_hop);
  if (before == next_hop) return {};
  Edit edit{next_hop.value(), {}, Reserve::keep, now_ns};
  if (before != kNoRoute) {
    edit.old_id = before.value();
    edit.reserve = Reserve::use;
  }
  if (auto applied = apply(prefix, edit); !applied) {
    rule.next_hop = before;
    ++failed_inserts_;
    return applied;
  }
  return {};
}

template <class P, class Ls>
bool Table<P, Ls>::erase(Prefix prefix, std::uint64_t now_ns) {
  const Rule* rule = find(prefix);
  if (rule == nullptr) return false;
  const std::uint32_t old_id = rule->next_hop.value();
  const std::uint32_t id = covering_id(prefix);
  if (prefix.length() <= kTopLength) {
    rules_->erase(prefix);
    write_top(prefix);
    return true;
  }
  find_gaps(prefix);
  rules_->erase(prefix);
  place(prefix, {id, old_id, Reserve::use, now_ns});
  return true;
}

// What addresses of the prefix answer where no longer one covers them, the prefix itself left aside; 0 is for
// `top` to answer.
template <class P, class Ls>
std::uint32_t Table<P, Ls>::covering_id(Prefix prefix) const {
  const auto [cover, rule] = rules_->covering(prefix);
  return rule == nullptr || cover.length() <= kTopLength ? 0 : rule->next_hop.value();
}

template <class P, class Ls>
Result<void> Table<P, Ls>::apply(Prefix prefix, const Edit& edit) {
  if (prefix.length() <= kTopLength) {
    write_top(prefix);
    return {};
  }
  largest_id_ = std::max(largest_id_, edit.id);
  if (place(prefix, edit)) return {};
  return Error{"no room for " + prefix.to_string() + ": all " + std::to_string(statistics().groups) +
               " tbl8 groups are in use"};
}

template <class P, class Ls>
bool Table<P, Ls>::place(Prefix prefix, const Edit& edit) {
  if constexpr (kCanWiden) {
    if (narrow_ && edit.id <= Narrow::kMaxId && paint(prefix, *narrow_, edit)) {
      // A wide one in the making gets the change, too, unless its turn is still to come.
      if (!wide_ || !(prefix < widened_to_) || paint(prefix, *wide_, edit)) return true;
      paint(prefix, *narrow_, {old_id_of(prefix, edit), edit.id, Reserve::use, edit.now_ns});
      return false;
    }
    // The rules say already what is to be: the wide table gets the change on its way. A limit that the wide
    // form has, too, is no reason to go there.
    if (narrow_) {
      const bool too_narrow = edit.id > Narrow::kMaxId || narrow_->groups_limit() < limits_.max_groups;
      return too_narrow && start_widening() && widen(SIZE_MAX, edit.now_ns);
    }
    return paint(prefix, *wide_, edit);
  } else {
    return paint(prefix, *narrow_, edit);
  }
}

template <class P, class Ls>
template <class L>
bool Table<P, Ls>::paint(Prefix prefix, StrideTable<L>& table, const Edit& edit) {
  for (std::size_t i = 0; i < gaps_.size(); ++i) {
    if (table.set(gaps_[i].first, gaps_[i].last, edit.id, edit.reserve, edit.now_ns)) continue;
    // Nothing was folded yet: going back needs no block.
    const std::uint32_t old_id = old_id_of(prefix, edit);
    for (std::size_t done = 0; done <= i; ++done) {
      table.set(gaps_[done].first, gaps_[done].last, old_id, edit.reserve, edit.now_ns);
    }
    fold_gaps(table, edit.now_ns);
    return false;
  }
  fold_gaps(table, edit.now_ns);
  return true;
}

template <class P, class Ls>
template <class L>
void Table<P, Ls>::fold_gaps(StrideTable<L>& table, std::uint64_t now_ns) {
  for (const Range& gap : gaps_) table.fold(gap.first, gap.last, now_ns);
}

template <class P, class Ls>
void Table<P, Ls>::find_gaps(Prefix prefix) {
  GapFinder gaps(gaps_, prefix);
  rules_->visit_below(prefix, gaps);
  gaps.finish();
}

// Each of the first octets under the prefix gets the longest of the short prefixes that holds it now.
template <class P, class Ls>
void Table<P, Ls>::write_top(Prefix prefix) {
  const auto publish_top = [&](std::size_t i, std::uint32_t id) {
    __atomic_store_n(&(*top_)[i], id, __ATOMIC_RELEASE);
  };
  publish_top(kTopCommon, kMixed);
  constexpr unsigned kShift = Address::kBits - 8;
  const auto last = static_cast<std::size_t>(prefix.last().value() >> kShift);
  for (auto octet = static_cast<std::size_t>(prefix.address().value() >> kShift); octet <= last; ++octet) {
    const Address address(static_cast<Word>(static_cast<Word>(octet) << kShift));
    const auto [cover, rule] = rules_->covering(Prefix(address, kTopLength + 1));
    publish_top(octet, rule == nullptr ? 0 : rule->next_hop.value());
  }
  const auto entries = std::span(*top_).template first<kTopEntries>();
  if (std::all_of(entries.begin(), entries.end(), [&](std::uint32_t e) { return e == entries[0]; })) {
    publish_top(kTopCommon, entries[0]);
  }
}

// Rules in order: those that hold others come first, and are painted over.
template <class P, class Ls>
template <class L>
std::unique_ptr<StrideTable<L>> Table<P, Ls>::build(const Rules& rules, std::uint64_t now_ns) const {
  auto table = std::make_unique<StrideTable<L>>(reclaimer_, limits_);
  bool fits = true;
  rules.visit_from({}, [&](Prefix prefix, const Rule& rule) {
    if (prefix.length() <= kTopLength) return true;
    const Word first = prefix.address().value(), last = prefix.last().value();
    fits = rule.next_hop.value() <= L::kMaxId &&
           table->set(first, last, rule.next_hop.value(), Reserve::keep, now_ns);
    if (fits) table->fold(first, last, now_ns);
    return fits;
  });
  if (!fits) {
    reclaimer_.retire_object(table.release(), now_ns);
    return nullptr;
  }
  while (table->share(SIZE_MAX, now_ns)) {
  }
  return table;
}

template <class P, class Ls>
Result<void> Table<P, Ls>::replace_all(std::span<const Route> routes, std::uint64_t now_ns) {
  std::vector<Route> sorted(routes.begin(), routes.end());
  const auto before = [](const Route& a, const Route& b) { return a.prefix < b.prefix; };
  if (!std::is_sorted(sorted.begin(), sorted.end(), before)) {
    std::stable_sort(sorted.begin(), sorted.end(), before);
  }
  auto rules = std::make_unique<Rules>(Pages::transparent);
  for (const Route& route : sorted) {
    if (route.next_hop == kNoRoute || route.next_hop.value() > kMaxId)
      return Error{"next-hop id out of range"};
    rules->emplace(route.prefix).first.next_hop = route.next_hop;
  }
  auto narrow = build<Narrow>(*rules, now_ns);
  auto wide = narrow || !kCanWiden ? nullptr : build<Wide>(*rules, now_ns);
  if (!narrow && !wide) return Error{"no room for these routes: there are not enough tbl8 groups"};
  rules_ = std::move(rules);
  auto old_top = std::exchange(top_, std::make_unique<Top>());
  write_top({});
  auto old_narrow = std::exchange(narrow_, std::move(narrow));
  auto old_wide = std::exchange(wide_, std::move(wide));
  if (narrow_) {
    publish(*narrow_, now_ns);
  } else {
    publish(*wide_, now_ns);
  }
  // After the lookup that named them, and after their own retired blocks.
  reclaimer_.retire_object(old_top.release(), now_ns);
  if (old_narrow) reclaimer_.retire_object(old_narrow.release(), now_ns);
  if (old_wide) reclaimer_.retire_object(old_wide.release(), now_ns);
  return {};
}

template <class P, class Ls>
bool Table<P, Ls>::should_widen() const {
  if constexpr (!kCanWiden) return false;
  if (!narrow_ || wide_) return false;
  const std::size_t limit = narrow_->groups_limit();
  const bool few_groups = limit < limits_.max_groups && narrow_->groups_used() > limit / 4 * 3;
  return largest_id_ > Narrow::kMaxId / 4 * 3 || few_groups;
}

template <class P, class Ls>
bool Table<P, Ls>::start_widening() {
  if (wide_) return true;
  try {
    wide_ = std::make_unique<StrideTable<Wide>>(reclaimer_, limits_);
  } catch (const std::bad_alloc&) {
    return false;
  }
  widened_to_ = Prefix{};
  return true;
}

template <class P, class Ls>
bool Table<P, Ls>::widen(std::size_t budget, std::uint64_t now_ns) {
  bool all = true, fits = true;
  rules_->visit_from(widened_to_, [&](Prefix prefix, const Rule& rule) {
    if (budget-- == 0) {
      widened_to_ = prefix;
      return all = false;
    }
    if (prefix.length() <= kTopLength) return true;
    const Word first = prefix.address().value(), last = prefix.last().value();
    fits = wide_->set(first, last, rule.next_hop.value(), Reserve::keep, now_ns);
    if (fits) wide_->fold(first, last, now_ns);
    return fits;
  });
  if (!fits) {
    reclaimer_.retire_object(wide_.release(), now_ns);
    return false;
  }
  if (!all) return false;
  publish(*wide_, now_ns);
  reclaimer_.retire_object(narrow_.release(), now_ns);
  return true;
}

template <class P, class Ls>
bool Table<P, Ls>::maintain(std::size_t budget, std::uint64_t now_ns) {
  if constexpr (kCanWiden) {
    if (should_widen() && !start_widening()) return false;
    if (narrow_ && wide_) {
      widen(budget, now_ns);
      return true;
    }
    if (wide_) return wide_->share(budget, now_ns);
  }
  return narrow_->share(budget, now_ns);
}

template <class P, class Ls>
auto Table<P, Ls>::statistics() const -> Statistics {
  Statistics s;
  const auto add = [&](const auto& table) {
    s.groups = table.groups_used();
    s.lookup_bytes = table.lookup_memory_bytes() + sizeof(Top);
    s.memory_bytes += table.memory_bytes();
    s.pages = table.page_kind();
  };
  if (wide_) add(*wide_);
  if (narrow_) add(*narrow_);
  s.wide = !narrow_;
  s.prefixes = rules_->size();
  s.memory_bytes += rules_->memory_bytes() + sizeof(Top);
  s.failed_inserts = failed_inserts_;
  return s;
}

template class Table<Ipv4Prefix>;
template class Table<Ipv6Prefix>;
template class Table<Ipv4Prefix, Dir24Layouts>;

}  // namespace millrace::lpm
