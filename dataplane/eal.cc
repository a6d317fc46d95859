#include "dataplane/eal.h"

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>

namespace millrace::dataplane {
namespace {

std::uint64_t free_huge_bytes(const char* kilobytes) {
  std::ifstream file(std::string("/sys/kernel/mm/hugepages/hugepages-") + kilobytes + "kB/free_hugepages");
  std::uint64_t pages = 0;
  file >> pages;
  return pages * std::stoull(kilobytes) * 1024;
}

// The page size to use, "none" for ordinary pages.
Result<std::string> choose_pages(const EalOptions& options) {
  using Huge = EalOptions::Huge;
  const bool has_1g = free_huge_bytes("1048576") >= options.memory_bytes;
  const bool has_2m = free_huge_bytes("2048") >= options.memory_bytes;
  if (options.hugepages == Huge::none) return std::string("none");
  if (options.hugepages == Huge::size_1g && !has_1g)
    return Error{"not enough free 1G hugepages for dataplane.memory"};
  if (options.hugepages == Huge::size_2m && !has_2m)
    return Error{"not enough free 2M hugepages for dataplane.memory"};
  if (has_1g && options.hugepages != Huge::size_2m) return std::string("1G");
  return std::string(has_2m ? "2M" : "none");
}

// lcore 0 is the control thread, 1 and on are workers, each pinned to its core.
std::string lcores(const EalOptions& options) {
  std::string list = "0@" + std::to_string(options.control_core);
  for (unsigned i = 0; i < options.worker_cores.size(); ++i) {
    list += "," + std::to_string(Eal::worker_lcore(i)) + "@" + std::to_string(options.worker_cores[i]);
  }
  return list;
}

std::vector<std::string> arguments(const EalOptions& options, const std::string& pages) {
  std::vector<std::string> args{"millraced",
                                "--lcores",
                                lcores(options),
                                "--main-lcore",
                                "0",
                                "-m",
                                std::to_string(options.memory_bytes >> 20),
                                "--no-telemetry",
                                "--log-level=*:warning"};
  if (pages == "none") {
    args.insert(args.end(), {"--no-huge", "--no-shconf"});
  } else {
    args.emplace_back("--in-memory");
  }
  if (options.pci_devices.empty()) {
    args.insert(args.end(), {"--no-pci", "--iova-mode=va"});
  }
  for (const std::string& driver : options.drivers) args.insert(args.end(), {"-d", driver});
  for (const std::string& device : options.pci_devices) args.insert(args.end(), {"-a", device});
  return args;
}

}  // namespace

Result<std::unique_ptr<Eal>> Eal::start(const EalOptions& options) {
  const auto pages = choose_pages(options);
  if (!pages) return Error{pages.error()};
  std::vector<std::string> args = arguments(options, *pages);
  std::vector<char*> argv;
  for (std::string& arg : args) argv.push_back(arg.data());
  if (rte_eal_init(static_cast<int>(argv.size()), argv.data()) < 0) {
    return Error{std::string("DPDK did not start: ") + rte_strerror(rte_errno)};
  }
  return std::unique_ptr<Eal>(new Eal(*pages));
}

Eal::~Eal() {
  rte_eal_cleanup();
}

}  // namespace millrace::dataplane
