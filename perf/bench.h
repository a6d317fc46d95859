// The cases of one address family: tables, streams and subjects in, rows of a report out.
#pragma once

#include <x86intrin.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <regex>
#include <span>
#include <string>
#include <vector>

#include "perf/changer.h"
#include "perf/oracle.h"
#include "perf/report.h"
#include "perf/route.h"
#include "perf/streams.h"
#include "perf/subject.h"

namespace millrace::perf {

struct Options {
  std::string table4;
  std::string table6;
  std::string feed;  // IPv4, in the order of its arrival
  std::string json;
  std::optional<std::regex> only;     // cases to run; all if there is none
  std::vector<std::string> subjects;  // all if empty
  std::uint64_t seed = 1;
  unsigned runs = 9;
  double pass_seconds = 0.15;
  unsigned load_runs = 3;
  unsigned change_blocks = 3;
  unsigned changes_a_block = 6667;
  bool slow = false;
  std::optional<unsigned> churn_core;  // none: the machine has one core

  [[nodiscard]] bool wants(const std::string& name) const { return !only || std::regex_search(name, *only); }
};

// What each case is called, without the family. The last two rows come from the same measurement as the first
// of them.
inline constexpr unsigned kBursts[] = {64, 32};
inline constexpr Traffic kTraffic[] = {Traffic::uniform, Traffic::prefix, Traffic::zipf};

// Throws std::runtime_error where a subject is wrong, refuses a route or cannot be made.
template <class Address>
class Bench {
 public:
  Bench(const Options& options, Report& report) : options_(options), report_(report) {}
  void run();

 private:
  struct Entrant {
    Factory<Address> factory;
    std::unique_ptr<Subject<Address>> subject;  // holds the whole table
  };
  struct Stream {
    std::vector<Address> addresses;
    std::vector<std::vector<Address>> converted;  // by entrant; empty: it takes `addresses` as they are
    std::vector<std::uint32_t> expected;          // the right answers to the first million
    [[nodiscard]] std::span<const Address> of(std::size_t entrant) const {
      return converted[entrant].empty() ? addresses : converted[entrant];
    }
  };

  static std::string name(const std::string& what) { return std::string(kFamily<Address>) + "/" + what; }
  static std::string lookup_name(Traffic traffic, unsigned burst);
  static std::vector<std::string> case_names();
  [[nodiscard]] bool wanted(const std::string& what) const { return options_.wants(name(what)); }

  void set_up();
  void make_entrants();
  [[nodiscard]] std::unique_ptr<Subject<Address>> make_loaded(const Entrant& entrant,
                                                              std::span<const Route<Address>> routes) const;
  [[nodiscard]] Stream make_stream(Traffic traffic) const;
  const Stream& prefix_stream();  // made once: most cases use it
  void verify(const std::string& name, const Subject<Address>& subject, std::span<const Address> addresses,
              std::span<const std::uint32_t> expected) const;
  void verify_changed(const Entrant& entrant, Changer<Address>& changer);
  void progress(const std::string& what) const;

  void memory();
  void lookups();
  void lookups(Traffic traffic, const Stream& stream);
  void loads();
  void load(const std::string& what, std::span<const Route<Address>> routes, std::span<const Address> sample,
            std::span<const std::uint32_t> expected);
  void changes();
  // Whether what a change needs is driven out of the caches before it, or only by the changes before.
  enum class Caches : bool { left_alone, cold };
  void changes(const std::string& what, Caches caches);
  void change_block(const Entrant& entrant, std::uint64_t seed, Caches caches, std::vector<double>& us);
  void churn();
  void churn(std::size_t entrant);

  const Options& options_;
  Report& report_;
  std::uint64_t start_ = __rdtsc();
  std::vector<Route<Address>> routes_;
  Sizing sizing_;
  std::unique_ptr<Oracle<Address>> oracle_;
  std::vector<Entrant> entrants_;
  std::optional<Stream> prefix_stream_;
};

// The right answers to the first million addresses.
template <class Address>
std::vector<std::uint32_t> right_answers(const Oracle<Address>& oracle, std::span<const Address> addresses);

}  // namespace millrace::perf
