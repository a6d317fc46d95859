// Clocks, caches, and one timed pass of lookups.
#pragma once

#include <x86intrin.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "perf/route.h"
#include "perf/subject.h"

namespace millrace::perf {

// Ticks of the processor's time stamp counter, after all before is done and before anything after begins.
inline std::uint64_t ticks_fenced() {
  unsigned cpu = 0;
  const std::uint64_t now = __rdtscp(&cpu);
  _mm_lfence();
  return now;
}
double ticks_per_second();

// Million lookups a second: bursts along the stream from `at` on, again from its start after its end, until
// `seconds` are over. `at` is left where the next pass goes on. The stream's size is a multiple of 4,096.
template <class Address>
double lookup_rate(Subject<Address>& subject, std::span<const Address> stream, unsigned burst, double seconds,
                   std::size_t& at) {
  constexpr std::size_t kChunk = 4096;  // between two looks at the clock
  Answers answers;
  const auto wanted = static_cast<std::uint64_t>(seconds * ticks_per_second());
  const std::uint64_t start = __rdtsc();
  std::uint64_t spent = 0;
  std::size_t done = 0;
  while (spent < wanted) {
    const Address* chunk = stream.data() + at;
    for (std::size_t i = 0; i < kChunk; i += burst) {
      subject.lookup(chunk + i, answers, burst);
      asm volatile("" : : "r"(&answers) : "memory");  // the answers are used, for all the compiler knows
    }
    subject.reader_quiescent();
    done += kChunk;
    at = at + kChunk == stream.size() ? 0 : at + kChunk;
    spent = __rdtsc() - start;
  }
  return static_cast<double>(done) / (static_cast<double>(spent) / ticks_per_second()) / 1e6;
}

// Drives what was used before out of a core's L2, and bit by bit out of the shared L3: reads lines at random
// from memory larger than both.
class Evictor {
 public:
  Evictor() : memory_(kBytes / sizeof(std::uint64_t), 1) {}
  void evict() {
    std::uint64_t sum = 0;
    for (unsigned i = 0; i < kLines; ++i) sum += memory_[random_.below(memory_.size())];
    asm volatile("" : : "r"(sum));
  }

 private:
  static constexpr std::size_t kBytes = std::size_t{64} << 20;
  static constexpr unsigned kLines = 24576;  // 1.5 MB
  std::vector<std::uint64_t> memory_;
  Random random_{1};
};

}  // namespace millrace::perf
