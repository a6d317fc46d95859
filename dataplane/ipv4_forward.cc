// The IPv4 way of a burst, top to bottom: validate -> look up -> choose the next hop -> rewrite -> transmit.
// RFC 1812 section 5.2.1.2 gives the order; the steps cite their sections.
#include <rte_mbuf.h>

#include <cstring>

#include "dataplane/flow_hash.h"
#include "dataplane/fragment.h"
#include "dataplane/ipv4_validate.h"
#include "dataplane/worker.h"

namespace millrace::dataplane {
namespace {

class Ipv4Burst {
 public:
  Ipv4Burst(Worker& worker, const InterfaceView& in) : worker_(worker), tables_(worker.tables()), in_(in) {}

  void run(rte_mbuf** packets, unsigned count) {
    const unsigned valid = validate(packets, count);
    if (valid == 0) return;
    std::array<NextHopId, kBurst> next_hops;
    tables_.fib<Ipv4Address>(in_.fib).lookup({destinations_.data(), valid}, next_hops.data());
    for (unsigned i = 0; i < valid; ++i) dispatch(packets_[i], next_hops[i]);
  }

 private:
  // Steps 1 to 9 of ipv4_validate.h, the ingress features, and the first touch of the FIB. Returns how many
  // are left.
  unsigned validate(rte_mbuf** packets, unsigned count) {
    const lpm::Ipv4Lookup& fib = tables_.fib<Ipv4Address>(in_.fib);
    const OwnAddresses<Ipv4Address>& own = tables_.own_addresses<Ipv4Address>();
    unsigned valid = 0;
    for (unsigned i = 0; i < count; ++i) {
      rte_mbuf* m = packets[i];
      Verdict verdict = validate_ipv4(m, own);
      // 5.3.4: a frame for everybody does not carry a unicast packet.
      if (verdict.goes_on() && ethernet(m)->destination.is_group()) [[unlikely]] {
        verdict = Verdict::drop(DropReason::l2_broadcast);
      }
      if (verdict.goes_on() && in_.ingress_features != 0) [[unlikely]] {
        verdict = ingress_features(m);
      }
      if (!verdict.goes_on()) [[unlikely]] {
        if (verdict.drops()) drop(m, verdict.reason());
        continue;
      }
      packets_[valid] = m;
      destinations_[valid] = ipv4(m)->destination.host();
      fib.prefetch(destinations_[valid++]);
    }
    return valid;
  }

  // 5.2.1.2: for us, or on to a next hop.
  void dispatch(rte_mbuf* m, NextHopId id) {
    const NextHop next_hop = tables_.next_hop(id);
    switch (next_hop.kind()) {
      case NextHop::Kind::forward:
        return forward(m, tables_.adjacency(next_hop.index()));
      case NextHop::Kind::group: {
        const std::uint32_t hash = ipv4_flow_hash(m, *ipv4(m), tables_.flow_seed());
        return forward(m, tables_.adjacency(tables_.bucket(next_hop.bucket(hash))));
      }
      case NextHop::Kind::local:
        return worker_.punt(m, in_.id, PuntClass::local);
      case NextHop::Kind::glean:
        return glean(m, InterfaceId(static_cast<std::uint16_t>(next_hop.index())));
      case NextHop::Kind::drop:
        return drop(
            m, is_link_local(*ipv4(m)) ? DropReason::link_local : static_cast<DropReason>(next_hop.index()));
    }
  }

  // May it be forwarded at all? Only packets that are not for us are asked.
  bool may_leave(rte_mbuf* m) {
    const wire::Ipv4* ip = ipv4(m);
    // RFC 3927 7: link-local addresses stay on their link.
    if (is_link_local(*ip)) [[unlikely]]
      return drop(m, DropReason::link_local), false;
    // 5.3.1: TTL.
    if (ip->ttl <= 1) [[unlikely]]
      return drop(m, DropReason::ttl_expired), false;
    return true;
  }

  void forward(rte_mbuf* m, const Adjacency& adjacency) {
    if (!may_leave(m)) return;
    if ((adjacency.flags & Adjacency::kEgressFeatures) != 0) [[unlikely]] {
      if (!egress_features(m, adjacency.interface)) return;
    }
    if (!adjacency.complete()) [[unlikely]]
      return unresolved(m, adjacency.interface, adjacency.address);
    const std::uint16_t length = ipv4(m)->total_length.host();
    if (length > adjacency.mtu) [[unlikely]]
      return too_long(m, adjacency);
    rewrite(m, adjacency);
    count(adjacency, length);
    worker_.transmit(m, adjacency);
  }

  // 5.3.1 and RFC 1624: TTL down by one, checksum by the difference. Then the L2 header.
  static void rewrite(rte_mbuf* m, const Adjacency& adjacency) {
    wire::Ipv4* ip = ipv4(m);
    ip->ttl = static_cast<std::uint8_t>(ip->ttl - 1);
    ip->checksum = Be16(checksum_after_ttl_decrement(ip->checksum.host()));
    std::memcpy(ethernet(m), adjacency.l2_header.data(), sizeof(wire::Ethernet));
  }

  // 4.2.2.7 and RFC 1191: cut it up, or say how long it may be.
  void too_long(rte_mbuf* m, const Adjacency& adjacency) {
    if (ipv4(m)->dont_fragment()) {
      meta(m).mtu = adjacency.mtu;
      return drop(m, DropReason::fragmentation_needed);
    }
    rewrite(m, adjacency);
    rte_mbuf* fragments[kMaxFragments];
    const FragmentResult result = fragment_ipv4(m, adjacency.mtu, m->pool, fragments);
    if (result.count == 0) return drop(m, result.reason);
    worker_.count().fragments_added.add(result.count - 1);
    count(adjacency, ipv4(m)->total_length.host());
    for (unsigned i = 0; i < result.count; ++i) worker_.transmit(fragments[i], adjacency);
    worker_.free_later(m);
  }

  void glean(rte_mbuf* m, InterfaceId egress) {
    if (may_leave(m) && egress_features(m, egress)) unresolved(m, egress, Ipv4Address(ipv4(m)->destination));
  }

  void unresolved(rte_mbuf* m, InterfaceId egress, IpAddress next_hop) {
    meta(m).egress = egress;
    meta(m).next_hop_address = next_hop;
    worker_.punt(m, in_.id, PuntClass::unresolved);
  }

  Verdict ingress_features(rte_mbuf* m) {
    meta(m) = PacketMeta{};
    meta(m).ingress = in_.id;
    meta(m).fib = in_.fib;
    return run_features(worker_.features().ingress, in_.ingress_features, worker_, m);
  }

  // True if the packet goes on; else it has ended.
  bool egress_features(rte_mbuf* m, InterfaceId egress) {
    const InterfaceView* out = tables_.interface(egress);
    Verdict verdict = Verdict::drop(DropReason::tx_gone);
    if (out != nullptr) {
      meta(m).ingress = in_.id;
      meta(m).egress = egress;
      verdict = run_features(worker_.features().egress, out->egress_features, worker_, m);
    }
    if (verdict.drops()) drop(m, verdict.reason());
    return verdict.goes_on();
  }

  void count(const Adjacency& adjacency, std::uint16_t bytes) {
    AdjacencyCounters& counters = worker_.count_adjacency(adjacency.counter);
    counters.packets.add(1);
    counters.bytes.add(bytes);
  }

  void drop(rte_mbuf* m, DropReason reason) { worker_.drop(m, in_.id, reason); }

  Worker& worker_;
  const Tables& tables_;
  const InterfaceView& in_;
  std::array<rte_mbuf*, kBurst> packets_;
  std::array<std::uint32_t, kBurst> destinations_;
};

}  // namespace

void ipv4_burst(Worker& worker, const InterfaceView& in, rte_mbuf** packets, unsigned count) {
  Ipv4Burst(worker, in).run(packets, count);
}

}  // namespace millrace::dataplane
