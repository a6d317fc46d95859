// What a worker counts. written by: one worker; read by: the control thread, at any time.
//
// Once nothing is in flight, over all interfaces and workers:
//
//   received + originated + fragments_added = transmitted + punted + dropped
//
// received: frames from ports, each once: less those passed on to a VLAN's interface, and what came out of
// tunnels. originated: frames that
// the control thread gave us to send. fragments_added: n - 1 for a packet that left as n fragments.
// transmitted: frames that a port's queue took: less what went into tunnels. punted: frames given to the
// control thread to answer, learn from or resolve. dropped: the sum over all reasons.
#pragma once

#include <emmintrin.h>

#include <array>
#include <cstddef>
#include <cstdint>

#include "dataplane/drop_reason.h"
#include "dataplane/packet.h"

namespace millrace::dataplane {

// One writer; readers see some recent value. Costs the writer a plain addition.
class Counter {
 public:
  void add(std::uint64_t n) {
    __atomic_store_n(&value_, __atomic_load_n(&value_, __ATOMIC_RELAXED) + n, __ATOMIC_RELAXED);
  }
  [[nodiscard]] std::uint64_t get() const { return __atomic_load_n(&value_, __ATOMIC_RELAXED); }

 private:
  std::uint64_t value_ = 0;
};

// What each packet touches: one cache line.
struct alignas(64) InterfaceCounters {
  Counter rx_packets;
  Counter rx_bytes;
  Counter passed_packets;  // of rx_packets: tagged frames, received again by the VLAN's interface
  Counter passed_bytes;
  Counter tx_packets;  // that a port's queue took
  Counter tx_bytes;
  Counter punted;

  // Received and not passed on. What is passed on was counted as received before.
  [[nodiscard]] std::uint64_t own_packets() const { return difference(rx_packets, passed_packets); }
  [[nodiscard]] std::uint64_t own_bytes() const { return difference(rx_bytes, passed_bytes); }

 private:
  static std::uint64_t difference(const Counter& all, const Counter& part) {
    const std::uint64_t less = part.get();
    return all.get() - less;
  }
};
static_assert(sizeof(InterfaceCounters) == 64);

// [reason], by ingress interface; tx_queue_full and tx_gone by egress.
using DropCounters = std::array<Counter, kDropReasonCount>;

// Four to a cache line: all of a line are one worker's.
struct alignas(16) AdjacencyCounters {
  Counter packets;
  Counter bytes;  // of IP

  // Both by one store. Who reads one of them sees it from before or from after, as of a Counter.
  void add(std::uint64_t more_packets, std::uint64_t more_bytes) {
    auto* both = reinterpret_cast<__m128i*>(this);
    const __m128i more =
        _mm_set_epi64x(static_cast<long long>(more_bytes), static_cast<long long>(more_packets));
    const __m128i sum = _mm_add_epi64(_mm_load_si128(both), more);
    asm volatile("movdqa %1, %0" : "=m"(*both) : "x"(sum));  // which no compiler splits
  }
};
static_assert(sizeof(AdjacencyCounters) == 16);

enum class WorkerStep : std::uint8_t {
#define WORKER_STEP(name, what) name,
#include "dataplane/step.def"
#undef WORKER_STEP
};
inline constexpr std::size_t kWorkerStepCount = 0
#define WORKER_STEP(name, what) +1
#include "dataplane/step.def"
#undef WORKER_STEP
    ;

// Of one loop in kLoopsPerSample: reading the clock costs as much as a packet. Loops that found nothing do
// not count.
struct StepCounters {
  Counter cycles;   // TSC
  Counter packets;  // that went through the step meanwhile
};
inline constexpr std::uint64_t kLoopsPerSample = 64;

// How full receive calls are: bin b has those that brought 2^b packets or more, and fewer than twice as many.
inline constexpr std::size_t kBurstBins = 7;

struct alignas(64) WorkerCounters {
  Counter originated;
  Counter fragments_added;
  Counter encapsulated;  // counted as sent by a tunnel's interface, and again by a port's
  Counter decapsulated;  // received by a port's interface, and again by a tunnel's
  Counter loops;
  Counter busy_loops;   // loops that found a packet
  Counter busy_cycles;  // TSC cycles of those
  Counter idle_cycles;  // of the others, naps included
  Counter naps;
  std::array<Counter, kBurstBins> rx_bursts;     // receive calls that brought packets
  std::array<Counter, kPuntClassCount> policed;  // over a class's rate, or its ring was full
  std::array<StepCounters, kWorkerStepCount> steps;
};

}  // namespace millrace::dataplane
