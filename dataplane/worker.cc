#include "dataplane/worker.h"

#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_rcu_qsbr.h>
#include <time.h>

namespace millrace::dataplane {
namespace {

constexpr std::uint64_t kPuntRates[] = {
#define PUNT_CLASS(name, text, rate, ring) rate,
#include "dataplane/punt.def"
#undef PUNT_CLASS
};

// Idle loops before the first nap (some ten microseconds), and the longest nap.
constexpr unsigned kPatience = 200;
constexpr long kNapNs = 50'000;

// Of the doorbell, at most: a flood that is policed lets packets through one by one, and to wake the control
// thread for each takes as long as 50 packets.
constexpr std::uint64_t kRingsPerSecond = 10'000;

}  // namespace

Worker::Worker(const WorkerSetup& setup)
    : setup_(setup),
      find_straight_(dataplane::find_straight(setup.isa)),
      interface_counters_(kMaxInterfaces * sizeof(InterfaceCounters), lpm::Pages::normal),
      drop_counters_(kMaxInterfaces * sizeof(DropCounters), lpm::Pages::normal),
      adjacency_counters_(kMaxAdjacencies * sizeof(AdjacencyCounters), lpm::Pages::normal) {
  for (std::size_t i = 0; i < kPuntClassCount; ++i) policers_[i] = ClassPolicer(kPuntRates[i], setup.tsc_hz);
}

void Worker::run() {
  std::uint64_t before = rte_rdtsc();
  while (!stop_.load(std::memory_order_relaxed)) {
    const bool busy = step(before);
    if (!busy && !waiting_ && setup_.adaptive_idle && ++idle_loops_ >= kPatience) idle();
    const std::uint64_t after = rte_rdtsc();
    (busy ? counters_.busy_cycles : counters_.idle_cycles).add(after - before);
    before = after;
    if (busy) idle_loops_ = 0;
  }
  flush_all();
  free_now();
}

bool Worker::step(std::uint64_t now_tsc) {
  now_tsc_ = step_tsc_ = now_tsc;
  timed_ = counters_.loops.get() % kLoopsPerSample == 0;
  take_plan();
  bool busy = false;
  if (current_ != nullptr) {
    for (const auto& rx : current_->rx) busy |= poll(rx);
    for (rte_ring* ring : current_->handoff_in) busy |= drain_handoff(ring);
    flush_or_wait();
  }
  free_now();
  if (punted_ && now_tsc_ >= ring_again_) {
    punted_ = false;
    ring_again_ = now_tsc_ + setup_.tsc_hz / kRingsPerSecond;
    setup_.doorbell->ring();
  }
  counters_.loops.add(1);
  if (busy) counters_.busy_loops.add(1);
  if (!waiting_) rte_rcu_qsbr_quiescent(setup_.qsbr, setup_.id);
  return busy;
}

// What waits leaves by the plan that it waits under: that one lives until the worker is quiescent.
void Worker::take_plan() {
  const WorkerPlan* plan = plan_.load(std::memory_order_acquire);
  if (plan == current_) [[likely]]
    return;
  flush_all();
  current_ = plan;
}

void Worker::flush_or_wait() {
  if (!waiting_) wait_until_ = now_tsc_ + setup_.tx_wait;
  waiting_ = dirty_ports_ != 0 && now_tsc_ < wait_until_;
  if (!waiting_) flush_all();
}

void Worker::free_now() {
  if (free_count_ == 0) return;
  rte_pktmbuf_free_bulk(free_.data(), free_count_);
  free_count_ = 0;
}

// Sleeps while nothing arrives. Offline, so that no grace period waits for a sleeper.
void Worker::idle() {
  const timespec nap{0, kNapNs};
  rte_rcu_qsbr_thread_offline(setup_.qsbr, setup_.id);
  clock_nanosleep(CLOCK_MONOTONIC, 0, &nap, nullptr);
  rte_rcu_qsbr_thread_online(setup_.qsbr, setup_.id);
  counters_.naps.add(1);
}

void Worker::time_step(WorkerStep step, unsigned packets) {
  const std::uint64_t now = rte_rdtsc();
  StepCounters& counters = counters_.steps[static_cast<std::size_t>(step)];
  counters.cycles.add(now - step_tsc_);
  counters.packets.add(packets);
  step_tsc_ = now;
}

bool Worker::poll(const WorkerPlan::RxQueue& rx) {
  std::array<rte_mbuf*, kBurst> frames;
  const unsigned count = rte_eth_rx_burst(rx.port.value(), rx.queue, frames.data(), kBurst);
  if (count == 0) {
    if (timed_) step_tsc_ = rte_rdtsc();
    return false;
  }
  counters_.rx_bursts[31U - static_cast<unsigned>(__builtin_clz(count))].add(1);
  end_step(WorkerStep::receive, count);
  if (const InterfaceView* in = tables().interface(rx.interface)) [[likely]] {
    receive(*this, *in, frames.data(), count);
  } else {
    receive_for_nobody(*this, rx.interface, frames.data(), count);
  }
  go_on_with_ipsec();
  return true;
}

bool Worker::drain_handoff(rte_ring* ring) {
  std::array<void*, kBurst> frames;
  const unsigned count = rte_ring_sc_dequeue_burst(ring, frames.data(), kBurst, nullptr);
  for (unsigned i = 0; i < count; ++i) take_handoff(static_cast<rte_mbuf*>(frames[i]));
  go_on_with_ipsec();
  return count != 0;
}

// A frame that is complete (made by the control thread, or rewritten by a worker without a queue of its own
// there), or a packet of an SA of ours. Interfaces may have gone while it waited, and another port have got
// its number.
void Worker::take_handoff(rte_mbuf* m) {
  const PacketMeta what = meta(m);
  if (what.from_control) counters_.originated.add(1);
  const auto view_of = [this](InterfaceId id) {
    return id == kNoInterface ? nullptr : tables().interface(id);
  };
  if (what.hand_off == HandOff::take) {
    const InterfaceView* in = view_of(what.ingress);
    if (in == nullptr) return drop(m, what.ingress, DropReason::interface_gone);
    if (!ipsec().take(*this, *in, m)) drop(m, in->id, DropReason::esp_unknown_sa);
    return;
  }
  const InterfaceView* out = tables().interface(what.egress);
  if (what.hand_off == HandOff::send) {
    if (out == nullptr || out->port != what.out_port) return drop(m, what.egress, DropReason::tx_gone);
    return put(m, what.out_port, what.egress);
  }
  if (out == nullptr || !out->tunnel) return drop(m, what.egress, DropReason::tx_gone);
  const InterfaceView* in = view_of(what.ingress);
  ipsec().protect(*this, in != nullptr ? *in : *out, what.egress, m);
}

void Worker::hand_to(unsigned other, rte_mbuf* m, HandOff what, InterfaceId ingress, InterfaceId egress) {
  meta(m).ingress = ingress;
  meta(m).egress = egress;
  pass_on(m, current_->handoff_out[other], what, ingress);
}

void Worker::pass_on(rte_mbuf* m, rte_ring* ring, HandOff what, InterfaceId lost_at) {
  meta(m).hand_off = what;
  meta(m).from_control = false;
  if (rte_ring_sp_enqueue(ring, m) != 0) drop(m, lost_at, DropReason::handoff_full);
}

void Worker::free_later(rte_mbuf* m) {
  free_[free_count_++] = m;
  if (free_count_ == free_.size()) free_now();
}

// True if the control thread will see the packet; it is still the caller's if not.
bool Worker::hand_over(rte_mbuf* m, InterfaceId ingress, PuntClass to) {
  meta(m).ingress = ingress;
  if (rte_ring_sp_enqueue(setup_.punt_rings[static_cast<std::size_t>(to)], m) != 0) return false;
  punted_ = true;
  return true;
}

void Worker::drop(rte_mbuf* m, InterfaceId ingress, DropReason reason) {
  count_drop(ingress, reason).add(1);
  if (has_icmp_error(reason)) {
    // A flood of packets whose hops end here holds back none of the other errors (PMTU, no route).
    const PuntClass to = reason == DropReason::ttl_expired ? PuntClass::expired : PuntClass::error;
    if (in_rate(ingress, to)) {
      meta(m).reason = reason;
      if (hand_over(m, ingress, to)) return;
    }
    counters_.policed[static_cast<std::size_t>(to)].add(1);
  }
  free_later(m);
}

// For a packet of a class that is over its rate, or whose ring is full.
void Worker::refuse(rte_mbuf* m, InterfaceId ingress, PuntClass to, DropReason reason) {
  counters_.policed[static_cast<std::size_t>(to)].add(1);
  drop(m, ingress, reason);
}

// Through another worker's queue, or joined first where the port takes no chains.
void Worker::put_otherwise(rte_mbuf* m, PortId port, InterfaceId egress) {
  const TxPath& path = current_->tx[port.value()];
  if (path.kind == TxPath::Kind::none) return drop(m, egress, DropReason::tx_gone);
  if (path.kind == TxPath::Kind::handoff) {
    meta(m).out_port = port;
    meta(m).egress = egress;
    return pass_on(m, path.ring, HandOff::send, egress);
  }
  if (rte_pktmbuf_linearize(m) != 0) return drop(m, egress, DropReason::tx_segments);
  enqueue(&m, 1, port, egress, m->pkt_len);
}

// Counts what left of a run, and drops the others.
void Worker::settle(const TxRun& run, std::span<rte_mbuf*> unsent) {
  std::uint64_t bytes = run.bytes;
  for (rte_mbuf* m : unsent) bytes -= m->pkt_len;
  count(run.egress).tx_packets.add(run.frames - unsent.size());
  count(run.egress).tx_bytes.add(bytes);
  for (rte_mbuf* m : unsent) drop(m, run.egress, DropReason::tx_queue_full);
}

void Worker::send(PortId port, std::span<rte_mbuf*> frames, std::span<const TxRun> runs) {
  end_step(WorkerStep::forward, 0);  // which may go on behind this
  const unsigned sent = rte_eth_tx_burst(port.value(), current_->tx[port.value()].queue, frames.data(),
                                         static_cast<std::uint16_t>(frames.size()));
  unsigned first = 0;
  for (const TxRun& run : runs) {
    const unsigned left = std::clamp(sent, first, first + run.frames) - first;
    settle(run, frames.subspan(first + left, run.frames - left));
    first += run.frames;
  }
  end_step(WorkerStep::transmit, static_cast<unsigned>(frames.size()));
}

void Worker::flush(PortId port) {
  TxBuffer& buffer = tx_[port.value()];
  dirty_ports_ &= ~(std::uint64_t{1} << port.value());
  send(port, std::span(buffer.frames).first(buffer.count), std::span(buffer.runs).first(buffer.run_count));
  buffer.count = buffer.run_count = 0;
}

void Worker::flush_all() {
  for (std::uint64_t left = dirty_ports_; left != 0; left &= left - 1) {
    flush(PortId(static_cast<std::uint16_t>(__builtin_ctzll(left))));
  }
}

}  // namespace millrace::dataplane
