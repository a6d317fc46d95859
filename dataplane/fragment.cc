#include "dataplane/fragment.h"

#include <algorithm>
#include <cstring>

#include "net/checksum.h"
#include "net/wire6.h"

namespace millrace::dataplane {
namespace {

constexpr std::uint32_t kL2 = sizeof(wire::Ethernet);

// The length of the option at `at`; 0 if it is none (RFC 791 3.1).
unsigned option_size(const std::uint8_t* options, unsigned at, unsigned length) {
  constexpr std::uint8_t kNoOperation = 1;
  if (options[at] == kNoOperation) return 1;
  const unsigned size = at + 1 < length ? options[at + 1] : 0U;
  return size >= 2 && at + size <= length ? size : 0;
}

// Writes the options that belong on every fragment (copied flag set) behind `to`; returns their padded
// length.
unsigned copied_options(const std::uint8_t* options, unsigned length, std::uint8_t* to) {
  unsigned used = 0;
  for (unsigned at = 0; at < length && options[at] != 0;) {
    const unsigned size = option_size(options, at, length);
    if (size == 0) break;
    if ((options[at] & 0x80) != 0) {
      std::memcpy(to + used, options + at, size);
      used += size;
    }
    at += size;
  }
  while (used % 4 != 0) to[used++] = 0;
  return used;
}

// Appends `length` bytes of `from` at `offset` to the packet `to`, with as many segments as they need.
bool append(rte_mbuf* to, const rte_mbuf* from, std::uint32_t offset, std::uint32_t length) {
  while (offset >= from->data_len) {
    offset -= from->data_len;
    from = from->next;
  }
  rte_mbuf* last = rte_pktmbuf_lastseg(to);
  while (length > 0) {
    if (offset == from->data_len) {
      from = from->next;
      offset = 0;
      continue;
    }
    if (rte_pktmbuf_tailroom(last) == 0) {
      rte_mbuf* more = rte_pktmbuf_alloc(to->pool);
      if (more == nullptr) return false;
      last->next = more;
      last = more;
      to->nb_segs = static_cast<std::uint16_t>(to->nb_segs + 1);
    }
    const auto take = static_cast<std::uint16_t>(
        std::min({length, from->data_len - offset, static_cast<std::uint32_t>(rte_pktmbuf_tailroom(last))}));
    std::memcpy(rte_pktmbuf_mtod_offset(last, char*, last->data_len),
                rte_pktmbuf_mtod_offset(from, const char*, offset), take);
    last->data_len = static_cast<std::uint16_t>(last->data_len + take);
    to->pkt_len += take;
    offset += take;
    length -= take;
  }
  return true;
}

struct Header {
  std::uint8_t bytes[wire::kIpv4MaxHeader];
  unsigned length;
};

// One fragment: the L2 header of `m`, `header` as it is, `length` bytes of payload from `payload_at`.
rte_mbuf* make_fragment(rte_mbuf* m, const Header& header, std::uint32_t payload_at, std::uint32_t length,
                        rte_mempool* pool) {
  rte_mbuf* f = rte_pktmbuf_alloc(pool);
  if (f == nullptr) return nullptr;
  char* l2 = rte_pktmbuf_append(f, static_cast<std::uint16_t>(kL2 + header.length));
  if (l2 == nullptr || !append(f, m, payload_at, length)) {
    rte_pktmbuf_free(f);
    return nullptr;
  }
  std::memcpy(l2, rte_pktmbuf_mtod(m, char*), kL2);
  std::memcpy(l2 + kL2, header.bytes, header.length);
  f->port = m->port;
  return f;
}

// The header of a fragment: offset, flags, length and checksum.
void complete_ipv4(Header& header, std::uint32_t length, std::uint16_t flags_offset) {
  auto* ip = reinterpret_cast<wire::Ipv4*>(header.bytes);
  ip->version_ihl = static_cast<std::uint8_t>(0x40 | (header.length / 4));
  ip->total_length = Be16(static_cast<std::uint16_t>(header.length + length));
  ip->flags_offset = Be16(flags_offset);
  ip->checksum = Be16(0);
  ip->checksum = internet_checksum({reinterpret_cast<const std::byte*>(ip), header.length});
}

void complete_ipv6(Header& header, std::uint32_t length, std::uint32_t offset, bool last) {
  auto* ip = reinterpret_cast<wire::Ipv6*>(header.bytes);
  auto* fragment = reinterpret_cast<wire::Ipv6Fragment*>(ip + 1);
  ip->payload_length = Be16(static_cast<std::uint16_t>(sizeof(wire::Ipv6Fragment) + length));
  fragment->offset_more = Be16(static_cast<std::uint16_t>(offset | (last ? 0 : 1)));
}

Header first_header(const wire::Ipv4* ip) {
  Header h{{}, ip->header_length()};
  std::memcpy(h.bytes, ip, h.length);
  return h;
}

Header later_header(const wire::Ipv4* ip) {
  Header h{{}, sizeof(wire::Ipv4)};
  std::memcpy(h.bytes, ip, sizeof(wire::Ipv4));
  h.length += copied_options(reinterpret_cast<const std::uint8_t*>(ip + 1),
                             ip->header_length() - static_cast<unsigned>(sizeof(wire::Ipv4)),
                             h.bytes + sizeof(wire::Ipv4));
  return h;
}

bool is_whole(rte_mbuf* m) {
  if (rte_pktmbuf_data_len(m) < kL2 + sizeof(wire::Ipv4)) return false;
  const wire::Ipv4* ip = ipv4(m);
  return ip->header_length() >= sizeof(wire::Ipv4) && ip->total_length.host() > ip->header_length() &&
         rte_pktmbuf_data_len(m) >= kL2 + ip->header_length() && m->pkt_len == kL2 + ip->total_length.host();
}

// Cuts `payload` bytes that begin `at` into fragments. `header` is that of the first one; `complete(header,
// done, length)` makes it that of the one that carries `length` bytes from `done`, and `later(header)` what
// those behind the first one have.
template <class Complete, class Later>
FragmentResult cut(rte_mbuf* m, Header header, std::uint32_t at, std::uint32_t payload, std::uint16_t mtu,
                   rte_mempool* pool, rte_mbuf* (&out)[kMaxFragments], Complete&& complete, Later&& later) {
  unsigned count = 0;
  for (std::uint32_t done = 0; done < payload;) {
    // Every fragment but the last carries a multiple of 8 bytes.
    const std::uint32_t room = mtu > header.length ? (mtu - header.length) & ~7U : 0;
    if (room == 0 || count == kMaxFragments) {
      rte_pktmbuf_free_bulk(out, count);
      return {0, DropReason::mtu_too_small};
    }
    const std::uint32_t length = std::min(room, payload - done);
    complete(header, done, length);
    out[count] = make_fragment(m, header, at + done, length, pool);
    if (out[count] == nullptr) {
      rte_pktmbuf_free_bulk(out, count);
      return {0, DropReason::no_mbuf};
    }
    ++count;
    done += length;
    if (done == length) later(header);
  }
  return {count, {}};
}

}  // namespace

FragmentResult fragment_ipv4(rte_mbuf* m, std::uint16_t mtu, rte_mempool* pool,
                             rte_mbuf* (&out)[kMaxFragments]) {
  if (!is_whole(m)) return {0, DropReason::mtu_too_small};
  const wire::Ipv4* ip = ipv4(m);
  const std::uint16_t old_flags = ip->flags_offset.host();
  const std::uint32_t payload = ip->total_length.host() - ip->header_length();
  const auto complete = [&](Header& header, std::uint32_t done, std::uint32_t length) {
    const bool last = done + length == payload && (old_flags & wire::kIpv4MoreFragments) == 0;
    const auto flags = static_cast<std::uint16_t>(
        (old_flags & wire::kIpv4Reserved) | (last ? 0 : wire::kIpv4MoreFragments) |
        (((old_flags & wire::kIpv4OffsetMask) + done / 8) & wire::kIpv4OffsetMask));
    complete_ipv4(header, length, flags);
  };
  const auto later = [&](Header& header) { header = later_header(ip); };
  return cut(m, first_header(ip), kL2 + ip->header_length(), payload, mtu, pool, out, complete, later);
}

FragmentResult fragment_ipv6(rte_mbuf* m, std::uint16_t mtu, std::uint32_t identification, rte_mempool* pool,
                             rte_mbuf* (&out)[kMaxFragments]) {
  if (rte_pktmbuf_data_len(m) < kL2 + sizeof(wire::Ipv6)) return {0, DropReason::mtu_too_small};
  const wire::Ipv6* ip = ipv6(m);
  const std::uint32_t payload = ip->payload_length.host();
  if (m->pkt_len != kL2 + sizeof(wire::Ipv6) + payload) return {0, DropReason::mtu_too_small};
  Header header{{}, sizeof(wire::Ipv6) + sizeof(wire::Ipv6Fragment)};
  const wire::Ipv6Fragment fragment{ip->next_header, 0, Be16(0), Be32(identification)};
  std::memcpy(header.bytes, ip, sizeof *ip);
  std::memcpy(header.bytes + sizeof *ip, &fragment, sizeof fragment);
  reinterpret_cast<wire::Ipv6*>(header.bytes)->next_header = wire::kFragment;
  const auto complete = [&](Header& h, std::uint32_t done, std::uint32_t length) {
    complete_ipv6(h, length, done, done + length == payload);
  };
  return cut(m, header, kL2 + static_cast<std::uint32_t>(sizeof(wire::Ipv6)), payload, mtu, pool, out,
             complete, [](Header&) {});
}

}  // namespace millrace::dataplane
