// The straight way in: what nearly every frame is, found out for many frames at once.
//
// A frame is straight if it is untagged, to the interface's own MAC, in one segment, and carries a packet
// that is_plain_ipv4() or is_plain_ipv6(). Of such a frame all is known that the later steps ask for; where
// its hops end here, the batch has IpBatch::kNotStraight for its length. A no says nothing of the frame: it
// goes the way of one by one.
//
// The form depends on the processor's instruction set; it is chosen when a worker is made.
#pragma once

#include <rte_mbuf.h>

#include <cstdint>

#include "dataplane/burst.h"
#include "dataplane/tables.h"
#include "lpm/lookup.h"
#include "net/mac.h"

namespace millrace::dataplane {

struct StraightSearch {
  MacAddress mac;  // of the interface
  const OwnAddresses<Ipv4Address>* own4;
  const OwnAddresses<Ipv6Address>* own6;
};

struct Sighted {
  std::uint64_t ipv4 = 0;  // bit i: frame i is straight, and carries IPv4
  std::uint64_t ipv6 = 0;
  std::uint64_t bytes = 0;  // of all frames, straight or not, as they came
};

// Of up to kBurst frames, at least one. Place i of its family's batch is set for a straight frame i, which
// then ends where the packet does.
using FindStraight = Sighted (*)(const StraightSearch& search, rte_mbuf** frames, unsigned count,
                                 IpBatch<Ipv4Family>& ipv4, IpBatch<Ipv6Family>& ipv6);

// Null where there is no such form.
FindStraight find_straight(lpm::Isa isa);

}  // namespace millrace::dataplane
