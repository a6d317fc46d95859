#include "perf/subject_rte.h"

#include <rte_cpuflags.h>
#include <rte_errno.h>
#include <rte_malloc.h>
#include <x86intrin.h>

extern "C" {  // DPDK 22.11 forgot it
#include <rte_vect.h>
}

namespace millrace::perf {

std::size_t rte_heap_bytes() {
  rte_malloc_socket_stats stats{};
  return rte_malloc_get_socket_stats(0, &stats) == 0 ? stats.heap_allocsz_bytes : 0;
}

std::string unique_name(const std::string& library) {
  static unsigned made = 0;
  return library + "-" + std::to_string(made++);
}

bool wants_avx512() {
  for (const rte_cpu_flag_t flag :
       {RTE_CPUFLAG_AVX512F, RTE_CPUFLAG_AVX512BW, RTE_CPUFLAG_AVX512DQ, RTE_CPUFLAG_AVX512VL}) {
    if (rte_cpu_get_flag_enabled(flag) != 1) return false;
  }
  if (rte_vect_get_max_simd_bitwidth() < RTE_VECT_SIMD_512)
    throw std::runtime_error("EAL allows no AVX-512: rte_fib would be measured in its scalar form");
  return true;
}

void check_made(const void* object, const std::string& library) {
  if (object == nullptr) throw std::runtime_error(library + " was not made: " + rte_strerror(rte_errno));
}

}  // namespace millrace::perf
