// The addresses that no packet may come from (RFC 1812 5.3.7): our own, and the broadcast and network
// addresses of connected subnets. Immutable, and published as Tables says.
//
// Nearly every source is none of them, and is to be told so by one look: at a digest that fits a register,
// where that is not crowded, and at a filter that grows with their number.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <type_traits>
#include <vector>

#include "net/ip_address.h"

namespace millrace::dataplane {

enum class AddressKind : std::uint8_t { own, broadcast };

template <class Address>
class OwnAddresses {
 public:
  using Kind = AddressKind;
  struct Entry {
    Address address;
    Kind kind;
  };
  static const OwnAddresses& none() {  // the empty set, never freed
    static const OwnAddresses empty;
    return empty;
  }

  OwnAddresses() : OwnAddresses(std::vector<Entry>{}) {}
  // Of an address that is there twice the first kind counts.
  explicit OwnAddresses(std::vector<Entry> entries) : entries_(std::move(entries)) {
    const auto before = [](const Entry& a, const Entry& b) { return a.address < b.address; };
    const auto same = [](const Entry& a, const Entry& b) { return a.address == b.address; };
    std::stable_sort(entries_.begin(), entries_.end(), before);
    entries_.erase(std::unique(entries_.begin(), entries_.end(), same), entries_.end());
    const std::size_t bits = std::clamp(std::bit_ceil(entries_.size() * kBitsPerEntry), kMinBits, kMaxBits);
    filter_.resize(bits / 32);
    filter_shift_ = 32U - static_cast<unsigned>(std::countr_zero(bits));
    for (const Entry& entry : entries_) {
      const std::uint32_t product = product_of(entry.address);
      digest_[product >> 28] |= 1U << (product >> 23 & 31);
      const std::uint32_t bit = product >> filter_shift_;
      filter_[bit / 32] |= 1U << bit % 32;
    }
  }

  [[nodiscard]] bool contains(Address address) const {
    const std::uint32_t bit = product_of(address) >> filter_shift_;
    return (filter_[bit / 32] >> bit % 32 & 1) != 0 && find(address).has_value();
  }
  [[nodiscard]] std::optional<Kind> find(Address address) const {
    const auto before = [](const Entry& entry, Address wanted) { return entry.address < wanted; };
    const auto at = std::lower_bound(entries_.begin(), entries_.end(), address, before);
    if (at == entries_.end() || at->address != address) return std::nullopt;
    return at->kind;
  }

  // The same for vectors, of an address in wire order (of IPv6 the four words, added without carry) times the
  // factor. Of the digest, one register, the top four bits are a word's number, and the next five a bit's. Of
  // the filter, what is above the shift is a bit's number.
  static constexpr std::uint32_t kFactor = 0x9e3779b1;
  [[nodiscard]] const std::array<std::uint32_t, 16>& digest() const { return digest_; }
  [[nodiscard]] const std::uint32_t* filter() const { return filter_.data(); }
  [[nodiscard]] unsigned filter_shift() const { return filter_shift_; }

 private:
  // At most one in 32 others is looked up, until the filter takes half a megabyte.
  static constexpr std::size_t kBitsPerEntry = 32, kMinBits = std::size_t{1} << 12,
                               kMaxBits = std::size_t{1} << 22;

  static std::uint32_t product_of(Address address) {
    if constexpr (std::is_same_v<Address, Ipv4Address>) {
      return Be32(address.value()).wire() * kFactor;
    } else {
      const std::uint64_t both = address.high() ^ address.low();
      return Be32(static_cast<std::uint32_t>(both >> 32 ^ both)).wire() * kFactor;
    }
  }

  std::array<std::uint32_t, 16> digest_{};
  unsigned filter_shift_ = 0;
  std::vector<std::uint32_t> filter_;
  std::vector<Entry> entries_;
};

}  // namespace millrace::dataplane
