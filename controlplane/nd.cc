#include "controlplane/nd.h"

#include <algorithm>

#include "controlplane/packet_bytes.h"

namespace millrace::controlplane {

using dataplane::DropReason;
using State = Neighbors::State;

namespace {

bool has_no_mac(const Neighbors::Entry& entry) {
  return entry.state == State::incomplete || entry.state == State::failed;
}

wire::NdLinkOption link_option(std::uint8_t type, const MacAddress& mac) {
  return {type, sizeof(wire::NdLinkOption) / 8, mac};
}

}  // namespace

Nd::Nd(const Interfaces& interfaces, Output& output, Neighbors& neighbors)
    : output_(output),
      neighbors_(neighbors),
      dad_(interfaces),
      advertiser_(interfaces, [this](const Interface& on, std::span<const std::byte> message) {
        return advertise_router(on, message);
      }) {
  dad_.set_hooks({[this](const Interface& on, Ipv6Address address) { probe(on, address); },
                  [this](const Interface& on, Ipv6Address address) { advertise_unsolicited(on, address); }});
}

void Nd::set_time(std::uint64_t now_ns) {
  dad_.set_time(now_ns);
  advertiser_.set_time(now_ns);
}

void Nd::tick() {
  dad_.tick();
  advertiser_.tick();
}

void Nd::sync(const Interface& interface) {
  dad_.sync(interface);
  advertiser_.sync(interface);
}

void Nd::announce(const Interface& interface) {
  for (const auto& own : interface.config.addresses.ipv6) {
    if (dad_.state(interface.id, own.address) == Dad::State::preferred) {
      advertise_unsolicited(interface, own.address);
    }
  }
}

void Nd::stop(InterfaceId interface) {
  dad_.stop(interface);
  advertiser_.stop(interface);
}

std::optional<Ipv6Address> Nd::source_for(const Interface& on, Ipv6Address peer) const {
  // Without a link nobody else can have it.
  const auto is_unique = [&](const std::optional<Ipv6Address>& own) {
    return own && (!on.config.has_link() || dad_.state(on.id, *own) == Dad::State::preferred);
  };
  const auto best = on.source_for(peer);
  if (is_unique(best)) return best;
  for (const auto& own : on.config.addresses.ipv6) {
    if (is_unique(own.address)) return own.address;
  }
  return is_unique(on.link_local()) ? on.link_local() : std::nullopt;
}

// --- what others say ---

std::optional<DropReason> Nd::handle(rte_mbuf* m, const Interface& ingress, std::uint32_t at) {
  const auto message = read_nd(m, at);
  if (!message) return DropReason::nd_invalid;
  Reason reason = DropReason::nd_ignored;
  if (message->type == wire::kNdSolicitation) reason = solicited(*message, ingress);
  if (message->type == wire::kNdAdvertisement) reason = advertised(*message, ingress);
  if (message->type == wire::kNdRouterSolicitation && advertiser_.solicited(ingress)) reason = std::nullopt;
  if (!reason) rte_pktmbuf_free(m);
  return reason;
}

// An own address as the target of somebody's probe or advertisement, unless the frame is our own come back.
std::optional<DropReason> Nd::somebody_uses(const NdMessage& message, const Interface& ingress) {
  if (message.from == ingress.mac_of(message.target)) return DropReason::nd_ignored;
  ++neighbors_.count().conflicts;
  dad_.conflict(ingress, message.target);
  return DropReason::nd_ignored;
}

std::optional<DropReason> Nd::solicited(const NdMessage& message, const Interface& ingress) {
  if (!ingress.has_address(message.target)) return DropReason::nd_ignored;
  const bool is_probe = message.source.is_unspecified();
  if (dad_.state(ingress.id, message.target) != Dad::State::preferred) {
    // RFC 4862 5.4.3: two who want the same address at the same time both give it up.
    return is_probe ? somebody_uses(message, ingress) : DropReason::nd_ignored;
  }
  if (is_probe) {
    advertise(ingress, message.target, wire::kAllNodes, wire::kNdOverride);
    return std::nullopt;
  }
  const bool is_peer = ingress.is_neighbor(message.source) && !ingress.has_address(message.source);
  if (!is_peer) return DropReason::nd_ignored;
  if (message.source_link) {
    const NeighborKey key{ingress.id, message.source};
    const Neighbors::Entry* entry = neighbors_.find(key);
    const bool news = entry == nullptr || has_no_mac(*entry) || entry->mac != *message.source_link;
    if (news) neighbors_.heard(key, *message.source_link);  // RFC 4861 7.2.3
  }
  advertise(ingress, message.target, message.source, wire::kNdSolicited | wire::kNdOverride);
  return std::nullopt;
}

std::optional<DropReason> Nd::advertised(const NdMessage& message, const Interface& ingress) {
  if (ingress.has_address(message.target)) return somebody_uses(message, ingress);
  const NeighborKey key{ingress.id, message.target};
  const Neighbors::Entry* entry = neighbors_.find(key);
  if (entry == nullptr) return DropReason::nd_ignored;
  learn_advertised(key, *entry, message);
  return std::nullopt;
}

// RFC 4861 7.2.5
void Nd::learn_advertised(NeighborKey key, const Neighbors::Entry& entry, const NdMessage& message) {
  const bool solicited = (message.flags & wire::kNdSolicited) != 0;
  if (has_no_mac(entry)) {
    if (!message.target_link) return;
    neighbors_.update(key, *message.target_link, solicited ? State::reachable : State::stale);
    return;
  }
  const MacAddress mac = message.target_link.value_or(entry.mac);
  if (mac != entry.mac && (message.flags & wire::kNdOverride) == 0) return neighbors_.doubt(key);
  if (solicited) {
    neighbors_.update(key, mac, State::reachable);
  } else if (mac != entry.mac) {
    neighbors_.update(key, mac, State::stale);
  }
}

// --- what we say ---

// RFC 4861 7.2.2: to the solicited-node group, or as a probe to the one who answered last.
void Nd::ask(const Interface& on, const IpAddress& target, std::optional<MacAddress> last) {
  const auto address = target.as<Ipv6Address>();
  const auto source = source_for(on, address);
  if (!source) return;
  NdBytes message;
  message.add(wire::NdNeighbor{wire::kNdSolicitation, 0, Be16(0), Be32(0), address.bytes()});
  message.add(link_option(wire::kNdSourceLink, on.mac));
  send(on, *source, last ? address : address.solicited_node(), message.bytes(), last);
  ++neighbors_.count().solicitations_sent;
}

// RFC 4862 5.4.2
void Nd::probe(const Interface& on, Ipv6Address address) {
  NdBytes message;
  message.add(wire::NdNeighbor{wire::kNdSolicitation, 0, Be16(0), Be32(0), address.bytes()});
  send(on, Ipv6Address(), address.solicited_node(), message.bytes());
  ++neighbors_.count().solicitations_sent;
}

void Nd::advertise(const Interface& on, Ipv6Address own, Ipv6Address to, std::uint32_t flags) {
  NdBytes message;
  message.add(
      wire::NdNeighbor{wire::kNdAdvertisement, 0, Be16(0), Be32(wire::kNdRouter | flags), own.bytes()});
  message.add(link_option(wire::kNdTargetLink, on.mac_of(own)));
  send(on, own, to, message.bytes());
  ++neighbors_.count().advertisements_sent;
}

// RFC 4861 7.2.6. The link-local address is made of the MAC: nobody has another MAC for it.
void Nd::advertise_unsolicited(const Interface& on, Ipv6Address own) {
  if (own != on.link_local()) advertise(on, own, wire::kAllNodes, wire::kNdOverride);
}

bool Nd::advertise_router(const Interface& on, std::span<const std::byte> message) {
  const auto source = on.link_local();
  if (!source || dad_.state(on.id, *source) != Dad::State::preferred) return false;
  send(on, *source, wire::kAllNodes, message);
  ++neighbors_.count().router_advertisements_sent;
  return true;
}

void Nd::send(const Interface& on, Ipv6Address source, Ipv6Address destination,
              std::span<const std::byte> message, std::optional<MacAddress> to) {
  rte_mbuf* m = output_.allocate(static_cast<std::uint16_t>(sizeof(wire::Ipv6) + message.size()));
  if (m == nullptr) return;
  write_nd(rte_pktmbuf_mtod(m, std::byte*), source, destination, message);
  output_.send_on_link(m, on, destination, to);
}

}  // namespace millrace::controlplane
