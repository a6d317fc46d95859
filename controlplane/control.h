// The control plane without its loop: configuration in, tables out, punted packets answered.
//
// Everything here runs on the control thread. It is driven by whoever owns it: the Router's loop, or a test.
// Time comes from outside (`now_ns`, monotonic).
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "config/diff.h"
#include "config/model.h"
#include "controlplane/arp.h"
#include "controlplane/fpm_feed.h"
#include "controlplane/host_interfaces.h"
#include "controlplane/icmp.h"
#include "controlplane/icmp6.h"
#include "controlplane/interfaces.h"
#include "controlplane/local.h"
#include "controlplane/nd.h"
#include "controlplane/neighbors.h"
#include "controlplane/netlink_feed.h"
#include "controlplane/next_hops.h"
#include "controlplane/output.h"
#include "controlplane/rib.h"
#include "controlplane/route_owners.h"
#include "controlplane/tunnels.h"
#include "dataplane/port.h"
#include "dataplane/punt.h"
#include "dataplane/table_writer.h"
#include "dataplane/worker.h"
#include "lpm/reclaimer.h"
#include "net/result.h"

namespace millrace::controlplane {

struct FreeRing {
  void operator()(rte_ring* ring) const { rte_ring_free(ring); }
};
using Ring = std::unique_ptr<rte_ring, FreeRing>;

struct ControlOptions {
  unsigned workers = 1;
  bool adaptive_idle = true;
  unsigned tx_wait_us = 0;  // that frames may wait for a burst of a port to fill
  lpm::TableLimits fib;
  NeighborLimits neighbors;
  dataplane::FlowHashing flow_hashing;
  bool symmetric_rss = false;
  unsigned buffers = 4096;              // in the control thread's own pool
  lpm::Isa isa = lpm::best_isa();       // of the workers' packet steps
  HostDevices* host_devices = nullptr;  // outlives it; null: interfaces have none for daemons
};

// What packets did, over all workers and interfaces (counters.h says what has to add up).
struct Accounting {
  std::uint64_t received = 0;
  std::uint64_t originated = 0;
  std::uint64_t fragments_added = 0;
  std::uint64_t transmitted = 0;
  std::uint64_t punted = 0;
  std::uint64_t dropped = 0;
  [[nodiscard]] std::int64_t difference() const {
    return static_cast<std::int64_t>(received + originated + fragments_added - transmitted - punted -
                                     dropped);
  }
};

struct InterfaceTotals {
  std::uint64_t rx_packets = 0, rx_bytes = 0, tx_packets = 0, tx_bytes = 0, punted = 0, dropped = 0;
};

// What a configured or API route's next hop is, before resolution.
NextHopSpec next_hop_of(const config::RouteConfig& route);

class Control {
 public:
  // `features` may be empty; it is copied. Fails (Error) if memory or rings are not to be had.
  static Result<std::unique_ptr<Control>> make(const ControlOptions& options,
                                               const dataplane::FeatureTable& features);
  ~Control();  // workers have stopped
  Control(const Control&) = delete;
  Control& operator=(const Control&) = delete;

  // --- configuration ---
  // Makes `next` the desired configuration and applies the difference. On an error nothing changed.
  Result<void> apply(const config::Config& next);
  // The same in steps, for the running loop: begin_apply() does what can fail (ports) and interfaces and
  // neighbours; continue_apply() up to `slice` routes at a call, true while there are more. The caller makes
  // the difference to desired(), and lets nobody else begin meanwhile.
  struct PendingApply {
    std::shared_ptr<const config::Config> next;
    config::Diff diff;
    std::size_t done = 0;      // routes, of all that are removed, added or changed
    std::uint64_t losses = 0;  // of next hops, when it began
  };
  Result<void> begin_apply(PendingApply& pending);
  bool continue_apply(PendingApply& pending, std::size_t slice);
  [[nodiscard]] const config::Config& desired() const { return *desired_; }
  [[nodiscard]] std::shared_ptr<const config::Config> share_desired() const { return desired_; }
  [[nodiscard]] std::uint64_t generation() const { return generation_; }

  // --- routes of the API ---
  struct ApiRoute {
    config::RouteConfig route;
    std::uint16_t owner = 0;
  };
  Result<RouteOutcome> add_route(const AnyPrefix& prefix, const ApiRoute& route, std::uint32_t mark = 0);
  bool remove_route(const AnyPrefix& prefix);
  [[nodiscard]] RouteOwners& owners() { return owners_; }

  // --- feeds ---
  // Those over FPM and from the kernel, or null if the configuration that was applied first has none.
  [[nodiscard]] FpmFeed* fpm() { return fpm_.get(); }
  [[nodiscard]] NetlinkFeed* netlink() { return netlink_.get(); }
  // What the configuration says of it; while there is one.
  [[nodiscard]] const config::FpmConfig& fpm_config() const { return *desired_->feeds.fpm; }

  // --- the loop's work ---
  void set_time(std::uint64_t now_ns);
  // Handles up to `budget` punted packets, urgent classes first; true if some are left.
  bool handle_punts(unsigned budget);
  // Takes up to `budget` frames from daemons when host()->fd() is readable; true if there may be more.
  bool handle_host(unsigned budget) { return host_ && host_->receive(budget); }
  void tick();           // neighbours, reclaim; call every 10 ms or so
  void refresh_links();  // carrier of every port; call every few milliseconds

  // --- for statistics and tests ---
  [[nodiscard]] Accounting accounting() const;
  [[nodiscard]] InterfaceTotals totals(InterfaceId id) const;
  [[nodiscard]] std::uint64_t dropped(InterfaceId id,
                                      dataplane::DropReason reason) const;               // workers' and ours
  [[nodiscard]] std::pair<std::uint64_t, std::uint64_t> sent_to(NeighborKey key) const;  // packets, bytes
  [[nodiscard]] std::uint64_t punts_handled(dataplane::PuntClass c) const {
    return punts_handled_[static_cast<std::size_t>(c)];
  }
  [[nodiscard]] const dataplane::Port* port_of(const Interface& interface) const;
  [[nodiscard]] std::vector<const rte_mempool*> pools() const;
  [[nodiscard]] std::size_t waiting_packets() const { return neighbors_.waiting_packets(); }

  [[nodiscard]] dataplane::Worker& worker(std::size_t i) { return *workers_[i]; }
  [[nodiscard]] std::size_t worker_count() const { return workers_.size(); }
  [[nodiscard]] const dataplane::WorkerPlan& plan(std::size_t i) const { return *plans_[i]; }
  [[nodiscard]] lpm::Reclaimer& reclaimer() { return reclaimer_; }
  [[nodiscard]] dataplane::Doorbell& doorbell() { return doorbell_; }
  // Rung when a port's link may have changed: refresh_links().
  [[nodiscard]] dataplane::Doorbell& link_bell() { return link_bell_; }
  [[nodiscard]] dataplane::TableWriter& writer() { return writer_; }
  [[nodiscard]] const dataplane::Tables& tables() const { return tables_; }
  [[nodiscard]] Interfaces& interfaces() { return interfaces_; }
  template <class Prefix = Ipv4Prefix>
  [[nodiscard]] BasicRib<Prefix>& rib() {
    return ribs_.of<typename Prefix::Address>();
  }
  // In the RIBs of both families.
  [[nodiscard]] std::size_t prefixes() const { return ribs_.ipv4.prefixes() + ribs_.ipv6.prefixes(); }
  [[nodiscard]] std::size_t count(RouteSource source) const {
    return ribs_.ipv4.count(source) + ribs_.ipv6.count(source);
  }
  [[nodiscard]] NextHops& next_hops() { return next_hops_; }
  [[nodiscard]] Neighbors& neighbors() { return neighbors_; }
  [[nodiscard]] const Nd& nd() const { return nd_; }
  [[nodiscard]] Icmp& icmp() { return icmp_; }
  [[nodiscard]] const Local& local() const { return local_; }
  [[nodiscard]] Output& output() { return output_; }
  [[nodiscard]] const Tunnels& tunnels() const { return tunnels_; }
  [[nodiscard]] const HostInterfaces* host() const { return host_.get(); }  // may be null
  [[nodiscard]] std::uint64_t failed_installs() const { return failed_installs_; }

 private:
  Control(const ControlOptions& options, const dataplane::FeatureTable& features);
  Result<void> make_rings_and_workers();
  void connect_hooks();

  // control_config.cc
  using Ports = std::map<std::string, std::unique_ptr<dataplane::Port>>;
  Result<void> open_ports(const config::Diff& diff, const config::Config& next, Ports& opened);
  Result<std::unique_ptr<dataplane::Port>> open_port(const std::string& name,
                                                     const config::InterfaceConfig& config, unsigned alike);
  void reopen(const std::vector<std::string>& closed);
  std::vector<std::string> add_interfaces(const config::Config& config, Ports& opened);
  Interface* add_interface(const std::string& name, const config::InterfaceConfig& config);
  void give_port(Interface& interface, std::unique_ptr<dataplane::Port> port);
  void join_parent(Interface& vlan, const Interface& parent);
  void publish_parents(const std::vector<std::string>& vlans);
  struct Closing;
  void remove_interfaces(const std::vector<std::string>& names);
  bool wait_for_removed_ports();
  void apply_interfaces(const config::Diff& diff, const config::Config& next, Ports& opened);
  void restore_fixed_neighbors(const config::Config& config, const std::vector<std::string>& interfaces);
  void apply_neighbors(const config::Diff& diff, bool remove);
  void addresses_changed();
  void take_lent();
  bool may_be_lent(const LentAddress& address, const Interface& to);
  void publish_plans();
  dataplane::TxPath tx_path(const dataplane::Port& port, unsigned who) const;

  // control_routes.cc
  void apply_route(const config::Diff& diff, std::size_t number);
  template <class Prefix>
  void apply_route(const config::MapDiff<Prefix, config::RouteConfig>& routes, std::size_t number);
  template <class Prefix>
  void install_static(Prefix prefix, const config::RouteConfig& route);
  void sync_static_routes();
  const NextHops::Set* way_to(IpAddress address);
  void sync_connected();
  template <class Address>
  void sync_connected_of();
  template <class Prefix>
  Result<RouteOutcome> add(Prefix prefix, const RouteSpec& spec);
  template <class Prefix>
  void install(Prefix prefix, const RouteSpec& spec);
  template <class Prefix>
  bool uninstall(Prefix prefix, RouteSource source);
  template <class Address>
  void route_changed(IpPrefix<Address> prefix);
  void apply_feeds(const config::FeedsConfig& feeds);
  void make_feeds(const config::FeedsConfig& feeds);
  void sync_host_route(NeighborKey key);
  template <class Prefix>
  void sync_host_route(NeighborKey key, Prefix host);

  // control.cc
  void handle_punt(rte_mbuf* m, dataplane::PuntClass c);
  void drop(rte_mbuf* m, InterfaceId at, dataplane::DropReason reason, bool answered = true);
  void count_drop(InterfaceId at, dataplane::DropReason reason);
  void handle_control(rte_mbuf* m, const Interface& ingress);
  bool give_to_daemons(const rte_mbuf* m, const Interface& ingress);
  bool give_to_ipsec(rte_mbuf* m, const Interface& ingress);
  void hear_too_big(const rte_mbuf* m, std::uint32_t at, std::uint32_t mtu);
  void tell_host(rte_mbuf* m, const Interface& on);
  rte_mbuf* make_host_error(rte_mbuf* m, const Interface& on);
  void send_error(rte_mbuf* m, const Interface& ingress, dataplane::DropReason reason);
  std::pair<NextHops::LinkState, MacAddress> mac_of(NeighborKey key) const;
  void neighbor_changed(NeighborKey key, NextHops::LinkState state, MacAddress mac);

  ControlOptions options_;
  // Pools outlive everything that may hold a buffer.
  dataplane::BufferPools port_pools_;
  dataplane::Pool pool_;
  std::unique_ptr<esp::KeyStore> keys_;  // of tunnels, likewise
  lpm::Reclaimer reclaimer_;
  dataplane::FeatureTable features_;
  dataplane::Doorbell doorbell_;
  dataplane::Doorbell link_bell_;
  dataplane::Tables tables_;
  dataplane::TableWriter writer_;
  Interfaces interfaces_;
  Tunnels tunnels_;
  NextHops next_hops_;
  template <class Address>
  using RibOf = BasicRib<IpPrefix<Address>>;
  PerFamily<RibOf> ribs_;
  RouteOwners owners_;
  Output output_;
  Neighbors neighbors_;
  Arp arp_;
  Nd nd_;
  IcmpLimits icmp_limits_;
  Icmp icmp_;
  Icmp6 icmp6_;
  Local local_;
  std::unique_ptr<HostInterfaces> host_;
  std::set<std::string> refused_lent_;  // that the log has heard of
  std::unique_ptr<FpmFeed> fpm_;
  std::unique_ptr<NetlinkFeed> netlink_;

  // Rings: punt (producer: a worker; consumer: us), handoff (producer: one worker or us; consumer: a worker).
  std::vector<std::array<Ring, dataplane::kPuntClassCount>> punt_rings_;  // [worker]
  std::vector<std::vector<Ring>> handoff_;                                // [from: workers, then us][to]
  std::map<std::string, std::unique_ptr<dataplane::Port>> ports_;         // by interface
  unsigned ports_closing_ = 0;
  std::vector<std::unique_ptr<dataplane::Ipsec>> ipsec_;  // [worker]; null where the processor cannot
  std::vector<std::unique_ptr<dataplane::Worker>> workers_;
  std::vector<std::unique_ptr<const dataplane::WorkerPlan>> plans_;

  std::shared_ptr<const config::Config> desired_ = std::make_shared<config::Config>();
  std::uint64_t generation_ = 0;
  template <class Address>
  using ConnectedRoutes = std::map<IpPrefix<Address>, NextHopSpec>;
  std::uint64_t seen_losses_ = 0;         // of next hops, when sync_static_routes() looked
  PerFamily<ConnectedRoutes> connected_;  // what sync_connected() put into the RIBs
  std::uint64_t now_ns_ = 0;
  std::uint64_t failed_installs_ = 0;
  std::array<std::uint64_t, dataplane::kPuntClassCount> punts_handled_{};
  // Drops on the control thread, of packets that count as punted.
  std::vector<std::array<std::uint64_t, dataplane::kDropReasonCount>> dropped_{dataplane::kMaxInterfaces};
};

}  // namespace millrace::controlplane
