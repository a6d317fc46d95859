// The file of counters that a net_stamp port keeps up to date in shared memory (argument stats=PATH), so that
// one ruler measures every program that forwards between such ports. perf/forward.py reads it.
#pragma once

#include <atomic>
#include <cstdint>

namespace millrace::perf {

inline constexpr unsigned kMaxQueues = 16;

// written by: the thread that polls the queue; read by: whoever has the file.
struct alignas(64) QueueCounters {
  std::atomic<std::uint64_t> rx_packets;
  std::atomic<std::uint64_t> rx_bursts;
  std::atomic<std::uint64_t> rx_no_buffer;
  std::atomic<std::uint64_t> tx_packets;
};
static_assert(sizeof(QueueCounters) == 64);

struct PortCounters {
  char magic[8];  // kMagic
  std::uint64_t tsc_hz;
  std::atomic<std::uint64_t> held;  // by whoever has the file: not 0: no frame of a file arrives meanwhile
  std::uint8_t reserved[40];
  QueueCounters queue[kMaxQueues];
};
static_assert(sizeof(PortCounters) == 64 + kMaxQueues * 64);
inline constexpr char kMagic[] = "STAMP01";

// One writer: no locked instruction is needed.
inline void add(std::atomic<std::uint64_t>& counter, std::uint64_t count) {
  counter.store(counter.load(std::memory_order_relaxed) + count, std::memory_order_relaxed);
}

}  // namespace millrace::perf
