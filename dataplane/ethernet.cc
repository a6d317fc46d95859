// The first step of every frame: is it for us, and what does it carry?
#include <rte_ether.h>

#include <cstddef>
#include <cstring>

#include "dataplane/control_protocol.h"
#include "dataplane/ip_batch.h"
#include "dataplane/worker.h"
#include "net/wire.h"

namespace millrace::dataplane {
namespace {

// The type, in wire order, of what nearly every frame is: untagged, to the interface's own MAC, in a segment
// that holds its header. 0 of any other.
std::uint16_t type_of_straight(const rte_mbuf* m, std::uint64_t own_mac) {
  if (rte_pktmbuf_data_len(m) < sizeof(wire::Ethernet)) [[unlikely]]
    return 0;
  const auto* frame = rte_pktmbuf_mtod(m, const std::uint8_t*);
  std::uint64_t start;  // the destination, and two bytes of the source
  std::uint16_t type;
  std::memcpy(&start, frame, sizeof start);
  std::memcpy(&type, frame + offsetof(wire::Ethernet, type), sizeof type);
  const bool straight = ((start ^ own_mac) << 16) == 0 && (m->ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED) == 0;
  return straight ? type : std::uint16_t{0};
}

struct Class {
  enum class Kind : std::uint8_t { ipv4, ipv6, arp, vlan, link, drop } kind;
  DropReason reason{};
  InterfaceId vlan = kNoInterface;
};

// The same of any frame.
[[gnu::noinline]] Class classify(const InterfaceView& in, rte_mbuf* m) {
  // 1. The frame holds an Ethernet header.
  if (m->pkt_len < sizeof(wire::Ethernet)) return {Class::Kind::drop, DropReason::runt_frame};
  if (!make_contiguous(m, sizeof(wire::Ethernet)))
    return {Class::Kind::drop, DropReason::header_not_contiguous};
  // 2. A VLAN's frame is for the VLAN's interface to look at, without its tags. Those with a mere priority
  // are
  //    untagged otherwise. A NIC that strips tags says so in the mbuf.
  bool tagged = false;
  if (has_tag(*m)) [[unlikely]] {
    const TakenTags tags = take_tags(m);
    tagged = tags.any();
    const InterfaceId vlan =
        in.vlans && tags.is_known ? in.vlans->find(tags.outer, tags.inner) : kNoInterface;
    if (vlan != kNoInterface) return {Class::Kind::vlan, {}, vlan};
  }
  const wire::Ethernet* eth = ethernet(m);
  // 3. It is addressed to us: our MACs, those we joined, broadcast. Group frames are looked at, too: what is
  //    wrong with the packet in them is the better reason.
  if (!eth->destination.is_group() && !in.accepts(eth->destination)) [[unlikely]] {
    return {Class::Kind::drop, DropReason::not_our_mac};
  }
  // 4. What it carries.
  if (tagged) [[unlikely]]
    return {Class::Kind::drop, DropReason::unknown_vlan};
  const std::uint16_t type = eth->type.host();
  if (type == wire::kEtherTypeIpv4) [[likely]]
    return {Class::Kind::ipv4};
  if (type == wire::kEtherTypeIpv6) return {Class::Kind::ipv6};
  if (type == wire::kEtherTypeArp) return {Class::Kind::arp};
  // 5. IS-IS and LLDP have no packet around them.
  if (in.host && is_of_link(type)) return {Class::Kind::link};
  return {Class::Kind::drop, DropReason::unknown_ethertype};
}

// Frames of VLANs, without their tags, each VLAN's together.
[[gnu::noinline]] void receive_vlans(Worker& worker, const InterfaceView& in, rte_mbuf** frames,
                                     const std::uint16_t* vlans, unsigned count) {
  static_assert(kBurst <= 64);
  for (std::uint64_t left = all_of(count); left != 0;) {
    const InterfaceId id(vlans[__builtin_ctzll(left)]);
    rte_mbuf* of_one[kBurst];
    unsigned n = 0;
    std::uint64_t bytes = 0;
    for (std::uint64_t at = left; at != 0; at &= at - 1) {
      const auto i = static_cast<unsigned>(__builtin_ctzll(at));
      if (vlans[i] != id.value()) continue;
      of_one[n++] = frames[i];
      bytes += frames[i]->pkt_len;
      left &= ~(std::uint64_t{1} << i);
    }
    InterfaceCounters& port = worker.count(in.id);
    port.passed_packets.add(n);
    port.passed_bytes.add(bytes);
    if (const InterfaceView* view = worker.tables().interface(id)) {
      receive(worker, *view, of_one, n);
    } else {
      receive_for_nobody(worker, id, of_one, n);
    }
  }
}

// The frames of one family on their way into its batch. `from` of keep() is not before the place it gets.
template <class Family>
struct Sorted {
  IpBatch<Family>& batch;
  unsigned count = 0;
  std::uint64_t straight = 0;  // of places in the batch

  void keep(unsigned from) {
    straight |= std::uint64_t{1} << count;
    batch.move(from, count++);
  }
  void add(rte_mbuf* m) { batch.packets[count++] = m; }
};

// Frames that are not all straight, each to its kind.
[[gnu::noinline]] void sort(Worker& worker, const InterfaceView& in, rte_mbuf** frames, unsigned count,
                            const Sighted& sighted, IpBatch<Ipv4Family>& ipv4_batch,
                            IpBatch<Ipv6Family>& ipv6_batch) {
  Sorted<Ipv4Family> ipv4{ipv4_batch};
  Sorted<Ipv6Family> ipv6{ipv6_batch};
  rte_mbuf* tagged[kBurst];
  std::uint16_t vlans[kBurst];
  unsigned tagged_count = 0;
  const std::uint64_t mac = in.mac.as_u48();
  constexpr std::uint16_t kIpv4 = Be16(wire::kEtherTypeIpv4).wire(),
                          kIpv6 = Be16(wire::kEtherTypeIpv6).wire();
  const std::uint64_t straight = sighted.ipv4 | sighted.ipv6;
  for (unsigned i = 0; i < count; ++i) {
    rte_mbuf* m = frames[i];
    if ((straight >> i & 1) != 0) {
      if ((sighted.ipv4 >> i & 1) != 0)
        ipv4.keep(i);
      else
        ipv6.keep(i);
      continue;
    }
    const std::uint16_t type = type_of_straight(m, mac);
    if (type == kIpv4) {
      ipv4.add(m);
      continue;
    }
    if (type == kIpv6) {
      ipv6.add(m);
      continue;
    }
    const Class c = classify(in, m);
    switch (c.kind) {
      case Class::Kind::ipv4:
        ipv4.add(m);
        break;
      case Class::Kind::ipv6:
        ipv6.add(m);
        break;
      case Class::Kind::arp:
        worker.punt(m, in.id, PuntClass::arp);
        break;
      case Class::Kind::link:
        worker.punt(m, in.id, PuntClass::control);
        break;
      case Class::Kind::vlan:
        vlans[tagged_count] = c.vlan.value();
        tagged[tagged_count++] = m;
        break;
      case Class::Kind::drop:
        worker.drop(m, in.id, c.reason);
        break;
    }
  }
  if (ipv4.count != 0) ipv4_burst(worker, in, ipv4.batch, ipv4.count, ipv4.straight);
  if (ipv6.count != 0) ipv6_burst(worker, in, ipv6.batch, ipv6.count, ipv6.straight);
  if (tagged_count != 0) [[unlikely]]
    receive_vlans(worker, in, tagged, vlans, tagged_count);
}

// The sum of the frames' lengths. Their headers are on their way from then on.
std::uint64_t touch(rte_mbuf** frames, unsigned count) {
  std::uint64_t bytes = 0;
  for (unsigned i = 0; i < count; ++i) {
    millrace::prefetch(rte_pktmbuf_mtod(frames[i], void*));
    bytes += frames[i]->pkt_len;
  }
  return bytes;
}

void count_received(Worker& worker, InterfaceId id, unsigned count, std::uint64_t bytes) {
  InterfaceCounters& counters = worker.count(id);
  counters.rx_packets.add(count);
  counters.rx_bytes.add(bytes);
}

}  // namespace

namespace {

// `counts`: whether they are still to be counted.
template <bool counts>
[[gnu::always_inline]] inline void take(Worker& worker, const InterfaceView& in, rte_mbuf** frames,
                                        unsigned count) {
  IpBatch<Ipv4Family> ipv4;
  IpBatch<Ipv6Family> ipv6;
  Sighted sighted;
  if (worker.find_straight() != nullptr && in.ingress_features == 0) {
    const Tables& tables = worker.tables();
    const StraightSearch search{in.mac, &tables.own_addresses<Ipv4Address>(),
                                &tables.own_addresses<Ipv6Address>()};
    sighted = worker.find_straight()(search, frames, count, ipv4, ipv6);
  } else {
    sighted.bytes = touch(frames, count);
  }
  if constexpr (counts) count_received(worker, in.id, count, sighted.bytes);
  worker.end_step(WorkerStep::sight, count);
  if (sighted.ipv4 == all_of(count)) [[likely]]
    return ipv4_burst(worker, in, ipv4, count, sighted.ipv4);
  if (sighted.ipv6 == all_of(count)) return ipv6_burst(worker, in, ipv6, count, sighted.ipv6);
  sort(worker, in, frames, count, sighted, ipv4, ipv6);
}

}  // namespace

void receive(Worker& worker, const InterfaceView& in, rte_mbuf** frames, unsigned count) {
  take<true>(worker, in, frames, count);
}

void receive_counted(Worker& worker, const InterfaceView& in, rte_mbuf** frames, unsigned count) {
  take<false>(worker, in, frames, count);
}

void receive_for_nobody(Worker& worker, InterfaceId id, rte_mbuf** frames, unsigned count) {
  count_received(worker, id, count, touch(frames, count));
  for (unsigned i = 0; i < count; ++i) worker.drop(frames[i], id, DropReason::interface_gone);
}

}  // namespace millrace::dataplane
