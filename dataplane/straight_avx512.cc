// The straight way in by AVX-512: 16 frames at a time, a lane each.
//
// All that is asked of a frame lies in its bytes 2 to 33, from the third byte of the destination MAC to the
// end of the IPv4 header: eight words of 32 bits, the addresses as words of their own. They are loaded frame
// by frame, and turned so that each word of all frames lies in one register.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // GCC's own header, on purpose (its bug 105593)
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif
#include <immintrin.h>

#include <cstddef>
#include <cstring>

#include "dataplane/straight.h"

// Inlined into each other and nowhere else: this code must not be what an old processor runs.
#define AVX512 __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl"), always_inline)) inline
#define AVX512_ENTRY __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl")))

namespace millrace::dataplane {
namespace {

constexpr unsigned kLanes = 16;
constexpr std::uint32_t kL2 = 14;
constexpr unsigned kFirstByte = 2;  // of a frame that is looked at
constexpr unsigned kWords = 8;

AVX512 __m512i all(std::uint32_t value) {
  return _mm512_set1_epi32(static_cast<int>(value));
}
AVX512 __m512i low_half(__m512i words) {
  return _mm512_and_si512(words, all(0xffff));
}

// What the mbufs say: lengths, and whether the port took a tag off one of them.
struct Buffers {
  __m512i lengths;         // of the whole frame
  __m512i first_segments;  // of its first segment
};
// The words of the frames, by their places.
struct Headers {
  __m512i word[kWords];
};

// pkt_len and data_len are the second and third word of 16 bytes.
constexpr std::size_t kLengths = offsetof(rte_mbuf, packet_type);
static_assert(offsetof(rte_mbuf, pkt_len) == kLengths + 4 && offsetof(rte_mbuf, data_len) == kLengths + 8);

AVX512 __m128i lengths_of(const rte_mbuf* m) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(reinterpret_cast<const std::byte*>(m) + kLengths));
}

AVX512 Buffers load_buffers(rte_mbuf* const* lane) {
  __m512i four[4];
  for (unsigned k = 0; k < 4; ++k) {
    four[k] = _mm512_castsi128_si512(lengths_of(lane[k]));
    four[k] = _mm512_inserti32x4(four[k], lengths_of(lane[k + 4]), 1);
    four[k] = _mm512_inserti32x4(four[k], lengths_of(lane[k + 8]), 2);
    four[k] = _mm512_inserti32x4(four[k], lengths_of(lane[k + 12]), 3);
  }
  const __m512i second01 = _mm512_unpacklo_epi32(four[0], four[1]);
  const __m512i second23 = _mm512_unpacklo_epi32(four[2], four[3]);
  const __m512i third01 = _mm512_unpackhi_epi32(four[0], four[1]);
  const __m512i third23 = _mm512_unpackhi_epi32(four[2], four[3]);
  return {_mm512_unpackhi_epi64(second01, second23), low_half(_mm512_unpacklo_epi64(third01, third23))};
}

AVX512 __m512i load_pair(std::byte* const* frames, unsigned low, unsigned high) {
  const auto* a = reinterpret_cast<const __m256i*>(frames[low] + kFirstByte);
  const auto* b = reinterpret_cast<const __m256i*>(frames[high] + kFirstByte);
  return _mm512_inserti64x4(_mm512_castsi256_si512(_mm256_loadu_si256(a)), _mm256_loadu_si256(b), 1);
}

// Transposes 16 times eight words. Lanes are paired so that all come out in the order of the frames.
AVX512 Headers load_headers(std::byte* const* frames) {
  __m512i pair[8];
  for (unsigned k = 0; k < 4; ++k) {
    pair[k] = load_pair(frames, k, k + 4);
    pair[k + 4] = load_pair(frames, k + 8, k + 12);
  }
  Headers headers;
  for (unsigned half = 0; half < 2; ++half) {
    __m512i* q = pair + half * 4;
    const __m512i low01 = _mm512_unpacklo_epi32(q[0], q[1]), low23 = _mm512_unpacklo_epi32(q[2], q[3]);
    const __m512i high01 = _mm512_unpackhi_epi32(q[0], q[1]), high23 = _mm512_unpackhi_epi32(q[2], q[3]);
    q[0] = _mm512_unpacklo_epi64(low01, low23);
    q[1] = _mm512_unpackhi_epi64(low01, low23);
    q[2] = _mm512_unpacklo_epi64(high01, high23);
    q[3] = _mm512_unpackhi_epi64(high01, high23);
  }
  for (unsigned w = 0; w < 4; ++w) {
    headers.word[w] = _mm512_shuffle_i32x4(pair[w], pair[w + 4], 0b10'00'10'00);
    headers.word[w + 4] = _mm512_shuffle_i32x4(pair[w], pair[w + 4], 0b11'01'11'01);
  }
  return headers;
}

// The bytes of each word the other way round.
AVX512 __m512i swapped(__m512i words) {
  const __m512i order =
      _mm512_broadcast_i32x4(_mm_set_epi8(12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3));
  return _mm512_shuffle_epi8(words, order);
}

// RFC 1071 over the five words of the header: as its sum is not zero, it is right if it folds to all ones.
AVX512 __mmask16 checksum_ok(__mmask16 lanes, const __m512i* header) {
  __m512i sum = _mm512_add_epi32(low_half(header[0]), _mm512_srli_epi32(header[0], 16));
  for (unsigned w = 1; w < 5; ++w) {
    sum = _mm512_add_epi32(sum, _mm512_add_epi32(low_half(header[w]), _mm512_srli_epi32(header[w], 16)));
  }
  sum = _mm512_add_epi32(low_half(sum), _mm512_srli_epi32(sum, 16));
  return _mm512_mask_cmpeq_epi32_mask(lanes, sum, all(0xffff));
}

// octet_class of zero: 1 to 223, but not 127 nor 169.
AVX512 __mmask16 is_ordinary(__mmask16 lanes, __m512i address) {
  const __m512i first = _mm512_and_si512(address, all(0xff));
  lanes = _mm512_mask_cmplt_epu32_mask(lanes, _mm512_sub_epi32(first, all(1)), all(223));
  lanes = _mm512_mask_cmpneq_epi32_mask(lanes, first, all(127));
  return _mm512_mask_cmpneq_epi32_mask(lanes, first, all(169));
}

// As after_ttl_decrement().
AVX512 __m512i after_hop(__m512i word) {
  const __mmask16 again = _mm512_cmpge_epu32_mask(word, all(0xfffe'0000));
  const __m512i next = _mm512_add_epi32(word, all(0xffff));
  return _mm512_mask_add_epi32(next, again, next, all(0x1'0000));
}

// Addresses that may be our own, by the digest of them (tables.h).
AVX512 __mmask16 not_own(__mmask16 lanes, __m512i source, const OwnAddresses<Ipv4Address>& own) {
  const __m512i digest = _mm512_loadu_si512(own.digest().data());
  const __m512i product = _mm512_mullo_epi32(source, all(OwnAddresses<Ipv4Address>::kDigestFactor));
  const __m512i word = _mm512_permutexvar_epi32(_mm512_srli_epi32(product, 28), digest);
  const __m512i bit = _mm512_srlv_epi32(word, _mm512_and_si512(_mm512_srli_epi32(product, 23), all(31)));
  return _mm512_mask_testn_epi32_mask(lanes, bit, all(1));
}

// Frames that are longer than their packets, of one segment.
void cut(rte_mbuf** frames, const std::uint32_t* lengths, std::uint32_t lanes) {
  for (; lanes != 0; lanes &= lanes - 1) {
    const auto lane = static_cast<unsigned>(__builtin_ctz(lanes));
    frames[lane]->pkt_len = kL2 + lengths[lane];
    frames[lane]->data_len = static_cast<std::uint16_t>(kL2 + lengths[lane]);
  }
}

// Where the frames lie, whose bytes are on their way from then on. Behind the last one the batch has it
// again, so that 16 can be looked at.
AVX512 void locate(rte_mbuf** frames, unsigned count, IpBatch<Ipv4Family>& batch) {
  for (unsigned i = 0; i < count; ++i) {
    batch.packets[i] = frames[i];
    batch.frames[i] = static_cast<std::byte*>(frames[i]->buf_addr) + frames[i]->data_off;
    __builtin_prefetch(batch.frames[i]);
  }
  for (unsigned i = count; i % kLanes != 0; ++i) {
    batch.packets[i] = batch.packets[count - 1];
    batch.frames[i] = batch.frames[count - 1];
  }
}

// Up to 16 frames, whose places in the batch begin at `at`. Their lengths go into `bytes`, lane by lane.
AVX512 std::uint32_t find_16(const StraightSearch& search, unsigned count, IpBatch<Ipv4Family>& batch,
                             unsigned at, __m512i& bytes) {
  // 1. What the buffers say, and the first two bytes of the MAC, which are the same in all.
  rte_mbuf** lane = batch.packets + at;
  auto lanes = static_cast<__mmask16>((1U << count) - 1);
  const Buffers buffers = load_buffers(lane);
  bytes = _mm512_mask_add_epi32(bytes, lanes, bytes, buffers.lengths);
  std::uint64_t flags = 0;
  std::uint32_t other_mac = 0;
  std::uint16_t mac;
  std::memcpy(&mac, &search.mac, sizeof mac);
  for (unsigned i = 0; i < kLanes; ++i) {
    flags |= lane[i]->ol_flags;
    std::uint16_t start;
    std::memcpy(&start, batch.frames[at + i], sizeof start);
    other_mac |= static_cast<std::uint32_t>(start ^ mac);
  }
  if (other_mac != 0 || (flags & RTE_MBUF_F_RX_VLAN_STRIPPED) != 0) [[unlikely]]
    return 0;
  const Headers headers = load_headers(batch.frames + at);
  const auto& word = headers.word;

  // 2. To our MAC, IPv4 without options.
  std::uint32_t rest_of_mac;
  std::memcpy(&rest_of_mac, search.mac.bytes.data() + kFirstByte, sizeof rest_of_mac);
  lanes = _mm512_mask_cmpeq_epi32_mask(lanes, word[0], all(rest_of_mac));
  lanes = _mm512_mask_cmpeq_epi32_mask(lanes, _mm512_srli_epi32(word[2], 16), all(0x0008));
  lanes = _mm512_mask_cmpeq_epi32_mask(lanes, _mm512_and_si512(word[3], all(0xff)), all(0x45));

  // 3. In one segment that holds the packet.
  const __m512i length = _mm512_srli_epi32(swapped(_mm512_srli_epi32(word[3], 16)), 16);
  const __m512i end = _mm512_add_epi32(length, all(kL2));
  lanes = _mm512_mask_cmpge_epu32_mask(lanes, length, all(sizeof(wire::Ipv4)));
  lanes = _mm512_mask_cmple_epu32_mask(lanes, end, buffers.first_segments);
  lanes = _mm512_mask_cmpeq_epi32_mask(lanes, buffers.first_segments, buffers.lengths);

  // 4. With a right checksum, hops left, and from and to whom packets may go.
  lanes = checksum_ok(lanes, word + 3);
  lanes = _mm512_mask_cmpgt_epu32_mask(lanes, _mm512_and_si512(word[5], all(0xff)), all(1));
  lanes = is_ordinary(is_ordinary(lanes, word[6]), word[7]);
  lanes = not_own(lanes, word[6], *search.own);

  // 5. What later steps want to know.
  _mm512_storeu_si512(batch.destinations() + at, swapped(word[7]));
  _mm512_storeu_si512(batch.lengths + at, length);
  _mm512_storeu_si512(batch.hops + at, after_hop(word[5]));
  const __mmask16 longer = _mm512_mask_cmpneq_epi32_mask(lanes, end, buffers.lengths);
  if (longer != 0) [[unlikely]]
    cut(lane, batch.lengths + at, longer);
  return lanes;
}

AVX512_ENTRY Sighted find(const StraightSearch& search, rte_mbuf** frames, unsigned count,
                          IpBatch<Ipv4Family>& batch) {
  locate(frames, count, batch);
  std::uint64_t straight = 0;
  __m512i bytes = _mm512_setzero_si512();
  for (unsigned at = 0; at < count; at += kLanes) {
    const unsigned left = count - at < kLanes ? count - at : kLanes;
    straight |= std::uint64_t{find_16(search, left, batch, at, bytes)} << at;
  }
  return {straight, static_cast<std::uint32_t>(_mm512_reduce_add_epi32(bytes))};
}

}  // namespace

FindStraight find_straight(lpm::Isa isa) {
  return isa == lpm::Isa::avx512 ? &find : nullptr;
}

}  // namespace millrace::dataplane
