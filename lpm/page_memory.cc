#include "lpm/page_memory.h"

#include <sys/mman.h>

#include <cstdint>

namespace millrace::lpm {
namespace {

std::size_t round_up(std::size_t bytes, std::size_t unit) {
  return (bytes + unit - 1) / unit * unit;
}

// Addresses without a promise of memory.
void* map(void* at, std::size_t bytes, int flags) {
  void* data =
      mmap(at, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | flags, -1, 0);
  return data == MAP_FAILED ? nullptr : data;
}

}  // namespace

PageMemory::PageMemory(std::size_t bytes, Pages pages, Reserve)
    : bytes_(round_up(bytes, kPiece)), pages_(pages) {
  if (pages_ == Pages::automatic) {
    data_ = map(nullptr, bytes_, MAP_HUGETLB | (21 << MAP_HUGE_SHIFT));
    if (data_ != nullptr) return;
    pages_ = Pages::transparent;
  }
  // A piece more than asked for, so that the range can start at the edge of a large page.
  auto* range = static_cast<char*>(map(nullptr, bytes_ + kPiece, 0));
  if (range == nullptr) {
    bytes_ = 0;
    return;
  }
  const std::size_t before = (kPiece - reinterpret_cast<std::uintptr_t>(range) % kPiece) % kPiece;
  if (before != 0) munmap(range, before);
  munmap(range + before + bytes_, kPiece - before);
  data_ = range + before;
}

PageMemory::PageMemory(std::size_t bytes, Pages pages) : PageMemory(bytes, pages, Reserve{}) {
  grow(bytes);
}

bool PageMemory::grow(std::size_t bytes) {
  if (bytes > bytes_) return false;
  const std::size_t wanted = round_up(bytes, kPiece);
  if (wanted <= usable_) return true;
  char* from = static_cast<char*>(data_) + usable_;
  const std::size_t more = wanted - usable_;
  // Pages are taken now: with none left, a touch of a hugetlb range would be a SIGBUS.
  if (pages_ == Pages::automatic) {
    if (madvise(from, more, MADV_POPULATE_WRITE) == 0) {
      usable_ = wanted;
      page_kind_ = "2M";
      return true;
    }
    if (map(from, more, MAP_FIXED) == nullptr) return false;
  }
  usable_ = wanted;
  page_kind_ = "4K";
  if (pages_ != Pages::normal && madvise(from, more, MADV_HUGEPAGE) == 0) page_kind_ = "transparent";
  return true;
}

PageMemory::~PageMemory() {
  if (data_ != nullptr) munmap(data_, bytes_);
}

}  // namespace millrace::lpm
