#include "lpm/ipv4_table.h"

#include <algorithm>
#include <new>

namespace millrace::lpm {
namespace {

// Pairs with the acquire in Ipv4Lookup: what a new entry names was written before it.
void publish(std::uint32_t& slot, std::uint32_t e) {
  __atomic_store_n(&slot, e, __ATOMIC_RELEASE);
}

// Whether a change of a prefix of `length` touches an entry: an insert wins over what is as short or shorter,
// an erase takes only what is its own (in its range, only its own entries have its length).
bool touches(std::uint32_t e, unsigned length, bool erasing) {
  return erasing ? e != 0 && entry::length(e) == length : entry::length(e) <= length;
}

}  // namespace

Ipv4TableBuilder::Ipv4TableBuilder(Reclaimer& reclaimer, Limits limits)
    : reclaimer_(reclaimer),
      limits_(limits),
      tbl24_(Ipv4Lookup::kTbl24Entries * sizeof(std::uint32_t), limits.pages),
      // Reserved for the largest table: taking that much from the hugetlb pool at once would be a waste.
      tbl8_(std::size_t{limits.max_groups} * Ipv4Lookup::kGroupEntries * sizeof(std::uint32_t),
            limits.pages == Pages::normal ? Pages::normal : Pages::transparent) {
  if (!tbl24_ || !tbl8_) throw std::bad_alloc();
}

Result<void> Ipv4TableBuilder::insert(Ipv4Prefix prefix, NextHopId next_hop, std::uint64_t now_ns) {
  if (next_hop == kNoRoute || next_hop.value() > entry::kIdMask) return Error{"next-hop id out of range"};
  if (prefix.length() > 24 && !ensure_group(prefix.address().value() >> 8)) {
    ++failed_inserts_;
    return Error{"no room for " + prefix.to_string() + ": all " + std::to_string(limits_.max_groups) +
                 " tbl8 groups are in use"};
  }
  rules_.emplace(prefix).first = next_hop;
  const std::uint32_t e = entry::plain(next_hop.value(), prefix.length());
  if (prefix.length() <= kTopLength) {
    write_top(prefix);
  } else if (prefix.length() <= 24) {
    write_range(prefix, e, false, now_ns);
  } else {
    write_group(prefix, e, false, now_ns);
  }
  return {};
}

bool Ipv4TableBuilder::erase(Ipv4Prefix prefix, std::uint64_t now_ns) {
  if (!rules_.erase(prefix)) return false;
  if (prefix.length() <= kTopLength) {
    write_top(prefix);
    return true;
  }
  const auto [cover, next_hop] = rules_.covering(prefix);
  const bool in_top = next_hop == nullptr || cover.length() <= kTopLength;
  const std::uint32_t e = in_top ? 0 : entry::plain(next_hop->value(), cover.length());
  if (prefix.length() <= 24) {
    write_range(prefix, e, true, now_ns);
  } else {
    write_group(prefix, e, true, now_ns);
  }
  return true;
}

// Each of the at most 256 first octets under the prefix gets the longest of the short prefixes that holds it
// now.
void Ipv4TableBuilder::write_top(Ipv4Prefix prefix) {
  const std::uint32_t last = prefix.last().value() >> 24;
  for (std::uint32_t octet = prefix.address().value() >> 24; octet <= last; ++octet) {
    const auto [cover, next_hop] = rules_.covering(Ipv4Prefix(Ipv4Address(octet << 24), kTopLength + 1));
    publish(top_[octet], next_hop == nullptr ? 0 : entry::plain(next_hop->value(), cover.length()));
  }
}

void Ipv4TableBuilder::write_range(Ipv4Prefix prefix, std::uint32_t new_entry, bool erasing,
                                   std::uint64_t now_ns) {
  auto* tbl24 = tbl24_.as<std::uint32_t>();
  const std::uint32_t last = prefix.last().value() >> 8;
  for (std::uint32_t i = prefix.address().value() >> 8; i <= last; ++i) {
    if (!entry::extended(tbl24[i])) {
      if (touches(tbl24[i], prefix.length(), erasing)) publish(tbl24[i], new_entry);
      continue;
    }
    for (std::uint32_t *e = group(entry::id(tbl24[i])), *end = e + Ipv4Lookup::kGroupEntries; e != end; ++e) {
      if (touches(*e, prefix.length(), erasing)) publish(*e, new_entry);
    }
    fold(i, now_ns);
  }
}

void Ipv4TableBuilder::write_group(Ipv4Prefix prefix, std::uint32_t new_entry, bool erasing,
                                   std::uint64_t now_ns) {
  const std::uint32_t index = prefix.address().value() >> 8;
  std::uint32_t* entries = group(entry::id(tbl24_.as<std::uint32_t>()[index]));
  const std::uint32_t last = prefix.last().value() & 0xff;
  for (std::uint32_t i = prefix.address().value() & 0xff; i <= last; ++i) {
    if (touches(entries[i], prefix.length(), erasing)) publish(entries[i], new_entry);
  }
  if (erasing) fold(index, now_ns);
}

// A group whose entries all say the same, of a prefix no longer than 24, goes back into tbl24.
void Ipv4TableBuilder::fold(std::uint32_t tbl24_index, std::uint64_t now_ns) {
  std::uint32_t& slot = tbl24_.as<std::uint32_t>()[tbl24_index];
  const std::uint32_t number = entry::id(slot);
  const std::uint32_t* entries = group(number);
  if (entry::length(entries[0]) > 24) return;
  if (!std::all_of(entries, entries + Ipv4Lookup::kGroupEntries, [&](auto e) { return e == entries[0]; }))
    return;
  publish(slot, entries[0]);
  reclaimer_.retire(
      [](void* self, std::uint64_t g) {
        static_cast<Ipv4TableBuilder*>(self)->free_groups_.push_back(static_cast<std::uint32_t>(g));
      },
      this, number, now_ns);
}

// Makes sure that the tbl24 entry names a group; a new one starts as 256 copies of the entry. False if none
// is left.
bool Ipv4TableBuilder::ensure_group(std::uint32_t tbl24_index) {
  std::uint32_t& slot = tbl24_.as<std::uint32_t>()[tbl24_index];
  if (entry::extended(slot)) return true;
  std::uint32_t number = 0;
  if (!free_groups_.empty()) {
    number = free_groups_.back();
    free_groups_.pop_back();
  } else if (groups_made_ < limits_.max_groups) {
    number = groups_made_++;
  } else {
    return false;
  }
  std::fill_n(group(number), Ipv4Lookup::kGroupEntries, slot);
  publish(slot, entry::kExtended | number);
  return true;
}

std::size_t Ipv4TableBuilder::memory_bytes() const {
  return Ipv4Lookup::kTbl24Entries * sizeof(std::uint32_t) +
         std::size_t{groups_made_} * Ipv4Lookup::kGroupEntries * sizeof(std::uint32_t) +
         rules_.memory_bytes();
}

}  // namespace millrace::lpm
