// What the DPDK subjects of both families share.
#pragma once

#include <cstddef>
#include <stdexcept>
#include <string>

namespace millrace::perf {

// Bytes that DPDK's heap has given out by now.
std::size_t rte_heap_bytes();

// DPDK finds its objects by name.
std::string unique_name(const std::string& library);

// True: the CPU has what rte_fib's AVX-512 lookups need, and they are to be used. Throws std::runtime_error
// if EAL was started so that it would quietly use the scalar ones.
bool wants_avx512();

// Throws with what DPDK said if `object` was not made.
void check_made(const void* object, const std::string& library);

}  // namespace millrace::perf
