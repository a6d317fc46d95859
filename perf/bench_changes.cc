// The cases in which a full table changes: one change at a time on cold caches, and lookups while changes go
// on.
#include <pthread.h>

#include <algorithm>
#include <iostream>
#include <numeric>
#include <random>
#include <stdexcept>

#include "perf/bench.h"
#include "perf/changer.h"
#include "perf/churn.h"
#include "perf/measure.h"

namespace millrace::perf {
namespace {

// The value that 99 of 100 do not exceed.
double percentile_99(std::vector<double> values) {
  const auto at = values.begin() + static_cast<std::ptrdiff_t>(values.size() * 99 / 100);
  std::nth_element(values.begin(), at, values.end());
  return *at;
}

void check(bool good, const std::string& subject) {
  if (!good) throw std::runtime_error(subject + " refused a change");
}

}  // namespace

void bind_to_core(unsigned core) {
  cpu_set_t cores;
  CPU_ZERO(&cores);
  CPU_SET(core, &cores);
  if (pthread_setaffinity_np(pthread_self(), sizeof(cores), &cores) != 0)
    throw std::runtime_error("cannot run on core " + std::to_string(core));
}

// The table as it was changed, and as it was before once the changes are undone.
template <class Address>
void Bench<Address>::verify_changed(const Entrant& entrant, Changer<Address>& changer) {
  const Stream& stream = prefix_stream();
  Oracle<Address> changed = *oracle_;
  changer.teach(changed);
  verify(entrant.factory.name, *entrant.subject, stream.addresses,
         right_answers<Address>(changed, stream.addresses));
  check(changer.restore(), entrant.factory.name);
  verify(entrant.factory.name, *entrant.subject, stream.addresses, stream.expected);
}

template <class Address>
void Bench<Address>::changes() {
  if (!wanted("change")) return;
  changes("change", Caches::cold);
  changes("change-in-turn", Caches::left_alone);
}

template <class Address>
void Bench<Address>::changes(const std::string& what, Caches caches) {
  progress(what);
  std::vector<std::vector<double>> medians(entrants_.size());
  std::vector<std::vector<double>> tails(entrants_.size());
  for (unsigned block = 0; block < options_.change_blocks; ++block) {
    for (std::size_t e = 0; e < entrants_.size(); ++e) {
      if (!entrants_[e].subject->changes()) continue;
      std::vector<double> us;
      change_block(entrants_[e], options_.seed + block, caches, us);
      medians[e].push_back(median(us));
      tails[e].push_back(percentile_99(us));
    }
  }
  for (std::size_t e = 0; e < entrants_.size(); ++e) {
    if (medians[e].empty()) continue;
    report_.add(name(what), entrants_[e].factory.name, "us", medians[e]);
    report_.add(name(what + "-p99"), entrants_[e].factory.name, "us", tails[e]);
  }
}

// Prefixes drawn without repetition: a third of them is taken out beforehand and put back by a timed change,
// a third is taken out, a third gets another next hop.
template <class Address>
void Bench<Address>::change_block(const Entrant& entrant, std::uint64_t seed, Caches caches,
                                  std::vector<double>& us) {
  Random random(seed);
  std::vector<std::uint32_t> drawn(routes_.size());
  std::iota(drawn.begin(), drawn.end(), 0u);
  std::shuffle(drawn.begin(), drawn.end(), random);
  drawn.resize(std::min<std::size_t>(drawn.size(), options_.changes_a_block));

  Changer<Address> changer(*entrant.subject, routes_, seed);
  for (std::size_t i = 0; i < drawn.size(); i += 3)
    check(changer.set(drawn[i], kNoRoute), entrant.factory.name);
  entrant.subject->maintain();

  static Evictor evictor;
  for (std::size_t i = 0; i < drawn.size(); ++i) {
    if (caches == Caches::cold) evictor.evict();
    const std::uint64_t start = ticks_fenced();
    const bool good = i % 3 == 0   ? changer.set(drawn[i], routes_[drawn[i]].id)
                      : i % 3 == 1 ? changer.set(drawn[i], kNoRoute)
                                   : changer.change(drawn[i]);
    us.push_back(static_cast<double>(ticks_fenced() - start) / ticks_per_second() * 1e6);
    check(good, entrant.factory.name);
    if (i % 64 == 0) entrant.subject->maintain();
  }
  verify_changed(entrant, changer);
}

template <class Address>
void Bench<Address>::churn() {
  if (!wanted("lookup-under-churn")) return;
  if (!options_.churn_core) {
    std::cerr << name("lookup-under-churn") << ": skipped, it needs a second core\n";
    return;
  }
  progress("lookup-under-churn");
  for (std::size_t e = 0; e < entrants_.size(); ++e) {
    if (entrants_[e].subject->changes()) churn(e);
  }
}

template <class Address>
void Bench<Address>::churn(std::size_t e) {
  const Stream& stream = prefix_stream();
  const Entrant& entrant = entrants_[e];
  Subject<Address>& subject = *entrant.subject;
  Changer<Address> changer(subject, routes_, options_.seed);
  std::vector<double> quiet;
  std::vector<double> during;
  std::vector<double> rate;
  std::size_t at = 0;
  {
    Churn<Address> thread(changer, subject, *options_.churn_core);
    subject.reader_online();
    const auto window = [&](double seconds) {
      return lookup_rate(subject, stream.of(e), kMaxBurst, seconds, at);
    };
    for (unsigned run = 0; run < options_.runs; ++run) {
      window(options_.pass_seconds / 10);
      quiet.push_back(window(options_.pass_seconds));
      thread.start();
      window(options_.pass_seconds / 10);
      const std::uint64_t changes = thread.changes();
      const std::uint64_t start = __rdtsc();
      during.push_back(window(options_.pass_seconds));
      rate.push_back(static_cast<double>(thread.changes() - changes) * ticks_per_second() /
                     static_cast<double>(__rdtsc() - start) / 1e3);
      thread.stop();
    }
    subject.reader_offline();
    check(!thread.failed(), entrant.factory.name);
  }
  verify_changed(entrant, changer);
  report_.add(name("lookup-under-churn"), entrant.factory.name, "Mlps", during);
  report_.add(name("lookup-quiet"), entrant.factory.name, "Mlps", quiet);
  report_.add(name("churn-rate"), entrant.factory.name, "k/s", rate);
}

template void Bench<Address4>::changes();
template void Bench<Address6>::changes();
template void Bench<Address4>::churn();
template void Bench<Address6>::churn();

}  // namespace millrace::perf
