// What a router's tables take, part by part: RIBs and FIBs of both families, and their next hops.
// perf/routes.sh runs it, in a process of its own, so that what the kernel counts as resident is theirs.
#include <malloc.h>

#include <CLI/CLI.hpp>
#include <cstdint>
#include <fstream>
#include <iostream>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "perf/report.h"
#include "perf/route_stand.h"
#include "perf/tables.h"

namespace millrace::perf {
namespace {

// Resident bytes of this process, of all page sizes, counted page by page.
std::size_t resident_bytes() {
  malloc_trim(0);
  std::ifstream in("/proc/self/smaps_rollup");
  std::size_t kilobytes = 0;
  for (std::string word; in >> word;) {
    if (word != "Rss:" && word != "Private_Hugetlb:") continue;
    std::size_t more = 0;
    in >> more;
    kilobytes += more;
  }
  if (kilobytes == 0) throw std::runtime_error("/proc/self/smaps_rollup says nothing");
  return kilobytes * 1024;
}

// Takes what is resident now as the start of the next part.
class Ruler {
 public:
  std::size_t step() {
    const std::size_t now = resident_bytes();
    const std::size_t more = now - last_;
    last_ = now;
    return more;
  }
  [[nodiscard]] std::size_t in_all() const { return last_ - first_; }

 private:
  std::size_t first_ = resident_bytes();
  std::size_t last_ = first_;
};

class Measurement {
 public:
  explicit Measurement(Report& report) : report_(report) {}

  void run(const std::vector<Route4>& routes4, const std::vector<Route6>& routes6, std::uint32_t next_hops) {
    Ruler ruler;
    RouteStand stand;
    part("empty", ruler.step());
    // A next hop of its own for each number, and a group of two for each: the costlier kind carries the
    // routes.
    std::vector<NextHopId> groups;
    for (std::uint32_t i = 0; i < next_hops; ++i) stand.acquire({RouteStand::behind_first(i)});
    part("next-hops", ruler.step());
    for (std::uint32_t i = 0; i < next_hops; ++i)
      groups.push_back(stand.acquire({RouteStand::behind_first(i), RouteStand::behind_second(i)}));
    part("groups", ruler.step());
    controlplane::Rib rib4(stand.writer(), stand.next_hops(), RouteStand::kFib);
    load(stand, rib4, routes4, groups);
    parts("v4", stand.writer().fib<Ipv4Prefix>(RouteStand::kFib), rib4, ruler.step());
    controlplane::Rib6 rib6(stand.writer(), stand.next_hops(), RouteStand::kFib);
    load(stand, rib6, routes6, groups);
    parts("v6", stand.writer().fib<Ipv6Prefix>(RouteStand::kFib), rib6, ruler.step());
    add("resident", ruler.in_all());
    add("accounted", accounted_);
  }

 private:
  template <class Rib, class Routes>
  static void load(RouteStand& stand, Rib& rib, const Routes& routes, const std::vector<NextHopId>& groups) {
    for (const auto& route : routes) stand.add_route(rib, prefix_of(route), groups[route.id % groups.size()]);
    stand.settle();
  }
  template <class Fib, class Rib>
  void parts(const std::string& family, const Fib& fib, const Rib& rib, std::size_t bytes) {
    add(family + "-lookups", fib.statistics().lookup_bytes);
    add(family + "-fib", fib.statistics().memory_bytes);
    add(family + "-rib", rib.memory_bytes());
    add(family + "-resident", bytes);
    accounted_ += fib.statistics().memory_bytes + rib.memory_bytes();
  }
  void part(const std::string& name, std::size_t bytes) {
    add(name, bytes);
    accounted_ += bytes;
  }
  void add(const std::string& name, std::size_t bytes) {
    report_.add("memory/" + name, "millrace", "MB", {static_cast<double>(bytes) / 1e6});
  }

  Report& report_;
  std::size_t accounted_ = 0;  // what the tables say that they hold; of next hops, what is resident
};

}  // namespace
}  // namespace millrace::perf

int main(int argc, char** argv) {
  using namespace millrace::perf;
  std::string table4, table6, json;
  std::uint32_t next_hops = 3771;
  CLI::App app("What the tables of a full router take");
  app.add_option("--table4", table4, "IPv4 routes: gzipped text, a line \"PREFIX NEXT-HOP\"")->required();
  app.add_option("--table6", table6, "IPv6 routes")->required();
  app.add_option("--json", json, "where the figures go")->required();
  app.add_option("--next-hops", next_hops, "how many")->check(CLI::Range(1, 60000));
  CLI11_PARSE(app, argc, argv);
  try {
    const auto routes4 = read_table<Address4>(table4);
    const auto routes6 = read_table<Address6>(table6);
    Report report;
    Measurement(report).run(routes4, routes6, next_hops);
    report.write_json(json);
  } catch (const std::exception& error) {
    std::cerr << "memory_bench: " << error.what() << '\n';
    return 1;
  }
  return 0;
}
