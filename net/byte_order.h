// Integers in network byte order that do not convert to host order by themselves.
#pragma once

#include <bit>
#include <concepts>
#include <cstdint>

namespace millrace {

static_assert(std::endian::native == std::endian::little, "Millrace runs on x86-64");

template <std::unsigned_integral T>
constexpr T byteswap(T value) {
  if constexpr (sizeof(T) == 2) return __builtin_bswap16(value);
  if constexpr (sizeof(T) == 4) return __builtin_bswap32(value);
  if constexpr (sizeof(T) == 8) return __builtin_bswap64(value);
}

// As it lies on the wire. `host()` and the constructor are the only ways in and out.
template <std::unsigned_integral T>
class [[gnu::packed]] BigEndian {
 public:
  constexpr BigEndian() = default;
  constexpr explicit BigEndian(T host_value) : wire_(byteswap(host_value)) {}
  [[nodiscard]] constexpr T host() const { return byteswap(wire_); }
  [[nodiscard]] constexpr T wire() const { return wire_; }
  static constexpr BigEndian from_wire(T wire_value) {
    BigEndian value;
    value.wire_ = wire_value;
    return value;
  }
  friend constexpr bool operator==(BigEndian, BigEndian) = default;

 private:
  T wire_{};
};

using Be16 = BigEndian<std::uint16_t>;
using Be32 = BigEndian<std::uint32_t>;
static_assert(sizeof(Be16) == 2 && sizeof(Be32) == 4 && alignof(Be32) == 1,
              "fits into wire formats at any place");

}  // namespace millrace
