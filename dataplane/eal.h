// DPDK's environment, started once per process. Owned by the control thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "net/result.h"

namespace millrace::dataplane {

struct EalOptions {
  unsigned control_core = 0;
  std::vector<unsigned> worker_cores;
  std::uint64_t memory_bytes = 0;
  enum class Huge { automatic, size_1g, size_2m, none } hugepages = Huge::automatic;
  std::vector<std::string> pci_devices;  // addresses to probe; others are left alone
  std::vector<std::string> drivers;      // shared objects to load beside the distribution's
};

class Eal {
 public:
  // The calling thread becomes the main lcore, pinned to the control core. Once per process: a second call is
  // an error.
  static Result<std::unique_ptr<Eal>> start(const EalOptions& options);
  ~Eal();
  Eal(const Eal&) = delete;
  Eal& operator=(const Eal&) = delete;

  // The lcore of the i-th worker: threads are numbered apart from cores, so that two may share one.
  static constexpr unsigned worker_lcore(unsigned i) { return i + 1; }
  [[nodiscard]] const std::string& hugepages() const { return hugepages_; }  // "1G", "2M" or "none"

 private:
  explicit Eal(std::string hugepages) : hugepages_(std::move(hugepages)) {}
  std::string hugepages_;
};

}  // namespace millrace::dataplane
