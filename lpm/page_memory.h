// Zeroed memory for big tables, on the largest pages that the machine gives.
//
// Written and read by whoever the owner says; allocated and freed by the control thread. A table's whole
// range is reserved at once and its pages arrive when they are touched, so that a table can grow without
// moving.
#pragma once

#include <cstddef>
#include <string_view>
#include <utility>

namespace millrace::lpm {

enum class Pages : unsigned char {
  automatic,    // hugetlb pages if enough are free, else as `transparent`
  transparent,  // huge pages where and when the kernel gives them
  normal,       // ordinary pages only
};

class PageMemory {
 public:
  PageMemory() = default;
  // `bytes` of zeroes. Holds nothing (`!*this`) if the kernel refuses.
  PageMemory(std::size_t bytes, Pages pages);
  PageMemory(PageMemory&& other) noexcept { swap(other); }
  PageMemory& operator=(PageMemory&& other) noexcept {
    swap(other);
    return *this;
  }
  PageMemory(const PageMemory&) = delete;
  PageMemory& operator=(const PageMemory&) = delete;
  ~PageMemory();

  explicit operator bool() const { return data_ != nullptr; }
  template <class T>
  [[nodiscard]] T* as() const {
    return static_cast<T*>(data_);
  }
  [[nodiscard]] std::string_view page_kind() const { return page_kind_; }

 private:
  void swap(PageMemory& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    std::swap(page_kind_, other.page_kind_);
  }

  void* data_ = nullptr;
  std::size_t bytes_ = 0;
  std::string_view page_kind_ = "none";
};

}  // namespace millrace::lpm
