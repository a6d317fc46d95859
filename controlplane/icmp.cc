#include "controlplane/icmp.h"

#include <algorithm>
#include <cstring>

#include "dataplane/packet.h"
#include "net/checksum.h"

namespace millrace::controlplane {

using dataplane::DropReason;

namespace {

constexpr std::uint32_t kL2 = sizeof(wire::Ethernet);
constexpr std::uint8_t kTtl = 64;                    // RFC 1700
constexpr std::uint8_t kInternetworkControl = 0xc0;  // RFC 1812 4.3.2.5: precedence of errors
constexpr std::uint32_t kMaxError = 576;             // RFC 1812 4.3.2.3: an error is no longer than this
constexpr std::uint64_t kSecond = 1'000'000'000;

bool is_error_type(std::uint8_t type) {
  return type == wire::kIcmpUnreachable || type == wire::kIcmpSourceQuench || type == wire::kIcmpRedirect ||
         type == wire::kIcmpTimeExceeded || type == wire::kIcmpParameterProblem;
}

// The checksum of `length` bytes at `offset`, over all segments.
bool checksum_ok_at(const rte_mbuf* m, std::uint32_t offset, std::uint32_t length) {
  std::uint64_t sum = 0;
  bool odd = false;
  for (; m != nullptr && length > 0; m = m->next) {
    if (offset >= m->data_len) {
      offset -= m->data_len;
      continue;
    }
    const std::uint32_t take = std::min<std::uint32_t>(length, m->data_len - offset);
    const auto* at = rte_pktmbuf_mtod_offset(m, const std::byte*, offset);
    const std::uint16_t part = checksum_fold(checksum_add({at, take}));
    sum +=
        odd ? byteswap(part) : part;  // RFC 1071 2 (B): a part at an odd place counts with its bytes swapped
    odd ^= (take & 1) != 0;
    length -= take;
    offset = 0;
  }
  return length == 0 && checksum_fold(sum) == 0xffff;
}

}  // namespace

std::optional<DropReason> Icmp::deliver(rte_mbuf* m, const Interface& ingress) {
  const wire::Ipv4* ip = dataplane::ipv4(m);
  if (ip->is_fragment()) return DropReason::local_fragment;
  if (ip->protocol == wire::kProtocolIcmp) return answer_icmp(m, ingress);
  const bool has_ports = ip->protocol == wire::kProtocolUdp || ip->protocol == wire::kProtocolTcp;
  return has_ports ? DropReason::local_no_port : DropReason::local_no_protocol;
}

std::optional<DropReason> Icmp::answer_icmp(rte_mbuf* m, const Interface& ingress) {
  const unsigned header = dataplane::ipv4(m)->header_length();
  const std::uint32_t length = dataplane::ipv4(m)->total_length.host() - header;
  const auto first = static_cast<std::uint16_t>(kL2 + header + sizeof(wire::Icmp));
  if (length < sizeof(wire::Icmp) || !dataplane::make_contiguous(m, first) ||
      !checksum_ok_at(m, kL2 + header, length)) {
    return DropReason::local_icmp_invalid;
  }
  const auto* icmp = rte_pktmbuf_mtod_offset(m, const wire::Icmp*, kL2 + header);
  // Redirects are not obeyed; source quench, timestamps, masks and all the rest have no answer (RFC 6918).
  if (icmp->type != wire::kIcmpEchoRequest || icmp->code != 0) return DropReason::local_icmp_ignored;
  echo_reply(m, ingress);
  return std::nullopt;
}

// RFC 792 and RFC 1812 4.3.3.6: the same packet back, from the address that was asked. The checksum changes
// by what the type does: 8 to 0 in the high byte.
void Icmp::echo_reply(rte_mbuf* m, const Interface& ingress) {
  wire::Ipv4* ip = dataplane::ipv4(m);
  auto* icmp = rte_pktmbuf_mtod_offset(m, wire::Icmp*, kL2 + ip->header_length());
  icmp->type = wire::kIcmpEchoReply;
  const std::uint32_t sum =
      static_cast<std::uint16_t>(~icmp->checksum.host()) + std::uint32_t{0xf7ff};  // ~0x0800
  const auto checksum = static_cast<std::uint16_t>(~((sum & 0xffff) + (sum >> 16)));
  // Zero is right only if the rest adds up to all ones; all ones is right then, too, and also for a message
  // of zeroes.
  icmp->checksum = Be16(checksum == 0 ? std::uint16_t{0xffff} : checksum);
  std::swap(ip->source, ip->destination);
  ip->ttl = kTtl;
  ip->identification = Be16(++identification_);
  ip->flags_offset = Be16(0);
  ip->checksum = Be16(0);
  ip->checksum = internet_checksum({reinterpret_cast<const std::byte*>(ip), ip->header_length()});
  ++counters_.echo_replies;
  rte_pktmbuf_adj(m, kL2);
  output_.send_packet(m, ingress.fib);
}

// RFC 1812 4.3.2.7: no error about an error, a later fragment, or to whom it would be no help. Packets in
// broadcast frames, to broadcast and multicast addresses and from invalid sources were dropped before they
// came here.
bool Icmp::may_answer(rte_mbuf* m) const {
  const wire::Ipv4* ip = dataplane::ipv4(m);
  const Ipv4Address source(ip->source);
  if (ip->fragment_offset() != 0) return false;
  if (source.is_this_network() || source.is_multicast() || source.is_class_e() || source.is_loopback())
    return false;
  if (ip->protocol != wire::kProtocolIcmp) return true;
  std::uint8_t type = 0;
  const void* at = rte_pktmbuf_read(m, static_cast<std::uint32_t>(kL2 + ip->header_length()), 1, &type);
  if (at == nullptr) return false;
  return !is_error_type(*static_cast<const std::uint8_t*>(at));
}

bool Icmp::take_token() {
  const std::uint64_t cost = kSecond / rate_;
  // A bucket holds a tenth of a second's errors, and at least 6: a traceroute sends that many at once.
  const std::uint64_t capacity = std::max(kSecond / 10, 6 * cost);
  credit_ns_ = std::min(capacity, last_ns_ == 0 ? capacity : credit_ns_ + (now_ns_ - last_ns_));
  last_ns_ = now_ns_;
  if (credit_ns_ < cost) return false;
  credit_ns_ -= cost;
  return true;
}

void Icmp::send_error(rte_mbuf* m, const Interface& ingress, DropReason reason, std::uint16_t mtu) {
  const auto& what = dataplane::info(reason).error;
  const wire::Ipv4* original = dataplane::ipv4(m);
  const auto source = ingress.source_for(Ipv4Address(original->source));
  if (!what) return;  // not in this family
  if (!source || !may_answer(m)) {
    ++counters_.errors_suppressed_rule;
    return;
  }
  if (!take_token()) {
    ++counters_.errors_suppressed_rate;
    return;
  }
  constexpr std::uint32_t kHeaders = sizeof(wire::Ipv4) + sizeof(wire::Icmp);
  const std::uint32_t quote = std::min<std::uint32_t>(original->total_length.host(), kMaxError - kHeaders);
  rte_mbuf* error = output_.allocate(static_cast<std::uint16_t>(kHeaders + quote));
  if (error == nullptr) return;
  auto* ip = rte_pktmbuf_mtod(error, wire::Ipv4*);
  auto* icmp = reinterpret_cast<wire::Icmp*>(ip + 1);
  const void* from = rte_pktmbuf_read(m, kL2, quote, icmp + 1);
  if (from == nullptr) return rte_pktmbuf_free(error);
  if (from != icmp + 1) std::memcpy(icmp + 1, from, quote);
  *icmp = {what->type, what->code, Be16(0), Be16(0),
           Be16(reason == DropReason::fragmentation_needed ? mtu : std::uint16_t{0})};
  icmp->checksum = internet_checksum({reinterpret_cast<const std::byte*>(icmp), sizeof(wire::Icmp) + quote});
  *ip = {0x45,
         kInternetworkControl,
         Be16(static_cast<std::uint16_t>(kHeaders + quote)),
         Be16(++identification_),
         Be16(0),
         kTtl,
         wire::kProtocolIcmp,
         Be16(0),
         source->wire(),
         original->source};
  ip->checksum = internet_checksum({reinterpret_cast<const std::byte*>(ip), sizeof(wire::Ipv4)});
  ++counters_.errors_sent;
  output_.send_packet(error, ingress.fib);
}

}  // namespace millrace::controlplane
