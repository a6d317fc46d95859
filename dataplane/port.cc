#include "dataplane/port.h"

#include <net/if.h>
#include <rte_bus.h>
#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <regex>
#include <string_view>
#include <utility>

#include "dataplane/packet.h"
#include "dataplane/worker.h"
#include "net/wire.h"

namespace millrace::dataplane {
namespace {

constexpr std::uint16_t kDescriptors = 1024;
// Frames may carry two VLAN tags and the CRC beside the MTU.
constexpr std::uint16_t kTwoTags = 2 * 4;
constexpr std::uint16_t kL2Overhead = sizeof(wire::Ethernet) + kTwoTags + 4;

Error dpdk_error(const std::string& what, int code) {
  return Error{what + ": " + rte_strerror(code < 0 ? -code : code)};
}

// Whether the kernel interface is up and has carrier. One that is gone has none; a kernel that does not say,
// has.
bool kernel_carrier(unsigned index) {
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  ifreq request{};
  if (fd < 0) return true;
  const bool exists =
      if_indextoname(index, request.ifr_name) != nullptr && ioctl(fd, SIOCGIFFLAGS, &request) == 0;
  close(fd);
  return exists && (request.ifr_flags & IFF_RUNNING) != 0;
}

// A kernel interface sends one tag of 802.1Q beside its MTU, and no other. If it cannot have more it stays as
// it is.
void give_room_for_tags(unsigned index, std::uint16_t mtu) {
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  ifreq request{};
  if (fd < 0) return;
  if (if_indextoname(index, request.ifr_name) != nullptr) {
    request.ifr_mtu = mtu + kTwoTags;
    static_cast<void>(ioctl(fd, SIOCSIFMTU, &request));
  }
  close(fd);
}

// What devargs say of `key`; empty if nothing.
std::string value_of(const std::string& args, const std::string& key) {
  const std::string all = "," + args;
  const auto at = all.find("," + key + "=");
  if (at == std::string::npos) return "";
  const auto begin = at + key.size() + 2;
  return all.substr(begin, all.find(',', begin) - begin);
}

// net_af_packet copies frames through slots of a fixed size (devarg framesz, 2,048 bytes unless said), of
// which the kernel takes 32 bytes; longer frames would be lost without a trace.
constexpr unsigned kAfPacketSlot = 2048;
constexpr unsigned kAfPacketHead = 32;

unsigned af_packet_slot(const std::string& args) {
  const std::string said = value_of(args, "framesz");
  return said.empty() ? kAfPacketSlot : static_cast<unsigned>(std::strtoul(said.c_str(), nullptr, 10));
}

// The devargs, with slots that hold the MTU if they do not say how large slots shall be.
std::string with_slots_for(const std::string& args, unsigned mtu) {
  if (!value_of(args, "framesz").empty()) return args;
  unsigned slot = kAfPacketSlot;
  while (slot < mtu + kAfPacketHead + kL2Overhead) slot *= 2;
  if (slot == kAfPacketSlot) return args;
  return args + ",framesz=" + std::to_string(slot) + ",blocksz=" + std::to_string(4 * slot) + ",framecnt=512";
}

// net_memif does not start on a socket that a killed process left. One that is listened on, by another port
// of this process too, stays.
void remove_stale_memif_socket(const std::string& args) {
  const std::string path = value_of(args, "socket");
  sockaddr_un address{};
  struct stat status {};
  if (value_of(args, "role") != "server" || value_of(args, "socket-abstract") != "no") return;
  if (path.size() >= sizeof(address.sun_path) || lstat(path.c_str(), &status) != 0 ||
      !S_ISSOCK(status.st_mode))
    return;
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, path.size());
  // Not of memif's type (SOCK_SEQPACKET): whoever listens does not notice, and connect() says EPROTOTYPE.
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return;
  const bool stale =
      connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0 && errno == ECONNREFUSED;
  close(fd);
  if (stale) unlink(path.c_str());
}

// Addresses, and ports where there are some.
constexpr std::uint64_t kHashed = RTE_ETH_RSS_IP | RTE_ETH_RSS_TCP | RTE_ETH_RSS_UDP;
// What a port has to tell apart for its hash to be a flow's.
constexpr std::uint64_t kFlows = RTE_ETH_RSS_NONFRAG_IPV4_TCP | RTE_ETH_RSS_NONFRAG_IPV4_UDP |
                                 RTE_ETH_RSS_NONFRAG_IPV6_TCP | RTE_ETH_RSS_NONFRAG_IPV6_UDP;

rte_eth_rss_conf rss_conf(std::span<const std::uint8_t> key, std::uint64_t types) {
  rte_eth_rss_conf conf{};
  conf.rss_key = const_cast<std::uint8_t*>(key.data());  // which drivers read
  conf.rss_key_len = static_cast<std::uint8_t>(key.size());
  conf.rss_hf = types;
  return conf;
}

// Whether the port tells in time that its link changed. Drivers for ixgbe and txgbe wait for seconds until a
// link has settled, and say what it was meanwhile.
bool tells_of_link(const rte_eth_dev_info& dev) {
  const std::string_view driver = dev.driver_name;
  const bool is_slow = driver.starts_with("net_ixgbe") || driver.starts_with("net_txgbe");
  return (*dev.dev_flags & RTE_ETH_DEV_INTR_LSC) != 0 && !is_slow;
}

// What is wanted of the port, as far as it has it.
rte_eth_conf wanted_of(const rte_eth_dev_info& dev, const PortOptions& options, unsigned rx_queues,
                       std::span<const std::uint8_t> key) {
  rte_eth_conf conf{};
  std::uint64_t rx = RTE_ETH_RX_OFFLOAD_SCATTER, tx = RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
  if (options.offloads) {
    // That of outer headers, so that the mark of a tunnel's packet tells whose it is.
    rx |= RTE_ETH_RX_OFFLOAD_VLAN_STRIP | RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | RTE_ETH_RX_OFFLOAD_OUTER_IPV4_CKSUM;
    tx |= RTE_ETH_TX_OFFLOAD_VLAN_INSERT;
    // The symmetric hash has too few values to choose next hops by, behind the choice of a queue.
    if (!options.symmetric_rss && (dev.flow_type_rss_offloads & kFlows) == kFlows)
      rx |= RTE_ETH_RX_OFFLOAD_RSS_HASH;
  }
  conf.intr_conf.lsc = options.link_bell != nullptr && tells_of_link(dev) ? 1 : 0;
  conf.rxmode.offloads = dev.rx_offload_capa & rx;
  conf.txmode.offloads = dev.tx_offload_capa & tx;
  const bool hashes = (conf.rxmode.offloads & RTE_ETH_RX_OFFLOAD_RSS_HASH) != 0;
  if ((rx_queues > 1 || hashes) && (dev.flow_type_rss_offloads & kHashed) != 0) {
    conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
    const std::uint64_t types = dev.flow_type_rss_offloads & kHashed;
    conf.rx_adv_conf.rss_conf =
        rss_conf(dev.hash_key_size != 0 ? key : std::span<const std::uint8_t>(), types);
  }
  return conf;
}

// On DPDK's thread of interrupts.
int ring_bell(std::uint16_t, rte_eth_event_type, void* bell, void*) {
  static_cast<Doorbell*>(bell)->ring();
  return 0;
}

// Ports whose transmit rings can be full of one port's buffers at the same time.
constexpr unsigned kTxRings = 4;

// Buffers can wait in: receive rings of this port; transmit rings of the ports that its packets leave by, one
// a worker; per-thread caches (1.5 x their size); punt rings; bursts at hand; neighbours without a MAC;
// datagrams that are not whole yet.
unsigned buffers_of(const PortOptions& options, unsigned rx_queues) {
  unsigned punt_rings = 0;
#define PUNT_CLASS(name, text, rate, ring) punt_rings += ring;
#include "dataplane/punt.def"
#undef PUNT_CLASS
  const unsigned threads = options.workers + 1;
  return rx_queues * kDescriptors + kTxRings * options.workers * kDescriptors + threads * kPoolCache * 3 / 2 +
         options.workers * (punt_rings + 4 * kBurst) + kMaxWaitingPackets + kMaxReassemblyBuffers;
}

}  // namespace

bool is_pci_address(const std::string& device) {
  static const std::regex pattern("[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\\.[0-7]");
  return std::regex_match(device, pattern);
}

Result<std::unique_ptr<Port>> Port::open(const PortOptions& options, BufferPools& pools) {
  std::unique_ptr<Port> port(new Port);
  port->name_ = options.name;
  if (auto probed = port->probe(options); !probed) return Error{probed.error()};
  if (auto configured = port->configure(options, pools); !configured) return Error{configured.error()};
  return port;
}

// A PCI device is probed by its address; a vdev gets the name DRIVER_INTERFACE, so that it is ours alone.
Result<void> Port::probe(const PortOptions& options) {
  const std::string& device = options.device;
  std::string args;
  if (is_pci_address(device)) {
    bus_ = "pci";
    device_name_ = device;
  } else {
    const auto comma = device.find(',');
    bus_ = "vdev";
    device_name_ = device.substr(0, comma) + "_" + name_;
    if (comma != std::string::npos) args = device.substr(comma + 1);
    if (device.starts_with("net_af_packet,")) {
      args = with_slots_for(args, options.mtu);
      max_mtu_ = af_packet_slot(args) - kAfPacketHead - kL2Overhead;
    }
    if (device.starts_with("net_memif,")) remove_stale_memif_socket(args);
  }
  std::uint16_t present = 0;
  if (rte_eth_dev_get_port_by_name(device.c_str(), &present) == 0) {
    device_name_ = device;  // there already: probed when DPDK started, or made by the process itself
    probed_ = true;
  } else {
    // Which is no error to DPDK: the device would be taken for a new one, and closed while a worker polls it.
    if (rte_eth_dev_get_port_by_name(device_name_.c_str(), &present) == 0)
      return Error{"device \"" + device + "\" is still open"};
    if (const int error = rte_eal_hotplug_add(bus_.c_str(), device_name_.c_str(), args.c_str()); error != 0) {
      return dpdk_error("device \"" + device + "\" cannot be opened", error);
    }
    probed_ = true;
  }
  if (rte_eth_dev_get_port_by_name(device_name_.c_str(), &id_) != 0) {
    return Error{"device \"" + device + "\" is not a network port"};
  }
  has_id_ = true;
  if (id_ >= kMaxPorts) return Error{"more than " + std::to_string(kMaxPorts) + " ports"};
  return {};
}

Result<void> Port::configure(const PortOptions& options, BufferPools& pools) {
  rte_eth_dev_info dev{};
  if (const int error = rte_eth_dev_info_get(id_, &dev); error != 0)
    return dpdk_error("no device info", error);
  driver_ = dev.driver_name;
  kernel_interface_ = dev.if_index;
  rx_queues_ = std::clamp<std::uint16_t>(static_cast<std::uint16_t>(options.rx_queues), 1, dev.max_rx_queues);
  tx_queues_ = std::clamp<std::uint16_t>(static_cast<std::uint16_t>(options.tx_queues), 1, dev.max_tx_queues);
  // Drivers that do not say how long a key is take 40 bytes, once they run.
  const auto key = rss_key(options.symmetric_rss, dev.hash_key_size != 0 ? dev.hash_key_size : kRssKeyBytes);
  rte_eth_conf conf = wanted_of(dev, options, rx_queues_, key);
  const std::uint64_t rx = conf.rxmode.offloads, tx = conf.txmode.offloads;
  multi_segment_ = (tx & RTE_ETH_TX_OFFLOAD_MULTI_SEGS) != 0;
  offloads_ = {.ipv4_checksum = (rx & RTE_ETH_RX_OFFLOAD_IPV4_CKSUM) != 0,
               .flow_hash = (rx & RTE_ETH_RX_OFFLOAD_RSS_HASH) != 0,
               .vlan_strip = (rx & RTE_ETH_RX_OFFLOAD_VLAN_STRIP) != 0,
               .vlan_insert = (tx & RTE_ETH_TX_OFFLOAD_VLAN_INSERT) != 0};
  int error = rte_eth_dev_configure(id_, rx_queues_, tx_queues_, &conf);
  if (error != 0 && conf.intr_conf.lsc != 0) {  // it may have no interrupts where it is
    conf.intr_conf.lsc = 0;
    error = rte_eth_dev_configure(id_, rx_queues_, tx_queues_, &conf);
  }
  if (error != 0) return dpdk_error("port cannot be configured", error);
  if (auto mtu = set_mtu(options.mtu); !mtu) return mtu;
  const int numa_node = rte_eth_dev_socket_id(id_);
  if (auto queues = setup_queues(options, numa_node, pools); !queues) return queues;
  rte_ether_addr address{};
  rte_eth_macaddr_get(id_, &address);
  if (rte_is_zero_ether_addr(&address))
    rte_eth_random_addr(address.addr_bytes);  // a port without one: ring, null
  std::memcpy(mac_.bytes.data(), address.addr_bytes, mac_.bytes.size());
  if (conf.intr_conf.lsc != 0 &&
      rte_eth_dev_callback_register(id_, RTE_ETH_EVENT_INTR_LSC, ring_bell, options.link_bell) == 0)
    link_bell_ = options.link_bell;
  error = rte_eth_dev_start(id_);
  if (error != 0) return dpdk_error("port cannot be started", error);
  started_ = true;
  if (conf.rxmode.mq_mode == RTE_ETH_MQ_RX_RSS)
    settle_rss(options.symmetric_rss, key, conf.rx_adv_conf.rss_conf.rss_hf);
  // The interface's set of MACs and groups decides, in software; not every port can do both.
  rte_eth_promiscuous_enable(id_);
  rte_eth_allmulticast_enable(id_);
  return {};
}

// What the port hashes by is what it says that it does.
void Port::settle_rss(bool symmetric, std::span<const std::uint8_t> key, std::uint64_t types) {
  const auto has_key = [&] {
    LongestRssKey has{};
    rte_eth_rss_conf rss{};
    rss.rss_key = has.data();
    rss.rss_key_len = static_cast<std::uint8_t>(key.size());
    return rte_eth_dev_rss_hash_conf_get(id_, &rss) == 0 &&
           std::ranges::equal(std::span(has).first(key.size()), key);
  };
  bool ours = has_key();
  if (!ours && (symmetric || offloads_.flow_hash)) {
    rte_eth_rss_conf rss = rss_conf(key, types);
    ours = rte_eth_dev_rss_hash_update(id_, &rss) == 0 && has_key();
  }
  if (!ours) offloads_.flow_hash = false;
  if (rx_queues_ > 1) rss_ = symmetric && ours ? Rss::symmetric : Rss::standard;
}

// Ports without scatter need a whole frame in one buffer. Some drivers (af_packet with a large framesz)
// accept only buffers of a size that they do not tell beforehand: try the next larger one then.
Result<void> Port::setup_queues(const PortOptions& options, int numa_node, BufferPools& pools) {
  std::uint16_t rx_descriptors = kDescriptors;
  std::uint16_t tx_descriptors = kDescriptors;
  rte_eth_dev_adjust_nb_rx_tx_desc(id_, &rx_descriptors, &tx_descriptors);
  for (std::uint16_t queue = 0; queue < tx_queues_; ++queue) {
    const int error =
        rte_eth_tx_queue_setup(id_, queue, tx_descriptors, static_cast<unsigned>(numa_node), nullptr);
    if (error != 0) return dpdk_error("transmit queue cannot be set up", error);
  }
  rte_eth_dev_info dev{};
  rte_eth_dev_info_get(id_, &dev);
  const bool scatter = (dev.rx_offload_capa & RTE_ETH_RX_OFFLOAD_SCATTER) != 0;
  std::optional<Error> wrong;  // with the smallest that is large enough
  for (const unsigned room : {2048U, 4096U, 9728U, 16384U, 32768U}) {
    if (!scatter && room < options.mtu + unsigned{kL2Overhead}) continue;
    const auto data_room = static_cast<std::uint16_t>(room + RTE_PKTMBUF_HEADROOM);
    auto part = pools.take(buffers_of(options, rx_queues_), data_room, numa_node, options.alike);
    if (!part) {  // another port may have brought larger ones
      if (!wrong) wrong = Error{part.error()};
      continue;
    }
    int error = 0;
    for (std::uint16_t queue = 0; queue < rx_queues_ && error == 0; ++queue) {
      error = rte_eth_rx_queue_setup(id_, queue, rx_descriptors, static_cast<unsigned>(numa_node), nullptr,
                                     part->pool());
    }
    if (error == 0) {
      buffers_ = std::move(*part);
      return {};
    }
    pools.discard(std::move(*part));
    if (!wrong) wrong = dpdk_error("receive queue cannot be set up", error);
  }
  return wrong.value_or(Error{"no buffers are large enough for the MTU"});
}

Result<void> Port::set_mtu(std::uint16_t mtu) {
  if (mtu > max_mtu_) {
    return Error{"this port's frames hold an MTU of " + std::to_string(max_mtu_) +
                 " (a larger framesz in `device` holds more)"};
  }
  const int error = rte_eth_dev_set_mtu(id_, mtu);
  if (error == 0 && driver_ == "net_af_packet") give_room_for_tags(kernel_interface_, mtu);
  // A virtual port may have no MTU of its own to set, or know a smaller one than what its other side takes.
  if (error == 0 || error == -ENOTSUP || bus_ == "vdev") return {};
  return dpdk_error("MTU " + std::to_string(mtu) + " is refused by the port", error);
}

bool Port::link_up() const {
  if (kernel_interface_ != 0 && !kernel_carrier(kernel_interface_)) return false;
  rte_eth_link link{};
  return rte_eth_link_get_nowait(id_, &link) != 0 || link.link_status == RTE_ETH_LINK_UP;
}

std::vector<std::string> PortOffloads::names() const {
  std::vector<std::string> names;
  for (const auto& [has, name] :
       {std::pair(ipv4_checksum, "ipv4_checksum"), std::pair(flow_hash, "flow_hash"),
        std::pair(vlan_strip, "vlan_strip"), std::pair(vlan_insert, "vlan_insert")}) {
    if (has) names.emplace_back(name);
  }
  return names;
}

PortStats Port::stats() const {
  rte_eth_stats stats{};
  if (rte_eth_stats_get(id_, &stats) != 0) return {};
  return {stats.imissed + stats.rx_nombuf, stats.ierrors, stats.oerrors};
}

void Port::stop() {
  if (started_) rte_eth_dev_stop(id_);
  started_ = false;
}

Port::~Port() {
  stop();
  if (link_bell_ != nullptr) {
    // -EAGAIN: it is being called.
    while (rte_eth_dev_callback_unregister(id_, RTE_ETH_EVENT_INTR_LSC, ring_bell, link_bell_) == -EAGAIN) {
    }
  }
  if (!probed_) return;
  if (has_id_) rte_eth_dev_close(id_);
  rte_eal_hotplug_remove(bus_.c_str(), device_name_.c_str());
}

}  // namespace millrace::dataplane
