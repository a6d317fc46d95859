#include "dataplane/ipsec.h"

#include <algorithm>
#include <cstring>
#include <optional>

#include "dataplane/ecn.h"
#include "dataplane/ip_batch.h"
#include "dataplane/port_marks.h"
#include "dataplane/worker.h"
#include "esp/packet.h"
#include "net/checksum.h"
#include "net/prefetch.h"

namespace millrace::dataplane {

// Packets in their outer headers.
struct Ipsec::Outer {
  IpBatch<Ipv4Family> ipv4;
  IpBatch<Ipv6Family> ipv6;
  unsigned ipv4_count = 0, ipv6_count = 0;
  bool is_mixed = false;  // they came by several interfaces: by which stands in the meta
};

namespace {

constexpr std::uint16_t kL2 = sizeof(wire::Ethernet);

DropReason reason_of(esp::Verdict verdict) {
  switch (verdict) {
    case esp::Verdict::exhausted:
      return DropReason::esp_exhausted;
    case esp::Verdict::replayed:
      return DropReason::esp_replayed;
    case esp::Verdict::late:
      return DropReason::esp_late;
    case esp::Verdict::forged:
      return DropReason::esp_forged;
    case esp::Verdict::malformed:
      return DropReason::esp_malformed;
    case esp::Verdict::runt:
    case esp::Verdict::good:
      break;
  }
  return DropReason::esp_runt;
}

// What was the TOS of IPv4, and is the traffic class of IPv6.
constexpr unsigned kClassShift = 20;
std::uint8_t tos_of(rte_mbuf* m) {
  if (!carries_ipv6(m)) return ipv4(m)->tos;
  return static_cast<std::uint8_t>(ipv6(m)->version_class_label.host() >> kClassShift);
}

// RFC 1624, eqn. 3: the TOS is the low byte of its word.
void set_tos(wire::Ipv4& ip, std::uint8_t tos) {
  const auto word = [&ip] {
    std::uint16_t first;
    std::memcpy(&first, &ip, sizeof first);
    return first;
  };
  const std::uint64_t without =
      static_cast<std::uint16_t>(~ip.checksum.wire()) + std::uint64_t{0xffff} - word();
  ip.tos = tos;
  ip.checksum = Be16::from_wire(static_cast<std::uint16_t>(~checksum_fold(without + word())));
}
void set_tos(wire::Ipv6& ip, std::uint8_t tos) {
  const std::uint32_t rest = ip.version_class_label.host() & ~(0xffU << kClassShift);
  ip.version_class_label = Be32(rest | std::uint32_t{tos} << kClassShift);
}

// So many bytes of that protocol behind the header.
void set_payload(wire::Ipv4& ip, std::uint32_t bytes, std::uint8_t protocol) {
  ip.total_length = Be16(static_cast<std::uint16_t>(ip.header_length() + bytes));
  ip.protocol = protocol;
  ip.checksum = Be16(0);
  ip.checksum = internet_checksum({reinterpret_cast<const std::byte*>(&ip), ip.header_length()});
}
void set_payload(wire::Ipv6& ip, std::uint32_t bytes, std::uint8_t protocol) {
  ip.payload_length = Be16(static_cast<std::uint16_t>(bytes));
  ip.next_header = protocol;
}

// In one segment, with so much room.
bool make_room(rte_mbuf* m, std::uint32_t before, std::uint32_t behind) {
  if (m->nb_segs != 1 && rte_pktmbuf_linearize(m) != 0) return false;
  return rte_pktmbuf_headroom(m) >= before && rte_pktmbuf_tailroom(m) >= behind;
}

struct OuterIpv4 {
  std::uint8_t tos;
  std::uint16_t length, identification, flags;
  std::uint8_t ttl, protocol;
  std::uint32_t source, destination;
};

// In three words, with the checksum of what is in registers: to sum a header that was just written field by
// field waits for the fields, 30 cycles a packet.
void write_ipv4(wire::Ipv4& to, const OuterIpv4& ip) {
  constexpr std::uint32_t kVersionIhl = 0x45;
  const std::uint32_t first = kVersionIhl << 8 | ip.tos, fifth = std::uint32_t{ip.ttl} << 8 | ip.protocol;
  const std::uint64_t sum = std::uint64_t{first} + ip.length + ip.identification + ip.flags + fifth +
                            (ip.source >> 16) + (ip.source & 0xffff) + (ip.destination >> 16) +
                            (ip.destination & 0xffff);
  const auto checksum = static_cast<std::uint16_t>(~checksum_fold(sum));
  const BigEndian<std::uint64_t> begin(std::uint64_t{first} << 48 | std::uint64_t{ip.length} << 32 |
                                       std::uint64_t{ip.identification} << 16 | ip.flags),
      middle(std::uint64_t{fifth} << 48 | std::uint64_t{checksum} << 32 | ip.source);
  const Be32 end(ip.destination);
  auto* bytes = reinterpret_cast<std::byte*>(&to);
  std::memcpy(bytes, &begin, sizeof begin);
  std::memcpy(bytes + sizeof begin, &middle, sizeof middle);
  std::memcpy(bytes + sizeof begin + sizeof middle, &end, sizeof end);
}

// Behind the outer header: what of it is ESP.
struct Place {
  enum class Kind : std::uint8_t { none, esp, udp, keepalive } kind = Kind::none;
  std::uint16_t at = 0;   // from the frame's begin
  std::uint32_t end = 0;  // of the packet
};

Place find_in_udp(rte_mbuf* m, std::uint16_t at, std::uint32_t end) {
  constexpr std::uint16_t kWanted = sizeof(wire::Udp) + sizeof(std::uint32_t);
  constexpr std::uint8_t kKeepalive = 0xff;
  const std::uint32_t bytes = end - at;
  if (bytes <= sizeof(wire::Udp)) return {};
  const auto held = static_cast<std::uint16_t>(at + std::min<std::uint32_t>(bytes, kWanted));
  if (!make_contiguous(m, held)) return {};
  const auto* udp = rte_pktmbuf_mtod_offset(m, const wire::Udp*, at);
  if (udp->destination.host() != wire::kUdpEsp) return {};
  const auto* payload = reinterpret_cast<const std::uint8_t*>(udp + 1);
  const auto inside = static_cast<std::uint16_t>(at + sizeof(wire::Udp));
  if (bytes == sizeof(wire::Udp) + 1 && *payload == kKeepalive) return {Place::Kind::keepalive, inside, end};
  if (bytes < kWanted) return {};
  std::uint32_t spi;  // 0 is for an IKE daemon
  std::memcpy(&spi, payload, sizeof spi);
  return spi == 0 ? Place{} : Place{Place::Kind::udp, inside, end};
}

// Of IPv6 only where ESP is next to the fixed header: others come back when the control thread has read the
// chain.
Place find_esp(rte_mbuf* m, bool any_udp) {
  std::uint8_t protocol;
  std::uint16_t at;
  std::uint32_t end;
  if (carries_ipv6(m)) {
    protocol = ipv6(m)->next_header;
    at = kL2 + sizeof(wire::Ipv6);
    end = kL2 + Ipv6Family::length(*ipv6(m));
  } else {
    if (ipv4(m)->is_fragment()) return {};
    protocol = ipv4(m)->protocol;
    at = static_cast<std::uint16_t>(kL2 + ipv4(m)->header_length());
    end = kL2 + Ipv4Family::length(*ipv4(m));
  }
  if (protocol == wire::kProtocolEsp) return {Place::Kind::esp, at, end};
  if (any_udp && protocol == wire::kProtocolUdp) return find_in_udp(m, at, end);
  return {};
}

// RFC 4303 3.1.1, 3.3.4: whole datagrams, and of IPv6 those without headers that belong before ESP.
bool may_be_transported(rte_mbuf* m) {
  return carries_ipv6(m) ? !wire::is_extension(ipv6(m)->next_header) : !ipv4(m)->is_fragment();
}

// Of a list that others may have left: mostly each has its place already.
template <class Packet>
void keep(const Packet& packet, Packet& place) {
  if (&packet != &place) [[unlikely]]
    place = packet;
}

IpAddress destination_of(rte_mbuf* m) {
  if (carries_ipv6(m)) return Ipv6Address(ipv6(m)->destination);
  return Ipv4Address(ipv4(m)->destination);
}

// In transport mode the IP header is that of what was inside, which its next header says again.
std::optional<DropReason> open_transport(rte_mbuf* m, const esp::Inbound& done, std::uint16_t at) {
  if (done.payload.next_header == wire::kNoNextHeader) return DropReason::esp_dummy;
  auto* const frame = reinterpret_cast<std::byte*>(done.payload_begin()) - at;
  std::memmove(frame, rte_pktmbuf_mtod(m, const std::byte*), at);
  rte_pktmbuf_adj(m, static_cast<std::uint16_t>(frame - rte_pktmbuf_mtod(m, std::byte*)));
  m->pkt_len = at + done.payload.bytes;
  m->data_len = static_cast<std::uint16_t>(m->pkt_len);
  forget_marks(m);
  if (carries_ipv6(m))
    set_payload(*ipv6(m), done.payload.bytes, done.payload.next_header);
  else
    set_payload(*ipv4(m), done.payload.bytes, done.payload.next_header);
  return {};
}

// What `done` says is inside becomes the frame. Fails with the reason to drop it.
std::optional<DropReason> open_inner(rte_mbuf* m, const esp::Inbound& done) {
  const bool inner_ipv6 = done.payload.next_header == wire::kProtocolIpv6;
  if (done.payload.next_header == wire::kNoNextHeader) return DropReason::esp_dummy;
  if (!inner_ipv6 && done.payload.next_header != wire::kProtocolIpv4) return DropReason::esp_not_ip;
  const std::uint8_t outer_tos = tos_of(m);
  auto* const frame = reinterpret_cast<std::byte*>(done.payload_begin()) - kL2;
  rte_pktmbuf_adj(m, static_cast<std::uint16_t>(frame - rte_pktmbuf_mtod(m, std::byte*)));
  m->pkt_len = kL2 + done.payload.bytes;
  m->data_len = static_cast<std::uint16_t>(m->pkt_len);
  forget_marks(m);
  *ethernet(m) = {{}, {}, Be16(inner_ipv6 ? wire::kEtherTypeIpv6 : wire::kEtherTypeIpv4)};
  // Shorter than a header: it is dropped when it is received.
  if (done.payload.bytes < (inner_ipv6 ? sizeof(wire::Ipv6) : sizeof(wire::Ipv4))) return {};
  const std::uint8_t tos = tos_of(m);
  const auto mark = decapsulated_ecn(tos & ecn::kMask, outer_tos & ecn::kMask);
  if (!mark) return DropReason::esp_congested;
  if (*mark != (tos & ecn::kMask)) {
    const auto marked = static_cast<std::uint8_t>((tos & ~ecn::kMask) | *mark);
    inner_ipv6 ? set_tos(*ipv6(m), marked) : set_tos(*ipv4(m), marked);
  }
  return {};
}

// RFC 4301 5.2, step 4. Of what is no whole header nothing is known.
bool may_come(const Selectors& selectors, rte_mbuf* m) {
  const std::uint32_t header = carries_ipv6(m) ? sizeof(wire::Ipv6) : sizeof(wire::Ipv4);
  if (m->pkt_len < kL2 + header) return false;
  if (!carries_ipv6(m) && m->pkt_len < kL2 + ipv4(m)->header_length()) return false;
  return selectors.have(m, Way::in);
}

}  // namespace

bool is_esp(rte_mbuf* m, bool any_udp) {
  return find_esp(m, any_udp).kind != Place::Kind::none;
}

void Ipsec::protect(Worker& worker, const InterfaceView& in, InterfaceId tunnel, rte_mbuf* m) {
  const InterfaceId ingress = worker.ingress_of(in, m);
  if (sends_) return worker.drop(m, ingress, DropReason::esp_nested);
  if (outbound_count_ == kBurst || (outbound_count_ != 0 && outbound_[0].in != &in)) send_outbound(worker);
  Outbound& place =
      outbound_[outbound_count_++];  // field by field: a whole one would be made elsewhere first
  place.m = m;
  place.in = &in;
  place.ingress = ingress;
  place.id = tunnel;
}

bool Ipsec::take(Worker& worker, const InterfaceView& in, rte_mbuf* m) {
  const Place place = find_esp(m, worker.tables().inbound_sas().any_udp());
  if (place.kind == Place::Kind::none) return false;
  const InterfaceId ingress = worker.ingress_of(in, m);
  if (place.kind == Place::Kind::keepalive) return worker.drop(m, ingress, DropReason::esp_keepalive), true;
  if (takes_) return worker.drop(m, ingress, DropReason::esp_nested), true;
  cut_to(m, place.end);
  if (inbound_count_ == kBurst) take_inbound(worker);
  Inbound& waiting = inbound_[inbound_count_++];
  waiting.m = m;
  waiting.ingress = ingress;
  waiting.at = place.at;
  waiting.udp = place.kind == Place::Kind::udp;
  return true;
}

void Ipsec::go_on(Worker& worker) {
  if (inbound_count_ != 0) take_inbound(worker);  // what comes out of tunnels may go into others
  if (outbound_count_ != 0) send_outbound(worker);
}

// By which tunnel each one leaves. Of thousands none is in a near cache: all are asked for before the first
// is looked at. Those of other workers' SAs go there. Returns how many are left.
unsigned Ipsec::find_tunnels(Worker& worker) {
  const std::span<Outbound> packets = std::span(outbound_).first(outbound_count_);
  for (Outbound& each : packets) {
    each.tunnel = worker.tables().tunnel(each.id);
    prefetch(each.tunnel);
  }
  unsigned count = 0;
  for (Outbound& each : packets) {
    if (each.tunnel == nullptr)
      worker.drop(each.m, each.ingress, DropReason::tx_gone);
    else if (!each.tunnel->out)
      worker.drop(each.m, each.ingress, DropReason::esp_no_sa);
    else if (each.tunnel->owner != worker.id())
      worker.hand_to(each.tunnel->owner, each.m, HandOff::protect, each.ingress, each.id);
    else
      keep(each, outbound_[count++]);
  }
  return count;
}

// As of tunnels, of SAs none is near: what is to be read and written of them is asked for.
void Ipsec::ask_for_sas(Worker& worker, std::span<const Outbound> packets) {
  const Tunnel* last = packets[0].tunnel;
  for (const Outbound& each : packets.subspan(1)) {
    if (each.tunnel == last) continue;
    last = each.tunnel;
    prefetch(last->out.get());
    last->keys->prefetch();
    prefetch(&worker.count(each.id));
  }
}

// All that is said of a packet is read before it is encrypted.
unsigned Ipsec::make_payloads(Worker& worker, std::span<Outbound> packets,
                              std::span<esp::Outbound> payloads) {
  unsigned count = 0;
  for (Outbound& each : packets) {
    const Tunnel& tunnel = *each.tunnel;
    const esp::Traits& of = esp::traits(tunnel.algorithm);
    if (tunnel.selectors && !tunnel.selectors->have(each.m, Way::out)) [[unlikely]] {
      tunnel.out->counters.unselected.add(1);
      worker.drop(each.m, each.ingress, DropReason::esp_selectors_out);
      continue;
    }
    const bool inner_ipv6 = carries_ipv6(each.m);
    const std::uint32_t whole =
        inner_ipv6 ? Ipv6Family::length(*ipv6(each.m)) : Ipv4Family::length(*ipv4(each.m));
    std::uint8_t next_header = inner_ipv6 ? wire::kProtocolIpv6 : wire::kProtocolIpv4;
    each.header = 0;
    if (tunnel.transport) [[unlikely]] {
      if (!may_be_transported(each.m)) {
        worker.drop(each.m, each.ingress, DropReason::esp_transport);
        continue;
      }
      each.header =
          static_cast<std::uint8_t>(inner_ipv6 ? sizeof(wire::Ipv6) : ipv4(each.m)->header_length());
      next_header = inner_ipv6 ? ipv6(each.m)->next_header : ipv4(each.m)->protocol;
    }
    const std::uint32_t bytes = whole - each.header;
    const std::uint8_t tos = tos_of(each.m);
    each.tos = tunnel.dscp ? static_cast<std::uint8_t>(*tunnel.dscp << 2 | (tos & ecn::kMask)) : tos;
    const bool inner_df = inner_ipv6 || ipv4(each.m)->dont_fragment();
    each.dont_fragment = tunnel.df == OuterDf::set || (tunnel.df == OuterDf::copy && inner_df);
    cut_to(each.m, kL2 + whole);
    const std::uint32_t before = tunnel.outer_bytes() + esp::payload_offset(of);
    const std::uint32_t behind = esp::packet_bytes(of, bytes) - esp::payload_offset(of) - bytes;
    if (!make_room(each.m, before, behind)) {
      worker.drop(each.m, each.ingress, DropReason::esp_no_room);
      continue;
    }
    rte_pktmbuf_prepend(each.m, static_cast<std::uint16_t>(before));
    rte_pktmbuf_append(each.m, static_cast<std::uint16_t>(behind));
    forget_marks(each.m);
    const std::uint32_t header = each.header;
    if (header != 0) [[unlikely]] {
      auto* const frame = rte_pktmbuf_mtod(each.m, std::byte*);
      std::memmove(frame, frame + before, kL2 + header);
    }
    keep(each, packets[count]);
    payloads[count++] = {&tunnel.out->sa, &of,
                         rte_pktmbuf_mtod_offset(each.m, std::uint8_t*, kL2 + header + before), bytes,
                         next_header};
  }
  return count;
}

// What the outer packet says of its way stays said. One more hop, for the one that it makes here; of 255
// there is no more.
void Ipsec::write_transport(const Outbound& packet, const esp::Outbound& payload) {
  const auto one_more = [](std::uint8_t hops) { return static_cast<std::uint8_t>(hops + (hops != 0xff)); };
  rte_mbuf* m = packet.m;
  if (carries_ipv6(m)) {
    ipv6(m)->hop_limit = one_more(ipv6(m)->hop_limit);
    return set_payload(*ipv6(m), payload.esp_bytes(), wire::kProtocolEsp);
  }
  wire::Ipv4& ip = *ipv4(m);
  ip.ttl = one_more(ip.ttl);
  const std::uint16_t flags = ip.flags_offset.host() & static_cast<std::uint16_t>(~wire::kIpv4DontFragment);
  ip.flags_offset =
      Be16(static_cast<std::uint16_t>(flags | (packet.dont_fragment ? wire::kIpv4DontFragment : 0)));
  set_payload(ip, payload.esp_bytes(), wire::kProtocolEsp);
}

// RFC 4301 5.1.2. The hop that the outer packet makes here is no hop.
void Ipsec::write_outer(const Outbound& packet, const esp::Outbound& payload) {
  if (packet.tunnel->transport) [[unlikely]]
    return write_transport(packet, payload);
  const Tunnel& tunnel = *packet.tunnel;
  rte_mbuf* m = packet.m;
  auto bytes = static_cast<std::uint16_t>(payload.esp_bytes());
  std::uint8_t protocol = wire::kProtocolEsp;
  wire::Udp* udp = nullptr;
  if (tunnel.udp) {
    udp = reinterpret_cast<wire::Udp*>(payload.esp()) - 1;
    bytes = static_cast<std::uint16_t>(bytes + sizeof(wire::Udp));
    *udp = {Be16(wire::kUdpEsp), Be16(*tunnel.udp), Be16(bytes), Be16(0)};
    protocol = wire::kProtocolUdp;
  }
  const auto hops = static_cast<std::uint8_t>(tunnel.hop_limit + 1);
  if (tunnel.outer_ipv6) {
    ethernet(m)->type = Be16(wire::kEtherTypeIpv6);
    wire::Ipv6& ip = *ipv6(m);
    ip = {Be32(6U << 28),
          Be16(bytes),
          protocol,
          hops,
          tunnel.ends.ipv6.local.bytes(),
          tunnel.ends.ipv6.remote.bytes()};
    set_tos(ip, packet.tos);
    if (udp != nullptr)
      udp->checksum = wire::udp_checksum(ip, {reinterpret_cast<const std::byte*>(udp), bytes});
    return;
  }
  ethernet(m)->type = Be16(wire::kEtherTypeIpv4);
  const std::uint16_t flags = packet.dont_fragment ? wire::kIpv4DontFragment : std::uint16_t{0};
  write_ipv4(*ipv4(m),
             {packet.tos, static_cast<std::uint16_t>(bytes + sizeof(wire::Ipv4)), ++identification_, flags,
              hops, protocol, tunnel.ends.ipv4.local.value(), tunnel.ends.ipv4.remote.value()});
}

void Ipsec::send_outbound(Worker& worker) {
  const std::span<Outbound> packets = std::span(outbound_).first(find_tunnels(worker));
  outbound_count_ = 0;
  if (packets.empty()) return;
  Outer outer;
  outer.is_mixed =
      std::ranges::any_of(packets, [&](const Outbound& each) { return each.ingress != packets[0].in->id; });
  ask_for_sas(worker, packets);
  std::array<esp::Outbound, kBurst> room;
  const std::span<esp::Outbound> payloads = std::span(room).first(make_payloads(worker, packets, room));
  esp::encapsulate(*engine_, payloads);
  wrap(worker, packets, payloads, outer);
  worker.count().encapsulated.add(outer.ipv4_count + outer.ipv6_count);
  worker.end_step(WorkerStep::ipsec, static_cast<unsigned>(packets.size()));
  send_outer(worker, *packets[0].in, outer);
}

void Ipsec::wrap(Worker& worker, std::span<const Outbound> packets, std::span<const esp::Outbound> payloads,
                 Outer& outer) {
  for (std::size_t i = 0; i < payloads.size(); ++i) {
    const Outbound& each = packets[i];
    SaCounters& counters = each.tunnel->out->counters;
    if (payloads[i].verdict != esp::Verdict::good) {
      counters.refused[static_cast<std::size_t>(payloads[i].verdict)].add(1);
      worker.drop(each.m, each.ingress, reason_of(payloads[i].verdict));
      continue;
    }
    write_outer(each, payloads[i]);
    counters.packets.add(1);
    counters.bytes.add(payloads[i].bytes);
    worker.count(each.id).tx_packets.add(1);
    worker.count(each.id).tx_bytes.add(kL2 + payloads[i].bytes);
    if (outer.is_mixed) meta(each.m).ingress = each.ingress;
    if (each.tunnel->outer_ipv6)
      outer.ipv6.set(outer.ipv6_count++, each.m);
    else
      outer.ipv4.set(outer.ipv4_count++, each.m);
  }
}

void Ipsec::send_outer(Worker& worker, const InterfaceView& in, Outer& outer) {
  sends_ = true;
  worker.set_ingress_in_meta(outer.is_mixed);
  if (outer.ipv4_count != 0) ipv4_burst(worker, in, outer.ipv4, outer.ipv4_count, all_of(outer.ipv4_count));
  if (outer.ipv6_count != 0) ipv6_burst(worker, in, outer.ipv6, outer.ipv6_count, all_of(outer.ipv6_count));
  worker.set_ingress_in_meta(false);
  sends_ = false;
}

// As find_tunnels().
void Ipsec::find_entries(const InboundSas& sas) {
  const std::span<Inbound> packets = std::span(inbound_).first(inbound_count_);
  std::array<esp::Header, kBurst> headers;
  for (std::size_t i = 0; i < packets.size(); ++i) {
    std::memcpy(&headers[i], rte_pktmbuf_mtod_offset(packets[i].m, const char*, packets[i].at),
                sizeof headers[i]);
    sas.prefetch(headers[i].spi.host());
  }
  for (std::size_t i = 0; i < packets.size(); ++i) {
    const bool is_last = i != 0 && headers[i].spi == headers[i - 1].spi;
    packets[i].entry = is_last ? packets[i - 1].entry : sas.find(headers[i].spi.host());
  }
  const bool is_one =
      std::ranges::all_of(packets, [&](const Inbound& each) { return each.entry == packets[0].entry; });
  if (is_one) return;
  const auto ask = [&](const auto& for_each) {
    for (std::size_t i = 0; i < packets.size(); ++i) {
      if (packets[i].entry != nullptr) for_each(*packets[i].entry, headers[i]);
    }
  };
  ask([](const InboundSas::Entry& entry, const esp::Header&) { prefetch(entry.in.get()); });
  ask([](const InboundSas::Entry& entry, const esp::Header& header) {
    entry.in->sa.keys->prefetch();
    entry.in->sa.window.prefetch(header.sequence.host());
  });
}

// RFC 4301 5.2: which SA takes the packet. Those of other workers' SAs go there.
unsigned Ipsec::find_sas(Worker& worker, std::array<esp::Inbound, kBurst>& packets) {
  unsigned count = 0;
  for (const Inbound& each : std::span(inbound_).first(inbound_count_)) {
    if (each.m->nb_segs != 1 && rte_pktmbuf_linearize(each.m) != 0)
      worker.drop(each.m, each.ingress, DropReason::esp_no_room);
    else if (each.m->pkt_len < each.at + sizeof(esp::Header))
      worker.drop(each.m, each.ingress, DropReason::esp_runt);
    else
      keep(each, inbound_[count++]);
  }
  inbound_count_ = count;
  find_entries(worker.tables().inbound_sas());
  count = 0;
  for (const Inbound& each : std::span(inbound_).first(inbound_count_)) {
    if (each.entry == nullptr || each.entry->is_udp() != each.udp ||
        each.entry->local != destination_of(each.m)) {
      worker.drop(each.m, each.ingress, DropReason::esp_unknown_sa);
      continue;
    }
    if (each.entry->owner != worker.id()) {
      worker.hand_to(each.entry->owner, each.m, HandOff::take, each.ingress, kNoInterface);
      continue;
    }
    keep(each, inbound_[count]);
    packets[count++] = {&each.entry->in->sa, rte_pktmbuf_mtod_offset(each.m, std::uint8_t*, each.at),
                        each.m->pkt_len - each.at};
  }
  return count;
}

void Ipsec::take_inbound(Worker& worker) {
  std::array<esp::Inbound, kBurst> packets;
  const unsigned count = find_sas(worker, packets);
  inbound_count_ = 0;
  if (count == 0) return;
  esp::decapsulate(*engine_, std::span(packets).first(count));
  unsigned good = 0;
  for (unsigned i = 0; i < count; ++i) {
    const Inbound& each = inbound_[i];
    SaCounters& counters = each.entry->in->counters;
    std::optional<DropReason> reason;
    if (packets[i].verdict == esp::Verdict::good) {
      counters.packets.add(1);
      counters.bytes.add(packets[i].payload.bytes);
      reason = each.entry->is_transport() ? open_transport(each.m, packets[i], each.at)
                                          : open_inner(each.m, packets[i]);
      if (!reason && each.entry->selectors && !may_come(*each.entry->selectors, each.m)) [[unlikely]] {
        counters.unselected.add(1);
        reason = DropReason::esp_selectors_in;
      }
    } else {
      counters.refused[static_cast<std::size_t>(packets[i].verdict)].add(1);
      reason = reason_of(packets[i].verdict);
    }
    if (reason)
      worker.drop(each.m, each.ingress, *reason);
    else
      keep(each, inbound_[good++]);
  }
  worker.end_step(WorkerStep::ipsec, count);
  if (good == 0) return;
  worker.count().decapsulated.add(good);
  takes_ = true;
  receive_inner(worker, std::span(inbound_).first(good));
  takes_ = false;
}

// It came by the link that it came by, and is counted there already.
void Ipsec::receive_transport(Worker& worker, const Inbound& packet) {
  InterfaceCounters& counters = worker.count(packet.entry->interface);
  counters.rx_packets.add(1);
  counters.rx_bytes.add(packet.m->pkt_len);
  const InterfaceView* in = worker.tables().interface(packet.ingress);
  if (in == nullptr) return worker.drop(packet.m, packet.ingress, DropReason::interface_gone);
  rte_mbuf* m = packet.m;
  receive_counted(worker, *in, &m, 1);
}

// All together that came by the first one's interface, or by one that treats packets alike: a burst of many
// tunnels' packets is one burst. The others one by one.
void Ipsec::receive_inner(Worker& worker, std::span<const Inbound> packets) {
  const Tables& tables = worker.tables();
  const InterfaceView* first = tables.interface(packets[0].entry->interface);
  rte_mbuf* frames[kBurst];
  InterfaceId ids[kBurst];
  unsigned count = 0;
  bool is_mixed = false;
  for (const Inbound& each : packets) prefetch(tables.interface(each.entry->interface));
  for (const Inbound& each : packets) {
    if (each.entry->is_transport()) [[unlikely]] {
      receive_transport(worker, each);
      continue;
    }
    const InterfaceId id = each.entry->interface;
    const InterfaceView* view = tables.interface(id);
    rte_mbuf* m = each.m;
    if (view == nullptr) {
      receive_for_nobody(worker, id, &m, 1);
    } else if (view == first || (first != nullptr && first->treats_as(*view))) {
      is_mixed |= view != first;
      frames[count] = m;
      ids[count++] = id;
    } else {
      receive(worker, *view, &m, 1);
    }
  }
  if (count == 0) return;
  if (!is_mixed) return receive(worker, *first, frames, count);
  for (const InterfaceId id : std::span(ids).first(count)) prefetch(&worker.count(id).rx_packets);
  for (unsigned i = 0; i < count; ++i) {
    worker.count(ids[i]).rx_packets.add(1);
    worker.count(ids[i]).rx_bytes.add(frames[i]->pkt_len);
    meta(frames[i]).ingress = ids[i];
  }
  worker.set_ingress_in_meta(true);
  receive_counted(worker, *first, frames, count);
  worker.set_ingress_in_meta(false);
}

}  // namespace millrace::dataplane
