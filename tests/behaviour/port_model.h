// A NIC of the test: what the driver of one writes into a buffer about the frame in it.
#pragma once

#include <rte_mbuf.h>

#include <cstdint>
#include <string>

namespace millrace::behaviour {

// As the worst of them do. Header checksums and addresses with ports are what they say where that is a part
// of DPDK's contract; else, good checksums that nobody looked at, those of a tunnel's inner header, and a
// hash of whatever a fragment has where ports would be.
void mark_as_a_nic(rte_mbuf* m);

// RSS as its specification has it: of the addresses and ports as they follow each other in a packet.
std::uint32_t toeplitz(const std::uint8_t* key, const std::uint8_t* data, std::size_t bytes);

// A device (by DPDK's name) whose driver tells when its link changes; before it is configured. And its
// telling.
void make_it_tell(const std::string& device);
void tell_of_link(const std::string& device);

}  // namespace millrace::behaviour
