// From a desired configuration to interfaces and neighbours: differences only. (Routes: control_routes.cc.)
#include <rte_cycles.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <limits>
#include <set>

#include "controlplane/control.h"

namespace millrace::controlplane {

using dataplane::Port;
using dataplane::TxPath;
using dataplane::WorkerPlan;

namespace {

// The longest that a change of a device waits for workers to let go of the old port.
constexpr std::uint64_t kGraceUs = 200'000;

// The MTU that every port's buffers and frames hold.
constexpr unsigned kOrdinaryMtu = 1500;

// An interface is made anew when its hardware or its VLAN is another, or its port has to be started again:
// NICs take an MTU only when they are stopped, and a port's buffers are sized for its first one.
bool is_another(const config::InterfaceConfig& before, const config::InterfaceConfig& after) {
  const bool restarts =
      dataplane::is_pci_address(before.device) || after.mtu > std::max(before.mtu, kOrdinaryMtu);
  return before.device != after.device || before.queues != after.queues ||
         before.offloads != after.offloads || before.parent != after.parent || before.vlan != after.vlan ||
         before.loopback != after.loopback || before.ipsec.has_value() != after.ipsec.has_value() ||
         (!after.device.empty() && before.mtu != after.mtu && restarts);
}

}  // namespace

Result<void> Control::apply(const config::Config& next) {
  PendingApply pending{std::make_shared<config::Config>(next), config::diff(*desired_, next)};
  if (auto begun = begin_apply(pending); !begun) return begun;
  while (continue_apply(pending, pending.diff.route_count())) {
  }
  return {};
}

Result<void> Control::begin_apply(PendingApply& pending) {
  pending.losses = next_hops_.losses();
  const config::Diff& diff = pending.diff;
  const config::Config& next = *pending.next;
  if (generation_ != 0 && !diff.restart.empty()) {
    std::string what;
    for (const auto& change : diff.restart) what += (what.empty() ? "" : ", ") + change.what;
    return Error{what + ": cannot change while millraced runs; restart it to apply this"};
  }
  // The numbers of interfaces that go are free only when no worker counts for them any more.
  const auto made_anew = std::ranges::count_if(
      diff.interfaces.changed, [](const auto& change) { return is_another(change.before, change.after); });
  const std::size_t wanted = diff.interfaces.added.size() + static_cast<std::size_t>(made_anew);
  if (wanted > interfaces_.room()) {
    return Error{"interfaces: room for " + std::to_string(interfaces_.room()) + " more of " +
                 std::to_string(dataplane::kMaxInterfaces) + ", not for " + std::to_string(wanted) +
                 ": remove others first, by an apply of its own"};
  }
  if (!diff.interfaces.empty()) {
    if (auto tunnels = tunnels_.prepare(next); !tunnels) return tunnels;
  }
  // Ports can fail, too: they come first, and nothing else has changed if one does.
  Ports opened;
  if (auto ports = open_ports(diff, next, opened); !ports) return ports;
  icmp_.set_rate(next.control.icmp_error_rate);
  apply_feeds(next.feeds);
  apply_neighbors(diff, true);
  apply_interfaces(diff, next, opened);
  apply_neighbors(diff, false);
  return {};
}

void Control::apply_interfaces(const config::Diff& diff, const config::Config& next, Ports& opened) {
  if (diff.interfaces.empty()) return;
  std::vector<std::string> gone;
  std::vector<std::string> touched;
  for (const auto& [name, config] : diff.interfaces.removed) gone.push_back(name);
  for (const auto& change : diff.interfaces.changed) {
    touched.push_back(change.key);
    Interface* interface = interfaces_.find(change.key);
    if (interface == nullptr) continue;
    if (is_another(change.before, change.after)) {
      gone.push_back(change.key);
      continue;
    }
    interface->configure(change.after);
    interfaces_.publish(*interface);
  }
  remove_interfaces(gone);
  const std::vector<std::string> made = add_interfaces(next, opened);
  restore_fixed_neighbors(next, made);
  tunnels_.publish();
  publish_plans();
  addresses_changed();
  if (host_) {
    host_->sync();
    take_lent();
  }
  touched.insert(touched.end(), made.begin(), made.end());
  for (const std::string& name : touched) {
    const Interface* interface = interfaces_.find(name);
    if (interface == nullptr) continue;
    neighbors_.flush_off_link(*interface);
    neighbors_.announce(*interface);
  }
  if (netlink_ && !(gone.empty() && made.empty())) netlink_->interfaces_changed();
}

// Opens what is new, and changes MTUs. A device that another interface gives up has to be closed before it
// can be opened: if that fails, the old interface comes back.
Result<void> Control::open_ports(const config::Diff& diff, const config::Config& next, Ports& opened) {
  std::vector<std::string> wanted;
  const auto want = [&](const std::string& name, const config::InterfaceConfig& config) {
    if (!config.device.empty()) wanted.push_back(name);
  };
  for (const auto& [name, config] : diff.interfaces.added) want(name, config);
  for (const auto& change : diff.interfaces.changed) {
    if (is_another(change.before, change.after)) want(change.key, change.after);
  }
  std::vector<std::string> closed;
  for (const std::string& name : wanted) {
    for (const auto& [other, before] : desired_->interfaces) {
      const auto after = next.interfaces.find(other);
      const bool gives_up = after == next.interfaces.end() || is_another(before, after->second);
      if (!gives_up || (before.device != next.interfaces.at(name).device && other != name)) continue;
      if (std::find(closed.begin(), closed.end(), other) == closed.end()) closed.push_back(other);
    }
  }
  remove_interfaces(closed);
  port_pools_.free_idle();  // the memory of ports that went is for those that come
  // A device that was given up a moment ago may still be open, too.
  std::string error = wanted.empty() || wait_for_removed_ports() ? "" : "a device is still in use: try again";

  for (auto at = wanted.begin(); at != wanted.end() && error.empty(); ++at) {
    const config::InterfaceConfig& config = next.interfaces.at(*at);
    const auto alike = std::count_if(at, wanted.end(), [&](const std::string& name) {
      const config::InterfaceConfig& other = next.interfaces.at(name);
      return other.mtu == config.mtu && other.queues == config.queues;
    });
    auto port = open_port(*at, config, static_cast<unsigned>(alike));
    if (port) {
      opened.emplace(*at, std::move(*port));
    } else {
      error = "interfaces." + *at + ".device: " + port.error();
    }
  }
  for (const auto& change : diff.interfaces.changed) {
    if (!error.empty() || change.before.mtu == change.after.mtu || is_another(change.before, change.after))
      continue;
    const auto port = ports_.find(change.key);
    if (port == ports_.end()) continue;
    if (auto mtu = port->second->set_mtu(static_cast<std::uint16_t>(change.after.mtu)); !mtu) {
      error = "interfaces." + change.key + ".mtu: " + mtu.error();
    }
  }
  if (error.empty()) return {};

  opened.clear();
  for (const auto& change : diff.interfaces.changed) {
    if (const auto at = ports_.find(change.key);
        at != ports_.end() && change.before.mtu != change.after.mtu) {
      [[maybe_unused]] const auto restored =
          at->second->set_mtu(static_cast<std::uint16_t>(change.before.mtu));
    }
  }
  if (!closed.empty()) reopen(closed);
  return Error{error};
}

// Interfaces that were closed for others that then could not be made.
void Control::reopen(const std::vector<std::string>& closed) {
  const bool all_closed = wait_for_removed_ports();
  Ports opened;
  for (const std::string& name : closed) {
    const auto at = desired_->interfaces.find(name);
    if (at->second.device.empty()) continue;
    Result<std::unique_ptr<Port>> port = Error{"its device is still in use"};
    if (all_closed) port = open_port(name, at->second, 1);
    if (port) {
      opened.emplace(name, std::move(*port));
      continue;
    }
    spdlog::error("interface {} could not be restored: {}", name, port.error());
    auto without = std::make_shared<config::Config>(*desired_);
    std::erase_if(without->interfaces, [&](const auto& one) {  // so that the next apply makes it anew
      return one.first == name || one.second.parent == name;
    });
    desired_ = std::move(without);
  }
  const std::vector<std::string> made = add_interfaces(*desired_, opened);
  tunnels_.publish_policies(Tunnels::Policies::first_ones);
  publish_plans();
  addresses_changed();
  restore_fixed_neighbors(*desired_, made);
}

void Control::restore_fixed_neighbors(const config::Config& config,
                                      const std::vector<std::string>& interfaces) {
  const std::set<std::string> made(interfaces.begin(), interfaces.end());
  for (const auto& [key, mac] : config.neighbors) {
    if (!made.contains(key.interface)) continue;
    if (const Interface* on = interfaces_.find(key.interface))
      neighbors_.set_fixed({on->id, key.address}, mac);
  }
}

Result<std::unique_ptr<Port>> Control::open_port(const std::string& name,
                                                 const config::InterfaceConfig& config, unsigned alike) {
  dataplane::PortOptions options;
  options.alike = alike;
  options.name = name;
  options.device = config.device;
  options.workers = options_.workers;
  options.rx_queues = config.queues.value_or(options_.workers);
  options.tx_queues = options_.workers + 1;
  options.mtu = static_cast<std::uint16_t>(config.mtu);
  options.offloads = config.offloads;
  options.symmetric_rss = options_.symmetric_rss;
  options.link_bell = &link_bell_;
  return Port::open(options, port_pools_);
}

// A port on its way out.
struct Control::Closing {
  Control* control;
  std::unique_ptr<Port> port;
  Closing(Control* c, std::unique_ptr<Port> p) : control(c), port(std::move(p)) { ++control->ports_closing_; }
  Closing(const Closing&) = delete;
  Closing& operator=(const Closing&) = delete;
  ~Closing() {
    port->stop();
    port.reset();
    --control->ports_closing_;
  }
};

// What `config` has and we have not: those with a port that was opened, then those that need none, or
// another's. Returns their names.
std::vector<std::string> Control::add_interfaces(const config::Config& config, Ports& opened) {
  std::vector<std::string> made;
  for (auto& [name, port] : opened) {
    if (Interface* interface = add_interface(name, config.interfaces.at(name))) {
      give_port(*interface, std::move(port));
      made.push_back(name);
    }
  }
  for (const auto& [name, of] : config.interfaces) {
    if (!of.device.empty() || interfaces_.find(name) != nullptr) continue;
    Interface* interface = add_interface(name, of);
    if (interface == nullptr) continue;
    interface->up = !of.has_link();
    if (const Interface* parent = interfaces_.find(of.parent)) join_parent(*interface, *parent);
    made.push_back(name);
  }
  for (const std::string& name : made) interfaces_.publish(*interfaces_.find(name));
  publish_parents(made);
  return made;
}

Interface* Control::add_interface(const std::string& name, const config::InterfaceConfig& config) {
  Interface* interface = interfaces_.add(name, config);
  if (interface == nullptr)
    spdlog::error("interface {}: more than {} interfaces", name, dataplane::kMaxInterfaces);
  return interface;
}

void Control::give_port(Interface& interface, std::unique_ptr<Port> port) {
  interface.port = port->id();
  interface.mac = port->mac();
  interface.marks = port->offloads().marks();
  interface.up = port->link_up();
  spdlog::info("interface {}: {} ({}), MAC {}, {} receive and {} transmit queues, {}", interface.name,
               interface.config.device, port->driver(), port->mac().to_string(), port->rx_queues(),
               port->tx_queues(), interface.up ? "up" : "down");
  if (options_.symmetric_rss && port->rss() == dataplane::Rss::standard)
    spdlog::warn(
        "interface {}: the device does not say that it hashes symmetrically: both directions of a flow may "
        "meet different workers",
        interface.name);
  output_.set_path(port->id(), tx_path(*port, options_.workers));
  ports_[interface.name] = std::move(port);
}

void Control::join_parent(Interface& vlan, const Interface& parent) {
  vlan.port = parent.port;
  vlan.mac = parent.mac;
  vlan.up = parent.up;
  vlan.marks = parent.marks;
  vlan.tags = vlan.config.vlan;
  vlan.port_tags = vlan.tags.count() == 1 && vlan.tags.outer_type == wire::kEtherTypeVlan &&
                   ports_.at(parent.name)->offloads().vlan_insert;
}

// Ports learn which of their VLANs have an interface.
void Control::publish_parents(const std::vector<std::string>& vlans) {
  std::set<std::string> parents;
  for (const std::string& name : vlans) {
    if (const Interface* vlan = interfaces_.find(name); vlan != nullptr && vlan->tags.any())
      parents.insert(vlan->config.parent);
  }
  for (const std::string& parent : parents) {
    if (const Interface* interface = interfaces_.find(parent)) interfaces_.publish(*interface);
  }
}

// Interfaces go, and the VLANs on them. They are out of the tables at once. A port is closed a grace period
// after no plan names it any more, its buffers go when all are back.
void Control::remove_interfaces(const std::vector<std::string>& names) {
  const std::set<std::string> named(names.begin(), names.end());
  std::vector<Interface*> going;
  interfaces_.visit([&](Interface& each) {
    if (named.contains(each.name) || named.contains(each.config.parent)) going.push_back(&each);
  });
  if (going.empty()) return;
  for (Interface* interface : going) interface->up = false;
  addresses_changed();
  std::set<std::string> parents;
  std::vector<Closing*> closing;
  for (const Interface* interface : going) {
    neighbors_.flush(interface->id, true);
    if (interface->tags.any()) parents.insert(interface->config.parent);
    const auto at = ports_.find(interface->name);
    if (at == ports_.end()) continue;
    output_.set_path(interface->port, {});
    closing.push_back(new Closing(this, std::move(at->second)));
    ports_.erase(at);
  }
  // First: a worker counts for an interface until it polls by the new plan, and knows of no VLAN of it.
  publish_plans();
  for (const Interface* interface : going) {
    parents.erase(interface->name);
    spdlog::info("interface {} removed", interface->name);
    interfaces_.remove(interface->id);
  }
  for (const std::string& parent : parents) interfaces_.publish(*interfaces_.find(parent));
  for (Closing* port : closing) writer_.retire_object(port);
  addresses_changed();
}

bool Control::wait_for_removed_ports() {
  const std::uint64_t end = rte_get_timer_cycles() + rte_get_timer_hz() / 1'000'000 * kGraceUs;
  while (ports_closing_ != 0 && rte_get_timer_cycles() < end) reclaimer_.poll();
  return ports_closing_ == 0;
}

// Worker w has transmit queue w as far as the port has as many; the control thread (who == workers) the one
// behind. The others hand over to a worker that has one.
TxPath Control::tx_path(const Port& port, unsigned who) const {
  TxPath path;
  if (who < port.tx_queues()) {
    path.kind = TxPath::Kind::queue;
    path.queue = static_cast<std::uint16_t>(who);
    path.max_segments = port.multi_segment() ? std::numeric_limits<std::uint16_t>::max() : std::uint16_t{1};
  } else {
    const unsigned owners = std::min<unsigned>(port.tx_queues(), options_.workers);
    path.kind = TxPath::Kind::handoff;
    path.ring = handoff_[who][who == options_.workers ? 0 : who % owners].get();
  }
  return path;
}

// Receive queue q of port p goes to worker (p + q) mod n: a queue keeps its worker for the port's life, since
// two must never poll one, and a worker may be in the middle of its old plan.
void Control::publish_plans() {
  for (unsigned w = 0; w < options_.workers; ++w) {
    auto plan = std::make_unique<WorkerPlan>();
    for (const auto& [name, port] : ports_) {
      const Interface* interface = interfaces_.find(name);
      for (std::uint16_t q = 0; q < port->rx_queues(); ++q) {
        if ((port->id().value() + q) % options_.workers == w)
          plan->rx.push_back({port->id(), q, interface->id});
      }
      plan->tx[port->id().value()] = tx_path(*port, w);
    }
    for (unsigned from = 0; from <= options_.workers; ++from) {
      if (from != w) plan->handoff_in.push_back(handoff_[from][w].get());
    }
    for (unsigned to = 0; to < options_.workers; ++to)
      plan->handoff_out.push_back(to == w ? nullptr : handoff_[w][to].get());
    const WorkerPlan* old = workers_[w]->swap_plan(plan.get());
    static_cast<void>(plans_[w].release());
    plans_[w] = std::move(plan);
    writer_.retire_object(old);
  }
}

// Whatever hangs on interface addresses and states: the set of own addresses, connected routes, resolved next
// hops.
void Control::addresses_changed() {
  next_hops_.interfaces_lost();
  interfaces_.publish_addresses();
  sync_connected();
  next_hops_.interfaces_changed();
  sync_static_routes();
}

// What daemons put on the interfaces' devices is the interfaces', too.
void Control::take_lent() {
  auto lent = host_->lent();
  std::vector<const Interface*> changed;
  interfaces_.visit([&](Interface& each) {
    auto& addresses = lent[each.id.value()];
    std::erase_if(addresses, [&](const LentAddress& one) { return !may_be_lent(one, each); });
    if (each.lend(addresses)) changed.push_back(&each);
  });
  if (changed.empty()) return;
  for (const Interface* interface : changed) interfaces_.publish(*interface);
  addresses_changed();
  for (const Interface* interface : changed) {
    neighbors_.flush_off_link(*interface);
    neighbors_.announce(*interface);
  }
}

// Not one of a subnet that another interface has.
bool Control::may_be_lent(const LentAddress& address, const Interface& to) {
  const std::string text = address.address.to_string() + "/" + std::to_string(address.length);
  const bool is_free = address.address.visit([&]<class Address>(Address own) {
    const IpInterfaceAddress<Address> wanted{own, address.length};
    bool free = true;
    interfaces_.visit([&](const Interface& other) {
      if (other.id == to.id || (std::is_same_v<Address, Ipv6Address> && own.is_link_local())) return;
      free = free && std::ranges::none_of(other.config.addresses.of<Address>(), [&](const auto& its) {
               return its.subnet().contains(own) || wanted.subnet().contains(its.address);
             });
    });
    return free;
  });
  if (!is_free && refused_lent_.insert(to.name + " " + text).second)
    spdlog::warn("interface {}: {} of its host device is in a subnet of another interface, and not used",
                 to.name, text);
  return is_free;
}

void Control::apply_neighbors(const config::Diff& diff, bool remove) {
  const auto key_of = [&](const config::NeighborKey& key) -> std::optional<NeighborKey> {
    const Interface* on = interfaces_.find(key.interface);
    if (on == nullptr) return std::nullopt;
    return NeighborKey{on->id, key.address};
  };
  if (remove) {
    for (const auto& [key, mac] : diff.neighbors.removed) {
      if (const auto at = key_of(key)) neighbors_.remove_fixed(*at);
    }
    return;
  }
  for (const auto& [key, mac] : diff.neighbors.added) {
    if (const auto at = key_of(key)) neighbors_.set_fixed(*at, mac);
  }
  for (const auto& change : diff.neighbors.changed) {
    if (const auto at = key_of(change.key)) neighbors_.set_fixed(*at, change.after);
  }
}

}  // namespace millrace::controlplane
