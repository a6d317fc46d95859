// A worker: one pinned core that polls its receive queues and runs every packet to completion.
//
//   step(), one loop:  rx burst -> receive() -> ipv4_burst(), ipv6_burst() -> transmit() ... flush
//                      (quiescent once)
//
// It shares nothing that it writes but its punt rings (one producer: it) and the counters that others read.
// It does not allocate from the heap, lock, log or throw. System calls: the port drivers' own, the nap of
// idle(), and the doorbell.
#pragma once

#include <rte_mbuf.h>
#include <rte_ring.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <span>
#include <vector>

#include "dataplane/burst.h"
#include "dataplane/counters.h"
#include "dataplane/feature.h"
#include "dataplane/ipsec.h"
#include "dataplane/punt.h"
#include "dataplane/straight.h"
#include "dataplane/tables.h"
#include "lpm/page_memory.h"
#include "net/strong_id.h"

struct rte_rcu_qsbr;

namespace millrace::dataplane {

inline constexpr std::size_t kMaxPorts = 64;

// How frames of one worker leave by one port: its own queue, or a ring to the worker that owns one.
struct TxPath {
  enum class Kind : std::uint8_t { none, queue, handoff };
  Kind kind = Kind::none;
  std::uint16_t max_segments = 0;  // of a buffer that goes straight into the queue; 0: none does
  std::uint16_t queue = 0;
  rte_ring* ring = nullptr;  // handoff: single producer (this worker), single consumer (the owner)
};

// What a worker polls and where it sends: immutable, swapped by the control thread (release; pairs with the
// acquire in step()), freed a grace period later.
struct WorkerPlan {
  struct RxQueue {
    PortId port;
    std::uint16_t queue;
    InterfaceId interface;  // who gets untagged frames
  };
  std::vector<RxQueue> rx;
  std::array<TxPath, kMaxPorts> tx{};
  std::vector<rte_ring*> handoff_in;   // from the control thread and other workers
  std::vector<rte_ring*> handoff_out;  // [worker]: single producer (this worker); null: its own
};

// What a worker needs to start. All of it outlives the worker.
struct WorkerSetup {
  unsigned id = 0;
  const Tables* tables = nullptr;
  const FeatureTable* features = nullptr;
  rte_rcu_qsbr* qsbr = nullptr;
  Doorbell* doorbell = nullptr;
  PuntRings punt_rings{};
  std::uint64_t tsc_hz = 1;
  bool adaptive_idle = true;
  std::uint64_t tx_wait = 0;  // TSC cycles that frames may wait for a burst of a port to fill
  lpm::Isa isa = lpm::best_isa();
  Ipsec* ipsec = nullptr;  // null: the processor cannot, and there are no tunnels
};

class Worker {
 public:
  explicit Worker(const WorkerSetup& setup);
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // The control side.
  [[nodiscard]] bool has_memory() const {
    return interface_counters_ && drop_counters_ && adjacency_counters_;
  }
  [[nodiscard]] const WorkerPlan* swap_plan(const WorkerPlan* plan) {
    return plan_.exchange(plan, std::memory_order_acq_rel);
  }
  void request_stop() { stop_.store(true, std::memory_order_relaxed); }
  [[nodiscard]] const WorkerCounters& counters() const { return counters_; }
  [[nodiscard]] const InterfaceCounters& interface_counters(InterfaceId id) const {
    return interface_counters_.as<InterfaceCounters>()[id.value()];
  }
  [[nodiscard]] const DropCounters& drop_counters(InterfaceId id) const {
    return drop_counters_.as<DropCounters>()[id.value()];
  }
  [[nodiscard]] const AdjacencyCounters& adjacency_counters(std::uint32_t index) const {
    return adjacency_counters_.as<AdjacencyCounters>()[index];
  }

  // The worker side. run() registers nothing: the caller made it a reader of the tables (online).
  void run();  // until request_stop(); nothing waits in transmit buffers then
  // One loop, that begins at `now_tsc`; true if it found a packet.
  bool step(std::uint64_t now_tsc);

  // For packet steps.
  [[nodiscard]] unsigned id() const { return setup_.id; }
  [[nodiscard]] Ipsec& ipsec() { return *setup_.ipsec; }
  [[nodiscard]] bool takes_from_ipsec() const { return setup_.ipsec != nullptr && setup_.ipsec->takes(); }
  [[nodiscard]] const Tables& tables() const { return *setup_.tables; }
  [[nodiscard]] const FeatureTable& features() const { return *setup_.features; }
  [[nodiscard]] FindStraight find_straight() const { return find_straight_; }
  [[nodiscard]] InterfaceCounters& count(InterfaceId id) {
    return interface_counters_.as<InterfaceCounters>()[id.value()];
  }
  [[nodiscard]] Counter& count_drop(InterfaceId id, DropReason reason) {
    return drop_counters_.as<DropCounters>()[id.value()][static_cast<std::size_t>(reason)];
  }
  [[nodiscard]] AdjacencyCounters& count_adjacency(std::uint32_t index) {
    return adjacency_counters_.as<AdjacencyCounters>()[index];
  }
  [[nodiscard]] WorkerCounters& count() { return counters_; }
  // By which interface a packet of a burst came. Bursts of several tunnels go together, with the view of one
  // of them: then it stands in the packets' meta.
  [[nodiscard]] InterfaceId ingress_of(const InterfaceView& in, rte_mbuf* m) const {
    return ingress_in_meta_ ? meta(m).ingress : in.id;
  }
  void set_ingress_in_meta(bool in_meta) { ingress_in_meta_ = in_meta; }
  // Each ends the packet's way here: it is counted and no longer the caller's.
  void drop(rte_mbuf* m, InterfaceId ingress, DropReason reason);
  void punt(rte_mbuf* m, InterfaceId ingress, PuntClass to) {
    punt(m, ingress, to, [](PacketMeta&) {});
  }
  // `say` puts into the meta what the class needs: only where the packet goes on, as it is a line of memory
  // more.
  template <class Say>
  void punt(rte_mbuf* m, InterfaceId ingress, PuntClass to, const Say& say) {
    if (!in_rate(ingress, to)) return refuse(m, ingress, to, DropReason::punt_policed);
    say(meta(m));
    if (!hand_over(m, ingress, to)) return refuse(m, ingress, to, DropReason::punt_queue_full);
    count(ingress).punted.add(1);
  }
  void transmit(rte_mbuf* m, const Adjacency& adjacency) {
    put(m, adjacency.egress.port, adjacency.egress.interface);
  }
  // The same for several, of one segment each, that leave by one interface. `bytes` is the sum of their
  // lengths.
  void transmit(rte_mbuf** packets, unsigned count, PortId port, InterfaceId egress, std::uint64_t bytes) {
    if (current_->tx[port.value()].max_segments == 0) [[unlikely]] {
      for (unsigned i = 0; i < count; ++i) put(packets[i], port, egress);
      return;
    }
    enqueue(packets, count, port, egress, bytes);
  }
  // The end of a step for `packets`: the time since the last one was the step's.
  void end_step(WorkerStep step, unsigned packets) {
    if (timed_) [[unlikely]]
      time_step(step, packets);
  }
  // To another worker, which goes on with it.
  void hand_to(unsigned other, rte_mbuf* m, HandOff what, InterfaceId ingress, InterfaceId egress);
  // Frees at the end of the burst.
  void free_later(rte_mbuf* m);

 private:
  // Frames in a row that leave by one interface. Counted here: a frame that left is the driver's.
  struct TxRun {
    InterfaceId egress = kNoInterface;
    unsigned frames = 0;
    std::uint64_t bytes = 0;
  };
  struct alignas(64) TxBuffer {
    unsigned count = 0;
    unsigned run_count = 0;
    std::array<rte_mbuf*, kBurst> frames{};
    std::array<TxRun, kBurst> runs{};
  };

  void time_step(WorkerStep step, unsigned packets);
  bool poll(const WorkerPlan::RxQueue& rx);
  bool drain_handoff(rte_ring* ring);
  void take_handoff(rte_mbuf* m);
  void go_on_with_ipsec() {
    if (setup_.ipsec != nullptr && setup_.ipsec->waits()) [[unlikely]]
      setup_.ipsec->go_on(*this);
  }
  // Into the port's buffer, which leaves when it is full, and at the end of the first step that began
  // `tx_wait` or more after the one that frames wait from. What waits does so under the plan that it came
  // under, and the worker is not quiescent meanwhile.
  void put(rte_mbuf* m, PortId port, InterfaceId egress) {
    if (m->nb_segs > current_->tx[port.value()].max_segments) [[unlikely]]
      return put_otherwise(m, port, egress);
    enqueue(&m, 1, port, egress, m->pkt_len);
  }
  void enqueue(rte_mbuf** frames, unsigned count, PortId port, InterfaceId egress, std::uint64_t bytes) {
    TxBuffer& buffer = tx_[port.value()];
    if (count == kBurst && buffer.count == 0) {  // a whole burst waits for no other, and is not copied
      const TxRun run{egress, count, bytes};
      return send(port, {frames, count}, {&run, 1});
    }
    if (buffer.count + count > kBurst) flush(port);
    dirty_ports_ |= std::uint64_t{1} << port.value();
    std::copy_n(frames, count, buffer.frames.begin() + buffer.count);
    buffer.count += count;
    if (buffer.run_count == 0 || buffer.runs[buffer.run_count - 1].egress != egress)
      buffer.runs[buffer.run_count++] = {egress, 0, 0};
    TxRun& run = buffer.runs[buffer.run_count - 1];
    run.frames += count;
    run.bytes += bytes;
    if (buffer.count == kBurst) flush(port);
  }
  // What the other one needs to know beside `what` stands in the meta.
  void pass_on(rte_mbuf* m, rte_ring* ring, HandOff what, InterfaceId lost_at);
  void put_otherwise(rte_mbuf* m, PortId port, InterfaceId egress);
  void settle(const TxRun& run, std::span<rte_mbuf*> unsent);
  void send(PortId port, std::span<rte_mbuf*> frames, std::span<const TxRun> runs);
  void flush(PortId port);
  void flush_all();
  void take_plan();
  void flush_or_wait();
  void free_now();
  bool in_rate(InterfaceId ingress, PuntClass to) {
    return policers_[static_cast<std::size_t>(to)].take(ingress, now_tsc_);
  }
  bool hand_over(rte_mbuf* m, InterfaceId ingress, PuntClass to);
  void refuse(rte_mbuf* m, InterfaceId ingress, PuntClass to, DropReason reason);
  void idle();

  WorkerSetup setup_;
  FindStraight find_straight_;
  std::atomic<const WorkerPlan*> plan_{nullptr};
  std::atomic<bool> stop_{false};

  // written by: this worker alone, from here on.
  alignas(64) const WorkerPlan* current_ = nullptr;
  std::uint64_t now_tsc_ = 0;   // when the loop began
  bool timed_ = false;          // the loop's steps are
  std::uint64_t step_tsc_ = 0;  // when the step began, of a timed loop
  unsigned idle_loops_ = 0;
  bool ingress_in_meta_ = false;
  bool punted_ = false;           // since the doorbell rang
  std::uint64_t ring_again_ = 0;  // TSC; not before
  unsigned free_count_ = 0;
  std::array<rte_mbuf*, 64> free_{};
  std::array<ClassPolicer, kPuntClassCount> policers_;
  std::uint64_t dirty_ports_ = 0;  // bit p: the buffer of port p is not empty
  bool waiting_ = false;           // frames wait in buffers
  std::uint64_t wait_until_ = 0;   // TSC; while they do
  std::array<TxBuffer, kMaxPorts> tx_;
  WorkerCounters counters_;
  lpm::PageMemory interface_counters_;
  lpm::PageMemory drop_counters_;
  lpm::PageMemory adjacency_counters_;
};
static_assert(kMaxPorts <= 64, "one bit a port in dirty_ports_");

// The packet steps (ethernet.cc, ip_forward.cc). `frames`, at least one, came on `in`, or on an interface
// that has gone; each is counted, and ends transmitted, punted or dropped.
void receive(Worker& worker, const InterfaceView& in, rte_mbuf** frames, unsigned count);
// The same of frames that are counted.
void receive_counted(Worker& worker, const InterfaceView& in, rte_mbuf** frames, unsigned count);
void receive_for_nobody(Worker& worker, InterfaceId id, rte_mbuf** frames, unsigned count);
// `straight` has a bit for each place of the batch that is set already: what find_straight() says of it is
// true. The others hold but the packet.
void ipv4_burst(Worker& worker, const InterfaceView& in, IpBatch<Ipv4Family>& packets, unsigned count,
                std::uint64_t straight);
void ipv6_burst(Worker& worker, const InterfaceView& in, IpBatch<Ipv6Family>& packets, unsigned count,
                std::uint64_t straight);

}  // namespace millrace::dataplane
