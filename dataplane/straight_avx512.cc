// The straight way in by AVX-512: 16 frames at a time, a lane each.
//
// All that is asked of a frame lies in its bytes 2 to 33, from the third byte of the destination MAC to the
// end of the IPv4 header: eight words of 32 bits, the addresses as words of their own. They are loaded frame
// by frame, and turned so that each word of all frames lies in one register. Of IPv6 the addresses lie behind
// that, in bytes 22 to 53: eight words more.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // GCC's own header, on purpose (its bug 105593)
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif
#include <immintrin.h>

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "dataplane/ip_batch.h"
#include "dataplane/straight.h"

// Inlined into each other and nowhere else: this code must not be what an old processor runs.
#define AVX512 __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl"), always_inline)) inline
#define AVX512_ENTRY __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl")))

namespace millrace::dataplane {
namespace {

constexpr unsigned kLanes = 16;
constexpr std::uint32_t kL2 = 14;
constexpr unsigned kFirstByte = 2;       // of a frame that is looked at
constexpr unsigned kIpv6Addresses = 22;  // where they begin
constexpr unsigned kWords = 8;

AVX512 __m512i all(std::uint32_t value) {
  return _mm512_set1_epi32(static_cast<int>(value));
}

// What words are compared with. It is read: a broadcast from memory is a load, that of a number in the code a
// shuffle, and of these this code has more than of all else.
struct Numbers {
  std::uint32_t low_half = 0xffff, low_byte = 0xff, low_bytes = 0x00ff'00ff;
  std::uint32_t one = 1, ones = 0x0001'0001;
  std::uint32_t l2 = kL2;
  std::uint32_t ipv4_header = sizeof(wire::Ipv4), ipv4_start = 0x45;
  std::uint32_t signs = 0x8000'8000, sums_bias = 5 * 0x1'0000;
  std::uint32_t last_octets = 222 << 16 | 222, loopbacks = 127 << 16 | 127, link_locals = 0xfea9'fea9;
  std::uint32_t hop_carries = 0xfffe'0000, hop = 0xffff, hop_carry = 0x1'0000;
};
constexpr Numbers kNumbers;

// So that the compiler takes none of them for known.
inline const Numbers& numbers() {
  const Numbers* hidden = &kNumbers;
  asm("" : "+r"(hidden));
  return *hidden;
}

AVX512 __m512i low_half(const Numbers& n, __m512i words) {
  return _mm512_and_si512(words, all(n.low_half));
}

// Words that are zero where all is right; what adds to them needs no mask, whose making is a shuffle, too.
AVX512 __m512i or_differ(__m512i wrong, __m512i a, __m512i b) {
  return _mm512_ternarylogic_epi32(wrong, a, b, 0xf6);  // wrong | (a ^ b)
}
AVX512 __m512i differ_in(__m512i a, __m512i b, __m512i bits) {
  return _mm512_ternarylogic_epi32(a, b, bits, 0x28);  // (a ^ b) & bits
}
AVX512 __m512i any_of(__m512i a, __m512i b, __m512i c) {
  return _mm512_ternarylogic_epi32(a, b, c, 0xfe);
}
// Of each half: 1 where a and b are the same, else 0.
AVX512 __m512i same_halves(const Numbers& n, __m512i a, __m512i b) {
  return _mm512_subs_epu16(all(n.ones), _mm512_xor_si512(a, b));
}

// What the mbufs say: lengths, and whether the port took a tag off one of them.
struct Buffers {
  __m512i lengths;         // of the whole frame
  __m512i first_segments;  // of its first segment
  std::uint64_t flags;     // of any of them
};
// The words of the frames, by their places.
struct Headers {
  __m512i word[kWords];
};
// The same before they are turned, and in which of their first bytes one of them is not as wanted.
struct Starts {
  __m512i pair[8];
  __m128i differ;
};

// pkt_len and data_len are the second and third word of 16 bytes.
constexpr std::size_t kLengths = offsetof(rte_mbuf, packet_type);
static_assert(offsetof(rte_mbuf, pkt_len) == kLengths + 4 && offsetof(rte_mbuf, data_len) == kLengths + 8);

AVX512 __m128i lengths_of(const rte_mbuf* m, std::uint64_t& flags) {
  flags |= m->ol_flags;
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(reinterpret_cast<const std::byte*>(m) + kLengths));
}

AVX512 Buffers load_buffers(const Numbers& n, rte_mbuf* const* lane) {
  std::uint64_t flags = 0;
  __m512i four[4];
  for (unsigned k = 0; k < 4; ++k) {
    four[k] = _mm512_castsi128_si512(lengths_of(lane[k], flags));
    four[k] = _mm512_inserti32x4(four[k], lengths_of(lane[k + 4], flags), 1);
    four[k] = _mm512_inserti32x4(four[k], lengths_of(lane[k + 8], flags), 2);
    four[k] = _mm512_inserti32x4(four[k], lengths_of(lane[k + 12], flags), 3);
  }
  const __m512i second01 = _mm512_unpacklo_epi32(four[0], four[1]);
  const __m512i second23 = _mm512_unpacklo_epi32(four[2], four[3]);
  const __m512i third01 = _mm512_unpackhi_epi32(four[0], four[1]);
  const __m512i third23 = _mm512_unpackhi_epi32(four[2], four[3]);
  return {_mm512_unpackhi_epi64(second01, second23), low_half(n, _mm512_unpacklo_epi64(third01, third23)),
          flags};
}

AVX512 __m256i load_start(const std::byte* frame, unsigned from) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(frame + from));
}

// 16 times eight words, that begin at byte `from`; the frames begin like `wanted`, or are found to differ.
// Lanes are paired so that all come out in the order of the frames.
AVX512 Starts load_starts(std::byte* const* frames, unsigned from, __m128i wanted) {
  Starts starts;
  starts.differ = _mm_setzero_si128();
  for (unsigned k = 0; k < 8; ++k) {
    const std::byte* const low = frames[k < 4 ? k : k + 4];
    const std::byte* const high = frames[k < 4 ? k + 4 : k + 8];
    for (const std::byte* frame : {low, high}) {
      const __m128i start = _mm_loadu_si128(reinterpret_cast<const __m128i*>(frame));
      starts.differ = _mm_ternarylogic_epi32(starts.differ, wanted, start, 0xf6);  // | (wanted ^ start)
    }
    starts.pair[k] =
        _mm512_inserti64x4(_mm512_castsi256_si512(load_start(low, from)), load_start(high, from), 1);
  }
  return starts;
}

AVX512 Headers transposed(Starts starts) {
  __m512i* const pair = starts.pair;
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

// Two octets of each word, the first the more significant one, as a number.
AVX512 __m512i big_endian(__m512i words, char first) {
  const char second = static_cast<char>(first + 1);
  const __m512i order = _mm512_broadcast_i32x4(
      _mm_set_epi8(-1, -1, static_cast<char>(12 + first), static_cast<char>(12 + second), -1, -1,
                   static_cast<char>(8 + first), static_cast<char>(8 + second), -1, -1,
                   static_cast<char>(4 + first), static_cast<char>(4 + second), -1, -1, first, second));
  return _mm512_shuffle_epi8(words, order);
}

// RFC 1071 over the five words of the header: as its sum is not zero, it is right if it folds to all ones.
// Halves are added as numbers with a sign, 0x8000 less than they are.
AVX512 __m512i or_checksum_wrong(const Numbers& n, __m512i wrong, const __m512i* header) {
  const __m512i one = all(n.ones), signs = all(n.signs);
  __m512i sum = all(n.sums_bias);
  for (unsigned w = 0; w < 5; ++w)
    sum = _mm512_add_epi32(sum, _mm512_madd_epi16(_mm512_xor_si512(header[w], signs), one));
  sum = _mm512_add_epi32(low_half(n, sum), _mm512_srli_epi32(sum, 16));
  return or_differ(wrong, sum, all(n.low_half));
}

// Both are of 1 to 223, but not 127/8, nor link-local. The first halves of both lie in one word.
AVX512 __m512i or_not_ordinary(const Numbers& n, __m512i wrong, __m512i source, __m512i destination) {
  constexpr __mmask32 kSecondHalves = 0xaaaa'aaaa;
  const __m512i both = _mm512_mask_blend_epi16(kSecondHalves, source, _mm512_slli_epi32(destination, 16));
  const __m512i octets = _mm512_and_si512(both, all(n.low_bytes));
  const __m512i beyond = _mm512_subs_epu16(_mm512_sub_epi16(octets, all(n.ones)), all(n.last_octets));
  const __m512i loopback = same_halves(n, octets, all(n.loopbacks));
  return any_of(_mm512_or_si512(wrong, beyond), loopback, same_halves(n, both, all(n.link_locals)));
}

// As after_ttl_decrement().
AVX512 __m512i after_hop(const Numbers& n, __m512i word) {
  const __mmask16 again = _mm512_cmpge_epu32_mask(word, all(n.hop_carries));
  const __m512i next = _mm512_add_epi32(word, all(n.hop));
  return _mm512_mask_add_epi32(next, again, next, all(n.hop_carry));
}

// Addresses that may be our own (own_addresses.h): by the digest of them, and those that it has by the
// filter.
template <class Address>
AVX512 __mmask16 not_own(const Numbers& n, __mmask16 lanes, __m512i source,
                         const OwnAddresses<Address>& own) {
  const __m512i digest = _mm512_loadu_si512(own.digest().data());
  const __m512i product = _mm512_mullo_epi32(source, all(OwnAddresses<Address>::kFactor));
  const __m512i word = _mm512_permutexvar_epi32(_mm512_srli_epi32(product, 28), digest);
  const __m512i bit = _mm512_srlv_epi32(word, _mm512_and_si512(_mm512_srli_epi32(product, 23), all(31)));
  const __mmask16 others = _mm512_mask_testn_epi32_mask(lanes, bit, all(n.one));
  if (others == lanes) [[likely]]
    return lanes;
  const __m512i place = _mm512_srlv_epi32(product, all(own.filter_shift()));
  const __m512i words =
      _mm512_mask_i32gather_epi32(all(0), lanes, _mm512_srli_epi32(place, 5), own.filter(), 4);
  const __m512i held = _mm512_srlv_epi32(words, _mm512_and_si512(place, all(31)));
  return _mm512_mask_testn_epi32_mask(lanes, held, all(n.one));
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
  std::copy_n(frames, count, batch.packets);
#pragma GCC unroll 8
  for (unsigned i = 0; i < count; ++i) {
    batch.frames[i] = static_cast<std::byte*>(frames[i]->buf_addr) + frames[i]->data_off;
    __builtin_prefetch(batch.frames[i]);
  }
  for (unsigned i = count; i % kLanes != 0; ++i) {
    batch.packets[i] = batch.packets[count - 1];
    batch.frames[i] = batch.frames[count - 1];
  }
}

// 16 frames or fewer that may be straight, a lane each, whose places in the batches begin at `at`.
struct Sixteen {
  rte_mbuf** packets;
  std::byte* const* frames;
  unsigned at;
  Buffers buffers;
  Headers headers;
  __m512i wrong;  // not zero: in several segments, or not to our MAC
};

AVX512 void cut_longer(const Sixteen& of, __mmask16 lanes, __m512i end, const std::uint32_t* lengths) {
  const __mmask16 longer = _mm512_mask_cmpneq_epi32_mask(lanes, end, of.buffers.lengths);
  if (longer != 0) [[unlikely]]
    cut(of.packets, lengths, longer);
}

// As IpBatch::set() does: they leave the straight way behind the lookup.
AVX512 void mark_last_hops(__mmask16 lanes, std::uint32_t* lengths) {
  if (lanes != 0) [[unlikely]]
    _mm512_mask_storeu_epi32(lengths, lanes, all(IpBatch<Ipv4Family>::kNotStraight));
}

AVX512 __mmask16 find_ipv4(const Numbers& n, const StraightSearch& search, const Sixteen& of, __mmask16 lanes,
                           IpBatch<Ipv4Family>& batch) {
  const auto& word = of.headers.word;
  // 1. IPv4 without options, in a segment that holds the packet.
  const __m512i length = big_endian(word[3], 2);
  const __m512i end = _mm512_add_epi32(length, all(n.l2));
  __m512i wrong = _mm512_or_si512(of.wrong, differ_in(word[3], all(n.ipv4_start), all(n.low_byte)));
  lanes = _mm512_mask_cmpge_epu32_mask(lanes, length, all(n.ipv4_header));
  lanes = _mm512_mask_cmple_epu32_mask(lanes, end, of.buffers.first_segments);

  // 2. With a right checksum, and from and to whom packets may go.
  wrong = or_checksum_wrong(n, wrong, word + 3);
  wrong = or_not_ordinary(n, wrong, word[6], word[7]);
  lanes = _mm512_mask_testn_epi32_mask(lanes, wrong, wrong);
  lanes = not_own(n, lanes, word[6], *search.own4);

  // 3. What later steps want to know.
  _mm512_storeu_si512(batch.destinations() + of.at, swapped(word[7]));
  _mm512_storeu_si512(batch.lengths + of.at, length);
  _mm512_storeu_si512(batch.hops + of.at, after_hop(n, word[5]));
  cut_longer(of, lanes, end, batch.lengths + of.at);
  mark_last_hops(_mm512_cmple_epu32_mask(_mm512_and_si512(word[5], all(n.low_byte)), all(n.one)),
                 batch.lengths + of.at);
  return lanes;
}

AVX512 __m128i ipv6_destination(const std::byte* frame) {
  constexpr unsigned kAt = kIpv6Addresses + sizeof(Ipv6Address);
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(frame + kAt));
}

// Both halves of the destinations in host order: of 16 frames, four at a time.
AVX512 void store_destinations(const Sixteen& of, Ipv6Address* to) {
  const __m512i halves =
      _mm512_broadcast_i32x4(_mm_set_epi8(8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7));
  for (unsigned k = 0; k < kLanes; k += 4) {
    __m512i four = _mm512_castsi128_si512(ipv6_destination(of.frames[k]));
    four = _mm512_inserti32x4(four, ipv6_destination(of.frames[k + 1]), 1);
    four = _mm512_inserti32x4(four, ipv6_destination(of.frames[k + 2]), 2);
    four = _mm512_inserti32x4(four, ipv6_destination(of.frames[k + 3]), 3);
    _mm512_storeu_si512(to + k, _mm512_shuffle_epi8(four, halves));
  }
}

// is_plainly_unicast(): the first octet is 1 to 0xfd.
AVX512 __mmask16 is_plainly_unicast(__mmask16 lanes, __m512i first_words) {
  const __m512i first = _mm512_and_si512(first_words, all(0xff));
  return _mm512_mask_cmplt_epu32_mask(lanes, _mm512_sub_epi32(first, all(1)), all(0xfd));
}

AVX512 __mmask16 find_ipv6(const Numbers& n, const StraightSearch& search, const Sixteen& of, __mmask16 lanes,
                           IpBatch<Ipv6Family>& batch) {
  const auto& word = of.headers.word;
  // 1. Version 6, in a segment that holds the packet.
  const __m512i length = _mm512_add_epi32(big_endian(word[4], 0), all(sizeof(wire::Ipv6)));
  const __m512i end = _mm512_add_epi32(length, all(n.l2));
  lanes = _mm512_mask_testn_epi32_mask(lanes, of.wrong, of.wrong);
  lanes = _mm512_mask_cmpeq_epi32_mask(lanes, _mm512_and_si512(word[3], all(0xf0)), all(0x60));
  lanes = _mm512_mask_cmple_epu32_mask(lanes, end, of.buffers.first_segments);

  // 2. From and to whom packets may go.
  const __m512i hops = _mm512_srli_epi32(word[4], 24);
  const Headers addresses =
      transposed(load_starts(of.frames, kIpv6Addresses, _mm_setzero_si128()));  // whatever they begin with
  const auto& source = addresses.word;
  lanes = is_plainly_unicast(is_plainly_unicast(lanes, source[0]), addresses.word[4]);
  const __m512i folded =
      _mm512_xor_si512(_mm512_xor_si512(source[0], source[1]), _mm512_xor_si512(source[2], source[3]));
  lanes = not_own(n, lanes, folded, *search.own6);

  // 3. What later steps want to know.
  for (unsigned half = 0; half < kLanes; half += 8) {
    _mm512_storeu_si512(batch.packets + of.at + half, _mm512_loadu_si512(of.packets + half));
    _mm512_storeu_si512(batch.frames + of.at + half, _mm512_loadu_si512(of.frames + half));
  }
  store_destinations(of, batch.destinations() + of.at);
  _mm512_storeu_si512(batch.lengths + of.at, length);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(batch.hops + of.at),
                   _mm512_cvtepi32_epi8(_mm512_sub_epi32(hops, all(1))));
  cut_longer(of, lanes, end, batch.lengths + of.at);
  mark_last_hops(_mm512_cmple_epu32_mask(hops, all(1)), batch.lengths + of.at);
  return lanes;
}

// The first of up to 16 frames of `ipv4`, where locate() put them, is at `at`.
AVX512 void find_16(const Numbers& n, const StraightSearch& search, std::uint64_t mac, unsigned count,
                    IpBatch<Ipv4Family>& ipv4, IpBatch<Ipv6Family>& ipv6, unsigned at, __m512i& bytes,
                    Sighted& sighted) {
  // 1. What the buffers say, and the first two bytes of the MAC, which are the same in all.
  auto lanes = static_cast<__mmask16>((1U << count) - 1);
  Sixteen of{ipv4.packets + at, ipv4.frames + at, at, load_buffers(n, ipv4.packets + at), {}, {}};
  bytes = _mm512_mask_add_epi32(bytes, lanes, bytes, of.buffers.lengths);
  const Starts starts = load_starts(of.frames, kFirstByte, _mm_cvtsi64_si128(static_cast<long long>(mac)));
  const bool other_mac = (_mm_cvtsi128_si32(starts.differ) & 0xffff) != 0;
  if (other_mac || (of.buffers.flags & RTE_MBUF_F_RX_VLAN_STRIPPED) != 0) [[unlikely]]
    return;

  // 2. In one segment, to our MAC.
  of.headers = transposed(starts);
  const auto rest_of_mac = static_cast<std::uint32_t>(mac >> 8 * kFirstByte);
  of.wrong = or_differ(_mm512_xor_si512(of.buffers.first_segments, of.buffers.lengths), of.headers.word[0],
                       all(rest_of_mac));

  // 3. Each family's.
  const __m512i type = _mm512_srli_epi32(of.headers.word[2], 16);
  const __mmask16 are_ipv4 = _mm512_mask_cmpeq_epi32_mask(lanes, type, all(0x0008));
  if (are_ipv4 != 0) [[likely]]
    sighted.ipv4 |= std::uint64_t{find_ipv4(n, search, of, are_ipv4, ipv4)} << at;
  if (are_ipv4 == lanes) [[likely]]
    return;
  const __mmask16 are_ipv6 = _mm512_mask_cmpeq_epi32_mask(lanes, type, all(0xdd86));
  if (are_ipv6 != 0) sighted.ipv6 |= std::uint64_t{find_ipv6(n, search, of, are_ipv6, ipv6)} << at;
}

AVX512_ENTRY Sighted find(const StraightSearch& search, rte_mbuf** frames, unsigned count,
                          IpBatch<Ipv4Family>& ipv4, IpBatch<Ipv6Family>& ipv6) {
  const Numbers& n = numbers();
  const std::uint64_t mac = search.mac.as_u48();
  locate(frames, count, ipv4);
  Sighted sighted;
  __m512i bytes = _mm512_setzero_si512();
  for (unsigned at = 0; at < count; at += kLanes) {
    const unsigned left = count - at < kLanes ? count - at : kLanes;
    find_16(n, search, mac, left, ipv4, ipv6, at, bytes, sighted);
  }
  sighted.bytes = static_cast<std::uint32_t>(_mm512_reduce_add_epi32(bytes));
  return sighted;
}

}  // namespace

FindStraight find_straight(lpm::Isa isa) {
  return isa == lpm::Isa::avx512 ? &find : nullptr;
}

}  // namespace millrace::dataplane
