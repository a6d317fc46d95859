#include "controlplane/control.h"

#include <rte_cycles.h>
#include <rte_errno.h>
#include <rte_lcore.h>

#include <spdlog/spdlog.h>

#include "controlplane/esp_quote.h"
#include "controlplane/nat_keepalive.h"
#include "controlplane/packet_bytes.h"
#include "dataplane/control_protocol.h"
#include "dataplane/eal.h"

namespace millrace::controlplane {

using dataplane::DropReason;
using dataplane::PuntClass;

namespace {

constexpr unsigned kHandoffRing = 1024;
constexpr unsigned kPuntRingSizes[] = {
#define PUNT_CLASS(name, text, rate, ring) ring,
#include "dataplane/punt.def"
#undef PUNT_CLASS
};

// Memory near the worker that polls or fills the ring.
int numa_node_of(unsigned worker) {
  const unsigned lcore = dataplane::Eal::worker_lcore(worker);
  return rte_lcore_is_enabled(lcore) != 0 ? static_cast<int>(rte_lcore_to_socket_id(lcore)) : SOCKET_ID_ANY;
}

Result<Ring> make_ring(unsigned size, int numa_node) {
  static unsigned made = 0;  // names are unique in the process
  const std::string name = "mr_ring" + std::to_string(made++);
  rte_ring* ring = rte_ring_create(name.c_str(), size, numa_node, RING_F_SP_ENQ | RING_F_SC_DEQ);
  if (ring == nullptr) return Error{std::string("no memory for a ring: ") + rte_strerror(rte_errno)};
  return Ring(ring);
}

void drain(rte_ring* ring) {
  void* m = nullptr;
  while (rte_ring_sc_dequeue(ring, &m) == 0) rte_pktmbuf_free(static_cast<rte_mbuf*>(m));
}

// Requests are answered here alone; what others answer is news for the kernel, too.
bool is_arp_reply(const rte_mbuf* m) {
  wire::Arp arp;
  const std::size_t size = copy_out(m, static_cast<std::uint32_t>(sizeof(wire::Ethernet)),
                                    std::as_writable_bytes(std::span(&arp, 1)));
  return size == sizeof arp && arp.operation.host() == wire::kArpReply;
}

}  // namespace

Result<std::unique_ptr<Control>> Control::make(const ControlOptions& options,
                                               const dataplane::FeatureTable& features) {
  std::unique_ptr<Control> control;
  try {
    control.reset(new Control(options, features));
  } catch (const std::bad_alloc&) {
    return Error{"no memory for the tables"};
  }
  static unsigned made = 0;
  auto pool = dataplane::make_pool("mr_control" + std::to_string(made++), options.buffers,
                                   RTE_MBUF_DEFAULT_BUF_SIZE, static_cast<int>(rte_socket_id()));
  if (!pool) return Error{pool.error()};
  control->pool_ = std::move(*pool);
  control->output_.set_pool(control->pool_.get());
  if (auto made_workers = control->make_rings_and_workers(); !made_workers)
    return Error{made_workers.error()};
  control->connect_hooks();
  return control;
}

Control::Control(const ControlOptions& options, const dataplane::FeatureTable& features)
    : options_(options),
      reclaimer_(static_cast<unsigned>(options.workers)),
      features_(features),
      writer_(tables_, reclaimer_, options.fib, options.flow_hashing),
      interfaces_(writer_),
      tunnels_(writer_, interfaces_, keys_, options.workers),
      next_hops_(writer_, interfaces_),
      ribs_{{writer_, next_hops_, FibId(0)}, {writer_, next_hops_, FibId(0)}},
      output_(tables_, interfaces_),
      neighbors_(interfaces_, output_, options.neighbors),
      arp_(output_, neighbors_),
      nd_(interfaces_, output_, neighbors_),
      icmp_(output_, icmp_limits_),
      icmp6_(tables_, nd_, output_, icmp_limits_),
      local_(icmp_, icmp6_, nd_) {
  if (options.host_devices != nullptr)
    host_ = std::make_unique<HostInterfaces>(*options.host_devices, interfaces_, output_);
}

Result<void> Control::make_rings_and_workers() {
  handoff_.resize(options_.workers + 1);
  for (auto& to : handoff_) {
    for (unsigned i = 0; i < options_.workers; ++i) {
      auto ring = make_ring(kHandoffRing, numa_node_of(i));
      if (!ring) return Error{ring.error()};
      to.push_back(std::move(*ring));
    }
  }
  punt_rings_.resize(options_.workers);
  for (unsigned w = 0; w < options_.workers; ++w) {
    const std::uint64_t tsc_hz = rte_get_tsc_hz();
    dataplane::WorkerSetup setup{w,
                                 &tables_,
                                 &features_,
                                 reclaimer_.qsbr(),
                                 &doorbell_,
                                 {},
                                 tsc_hz,
                                 options_.adaptive_idle,
                                 tsc_hz * options_.tx_wait_us / 1'000'000,
                                 options_.isa};
    for (std::size_t c = 0; c < dataplane::kPuntClassCount; ++c) {
      auto ring = make_ring(kPuntRingSizes[c], numa_node_of(w));
      if (!ring) return Error{ring.error()};
      punt_rings_[w][c] = std::move(*ring);
      setup.punt_rings[c] = punt_rings_[w][c].get();
    }
    auto engine = esp::Engine::make();
    ipsec_.push_back(engine ? std::make_unique<dataplane::Ipsec>(std::move(*engine)) : nullptr);
    setup.ipsec = ipsec_.back().get();
    workers_.push_back(std::make_unique<dataplane::Worker>(setup));
    if (!workers_.back()->has_memory()) return Error{"no memory for counters"};
  }
  std::vector<rte_ring*> to_workers;
  for (const Ring& ring : handoff_[options_.workers]) to_workers.push_back(ring.get());
  output_.set_worker_rings(std::move(to_workers));
  plans_.resize(options_.workers);
  publish_plans();
  return {};
}

void Control::connect_hooks() {
  const auto drop_hook = [this](rte_mbuf* m, InterfaceId, DropReason reason) {
    drop(m, dataplane::meta(m).ingress, reason);
  };
  output_.set_hooks({[this](NeighborKey key, rte_mbuf* m) { neighbors_.resolve(key, m); }, drop_hook,
                     [this](rte_mbuf* m, const Interface& link) { tell_host(m, link); }});
  neighbors_.set_hooks({[this](NeighborKey key, NextHops::LinkState state, MacAddress mac) {
                          neighbor_changed(key, state, mac);
                        },
                        drop_hook, [this](NeighborKey key) { return sent_to(key).first; }});
  neighbors_.set_speakers(arp_, nd_);
  local_.set_drop([this](rte_mbuf* m, DropReason reason, bool answered) {
    drop(m, dataplane::meta(m).ingress, reason, answered);
  });
  if (host_) {
    local_.set_daemons([this](const rte_mbuf* m, const Interface& on) { return give_to_daemons(m, on); });
    host_->set_hook([this] { take_lent(); });
  }
  next_hops_.set_hooks([this](NeighborKey key) { return mac_of(key); },
                       [this](NeighborKey key, bool wanted) {
                         const Interface* on = interfaces_.find(key.interface);
                         if (on == nullptr || !on->config.ipsec) neighbors_.want(key, wanted);
                       });
  const auto too_big = [this](const rte_mbuf* m, std::uint32_t at, std::uint32_t mtu) {
    hear_too_big(m, at, mtu);
  };
  icmp_.set_too_big(too_big);
  icmp6_.set_too_big(too_big);
  tunnels_.set_hooks({.keep_alive = [this](const Interface& tunnel) { send_nat_keepalive(output_, tunnel); },
                      .mtus_changed = [this] { next_hops_.interfaces_changed(); }});
  local_.set_ipsec([this](rte_mbuf* m, const Interface& on) { return give_to_ipsec(m, on); });
  next_hops_.set_covering([this](IpAddress address) { return way_to(address); });
}

// Workers have stopped. Ports go first: their drivers hold buffers; then whatever waits in rings.
Control::~Control() {
  netlink_.reset();
  fpm_.reset();
  while (reclaimer_.poll() != 0) {
  }
  for (auto& [name, port] : ports_) port->stop();
  ports_.clear();
  for (auto& rings : punt_rings_) {
    for (auto& ring : rings) {
      if (ring) drain(ring.get());
    }
  }
  for (auto& rings : handoff_) {
    for (auto& ring : rings) drain(ring.get());
  }
}

void Control::set_time(std::uint64_t now_ns) {
  now_ns_ = now_ns;
  writer_.set_time(now_ns);
  neighbors_.set_time(now_ns);
  nd_.set_time(now_ns);
  icmp_limits_.set_time(now_ns);
  local_.set_time(now_ns);
  if (fpm_) fpm_->set_time(now_ns);
  if (netlink_) netlink_->set_time(now_ns);
}

// All hosts of a subnet have the MAC of all hosts.
std::pair<NextHops::LinkState, MacAddress> Control::mac_of(NeighborKey key) const {
  const Interface* on = interfaces_.find(key.interface);
  if (on != nullptr && on->is_directed_broadcast(key.address))
    return {NextHops::LinkState::resolved, kBroadcastMac};
  if (on != nullptr && on->config.ipsec) return {NextHops::LinkState::resolved, {}};
  return neighbors_.known(key);
}

void Control::neighbor_changed(NeighborKey key, NextHops::LinkState state, MacAddress mac) {
  next_hops_.neighbor_changed(key, state, mac);
  sync_host_route(key);
}

bool Control::handle_punts(unsigned budget) {
  std::array<void*, 32> frames;
  unsigned left = budget;
  for (std::size_t c = 0; c < dataplane::kPuntClassCount && left != 0; ++c) {
    for (auto& rings : punt_rings_) {
      unsigned count = 1;
      while (left != 0 && count != 0) {
        const unsigned want = std::min<unsigned>(left, static_cast<unsigned>(frames.size()));
        count = rte_ring_sc_dequeue_burst(rings[c].get(), frames.data(), want, nullptr);
        left -= count;
        for (unsigned i = 0; i < count; ++i)
          handle_punt(static_cast<rte_mbuf*>(frames[i]), static_cast<PuntClass>(c));
      }
    }
  }
  return left == 0;
}

void Control::handle_punt(rte_mbuf* m, PuntClass c) {
  ++punts_handled_[static_cast<std::size_t>(c)];
  dataplane::PacketMeta& meta = dataplane::meta(m);
  meta.from_control = false;  // a buffer that carried a packet of ours before still says so
  const InterfaceId ingress_id = meta.ingress;
  const Interface* ingress = interfaces_.find(ingress_id);
  if (ingress == nullptr) return drop(m, ingress_id, DropReason::interface_gone);
  switch (c) {
    case PuntClass::control:
      return handle_control(m, *ingress);
    case PuntClass::arp:
      if (host_ && is_arp_reply(m)) host_->send(m, *ingress);
      if (const auto reason = arp_.handle(m, *ingress)) count_drop(ingress_id, *reason);
      return;
    case PuntClass::nd:
    case PuntClass::icmp:
    case PuntClass::local:
      return local_.deliver(m, *ingress);
    case PuntClass::unresolved:
      if (interfaces_.find(meta.egress) == nullptr) return drop(m, ingress_id, DropReason::interface_gone);
      return neighbors_.resolve({meta.egress, meta.next_hop_address}, m);
    case PuntClass::expired:
    case PuntClass::error:
      // What is too long for a link of ours may be a tunnel's outer packet.
      if (meta.reason == DropReason::fragmentation_needed) hear_too_big(m, sizeof(wire::Ethernet), meta.mtu);
      send_error(m, *ingress, meta.reason);
      return rte_pktmbuf_free(m);
  }
}

// A packet is looked at as any that is for us; frames without one are for daemons alone.
void Control::handle_control(rte_mbuf* m, const Interface& ingress) {
  if (!dataplane::is_of_link(dataplane::ethernet(m)->type.host())) return local_.deliver(m, ingress);
  if (!give_to_daemons(m, ingress)) return drop(m, ingress.id, DropReason::unknown_ethertype);
  rte_pktmbuf_free(m);
}

bool Control::give_to_daemons(const rte_mbuf* m, const Interface& ingress) {
  if (!host_ || !host_->has(ingress.id)) return false;
  host_->send(m, ingress);
  return true;
}

// A datagram that came in fragments: its SA's worker takes it, as any. Of others policies are asked again:
// workers let fragments to us pass that may be ESP or IKE.
bool Control::give_to_ipsec(rte_mbuf* m, const Interface& ingress) {
  const dataplane::InboundSas& sas = tables_.inbound_sas();
  if (sas.takes_esp() && dataplane::is_esp(m, sas.any_udp())) {
    output_.hand_to_ipsec(m, ingress);
    return true;
  }
  const auto policies = ingress.current_policies();
  if (!policies) return false;
  const dataplane::Policies::Said said = policies->ask(tables_, m, dataplane::Way::in);
  if (said.action == PolicyAction::bypass) return false;
  drop(m, ingress.id, said.reason);
  return true;
}

// A packet of a daemon that is too long for the tunnel that protects it: it learns that as from any way.
void Control::tell_host(rte_mbuf* m, const Interface& on) {
  rte_mbuf* error = host_ && host_->has(on.id) ? make_host_error(m, on) : nullptr;
  if (error != nullptr) host_->send(error, on);
  rte_pktmbuf_free(error);
}

// As from where the packet was to go: from one of ours the host would not believe it.
rte_mbuf* Control::make_host_error(rte_mbuf* m, const Interface& on) {
  rte_mbuf* error = is_ipv6(m) ? icmp6_.make_error(m, Ipv6Address(dataplane::ipv6(m)->destination),
                                                   DropReason::fragmentation_needed)
                               : icmp_.make_error(m, Ipv4Address(dataplane::ipv4(m)->destination),
                                                  DropReason::fragmentation_needed);
  if (error == nullptr) return nullptr;
  if (rte_pktmbuf_prepend(error, sizeof(wire::Ethernet)) == nullptr) return rte_pktmbuf_free(error), nullptr;
  *dataplane::ethernet(error) = {on.mac, on.mac, dataplane::ethernet(m)->type};
  return error;
}

void Control::count_drop(InterfaceId at, DropReason reason) {
  ++dropped_[at.value()][static_cast<std::size_t>(reason)];
}

// The packet that was too long begins at `at`.
void Control::hear_too_big(const rte_mbuf* m, std::uint32_t at, std::uint32_t mtu) {
  std::array<std::byte, kEspQuoteBytes> packet;
  const std::size_t size = copy_out(m, at, packet);
  tunnels_.too_big(std::span(packet).first(size), mtu);
}

void Control::send_error(rte_mbuf* m, const Interface& ingress, DropReason reason) {
  is_ipv6(m) ? icmp6_.send_error(m, ingress, reason) : icmp_.send_error(m, ingress, reason);
}

// Ends a packet that was punted: counted, answered by an ICMP error if its reason has one and it is to be
// `answered`, freed.
void Control::drop(rte_mbuf* m, InterfaceId at, DropReason reason, bool answered) {
  if (at != kNoInterface) count_drop(at, reason);
  const Interface* ingress = at == kNoInterface ? nullptr : interfaces_.find(at);
  const bool forwarded = !dataplane::meta(m).from_control;
  if (answered && ingress != nullptr && forwarded && dataplane::has_icmp_error(reason)) {
    send_error(m, *ingress, reason);
  }
  rte_pktmbuf_free(m);
}

void Control::tick() {
  neighbors_.tick();
  nd_.tick();
  local_.tick();
  tunnels_.tick();
  if (fpm_) fpm_->tick();
  if (netlink_) netlink_->tick();
  reclaimer_.poll();
  sync_static_routes();
  writer_.maintain();
  port_pools_.free_idle();
}

// Ports are asked first: a thousand VLANs of one are not.
void Control::refresh_links() {
  const bool same = std::ranges::all_of(ports_, [this](const auto& named) {
    const Interface* interface = interfaces_.find(named.first);
    return interface == nullptr || interface->up == named.second->link_up();
  });
  if (same) return;
  std::vector<Interface*> changed;
  interfaces_.visit([&](Interface& interface) {
    const bool is_vlan = interface.tags.any();
    const auto at = ports_.find(is_vlan ? interface.config.parent : interface.name);
    if (at == ports_.end()) return;
    const bool up = at->second->link_up();
    if (up == interface.up) return;
    interface.up = up;
    changed.push_back(&interface);
    spdlog::info("interface {} is {}", interface.name, up ? "up" : "down");
  });
  if (changed.empty()) return;
  addresses_changed();
  if (host_) host_->sync();
  for (const Interface* interface : changed) {
    if (interface->up) {
      neighbors_.announce(*interface);
    } else {
      neighbors_.flush(interface->id, false);
    }
  }
}

InterfaceTotals Control::totals(InterfaceId id) const {
  InterfaceTotals sum;
  const auto add = [&](const dataplane::InterfaceCounters& c) {
    sum.rx_packets += c.own_packets();
    sum.rx_bytes += c.own_bytes();
    sum.tx_packets += c.tx_packets.get();
    sum.tx_bytes += c.tx_bytes.get();
    sum.punted += c.punted.get();
  };
  for (const auto& worker : workers_) {
    add(worker->interface_counters(id));
    for (const auto& reason : worker->drop_counters(id)) sum.dropped += reason.get();
  }
  add(output_.interface_counters(id));
  return sum;
}

std::uint64_t Control::dropped(InterfaceId id, DropReason reason) const {
  std::uint64_t sum = dropped_[id.value()][static_cast<std::size_t>(reason)];
  for (const auto& worker : workers_) {
    sum += worker->drop_counters(id)[static_cast<std::size_t>(reason)].get();
  }
  return sum;
}

Accounting Control::accounting() const {
  Accounting sum;
  for (std::size_t id = 0; id < interfaces_.id_limit(); ++id) {
    const InterfaceTotals t = totals(InterfaceId(static_cast<std::uint16_t>(id)));
    sum.received += t.rx_packets;
    sum.transmitted += t.tx_packets;
    sum.punted += t.punted;
    sum.dropped += t.dropped;
  }
  for (const auto& worker : workers_) {
    sum.originated += worker->counters().originated.get();
    sum.fragments_added += worker->counters().fragments_added.get();
    sum.received -= worker->counters().decapsulated.get();
    sum.transmitted -= worker->counters().encapsulated.get();
  }
  sum.originated += output_.counters().sent_direct;
  return sum;
}

std::pair<std::uint64_t, std::uint64_t> Control::sent_to(NeighborKey key) const {
  const NextHops::Link* link = next_hops_.find_link(key);
  std::pair<std::uint64_t, std::uint64_t> sum;
  if (link == nullptr) return sum;
  for (const auto& worker : workers_) {
    sum.first += worker->adjacency_counters(link->counter).packets.get();
    sum.second += worker->adjacency_counters(link->counter).bytes.get();
  }
  return sum;
}

const dataplane::Port* Control::port_of(const Interface& interface) const {
  const auto at = ports_.find(interface.name);
  return at == ports_.end() ? nullptr : at->second.get();
}

std::vector<const rte_mempool*> Control::pools() const {
  std::vector<const rte_mempool*> all = port_pools_.all();
  all.insert(all.begin(), pool_.get());
  return all;
}

}  // namespace millrace::controlplane
