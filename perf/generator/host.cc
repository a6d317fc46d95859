#include "perf/generator/host.h"

#include <array>
#include <cstring>

#include "net/wire.h"

namespace millrace::perf {
namespace {

constexpr MacAddress kBroadcast{{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};
constexpr std::size_t kMinFrame = 60;

struct ArpFrame {
  wire::Ethernet ethernet;
  wire::Arp arp;
};
static_assert(sizeof(ArpFrame) == 42);

}  // namespace

void Host::send_learning_frames() {
  send_arp(wire::kArpRequest, address_, kBroadcast, address_);  // RFC 5227: an announcement
  send_arp(wire::kArpRequest, address_, kBroadcast, gateway_);
}

bool Host::handle(const rte_mbuf& frame) {
  ArpFrame in;
  if (frame.data_len < sizeof in) return false;
  std::memcpy(&in, rte_pktmbuf_mtod(&frame, const std::byte*), sizeof in);
  if (in.ethernet.type != Be16(wire::kEtherTypeArp)) return false;
  const Ipv4Address sender(in.arp.sender_address), target(in.arp.target_address);
  if (sender == gateway_) gateway_mac_ = in.arp.sender_mac;
  if (in.arp.operation == Be16(wire::kArpRequest) && target != gateway_ && target != sender)
    send_arp(wire::kArpReply, target, in.arp.sender_mac, sender);
  return true;
}

void Host::poll() {
  std::array<rte_mbuf*, kBurst> frames;
  const std::uint16_t count = port_.receive(frames);
  for (std::uint16_t i = 0; i < count; ++i) handle(*frames[i]);
  rte_pktmbuf_free_bulk(frames.data(), count);
}

void Host::send_arp(std::uint16_t operation, Ipv4Address sender, const MacAddress& to, Ipv4Address target) {
  rte_mbuf* frame = rte_pktmbuf_alloc(port_.tx_pool());
  if (frame == nullptr) return;
  ArpFrame out{{to, port_.mac(), Be16(wire::kEtherTypeArp)},
               {Be16(1), Be16(wire::kEtherTypeIpv4), 6, 4, Be16(operation), port_.mac(), sender.wire(),
                to.is_broadcast() ? MacAddress{} : to, target.wire()}};
  char* const at = rte_pktmbuf_append(frame, kMinFrame);
  std::memcpy(at, &out, sizeof out);
  if (port_.transmit({&frame, 1}) == 0) rte_pktmbuf_free(frame);
}

}  // namespace millrace::perf
