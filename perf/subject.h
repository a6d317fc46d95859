// What is measured: one table of one library behind an interface that costs all of them the same (one virtual
// call per burst). Addresses and answers stay in the library's own form, so that no subject pays for a
// conversion that its user would not need.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "perf/route.h"

namespace millrace::perf {

inline constexpr unsigned kMaxBurst = 64;

// Room for a burst's answers in any form.
struct alignas(64) Answers {
  std::byte raw[kMaxBurst * sizeof(std::uint64_t)];
  template <class T>
  T* as() {
    return reinterpret_cast<T*>(raw);
  }
  template <class T>
  const T* as() const {
    return reinterpret_cast<const T*>(raw);
  }
};

// What a library must know when its table is made.
struct Sizing {
  std::uint32_t routes = 0;
  std::uint32_t groups = 0;           // 256-entry groups below the first 24 bits, with room to spare
  std::uint32_t groups_unshared = 0;  // the same if no two prefixes shared one
  std::uint32_t max_id = 0;
};

template <class Address>
class Subject {
 public:
  virtual ~Subject() = default;

  // The writer's side: one thread. False: the library refused.
  virtual bool insert(const Route<Address>& route) = 0;  // adds, or changes the next hop
  virtual bool erase(const Route<Address>& route) = 0;
  // All of a table into an empty subject.
  virtual bool load(std::span<const Route<Address>> routes) {
    for (std::size_t i = 0; i < routes.size(); ++i) {
      if (!insert(routes[i])) return false;
      if (i % 1024 == 1023) maintain();
    }
    maintain();
    return true;
  }
  // What the writer does every few milliseconds beside the changes: grace periods, work put off.
  virtual void maintain() {}
  // All of that, until nothing is left: what a router comes to in its quiet seconds.
  virtual void settle() {}

  // The reader's side: one other thread, or the same one.
  virtual void lookup(const Address* addresses, Answers& answers, unsigned n) const = 0;
  // The i-th answer of the last lookup; kNoRoute if there is no route.
  [[nodiscard]] virtual std::uint32_t id(const Answers& answers, unsigned i) const = 0;
  // Around a time in which another thread writes, and between bursts in it.
  virtual void reader_online() {}
  virtual void reader_quiescent() {}
  virtual void reader_offline() {}

  // Whether `lookup` wants addresses in another form than Route has; then it gets them through `convert`.
  [[nodiscard]] virtual bool converts() const { return false; }
  [[nodiscard]] virtual Address convert(const Address& address) const { return address; }

  // False: left out where tables are loaded and changed (the library would take minutes).
  [[nodiscard]] virtual bool changes() const { return true; }
  [[nodiscard]] virtual std::size_t memory_bytes() const = 0;
  // The form of the code and the pages that were chosen, for the reader of the report.
  [[nodiscard]] virtual std::string form() const = 0;
};

template <class Address>
struct Factory {
  std::string name;
  // Throws std::invalid_argument if the library is not made for such a table, std::runtime_error if it fails.
  std::function<std::unique_ptr<Subject<Address>>(const Sizing&)> make;
};

// `slow`: load rte_lpm through its own calls, and let it take part everywhere.
template <class Address>
void add_rte_subjects(std::vector<Factory<Address>>& factories, bool slow);
template <class Address>
void add_millrace_subjects(std::vector<Factory<Address>>& factories);

}  // namespace millrace::perf
