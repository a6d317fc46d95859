#include "perf/generator/host.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "net/wire6.h"

namespace millrace::perf {
namespace {

constexpr MacAddress kBroadcast{{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};
constexpr std::size_t kMinFrame = 60;

struct ArpFrame {
  wire::Ethernet ethernet;
  wire::Arp arp;
};
static_assert(sizeof(ArpFrame) == 42);

// A solicitation or an advertisement, with the sender's MAC as its option.
struct NdFrame {
  wire::Ethernet ethernet;
  wire::Ipv6 ip;
  wire::NdNeighbor message;
  wire::NdLinkOption link;
};
static_assert(sizeof(NdFrame) == 86 && sizeof(NdFrame) <= RTE_PKTMBUF_HEADROOM);

constexpr auto kNdBytes = static_cast<std::uint16_t>(sizeof(wire::NdNeighbor) + sizeof(wire::NdLinkOption));

std::uint64_t checksum_sum(const NdFrame& frame) {
  const std::uint64_t sum = wire::pseudo_header_sum(
      Ipv6Address(frame.ip.source), Ipv6Address(frame.ip.destination), kNdBytes, wire::kProtocolIcmpv6);
  return checksum_add(
      std::as_bytes(std::span(&frame, 1)).subspan(sizeof(wire::Ethernet) + sizeof(wire::Ipv6)), sum);
}

NdFrame nd_frame(const MacAddress& from_mac, Ipv6Address from, const MacAddress& to_mac, Ipv6Address to,
                 const wire::NdNeighbor& message, std::uint8_t option) {
  NdFrame frame{};
  frame.ethernet = {to_mac, from_mac, Be16(wire::kEtherTypeIpv6)};
  frame.ip.version_class_label = Be32(6U << 28);
  frame.ip.payload_length = Be16(kNdBytes);
  frame.ip.next_header = wire::kProtocolIcmpv6;
  frame.ip.hop_limit = wire::kNdHopLimit;
  frame.ip.source = from.bytes();
  frame.ip.destination = to.bytes();
  frame.message = message;
  frame.link = {option, 1, from_mac};
  frame.message.checksum = Be16::from_wire(static_cast<std::uint16_t>(~checksum_fold(checksum_sum(frame))));
  return frame;
}

}  // namespace

void Host::send_learning_frames() {
  if (address_.is_ipv6()) {
    const auto own = address_.as<Ipv6Address>();
    advertise(own, wire::kNdOverride, wire::kAllNodes,
              wire::multicast_mac(wire::kAllNodes));  // RFC 4861 7.2.6
    solicit(gateway_.as<Ipv6Address>());
    return;
  }
  const auto own = address_.as<Ipv4Address>();
  send_arp(wire::kArpRequest, own, kBroadcast, own);  // RFC 5227: an announcement
  send_arp(wire::kArpRequest, own, kBroadcast, gateway_.as<Ipv4Address>());
}

void Host::handle(const rte_mbuf& frame) {
  if (address_.is_ipv6())
    handle_nd(frame);
  else
    handle_arp(frame);
}

void Host::handle_arp(const rte_mbuf& frame) {
  ArpFrame in;
  if (frame.data_len < sizeof in) return;
  std::memcpy(&in, rte_pktmbuf_mtod(&frame, const std::byte*), sizeof in);
  if (in.ethernet.type != Be16(wire::kEtherTypeArp)) return;
  const Ipv4Address sender(in.arp.sender_address), target(in.arp.target_address);
  if (sender == gateway_) gateway_mac_ = in.arp.sender_mac;
  if (in.arp.operation == Be16(wire::kArpRequest) && target != gateway_ && target != sender)
    send_arp(wire::kArpReply, target, in.arp.sender_mac, sender);
}

// Those with one option, the link's: the others are of who has no address yet.
void Host::handle_nd(const rte_mbuf& frame) {
  NdFrame in;
  if (frame.data_len < sizeof in) return;
  std::memcpy(&in, rte_pktmbuf_mtod(&frame, const std::byte*), sizeof in);
  if (in.ethernet.type != Be16(wire::kEtherTypeIpv6) || in.ip.next_header != wire::kProtocolIcmpv6 ||
      in.ip.hop_limit != wire::kNdHopLimit || in.ip.payload_length != Be16(kNdBytes) ||
      checksum_fold(checksum_sum(in)) != 0xffff)
    return;
  const Ipv6Address sender(in.ip.source), target(in.message.target);
  if (in.message.type == wire::kNdAdvertisement && target == gateway_) gateway_mac_ = in.link.mac;
  if (in.message.type == wire::kNdSolicitation && target != gateway_)
    advertise(target, wire::kNdSolicited | wire::kNdOverride, sender, in.link.mac);
}

void Host::poll() {
  std::array<rte_mbuf*, kBurst> frames;
  const std::uint16_t count = port_.receive(frames);
  for (std::uint16_t i = 0; i < count; ++i) handle(*frames[i]);
  rte_pktmbuf_free_bulk(frames.data(), count);
}

void Host::send_arp(std::uint16_t operation, Ipv4Address sender, const MacAddress& to, Ipv4Address target) {
  send(ArpFrame{{to, port_.mac(), Be16(wire::kEtherTypeArp)},
                {Be16(1), Be16(wire::kEtherTypeIpv4), 6, 4, Be16(operation), port_.mac(), sender.wire(),
                 to.is_broadcast() ? MacAddress{} : to, target.wire()}});
}

void Host::solicit(Ipv6Address target) {
  const Ipv6Address group = target.solicited_node();
  const wire::NdNeighbor message{wire::kNdSolicitation, 0, Be16(0), Be32(0), target.bytes()};
  send(nd_frame(port_.mac(), address_.as<Ipv6Address>(), wire::multicast_mac(group), group, message,
                wire::kNdSourceLink));
}

void Host::advertise(Ipv6Address target, std::uint32_t flags, Ipv6Address to, const MacAddress& to_mac) {
  const wire::NdNeighbor message{wire::kNdAdvertisement, 0, Be16(0), Be32(flags), target.bytes()};
  send(nd_frame(port_.mac(), target, to_mac, to, message, wire::kNdTargetLink));
}

template <class Frame>
void Host::send(const Frame& out) {
  rte_mbuf* frame = rte_pktmbuf_alloc(port_.tx_pool());
  if (frame == nullptr) return;
  frame->data_off = 0;  // into the headroom: behind it lies the body of a test frame
  constexpr auto kBytes = static_cast<std::uint16_t>(std::max(sizeof out, kMinFrame));
  std::memset(rte_pktmbuf_append(frame, kBytes), 0, kBytes);
  std::memcpy(rte_pktmbuf_mtod(frame, void*), &out, sizeof out);
  if (port_.transmit({&frame, 1}) == 0) rte_pktmbuf_free(frame);
}

}  // namespace millrace::perf
