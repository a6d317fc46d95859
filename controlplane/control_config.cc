// From a desired configuration to interfaces and neighbours: differences only. (Routes: control_routes.cc.)
#include <rte_cycles.h>
#include <spdlog/spdlog.h>

#include <algorithm>

#include "controlplane/control.h"

namespace millrace::controlplane {

using dataplane::Port;
using dataplane::TxPath;
using dataplane::WorkerPlan;

namespace {

// The longest that a change of a device waits for workers to let go of the old port.
constexpr std::uint64_t kGraceUs = 20'000;

// The MTU that every port's buffers and frames hold.
constexpr unsigned kOrdinaryMtu = 1500;

// An interface is made anew when its hardware is another, or has to be started again: NICs take an MTU only
// when they are stopped, and a port's buffers are sized for its first one.
bool needs_new_port(const config::InterfaceConfig& before, const config::InterfaceConfig& after) {
  const bool restarts =
      dataplane::is_pci_address(before.device) || after.mtu > std::max(before.mtu, kOrdinaryMtu);
  return before.device != after.device || before.queues != after.queues ||
         (before.mtu != after.mtu && restarts);
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
  const config::Diff& diff = pending.diff;
  const config::Config& next = *pending.next;
  if (generation_ != 0 && !diff.restart.empty()) {
    std::string what;
    for (const auto& change : diff.restart) what += (what.empty() ? "" : ", ") + change.what;
    return Error{what + ": cannot change while millraced runs; restart it to apply this"};
  }
  // Ports are what can fail: they come first, and nothing else has changed if one does.
  Ports opened;
  if (auto ports = open_ports(diff, next, opened); !ports) return ports;
  icmp_.set_rate(next.control.icmp_error_rate);
  apply_neighbors(diff, true);
  apply_interfaces(diff, next, opened);
  apply_neighbors(diff, false);
  return {};
}

void Control::apply_interfaces(const config::Diff& diff, const config::Config& next, Ports& opened) {
  if (diff.interfaces.empty()) return;
  for (const auto& [name, gone] : diff.interfaces.removed) remove_interface(name);
  std::vector<std::string> touched;
  for (const auto& change : diff.interfaces.changed) {
    touched.push_back(change.key);
    if (needs_new_port(change.before, change.after)) continue;
    Interface* interface = interfaces_.find(change.key);
    if (interface == nullptr) continue;
    interface->config = change.after;
    interfaces_.publish(*interface);
  }
  std::vector<std::string> made;
  for (auto& [name, port] : opened) {
    add_interface(name, next.interfaces.at(name), std::move(port));
    made.push_back(name);
  }
  restore_fixed_neighbors(next, made);
  publish_plans();
  addresses_changed();
  touched.insert(touched.end(), made.begin(), made.end());
  for (const std::string& name : touched) {
    const Interface* interface = interfaces_.find(name);
    if (interface == nullptr) continue;
    neighbors_.flush_off_link(*interface);
    neighbors_.announce(*interface);
  }
}

// Opens what is new, and changes MTUs. A device that another interface gives up has to be closed before it
// can be opened: if that fails, the old interface comes back.
Result<void> Control::open_ports(const config::Diff& diff, const config::Config& next, Ports& opened) {
  std::vector<std::string> wanted;
  for (const auto& [name, config] : diff.interfaces.added) wanted.push_back(name);
  for (const auto& change : diff.interfaces.changed) {
    if (needs_new_port(change.before, change.after)) wanted.push_back(change.key);
  }
  std::vector<std::string> closed;
  for (const std::string& name : wanted) {
    for (const auto& [other, before] : desired_->interfaces) {
      const auto after = next.interfaces.find(other);
      const bool gives_up = after == next.interfaces.end() || needs_new_port(before, after->second);
      if (!gives_up || (before.device != next.interfaces.at(name).device && other != name)) continue;
      if (std::find(closed.begin(), closed.end(), other) == closed.end()) closed.push_back(other);
    }
  }
  for (const std::string& name : closed) remove_interface(name);
  free_idle_pools();  // the memory of ports that went is for those that come
  // A device that was given up a moment ago may still be open, too.
  std::string error = wanted.empty() || wait_for_removed_ports() ? "" : "a device is still in use: try again";

  for (const std::string& name : wanted) {
    if (!error.empty()) break;
    auto port = open_port(name, next.interfaces.at(name));
    if (port) {
      opened.emplace(name, std::move(*port));
    } else {
      error = "interfaces." + name + ".device: " + port.error();
    }
  }
  for (const auto& change : diff.interfaces.changed) {
    if (!error.empty() || change.before.mtu == change.after.mtu ||
        needs_new_port(change.before, change.after))
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
  for (const std::string& name : closed) {
    auto port = open_port(name, desired_->interfaces.at(name));
    if (port) {
      add_interface(name, desired_->interfaces.at(name), std::move(*port));
    } else {
      spdlog::error("interface {} could not be restored: {}", name, port.error());
      auto without = std::make_shared<config::Config>(*desired_);
      without->interfaces.erase(name);  // so that the next apply makes it anew
      desired_ = std::move(without);
    }
  }
  if (!closed.empty()) {
    publish_plans();
    addresses_changed();
    restore_fixed_neighbors(*desired_, closed);
  }
  return Error{error};
}

void Control::restore_fixed_neighbors(const config::Config& config,
                                      const std::vector<std::string>& interfaces) {
  for (const auto& [key, mac] : config.neighbors) {
    if (std::find(interfaces.begin(), interfaces.end(), key.interface) == interfaces.end()) continue;
    if (const Interface* on = interfaces_.find(key.interface))
      neighbors_.set_fixed({on->id, key.address}, mac);
  }
}

Result<std::unique_ptr<Port>> Control::open_port(const std::string& name,
                                                 const config::InterfaceConfig& config) {
  dataplane::PortOptions options;
  options.name = name;
  options.device = config.device;
  options.workers = options_.workers;
  options.rx_queues = config.queues.value_or(options_.workers);
  options.tx_queues = options_.workers + 1;
  options.mtu = static_cast<std::uint16_t>(config.mtu);
  return Port::open(options);
}

void Control::add_interface(const std::string& name, const config::InterfaceConfig& config,
                            std::unique_ptr<Port> port) {
  if (interfaces_.find(name) != nullptr) remove_interface(name);
  Interface* interface = interfaces_.add(name, config);
  if (interface == nullptr) {
    spdlog::error("interface {}: more than {} interfaces", name, dataplane::kMaxInterfaces);
    return;
  }
  interface->port = port->id();
  interface->mac = port->mac();
  interface->up = port->link_up();
  spdlog::info("interface {}: {} ({}), MAC {}, {} receive and {} transmit queues, {}", name, config.device,
               port->driver(), port->mac().to_string(), port->rx_queues(), port->tx_queues(),
               interface->up ? "up" : "down");
  output_.set_path(port->id(), tx_path(*port, options_.workers));
  ports_[name] = std::move(port);
  interfaces_.publish(*interface);
}

// The interface is out of the tables at once. Its port is closed a grace period after no plan names it any
// more, its buffers go when all are back.
void Control::remove_interface(const std::string& name) {
  Interface* interface = interfaces_.find(name);
  if (interface == nullptr) return;
  interface->up = false;
  addresses_changed();
  neighbors_.flush(interface->id, true);
  output_.set_path(interface->port, {});
  auto at = ports_.find(name);
  struct Closing {
    Control* control;
    std::unique_ptr<Port> port;
    Closing(Control* c, std::unique_ptr<Port> p) : control(c), port(std::move(p)) {
      ++control->ports_closing_;
    }
    Closing(const Closing&) = delete;
    Closing& operator=(const Closing&) = delete;
    ~Closing() {
      port->stop();
      control->removed_pools_.push_back({port->take_pool()});
      --control->ports_closing_;
    }
  };
  auto* closing = new Closing(this, std::move(at->second));
  ports_.erase(at);
  publish_plans();  // first: a worker counts for the interface until it polls by the new plan
  interfaces_.remove(interface->id);
  writer_.retire_object(closing);
  addresses_changed();
  spdlog::info("interface {} removed", name);
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
  path.multi_segment = port.multi_segment();
  if (who < port.tx_queues()) {
    path.kind = TxPath::Kind::queue;
    path.queue = static_cast<std::uint16_t>(who);
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
