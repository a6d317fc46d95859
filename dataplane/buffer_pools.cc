#include "dataplane/buffer_pools.h"

#include <rte_errno.h>
#include <rte_mbuf.h>

#include <algorithm>

#include "dataplane/packet.h"

namespace millrace::dataplane {
namespace {

// The count of free buffers is not exact while threads move some: full at this many looks in a row is full.
constexpr unsigned kLooks = 4;

}  // namespace

Result<Pool> make_pool(const std::string& name, unsigned buffers, std::uint16_t data_room, int numa_node) {
  rte_mempool* pool = rte_pktmbuf_pool_create_by_ops(name.c_str(), buffers, kPoolCache, kMetaBytes, data_room,
                                                     numa_node, "ring_mt_rts");
  if (pool == nullptr) {
    return Error{"no memory for " + std::to_string(buffers) + " packet buffers: " + rte_strerror(rte_errno)};
  }
  return Pool(pool);
}

BufferPools::Part::~Part() {
  if (of_ == nullptr) return;
  of_->free += buffers_;
  --of_->parts;
}

Result<BufferPools::Part> BufferPools::take(unsigned buffers, std::uint16_t data_room, int numa_node,
                                            unsigned parts) {
  const auto fits = [&](const auto& pool) {
    return pool->data_room == data_room && pool->numa_node == numa_node && pool->free >= buffers;
  };
  auto at = std::find_if(pools_.begin(), pools_.end(), fits);
  if (at == pools_.end()) {
    static unsigned made = 0;  // names are unique in the process
    const std::string name = "mr_ports" + std::to_string(made++);
    unsigned size = parts * buffers;
    auto pool = make_pool(name, size, data_room, numa_node);
    if (!pool) pool = make_pool(name, size = buffers, data_room, numa_node);
    if (!pool) return Error{pool.error()};
    at = pools_.insert(at, std::make_unique<Shared>(Shared{std::move(*pool), data_room, numa_node, size}));
  }
  (*at)->free -= buffers;
  ++(*at)->parts;
  return Part(at->get(), buffers);
}

void BufferPools::discard(Part part) {
  const Shared* of = part.of_;
  part = Part();
  std::erase_if(pools_, [&](const auto& pool) { return pool.get() == of && pool->parts == 0; });
}

void BufferPools::free_idle() {
  std::erase_if(pools_, [](const auto& pool) {
    const bool idle = pool->parts == 0 && rte_mempool_full(pool->pool.get()) != 0;
    pool->full_looks = idle ? pool->full_looks + 1 : 0;
    return pool->full_looks >= kLooks;
  });
}

std::vector<const rte_mempool*> BufferPools::all() const {
  std::vector<const rte_mempool*> all;
  for (const auto& shared : pools_) all.push_back(shared->pool.get());
  return all;
}

}  // namespace millrace::dataplane
