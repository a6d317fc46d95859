// The way of a burst of IPv4 or IPv6, top to bottom: validate -> look up -> choose the next hop -> rewrite ->
// transmit. RFC 1812 section 5.2.1.2 gives the order; the steps cite their sections.
#include <rte_mbuf.h>

#include <cstring>

#include "dataplane/fragment.h"
#include "dataplane/ip_batch.h"
#include "dataplane/worker.h"

namespace millrace::dataplane {
namespace {

template <class Family>
class IpBurst {
  using Header = std::remove_pointer_t<decltype(Family::header(nullptr))>;
  using Address = typename Family::Address;

  // Packets in a row, from `first` on, that leave by one interface: the worker gets them together.
  struct Leaving {
    InterfaceId interface = kNoInterface;
    PortId port;
    unsigned first = 0;
    std::uint64_t bytes = 0;  // of IP
  };

 public:
  IpBurst(Worker& worker, const InterfaceView& in, IpBatch<Family>& batch)
      : worker_(worker),
        tables_(worker.tables()),
        in_(in),
        fib_(tables_.fib<Address>(in.fib)),
        own_(tables_.own_addresses<Address>()),
        batch_(batch) {}

  void run(unsigned count, std::uint64_t straight) {
    // 1. Which of them are packets that a router may forward or accept?
    const unsigned valid = validate(count, straight);
    if (valid == 0) return;
    // 2. Where do they go? All at once: the memory's latency is paid once for many.
    fib_.lookup({batch_.destinations(), valid}, next_hops());
    // 3. By which adjacency? They are in other lines of memory, asked for together.
    choose(valid);
    // 4. Each its way.
    dispatch(valid);
  }

 private:
  // The steps of the family's validation, the ingress features, and the first touch of the FIB. Returns how
  // many are left. Those of `straight` need none of it.
  unsigned validate(unsigned count, std::uint64_t straight) {
    unsigned valid = 0;
    const bool has_features = in_.ingress_features != 0;
    for (unsigned i = 0; i < count; ++i) {
      if ((straight >> i & 1) != 0) [[likely]] {
        batch_.move(i, valid);
      } else {
        rte_mbuf* m = batch_.packets[i];
        const Header* ip = Family::header(m);
        const bool plain = !ethernet(m)->destination.is_group() && Family::is_plain(m, *ip, own_);
        if (!plain || has_features) [[unlikely]] {
          if (!may_go_on(m)) continue;
        } else {
          cut_to(m, static_cast<std::uint32_t>(sizeof(wire::Ethernet)) + Family::length(*ip));
        }
        batch_.set(valid, m);
      }
      fib_.prefetch(Address(batch_.destinations()[valid++]).value());
    }
    return valid;
  }

  // For packets that are not plain: true if this one is an ordinary packet all the same; else it has ended.
  bool may_go_on(rte_mbuf* m) {
    const Verdict verdict = Family::validate(m, in_, own_);
    if (verdict.drops()) return drop(m, verdict.reason()), false;
    const Header* ip = Family::header(m);
    if (Family::has_link_scope(*ip)) return stay_on_link(m), false;
    // 5.3.4: a frame for everybody does not carry a unicast packet.
    if (ethernet(m)->destination.is_group()) return drop(m, DropReason::l2_broadcast), false;
    if (in_.ingress_features == 0) return true;
    const Verdict said = ingress_features(m);
    if (said.drops()) drop(m, said.reason());
    return said.goes_on();
  }

  // RFC 3927 7, RFC 4291 2.5.6 and 2.7: packets of link scope are for us or for nobody. Groups too, but for
  // those that may be routed, which we do not.
  void stay_on_link(rte_mbuf* m) {
    const Header& ip = *Family::header(m);
    const Address to(Family::destination(ip));
    const bool for_us =
        Family::is_for_link(ip, in_) || tables_.next_hop(fib_.lookup(to)).kind() == NextHop::Kind::local;
    if (to.is_multicast() && !for_us) return drop(m, DropReason::destination_multicast);
    if (!to.is_multicast() && ethernet(m)->destination.is_group()) return drop(m, DropReason::l2_broadcast);
    if (!for_us) return drop(m, DropReason::link_local);
    worker_.punt(m, in_.id, Family::local_class(m, ip));
  }

  // 5.2.1.2: for us, or on to a next hop, or to the one of a group that the packet's flow takes.
  void choose(unsigned count) {
    NextHopId last = next_hops()[0];
    NextHop next_hop = chosen_by(last);
    for (unsigned i = 0; i < count; ++i) {
      if (next_hops()[i] != last) {
        last = next_hops()[i];
        next_hop = chosen_by(last);
      }
      chosen()[i] = next_hop;
      if (next_hop.kind() == NextHop::Kind::group) [[unlikely]]
        chosen()[i] = member(next_hop, batch_.packets[i]);
    }
  }
  NextHop chosen_by(NextHopId id) const {
    const NextHop next_hop = tables_.next_hop(id);
    if (next_hop.kind() == NextHop::Kind::forward) __builtin_prefetch(&tables_.adjacency(next_hop.index()));
    return next_hop;
  }
  NextHop member(NextHop group, rte_mbuf* m) const {
    const std::uint32_t hash = Family::flow_hash(m, *Family::header(m), tables_.flow_hashing());
    const std::uint32_t adjacency = tables_.bucket(group.bucket(hash));
    __builtin_prefetch(&tables_.adjacency(adjacency));
    return NextHop::forward(AdjacencyId(adjacency));
  }

  void dispatch(unsigned count) {
    Leaving leaving;
    for (unsigned i = 0; i < count;) {
      const NextHop next_hop = chosen()[i];
      if (next_hop.kind() == NextHop::Kind::forward) [[likely]] {
        const Adjacency& adjacency = tables_.adjacency(next_hop.index());
        if (adjacency.flags == Adjacency::kComplete && batch_.lengths[i] <= adjacency.mtu) [[likely]] {
          if (adjacency.interface != leaving.interface) {
            transmit(leaving, i);
            leaving = {adjacency.interface, adjacency.port, i, 0};
          }
          i = forward(i, count, adjacency, leaving);
          continue;
        }
        transmit(leaving, i);
        forward_otherwise(batch_.packets[i], adjacency);
      } else {
        transmit(leaving, i);
        deliver(batch_.packets[i], next_hop);
      }
      leaving.first = ++i;
    }
    transmit(leaving, count);
  }

  // Not to an adjacency.
  void deliver(rte_mbuf* m, NextHop next_hop) {
    if (next_hop.kind() == NextHop::Kind::local)
      return worker_.punt(m, in_.id, Family::local_class(m, *Family::header(m)));
    if (next_hop.kind() == NextHop::Kind::glean)
      return glean(m, InterfaceId(static_cast<std::uint16_t>(next_hop.index())));
    drop(m, static_cast<DropReason>(next_hop.index()));
  }

  // The packet `first`, and those behind it that have the same next hop and fit. Returns where they end.
  unsigned forward(unsigned first, unsigned count, const Adjacency& adjacency, Leaving& leaving) {
    const NextHop next_hop = chosen()[first];
    const std::array<MacAddress, 2> macs = adjacency.macs;
    const std::uint32_t mtu = adjacency.mtu;
    std::uint64_t bytes = 0;
    unsigned i = first;
    do {
      std::byte* frame = batch_.frames[i];
      std::memcpy(frame, &macs, sizeof macs);
      Family::set_hop(*reinterpret_cast<Header*>(frame + sizeof(wire::Ethernet)), batch_.hops[i]);
      bytes += batch_.lengths[i];
    } while (++i < count && chosen()[i] == next_hop && batch_.lengths[i] <= mtu);
    this->count(adjacency, i - first, bytes);
    leaving.bytes += bytes;
    return i;
  }

  // Gives the worker what is ready before `end`.
  void transmit(Leaving& leaving, unsigned end) {
    const unsigned n = end - leaving.first;
    if (n == 0) return;
    worker_.transmit(batch_.packets + leaving.first, n, leaving.port, leaving.interface,
                     leaving.bytes + n * sizeof(wire::Ethernet));
    leaving.first = end;
    leaving.bytes = 0;
  }

  // The last hop, with features, without a MAC to send to, longer than the MTU, or into a VLAN.
  void forward_otherwise(rte_mbuf* m, const Adjacency& adjacency) {
    // 5.3.1, RFC 8200 3: TTL, hop limit. Only packets that are not for us are asked.
    if (Family::hops_left(*Family::header(m)) <= 1) return drop(m, DropReason::ttl_expired);
    if ((adjacency.flags & Adjacency::kEgressFeatures) != 0 && !egress_features(m, adjacency.interface))
      return;
    if (!adjacency.complete()) return unresolved(m, adjacency.interface, adjacency.address);
    const std::uint32_t length = Family::length(*Family::header(m));
    if (length > adjacency.mtu) return too_long(m, adjacency);
    rewrite(m, adjacency);
    count(adjacency, 1, length);
    transmit_otherwise(m, adjacency);
  }

  // The frame is whole, but for the tags of a VLAN.
  void transmit_otherwise(rte_mbuf* m, const Adjacency& adjacency) {
    const bool tagged = (adjacency.flags & Adjacency::kTagged) != 0;
    if (tagged && !put_tags(m, adjacency.tags, (adjacency.flags & Adjacency::kPortTags) != 0)) {
      return drop(m, DropReason::no_mbuf);
    }
    worker_.transmit(m, adjacency);
  }

  // The hop, and the adjacency's MACs. The type is that of the packet, as it came (RFC 8950: the next hop of
  // an IPv4 route may be of IPv6).
  static void rewrite(rte_mbuf* m, const Adjacency& adjacency) {
    Family::hop(*Family::header(m));
    std::memcpy(static_cast<void*>(ethernet(m)), &adjacency.macs, sizeof adjacency.macs);
  }

  // 4.2.2.7 and RFC 1191, RFC 8200 5: cut it up, or say how long it may be.
  void too_long(rte_mbuf* m, const Adjacency& adjacency) {
    if (!Family::may_fragment(*Family::header(m))) {
      meta(m).mtu = adjacency.mtu;
      return drop(m, DropReason::fragmentation_needed);
    }
    rewrite(m, adjacency);
    rte_mbuf* fragments[kMaxFragments];
    const FragmentResult result = fragment_ipv4(m, adjacency.mtu, m->pool, fragments);
    if (result.count == 0) return drop(m, result.reason);
    worker_.count().fragments_added.add(result.count - 1);
    count(adjacency, 1, Family::length(*Family::header(m)));
    for (unsigned i = 0; i < result.count; ++i) transmit_otherwise(fragments[i], adjacency);
    worker_.free_later(m);
  }

  void glean(rte_mbuf* m, InterfaceId egress) {
    const Header& ip = *Family::header(m);
    if (Family::hops_left(ip) <= 1) return drop(m, DropReason::ttl_expired);
    if (egress_features(m, egress)) unresolved(m, egress, Address(Family::destination(*Family::header(m))));
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

  void count(const Adjacency& adjacency, std::uint64_t packets, std::uint64_t bytes) {
    AdjacencyCounters& counters = worker_.count_adjacency(adjacency.counter);
    counters.packets.add(packets);
    counters.bytes.add(bytes);
  }

  void drop(rte_mbuf* m, DropReason reason) { worker_.drop(m, in_.id, reason); }

  // Arrays of a burst, whose places hold nothing until they are set.
  NextHopId* next_hops() { return reinterpret_cast<NextHopId*>(next_hops_); }
  NextHop* chosen() { return reinterpret_cast<NextHop*>(chosen_); }

  Worker& worker_;
  const Tables& tables_;
  const InterfaceView& in_;
  const lpm::Lookup<Address>& fib_;
  const OwnAddresses<Address>& own_;
  IpBatch<Family>& batch_;
  alignas(64) std::byte next_hops_[kBurst * sizeof(NextHopId)];
  alignas(64) std::byte chosen_[kBurst * sizeof(NextHop)];
};

}  // namespace

void ipv4_burst(Worker& worker, const InterfaceView& in, IpBatch<Ipv4Family>& packets, unsigned count,
                std::uint64_t straight) {
  IpBurst<Ipv4Family>(worker, in, packets).run(count, straight);
}
void ipv6_burst(Worker& worker, const InterfaceView& in, IpBatch<Ipv6Family>& packets, unsigned count,
                std::uint64_t straight) {
  IpBurst<Ipv6Family>(worker, in, packets).run(count, straight);
}

}  // namespace millrace::dataplane
