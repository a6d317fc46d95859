// How long the control plane takes to move all traffic from a next hop that failed, beside rewriting every
// prefix that led there: what it would take without groups. perf/routes.sh runs it.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <iostream>
#include <regex>
#include <stdexcept>
#include <string>
#include <vector>

#include "perf/measure.h"
#include "perf/report.h"
#include "perf/route_stand.h"
#include "perf/tables.h"

namespace millrace::perf {
namespace {

using dataplane::NextHop;

enum class Event : std::uint8_t {
  neighbor,  // a neighbour is found dead
  link,      // the interface that it is on goes down
};

// All groups have the one member in common that fails; the others are on another port.
struct Case {
  const char* name;
  std::uint32_t groups;
  std::uint32_t members;  // of each group
  Event event;
};
constexpr Case kCases[] = {
    {"failover/group", 1, 2, Event::neighbor},
    {"failover/group-link", 1, 2, Event::link},
    {"failover/1000-groups", 1000, 2, Event::neighbor},
    {"failover/1000-groups-link", 1000, 2, Event::link},
    {"failover/1000-groups-of-4", 1000, 4, Event::neighbor},
};

double us_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count();
}

// The value that 99 of 100 do not exceed.
double p99(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const auto rank = static_cast<std::size_t>(std::ceil(0.99 * static_cast<double>(values.size())));
  return values[rank - 1];
}

class Failover {
 public:
  Failover(const Case& what, const std::vector<Route4>& routes) : case_(what), routes_(routes) {
    for (std::uint32_t g = 0; g < case_.groups; ++g) {
      RouteStand::Hops hops{dead_.address};
      for (std::uint32_t m = 1; m < case_.members; ++m)
        hops.emplace_back(RouteStand::behind_second(g * (case_.members - 1) + m));
      groups_.push_back(stand_.acquire(std::move(hops)));
    }
    for (const Route4& route : routes_) {
      stand_.add_route(rib_, prefix_of(route), group_of(route));
    }
    check_moved(false);
    fib_before_ = fib_answers();
  }

  // Microseconds from the event to the end of the call that moves the traffic: giving back what was replaced,
  // which comes after the last store, is in it. Leaves all as it was.
  double fail_once() {
    evictor_.evict();
    const std::uint64_t published = stand_.next_hops().groups_published();
    const auto start = std::chrono::steady_clock::now();
    strike();
    const double us = us_since(start);
    if (stand_.next_hops().groups_published() - published != case_.groups)
      throw std::runtime_error("published " +
                               std::to_string(stand_.next_hops().groups_published() - published) +
                               " groups, not " + std::to_string(case_.groups));
    check_moved(true);
    recover();
    check_moved(false);
    return us;
  }

  // No failure has changed a FIB entry.
  void check_fib() const {
    if (fib_answers() != fib_before_) throw std::runtime_error(std::string(case_.name) + ": the FIB changed");
  }

 private:
  [[nodiscard]] NextHopId group_of(const Route4& route) const { return groups_[route.id % case_.groups]; }

  [[nodiscard]] std::vector<NextHopId> fib_answers() const {
    std::vector<NextHopId> answers;
    answers.reserve(routes_.size());
    const auto& fib = stand_.tables().fib<Ipv4Address>(RouteStand::kFib);
    for (const Route4& route : routes_) answers.push_back(fib.lookup(Ipv4Address(route.address)));
    return answers;
  }

  void strike() {
    if (case_.event == Event::neighbor)
      return stand_.next_hops().neighbor_changed(dead_, RouteStand::LinkState::failed, {});
    stand_.first().up = false;
    stand_.next_hops().interfaces_lost();
  }

  // What follows in the router, and then the way back.
  void recover() {
    if (case_.event == Event::neighbor) {
      stand_.next_hops().neighbor_changed(dead_, RouteStand::LinkState::resolved, RouteStand::kMac);
    } else {
      for (const bool up : {false, true}) {
        stand_.first().up = up;
        stand_.interfaces().publish_addresses();
        stand_.next_hops().interfaces_changed();
      }
    }
    stand_.settle();
  }

  // Whether workers find the dead neighbour behind no group any more, or behind all of them.
  void check_moved(bool moved) const {
    for (const NextHopId id : groups_) {
      if (names_dead(stand_.tables().next_hop(id)) == moved)
        throw std::runtime_error(std::string(case_.name) + (moved ? ": a group still names the dead neighbour"
                                                                  : ": a group lacks a member"));
    }
  }
  [[nodiscard]] bool names_dead(NextHop next_hop) const {
    const auto leads_there = [&](std::uint32_t index) {
      return stand_.tables().adjacency(index).address == dead_.address;
    };
    if (next_hop.kind() == NextHop::Kind::forward) return leads_there(next_hop.index());
    if (next_hop.kind() != NextHop::Kind::group) throw std::runtime_error("a group forwards nothing");
    for (std::uint32_t i = 0; i < next_hop.buckets(); ++i) {
      if (leads_there(stand_.tables().bucket(next_hop.bucket(i)))) return true;
    }
    return false;
  }

  const Case& case_;
  const std::vector<Route4>& routes_;
  RouteStand stand_;
  controlplane::Rib rib_{stand_.writer(), stand_.next_hops(), RouteStand::kFib};
  controlplane::NeighborKey dead_{stand_.first().id, RouteStand::behind_first(0)};
  std::vector<NextHopId> groups_;
  std::vector<NextHopId> fib_before_;  // what lookups find, prefix by prefix
  Evictor evictor_;
};

// A FIB whose entries name neighbours: when their port fails, each prefix gets another one.
class OneByOne {
 public:
  explicit OneByOne(const std::vector<Route4>& routes) : routes_(routes) {
    for (const Route4& route : routes_) largest_ = std::max(largest_, route.id);
    rewrite();
  }
  OneByOne(const OneByOne&) = delete;
  OneByOne& operator=(const OneByOne&) = delete;
  ~OneByOne() { settle(); }

  // Microseconds for all prefixes, in the file's order.
  double rewrite() {
    moved_ = !moved_;
    const auto start = std::chrono::steady_clock::now();
    std::size_t done = 0;
    for (const Route4& route : routes_) {
      const auto changed = fib_.insert(prefix_of(route), NextHopId(route.id + (moved_ ? largest_ : 0)), 0);
      if (!changed) throw std::runtime_error(changed.error());
      if (++done % 1024 == 0) reclaimer_.poll();
    }
    const double us = us_since(start);
    settle();
    return us;
  }

 private:
  void settle() {
    while (reclaimer_.poll() != 0) {
    }
  }

  const std::vector<Route4>& routes_;
  std::uint32_t largest_ = 0;
  bool moved_ = true;
  lpm::Reclaimer reclaimer_{1};
  lpm::Ipv4Table fib_{reclaimer_, {lpm::TableLimits{}.max_groups, lpm::Pages::transparent}};
};

struct Options {
  std::string table4;
  std::string json;
  std::string only;
  unsigned runs = 5;
  unsigned failures = 100;  // in a run
};

void measure(const Case& what, const Options& options, const std::vector<Route4>& routes, OneByOne& peer,
             Report& report) {
  Failover failover(what, routes);
  std::vector<double> medians, tails, rewrites;
  for (unsigned run = 0; run < options.runs; ++run) {
    std::vector<double> us;
    for (unsigned i = 0; i < options.failures; ++i) us.push_back(failover.fail_once());
    medians.push_back(median(us));
    tails.push_back(p99(us));
    rewrites.push_back(peer.rewrite());
  }
  failover.check_fib();
  report.add(what.name, "millrace", "us", medians);
  report.add(what.name, "one-by-one", "us", rewrites);
  report.add(std::string(what.name) + "-p99", "millrace", "us", tails);
}

int run(const Options& options) {
  const std::regex only(options.only);
  const std::vector<Route4> routes = read_table<Address4>(options.table4);
  OneByOne peer(routes);
  Report report;
  for (const Case& what : kCases) {
    if (std::regex_search(what.name, only)) measure(what, options, routes, peer, report);
  }
  report.write_json(options.json);
  return 0;
}

}  // namespace
}  // namespace millrace::perf

int main(int argc, char** argv) {
  millrace::perf::Options options;
  CLI::App app("Moving traffic from a next hop that failed, and the same prefix by prefix");
  app.add_option("--table4", options.table4, "IPv4 routes: gzipped text, a line \"PREFIX NEXT-HOP\"")
      ->required();
  app.add_option("--json", options.json, "where the figures go")->required();
  app.add_option("--only", options.only, "run the cases whose name this regular expression finds");
  app.add_option("--runs", options.runs, "runs of each case")->check(CLI::PositiveNumber);
  app.add_option("--failures", options.failures, "failures in a run")->check(CLI::PositiveNumber);
  CLI11_PARSE(app, argc, argv);
  try {
    return millrace::perf::run(options);
  } catch (const std::exception& error) {
    std::cerr << "failover_bench: " << error.what() << '\n';
    return 1;
  }
}
