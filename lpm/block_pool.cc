#include "lpm/block_pool.h"

namespace millrace::lpm {

BlockPool::BlockPool(std::size_t block_bytes, std::uint32_t max_blocks, Pages pages)
    : block_bytes_(block_bytes),
      max_blocks_(max_blocks),
      memory_(PageMemory::reserve((std::size_t{max_blocks} + kReserve) * block_bytes, pages)) {}

std::optional<std::uint32_t> BlockPool::take(bool from_reserve) {
  if (used() >= max_blocks_ + (from_reserve ? kReserve : 0)) return std::nullopt;
  std::uint32_t number = made_;
  if (!free_.empty()) {
    number = free_.back();
    free_.pop_back();
  } else if (!memory_.grow((std::size_t{made_} + 1) * block_bytes_)) {
    return std::nullopt;
  } else {
    ++made_;
    info_.emplace_back();
  }
  info_[number] = {.references = 1};
  return number;
}

// Two streams of CRC-32C over the halves of the block, joined.
std::uint32_t BlockPool::hash_of(std::uint32_t number) const {
  const char* bytes = block<char>(number);
  std::uint64_t a = 1, b = 2;
  for (std::size_t at = 0; at < block_bytes_ / 2; at += sizeof(std::uint64_t)) {
    std::uint64_t first, second;
    std::memcpy(&first, bytes + at, sizeof first);
    std::memcpy(&second, bytes + block_bytes_ / 2 + at, sizeof second);
    a = __builtin_ia32_crc32di(a, first);
    b = __builtin_ia32_crc32di(b, second);
  }
  return static_cast<std::uint32_t>(a * 0x9e3779b1U ^ b);
}

std::uint32_t BlockPool::share(std::uint32_t number) {
  if (buckets_.empty()) buckets_.assign(kBuckets, kNone);
  const std::uint32_t hash = hash_of(number);
  for (std::uint32_t at = bucket(hash); at != kNone; at = info_[at].next) {
    if (info_[at].references != 0 && info_[at].hash == hash &&
        std::memcmp(block<char>(at), block<char>(number), block_bytes_) == 0) {
      ++info_[at].references;
      return at;
    }
  }
  info_[number].hash = hash;
  info_[number].shared = true;
  info_[number].next = std::exchange(bucket(hash), number);
  return number;
}

// A shared block is taken out of its bucket here, and not when its last reference goes: that would be two
// more far places that a change has to wait for.
void BlockPool::give_back(std::uint32_t number) {
  const Info& info = info_[number];
  if (info.shared) {
    std::uint32_t* link = &bucket(info.hash);
    while (*link != number) link = &info_[*link].next;
    *link = info.next;
  }
  free_.push_back(number);
}

}  // namespace millrace::lpm
