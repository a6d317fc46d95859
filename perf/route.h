// Addresses and routes of the benchmarks, of both families in one shape. Independent of Millrace's own types,
// so that every subject, and the oracle, is fed from the outside.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>

namespace millrace::perf {

using Address4 = std::uint32_t;                 // host order
using Address6 = std::array<std::uint8_t, 16>;  // as on the wire

template <class Address>
struct Route {
  Address address{};  // host bits are zero
  std::uint8_t length = 0;
  std::uint32_t id = 0;  // of the next hop; never 0, which is the answer "no route"
};
using Route4 = Route<Address4>;
using Route6 = Route<Address6>;

inline constexpr std::uint32_t kNoRoute = 0;

template <class Address>
inline constexpr unsigned kBits = sizeof(Address) * 8;

template <class Address>
inline constexpr const char* kFamily = sizeof(Address) == 4 ? "v4" : "v6";

// The halves of an IPv6 address in host order.
struct Halves {
  std::uint64_t high = 0;
  std::uint64_t low = 0;
};

inline Halves halves(const Address6& a) {
  const auto words = std::bit_cast<std::array<std::uint64_t, 2>>(a);
  return {__builtin_bswap64(words[0]), __builtin_bswap64(words[1])};
}
inline Address6 from_halves(Halves h) {
  return std::bit_cast<Address6>(
      std::array<std::uint64_t, 2>{__builtin_bswap64(h.high), __builtin_bswap64(h.low)});
}

// The first `length` bits of a 64-bit word; `length` may be anything: all bits from 64 on, none below 1.
constexpr std::uint64_t leading_ones(int length) {
  if (length <= 0) return 0;
  return length >= 64 ? ~std::uint64_t{0} : ~(~std::uint64_t{0} >> length);
}

// `prefix` in the first `length` bits, `rest` in the others.
inline Address4 join(Address4 prefix, unsigned length, Address4 rest) {
  const auto mask = static_cast<Address4>(leading_ones(static_cast<int>(length)) >> 32);
  return (prefix & mask) | (rest & ~mask);
}
inline Address6 join(const Address6& prefix, unsigned length, const Address6& rest) {
  const Halves p = halves(prefix);
  const Halves r = halves(rest);
  const std::uint64_t high = leading_ones(static_cast<int>(length));
  const std::uint64_t low = leading_ones(static_cast<int>(length) - 64);
  return from_halves({(p.high & high) | (r.high & ~high), (p.low & low) | (r.low & ~low)});
}

template <class Address>
Address masked(const Address& address, unsigned length) {
  return join(address, length, Address{});
}

// A mixer of 64 bits (the finaliser of SplitMix64).
constexpr std::uint64_t mix(std::uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

// The same numbers from the same seed everywhere (Steele, Lea, Flood: SplitMix64).
class Random {
 public:
  using result_type = std::uint64_t;
  explicit Random(std::uint64_t seed) : state_(seed) {}
  static constexpr std::uint64_t min() { return 0; }
  static constexpr std::uint64_t max() { return ~std::uint64_t{0}; }
  std::uint64_t operator()() { return mix(state_ += 0x9e3779b97f4a7c15); }
  // 0 to n - 1; n is far below 2^64, the bias does not matter here.
  std::uint64_t below(std::uint64_t n) { return (*this)() % n; }
  double unit() { return static_cast<double>((*this)() >> 11) * 0x1p-53; }
  void fill(Address4& a) { a = static_cast<Address4>((*this)()); }
  void fill(Address6& a) {
    const std::uint64_t high = (*this)();
    a = from_halves({high, (*this)()});
  }

 private:
  std::uint64_t state_;
};

std::string to_string(Address4 address);
std::string to_string(const Address6& address);

}  // namespace millrace::perf
