// The arguments of a net_stamp port, as DPDK hands them over: "size=60,file=/dest,stats=/dev/shm/x".
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "net/mac.h"

namespace millrace::perf {

struct Arguments {
  std::vector<unsigned> sizes{60};  // of the frames without their FCS, taken in turn
  bool ipv6 = false;
  std::optional<MacAddress> mac;          // the port's; absent: made of the port's number
  std::optional<MacAddress> destination;  // MAC in the frames; absent: the port's
  MacAddress source{{0x02, 0, 0, 0, 0, 0xfe}};
  std::string file;          // destination addresses, as they lie on the wire; empty: one fixed
  std::uint64_t offset = 0;  // in addresses: where queue 0 begins
  std::uint64_t stride = 1;  // in addresses
  bool rx = true;            // whether frames arrive
  bool once = false;         // whether the frames of a file do so but once
  std::string frames;        // file of whole frames of one size, which arrive in its order; empty: none
  std::string stats;         // file for PortCounters; empty: none
};

// Throws std::invalid_argument with what is wrong.
Arguments parse_arguments(const char* text);

}  // namespace millrace::perf
