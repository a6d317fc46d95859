// What always holds of the neighbour table: it agrees with the next hops and with what workers read, and its
// limits are kept.
#pragma once

#include <span>

#include "net/ip_address.h"
#include "tests/behaviour/lab.h"

namespace millrace::fuzz {

// `hosts`: all addresses that neighbours have, on whichever interface.
void check_neighbors(behaviour::Lab& lab, const controlplane::NeighborLimits& limits,
                     std::span<const IpAddress> hosts);
// Takes and forgets what was sent on all ports, at most as much as the rings hold.
void take_sent(behaviour::Lab& lab);

}  // namespace millrace::fuzz
