// Grace periods: when memory that workers may still read can be used again.
//
// Who reads: workers, registered by number; each says quiescent() once per loop, and goes offline() around a
// nap. Who writes and frees: the control thread alone, which retires a thing after it took the last way to it
// away (a release store), and gets it back from poll() when every worker online at that time was quiescent
// since. Worst delay: one loop of the slowest worker plus one period of poll(); never waited for. With no
// worker online, a thing comes back at the next poll(). (rte_rcu_qsbr; McKenney's quiescent-state based
// reclamation.)
#pragma once

#include <cstdint>
#include <deque>
#include <memory>

struct rte_rcu_qsbr;

namespace millrace::lpm {

class Reclaimer {
 public:
  using Free = void (*)(void* context, std::uint64_t what);

  explicit Reclaimer(unsigned max_workers);
  ~Reclaimer();  // frees all that is still retired: workers are gone by then
  Reclaimer(const Reclaimer&) = delete;
  Reclaimer& operator=(const Reclaimer&) = delete;

  // The worker side: online() before the first read, offline() after the last.
  [[nodiscard]] rte_rcu_qsbr* qsbr() const { return qsbr_.get(); }
  void register_worker(unsigned worker);
  void unregister_worker(unsigned worker);

  // The control side.
  // Asks for what retire() will touch.
  void prefetch() const;
  void retire(Free free, void* context, std::uint64_t what, std::uint64_t now_ns);
  template <class T>
  void retire_object(const T* object, std::uint64_t now_ns) {
    retire([](void* p, std::uint64_t) { delete static_cast<T*>(p); },
           const_cast<std::remove_const_t<T>*>(object), 0, now_ns);
  }
  // Frees what is due; returns how many. At most `limit` at a call, to keep the control loop short.
  std::size_t poll(std::size_t limit = 4096);
  [[nodiscard]] std::size_t pending() const { return retired_.size(); }
  // When the oldest thing that waits was retired; 0 if nothing waits.
  [[nodiscard]] std::uint64_t oldest_ns() const { return retired_.empty() ? 0 : retired_.front().since_ns; }

 private:
  struct Retired {
    std::uint64_t token;
    std::uint64_t since_ns;
    Free free;
    void* context;
    std::uint64_t what;
  };
  struct FreeAligned {
    void operator()(rte_rcu_qsbr* p) const;
  };

  std::unique_ptr<rte_rcu_qsbr, FreeAligned> qsbr_;
  std::deque<Retired> retired_;  // in the order of their tokens
};

}  // namespace millrace::lpm
