// The way from a worker to the control thread: a policed ring for each class.
//
// Rings: single producer (the worker), single consumer (the control thread). The doorbell wakes the control
// thread when it sleeps: an eventfd, written at most once per burst and only after the consumer said that it
// sleeps.
#pragma once

#include <rte_ring.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>

#include "dataplane/packet.h"
#include "net/strong_id.h"

namespace millrace::dataplane {

// One for all workers, and one for drivers whose links change. written by: those (ring) and the control
// thread (sleep).
class Doorbell {
 public:
  Doorbell() : fd_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {}
  ~Doorbell() { close(fd_); }
  Doorbell(const Doorbell&) = delete;
  Doorbell& operator=(const Doorbell&) = delete;

  [[nodiscard]] int fd() const { return fd_; }
  // Worker, after it put something into a ring, or a driver. The exchange pairs with sleep(): either the
  // consumer's look at the rings sees the packet, or this sees that it sleeps.
  void ring() {
    if (!sleeping_.exchange(false, std::memory_order_seq_cst)) return;
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = write(fd_, &one, sizeof one);  // full: the consumer is awake anyway
  }
  // Control thread: fd() is not readable any more. True if it was.
  bool take() {
    std::uint64_t rung = 0;
    return read(fd_, &rung, sizeof rung) == sizeof rung;
  }
  // Control thread: from now on, ring() wakes it. It has to look at the rings once more after this.
  void sleep() { sleeping_.exchange(true, std::memory_order_seq_cst); }

 private:
  int fd_;
  alignas(64) std::atomic<bool> sleeping_{true};
};

// A token bucket on the TSC: full it holds `burst_` cycles, and a packet takes `cycles_per_packet_`. Kept is
// the time since which it would have filled from nothing, so that a packet which it refuses writes nothing.
// written and read by: one worker.
class Policer {
 public:
  Policer() = default;
  Policer(std::uint64_t packets_per_second, std::uint64_t tsc_hz)
      : cycles_per_packet_(tsc_hz / packets_per_second),
        burst_(tsc_hz / kBurstsPerSecond),
        filled_since_(0 - burst_) {}
  bool take(std::uint64_t now_tsc) {
    const std::uint64_t credit = std::min(now_tsc - filled_since_, burst_);
    if (credit < cycles_per_packet_) return false;
    filled_since_ = now_tsc - (credit - cycles_per_packet_);
    return true;
  }

 private:
  static constexpr std::uint64_t kBurstsPerSecond = 20;  // a bucket holds what comes in 50 ms
  std::uint64_t cycles_per_packet_ = 1;
  std::uint64_t burst_ = 1;
  std::uint64_t filled_since_ = 0;
};

// Of one class: its rate is everybody's, and an interface has a part of it beyond that for itself, so that a
// flood on one holds back nothing of another: neither neighbours' answers nor routing daemons' packets.
// Interfaces whose numbers are the same modulo kShares have one part together. written and read by: one
// worker.
class ClassPolicer {
 public:
  static constexpr std::size_t kShares = 64;

  ClassPolicer() = default;
  ClassPolicer(std::uint64_t packets_per_second, std::uint64_t tsc_hz) : common_(packets_per_second, tsc_hz) {
    shares_.fill(Policer(packets_per_second / kShares, tsc_hz));
  }
  bool take(InterfaceId from, std::uint64_t now_tsc) {
    return shares_[from.value() % kShares].take(now_tsc) || common_.take(now_tsc);
  }

 private:
  Policer common_;
  std::array<Policer, kShares> shares_{};
};

using PuntRings = std::array<rte_ring*, kPuntClassCount>;

}  // namespace millrace::dataplane
