#include "controlplane/packet_bytes.h"

#include <algorithm>
#include <cstring>

#include "dataplane/packet.h"
#include "net/checksum.h"

namespace millrace::controlplane {
namespace {

// Calls `visit` with each piece of the `length` bytes at `offset`.
template <class Visit>
void visit_bytes(const rte_mbuf* m, std::uint32_t offset, std::uint32_t length, Visit&& visit) {
  for (; m != nullptr && length > 0; m = m->next) {
    if (offset >= m->data_len) {
      offset -= m->data_len;
      continue;
    }
    const std::uint32_t take = std::min<std::uint32_t>(length, m->data_len - offset);
    visit(std::span(rte_pktmbuf_mtod_offset(m, const std::byte*, offset), take));
    length -= take;
    offset = 0;
  }
}

}  // namespace

bool is_ipv6(rte_mbuf* m) {
  return *rte_pktmbuf_mtod_offset(m, const std::uint8_t*, sizeof(wire::Ethernet)) >> 4 == 6;
}

std::uint16_t checksum_sum(const rte_mbuf* m, std::uint32_t offset, std::uint32_t length) {
  std::uint64_t sum = 0;
  bool odd = false;
  visit_bytes(m, offset, length, [&](std::span<const std::byte> piece) {
    const std::uint16_t part = checksum_fold(checksum_add(piece));
    // RFC 1071 2 (B): a part at an odd place counts with its bytes swapped.
    sum += odd ? byteswap(part) : part;
    odd ^= (piece.size() & 1) != 0;
  });
  return checksum_fold(sum);
}

std::size_t copy_out(const rte_mbuf* m, std::uint32_t offset, std::span<std::byte> to) {
  std::size_t done = 0;
  visit_bytes(m, offset, static_cast<std::uint32_t>(to.size()), [&](std::span<const std::byte> piece) {
    std::memcpy(&to[done], piece.data(), piece.size());
    done += piece.size();
  });
  return done;
}

void cut_front(rte_mbuf* m, std::uint32_t bytes) {
  m->pkt_len -= bytes;
  for (rte_mbuf* segment = m; bytes > 0;) {
    const auto take = static_cast<std::uint16_t>(std::min<std::uint32_t>(bytes, segment->data_len));
    segment->data_off = static_cast<std::uint16_t>(segment->data_off + take);
    segment->data_len = static_cast<std::uint16_t>(segment->data_len - take);
    bytes -= take;
    rte_mbuf* next = segment->next;
    if (segment != m && segment->data_len == 0) {
      m->next = next;
      m->nb_segs = static_cast<std::uint16_t>(m->nb_segs - 1);
      segment->next = nullptr;
      rte_pktmbuf_free_seg(segment);
    }
    segment = next;
  }
}

}  // namespace millrace::controlplane
