// A thread on a core of its own that changes a subject's table at a fixed pace while it is told to.
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>

#include "perf/changer.h"
#include "perf/measure.h"

namespace millrace::perf {

// Binds the calling thread to one core.
void bind_to_core(unsigned core);

template <class Address>
class Churn {
 public:
  static constexpr double kPerSecond = 100'000;

  Churn(Changer<Address>& changer, Subject<Address>& subject, unsigned core)
      : changer_(changer), subject_(subject), thread_([this, core] { run(core); }) {}
  Churn(const Churn&) = delete;
  Churn& operator=(const Churn&) = delete;
  ~Churn() {
    state_.store(State::ended);
    thread_.join();
  }

  void start() { switch_to(State::changing); }
  // Returns when the thread makes no change any more.
  void stop() { switch_to(State::quiet); }
  [[nodiscard]] std::uint64_t changes() const { return changes_.load(); }
  [[nodiscard]] bool failed() const { return failed_.load(); }

 private:
  enum class State : unsigned char { quiet, changing, ended };

  void switch_to(State wanted) {
    state_.store(wanted);
    while (seen_.load() != wanted) std::this_thread::yield();
  }

  void run(unsigned core) {
    bind_to_core(core);
    while (true) {
      const State state = state_.load();
      seen_.store(state);
      if (state == State::ended) return;
      if (state == State::changing) change_while_told();
      if (state == State::quiet) {
        subject_.maintain();
        std::this_thread::sleep_for(std::chrono::microseconds(100));
      }
    }
  }

  // Paced by the clock. What the subject is too slow for is not made up for later than 1 ms.
  void change_while_told() {
    const auto period = static_cast<std::uint64_t>(ticks_per_second() / kPerSecond);
    std::uint64_t due = __rdtsc();
    while (state_.load(std::memory_order_relaxed) == State::changing) {
      const std::uint64_t now = __rdtsc();
      if (now < due) {
        _mm_pause();
        continue;
      }
      due = now - due > 100 * period ? now : due + period;
      if (!changer_.step()) failed_.store(true);
      if (changes_.fetch_add(1) % 500 == 0) subject_.maintain();  // every 5 ms
    }
  }

  Changer<Address>& changer_;
  Subject<Address>& subject_;
  std::atomic<State> state_{State::quiet};  // written by the measuring thread
  std::atomic<State> seen_{State::quiet};   // written by this one: what it acts on
  std::atomic<std::uint64_t> changes_{0};
  std::atomic<bool> failed_{false};
  std::thread thread_;
};

}  // namespace millrace::perf
