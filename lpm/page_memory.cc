#include "lpm/page_memory.h"

#include <sys/mman.h>

namespace millrace::lpm {
namespace {

constexpr std::size_t k2M = std::size_t{2} << 20;

std::size_t round_up(std::size_t bytes, std::size_t unit) {
  return (bytes + unit - 1) / unit * unit;
}

void* map(std::size_t bytes, int flags) {
  void* data = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
  return data == MAP_FAILED ? nullptr : data;
}

}  // namespace

PageMemory::PageMemory(std::size_t bytes, Pages pages) : bytes_(round_up(bytes, k2M)) {
  if (pages == Pages::automatic) {
    // Without MAP_NORESERVE the kernel promises the pages now: a later touch cannot fail for lack of them.
    data_ = map(bytes_, MAP_HUGETLB | (21 << MAP_HUGE_SHIFT));
    page_kind_ = "2M";
  }
  if (data_ == nullptr) {
    data_ = map(bytes_, MAP_NORESERVE);
    page_kind_ = "4K";
    if (data_ != nullptr && pages != Pages::normal && madvise(data_, bytes_, MADV_HUGEPAGE) == 0) {
      page_kind_ = "transparent";
    }
  }
  if (data_ == nullptr) bytes_ = 0;
}

PageMemory::~PageMemory() {
  if (data_ != nullptr) munmap(data_, bytes_);
}

}  // namespace millrace::lpm
