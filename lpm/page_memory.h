// Zeroed memory for big tables, on the largest pages that the machine gives.
//
// Written and read by whoever the owner says; allocated and freed by the control thread. A table's whole
// range of addresses is reserved at once; its memory arrives piece by piece, so that a table grows without
// moving.
#pragma once

#include <cstddef>
#include <string_view>
#include <utility>

namespace millrace::lpm {

enum class Pages : unsigned char {
  automatic,    // hugetlb pages while some are free, else as `transparent`
  transparent,  // huge pages where and when the kernel gives them
  normal,       // ordinary pages only
};

class PageMemory {
 public:
  static constexpr std::size_t kPiece = std::size_t{2} << 20;

  PageMemory() = default;
  // `bytes` of zeroes, all of them usable. Holds nothing (`!*this`) if the kernel refuses.
  PageMemory(std::size_t bytes, Pages pages);
  // Addresses for `bytes`, of which grow() makes the first ones usable.
  static PageMemory reserve(std::size_t bytes, Pages pages) { return {bytes, pages, Reserve{}}; }
  PageMemory(PageMemory&& other) noexcept { swap(other); }
  PageMemory& operator=(PageMemory&& other) noexcept {
    swap(other);
    return *this;
  }
  PageMemory(const PageMemory&) = delete;
  PageMemory& operator=(const PageMemory&) = delete;
  ~PageMemory();

  // Makes at least the first `bytes` usable; nothing that is usable already moves or changes. False past the
  // end of the range.
  bool grow(std::size_t bytes);

  explicit operator bool() const { return data_ != nullptr; }
  template <class T>
  [[nodiscard]] T* as() const {
    return static_cast<T*>(data_);
  }
  [[nodiscard]] std::size_t usable_bytes() const { return usable_; }
  [[nodiscard]] std::string_view page_kind() const { return page_kind_; }  // of the piece that came last

 private:
  struct Reserve {};
  PageMemory(std::size_t bytes, Pages pages, Reserve tag);
  void swap(PageMemory& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    std::swap(usable_, other.usable_);
    std::swap(pages_, other.pages_);
    std::swap(page_kind_, other.page_kind_);
  }

  void* data_ = nullptr;
  std::size_t bytes_ = 0;
  std::size_t usable_ = 0;
  Pages pages_ = Pages::normal;
  std::string_view page_kind_ = "none";
};

}  // namespace millrace::lpm
