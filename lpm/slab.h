// Many small objects of one type, by number: in memory of large pages that grows and never moves.
//
// Written and read by one thread. Objects are trivial: taken as T{}, given back without a destructor. Errors:
// std::bad_alloc when the kernel refuses the address space or the numbers run out.
#pragma once

#include <cstdint>
#include <new>
#include <type_traits>
#include <vector>

#include "lpm/page_memory.h"

namespace millrace::lpm {

template <class T>
class Slab {
 public:
  using Index = std::uint32_t;
  static constexpr Index kNone = 0xffffffff;
  static_assert(std::is_trivially_destructible_v<T>);

  explicit Slab(Pages pages) : memory_(PageMemory::reserve(kMost * sizeof(T), pages)) {
    if (!memory_) throw std::bad_alloc();
  }

  T& operator[](Index i) { return memory_.as<T>()[i]; }
  const T& operator[](Index i) const { return memory_.as<T>()[i]; }

  Index take() {
    Index i = made_;
    if (!free_.empty()) {
      i = free_.back();
      free_.pop_back();
    } else {
      if (made_ == kMost || !memory_.grow((std::size_t{made_} + 1) * sizeof(T))) throw std::bad_alloc();
      ++made_;
    }
    new (&(*this)[i]) T{};
    return i;
  }
  void give_back(Index i) { free_.push_back(i); }

  [[nodiscard]] std::size_t memory_bytes() const {
    return made_ * sizeof(T) + free_.capacity() * sizeof(Index);
  }

 private:
  static constexpr std::size_t kMost = std::size_t{1} << 26;

  PageMemory memory_;
  std::vector<Index> free_;
  Index made_ = 0;
};

}  // namespace millrace::lpm
