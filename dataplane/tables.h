// All that workers read and never write: FIBs, next hops, adjacencies, interfaces, own addresses.
//
// written by: the control thread (through table_writer.h); read by: workers. Interfaces and the set of own
// addresses are immutable objects behind a pointer that is swapped (release; pairs with the acquires here);
// the old object is freed a grace period later. A worker may keep a pointer that it loaded until it is next
// quiescent.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "dataplane/feature.h"
#include "dataplane/flow_hash.h"
#include "dataplane/next_hop.h"
#include "dataplane/own_addresses.h"
#include "dataplane/policy.h"
#include "dataplane/port_marks.h"
#include "dataplane/tunnel.h"
#include "dataplane/vlan.h"
#include "lpm/lookup.h"
#include "lpm/page_memory.h"
#include "net/ip_address.h"
#include "net/mac.h"
#include "net/strong_id.h"

namespace millrace::dataplane {

inline constexpr std::size_t kMaxInterfaces = std::size_t{1} << 14;
inline constexpr std::size_t kMaxFibs = 16;
inline constexpr std::size_t kMaxNextHops = std::size_t{1} << 20;
inline constexpr std::size_t kMaxAdjacencies = std::size_t{1} << 18;
inline constexpr std::size_t kBucketSpace = std::size_t{1} << 24;  // buckets of all groups, old and new

// A layer-3 interface as workers see it. The port is hardware; several interfaces may share one. What is
// asked for each packet of thousands of tunnels lies in the first line.
struct alignas(64) InterfaceView {
  InterfaceId id;
  PortId port;
  FibId fib;
  std::uint16_t mtu = 1500;  // bytes of IP
  MacAddress mac;
  FeatureMask ingress_features = 0;
  FeatureMask egress_features = 0;
  bool ignores_options = false;       // forwards packets with options that are refused else
  bool host = false;                  // daemons hear what is said on its link
  PortMarks marks;                    // that are believed
  Ipv6Address link_local;             // unspecified where IPv6 is off
  std::vector<MacAddress> more_macs;  // further unicast MACs (VRRP) and joined multicast MACs
  std::shared_ptr<const VlanTable>
      vlans;                             // of a port's own interface: who gets its tagged frames; may be null
  std::shared_ptr<const Tunnel> tunnel;  // what is around packets that leave; null: nothing
  std::shared_ptr<const Policies> policies;  // for the features of that name

  // Whether packets that come by the other one, a tunnel too, and by this one have the same way. Features may
  // ask by which one they came.
  [[nodiscard]] bool treats_as(const InterfaceView& other) const {
    return fib == other.fib && ignores_options == other.ignores_options &&
           (ingress_features | other.ingress_features) == 0;
  }
  [[nodiscard]] bool accepts(const MacAddress& destination) const {
    return destination == mac || destination.is_broadcast() ||
           std::find(more_macs.begin(), more_macs.end(), destination) != more_macs.end();
  }
};

// Where next hops lead to: a worker's copy of the tables' places, so that a loop that writes to packets, of
// which the compiler cannot know that they lie elsewhere, need not read those again and again.
class Paths {
 public:
  Paths(const NextHop* next_hops, const Adjacency* adjacencies, const std::uint32_t* buckets)
      : next_hops_(next_hops), adjacencies_(adjacencies), buckets_(buckets) {}
  [[nodiscard]] NextHop next_hop(NextHopId id) const { return NextHop::load(next_hops_[id.value()]); }
  [[nodiscard]] const Adjacency& adjacency(std::uint32_t index) const { return adjacencies_[index]; }
  [[nodiscard]] std::uint32_t bucket(std::uint32_t index) const {
    return __atomic_load_n(&buckets_[index], __ATOMIC_ACQUIRE);
  }

 private:
  const NextHop* next_hops_;
  const Adjacency* adjacencies_;
  const std::uint32_t* buckets_;
};

class Tables {
 public:
  // Throws std::bad_alloc if the kernel refuses the address space (memory itself arrives with use).
  Tables();

  [[nodiscard]] const InterfaceView* interface(InterfaceId id) const {
    return interfaces_[id.value()].load(std::memory_order_acquire);
  }
  // That of the interface's view; null: it has none.
  [[nodiscard]] const Tunnel* tunnel(InterfaceId id) const {
    return tunnels_[id.value()].load(std::memory_order_acquire);
  }
  template <class Address>
  [[nodiscard]] const lpm::Lookup<Address>& fib(FibId id) const {
    return *fibs_[id.value()].of<Address>()->load(std::memory_order_acquire);
  }
  [[nodiscard]] Paths paths() const {
    return {next_hops_.as<NextHop>(), adjacencies_.as<Adjacency>(), buckets_.as<std::uint32_t>()};
  }
  [[nodiscard]] NextHop next_hop(NextHopId id) const { return paths().next_hop(id); }
  [[nodiscard]] const Adjacency& adjacency(std::uint32_t index) const { return paths().adjacency(index); }
  [[nodiscard]] std::uint32_t bucket(std::uint32_t index) const { return paths().bucket(index); }
  template <class Address>
  [[nodiscard]] const OwnAddresses<Address>& own_addresses() const {
    return *own_addresses_.of<Address>().load(std::memory_order_acquire);
  }
  [[nodiscard]] const InboundSas& inbound_sas() const {
    return *inbound_sas_.load(std::memory_order_acquire);
  }
  [[nodiscard]] FlowHashing flow_hashing() const { return flow_hashing_; }
  // More than stay in a worker's nearest cache.
  [[nodiscard]] bool many_adjacencies() const { return many_adjacencies_.load(std::memory_order_relaxed); }

 private:
  friend class TableWriter;  // dataplane/table_writer.h: the only way to change anything here

  std::array<std::atomic<const InterfaceView*>, kMaxInterfaces> interfaces_{};
  std::array<std::atomic<const Tunnel*>, kMaxInterfaces> tunnels_{};  // theirs, without a look at the view
  // Each FIB's place of its lookup side, which moves when the FIB lays itself out anew. Set at start.
  template <class Address>
  using PublishedFib = const std::atomic<const lpm::Lookup<Address>*>*;
  template <class Address>
  using PublishedAddresses = std::atomic<const OwnAddresses<Address>*>;

  std::array<PerFamily<PublishedFib>, kMaxFibs> fibs_{};
  lpm::PageMemory next_hops_;
  lpm::PageMemory adjacencies_;
  lpm::PageMemory buckets_;
  PerFamily<PublishedAddresses> own_addresses_{&OwnAddresses<Ipv4Address>::none(),
                                               &OwnAddresses<Ipv6Address>::none()};
  std::atomic<const InboundSas*> inbound_sas_{&InboundSas::none()};
  FlowHashing flow_hashing_;  // fixed at start
  std::atomic<bool> many_adjacencies_{false};
};

}  // namespace millrace::dataplane
