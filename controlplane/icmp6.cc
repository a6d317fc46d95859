#include "controlplane/icmp6.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <span>

#include "controlplane/header_chain.h"
#include "controlplane/packet_bytes.h"
#include "dataplane/packet.h"
#include "net/checksum.h"
#include "net/wire6.h"

namespace millrace::controlplane {

using dataplane::DropReason;

namespace {

constexpr std::uint32_t kL2 = sizeof(wire::Ethernet);
constexpr std::uint32_t kHeaders = sizeof(wire::Ipv6) + sizeof(wire::Icmp);
constexpr std::uint8_t kHopLimit = 64;
constexpr std::uint32_t kTrafficClass = 0x0ff00000;

// The first header of an ICMPv6 message.
std::optional<wire::Icmp> read_message(const rte_mbuf* m, std::uint32_t at) {
  wire::Icmp icmp;
  if (copy_out(m, kL2 + at, std::as_writable_bytes(std::span(&icmp, 1))) != sizeof icmp) return std::nullopt;
  return icmp;
}

// RFC 4443 2.4 (e.1) and (e.2).
bool carries_error_or_redirect(rte_mbuf* m) {
  const HeaderChain chain = read_chain(m, ChainUse::look);
  if (chain.protocol != wire::kProtocolIcmpv6 || chain.later_fragment) return false;
  std::uint8_t type = 0;
  if (copy_out(m, kL2 + chain.at, std::as_writable_bytes(std::span(&type, 1))) == 0) return true;
  return type < wire::kIcmpv6EchoRequest || type == wire::kNdRedirect;
}

// RFC 4443 2.4 (e.3) to (e.6). Two errors may answer a multicast.
bool may_answer(rte_mbuf* m, dataplane::IcmpError what) {
  const wire::Ipv6* ip = dataplane::ipv6(m);
  const Ipv6Address source(ip->source);
  const bool names_one_node = !source.is_unspecified() && !source.is_multicast() && !source.is_loopback();
  const bool group_may =
      what.type == wire::kIcmpv6TooBig || (what.type == wire::kIcmpv6ParameterProblem && what.code == 2);
  const bool to_group =
      Ipv6Address(ip->destination).is_multicast() || dataplane::ethernet(m)->destination.is_group();
  return names_one_node && (!to_group || group_may) && !carries_error_or_redirect(m);
}

// The last four bytes of an error's header.
std::uint32_t rest_of(const dataplane::PacketMeta& meta, dataplane::IcmpError what) {
  if (what.type == wire::kIcmpv6TooBig) return meta.mtu;
  return what.type == wire::kIcmpv6ParameterProblem ? meta.pointer : 0;
}

// Headers of a message of ours, with the checksum over `rest`, the partial sum of what stands behind them.
struct Message {
  wire::Ipv6 ip;
  wire::Icmp icmp;
};
static_assert(sizeof(Message) == kHeaders);

void complete(Message& message, std::uint32_t length, std::uint16_t rest) {
  message.ip.payload_length = Be16(static_cast<std::uint16_t>(length));
  message.icmp.checksum = Be16(0);
  std::uint64_t sum = wire::pseudo_header_sum(
      Ipv6Address(message.ip.source), Ipv6Address(message.ip.destination), length, wire::kProtocolIcmpv6);
  sum = checksum_add(std::as_bytes(std::span(&message.icmp, 1)), sum + rest);
  message.icmp.checksum = Be16::from_wire(static_cast<std::uint16_t>(~checksum_fold(sum)));
}

}  // namespace

std::optional<DropReason> Icmp6::deliver(rte_mbuf* m, const Interface& ingress, std::uint16_t at) {
  const wire::Ipv6* ip = dataplane::ipv6(m);
  const Ipv6Address source(ip->source);
  const Ipv6Address destination(ip->destination);
  const std::uint32_t length =
      static_cast<std::uint32_t>(sizeof(wire::Ipv6)) + ip->payload_length.host() - at;
  const auto icmp = read_message(m, at);
  const std::uint64_t pseudo = wire::pseudo_header_sum(source, destination, length, wire::kProtocolIcmpv6);
  if (!icmp || checksum_fold(pseudo + checksum_sum(m, kL2 + at, length)) != 0xffff) {
    return DropReason::local_icmp_invalid;
  }
  if (icmp->type == wire::kIcmpv6TooBig) {
    const std::uint32_t mtu = std::uint32_t{icmp->rest_high.host()} << 16 | icmp->rest_low.host();
    too_big_(m, kL2 + at + static_cast<std::uint32_t>(sizeof(wire::Icmp)), mtu);
  }
  const bool is_echo = icmp->type == wire::kIcmpv6EchoRequest && icmp->code == 0;
  const auto from = destination.is_multicast() ? nd_.source_for(ingress, source) : destination;
  if (!is_echo || source.is_unspecified() || !from) return DropReason::local_icmp_ignored;
  echo_reply(m, ingress, at, *from);
  return std::nullopt;
}

// RFC 4443 4.2: the same message back, from the address that was asked; extension headers stay behind.
void Icmp6::echo_reply(rte_mbuf* m, const Interface& ingress, std::uint16_t at, Ipv6Address from) {
  const wire::Ipv6 request = *dataplane::ipv6(m);
  Message reply{request, *read_message(m, at)};
  reply.ip.version_class_label = Be32(6U << 28 | (request.version_class_label.host() & kTrafficClass));
  reply.ip.next_header = wire::kProtocolIcmpv6;
  reply.ip.hop_limit = kHopLimit;
  reply.ip.source = from.bytes();
  reply.ip.destination = request.source;
  reply.icmp.type = wire::kIcmpv6EchoReply;
  cut_front(m, kL2 + at + static_cast<std::uint32_t>(sizeof(wire::Icmp)));
  const std::uint16_t data = checksum_sum(m, 0, m->pkt_len);
  complete(reply, static_cast<std::uint32_t>(sizeof(wire::Icmp)) + m->pkt_len, data);
  char* begin = rte_pktmbuf_prepend(m, kHeaders);  // no more than was cut
  std::memcpy(begin, &reply, sizeof reply);
  ++limits_.count().echo_replies;
  output_.send_packet(m, ingress);
}

// RFC 4443 2.2: the address that the packet was for, if it is ours; else one that faces the sender.
std::optional<Ipv6Address> Icmp6::error_source(const wire::Ipv6& original, const Interface& ingress) const {
  const Ipv6Address asked(original.destination);
  const bool is_own = ingress.has_address(asked) || tables_.own_addresses<Ipv6Address>().contains(asked);
  if (!is_own) return nd_.source_for(ingress, Ipv6Address(original.source));
  return nd_.may_answer(asked, ingress.id) ? std::optional(asked) : std::nullopt;
}

void Icmp6::send_error(rte_mbuf* m, const Interface& ingress, DropReason reason) {
  const auto& what = dataplane::info(reason).error6;
  if (!what) return;  // not in this family
  const auto source = error_source(*dataplane::ipv6(m), ingress);
  if (!limits_.allow(source && may_answer(m, *what))) return;
  rte_mbuf* error = make_error(m, *source, reason);
  if (error == nullptr) return;
  ++limits_.count().errors_sent;
  output_.send_packet(error, ingress);
}

rte_mbuf* Icmp6::make_error(rte_mbuf* m, Ipv6Address from, DropReason reason) {
  const auto& what = dataplane::info(reason).error6;
  const std::uint32_t quote = std::min<std::uint32_t>(m->pkt_len - kL2, wire::kIpv6MinMtu - kHeaders);
  rte_mbuf* error = output_.allocate(static_cast<std::uint16_t>(kHeaders + quote));
  if (error == nullptr) return nullptr;
  auto* message = rte_pktmbuf_mtod(error, Message*);
  const std::span quoted(reinterpret_cast<std::byte*>(message + 1), quote);
  copy_out(m, kL2, quoted);
  const std::uint32_t rest = rest_of(dataplane::meta(m), *what);
  *message = {
      {Be32(6U << 28), Be16(0), wire::kProtocolIcmpv6, kHopLimit, from.bytes(), dataplane::ipv6(m)->source},
      {what->type, what->code, Be16(0), Be16(static_cast<std::uint16_t>(rest >> 16)),
       Be16(static_cast<std::uint16_t>(rest))}};
  complete(*message, static_cast<std::uint32_t>(sizeof(wire::Icmp)) + quote,
           checksum_fold(checksum_add(quoted)));
  return error;
}

}  // namespace millrace::controlplane
