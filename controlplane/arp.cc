#include "controlplane/arp.h"

#include "dataplane/packet.h"

namespace millrace::controlplane {

using dataplane::DropReason;
using State = Neighbors::State;

namespace {

bool is_valid(const wire::Arp& arp) {
  const std::uint16_t operation = arp.operation.host();
  return arp.hardware_type.host() == 1 && arp.protocol_type.host() == wire::kEtherTypeIpv4 &&
         arp.hardware_length == 6 && arp.protocol_length == 4 &&
         (operation == wire::kArpRequest || operation == wire::kArpReply) && !arp.sender_mac.is_group() &&
         !arp.sender_mac.is_zero();
}

}  // namespace

void Arp::ask(const Interface& on, const IpAddress& target, std::optional<MacAddress> last) {
  const auto address = target.as<Ipv4Address>();
  const auto sender = on.source_for(address);
  if (!sender) return;
  send(on, wire::kArpRequest, *sender, {}, address, last.value_or(kBroadcastMac));
  ++neighbors_.count().requests_sent;
}

void Arp::announce(const Interface& interface) {
  for (const auto& own : interface.config.addresses.ipv4) {
    send(interface, wire::kArpRequest, own.address, {}, own.address, kBroadcastMac);
  }
}

void Arp::send(const Interface& egress, std::uint16_t operation, Ipv4Address sender, MacAddress target_mac,
               Ipv4Address target, MacAddress destination) {
  rte_mbuf* m = output_.allocate(sizeof(wire::Ethernet) + sizeof(wire::Arp));
  if (m == nullptr) return;
  const MacAddress own = egress.mac_of(sender);
  *dataplane::ethernet(m) = {destination, own, Be16(wire::kEtherTypeArp)};
  *rte_pktmbuf_mtod_offset(m, wire::Arp*, sizeof(wire::Ethernet)) = {
      Be16(1),      Be16(wire::kEtherTypeIpv4), 6, 4, Be16(operation), own, sender.wire(), target_mac,
      target.wire()};
  output_.send_frame(m, egress);
}

void Arp::reply(const wire::Arp& request, const Interface& ingress) {
  send(ingress, wire::kArpReply, Ipv4Address(request.target_address), request.sender_mac,
       Ipv4Address(request.sender_address), request.sender_mac);
  ++neighbors_.count().replies_sent;
}

// Our own frame come back, or somebody who uses our address: RFC 5227 2.4 (c), we keep and defend it.
void Arp::defend(const wire::Arp& claim, const Interface& ingress) {
  if (claim.sender_mac == ingress.mac_of(Ipv4Address(claim.sender_address))) return;
  ++neighbors_.count().conflicts;
  if (neighbors_.now_ns() - last_defence_ns_ < neighbors_.limits().defend_ns) return;
  last_defence_ns_ = neighbors_.now_ns();
  announce(ingress);
}

std::optional<DropReason> Arp::handle(rte_mbuf* m, const Interface& ingress) {
  constexpr std::uint16_t kFrame = sizeof(wire::Ethernet) + sizeof(wire::Arp);
  if (!dataplane::make_contiguous(m, kFrame)) {
    rte_pktmbuf_free(m);
    return DropReason::arp_invalid;
  }
  const wire::Arp arp = *rte_pktmbuf_mtod_offset(m, const wire::Arp*, sizeof(wire::Ethernet));
  rte_pktmbuf_free(m);
  if (!is_valid(arp)) return DropReason::arp_invalid;
  const bool is_request = arp.operation.host() == wire::kArpRequest;
  const Ipv4Address sender(arp.sender_address);
  const bool for_us = ingress.has_address(Ipv4Address(arp.target_address));
  if (ingress.has_address(sender)) {
    defend(arp, ingress);
    return DropReason::arp_ignored;
  }
  if (sender == Ipv4Address() && is_request && for_us) {  // RFC 5227 2.1.1: a probe
    reply(arp, ingress);
    return std::nullopt;
  }
  if (!ingress.is_neighbor(sender)) return DropReason::arp_ignored;

  const NeighborKey key{ingress.id, sender};
  if (is_request && for_us) {
    neighbors_.heard(key, arp.sender_mac);
    reply(arp, ingress);
    return std::nullopt;
  }
  // A reply to us confirms; anything else that a known neighbour says of itself (gratuitous ARP, a request to
  // another) updates (RFC 826).
  const State state = !is_request && for_us ? State::reachable : State::stale;
  if (!neighbors_.update(key, arp.sender_mac, state)) return DropReason::arp_ignored;
  return std::nullopt;
}

}  // namespace millrace::controlplane
