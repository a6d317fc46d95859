#include "controlplane/icmp.h"

#include <algorithm>
#include <span>

#include "controlplane/packet_bytes.h"
#include "dataplane/packet.h"
#include "net/checksum.h"

namespace millrace::controlplane {

using dataplane::DropReason;

namespace {

constexpr std::uint32_t kL2 = sizeof(wire::Ethernet);
constexpr std::uint8_t kTtl = 64;                    // RFC 1700
constexpr std::uint8_t kInternetworkControl = 0xc0;  // RFC 1812 4.3.2.5: precedence of errors
constexpr std::uint32_t kMaxError = 576;             // RFC 1812 4.3.2.3: an error is no longer than this

constexpr std::uint8_t kFragmentationNeeded = 4;  // RFC 1191 4: a code of "unreachable"

bool is_error_type(std::uint8_t type) {
  return type == wire::kIcmpUnreachable || type == wire::kIcmpSourceQuench || type == wire::kIcmpRedirect ||
         type == wire::kIcmpTimeExceeded || type == wire::kIcmpParameterProblem;
}

}  // namespace

std::optional<DropReason> Icmp::deliver(rte_mbuf* m, const Interface& ingress) {
  const unsigned header = dataplane::ipv4(m)->header_length();
  const std::uint32_t length = dataplane::ipv4(m)->total_length.host() - header;
  const auto first = static_cast<std::uint16_t>(kL2 + header + sizeof(wire::Icmp));
  if (length < sizeof(wire::Icmp) || !dataplane::make_contiguous(m, first) ||
      checksum_sum(m, kL2 + header, length) != 0xffff) {
    return DropReason::local_icmp_invalid;
  }
  const auto* icmp = rte_pktmbuf_mtod_offset(m, const wire::Icmp*, kL2 + header);
  if (icmp->type == wire::kIcmpUnreachable && icmp->code == kFragmentationNeeded)
    too_big_(m, first, icmp->rest_low.host());
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
  ++limits_.count().echo_replies;
  rte_pktmbuf_adj(m, kL2);
  output_.send_packet(m, ingress);
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

void Icmp::send_error(rte_mbuf* m, const Interface& ingress, DropReason reason) {
  if (!dataplane::info(reason).error) return;  // not in this family
  const auto source = ingress.source_for(Ipv4Address(dataplane::ipv4(m)->source));
  if (!limits_.allow(source && may_answer(m))) return;
  rte_mbuf* error = make_error(m, *source, reason);
  if (error == nullptr) return;
  ++limits_.count().errors_sent;
  output_.send_packet(error, ingress);
}

rte_mbuf* Icmp::make_error(rte_mbuf* m, Ipv4Address from, DropReason reason) {
  const auto& what = dataplane::info(reason).error;
  const wire::Ipv4* original = dataplane::ipv4(m);
  constexpr std::uint32_t kHeaders = sizeof(wire::Ipv4) + sizeof(wire::Icmp);
  const std::uint32_t quote = std::min<std::uint32_t>(original->total_length.host(), kMaxError - kHeaders);
  rte_mbuf* error = output_.allocate(static_cast<std::uint16_t>(kHeaders + quote));
  if (error == nullptr) return nullptr;
  auto* ip = rte_pktmbuf_mtod(error, wire::Ipv4*);
  auto* icmp = reinterpret_cast<wire::Icmp*>(ip + 1);
  copy_out(m, kL2, std::span(reinterpret_cast<std::byte*>(icmp + 1), quote));
  *icmp = {what->type, what->code, Be16(0), Be16(0),
           Be16(reason == DropReason::fragmentation_needed ? dataplane::meta(m).mtu : std::uint16_t{0})};
  icmp->checksum = internet_checksum({reinterpret_cast<const std::byte*>(icmp), sizeof(wire::Icmp) + quote});
  *ip = {0x45,
         kInternetworkControl,
         Be16(static_cast<std::uint16_t>(kHeaders + quote)),
         Be16(++identification_),
         Be16(0),
         kTtl,
         wire::kProtocolIcmp,
         Be16(0),
         from.wire(),
         original->source};
  ip->checksum = internet_checksum({reinterpret_cast<const std::byte*>(ip), sizeof(wire::Ipv4)});
  return error;
}

}  // namespace millrace::controlplane
