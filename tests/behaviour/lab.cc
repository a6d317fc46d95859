#include "lab.h"

#include <rte_eal.h>
#include <rte_eth_ring.h>
#include <rte_ethdev.h>
#include <rte_rcu_qsbr.h>
#include <spdlog/spdlog.h>

#include <chrono>
#include <cstdlib>
#include <stdexcept>
#include <thread>

#include "config/parse.h"
#include "port_model.h"

// A test library that watches what worker threads call (tests/guard); absent in most builds.
extern "C" [[gnu::weak]] void millrace_guard_enter_worker();
extern "C" [[gnu::weak]] void millrace_guard_leave_worker();

namespace millrace::behaviour {
namespace {

constexpr unsigned kPoolBuffers = 16384;

void start_eal() {
  static const bool started = [] {
    std::vector<std::string> arguments{
        "behaviour_test", "--no-pci",    "--no-huge",          "-m", "2048", "-l", "0",
        "--no-telemetry", "--no-shconf", "--log-level=*:error"};
    std::vector<char*> pointers;
    for (std::string& argument : arguments) pointers.push_back(argument.data());
    if (rte_eal_init(static_cast<int>(pointers.size()), pointers.data()) < 0)
      throw std::runtime_error("no EAL");
    spdlog::set_level(spdlog::level::critical);
    return true;
  }();
  static_cast<void>(started);
}

rte_ring* make_ring(const std::string& name, unsigned size) {
  rte_ring* ring = rte_ring_create(name.c_str(), size, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
  if (ring == nullptr) throw std::runtime_error("no ring " + name);
  return ring;
}

void drain(rte_ring* ring) {
  void* m = nullptr;
  while (rte_ring_dequeue(ring, &m) == 0) rte_pktmbuf_free(static_cast<rte_mbuf*>(m));
}

// Drivers do not clear what the last user of a buffer left behind it, and neither does the test.
void leave_stale_metadata(rte_mbuf* m) {
  dataplane::PacketMeta stale;
  stale.ingress = InterfaceId(3000);
  stale.egress = InterfaceId(3001);
  stale.out_port = PortId(63);
  stale.next_hop_address = Ipv4Address(203, 0, 113, 77);
  stale.mtu = 68;
  stale.reason = DropReason::no_mbuf;
  stale.from_control = true;
  dataplane::meta(m) = stale;
}

rte_mbuf* new_buffer() {
  rte_mbuf* m = rte_pktmbuf_alloc(Lab::pool());
  if (m == nullptr) throw std::runtime_error("the test's pool is empty");
  leave_stale_metadata(m);
  return m;
}

// What a thread is while it runs a worker: a reader of the tables, watched by the guard where there is one.
class AsWorker {
 public:
  AsWorker(lpm::Reclaimer& reclaimer, unsigned worker) : qsbr_(reclaimer.qsbr()), worker_(worker) {
    rte_rcu_qsbr_thread_online(qsbr_, worker_);
    if (&millrace_guard_enter_worker != nullptr) millrace_guard_enter_worker();
  }
  ~AsWorker() {
    if (&millrace_guard_leave_worker != nullptr) millrace_guard_leave_worker();
    rte_rcu_qsbr_thread_offline(qsbr_, worker_);
  }
  AsWorker(const AsWorker&) = delete;
  AsWorker& operator=(const AsWorker&) = delete;

 private:
  rte_rcu_qsbr* qsbr_;
  unsigned worker_;
};

}  // namespace

bool marks_everywhere() {
  return std::getenv("MILLRACE_LAB_MARKS") != nullptr;
}

RingPort::RingPort(const std::string& name, unsigned rx_queues, unsigned tx_queues, unsigned rx_size,
                   unsigned tx_size) {
  static unsigned made = 0;
  name_ = "lab" + std::to_string(made++) + name;
  for (unsigned q = 0; q < rx_queues; ++q)
    rx_.push_back(make_ring(name_ + "_rx" + std::to_string(q), rx_size));
  for (unsigned q = 0; q < tx_queues; ++q)
    tx_.push_back(make_ring(name_ + "_tx" + std::to_string(q), tx_size));
}

RingPort::~RingPort() {
  std::uint16_t id = 0;
  if (rte_eth_dev_get_port_by_name(device().c_str(), &id) == 0) {
    rte_eth_dev_close(id);
    rte_eal_hotplug_remove("vdev", device().c_str());
  }
  for (const auto* rings : {&rx_, &tx_}) {
    for (rte_ring* ring : *rings) {
      drain(ring);
      rte_ring_free(ring);
    }
  }
}

void RingPort::make_device() {
  std::uint16_t id = 0;
  if (rte_eth_dev_get_port_by_name(device().c_str(), &id) == 0) return;
  if (rte_eth_from_rings(name_.c_str(), rx_.data(), static_cast<unsigned>(rx_.size()), tx_.data(),
                         static_cast<unsigned>(tx_.size()), 0) < 0) {
    throw std::runtime_error("no ethdev from the rings of " + name_);
  }
}

std::uint16_t RingPort::port() const {
  std::uint16_t id = 0;
  if (rte_eth_dev_get_port_by_name(device().c_str(), &id) != 0)
    throw std::runtime_error(device() + " is gone");
  return id;
}

rte_mempool* Lab::pool() {
  static rte_mempool* const pool = [] {
    start_eal();
    auto made = dataplane::make_pool("lab_pool", kPoolBuffers, RTE_MBUF_DEFAULT_BUF_SIZE, 0);
    if (!made) throw std::runtime_error(made.error());
    return (*made).release();
  }();
  return pool;
}

Lab::Lab(const std::string& yaml, const LabOptions& options) : options_(options) {
  start_eal();
  controlplane::ControlOptions control_options;
  control_options.workers = options.workers;
  control_options.fib = {4096, lpm::Pages::normal};
  control_options.neighbors = options.neighbors;
  control_options.flow_hashing = {options.flow_seed, options.flow_label};
  control_options.symmetric_rss = options.symmetric_rss;
  control_options.buffers = options.control_buffers;
  control_options.adaptive_idle = options.adaptive_idle;
  control_options.tx_wait_us = options.tx_wait_us;
  control_options.host_devices = &hosts_;
  if (const char* isa = std::getenv("MILLRACE_LAB_ISA"); isa != nullptr && isa == lpm::name(lpm::Isa::scalar))
    control_options.isa = lpm::Isa::scalar;
  auto made = Control::make(control_options, options.features);
  if (!made) throw std::runtime_error(made.error());
  control_ = std::move(*made);
  control_->set_time(now_ns_);
  for (unsigned w = 0; w < options.workers; ++w) {
    control_->reclaimer().register_worker(w);
    rte_rcu_qsbr_thread_offline(control_->reclaimer().qsbr(), w);
  }
  must_apply(yaml);
}

Lab::~Lab() {
  for (unsigned w = 0; w < options_.workers; ++w) control_->reclaimer().unregister_worker(w);
}

void Lab::make_port(const std::string& name) {
  auto& port = ports_[name];
  if (!port) {
    port = std::make_unique<RingPort>(name, options_.rx_queues, options_.tx_queues, options_.rx_ring,
                                      options_.tx_ring);
  }
  port->make_device();
  if (options_.tells_of_links) make_it_tell(port->device());
}

std::string Lab::with_devices(const std::string& yaml) {
  std::string text;
  for (std::size_t at = 0; at < yaml.size();) {
    if (yaml[at] != '@') {
      text += yaml[at++];
      continue;
    }
    std::size_t end = at + 1;
    while (end < yaml.size() && std::isalnum(static_cast<unsigned char>(yaml[end])) != 0) ++end;
    const std::string name = yaml.substr(at + 1, end - at - 1);
    make_port(name);
    text += '"' + ports_.at(name)->device() + '"';
    at = end;
  }
  return text;
}

config::Config Lab::parse(const std::string& yaml) {
  const auto parsed = config::parse(with_devices(yaml), "lab.yaml");
  if (!parsed.ok()) throw std::runtime_error(parsed.problems.front().to_string());
  return parsed.config;
}

Result<void> Lab::apply(const std::string& yaml) {
  auto applied = control_->apply(parse(yaml));
  if (options_.has_marks) set_marks(true);
  return applied;
}

void Lab::set_marks(bool believed) {
  control_->interfaces().visit([&](Interface& interface) {
    if (interface.config.loopback || interface.marks.flow_hash == believed) return;
    interface.marks = {.ipv4_checksum = believed, .flow_hash = believed};
    control_->interfaces().publish(interface);
  });
}

void Lab::must_apply(const std::string& yaml) {
  if (const auto applied = apply(yaml); !applied) throw std::runtime_error(applied.error());
  control_->tick();
  settle();
  advance(1.1);  // RFC 4862 5.4: then its addresses of IPv6 are known to be unique
  settle();
}

void Lab::reset(const std::string& yaml) {
  must_apply("interfaces: {}\n");
  must_apply(yaml);
}

rte_mbuf* make_mbuf(const Bytes& frame, const Layout& layout) {
  rte_mbuf* head = new_buffer();
  rte_mbuf* last = head;
  std::size_t segment = 0;
  std::size_t left_in_segment = layout.segments.empty() ? SIZE_MAX : layout.segments[0];
  if (layout.no_tailroom && !layout.segments.empty()) {
    head->data_off = static_cast<std::uint16_t>(head->buf_len - layout.segments[0]);
  }
  for (const std::uint8_t byte : frame) {
    while (left_in_segment == 0 || rte_pktmbuf_tailroom(last) == 0) {
      if (left_in_segment == 0) {
        ++segment;
        left_in_segment = segment < layout.segments.size() ? layout.segments[segment] : SIZE_MAX;
      }
      last->next = new_buffer();
      last = last->next;
      ++head->nb_segs;
    }
    *rte_pktmbuf_mtod_offset(last, std::uint8_t*, last->data_len) = byte;
    ++last->data_len;
    ++head->pkt_len;
    --left_in_segment;
  }
  return head;
}

Bytes bytes_of(const rte_mbuf* m) {
  Bytes all;
  unsigned segments = 0;
  for (const rte_mbuf* s = m; s != nullptr; s = s->next, ++segments) {
    const auto* at = rte_pktmbuf_mtod(s, const std::uint8_t*);
    all.insert(all.end(), at, at + s->data_len);
  }
  EXPECT_EQ(segments, m->nb_segs) << "the count of segments is wrong";
  EXPECT_EQ(all.size(), m->pkt_len) << "the packet's length is not that of its segments";
  return all;
}

void Lab::send(const std::string& port, const Bytes& frame, const Layout& layout, unsigned queue) {
  rte_mbuf* m = make_mbuf(frame, layout);
  m->port = ports_.at(port)->port();
  if (options_.has_marks) mark_as_a_nic(m);
  if (rte_ring_enqueue(ports_.at(port)->rx(queue), m) != 0) {
    rte_pktmbuf_free(m);
    throw std::runtime_error("the receive ring is full");
  }
}

bool Lab::step(unsigned worker) {
  const AsWorker as_worker(control_->reclaimer(), worker);
  return control_->worker(worker).step(rte_rdtsc());
}

void Lab::loop(const std::function<bool()>& done) {
  std::thread thread([this] {
    const AsWorker as_worker(control_->reclaimer(), 0);
    control_->worker(0).run();
  });
  for (unsigned tries = 0; tries < 10'000 && !done(); ++tries)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  control_->worker(0).request_stop();
  thread.join();
}

bool Lab::handle_punts() {
  const auto handled = [this] {
    std::uint64_t sum = 0;
    for (std::size_t c = 0; c < dataplane::kPuntClassCount; ++c) sum += control_->punts_handled(PuntClass(c));
    return sum;
  };
  const std::uint64_t before = handled();
  control_->set_time(now_ns_);
  while (control_->handle_punts(256)) {
  }
  return handled() != before;
}

void Lab::run() {
  bool moved = true;
  while (moved) {
    moved = false;
    while (control_->handle_host(64)) {
    }
    for (unsigned w = 0; w < options_.workers; ++w) moved |= step(w);
    moved |= handle_punts();
  }
}

std::vector<Bytes> Lab::received(const std::string& port) {
  std::vector<Bytes> frames;
  for (rte_ring* ring : ports_.at(port)->tx()) {
    void* m = nullptr;
    while (rte_ring_dequeue(ring, &m) == 0) {
      frames.push_back(bytes_of(static_cast<rte_mbuf*>(m)));
      rte_pktmbuf_free(static_cast<rte_mbuf*>(m));
    }
  }
  return frames;
}

void Lab::settle() {
  run();
  for (const auto& [name, port] : ports_) {
    for (rte_ring* ring : port->tx()) drain(ring);
  }
}

void Lab::advance(double seconds) {
  const std::uint64_t end = now_ns_ + static_cast<std::uint64_t>(seconds * 1e9);
  while (now_ns_ < end) {
    now_ns_ = std::min(end, now_ns_ + kSecondNs / 10);
    control_->set_time(now_ns_);
    control_->tick();
    run();
  }
}

void Lab::set_link(const std::string& port, bool up) {
  const std::uint16_t id = ports_.at(port)->port();
  const int error = up ? rte_eth_dev_set_link_up(id) : rte_eth_dev_set_link_down(id);
  if (error != 0) throw std::runtime_error("the link of " + port + " does not change");
  if (options_.tells_of_links) tell_of_link(ports_.at(port)->device());
  control_->set_time(now_ns_);
  control_->refresh_links();
}

Interface& Lab::interface(const std::string& name) {
  Interface* found = control_->interfaces().find(name);
  if (found == nullptr) throw std::runtime_error("no interface " + name);
  return *found;
}

std::array<std::uint64_t, dataplane::kDropReasonCount> Lab::drops() {
  std::array<std::uint64_t, dataplane::kDropReasonCount> sum{};
  for (std::size_t id = 0; id < control_->interfaces().id_limit(); ++id) {
    for (std::size_t r = 0; r < sum.size(); ++r) {
      sum[r] += control_->dropped(InterfaceId(static_cast<std::uint16_t>(id)), DropReason(r));
    }
  }
  return sum;
}

std::uint64_t Lab::dropped(DropReason reason) {
  return drops()[static_cast<std::size_t>(reason)];
}

std::size_t Lab::buffers_out() const {
  std::size_t out = rte_mempool_in_use_count(pool());
  for (const rte_mempool* p : control_->pools()) out += rte_mempool_in_use_count(p);
  return out;
}

std::size_t Lab::buffers_waiting() const {
  std::size_t waiting = 0;
  for (const auto& [key, entry] : control_->neighbors().entries()) {
    for (const rte_mbuf* m : entry.waiting) waiting += m->nb_segs;
  }
  waiting += control_->local().reassembly().buffers();
  return waiting;
}

void Lab::expect_clean() {
  settle();
  for (const auto& [name, port] : ports_) {
    for (unsigned q = 0; q < options_.rx_queues; ++q)
      drain(port->rx(q));  // of ports that nobody polls any more
  }
  EXPECT_EQ(control_->accounting().difference(), 0) << "packets are not accounted for";
  EXPECT_EQ(buffers_out(), buffers_waiting()) << "buffers that are not back in their pools";
  EXPECT_EQ(control_->failed_installs(), 0U);
}

Lab& LabTest::start(const std::string& yaml, const LabOptions& options) {
  if (lab_) TearDown();
  lab_ = std::make_unique<Lab>(yaml, options);
  return *lab_;
}

void LabTest::TearDown() {
  if (!lab_) return;
  lab_->expect_clean();
  lab_.reset();
  EXPECT_EQ(rte_mempool_in_use_count(Lab::pool()), 0U)
      << "buffers that the router did not give back at its end";
}

}  // namespace millrace::behaviour
