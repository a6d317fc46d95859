// Keepalives of ESP in UDP, for the mappings of NAT on the way (RFC 3948 section 2.3 and 4). Control thread
// only.
#pragma once

#include "config/model.h"
#include "controlplane/interfaces.h"
#include "controlplane/output.h"

namespace millrace::controlplane {

// To the other end of a tunnel in UDP.
void send_nat_keepalive(Output& output, const Interface& tunnel);

}  // namespace millrace::controlplane
