// Lifetimes of security associations, and what is told of them (RFC 4301 section 4.4.2.1). Control thread
// only.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>

#include "config/model.h"

namespace millrace::controlplane {

// What an SA has done.
struct SaUsage {
  std::uint64_t packets = 0, bytes = 0, seconds = 0;
};

// Of an SA, for as long as it lives.
struct SaLife {
  std::uint64_t made_ns = 0;
  bool soft_said = false;
  bool ended = false;  // by its hard limit: it stays in the configuration, and is not used
};

// The limit that the usage has reached: "packets", "bytes" or "time"; null: none.
const char* reached(const config::SaLimits& limits, const SaUsage& usage);

struct SaEvent {
  enum class Kind : std::uint8_t { soft, hard };
  std::uint64_t number = 0;  // one after the other, from 1
  std::uint64_t time = 0;    // seconds since 1970
  std::string interface;
  bool outbound = false;
  std::uint32_t spi = 0;
  Kind kind = Kind::soft;
  const char* limit = "";  // reached()
};

// The last ones.
class SaEvents {
 public:
  static constexpr std::size_t kKept = 32768;  // soft and hard ones of both directions of 8,192 tunnels

  void add(SaEvent event) {
    event.number = last() + 1;
    if (events_.size() == kKept) events_.pop_front();
    events_.push_back(std::move(event));
  }
  [[nodiscard]] const std::deque<SaEvent>& all() const { return events_; }
  [[nodiscard]] std::uint64_t last() const { return events_.empty() ? 0 : events_.back().number; }

 private:
  std::deque<SaEvent> events_;
};

}  // namespace millrace::controlplane
