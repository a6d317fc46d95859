#include "perf/bench.h"

#include <rte_cycles.h>

#include <algorithm>
#include <cstdio>
#include <iostream>
#include <random>
#include <stdexcept>

#include "perf/measure.h"
#include "perf/tables.h"

namespace millrace::perf {

double ticks_per_second() {
  static const auto hz = static_cast<double>(rte_get_tsc_hz());
  return hz;
}

template <class Address>
std::vector<std::uint32_t> right_answers(const Oracle<Address>& oracle, std::span<const Address> addresses) {
  std::vector<std::uint32_t> answers(std::min(addresses.size(), std::size_t{1} << 20));
  for (std::size_t i = 0; i < answers.size(); ++i) answers[i] = oracle.lookup(addresses[i]);
  return answers;
}

template <class Address>
std::string Bench<Address>::lookup_name(Traffic traffic, unsigned burst) {
  return std::string(perf::name(traffic)) + "/b" + std::to_string(burst);
}

template <class Address>
std::vector<std::string> Bench<Address>::case_names() {
  std::vector<std::string> names{"memory", "load-sorted", "load-shuffled", "change", "lookup-under-churn"};
  if (kBits<Address> == 32) names.emplace_back("load-feed");
  for (const unsigned burst : kBursts) {
    for (const Traffic traffic : kTraffic) names.push_back(lookup_name(traffic, burst));
  }
  return names;
}

template <class Address>
void Bench<Address>::run() {
  const std::vector<std::string> names = case_names();
  if (std::none_of(names.begin(), names.end(), [&](const std::string& what) { return wanted(what); })) return;
  set_up();
  memory();
  lookups();
  loads();
  changes();
  churn();
}

template <class Address>
void Bench<Address>::set_up() {
  routes_ = read_table<Address>(kBits<Address> == 32 ? options_.table4 : options_.table6);
  sort_table(routes_);
  // Room for changes: a group is free again only after a grace period.
  sizing_.groups = groups_needed(routes_) * 5 / 4 + 4096;
  sizing_.groups_unshared = groups_unshared(routes_) + 4096;
  sizing_.routes = static_cast<std::uint32_t>(routes_.size() + 1024);
  for (const auto& route : routes_) sizing_.max_id = std::max(sizing_.max_id, route.id);
  oracle_ = std::make_unique<Oracle<Address>>(routes_);
  make_entrants();
}

template <class Address>
void Bench<Address>::make_entrants() {
  std::vector<Factory<Address>> factories;
  add_millrace_subjects(factories);
  add_rte_subjects(factories, options_.slow);
  std::cerr << kFamily<Address> << ": " << routes_.size() << " routes\n";
  for (auto& factory : factories) {
    const auto& chosen = options_.subjects;
    if (!chosen.empty() && std::find(chosen.begin(), chosen.end(), factory.name) == chosen.end()) continue;
    Entrant entrant{factory, nullptr};
    try {
      entrant.subject = make_loaded(entrant, routes_);
      entrant.subject->settle();
    } catch (const std::invalid_argument& why) {
      std::cerr << "  " << factory.name << ": left out, " << why.what() << '\n';
      continue;
    }
    std::cerr << "  " << factory.name << ": " << entrant.subject->form() << '\n';
    report_.describe(name(factory.name), entrant.subject->form());
    entrants_.push_back(std::move(entrant));
  }
}

template <class Address>
std::unique_ptr<Subject<Address>> Bench<Address>::make_loaded(const Entrant& entrant,
                                                              std::span<const Route<Address>> routes) const {
  auto subject = entrant.factory.make(sizing_);
  if (!subject->load(routes))
    throw std::runtime_error(entrant.factory.name + " does not take the whole table: a route was refused");
  return subject;
}

template <class Address>
auto Bench<Address>::make_stream(Traffic traffic) const -> Stream {
  Stream stream;
  stream.addresses = perf::make_stream<Address>(traffic, routes_, options_.seed);
  stream.expected = right_answers<Address>(*oracle_, stream.addresses);
  for (const Entrant& entrant : entrants_) {
    std::vector<Address>& copy = stream.converted.emplace_back();
    if (!entrant.subject->converts()) continue;
    copy = stream.addresses;
    for (Address& address : copy) address = entrant.subject->convert(address);
  }
  return stream;
}

template <class Address>
auto Bench<Address>::prefix_stream() -> const Stream& {
  if (!prefix_stream_) prefix_stream_ = make_stream(Traffic::prefix);
  return *prefix_stream_;
}

template <class Address>
void Bench<Address>::verify(const std::string& name, const Subject<Address>& subject,
                            std::span<const Address> addresses,
                            std::span<const std::uint32_t> expected) const {
  Address burst[kMaxBurst];
  Answers answers;
  for (std::size_t base = 0; base < expected.size(); base += kMaxBurst) {
    const auto n = static_cast<unsigned>(std::min<std::size_t>(kMaxBurst, expected.size() - base));
    for (unsigned i = 0; i < n; ++i) burst[i] = subject.convert(addresses[base + i]);
    subject.lookup(burst, answers, n);
    for (unsigned i = 0; i < n; ++i) {
      if (subject.id(answers, i) == expected[base + i]) continue;
      throw std::runtime_error(name + " is wrong about " + to_string(addresses[base + i]) +
                               ": it says next hop " + std::to_string(subject.id(answers, i)) +
                               ", right is " + std::to_string(expected[base + i]) + " (0: no route)");
    }
  }
}

template <class Address>
void Bench<Address>::progress(const std::string& what) const {
  std::fprintf(stderr, "%6.1f s  %s\n", static_cast<double>(__rdtsc() - start_) / ticks_per_second(),
               name(what).c_str());
}

template <class Address>
void Bench<Address>::memory() {
  if (!wanted("memory")) return;
  for (const Entrant& entrant : entrants_) {
    report_.add(name("memory"), entrant.factory.name, "MB",
                {static_cast<double>(entrant.subject->memory_bytes()) / 1e6});
  }
}

template <class Address>
void Bench<Address>::lookups() {
  for (const Traffic traffic : kTraffic) {
    if (std::none_of(std::begin(kBursts), std::end(kBursts),
                     [&](unsigned burst) { return wanted(lookup_name(traffic, burst)); }))
      continue;
    if (traffic == Traffic::prefix)
      lookups(traffic, prefix_stream());
    else
      lookups(traffic, make_stream(traffic));
  }
}

template <class Address>
void Bench<Address>::lookups(Traffic traffic, const Stream& stream) {
  for (const Entrant& entrant : entrants_)
    verify(entrant.factory.name, *entrant.subject, stream.addresses, stream.expected);

  for (const unsigned burst : kBursts) {
    const std::string what = lookup_name(traffic, burst);
    if (!wanted(what)) continue;
    progress(what);
    std::vector<std::vector<double>> runs(entrants_.size());
    std::vector<std::size_t> at(entrants_.size());
    for (unsigned run = 0; run < options_.runs; ++run) {
      for (std::size_t e = 0; e < entrants_.size(); ++e) {
        Subject<Address>& subject = *entrants_[e].subject;
        // The caches get this subject's lines before the clock runs.
        lookup_rate(subject, stream.of(e), burst, options_.pass_seconds / 10, at[e]);
        runs[e].push_back(lookup_rate(subject, stream.of(e), burst, options_.pass_seconds, at[e]));
      }
    }
    for (std::size_t e = 0; e < entrants_.size(); ++e)
      report_.add(name(what), entrants_[e].factory.name, "Mlps", runs[e]);
  }
}

template <class Address>
void Bench<Address>::loads() {
  if (wanted("load-sorted"))
    load("load-sorted", routes_, prefix_stream().addresses, prefix_stream().expected);
  if (wanted("load-shuffled")) {
    std::vector<Route<Address>> shuffled = routes_;
    std::shuffle(shuffled.begin(), shuffled.end(), Random(options_.seed));
    load("load-shuffled", shuffled, prefix_stream().addresses, prefix_stream().expected);
  }
  if (kBits<Address> == 32 && wanted("load-feed")) {
    const auto feed = read_table<Address>(options_.feed);
    const auto sample = perf::make_stream<Address>(Traffic::prefix, feed, options_.seed);
    load("load-feed", feed, sample, right_answers<Address>(Oracle<Address>(feed), sample));
  }
}

// The time from nothing to a table that answers, the making of the empty table included.
template <class Address>
void Bench<Address>::load(const std::string& what, std::span<const Route<Address>> routes,
                          std::span<const Address> sample, std::span<const std::uint32_t> expected) {
  progress(what);
  std::vector<std::vector<double>> runs(entrants_.size());
  for (unsigned run = 0; run < options_.load_runs; ++run) {
    for (std::size_t e = 0; e < entrants_.size(); ++e) {
      if (!entrants_[e].subject->changes()) continue;
      const std::uint64_t start = ticks_fenced();
      const auto subject = make_loaded(entrants_[e], routes);
      runs[e].push_back(static_cast<double>(ticks_fenced() - start) / ticks_per_second());
      if (run == 0) verify(entrants_[e].factory.name, *subject, sample, expected);
    }
  }
  for (std::size_t e = 0; e < entrants_.size(); ++e) {
    if (!runs[e].empty()) report_.add(name(what), entrants_[e].factory.name, "s", runs[e]);
  }
}

template void Bench<Address4>::run();
template void Bench<Address6>::run();
#define MILLRACE_PERF_SHARED(Address)                                                                   \
  template void Bench<Address>::verify(const std::string&, const Subject<Address>&,                     \
                                       std::span<const Address>, std::span<const std::uint32_t>) const; \
  template auto Bench<Address>::prefix_stream()->const Stream&;                                         \
  template void Bench<Address>::progress(const std::string&) const;                                     \
  template std::vector<std::uint32_t> right_answers(const Oracle<Address>&, std::span<const Address>);
MILLRACE_PERF_SHARED(Address4)  // what bench_changes.cc uses, too
MILLRACE_PERF_SHARED(Address6)
#undef MILLRACE_PERF_SHARED

}  // namespace millrace::perf
