// Batches by AVX2: 32 addresses together, four gathers of 8 in flight at each level.
#include <immintrin.h>

#include <type_traits>

#include "lpm/lookup_forms.h"

#define AVX2 __attribute__((target("avx2"), always_inline)) inline
#define AVX2_ENTRY __attribute__((target("avx2")))

namespace millrace::lpm::forms {
namespace {

constexpr unsigned kLanes = 8;
constexpr unsigned kGroups = 4;
constexpr std::size_t kStep = kLanes * kGroups;

// Entries at `index` of a table, in the lanes whose highest bit is set in `lanes`; the others keep `old`.
// Entries of two bytes are taken out of the aligned four bytes that hold them: such a load is never torn.
template <class Entry>
AVX2 __m256i gather(const void* table, __m256i index, __m256i lanes, __m256i old) {
  const int* base = static_cast<const int*>(table);
  if constexpr (sizeof(Entry) == 4) {
    return _mm256_mask_i32gather_epi32(old, base, index, lanes, 4);
  } else {
    const __m256i pair = _mm256_mask_i32gather_epi32(old, base, _mm256_srli_epi32(index, 1), lanes, 4);
    const __m256i half = _mm256_slli_epi32(_mm256_and_si256(index, _mm256_set1_epi32(1)), 4);
    const __m256i entry = _mm256_and_si256(_mm256_srlv_epi32(pair, half), _mm256_set1_epi32(0xffff));
    return _mm256_blendv_epi8(old, entry, lanes);
  }
}

// All bits of the lanes in `lanes` whose entry is extended.
template <class Entry>
AVX2 __m256i extended(__m256i e, __m256i lanes) {
  const __m256i sign = _mm256_slli_epi32(e, 32 - static_cast<int>(EntryCode<Entry>::kBits));
  return _mm256_and_si256(_mm256_srai_epi32(sign, 31), lanes);
}

template <class L, class Entry, unsigned kLevel>
AVX2 __m256i block_index(__m256i e, __m256i bits) {
  constexpr int kMask = static_cast<int>(L::entries(kLevel) - 1);
  const __m256i number = _mm256_and_si256(e, _mm256_set1_epi32(static_cast<int>(EntryCode<Entry>::kNumber)));
  return _mm256_or_si256(_mm256_slli_epi32(number, L::kStrides[kLevel]),
                         _mm256_and_si256(bits, _mm256_set1_epi32(kMask)));
}

// Where nothing longer answered: the short prefixes.
AVX2 __m256i with_top(const TableView& view, __m256i e, __m256i first_word) {
  const __m256i none = _mm256_cmpeq_epi32(e, _mm256_setzero_si256());
  if (_mm256_testz_si256(none, none) != 0) return e;
  const std::uint32_t common = __atomic_load_n(&view.top[kTopCommon], __ATOMIC_ACQUIRE);
  if (common != kMixed) return _mm256_blendv_epi8(e, _mm256_set1_epi32(static_cast<int>(common)), none);
  return _mm256_mask_i32gather_epi32(e, reinterpret_cast<const int*>(view.top),
                                     _mm256_srli_epi32(first_word, 24), none, 4);
}

struct Batch {
  __m256i e[kGroups];
  __m256i open[kGroups];
};

AVX2 bool all_answered(const Batch& b) {
  const __m256i any =
      _mm256_or_si256(_mm256_or_si256(b.open[0], b.open[1]), _mm256_or_si256(b.open[2], b.open[3]));
  return _mm256_testz_si256(any, any) != 0;
}

template <class L>
AVX2 void first_level(const TableView& view, const __m256i (&words)[kGroups], Batch& b) {
  using First = typename L::First;
  const __m256i all = _mm256_set1_epi32(-1);
  for (unsigned g = 0; g < kGroups; ++g) {
    b.e[g] = gather<First>(view.first, _mm256_srli_epi32(words[g], 32 - L::kStrides[0]), all,
                           _mm256_setzero_si256());
  }
  for (unsigned g = 0; g < kGroups; ++g) b.open[g] = extended<First>(b.e[g], all);
}

template <class L, unsigned kLevel>
AVX2 void block_level(const TableView& view, const __m256i (&words)[kGroups], Batch& b) {
  using Entry = typename L::Block;
  using Parent = std::conditional_t<kLevel == 1, typename L::First, Entry>;
  constexpr unsigned kShift = L::kShifts[kLevel] % 32;
  static_assert(kShift + L::kStrides[kLevel] <= 32, "a level's bits lie in one word of the address");
  for (unsigned g = 0; g < kGroups; ++g) {
    const __m256i index = block_index<L, Parent, kLevel>(b.e[g], _mm256_srli_epi32(words[g], kShift));
    b.e[g] = gather<Entry>(view.pools[L::kPools[kLevel]], index, b.open[g], b.e[g]);
  }
  for (unsigned g = 0; g < kGroups; ++g) b.open[g] = extended<Entry>(b.e[g], b.open[g]);
}

// The levels of the first 64 bits of an address; an IPv4 address has its 32 in both.
template <class L, unsigned kLevel>
AVX2 void levels(const TableView& view, const __m256i (&first)[kGroups], const __m256i (&second)[kGroups],
                 Batch& b) {
  constexpr unsigned kFirstWord = L::Address::kBits - 32;
  if constexpr (kLevel < L::kLevels) {
    if constexpr (L::kShifts[kLevel] + 64 >= L::Address::kBits) {
      if (all_answered(b)) return;
      block_level<L, kLevel>(view, L::kShifts[kLevel] >= kFirstWord ? first : second, b);
      levels<L, kLevel + 1>(view, first, second, b);
    }
  }
}

// `first` and `second` are the first two 32-bit words of kStep addresses. Returns, a bit each, which are not
// answered.
template <class L>
AVX2 std::uint32_t step(const TableView& view, const std::uint32_t* first, const std::uint32_t* second,
                        std::uint32_t* out) {
  __m256i w0[kGroups], w1[kGroups];
  for (unsigned g = 0; g < kGroups; ++g) {
    w0[g] = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(first + g * kLanes));
    w1[g] = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(second + g * kLanes));
  }
  Batch b;
  first_level<L>(view, w0, b);
  levels<L, 1>(view, w0, w1, b);
  std::uint32_t open = 0;
  for (unsigned g = 0; g < kGroups; ++g) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + g * kLanes), with_top(view, b.e[g], w0[g]));
    const auto lanes = static_cast<unsigned>(_mm256_movemask_ps(_mm256_castsi256_ps(b.open[g])));
    open |= lanes << (g * kLanes);
  }
  return open;
}

template <class L>
AVX2_ENTRY void ipv4_batch(const TableView& view, const std::uint32_t* addresses, std::uint32_t* out,
                           std::size_t count) {
  for (; count >= kStep; count -= kStep, addresses += kStep, out += kStep) {
    step<L>(view, addresses, addresses, out);
  }
  if (count == 0) return;
  std::uint32_t last[kStep] = {}, answers[kStep];
  __builtin_memcpy(last, addresses, count * sizeof *addresses);
  step<L>(view, last, last, answers);
  __builtin_memcpy(out, answers, count * sizeof *out);
}

template <class L>
AVX2_ENTRY void ipv6_batch(const TableView& view, const Ipv6Address* addresses, std::uint32_t* out,
                           std::size_t count) {
  for (std::size_t at = 0; at < count; at += kStep) {
    const std::size_t n = count - at < kStep ? count - at : kStep;
    std::uint32_t first[kStep] = {}, second[kStep] = {}, answers[kStep];
    for (std::size_t i = 0; i < n; ++i) {
      first[i] = static_cast<std::uint32_t>(addresses[at + i].high() >> 32);
      second[i] = static_cast<std::uint32_t>(addresses[at + i].high());
    }
    const std::uint32_t open = step<L>(view, first, second, answers);
    __builtin_memcpy(out + at, answers, n * sizeof *out);
    // Longer prefixes than /64 are rare, and go one by one.
    for (std::uint32_t left = open; left != 0; left &= left - 1) {
      const auto i = static_cast<unsigned>(__builtin_ctz(left));
      if (i < n) out[at + i] = find_in<L>(view, addresses[at + i].value());
    }
  }
}

}  // namespace

template <class L>
Form<L> avx2() {
  if constexpr (L::Address::kBits == 32) {
    return &ipv4_batch<L>;
  } else {
    return &ipv6_batch<L>;
  }
}

#define MILLRACE_LAYOUT(L) template Form<L> avx2<L>();
#include "lpm/layouts.def"
#undef MILLRACE_LAYOUT

}  // namespace millrace::lpm::forms
