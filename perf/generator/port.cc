#include "perf/generator/port.h"

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_log.h>

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <stdexcept>

namespace millrace::perf {
namespace {

constexpr unsigned kRxBuffers = 8191;
constexpr unsigned kTxBuffers = 8191;
constexpr unsigned kCache = 256;
constexpr std::uint16_t kRing = 2048;
constexpr std::uint16_t kBufferBytes = RTE_MBUF_DEFAULT_BUF_SIZE;

bool is_pci(const std::string& device) {
  return !device.empty() && std::isxdigit(static_cast<unsigned char>(device[0])) != 0 &&
         device.find(':') != std::string::npos && !device.starts_with("net_");
}

[[noreturn]] void fail(const std::string& what, int error) {
  throw std::runtime_error(what + ": " + rte_strerror(error < 0 ? -error : error));
}

rte_mempool* make_pool(const std::string& name, unsigned count, std::uint16_t bytes) {
  rte_mempool* pool = rte_pktmbuf_pool_create(name.c_str(), count, kCache, 0, bytes, SOCKET_ID_ANY);
  if (pool == nullptr) fail("no memory for the buffers " + name, rte_errno);
  return pool;
}

}  // namespace

std::vector<std::string> start_eal(const EalOptions& options) {
  std::vector<std::string> words = {options.program,  "-l", std::to_string(options.core),
                                    "--no-telemetry", "-m", std::to_string(options.memory_mb)};
  // Nothing is left in the file system, and nothing is shared with other DPDK programs.
  if (options.hugepages)
    words.emplace_back("--in-memory");
  else
    words.insert(words.end(), {"--no-huge", "--no-shconf"});
  std::vector<std::string> names;
  bool any_pci = false;
  for (const std::string& device : options.devices) {
    if (is_pci(device)) {
      words.insert(words.end(), {"-a", device});
      names.push_back(device.substr(0, device.find(',')));
      any_pci = true;
      continue;
    }
    // DPDK wants a number behind a driver's name.
    const std::size_t end = std::min(device.find(','), device.size());
    names.push_back(device.substr(0, end) + std::to_string(names.size()));
    words.insert(words.end(), {"--vdev", names.back() + device.substr(end)});
  }
  if (!any_pci) words.insert(words.end(), {"--no-pci", "--iova-mode=va"});
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  rte_openlog_stream(stderr);
  if (rte_eal_init(static_cast<int>(arguments.size()), arguments.data()) < 0)
    fail("DPDK's environment does not start", rte_errno);
  return names;
}

Port::Port(const std::string& name, std::uint16_t rx_queues) : name_(name), rx_queues_(rx_queues) {
  if (const int error = rte_eth_dev_get_port_by_name(name.c_str(), &id_); error != 0)
    fail("there is no port " + name, error);
  configure();
  rte_ether_addr mac;
  rte_eth_macaddr_get(id_, &mac);
  std::copy_n(mac.addr_bytes, mac_.bytes.size(), mac_.bytes.begin());
}

void Port::configure() {
  rx_pool_ = make_pool("rx-" + std::to_string(id_), kRxBuffers, kBufferBytes);
  tx_pool_ = make_pool("tx-" + std::to_string(id_), kTxBuffers, kBufferBytes);
  const rte_eth_conf plain{};
  if (const int error = rte_eth_dev_configure(id_, rx_queues_, 1, &plain); error != 0)
    fail(name_ + " is not configured", error);
  std::uint16_t rx = kRing, tx = kRing;
  rte_eth_dev_adjust_nb_rx_tx_desc(id_, &rx, &tx);
  const int socket = rte_eth_dev_socket_id(id_);
  const auto node = static_cast<unsigned>(socket);
  int error = 0;
  for (std::uint16_t queue = 0; queue < rx_queues_ && error == 0; ++queue)
    error = rte_eth_rx_queue_setup(id_, queue, rx, node, nullptr, rx_pool_);
  if (error == 0) error = rte_eth_tx_queue_setup(id_, 0, tx, node, nullptr);
  if (error == 0) error = rte_eth_dev_start(id_);
  if (error != 0) fail(name_ + " does not start", error);
  rte_eth_promiscuous_enable(id_);  // a learning test sends to MACs that are not the port's
}

Port::~Port() {
  rte_eth_dev_stop(id_);
  rte_eth_dev_close(id_);
  rte_mempool_free(rx_pool_);
  rte_mempool_free(tx_pool_);
}

bool Port::link_up() const {
  rte_eth_link link{};
  return rte_eth_link_get_nowait(id_, &link) == 0 && link.link_status == RTE_ETH_LINK_UP;
}

std::uint16_t Port::receive(std::span<rte_mbuf*> frames) {
  for (std::uint16_t i = 0; i < rx_queues_; ++i) {
    const std::uint16_t queue = next_queue_;
    next_queue_ = static_cast<std::uint16_t>(queue + 1 == rx_queues_ ? 0 : queue + 1);
    const std::uint16_t count =
        rte_eth_rx_burst(id_, queue, frames.data(), static_cast<std::uint16_t>(frames.size()));
    if (count != 0) return count;
  }
  return 0;
}

std::uint16_t Port::transmit(std::span<rte_mbuf*> frames) const {
  return rte_eth_tx_burst(id_, 0, frames.data(), static_cast<std::uint16_t>(frames.size()));
}

}  // namespace millrace::perf
