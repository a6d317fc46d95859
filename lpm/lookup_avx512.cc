// Batches by AVX-512: up to 64 addresses together, as up to four gathers of 16 in flight at each level.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // GCC's own header, on purpose (its bug 105593)
#endif
#include <immintrin.h>

#include <type_traits>

#include "lpm/lookup_forms.h"

#define AVX512 __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl"), always_inline)) inline
#define AVX512_ENTRY __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl")))

namespace millrace::lpm::forms {
namespace {

constexpr unsigned kLanes = 16;
constexpr unsigned kMostGroups = 4;

// Entries at `index` of a table, in the lanes of `lanes`; the others keep `old`. Entries of two bytes are
// taken out of the aligned four bytes that hold them: such a load is never torn.
template <class Entry>
AVX512 __m512i gather(const void* table, __m512i index, __mmask16 lanes, __m512i old) {
  if constexpr (sizeof(Entry) == 4) {
    return _mm512_mask_i32gather_epi32(old, lanes, index, table, 4);
  } else {
    const __m512i pair = _mm512_mask_i32gather_epi32(old, lanes, _mm512_srli_epi32(index, 1), table, 4);
    const __m512i half = _mm512_slli_epi32(_mm512_and_si512(index, _mm512_set1_epi32(1)), 4);
    return _mm512_mask_and_epi32(old, lanes, _mm512_srlv_epi32(pair, half), _mm512_set1_epi32(0xffff));
  }
}

template <class Entry>
AVX512 __mmask16 extended(__m512i e, __mmask16 lanes) {
  return _mm512_mask_test_epi32_mask(lanes, e,
                                     _mm512_set1_epi32(static_cast<int>(EntryCode<Entry>::kExtended)));
}

// The next place to look: the block that `e` names, and the bits of the address for it.
template <class L, class Entry, unsigned kLevel>
AVX512 __m512i block_index(__m512i e, __m512i bits) {
  constexpr int kMask = static_cast<int>(L::entries(kLevel) - 1);
  const __m512i number = _mm512_and_si512(e, _mm512_set1_epi32(static_cast<int>(EntryCode<Entry>::kNumber)));
  return _mm512_or_si512(_mm512_slli_epi32(number, L::kStrides[kLevel]),
                         _mm512_and_si512(bits, _mm512_set1_epi32(kMask)));
}

// Where nothing longer answered: the short prefixes.
AVX512 __m512i with_top(const TableView& view, __m512i e, __m512i first_word) {
  const __mmask16 none = _mm512_testn_epi32_mask(e, e);
  if (none == 0) return e;
  const std::uint32_t common = __atomic_load_n(&view.top[kTopCommon], __ATOMIC_ACQUIRE);
  if (common != kMixed) return _mm512_mask_set1_epi32(e, none, static_cast<int>(common));
  return _mm512_mask_i32gather_epi32(e, none, _mm512_srli_epi32(first_word, 24), view.top, 4);
}

template <unsigned kGroups>
struct Batch {
  __m512i e[kGroups];
  __mmask16 open[kGroups];
};
template <unsigned kGroups>
using Words = __m512i[kGroups];

template <unsigned kGroups>
AVX512 bool all_answered(const Batch<kGroups>& b) {
  unsigned any = 0;
  for (unsigned g = 0; g < kGroups; ++g) any |= b.open[g];
  return any == 0;
}

// `words` hold the 32 bits of each address in which the level's bits lie.
template <class L, unsigned kGroups>
AVX512 void first_level(const TableView& view, const Words<kGroups>& words, Batch<kGroups>& b) {
  using First = typename L::First;
  for (unsigned g = 0; g < kGroups; ++g) {
    b.e[g] = gather<First>(view.first, _mm512_srli_epi32(words[g], 32 - L::kStrides[0]), 0xffff,
                           _mm512_setzero_si512());
  }
  for (unsigned g = 0; g < kGroups; ++g) b.open[g] = extended<First>(b.e[g], 0xffff);
}

template <class L, unsigned kLevel, unsigned kGroups>
AVX512 void block_level(const TableView& view, const Words<kGroups>& words, Batch<kGroups>& b) {
  using Entry = typename L::Block;
  using Parent = std::conditional_t<kLevel == 1, typename L::First, Entry>;
  constexpr unsigned kShift = L::kShifts[kLevel] % 32;
  static_assert(kShift + L::kStrides[kLevel] <= 32, "a level's bits lie in one word of the address");
  for (unsigned g = 0; g < kGroups; ++g) {
    const __m512i index = block_index<L, Parent, kLevel>(b.e[g], _mm512_srli_epi32(words[g], kShift));
    b.e[g] = gather<Entry>(view.pools[L::kPools[kLevel]], index, b.open[g], b.e[g]);
  }
  for (unsigned g = 0; g < kGroups; ++g) b.open[g] = extended<Entry>(b.e[g], b.open[g]);
}

// The levels of the first 64 bits of an address; an IPv4 address has its 32 in both words.
template <class L, unsigned kLevel, unsigned kGroups>
AVX512 void levels(const TableView& view, const Words<kGroups>& first, const Words<kGroups>& second,
                   Batch<kGroups>& b) {
  constexpr unsigned kFirstWord = L::Address::kBits - 32;
  if constexpr (kLevel < L::kLevels) {
    if constexpr (L::kShifts[kLevel] + 64 >= L::Address::kBits) {
      if (all_answered(b)) return;
      block_level<L, kLevel>(view, L::kShifts[kLevel] >= kFirstWord ? first : second, b);
      levels<L, kLevel + 1>(view, first, second, b);
    }
  }
}

template <unsigned kGroups>
AVX512 void load_ipv4(const std::uint32_t* addresses, std::size_t count, Words<kGroups>& words) {
  for (unsigned g = 0; g < kGroups; ++g) {
    const std::size_t left = count > g * kLanes ? count - g * kLanes : 0;
    const auto lanes = static_cast<__mmask16>(left >= kLanes ? 0xffff : (1U << left) - 1);
    words[g] = _mm512_maskz_loadu_epi32(lanes, addresses + g * kLanes);
  }
}

template <unsigned kGroups>
AVX512 void store(std::uint32_t* out, std::size_t count, const Batch<kGroups>& b) {
  for (unsigned g = 0; g < kGroups; ++g) {
    const std::size_t left = count > g * kLanes ? count - g * kLanes : 0;
    const auto lanes = static_cast<__mmask16>(left >= kLanes ? 0xffff : (1U << left) - 1);
    _mm512_mask_storeu_epi32(out + g * kLanes, lanes, b.e[g]);
  }
}

template <class L, unsigned kGroups>
AVX512 void step(const TableView& view, const std::uint32_t* addresses, std::uint32_t* out,
                 std::size_t count) {
  __m512i words[kGroups];
  Batch<kGroups> b;
  load_ipv4(addresses, count, words);
  first_level<L>(view, words, b);
  levels<L, 1>(view, words, words, b);
  for (unsigned g = 0; g < kGroups; ++g) b.e[g] = with_top(view, b.e[g], words[g]);
  store(out, count, b);
}

// The first 32 bits of each address, and the second 32. An address is its high and its low 64 bits (net/).
template <unsigned kGroups>
AVX512 void load_ipv6(const Ipv6Address* addresses, std::size_t count, Words<kGroups>& first,
                      Words<kGroups>& second) {
  for (unsigned g = 0; g < kGroups; ++g) {
    __m512i quad[4];
    for (unsigned q = 0; q < 4; ++q) {
      const std::size_t at = g * kLanes + q * 4;
      const std::size_t left = count > at ? count - at : 0;
      const auto lanes = static_cast<__mmask8>(left >= 4 ? 0xff : (1U << (2 * left)) - 1);
      quad[q] = _mm512_maskz_loadu_epi64(lanes, addresses + at);
    }
    // The high halves of eight addresses, then their two words apart.
    const __m512i halves = _mm512_set_epi64(14, 12, 10, 8, 6, 4, 2, 0);
    const __m512i a = _mm512_permutex2var_epi64(quad[0], halves, quad[1]);
    const __m512i c = _mm512_permutex2var_epi64(quad[2], halves, quad[3]);
    const __m512i odd = _mm512_set_epi32(31, 29, 27, 25, 23, 21, 19, 17, 15, 13, 11, 9, 7, 5, 3, 1);
    const __m512i even = _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
    first[g] = _mm512_permutex2var_epi32(a, odd, c);
    second[g] = _mm512_permutex2var_epi32(a, even, c);
  }
}

template <class L, unsigned kGroups>
AVX512 void step(const TableView& view, const Ipv6Address* addresses, std::uint32_t* out, std::size_t count) {
  __m512i first[kGroups], second[kGroups];
  Batch<kGroups> b;
  load_ipv6(addresses, count, first, second);
  first_level<L>(view, first, b);
  levels<L, 1>(view, first, second, b);
  for (unsigned g = 0; g < kGroups; ++g) b.e[g] = with_top(view, b.e[g], first[g]);
  store(out, count, b);
  if (all_answered(b)) [[likely]]
    return;
  // Longer prefixes than /64 are rare, and go one by one.
  for (unsigned g = 0; g < kGroups; ++g) {
    for (std::uint32_t left = b.open[g]; left != 0; left &= left - 1) {
      const std::size_t i = g * kLanes + static_cast<unsigned>(__builtin_ctz(left));
      if (i < count) out[i] = find_in<L>(view, addresses[i].value());
    }
  }
}

// Few addresses take few groups: a gather of nothing costs as much as one of something. Up to 32 of IPv4 are
// faster as four gathers of 8, which the AVX2 form has (Zen 4, bursts of 32: 360 to 335 million a second).
template <class L, class Address>
AVX512_ENTRY void lookup_batch(const TableView& view, const Address* addresses, std::uint32_t* out,
                               std::size_t count) {
  constexpr std::size_t kStep = kLanes * kMostGroups;
  for (; count >= kStep; count -= kStep, addresses += kStep, out += kStep) {
    step<L, kMostGroups>(view, addresses, out, kStep);
  }
  if (count > 2 * kLanes) return step<L, kMostGroups>(view, addresses, out, count);
  if (count == 0) return;
  if constexpr (L::Address::kBits == 32) {
    avx2<L>()(view, addresses, out, count);
  } else {
    step<L, 2>(view, addresses, out, count);
  }
}

}  // namespace

template <class L>
Form<L> avx512() {
  return &lookup_batch<L, typename BatchAddress<typename L::Address>::type>;
}

#define MILLRACE_LAYOUT(L) template Form<L> avx512<L>();
#include "lpm/layouts.def"
#undef MILLRACE_LAYOUT

}  // namespace millrace::lpm::forms
