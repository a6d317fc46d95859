// Measures Millrace's prefix tables beside DPDK's, on the same routes and addresses. perf/lpm.sh runs it.
#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_memory.h>
#include <rte_version.h>
#include <sched.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdint>
#include <iostream>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "perf/bench.h"
#include "perf/report.h"

namespace millrace::perf {
namespace {

struct CommandLine {
  Options options;
  bool quick = false;
  std::string only;
  int core = -1;
  unsigned memory_mb = 2304;
  std::string command;   // of the caller's, for the figures
  std::string revision;  // of Millrace
};

std::vector<unsigned> allowed_cores() {
  cpu_set_t cores;
  std::vector<unsigned> list;
  if (sched_getaffinity(0, sizeof(cores), &cores) != 0) return list;
  for (unsigned core = 0; core < CPU_SETSIZE; ++core) {
    if (CPU_ISSET(core, &cores)) list.push_back(core);
  }
  return list;
}

void declare(CLI::App& app, CommandLine& line) {
  app.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  Options& options = line.options;
  app.add_flag("--quick", line.quick, "fewer and shorter runs: under a minute in all");
  app.add_option("--table4", options.table4, "IPv4 routes: gzipped text, a line \"PREFIX NEXT-HOP\"")
      ->required();
  app.add_option("--table6", options.table6, "IPv6 routes")->required();
  app.add_option("--feed", options.feed, "IPv4 routes in the order of their arrival")->required();
  app.add_option("--json", options.json, "also write the figures to this file");
  app.add_option("--only", line.only, "run the cases whose name this regular expression finds");
  app.add_option("--subjects", options.subjects, "take part, comma-separated: millrace,rte_fib4,...")
      ->delimiter(',')
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  app.add_option("--runs", options.runs, "runs of each lookup case (default 9, with --quick 3)")
      ->check(CLI::PositiveNumber);
  app.add_option("--seed", options.seed, "of the addresses and of all random orders");
  app.add_option("--core", line.core, "the core that measures (default: the last)");
  app.add_option("--memory", line.memory_mb, "MB of hugepages for DPDK's tables");
  app.add_option("--command", line.command, "what the figures are said to be made by")
      ->envname("MILLRACE_COMMAND");
  app.add_option("--revision", line.revision, "the revision of Millrace that they are of")
      ->envname("MILLRACE_REVISION");
  app.add_flag("--slow", options.slow, "let rte_lpm load and change tables, too: it takes minutes");
}

void settle(CommandLine& line, bool runs_given) {
  Options& options = line.options;
  if (line.quick) {
    if (!runs_given) options.runs = 3;
    options.pass_seconds = 0.05;
    options.load_runs = 1;
    options.change_blocks = 1;
    options.changes_a_block = 1500;
  }
  if (!line.only.empty()) options.only.emplace(line.only);
  const std::vector<unsigned> cores = allowed_cores();
  if (cores.empty()) throw std::runtime_error("no core to run on");
  if (line.core < 0) line.core = static_cast<int>(cores.back());
  for (const unsigned core : cores) {
    if (static_cast<int>(core) != line.core) options.churn_core = core;
  }
}

// rte_fib takes its vector forms only if EAL is told that 512 bits are welcome.
void start_eal(const CommandLine& line) {
  std::vector<std::string> args{"lpm_bench",
                                "--no-pci",
                                "--in-memory",
                                "--no-telemetry",
                                "--force-max-simd-bitwidth=512",
                                "--log-level=*:error",
                                "--file-prefix=lpm-bench-" + std::to_string(getpid()),
                                "-l",
                                std::to_string(line.core),
                                "-m",
                                std::to_string(line.memory_mb)};
  std::vector<char*> argv;
  for (std::string& arg : args) argv.push_back(arg.data());
  if (rte_eal_init(static_cast<int>(argv.size()), argv.data()) < 0)
    throw std::runtime_error(std::string("DPDK did not start: ") + rte_strerror(rte_errno));
}

// The sizes of the pages that DPDK's memory is on.
std::string page_sizes() {
  std::set<std::uint64_t> sizes;
  rte_memseg_walk(
      [](const rte_memseg_list*, const rte_memseg* segment, void* out) {
        static_cast<std::set<std::uint64_t>*>(out)->insert(segment->hugepage_sz);
        return 0;
      },
      &sizes);
  std::string text;
  for (const std::uint64_t size : sizes)
    text += (text.empty() ? "" : ", ") + std::to_string(size >> 10) + " kB";
  return text;
}

void describe(Report& report, const CommandLine& line) {
  report.made_by(line.command);
  describe_machine(report);
  report.describe("tsc MHz", std::to_string(rte_get_tsc_hz() / 1'000'000));
  report.describe("page size", page_sizes());
  report.describe("dpdk", rte_version());
  report.describe("millrace", line.revision);
  report.describe("seed", std::to_string(line.options.seed));
}

void measure(const CommandLine& line) {
  Report report;
  describe(report, line);
  report.print_machine(std::cout);
  std::cout.flush();
  Bench<Address4>(line.options, report).run();
  Bench<Address6>(line.options, report).run();
  report.print(std::cout, "v4/");
  report.print(std::cout, "v6/");
  std::cout << "\nMlps and k/s: more is better. s, us and MB: less is better.\n";
  if (!line.options.json.empty()) report.write_json(line.options.json);
}

}  // namespace
}  // namespace millrace::perf

int main(int argc, char** argv) {
  using namespace millrace::perf;
  CommandLine line;
  CLI::App app("Longest-prefix match: Millrace's tables and DPDK's");
  declare(app, line);
  CLI11_PARSE(app, argc, argv);
  try {
    settle(line, app.count("--runs") != 0);
    start_eal(line);
    measure(line);
  } catch (const std::exception& error) {
    std::cerr << "lpm_bench: " << error.what() << '\n';
    return 1;
  }
  return 0;
}
