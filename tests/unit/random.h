// Random numbers for tests. The seed is printed when a test that uses it fails, and MILLRACE_TEST_SEED
// repeats it.
#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <random>
#include <string>

namespace millrace {

class Random {
 public:
  Random()
      : seed_(choose_seed()),
        engine_(seed_),
        trace_(__FILE__, __LINE__, "MILLRACE_TEST_SEED=" + std::to_string(seed_)) {
    ::testing::Test::RecordProperty("seed", std::to_string(seed_));
  }

  std::uint32_t bits() { return static_cast<std::uint32_t>(engine_()); }
  std::uint32_t below(std::size_t limit) {  // limit: from 1 to 2^32
    return static_cast<std::uint32_t>(std::uint64_t{engine_()} * limit >> 32);
  }
  bool chance(unsigned one_in) { return below(one_in) == 0; }

 private:
  static std::uint32_t choose_seed() {
    const char* given = std::getenv("MILLRACE_TEST_SEED");
    return given == nullptr ? std::random_device{}()
                            : static_cast<std::uint32_t>(std::strtoul(given, nullptr, 10));
  }

  std::uint32_t seed_;
  std::mt19937 engine_;
  ::testing::ScopedTrace trace_;  // every failure in the test names the seed
};

}  // namespace millrace
