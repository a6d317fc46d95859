#include "controlplane/reassembly.h"

#include <algorithm>
#include <cstring>

#include "controlplane/packet_bytes.h"
#include "net/checksum.h"
#include "net/wire6.h"

namespace millrace::controlplane {

using dataplane::DropReason;

namespace {

constexpr std::uint32_t kL2 = sizeof(wire::Ethernet);
constexpr std::uint32_t kMaxPacket = 65535;  // what a length field can say

// The header of the whole datagram is that of its first fragment.
void make_whole_ipv4(rte_mbuf* m, std::uint32_t payload) {
  wire::Ipv4* ip = dataplane::ipv4(m);
  ip->total_length = Be16(static_cast<std::uint16_t>(ip->header_length() + payload));
  ip->flags_offset = Be16(0);
  ip->checksum = Be16(0);
  ip->checksum = internet_checksum({reinterpret_cast<const std::byte*>(ip), ip->header_length()});
}

// The fragment header goes: it ends at `headers_end`.
void make_whole_ipv6(rte_mbuf* m, std::uint32_t headers_end, std::uint16_t named_at) {
  const std::uint32_t at = headers_end - static_cast<std::uint32_t>(sizeof(wire::Ipv6Fragment));
  auto* begin = rte_pktmbuf_mtod(m, std::byte*);
  begin[kL2 + named_at] = begin[at];  // the next header
  std::memmove(begin + sizeof(wire::Ipv6Fragment), begin, at);
  cut_front(m, sizeof(wire::Ipv6Fragment));
  dataplane::ipv6(m)->payload_length =
      Be16(static_cast<std::uint16_t>(m->pkt_len - kL2 - sizeof(wire::Ipv6)));
}

// The payload of a later fragment: its segments, none of them empty.
rte_mbuf* payload_of(rte_mbuf* m, std::uint32_t header) {
  cut_front(m, header);
  if (m->data_len != 0) return m;
  rte_mbuf* next = m->next;
  next->pkt_len = m->pkt_len;
  next->nb_segs = static_cast<std::uint16_t>(m->nb_segs - 1);
  m->next = nullptr;
  m->nb_segs = 1;
  rte_pktmbuf_free_seg(m);
  return next;
}

}  // namespace

Reassembly::~Reassembly() {
  for (Datagram& datagram : order_) {
    for (const Part& part : datagram.parts) rte_pktmbuf_free(part.packet);
  }
}

void Reassembly::refuse(rte_mbuf* m, std::uint16_t pointer) {
  dataplane::meta(m).pointer = pointer;
  drop_(m, DropReason::local_fragment_invalid, true);
}

rte_mbuf* Reassembly::add_ipv4(rte_mbuf* m) {
  const wire::Ipv4* ip = dataplane::ipv4(m);
  const std::uint32_t offset = ip->fragment_offset() * 8;
  const std::uint32_t length = ip->total_length.host() - ip->header_length();
  const bool ragged = ip->more_fragments() && length % 8 != 0;
  if (length == 0 || ragged || ip->header_length() + offset + length > kMaxPacket) {
    refuse(m, 0);
    return nullptr;
  }
  const Key key{Ipv4Address(ip->source), Ipv4Address(ip->destination), ip->identification.host(),
                ip->protocol};
  return add(key, {offset, length, kL2 + ip->header_length(), 0, m}, ip->more_fragments());
}

rte_mbuf* Reassembly::add_ipv6(rte_mbuf* m, std::uint16_t at, std::uint16_t named_at) {
  if (!dataplane::make_contiguous(m, static_cast<std::uint16_t>(kL2 + at + sizeof(wire::Ipv6Fragment)))) {
    drop_(m, DropReason::header_not_contiguous, true);
    return nullptr;
  }
  const wire::Ipv6* ip = dataplane::ipv6(m);
  const auto fragment = *rte_pktmbuf_mtod_offset(m, const wire::Ipv6Fragment*, kL2 + at);
  const std::uint32_t before =
      at - static_cast<std::uint32_t>(sizeof(wire::Ipv6));  // that all fragments have
  const std::uint32_t length =
      ip->payload_length.host() - before - static_cast<std::uint32_t>(sizeof(wire::Ipv6Fragment));
  const bool ragged = fragment.more() && length % 8 != 0;
  if (length == 0 || ragged) {
    refuse(m, offsetof(wire::Ipv6, payload_length));
    return nullptr;
  }
  if (before + fragment.offset() + length > kMaxPacket) {
    refuse(m, static_cast<std::uint16_t>(at + offsetof(wire::Ipv6Fragment, offset_more)));
    return nullptr;
  }
  const Key key{Ipv6Address(ip->source), Ipv6Address(ip->destination), fragment.identification.host(), 0};
  const auto header = static_cast<std::uint32_t>(kL2 + at + sizeof(wire::Ipv6Fragment));
  return add(key, {fragment.offset(), length, header, named_at, m}, fragment.more());
}

// The datagram of the key, made if it is new and there is room.
Reassembly::Order::iterator Reassembly::find(const Key& key) {
  if (const auto at = by_key_.find(key); at != by_key_.end()) return at->second;
  if (order_.size() >= limits_.datagrams) end(order_.begin(), DropReason::reassembly_full, false);
  const std::uint64_t timeout = key.source.is_ipv6() ? limits_.timeout6_ns : limits_.timeout4_ns;
  const auto at = order_.insert(order_.end(), Datagram{key, now_ns_ + timeout, 0, {}, false, {}});
  by_key_.emplace(key, at);
  return at;
}

// Whether the part lies over another, or over the datagram's end.
bool Reassembly::overlaps(const Datagram& datagram, const Part& part, bool more) {
  const std::uint32_t part_end = part.offset + part.length;
  if (datagram.length && (part_end > *datagram.length || (!more && part_end != *datagram.length)))
    return true;
  const auto covers = [&](const Part& p) { return p.offset < part_end && part.offset < p.offset + p.length; };
  const bool beyond_end = !more && !datagram.parts.empty() &&
                          datagram.parts.back().offset + datagram.parts.back().length > part_end;
  return beyond_end || std::ranges::any_of(datagram.parts, covers);
}

rte_mbuf* Reassembly::add(const Key& key, Part part, bool more) {
  const auto at = find(key);
  Datagram& datagram = *at;
  const auto is_same = [&](const Part& p) { return p.offset == part.offset && p.length == part.length; };
  const bool repeated = std::ranges::any_of(datagram.parts, is_same);
  if (repeated || datagram.overlapped || overlaps(datagram, part, more)) {
    drop_(part.packet, DropReason::local_fragment_overlap, false);
    if (repeated || datagram.overlapped) return nullptr;  // RFC 8200 4.5: a repeated one alone may go
    datagram.overlapped = true;                           // and what still comes goes, too
    drop_parts(datagram, DropReason::local_fragment_overlap, false);
    return nullptr;
  }
  if (!more) datagram.length = part.offset + part.length;
  const auto place = std::ranges::lower_bound(datagram.parts, part.offset, {}, &Part::offset);
  datagram.parts.insert(place, part);
  datagram.parts_length += part.length;
  buffers_ += part.packet->nb_segs;
  if (datagram.length == datagram.parts_length) return join(at);
  if (datagram.parts.size() > limits_.fragments) end(at, DropReason::reassembly_full, false);
  while (buffers_ > limits_.buffers) end(order_.begin(), DropReason::reassembly_full, false);
  return nullptr;
}

rte_mbuf* Reassembly::join(Order::iterator at) {
  const Part first = at->parts.front();
  const bool ipv6 = at->key.source.is_ipv6();
  const std::uint32_t around = ipv6 ? sizeof(wire::Ipv6) + sizeof(wire::Ipv6Fragment) : 0;
  // The first fragment may have longer headers than the last, by which add_…() went.
  if (first.header - kL2 - around + *at->length > kMaxPacket) {
    end(at, DropReason::local_fragment_invalid, true);
    return nullptr;
  }
  rte_mbuf* whole = first.packet;
  buffers_ -= whole->nb_segs;
  rte_mbuf* last = rte_pktmbuf_lastseg(whole);
  for (std::size_t i = 1; i < at->parts.size(); ++i) {
    buffers_ -= at->parts[i].packet->nb_segs;
    rte_mbuf* payload = payload_of(at->parts[i].packet, at->parts[i].header);
    last->next = payload;
    last = rte_pktmbuf_lastseg(payload);
    whole->nb_segs = static_cast<std::uint16_t>(whole->nb_segs + payload->nb_segs);
    whole->pkt_len += payload->pkt_len;
    payload->nb_segs = 1;
  }
  if (ipv6) {
    make_whole_ipv6(whole, first.header, first.named_at);
  } else {
    make_whole_ipv4(whole, *at->length);
  }
  by_key_.erase(at->key);
  order_.erase(at);
  return whole;
}

void Reassembly::drop_parts(Datagram& datagram, DropReason reason, bool answered) {
  for (const Part& part : std::exchange(datagram.parts, {})) {
    buffers_ -= part.packet->nb_segs;
    drop_(part.packet, reason, answered && part.offset == 0);
  }
}

void Reassembly::end(Order::iterator at, DropReason reason, bool answered) {
  Datagram datagram = std::move(*at);
  by_key_.erase(at->key);
  order_.erase(at);
  drop_parts(datagram, reason, answered);
}

// Timeouts differ between the families: those of IPv4 may be due behind older ones of IPv6.
void Reassembly::tick() {
  for (auto at = order_.begin(); at != order_.end();) {
    const auto next = std::next(at);
    if (at->deadline_ns <= now_ns_) end(at, DropReason::reassembly_timeout, true);
    at = next;
  }
}

}  // namespace millrace::controlplane
