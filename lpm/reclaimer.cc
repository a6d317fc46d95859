#include "lpm/reclaimer.h"

#include <rte_rcu_qsbr.h>

#include <cstdlib>
#include <new>

namespace millrace::lpm {

void Reclaimer::FreeAligned::operator()(rte_rcu_qsbr* p) const {
  std::free(p);
}

Reclaimer::Reclaimer(unsigned max_workers) {
  const std::size_t bytes = rte_rcu_qsbr_get_memsize(max_workers);
  qsbr_.reset(static_cast<rte_rcu_qsbr*>(std::aligned_alloc(RTE_CACHE_LINE_SIZE, bytes)));
  if (!qsbr_ || rte_rcu_qsbr_init(qsbr_.get(), max_workers) != 0) throw std::bad_alloc();
}

Reclaimer::~Reclaimer() {
  for (const Retired& r : retired_) r.free(r.context, r.what);
}

void Reclaimer::register_worker(unsigned worker) {
  rte_rcu_qsbr_thread_register(qsbr_.get(), worker);
  rte_rcu_qsbr_thread_online(qsbr_.get(), worker);
}

void Reclaimer::unregister_worker(unsigned worker) {
  rte_rcu_qsbr_thread_offline(qsbr_.get(), worker);
  rte_rcu_qsbr_thread_unregister(qsbr_.get(), worker);
}

void Reclaimer::retire(Free free, void* context, std::uint64_t what, std::uint64_t now_ns) {
  retired_.push_back({rte_rcu_qsbr_start(qsbr_.get()), now_ns, free, context, what});
}

void Reclaimer::prefetch() const {
  __builtin_prefetch(&qsbr_->token);
  if (!retired_.empty()) __builtin_prefetch(&retired_.back() + 1);
}

std::size_t Reclaimer::poll(std::size_t limit) {
  std::size_t freed = 0;
  while (freed < limit && !retired_.empty() &&
         rte_rcu_qsbr_check(qsbr_.get(), retired_.front().token, false) == 1) {
    const Retired due = retired_.front();
    retired_.pop_front();
    due.free(due.context, due.what);
    ++freed;
  }
  return freed;
}

}  // namespace millrace::lpm
