// What the right answer is, by the plainest way: a hash table of prefixes, asked for every length that
// occurs, the longest first. Shares no code with any subject.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "perf/route.h"

namespace millrace::perf {

template <class Address>
class Oracle {
 public:
  // Holds these routes and no others ever; their next hops can change.
  explicit Oracle(std::span<const Route<Address>> routes) : slots_(std::bit_ceil(routes.size() * 2 + 2)) {
    for (const auto& route : routes) {
      Slot& slot = slots_[place(route.address, route.length)];
      slot = {route.address, route.length, true, route.id};
      has_length_[route.length] = true;
    }
  }

  // kNoRoute takes the prefix out.
  void set(const Route<Address>& route, std::uint32_t id) {
    Slot& slot = slots_[place(route.address, route.length)];
    if (slot.used) slot.id = id;
  }

  [[nodiscard]] std::uint32_t lookup(const Address& address) const {
    for (unsigned length = kBits<Address> + 1; length-- > 0;) {
      if (!has_length_[length]) continue;
      const Slot& slot = slots_[place(masked(address, length), length)];
      if (slot.used && slot.id != kNoRoute) return slot.id;
    }
    return kNoRoute;
  }

 private:
  struct Slot {
    Address address{};
    std::uint8_t length = 0;
    bool used = false;
    std::uint32_t id = kNoRoute;
  };

  static std::uint64_t hash(Address4 a, unsigned length) { return mix((std::uint64_t{a} << 8) | length); }
  static std::uint64_t hash(const Address6& a, unsigned length) {
    const Halves h = halves(a);
    return mix(mix(h.high + length) ^ h.low);
  }

  // Where the prefix is, or the empty slot where it would be.
  [[nodiscard]] std::size_t place(const Address& address, unsigned length) const {
    const std::size_t mask = slots_.size() - 1;
    std::size_t at = hash(address, length) & mask;
    while (slots_[at].used && (slots_[at].length != length || slots_[at].address != address))
      at = (at + 1) & mask;
    return at;
  }

  std::vector<Slot> slots_;
  std::array<bool, kBits<Address> + 1> has_length_{};
};

}  // namespace millrace::perf
