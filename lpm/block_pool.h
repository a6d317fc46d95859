// The blocks of one size of a table: numbered, never moving, shared where their entries are equal.
//
// A block is `own` or `shared`. An own block belongs to one entry of its parent, and is changed in place. A
// shared one never changes again: equal ones are found by their content, and each entry that names one counts
// as a reference. Written and read by the control thread; workers read the entries alone.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <optional>
#include <vector>

#include "lpm/page_memory.h"

namespace millrace::lpm {

class BlockPool {
 public:
  static constexpr std::uint32_t kNone = 0xffffffff;

  // `max_blocks` and the reserve.
  BlockPool(std::size_t block_bytes, std::uint32_t max_blocks, Pages pages);

  [[nodiscard]] const void* data() const { return memory_.as<void>(); }
  [[nodiscard]] bool has_memory() const { return static_cast<bool>(memory_); }
  template <class Entry>
  [[nodiscard]] Entry* block(std::uint32_t number) const {
    return reinterpret_cast<Entry*>(memory_.as<char>() + number * block_bytes_);
  }

  // Asks for a block that is about to be changed, and for the one that may have to take a copy of it.
  void prefetch(std::uint32_t number) const {
    const std::uint32_t fresh = free_.empty() ? number : free_.back();
    for (const std::uint32_t n : {number, fresh}) {
      __builtin_prefetch(&info_[n]);
      for (std::size_t at = 0; at < block_bytes_ && at < 128; at += 64)
        __builtin_prefetch(block<char>(n) + at);
    }
  }

  // An own block with one reference; its entries are what they were. Nothing if all are in use: kReserve more
  // are kept for callers that must not fail. They need them until the next grace period is over, two a change
  // at most.
  static constexpr std::uint32_t kReserve = 4096;
  std::optional<std::uint32_t> take(bool from_reserve);
  // For a block without references, a grace period after it lost the last one.
  void give_back(std::uint32_t number);

  [[nodiscard]] bool is_own(std::uint32_t number) const { return !info_[number].shared; }
  void add_reference(std::uint32_t number) { ++info_[number].references; }
  // True if that was the last one: nobody is given the block any more.
  bool drop_reference(std::uint32_t number) { return --info_[number].references == 0; }
  // Makes an own block a shared one. If an equal one is there already, it gets one more reference and is
  // returned, and the own one stays as it is.
  std::uint32_t share(std::uint32_t number);

  [[nodiscard]] std::uint32_t used() const { return made_ - static_cast<std::uint32_t>(free_.size()); }
  [[nodiscard]] std::uint32_t limit() const { return max_blocks_; }  // without the reserve
  [[nodiscard]] std::size_t block_bytes() const { return block_bytes_; }
  [[nodiscard]] std::size_t memory_bytes() const {
    return made_ * block_bytes_ + info_.capacity() * sizeof(Info) + free_.capacity() * sizeof(std::uint32_t) +
           buckets_.size() * sizeof(std::uint32_t);
  }

 private:
  struct Info {
    std::uint32_t references = 0;
    std::uint32_t hash = 0;
    std::uint32_t next = kNone;  // of the same bucket
    bool shared = false;
  };
  static constexpr std::uint32_t kBuckets = 1 << 16;

  std::uint32_t& bucket(std::uint32_t hash) { return buckets_[hash % kBuckets]; }
  [[nodiscard]] std::uint32_t hash_of(std::uint32_t number) const;

  std::size_t block_bytes_;
  std::uint32_t max_blocks_;
  std::uint32_t made_ = 0;
  PageMemory memory_;
  std::vector<Info> info_;
  std::vector<std::uint32_t> free_;
  std::vector<std::uint32_t> buckets_;  // of shared blocks, by content
};

}  // namespace millrace::lpm
