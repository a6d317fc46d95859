// What the process may still do once it has started: the capabilities of a router, and no others.
//
// Capabilities belong to threads and are inherited by the threads that a thread makes. So they are dropped
// before DPDK starts its threads; what needs more than a router keeps (entering another network namespace,
// say) has to be done before.
#pragma once

#include <string>

#include "config/model.h"
#include "net/result.h"

namespace millrace::controlplane {

struct Rights {
  std::string kept;     // "net_admin net_raw ...", as capabilities(7) names them, without cap_
  std::string missing;  // those that a router wants and the process never had
};

// Reduces the calling thread, and so its later ones, to what the configuration needs; for good: no program
// that it might execute gets more. Call once, before there are other threads.
Result<Rights> drop_privileges(const config::Config& config);

}  // namespace millrace::controlplane
