#include "dataplane/tables.h"

#include <new>

namespace millrace::dataplane {

Tables::Tables()
    : next_hops_(kMaxNextHops * sizeof(NextHop), lpm::Pages::transparent),
      adjacencies_(kMaxAdjacencies * sizeof(Adjacency), lpm::Pages::transparent),
      buckets_(kBucketSpace * sizeof(std::uint32_t), lpm::Pages::transparent) {
  if (!next_hops_ || !adjacencies_ || !buckets_) throw std::bad_alloc();
  NextHop::store(next_hops_.as<NextHop>()[lpm::kNoRoute.value()], NextHop::drop(DropReason::no_route));
}

}  // namespace millrace::dataplane
