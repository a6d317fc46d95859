// The pools of packet buffers that ports receive into.
//
// Ports with buffers of one size, on one NUMA node, have one pool: a worker takes for one port's frames the
// buffers that it freed last, another port's, which its caches still hold. Each port brings as many buffers
// as can wait on its account at the same time, so that none of them starves the others.
//
// Owned and changed by the control thread. Outlives the ports, and whatever else may hold a buffer.
#pragma once

#include <rte_mempool.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "net/result.h"

namespace millrace::dataplane {

inline constexpr unsigned kPoolCache = 256;  // buffers that a thread may keep for itself: half as many more

struct FreePool {
  void operator()(rte_mempool* pool) const { rte_mempool_free(pool); }
};
using Pool = std::unique_ptr<rte_mempool, FreePool>;

// A pool of packet buffers with PacketMeta in each. Enqueues and dequeues use RTS rings: a preempted thread
// in the middle of one does not hold the others up. `data_room` includes the headroom.
Result<Pool> make_pool(const std::string& name, unsigned buffers, std::uint16_t data_room, int numa_node);

class BufferPools {
  struct Shared {
    Pool pool;
    std::uint16_t data_room;
    int numa_node;
    unsigned free;       // buffers that are nobody's part
    unsigned parts = 0;  // how many have one
    unsigned full_looks = 0;
  };

 public:
  // Some of a pool's buffers; they are nobody's again when it goes, though some may be under way still.
  class Part {
   public:
    Part() = default;
    Part(Part&& other) noexcept : of_(std::exchange(other.of_, nullptr)), buffers_(other.buffers_) {}
    Part& operator=(Part&& other) noexcept {
      std::swap(of_, other.of_);
      std::swap(buffers_, other.buffers_);
      return *this;
    }
    ~Part();
    [[nodiscard]] rte_mempool* pool() const { return of_->pool.get(); }

   private:
    friend class BufferPools;
    Part(Shared* of, unsigned buffers) : of_(of), buffers_(buffers) {}
    Shared* of_ = nullptr;
    unsigned buffers_ = 0;
  };

  // `parts`: how many ports, this one first, will ask for the same; a new pool has room for them all if there
  // is memory for it. An error says how many buffers there was no memory for.
  Result<Part> take(unsigned buffers, std::uint16_t data_room, int numa_node, unsigned parts);
  // For a port that cannot use its part: a pool that is nobody else's goes at once, as its memory may be
  // needed for buffers of another size.
  void discard(Part part);
  // Frees pools that are nobody's, once all their buffers are back.
  void free_idle();
  [[nodiscard]] std::vector<const rte_mempool*> all() const;

 private:
  std::vector<std::unique_ptr<Shared>> pools_;
};

}  // namespace millrace::dataplane
