// A port: one DPDK ethdev, and its part of the buffer pool that it receives into. Hardware only; layer 3 is
// the interface's.
//
// Owned and changed by the control thread. Workers use its queues by number, through their plans: a port may
// be stopped only a grace period after the last plan that named it.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "dataplane/buffer_pools.h"
#include "dataplane/port_marks.h"
#include "dataplane/punt.h"
#include "dataplane/rss.h"
#include "net/mac.h"
#include "net/result.h"
#include "net/strong_id.h"

namespace millrace::dataplane {

struct PortOptions {
  std::string name;        // the interface's; part of the vdev's name
  std::string device;      // PCI address or devargs
  unsigned rx_queues = 1;  // wanted; the port may have fewer
  unsigned tx_queues = 2;  // wanted: one a worker and one for the control thread
  std::uint16_t mtu = 1500;
  unsigned workers = 1;  // how many threads keep buffers in caches, rings and transmit queues
  unsigned alike = 1;    // how many ports like it are opened now, this one first
  bool offloads = true;  // those of PortOffloads, as far as the port has them
  bool symmetric_rss = false;
  Doorbell* link_bell = nullptr;  // rung when the port says that its link changed; outlives it; null: none
};

bool is_pci_address(const std::string& device);

// What the port does that software would do else, with the same results.
struct PortOffloads {
  bool ipv4_checksum = false;  // marks headers that it found good
  bool flow_hash = false;      // marks frames with the hash of their flow
  bool vlan_strip = false;     // takes a tag off
  bool vlan_insert = false;    // puts a tag in, where a buffer asks for it
  [[nodiscard]] PortMarks marks() const { return {ipv4_checksum, flow_hash}; }
  [[nodiscard]] std::vector<std::string> names() const;
};

struct PortStats {
  std::uint64_t rx_missed = 0;
  std::uint64_t rx_errors = 0;
  std::uint64_t tx_errors = 0;
};

class Port {
 public:
  // Probes, configures and starts the device. The pools outlive the port.
  static Result<std::unique_ptr<Port>> open(const PortOptions& options, BufferPools& pools);
  ~Port();  // stops, closes and removes the device
  Port(const Port&) = delete;
  Port& operator=(const Port&) = delete;

  [[nodiscard]] PortId id() const { return PortId(id_); }
  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] const std::string& driver() const { return driver_; }
  [[nodiscard]] MacAddress mac() const { return mac_; }
  [[nodiscard]] std::uint16_t rx_queues() const { return rx_queues_; }
  [[nodiscard]] std::uint16_t tx_queues() const { return tx_queues_; }
  [[nodiscard]] bool multi_segment() const { return multi_segment_; }
  [[nodiscard]] const PortOffloads& offloads() const { return offloads_; }
  [[nodiscard]] Rss rss() const { return rss_; }  // by which frames are spread over its receive queues
  [[nodiscard]] rte_mempool* pool() const { return buffers_.pool(); }
  // Carrier: the port's; where the port is a view on a kernel interface, that one's (net_af_packet says "up"
  // always). Of a port that tells when it changes, as it told last.
  [[nodiscard]] bool link_up() const;
  [[nodiscard]] PortStats stats() const;
  Result<void> set_mtu(std::uint16_t mtu);
  void stop();  // no more frames in or out; the device stays

 private:
  Port() = default;
  Result<void> probe(const PortOptions& options);
  Result<void> configure(const PortOptions& options, BufferPools& pools);
  void settle_rss(bool symmetric, std::span<const std::uint8_t> key, std::uint64_t types);
  Result<void> setup_queues(const PortOptions& options, int numa_node, BufferPools& pools);

  std::string name_;
  std::string device_name_;
  std::string bus_;
  bool probed_ = false;
  bool has_id_ = false;
  bool started_ = false;
  std::uint16_t id_ = 0;
  unsigned max_mtu_ = 0xffff;      // bytes of IP that the driver can carry
  unsigned kernel_interface_ = 0;  // its index; 0: none
  Doorbell* link_bell_ = nullptr;  // null: the port does not tell
  std::string driver_;
  MacAddress mac_;
  std::uint16_t rx_queues_ = 0;
  std::uint16_t tx_queues_ = 0;
  bool multi_segment_ = false;
  PortOffloads offloads_;
  Rss rss_ = Rss::off;
  BufferPools::Part buffers_;
};

}  // namespace millrace::dataplane
