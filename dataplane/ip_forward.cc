// The way of a burst of IPv4 or IPv6, top to bottom: validate -> look up -> choose the next hop -> rewrite ->
// transmit. RFC 1812 section 5.2.1.2 gives the order; the steps cite their sections.
#include <rte_mbuf.h>

#include <cstring>

#include "dataplane/fragment.h"
#include "dataplane/ip_batch.h"
#include "dataplane/worker.h"

namespace millrace::dataplane {
namespace {

// Of packets that leave by none: it is not complete, so that none goes straight by it.
constexpr Adjacency kNoAdjacency;

// Both MACs of a frame, in two registers.
class MacPair {
 public:
  explicit MacPair(const std::array<MacAddress, 2>& macs) {
    std::memcpy(&first_, macs.data(), sizeof first_);
    std::memcpy(&rest_, reinterpret_cast<const std::byte*>(macs.data()) + sizeof first_, sizeof rest_);
  }
  void write(std::byte* frame) const {
    std::memcpy(frame, &first_, sizeof first_);
    std::memcpy(frame + sizeof first_, &rest_, sizeof rest_);
  }

 private:
  std::uint64_t first_;
  std::uint32_t rest_;
};

template <class Family>
class IpBurst {
  using Header = std::remove_pointer_t<decltype(Family::header(nullptr))>;
  using Address = typename Family::Address;

  // Where the packets of a burst go: by an adjacency, or by kNoAdjacency.
  struct OneWay {
    static constexpr bool kSame = true;
    NextHop to;
    const Adjacency* by;
    [[nodiscard]] NextHop next_hop(unsigned /*i*/) const { return to; }
    [[nodiscard]] const Adjacency& adjacency(unsigned /*i*/) const { return *by; }
  };
  struct EachItsWay {
    static constexpr bool kSame = false;
    const NextHop* to;  // of those without an adjacency
    const Adjacency* const* by;
    [[nodiscard]] NextHop next_hop(unsigned i) const { return to[i]; }
    [[nodiscard]] const Adjacency& adjacency(unsigned i) const { return *by[i]; }
  };
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
    worker_.end_step(WorkerStep::validate, count);
    if (valid == 0) return;
    // 2. Where do they go? All at once: the memory's latency is paid once for many.
    fib_.lookup({batch_.destinations(), valid}, next_hops());
    worker_.end_step(WorkerStep::lookup, valid);
    // 3. Often all go the same way: then what is said of it is read once.
    const NextHop first = tables_.next_hop(next_hops()[0]);
    if (first.kind() != NextHop::Kind::group && have_one_next_hop(valid)) {
      dispatch(valid, OneWay{first, &adjacency_of(first)});
    } else {
      // By which adjacency? They are in other lines of memory, asked for together. Then each its way.
      choose(valid);
      dispatch(valid, EachItsWay{without(), adjacencies_});
    }
    worker_.end_step(WorkerStep::forward, valid);
  }

 private:
  // The steps of the family's validation, the ingress features, and the first touch of the FIB. Returns how
  // many are left. Those of `straight` need none of it: the vector lookup that follows at once asks for all
  // lines together.
  unsigned validate(unsigned count, std::uint64_t straight) {
    if (straight == all_of(count)) [[likely]]
      return count;
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

  // Whether each is the same as the one before it.
  bool have_one_next_hop(unsigned count) {
    return std::memcmp(next_hops(), next_hops() + 1, (count - 1) * sizeof(NextHopId)) == 0;
  }

  const Adjacency& adjacency_of(NextHop next_hop) const {
    return next_hop.kind() == NextHop::Kind::forward ? tables_.adjacency(next_hop.index()) : kNoAdjacency;
  }

  // 5.2.1.2: for us, or on to a next hop, or to the one of a group that the packet's flow takes.
  void choose(unsigned count) {
    const Tables& tables = tables_;
    const NextHopId* const ids = next_hops();
    for (unsigned i = 0; i < count; ++i) {
      const NextHop next_hop = tables.next_hop(ids[i]);
      const Adjacency* adjacency = &kNoAdjacency;
      if (next_hop.kind() == NextHop::Kind::forward) [[likely]]
        adjacency = &tables.adjacency(next_hop.index());
      else if (next_hop.kind() == NextHop::Kind::group)
        adjacency = &member(next_hop, batch_.packets[i]);
      else
        new (without() + i) NextHop(next_hop);
      __builtin_prefetch(adjacency);
      adjacencies_[i] = adjacency;
    }
  }
  const Adjacency& member(NextHop group, rte_mbuf* m) const {
    const std::uint32_t hash = Family::flow_hash(m, *Family::header(m), tables_.flow_hashing());
    return tables_.adjacency(tables_.bucket(group.bucket(hash)));
  }

  template <class Ways>
  void dispatch(unsigned count, Ways ways) {
    Leaving leaving;
    for (unsigned i = 0; i < count;) {
      const Adjacency& adjacency = ways.adjacency(i);
      const unsigned straight = forward(i, Ways::kSame ? count : i + 1, adjacency, leaving);
      i += straight;
      if (straight != 0) [[likely]]
        continue;
      transmit(leaving, i);
      if (&adjacency == &kNoAdjacency)
        deliver(batch_.packets[i], ways.next_hop(i));
      else
        forward_otherwise(batch_.packets[i], adjacency);
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

  // From `first` on those before `end` that are complete and fit: how many.
  [[gnu::always_inline]] unsigned forward(unsigned first, unsigned end, const Adjacency& adjacency,
                                          Leaving& leaving) {
    if (adjacency.interface != leaving.interface) {
      transmit(leaving, first);
      leaving = {adjacency.interface, adjacency.port, first, 0};
    }
    IpBatch<Family>& batch = batch_;
    const MacPair macs(adjacency.macs);
    const std::uint32_t fitting = adjacency.straight_mtu;
    std::uint64_t bytes = 0;
    unsigned i = first;
    for (; i < end; ++i) {
      const std::uint32_t length = batch.lengths[i];
      std::byte* const frame = batch.frames[i];
      if (length > fitting) [[unlikely]]
        break;
      macs.write(frame);
      Family::set_hop(*reinterpret_cast<Header*>(frame + sizeof(wire::Ethernet)), batch.hops[i]);
      bytes += length;
    }
    if (i == first) [[unlikely]]
      return 0;
    this->count(adjacency, i - first, bytes);
    leaving.bytes += bytes;
    return i - first;
  }

  // Gives the worker what is ready before `end`.
  [[gnu::always_inline]] void transmit(Leaving& leaving, unsigned end) {
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
  NextHop* without() { return reinterpret_cast<NextHop*>(without_); }

  Worker& worker_;
  const Tables& tables_;
  const InterfaceView& in_;
  const lpm::Lookup<Address>& fib_;
  const OwnAddresses<Address>& own_;
  IpBatch<Family>& batch_;
  alignas(64) std::byte next_hops_[kBurst * sizeof(NextHopId)];
  const Adjacency* adjacencies_[kBurst];
  std::byte without_[kBurst * sizeof(NextHop)];  // of those that have no adjacency
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
