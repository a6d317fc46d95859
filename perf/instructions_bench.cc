// One case of the instruction budget: bursts through the real worker step, between ports that are rings.
// Under callgrind, that step is what is counted, and nothing around it. perf/budget.py runs it so.
#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_eth_ring.h>
#include <rte_mbuf.h>
#include <rte_mbuf_ptype.h>
#include <rte_rcu_qsbr.h>
#include <rte_ring.h>
#include <rte_version.h>
#include <valgrind/callgrind.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/parse.h"
#include "controlplane/control.h"
#include "dataplane/router_features.h"
#include "lpm/lookup.h"
#include "perf/net_stamp/frame.h"
#include "perf/route_stand.h"
#include "perf/tables.h"

namespace millrace::perf {
namespace {

using controlplane::Control;
using dataplane::kBurst;

constexpr unsigned kNeighbors = 64;      // routes are spread over them
constexpr unsigned kWarmingBursts = 64;  // until every symbol is bound and every branch was taken
constexpr unsigned kSteps = 2'000;       // of the control plane's clock, a millisecond each, before traffic
constexpr std::uint64_t kBeginNs = 1'000'000'000'000;

// What differs between the families: text, and how an address lies in a frame.
struct V4 {
  using Frame = Ipv4Frame;
  using Address = Address4;
  static constexpr std::size_t kSize = 60;
  static std::string neighbor(unsigned n) { return "10.255.1." + std::to_string(n + 1); }
  static Frame::Address on_wire(Address a) { return __builtin_bswap32(a); }
  static constexpr std::uint32_t kType = RTE_PTYPE_L2_ETHER | RTE_PTYPE_L3_IPV4 | RTE_PTYPE_L4_UDP;
  static Route4 one_route() { return {0xc6120000, 24, 1}; }  // 198.18.0.0/24
};
struct V6 {
  using Frame = Ipv6Frame;
  using Address = Address6;
  static constexpr std::size_t kSize = 74;
  static std::string neighbor(unsigned n) { return "2001:db8:ff::1:" + std::to_string(n + 1); }
  static Frame::Address on_wire(const Address& a) { return std::bit_cast<Frame::Address>(a); }
  static constexpr std::uint32_t kType = RTE_PTYPE_L2_ETHER | RTE_PTYPE_L3_IPV6 | RTE_PTYPE_L4_UDP;
  static Route6 one_route() { return {{0x20, 0x01, 0, 2}, 48, 1}; }  // 2001:2::/48
};

struct Options {
  std::string table;  // empty: one route
  std::size_t routes = SIZE_MAX;
  bool ipv6 = false;
  bool features_elsewhere = false;
  unsigned paths = 1;   // next hops of each route
  bool marked = false;  // frames are, as by a NIC with offloads
  unsigned bursts = 1024;
};

void start_eal() {
  std::vector<std::string> words{
      "instructions_bench", "--no-pci",    "--no-huge",          "-m", "512", "-l", "0",
      "--no-telemetry",     "--no-shconf", "--log-level=*:error"};
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  if (rte_eal_init(static_cast<int>(pointers.size()), pointers.data()) < 0)
    throw std::runtime_error("DPDK's environment does not start");
}

rte_ring* make_ring(const std::string& name) {
  rte_ring* ring = rte_ring_create(name.c_str(), 1024, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
  if (ring == nullptr) throw std::runtime_error("no ring " + name);
  return ring;
}

// An ethdev whose far ends are here. Lives as long as the process.
struct RingPort {
  explicit RingPort(const std::string& name)
      : rx(make_ring(name + "_rx")), tx{make_ring(name + "_tx0"), make_ring(name + "_tx1")} {
    if (rte_eth_from_rings(name.c_str(), &rx, 1, tx.data(), static_cast<unsigned>(tx.size()), 0) < 0)
      throw std::runtime_error("no port of the rings " + name);
  }
  rte_ring* rx;
  std::array<rte_ring*, 2> tx;  // the worker's and the control thread's
};

// Traffic comes by in0 and leaves by out0; `other` is a third port, with or without all that an interface may
// have.
std::string configuration(bool features_elsewhere) {
  std::string text = R"(
interfaces:
  in0: {device: net_ring_in0, addresses: [10.254.0.1/24, "2001:db8:fe::1/64"]}
  out0: {device: net_ring_out0, addresses: [10.255.0.1/16, "2001:db8:ff::1/64"]}
)";
  text += features_elsewhere ? R"(
  other: {device: net_ring_other, addresses: [10.253.0.1/24, "2001:db8:fd::1/64"], urpf: strict, ip_options: ignore,
          router_advertisements: true}
  other.7: {parent: other, vlan: 7, addresses: [10.252.7.1/24, "2001:db8:fc:7::1/64"], urpf: loose}
)"
                             : "  other: {device: net_ring_other, addresses: [10.253.0.1/24]}\n";
  text += "neighbors:\n";
  const auto add = [&text](const std::string& address) {
    text += "  - {address: \"" + address + "\", mac: \"02:00:00:00:03:01\", interface: out0}\n";
  };
  for (unsigned n = 0; n < kNeighbors; ++n) {
    add(V4::neighbor(n));
    add(V6::neighbor(n));
  }
  return text;
}

// The router and the three ports, driven by one thread.
class Bed {
 public:
  explicit Bed(bool features_elsewhere) : in_("in0"), out_("out0"), other_("other") {
    controlplane::ControlOptions options;
    options.adaptive_idle = false;
    options.fib = {lpm::TableLimits{}.max_groups, lpm::Pages::normal};
    auto made = Control::make(options, dataplane::router_features());
    if (!made) throw std::runtime_error(made.error());
    control_ = std::move(*made);
    control_->set_time(now_ns_);
    const auto parsed = config::parse(configuration(features_elsewhere), "bench.yaml");
    if (!parsed.ok()) throw std::runtime_error(parsed.problems.front().to_string());
    if (const auto applied = control_->apply(parsed.config); !applied)
      throw std::runtime_error(applied.error());
    control_->reclaimer().register_worker(0);
  }
  Bed(const Bed&) = delete;
  Bed& operator=(const Bed&) = delete;
  ~Bed() { control_->reclaimer().unregister_worker(0); }

  template <class Family>
  void load(const std::vector<Route<typename Family::Address>>& routes, unsigned paths) {
    for (const auto& route : routes) {
      config::RouteConfig config;
      for (unsigned n = 0; n < paths; ++n)
        config.via.emplace_back(*IpAddress::parse(Family::neighbor((route.id + n) % kNeighbors)));
      std::ranges::sort(config.via);
      const auto added = control_->add_route(prefix_of(route), {config, 0});
      if (!added) throw std::runtime_error(to_string(route.address) + ": " + added.error());
    }
  }

  void believe_marks() {
    controlplane::Interface& in = *control_->interfaces().find("in0");
    in.marks = {.ipv4_checksum = true, .flow_hash = true};
    control_->interfaces().publish(in);
  }

  // What starting up makes the router send is sent, and old tables are given back.
  void settle() {
    for (unsigned step = 0; step < kSteps; ++step) {
      control_->set_time(now_ns_ += 1'000'000);
      control_->tick();
      worker().step(rte_rdtsc());
      while (control_->handle_punts(kBurst)) {
      }
      for (const RingPort* port : {&in_, &out_, &other_}) drain(*port);
    }
  }

  dataplane::Worker& worker() { return control_->worker(0); }
  MacAddress in_mac() { return control_->interfaces().find("in0")->mac; }
  rte_mempool* pool() { return control_->port_of(*control_->interfaces().find("in0"))->pool(); }
  std::uint16_t in_port() { return control_->interfaces().find("in0")->port.value(); }
  [[nodiscard]] rte_ring* arriving() const { return in_.rx; }
  [[nodiscard]] rte_ring* leaving() const { return out_.tx[0]; }

 private:
  static void drain(const RingPort& port) {
    void* m = nullptr;
    for (rte_ring* ring : port.tx) {
      while (rte_ring_dequeue(ring, &m) == 0) rte_pktmbuf_free(static_cast<rte_mbuf*>(m));
    }
  }

  RingPort in_, out_, other_;
  std::uint64_t now_ns_ = kBeginNs;
  std::unique_ptr<Control> control_;
};

// The same buffers over and over, each time with new frames to addresses inside the routes.
template <class Family>
class Traffic {
 public:
  Traffic(Bed& bed, const std::vector<Route<typename Family::Address>>& routes, bool marked)
      : bed_(bed),
        routes_(routes),
        marked_(marked),
        frame_(Family::kSize, {bed.in_mac(), {{2, 0, 0, 0, 0, 1}}}) {
    if (rte_pktmbuf_alloc_bulk(bed.pool(), buffers_.data(), kBurst) != 0)
      throw std::runtime_error("no buffers");
  }
  Traffic(const Traffic&) = delete;
  Traffic& operator=(const Traffic&) = delete;
  ~Traffic() { rte_pktmbuf_free_bulk(buffers_.data(), kBurst); }

  void arrive() {
    for (rte_mbuf* m : buffers_) {
      rte_pktmbuf_reset(m);
      m->port = bed_.in_port();
      m->pkt_len = m->data_len = Family::kSize;
      if (marked_) mark(*m);
      frame_.stamp(rte_pktmbuf_mtod(m, std::byte*), Family::on_wire(next()));
    }
    rte_ring_enqueue_bulk(bed_.arriving(), reinterpret_cast<void**>(buffers_.data()), kBurst, nullptr);
  }
  // All of them leave, or what was counted was not the straight way.
  void leave() {
    if (rte_ring_dequeue_bulk(bed_.leaving(), reinterpret_cast<void**>(buffers_.data()), kBurst, nullptr) !=
        kBurst)
      throw std::runtime_error("a frame was not forwarded");
  }

 private:
  void mark(rte_mbuf& m) {
    m.ol_flags |= RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_RSS_HASH;
    m.packet_type = Family::kType;
    random_.fill(m.hash.rss);
  }
  typename Family::Address next() {
    const auto& route = routes_[random_.below(routes_.size())];
    typename Family::Address host;
    random_.fill(host);
    return join(route.address, route.length, host);
  }

  Bed& bed_;
  const std::vector<Route<typename Family::Address>>& routes_;
  const bool marked_;
  FrameTemplate<typename Family::Frame> frame_;
  Random random_{1};
  std::array<rte_mbuf*, kBurst> buffers_{};
};

// The first routes of an order by chance, so that a part of the table is like the whole.
template <class Address>
void take_some(std::vector<Route<Address>>& routes, std::size_t wanted) {
  Random random(1);
  for (std::size_t i = 0; i < std::min(wanted, routes.size()); ++i)
    std::swap(routes[i], routes[i + random.below(routes.size() - i)]);
  if (wanted < routes.size()) routes.resize(wanted);
}

template <class Family>
void run(const Options& options) {
  auto routes = options.table.empty() ? std::vector{Family::one_route()}
                                      : read_table<typename Family::Address>(options.table);
  take_some(routes, options.routes);
  Bed bed(options.features_elsewhere);
  bed.load<Family>(routes, options.paths);
  if (options.marked) bed.believe_marks();
  bed.settle();
  Traffic<Family> traffic(bed, routes, options.marked);
  const auto burst = [&] {
    traffic.arrive();
    CALLGRIND_TOGGLE_COLLECT;
    bed.worker().step(rte_rdtsc());
    CALLGRIND_TOGGLE_COLLECT;
    traffic.leave();
  };
  for (unsigned i = 0; i < kWarmingBursts; ++i) burst();
  CALLGRIND_START_INSTRUMENTATION;
  for (unsigned i = 0; i < options.bursts; ++i) burst();
  CALLGRIND_STOP_INSTRUMENTATION;
  std::cout << nlohmann::json{{"packets", std::uint64_t{options.bursts} * kBurst},
                              {"routes", routes.size()},
                              {"isa", lpm::name(lpm::best_isa())},
                              {"compiler", __VERSION__},
                              {"dpdk", std::to_string(RTE_VER_YEAR) + "." + std::to_string(RTE_VER_MONTH)}}
            << '\n';
}

}  // namespace
}  // namespace millrace::perf

int main(int argc, char** argv) {
  millrace::perf::Options options;
  CLI::App app("Bursts through the worker step, for callgrind to count");
  app.add_option("--table", options.table,
                 "routes: gzipped text, a line \"PREFIX NEXT-HOP\"; default: one route");
  app.add_option("--routes", options.routes, "as many of them, by chance");
  app.add_option("--bursts", options.bursts, "how many are counted")->check(CLI::PositiveNumber);
  app.add_flag("--ipv6", options.ipv6, "IPv6 instead of IPv4");
  app.add_flag("--features-elsewhere", options.features_elsewhere,
               "a VLAN, uRPF and all else are configured, at a port that is silent");
  app.add_option("--paths", options.paths, "next hops of each route")
      ->check(CLI::Range(1U, millrace::perf::kNeighbors));
  app.add_flag("--marked", options.marked,
               "frames are marked as by a NIC that checks headers and hashes flows");
  CLI11_PARSE(app, argc, argv);
  try {
    millrace::perf::start_eal();
    options.ipv6 ? millrace::perf::run<millrace::perf::V6>(options)
                 : millrace::perf::run<millrace::perf::V4>(options);
  } catch (const std::exception& error) {
    std::cerr << "instructions_bench: " << error.what() << '\n';
    return 1;
  }
  return 0;
}
