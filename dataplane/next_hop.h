// What a FIB entry names, and what a packet finally leaves by.
//
//   FIB entry -> NextHopId -> NextHop (8 bytes) --- forward ---------> Adjacency (64 bytes)
//                                               --- group -> bucket -> Adjacency
//                                               --- local, glean, drop: no adjacency
//
//   NextHop, 64 bits:  | mask 16 | - 8 | kind 8 | index 32 |
//
// written by: the control thread; read by: workers. A NextHop changes in place by one aligned store, so that
// a neighbour or link event touches these and never prefixes. What it names never changes while a worker can
// see it: a new Adjacency is filled in a free slot, a group's new buckets in a free run, the store moves
// readers to them (release; pairs with the acquire in load()), and the old ones are used again a grace period
// later (lpm/reclaimer.h). A worker sees a group's old members or its new ones, never some of each. (The
// exception: a single bucket may change in place, and all of them if no run is free.)
//
// A group's flows are spread over a run of 256 to 1024 buckets, a power of two, chosen so that the share of
// each member is near its weight (controlplane/spread.h). The word carries the length: `mask` is that less 1.
#pragma once

#include <array>
#include <cstdint>

#include "dataplane/drop_reason.h"
#include "net/ip_address.h"
#include "net/mac.h"
#include "net/strong_id.h"
#include "net/vlan.h"
#include "net/wire.h"

namespace millrace::dataplane {

class NextHop {
 public:
  enum class Kind : std::uint8_t {
    drop,     // index: a DropReason. All zero bits is this kind: an unused id is "no route" by `no_route()`
    forward,  // index: an adjacency
    group,    // index: the first of its buckets, each an adjacency
    local,    // one of our own addresses
    glean,    // a connected subnet; index: its interface. The destination itself is the neighbour to resolve
  };

  constexpr NextHop() : NextHop(drop(DropReason::no_route)) {}
  static constexpr NextHop drop(DropReason reason) {
    return {Kind::drop, static_cast<std::uint32_t>(reason)};
  }
  static constexpr NextHop forward(AdjacencyId adjacency) { return {Kind::forward, adjacency.value()}; }
  static constexpr NextHop group(std::uint32_t first_bucket, std::uint32_t buckets) {
    NextHop word(Kind::group, first_bucket);
    word.bits_ |= static_cast<std::uint64_t>(buckets - 1) << kMaskShift;
    return word;
  }
  static constexpr NextHop local() { return {Kind::local, 0}; }
  static constexpr NextHop glean(InterfaceId interface) { return {Kind::glean, interface.value()}; }

  [[nodiscard]] constexpr Kind kind() const { return static_cast<Kind>(bits_ >> 32); }
  [[nodiscard]] constexpr std::uint32_t index() const { return static_cast<std::uint32_t>(bits_); }
  // Of a group: how many buckets it has, and the one of a flow.
  [[nodiscard]] constexpr std::uint32_t buckets() const { return mask() + 1; }
  [[nodiscard]] constexpr std::uint32_t bucket(std::uint32_t flow_hash) const {
    return index() + (flow_hash & mask());
  }
  friend constexpr bool operator==(NextHop, NextHop) = default;

  static NextHop load(const NextHop& slot) {
    NextHop value;
    value.bits_ = __atomic_load_n(&slot.bits_, __ATOMIC_ACQUIRE);
    return value;
  }
  static void store(NextHop& slot, NextHop value) {
    __atomic_store_n(&slot.bits_, value.bits_, __ATOMIC_RELEASE);
  }

 private:
  static constexpr unsigned kMaskShift = 48;
  constexpr NextHop(Kind kind, std::uint32_t index)
      : bits_((static_cast<std::uint64_t>(kind) << 32) | index) {}
  [[nodiscard]] constexpr std::uint32_t mask() const {
    return static_cast<std::uint32_t>(bits_ >> kMaskShift);
  }
  std::uint64_t bits_;
};
static_assert(sizeof(NextHop) == 8);

inline constexpr std::uint32_t kMinBuckets = 256;  // of a group
inline constexpr std::uint32_t kMaxBuckets = 1024;
static_assert(NextHop::group(7 * kMaxBuckets, kMaxBuckets).bucket(~0U) == 8 * kMaxBuckets - 1);
static_assert(NextHop::group(kMinBuckets, kMinBuckets).kind() == NextHop::Kind::group);

// Through which interface a frame leaves, and by which port: one word, so that a burst's can be compared.
struct Egress {
  InterfaceId interface;
  PortId port;

  friend bool operator==(const Egress&, const Egress&) = default;
};
static_assert(sizeof(Egress) == sizeof(std::uint32_t));

struct alignas(64) Adjacency {
  enum Flags : std::uint8_t {
    kComplete = 1,        // the MACs are known; without them packets punt to be resolved
    kEgressFeatures = 2,  // the interface's egress mask is not empty
    kTagged = 4,          // `tags` says more than untagged
    kPortTags = 8,        // the port puts the tag in
    kTunnel = 16,         // the interface's tunnel is around what leaves
  };
  IpAddress address;  // whose MAC it is
  VlanTags tags;
  std::array<MacAddress, 2> macs{};  // destination, source: as they lie in a frame
  std::uint32_t counter = 0;         // index of AdjacencyCounters: stays when the slot changes
  std::uint16_t mtu = 0;             // bytes of IP
  std::uint16_t straight_mtu = 0;  // the MTU, where that alone may keep a packet from going straight; else 0
  Egress egress;
  std::uint8_t flags = 0;

  friend bool operator==(const Adjacency&, const Adjacency&) = default;
  [[nodiscard]] bool complete() const { return (flags & kComplete) != 0; }
  // Once all else is said.
  void set_straight_mtu() { straight_mtu = flags == kComplete ? mtu : 0; }
};
static_assert(sizeof(Adjacency) == 64, "one cache line");

}  // namespace millrace::dataplane
