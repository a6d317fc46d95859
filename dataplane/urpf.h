// Unicast reverse path forwarding (RFC 3704): is the source one that this packet may come from?
//
//   strict (2.2, 2.3)  the route to the source leads back by the interface that the packet came by; of
//                      several equal paths, one has to
//   loose (2.4)        there is a route to the source, the default route too; not one that refuses
//
// Ingress features: an interface without them pays nothing. Workers only.
#pragma once

#include "dataplane/feature.h"

namespace millrace::dataplane {

Verdict check_source_strictly(Worker& worker, rte_mbuf* m);
Verdict check_source_loosely(Worker& worker, rte_mbuf* m);

}  // namespace millrace::dataplane
