// The only way to change what workers read. Used by the control thread alone; it never waits for a worker.
//
// Whatever a change makes unreachable is retired: its slot or memory comes back a grace period later.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "dataplane/run_pool.h"
#include "dataplane/tables.h"
#include "lpm/reclaimer.h"
#include "lpm/table.h"

namespace millrace::dataplane {

// Numbers below a limit, given out and taken back. `used_first`: those that came back go out again first
// (small tables); else fresh ones do, so that what is counted by number is not soon mixed up.
class IdPool {
 public:
  enum class Order : std::uint8_t { used_first, fresh_first };
  explicit IdPool(std::uint32_t limit, std::uint32_t first = 0, Order order = Order::used_first)
      : limit_(limit), next_(first), first_(first), order_(order) {}
  std::optional<std::uint32_t> take() {
    if (next_ != limit_ && (free_.empty() || order_ == Order::fresh_first)) return next_++;
    if (free_.empty()) return std::nullopt;
    const std::uint32_t id = free_.back();
    free_.pop_back();
    return id;
  }
  void give_back(std::uint32_t id) { free_.push_back(id); }
  [[nodiscard]] std::size_t used() const { return next_ - first_ - free_.size(); }

 private:
  std::uint32_t limit_;
  std::uint32_t next_;
  std::uint32_t first_;
  Order order_;
  std::vector<std::uint32_t> free_;
};

class TableWriter {
 public:
  // One FIB (FibId 0) is there from the start. Throws std::bad_alloc without address space.
  TableWriter(Tables& tables, lpm::Reclaimer& reclaimer, lpm::TableLimits limits, FlowHashing flow_hashing);
  ~TableWriter();  // workers are gone by then

  void set_time(std::uint64_t now_ns) { now_ns_ = now_ns; }

  [[nodiscard]] std::uint64_t now_ns() const { return now_ns_; }

  // Its changes are visible to workers at once; they take now_ns().
  template <class Prefix = Ipv4Prefix>
  [[nodiscard]] lpm::Table<Prefix>& fib(FibId id) {
    return *fibs_[id.value()].of<typename Prefix::Address>();
  }
  // The work that FIBs put off, a slice of it (lpm/table.h); call it from a timer.
  void maintain();

  // An id starts as "no route". Release it after the last FIB entry that names it is gone.
  std::optional<NextHopId> allocate_next_hop();
  void set_next_hop(NextHopId id, NextHop next_hop);
  void release_next_hop(NextHopId id);
  [[nodiscard]] std::size_t next_hops_used() const { return next_hop_ids_.used(); }

  // Fills a free slot; nothing names it yet.
  std::optional<AdjacencyId> add_adjacency(const Adjacency& adjacency);
  [[nodiscard]] const Adjacency& adjacency(AdjacencyId id) const { return tables_.adjacency(id.value()); }
  void release_adjacency(AdjacencyId id);
  [[nodiscard]] std::size_t adjacencies_used() const { return adjacency_ids_.used(); }
  // A place for counters that outlives slots.
  std::optional<std::uint32_t> allocate_counter() { return counter_ids_.take(); }
  void release_counter(std::uint32_t id);

  // Fills a free run with a group's buckets, kMinBuckets to kMaxBuckets and a power of two; nothing names it
  // yet. Returns the NextHop to name it by.
  std::optional<NextHop> add_group(std::span<const AdjacencyId> buckets);
  [[nodiscard]] AdjacencyId bucket(std::uint32_t index) const { return AdjacencyId(tables_.bucket(index)); }
  void set_bucket(std::uint32_t index, AdjacencyId adjacency);  // in place
  void release_group(NextHop group);
  [[nodiscard]] std::size_t buckets_used() const { return bucket_runs_.used(); }

  void set_interface(InterfaceId id, std::unique_ptr<const InterfaceView> view);  // nullptr: gone
  template <class Address>
  void set_own_addresses(std::unique_ptr<const OwnAddresses<Address>> addresses);

  void set_inbound_sas(std::unique_ptr<const InboundSas> sas);

  template <class T>
  void retire_object(const T* object) {
    if (object != nullptr) reclaimer_.retire_object(object, now_ns_);
  }

 private:
  void retire_id(IdPool& pool, std::uint32_t id);

  Tables& tables_;
  lpm::Reclaimer& reclaimer_;
  std::uint64_t now_ns_ = 0;
  template <class Address>
  using Fib = std::unique_ptr<lpm::Table<IpPrefix<Address>>>;
  std::array<PerFamily<Fib>, kMaxFibs> fibs_;
  IdPool next_hop_ids_{kMaxNextHops, 1};  // 0 is kNoRoute
  IdPool adjacency_ids_{kMaxAdjacencies};
  IdPool counter_ids_{kMaxAdjacencies, 0, IdPool::Order::fresh_first};
  RunPool bucket_runs_{kBucketSpace, kMinBuckets, kMaxBuckets};
};

}  // namespace millrace::dataplane
