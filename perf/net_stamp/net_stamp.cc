// net_stamp: a DPDK port that is an endless source and a sink, for benches. Frames that arrive are copies of
// a template with the next destination address of a file; frames that leave are counted and freed.
//
// It does to a buffer what a NIC and its driver do, and no more, so that it is a small part of what is
// measured. Arguments: arguments.h. Any DPDK program takes it with `-d libnet_stamp.so --vdev
// net_stamp0,...`.
#include <bus_vdev_driver.h>
#include <ethdev_driver.h>
#include <ethdev_vdev.h>
#include <rte_cycles.h>
#include <rte_log.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>

#include <algorithm>
#include <exception>
#include <memory>
#include <type_traits>

#include "perf/net_stamp/arguments.h"
#include "perf/net_stamp/counters.h"
#include "perf/net_stamp/frame.h"
#include "perf/net_stamp/mapped_file.h"

namespace millrace::perf {
namespace {

// One receive queue. Owned by the port; used by the thread that polls the queue.
template <class Family>
struct RxQueue {
  using Address = typename Family::Address;
  std::span<const FrameTemplate<Family>> templates;
  std::span<const Address> to;
  rte_mempool* pool = nullptr;
  QueueCounters* counters = nullptr;
  std::uint64_t rearm = 0;  // what goes to mbuf.data_off and the seven bytes behind
  std::size_t stride = 1;
  std::size_t at = 0;    // the next destination
  std::size_t turn = 0;  // the next template

  // What a NIC brings does not depend on what the program does to the caches meanwhile: the destinations of
  // the bursts after the next are on their way before those of this one are used.
  void fetch_ahead(unsigned count) const {
    constexpr std::size_t kAhead = 256, kOfLine = 64 / sizeof(Address);
    if (stride != 1) return;
    for (std::size_t i = 0; i < count; i += kOfLine) {
      const std::size_t next = at + kAhead + i;
      if (next < to.size()) __builtin_prefetch(&to[next]);
    }
  }
  const FrameTemplate<Family>& next_template() {
    const FrameTemplate<Family>& next = templates[turn];
    if (++turn == templates.size()) turn = 0;
    return next;
  }
  Address next_destination() {
    const Address next = to[at];
    at += stride;
    if (at >= to.size()) at -= to.size();
    return next;
  }
};

// What receiving sets in an mbuf is two stores of 16 bytes, as in the drivers of NICs.
static_assert(offsetof(rte_mbuf, refcnt) == offsetof(rte_mbuf, data_off) + 2 &&
              offsetof(rte_mbuf, ol_flags) == offsetof(rte_mbuf, data_off) + 8 &&
              offsetof(rte_mbuf, packet_type) == offsetof(rte_mbuf, data_off) + 16 &&
              offsetof(rte_mbuf, pkt_len) == offsetof(rte_mbuf, packet_type) + 4 &&
              offsetof(rte_mbuf, data_len) == offsetof(rte_mbuf, packet_type) + 8);

std::uint64_t rearm_of(std::uint16_t port) {
  return std::uint64_t{RTE_PKTMBUF_HEADROOM} | std::uint64_t{1} << 16 |  // refcnt
         std::uint64_t{1} << 32 |                                        // nb_segs
         std::uint64_t{port} << 48;
}

void set_received(rte_mbuf* m, std::uint64_t rearm, std::uint32_t packet_type, std::size_t size) {
  const int length = static_cast<int>(size);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(reinterpret_cast<std::byte*>(m) + offsetof(rte_mbuf, data_off)),
                   _mm_set_epi64x(0, static_cast<long long>(rearm)));
  _mm_storeu_si128(
      reinterpret_cast<__m128i*>(reinterpret_cast<std::byte*>(m) + offsetof(rte_mbuf, packet_type)),
      _mm_set_epi32(0, length, length, static_cast<int>(packet_type)));
}

template <class Family>
std::uint16_t receive(void* queue, rte_mbuf** frames, std::uint16_t count) {
  constexpr std::uint32_t kType = RTE_PTYPE_L2_ETHER | RTE_PTYPE_L4_UDP |
                                  (std::is_same_v<Family, Ipv4Frame> ? RTE_PTYPE_L3_IPV4 : RTE_PTYPE_L3_IPV6);
  auto& rx = *static_cast<RxQueue<Family>*>(queue);
  if (rte_mempool_get_bulk(rx.pool, reinterpret_cast<void**>(frames), count) != 0) [[unlikely]] {
    add(rx.counters->rx_no_buffer, count);
    return 0;
  }
  rx.fetch_ahead(count);
  for (unsigned i = 0; i < count; ++i) {
    const FrameTemplate<Family>& frame = rx.next_template();
    set_received(frames[i], rx.rearm, kType, frame.size());
    frame.stamp(static_cast<std::byte*>(frames[i]->buf_addr) + RTE_PKTMBUF_HEADROOM, rx.next_destination());
  }
  add(rx.counters->rx_packets, count);
  add(rx.counters->rx_bursts, 1);
  return count;
}

std::uint16_t receive_nothing(void*, rte_mbuf**, std::uint16_t) {
  return 0;
}

std::uint16_t transmit(void* queue, rte_mbuf** frames, std::uint16_t count) {
  rte_pktmbuf_free_bulk(frames, count);
  add(static_cast<QueueCounters*>(queue)->tx_packets, count);
  return count;
}

// A port; what depends on the family is in FamilyPort.
class Port {
 public:
  explicit Port(Arguments arguments) : arguments_(std::move(arguments)) {
    if (arguments_.stats.empty()) {
      own_counters_ = std::make_unique<PortCounters>();
      counters_ = own_counters_.get();
    } else {
      shared_counters_ = MappedFile::create(arguments_.stats, sizeof(PortCounters));
      counters_ = static_cast<PortCounters*>(shared_counters_.data());
    }
    counters_->tsc_hz = rte_get_tsc_hz();
    std::memcpy(counters_->magic, kMagic, sizeof kMagic);
  }
  virtual ~Port() = default;

  [[nodiscard]] const Arguments& arguments() const { return arguments_; }
  [[nodiscard]] PortCounters& counters() const { return *counters_; }
  virtual eth_rx_burst_t receiver() const = 0;
  virtual void* rx_queue(unsigned number) = 0;
  virtual void set_up_rx_queue(unsigned number, std::uint16_t port, rte_mempool* pool) = 0;

 private:
  Arguments arguments_;
  std::unique_ptr<PortCounters> own_counters_;
  MappedFile shared_counters_;
  PortCounters* counters_;
};

template <class Family>
class FamilyPort final : public Port {
 public:
  FamilyPort(const Arguments& from, const FrameMacs& macs) : Port(from) {
    templates_.reserve(arguments().sizes.size());
    for (const unsigned size : arguments().sizes) templates_.emplace_back(size, macs);
    to_ = {&fixed_, 1};
    if (!arguments().file.empty()) {
      file_ = MappedFile::open(arguments().file);
      to_ = {static_cast<const typename Family::Address*>(file_.data()),
             file_.size() / sizeof(typename Family::Address)};
    }
    if (to_.empty()) throw std::invalid_argument("net_stamp: " + arguments().file + " holds no address");
  }

  eth_rx_burst_t receiver() const override { return arguments().rx ? receive<Family> : receive_nothing; }
  void* rx_queue(unsigned number) override { return &queues_[number]; }
  // The queues begin at places spread evenly over the destinations.
  void set_up_rx_queue(unsigned number, std::uint16_t port, rte_mempool* pool) override {
    queues_[number] = {templates_,
                       to_,
                       pool,
                       &counters().queue[number],
                       rearm_of(port),
                       arguments().stride % to_.size(),
                       (arguments().offset + number * (to_.size() / kMaxQueues)) % to_.size(),
                       0};
  }

 private:
  std::vector<FrameTemplate<Family>> templates_;
  typename Family::Address fixed_ = Family::fixed_destination();
  MappedFile file_;
  std::span<const typename Family::Address> to_;
  std::array<RxQueue<Family>, kMaxQueues> queues_;
};

// The one receive queue of a port whose frames are in a file.
struct RecordedQueue {
  std::span<const std::byte> frames;
  std::size_t size = 0;  // of each
  rte_mempool* pool = nullptr;
  PortCounters* counters = nullptr;
  std::uint64_t rearm = 0;
  bool once = false;
  std::size_t at = 0;  // in bytes
};

std::uint16_t receive_recorded(void* queue, rte_mbuf** frames, std::uint16_t count) {
  auto& rx = *static_cast<RecordedQueue*>(queue);
  if (rx.counters->held.load(std::memory_order_relaxed) != 0) return 0;
  if (!rx.once && rx.at + count * rx.size > rx.frames.size()) rx.at = 0;
  count = static_cast<std::uint16_t>(std::min<std::size_t>(count, (rx.frames.size() - rx.at) / rx.size));
  if (count == 0 || rte_mempool_get_bulk(rx.pool, reinterpret_cast<void**>(frames), count) != 0) return 0;
  constexpr std::size_t kAhead = 64;  // frames
  for (unsigned i = 0; i < count; ++i, rx.at += rx.size) {
    for (std::size_t line = 0; line < rx.size; line += 64)
      __builtin_prefetch(rx.frames.data() + rx.at + kAhead * rx.size + line);
    set_received(frames[i], rx.rearm, RTE_PTYPE_L2_ETHER | RTE_PTYPE_L3_IPV4, rx.size);
    std::memcpy(static_cast<std::byte*>(frames[i]->buf_addr) + RTE_PKTMBUF_HEADROOM, rx.frames.data() + rx.at,
                rx.size);
  }
  add(rx.counters->queue[0].rx_packets, count);
  add(rx.counters->queue[0].rx_bursts, 1);
  return count;
}

class RecordedPort final : public Port {
 public:
  explicit RecordedPort(const Arguments& from) : Port(from), file_(MappedFile::open(from.frames)) {
    counters().held = 1;
  }
  eth_rx_burst_t receiver() const override { return receive_recorded; }
  void* rx_queue(unsigned) override { return &queue_; }
  void set_up_rx_queue(unsigned, std::uint16_t port, rte_mempool* pool) override {
    queue_ = {{static_cast<const std::byte*>(file_.data()), file_.size()},
              arguments().sizes.front(),
              pool,
              &counters(),
              rearm_of(port),
              arguments().once};
  }

 private:
  MappedFile file_;
  RecordedQueue queue_;
};

// The driver's operations.

Port& port_of(const rte_eth_dev* dev) {
  return **static_cast<Port**>(dev->data->dev_private);
}

int configure(rte_eth_dev*) {
  return 0;
}
int start(rte_eth_dev* dev) {
  dev->data->dev_link.link_status = RTE_ETH_LINK_UP;
  return 0;
}
int stop(rte_eth_dev* dev) {
  dev->data->dev_link.link_status = RTE_ETH_LINK_DOWN;
  return 0;
}
int close_port(rte_eth_dev* dev) {
  if (dev->data->dev_private != nullptr) delete &port_of(dev);
  rte_free(dev->data->dev_private);
  dev->data->dev_private = nullptr;
  dev->data->mac_addrs = nullptr;  // lies in dev_private
  return 0;
}

int info(rte_eth_dev* dev, rte_eth_dev_info* info) {
  info->max_rx_queues = info->max_tx_queues = kMaxQueues;
  info->max_rx_pktlen = 9728;
  info->max_mtu = 9710;
  info->max_mac_addrs = 1;
  info->min_rx_bufsize = *std::ranges::max_element(port_of(dev).arguments().sizes);
  info->tx_offload_capa = RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
  info->speed_capa = RTE_ETH_LINK_SPEED_100G;
  return 0;
}

const std::uint32_t* packet_types(rte_eth_dev*) {
  static constexpr std::uint32_t kTypes[] = {RTE_PTYPE_L2_ETHER, RTE_PTYPE_L3_IPV4, RTE_PTYPE_L3_IPV6,
                                             RTE_PTYPE_L4_UDP, RTE_PTYPE_UNKNOWN};
  return kTypes;
}

int set_up_rx(rte_eth_dev* dev, std::uint16_t queue, std::uint16_t, unsigned, const rte_eth_rxconf*,
              rte_mempool* pool) {
  Port& port = port_of(dev);
  const std::size_t longest = *std::ranges::max_element(port.arguments().sizes);
  if (rte_pktmbuf_data_room_size(pool) < RTE_PKTMBUF_HEADROOM + std::max(longest, kHeaderBytes))
    return -EINVAL;
  port.set_up_rx_queue(queue, dev->data->port_id, pool);
  dev->data->rx_queues[queue] = port.rx_queue(queue);
  return 0;
}

int set_up_tx(rte_eth_dev* dev, std::uint16_t queue, std::uint16_t, unsigned, const rte_eth_txconf*) {
  dev->data->tx_queues[queue] = &port_of(dev).counters().queue[queue];
  return 0;
}

int update_link(rte_eth_dev*, int) {
  return 0;
}
int set_mtu(rte_eth_dev*, std::uint16_t) {
  return 0;
}
int set_promiscuous(rte_eth_dev*) {
  return 0;
}
int set_mac(rte_eth_dev*, rte_ether_addr*) {
  return 0;
}

int get_stats(rte_eth_dev* dev, rte_eth_stats* stats) {
  for (const QueueCounters& queue : port_of(dev).counters().queue) {
    stats->ipackets += queue.rx_packets.load(std::memory_order_relaxed);
    stats->opackets += queue.tx_packets.load(std::memory_order_relaxed);
    stats->rx_nombuf += queue.rx_no_buffer.load(std::memory_order_relaxed);
  }
  return 0;
}
int keep_stats(rte_eth_dev*) {
  return 0;
}

constexpr eth_dev_ops make_operations() {
  eth_dev_ops ops{};
  ops.dev_configure = configure;
  ops.dev_start = start;
  ops.dev_stop = stop;
  ops.dev_close = close_port;
  ops.dev_infos_get = info;
  ops.dev_supported_ptypes_get = packet_types;
  ops.rx_queue_setup = set_up_rx;
  ops.tx_queue_setup = set_up_tx;
  ops.link_update = update_link;
  ops.mtu_set = set_mtu;
  ops.promiscuous_enable = ops.promiscuous_disable = set_promiscuous;
  ops.allmulticast_enable = ops.allmulticast_disable = set_promiscuous;
  ops.mac_addr_set = set_mac;
  ops.stats_get = get_stats;
  ops.stats_reset = keep_stats;
  return ops;
}
constexpr eth_dev_ops kOperations = make_operations();

// What DPDK allocates for a port, and frees.
struct Private {
  Port* port;
  rte_ether_addr mac;
};

std::unique_ptr<Port> make_port(const Arguments& arguments, const FrameMacs& macs) {
  if (!arguments.frames.empty()) return std::make_unique<RecordedPort>(arguments);
  if (arguments.ipv6) return std::make_unique<FamilyPort<Ipv6Frame>>(arguments, macs);
  return std::make_unique<FamilyPort<Ipv4Frame>>(arguments, macs);
}

int attach(rte_vdev_device* vdev, const Arguments& arguments) {
  rte_eth_dev* dev = rte_eth_vdev_allocate(vdev, sizeof(Private));
  if (dev == nullptr) return -ENOMEM;
  auto* own = static_cast<Private*>(dev->data->dev_private);
  const MacAddress made{{0x02, 0x6d, 0x72, 0, 0, static_cast<std::uint8_t>(dev->data->port_id + 1)}};
  const MacAddress mac = arguments.mac.value_or(made);
  try {
    own->port = make_port(arguments, {arguments.destination.value_or(mac), arguments.source}).release();
  } catch (...) {
    rte_eth_dev_release_port(dev);
    throw;
  }
  std::memcpy(&own->mac, mac.bytes.data(), sizeof own->mac);
  dev->data->mac_addrs = &own->mac;
  dev->data->dev_link = {RTE_ETH_SPEED_NUM_100G, RTE_ETH_LINK_FULL_DUPLEX, RTE_ETH_LINK_FIXED,
                         RTE_ETH_LINK_DOWN};
  dev->data->dev_flags |= RTE_ETH_DEV_AUTOFILL_QUEUE_XSTATS;
  dev->dev_ops = &kOperations;
  dev->rx_pkt_burst = own->port->receiver();
  dev->tx_pkt_burst = transmit;
  rte_eth_dev_probing_finish(dev);
  return 0;
}

int probe(rte_vdev_device* vdev) {
  if (rte_eal_process_type() != RTE_PROC_PRIMARY) return -ENOTSUP;
  try {
    return attach(vdev, parse_arguments(rte_vdev_device_args(vdev)));
  } catch (const std::exception& error) {
    rte_log(RTE_LOG_ERR, RTE_LOGTYPE_PMD, "%s\n", error.what());
    return -EINVAL;
  }
}

int remove(rte_vdev_device* vdev) {
  rte_eth_dev* dev = rte_eth_dev_allocated(rte_vdev_device_name(vdev));
  if (dev == nullptr) return 0;
  close_port(dev);
  return rte_eth_dev_release_port(dev);
}

rte_vdev_driver make_driver() {
  rte_vdev_driver driver{};
  driver.driver.name = "net_stamp";
  driver.probe = probe;
  driver.remove = remove;
  return driver;
}

rte_vdev_driver driver = make_driver();
[[gnu::constructor]] void register_driver() {
  driver = make_driver();
  rte_vdev_register(&driver);
}

}  // namespace
}  // namespace millrace::perf
