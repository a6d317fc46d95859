// What the control thread sends: frames on an interface, or packets by the FIB. Control thread only.
//
// A port with a queue to spare has one for us; else the frame goes through a ring (single producer: us;
// single consumer: the worker that owns the port's queue). A frame that cannot go is counted, never waited
// for.
#pragma once

#include <rte_mbuf.h>

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>

#include "controlplane/interfaces.h"
#include "controlplane/next_hops.h"
#include "dataplane/counters.h"
#include "dataplane/fragment.h"
#include "dataplane/tables.h"
#include "dataplane/worker.h"

namespace millrace::controlplane {

class Output {
 public:
  struct Counters {
    std::uint64_t sent = 0;         // frames given to a port or a worker
    std::uint64_t sent_direct = 0;  // of these, put into our own queue: no worker counts them
    std::uint64_t lost = 0;         // queue or ring full, no buffer, or the port is gone
    std::uint64_t no_route = 0;     // packets of ours without a way out
  };
  struct Hooks {
    std::function<void(NeighborKey, rte_mbuf*)> unresolved;
    std::function<void(rte_mbuf*, InterfaceId egress, dataplane::DropReason)>
        drop;  // a packet that we forwarded
    std::function<void(rte_mbuf*, const Interface& link)>
        too_long;  // of ours, for the tunnel that protects it; its meta has the MTU. Stays the caller's
  };

  Output(const dataplane::Tables& tables, const Interfaces& interfaces)
      : tables_(tables), interfaces_(interfaces) {}
  void set_pool(rte_mempool* pool) { pool_ = pool; }
  void set_hooks(Hooks hooks) { hooks_ = std::move(hooks); }
  void set_path(PortId port, dataplane::TxPath path) { paths_[port.value()] = path; }
  void set_worker_rings(std::vector<rte_ring*> rings) { worker_rings_ = std::move(rings); }

  // A fresh buffer with `bytes` appended behind room for headers; nullptr (counted) if there is none.
  rte_mbuf* allocate(std::uint16_t bytes);
  // The same with a copy of `bytes`, in several segments if they do not fit into one.
  rte_mbuf* make(std::span<const std::byte> bytes);
  // A complete Ethernet frame, if the interface's policies let it out. Takes the buffer.
  void send_frame(rte_mbuf* m, const Interface& egress);
  // ESP to us, whose worker finds its SA.
  void hand_to_ipsec(rte_mbuf* m, const Interface& ingress);
  // A complete packet of ours with room for an Ethernet header before it: looked up in the interface's FIB,
  // fragmented if it must be, queued for resolution if its next hop is not known. Link-local destinations of
  // IPv6 are those on the interface's link. Takes the buffer.
  void send_packet(rte_mbuf* m, const Interface& on);
  // The same past the FIB: to a group or a neighbour on the link, whose MAC may be given.
  void send_on_link(rte_mbuf* m, const Interface& on, Ipv6Address to, std::optional<MacAddress> mac = {});
  // Behind resolution, in either family: the neighbour's MAC is known. What a worker punted (not
  // meta.from_control) was not forwarded yet: its TTL or hop limit goes down here.
  void send_packet_to(rte_mbuf* m, const Interface& egress, const MacAddress& to);

  [[nodiscard]] const Counters& counters() const { return counters_; }
  // Frames in our own queues, by interface: what no worker counts.
  [[nodiscard]] const dataplane::InterfaceCounters& interface_counters(InterfaceId id) const {
    return direct_[id.value()];
  }

 private:
  template <class Family>  // dataplane/ip_family.h
  void send_by_fib(rte_mbuf* m, FibId fib, typename Family::Address destination);
  void send_over(rte_mbuf* m, const dataplane::Adjacency& adjacency);
  bool may_leave(rte_mbuf* m, const Interface& egress);
  void protect(rte_mbuf* m, const Interface& tunnel, const Interface& link);
  void leave(rte_mbuf* m, const Interface& egress);
  void hand_over(rte_mbuf* m, InterfaceId lost_at, const dataplane::PacketMeta& what, rte_ring* ring);
  [[nodiscard]] dataplane::FragmentResult fragment(rte_mbuf* m, std::uint16_t mtu,
                                                   rte_mbuf* (&out)[dataplane::kMaxFragments]);
  void lose(rte_mbuf* m, InterfaceId egress, dataplane::DropReason reason);

  const dataplane::Tables& tables_;
  const Interfaces& interfaces_;
  rte_mempool* pool_ = nullptr;
  Hooks hooks_;
  std::array<dataplane::TxPath, dataplane::kMaxPorts> paths_{};
  std::vector<rte_ring*> worker_rings_;  // [worker]
  std::vector<dataplane::InterfaceCounters> direct_{dataplane::kMaxInterfaces};
  std::uint32_t identification_ = 0;  // of IPv6 fragments
  Counters counters_;
};

}  // namespace millrace::controlplane
