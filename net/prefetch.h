// Asks for a cache line that is needed soon.
#pragma once

namespace millrace {

// As __builtin_prefetch(), but never left out: GCC takes a loop or a function that does nothing else for one
// without effect.
inline void prefetch(const void* line) {
  asm volatile("prefetcht0 %0" : : "m"(*static_cast<const char*>(line)));
}

}  // namespace millrace
