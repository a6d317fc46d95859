// A router in a test tube: the real Control and the real worker step, driven in turn by one thread.
//
// Ports are ethdevs made of rte_rings, whose far ends the test holds: what it puts into a receive ring
// arrives, what the router sends it takes out of a transmit ring. Time is the test's. A worker is a reader of
// the tables only while it steps, so that grace periods pass between two steps.
#pragma once

#include <gtest/gtest.h>
#include <rte_mbuf.h>
#include <rte_ring.h>

#include <array>
#include <functional>
#include <map>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "controlplane/control.h"
#include "dataplane/router_features.h"
#include "host_model.h"
#include "tests/packets/packet.h"

namespace millrace::behaviour {

using namespace packets;

using controlplane::Accounting;
using controlplane::Control;
using controlplane::Interface;
using controlplane::NeighborLimits;
using dataplane::DropReason;
using dataplane::PuntClass;

inline constexpr std::uint64_t kSecondNs = 1'000'000'000;

// An ethdev that is a pair of ring sets. Outlives the router's use of it, and can be made again after that.
class RingPort {
 public:
  RingPort(const std::string& name, unsigned rx_queues, unsigned tx_queues, unsigned rx_size,
           unsigned tx_size);
  ~RingPort();
  RingPort(const RingPort&) = delete;
  RingPort& operator=(const RingPort&) = delete;

  void make_device();  // unless it is there
  [[nodiscard]] std::string device() const { return "net_ring_" + name_; }
  [[nodiscard]] std::uint16_t port() const;
  [[nodiscard]] rte_ring* rx(unsigned queue) const { return rx_.at(queue); }
  [[nodiscard]] const std::vector<rte_ring*>& tx() const { return tx_; }

 private:
  std::string name_;
  std::vector<rte_ring*> rx_;
  std::vector<rte_ring*> tx_;
};

bool marks_everywhere();  // the environment says so: MILLRACE_LAB_MARKS

struct LabOptions {
  std::string what = "standard";
  unsigned workers = 1;
  unsigned rx_queues = 1;  // of each port
  unsigned tx_queues = 2;
  unsigned rx_ring = 4096;
  unsigned tx_ring = 2048;
  std::uint32_t flow_seed = 1;
  bool flow_label = false;
  unsigned control_buffers = 4096;
  bool adaptive_idle = true;
  unsigned tx_wait_us = 0;
  bool symmetric_rss = false;
  bool tells_of_links = false;          // the ports' driver, when one changes
  bool has_marks = marks_everywhere();  // what comes to the ports is marked as by a NIC, and that is believed
  NeighborLimits neighbors{};
  dataplane::FeatureTable features = dataplane::router_features();
};

inline std::ostream& operator<<(std::ostream& out, const LabOptions& options) {
  return out << options.what;
}

// How a frame lies in memory: the lengths of its first segments (the rest is the last), room behind the first
// one.
struct Layout {
  std::vector<std::size_t> segments{};
  bool no_tailroom = false;
};

class Lab {
 public:
  // "@x" in the configuration stands for the device of a ring port of that name.
  explicit Lab(const std::string& yaml, const LabOptions& options = {});
  ~Lab();
  Lab(const Lab&) = delete;
  Lab& operator=(const Lab&) = delete;

  config::Config parse(const std::string& yaml);
  Result<void> apply(const std::string& yaml);
  void set_marks(bool believed);             // of ports that are there
  void must_apply(const std::string& yaml);  // and forgets the announcements that follow
  void reset(const std::string& yaml);       // another configuration altogether, by way of an empty one

  void send(const std::string& port, const Bytes& frame, const Layout& layout = {}, unsigned queue = 0);
  void run();                      // until nothing moves
  bool step(unsigned worker = 0);  // one loop of one worker
  // The first worker's own loop in a thread of its own, until `done` or for ten seconds, and never again.
  void loop(const std::function<bool()>& done);
  bool handle_punts();  // true if there were any
  std::vector<Bytes> received(const std::string& port);
  void advance(double seconds);  // in steps of at most 100 ms
  void settle();                 // run() and forget what was sent
  void set_link(const std::string& port, bool up);

  [[nodiscard]] Control& control() { return *control_; }
  [[nodiscard]] HostModel& hosts() { return hosts_; }
  [[nodiscard]] Interface& interface(const std::string& name);
  [[nodiscard]] MacAddress mac(const std::string& name) { return interface(name).mac; }
  [[nodiscard]] RingPort& port(const std::string& name) { return *ports_.at(name); }
  [[nodiscard]] const std::map<std::string, std::unique_ptr<RingPort>>& ports() const { return ports_; }
  [[nodiscard]] std::uint64_t dropped(
      DropReason reason);  // on all interfaces, workers and the control thread
  [[nodiscard]] std::array<std::uint64_t, dataplane::kDropReasonCount> drops();
  [[nodiscard]] std::uint64_t now_ns() const { return now_ns_; }

  // Every packet is accounted for and every buffer is back. Takes what was sent and not received.
  void expect_clean();
  [[nodiscard]] std::size_t buffers_out() const;  // of all pools
  [[nodiscard]] std::size_t buffers_waiting()
      const;  // of packets that wait for a neighbour, or for fragments

  static rte_mempool* pool();  // the test's own, for all labs

 private:
  std::string with_devices(const std::string& yaml);
  void make_port(const std::string& name);

  LabOptions options_;
  std::uint64_t now_ns_ = 1000 * kSecondNs;
  std::map<std::string, std::unique_ptr<RingPort>> ports_;
  HostModel hosts_;
  std::unique_ptr<Control> control_;
};

rte_mbuf* make_mbuf(const Bytes& frame, const Layout& layout = {});
Bytes bytes_of(const rte_mbuf* m);

class LabTest : public ::testing::Test {
 protected:
  Lab& start(const std::string& yaml, const LabOptions& options = {});
  void TearDown() override;
  std::unique_ptr<Lab> lab_;
};

}  // namespace millrace::behaviour
