// The builder side of the IPv4 table: owns the memory that Ipv4Lookup reads, and keeps the rules.
//
// Written and read by the control thread only. Every change is at once visible to workers (see
// ipv4_lookup.h). Worst cost of one change: 65,536 entries and the tbl8 groups under them (a /8).
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "lpm/ipv4_lookup.h"
#include "lpm/page_memory.h"
#include "lpm/prefix_map.h"
#include "lpm/reclaimer.h"
#include "net/address.h"
#include "net/result.h"

namespace millrace::lpm {

class Ipv4TableBuilder {
 public:
  struct Limits {
    // Address space is reserved for as many, memory arrives with use. 1,024 bytes each.
    std::uint32_t max_groups = std::uint32_t{1} << 20;
    Pages pages = Pages::automatic;
  };

  // Throws std::bad_alloc if the kernel refuses the address space. The reclaimer outlives
  // the table, and holds nothing of it any more when the table goes: poll() it until it returns 0.
  Ipv4TableBuilder(Reclaimer& reclaimer, Limits limits);
  Ipv4TableBuilder(const Ipv4TableBuilder&) = delete;
  Ipv4TableBuilder& operator=(const Ipv4TableBuilder&) = delete;

  [[nodiscard]] Ipv4Lookup lookup() const {
    return {top_.data(), tbl24_.as<std::uint32_t>(), tbl8_.as<std::uint32_t>()};
  }

  // Adds the prefix or changes its next hop. On an error (no tbl8 group left, id out of range) nothing
  // changed.
  Result<void> insert(Ipv4Prefix prefix, NextHopId next_hop, std::uint64_t now_ns);
  // False if the prefix is not there.
  bool erase(Ipv4Prefix prefix, std::uint64_t now_ns);

  [[nodiscard]] const NextHopId* find(Ipv4Prefix prefix) const { return rules_.find(prefix); }
  template <class Visit>
  void visit_from(Ipv4Prefix from, Visit&& visit) const {
    rules_.visit_from(from, visit);
  }

  [[nodiscard]] std::size_t size() const { return rules_.size(); }
  [[nodiscard]] std::size_t groups_used() const { return groups_made_ - free_groups_.size(); }
  [[nodiscard]] std::uint64_t failed_inserts() const { return failed_inserts_; }  // for lack of a tbl8 group
  [[nodiscard]] std::size_t memory_bytes() const;
  [[nodiscard]] std::string_view page_kind() const { return tbl24_.page_kind(); }

 private:
  static constexpr unsigned kTopLength = 7;  // the longest prefix that lives in `top`

  void write_top(Ipv4Prefix prefix);
  void write_range(Ipv4Prefix prefix, std::uint32_t new_entry, bool erasing, std::uint64_t now_ns);
  void write_group(Ipv4Prefix prefix, std::uint32_t new_entry, bool erasing, std::uint64_t now_ns);
  void fold(std::uint32_t tbl24_index, std::uint64_t now_ns);
  bool ensure_group(std::uint32_t tbl24_index);
  std::uint32_t* group(std::uint32_t number) const {
    return tbl8_.as<std::uint32_t>() + std::size_t{number} * Ipv4Lookup::kGroupEntries;
  }

  Reclaimer& reclaimer_;
  Limits limits_;
  std::array<std::uint32_t, Ipv4Lookup::kTopEntries> top_{};
  PageMemory tbl24_;
  PageMemory tbl8_;
  PrefixMap<Ipv4Prefix, NextHopId> rules_;
  std::vector<std::uint32_t> free_groups_;
  std::uint32_t groups_made_ = 0;
  std::uint64_t failed_inserts_ = 0;
};

}  // namespace millrace::lpm
