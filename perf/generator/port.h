// A DPDK port of the generator or the wire, with its buffers, and the start of DPDK's environment.
#pragma once

#include <rte_mbuf.h>

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "net/mac.h"

namespace millrace::perf {

inline constexpr std::uint16_t kBurst = 32;

struct EalOptions {
  std::string program;
  std::vector<std::string> devices;  // PCI addresses, or a driver with arguments: "net_memif,role=server"
  unsigned core = 0;
  bool hugepages = true;
  unsigned memory_mb = 256;
};

// Starts the environment in this thread, on `core`. Names of the ports, in the order of the devices. All that
// DPDK says goes to standard error.
std::vector<std::string> start_eal(const EalOptions& options);

class Port {
 public:
  // A memory interface has to have as many receive queues as its peer has transmit queues; one queue a port
  // is enough for all others.
  explicit Port(const std::string& name, std::uint16_t rx_queues = 1);
  ~Port();
  Port(const Port&) = delete;
  Port& operator=(const Port&) = delete;

  [[nodiscard]] const MacAddress& mac() const { return mac_; }
  [[nodiscard]] bool link_up() const;

  // Buffers that only this port's frames are made in: what a frame's body holds stays from use to use.
  [[nodiscard]] rte_mempool* tx_pool() const { return tx_pool_; }

  // From one queue after the other.
  std::uint16_t receive(std::span<rte_mbuf*> frames);
  // How many were taken; the rest is still the caller's.
  std::uint16_t transmit(std::span<rte_mbuf*> frames) const;

 private:
  void configure();

  std::string name_;
  std::uint16_t id_ = 0;
  std::uint16_t rx_queues_;
  std::uint16_t next_queue_ = 0;
  MacAddress mac_;
  rte_mempool* rx_pool_ = nullptr;
  rte_mempool* tx_pool_ = nullptr;
};

}  // namespace millrace::perf
