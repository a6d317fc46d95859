// GET: the router's state, its interfaces, neighbours, workers and counters.
#include <rte_mempool.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "controlplane/api.h"

namespace millrace::controlplane {
namespace {

using nlohmann::json;

constexpr std::string_view kPuntNames[] = {
#define PUNT_CLASS(name, text, rate, ring) #name,
#include "dataplane/punt.def"
#undef PUNT_CLASS
};

json to_json(const Accounting& a) {
  return {
      {"received", a.received},       {"originated", a.originated}, {"fragments_added", a.fragments_added},
      {"transmitted", a.transmitted}, {"punted", a.punted},         {"dropped", a.dropped},
      {"difference", a.difference()}};
}

json counters_of(const Interface& interface, const InterfaceTotals& t) {
  return {{"name", interface.name},     {"rx_packets", t.rx_packets}, {"rx_bytes", t.rx_bytes},
          {"tx_packets", t.tx_packets}, {"tx_bytes", t.tx_bytes},     {"punted", t.punted},
          {"dropped", t.dropped}};
}

json pools_of(Control& control) {
  json pools = json::array();
  for (const rte_mempool* pool : control.pools()) {
    pools.push_back(
        {{"name", pool->name}, {"size", pool->size}, {"available", rte_mempool_avail_count(pool)}});
  }
  return pools;
}

// Of the FIBs of both families.
struct FibTotals {
  std::size_t entries = 0;
  std::size_t memory_bytes = 0;
  std::uint64_t failed_inserts = 0;
};

FibTotals fib_totals(Control& c) {
  FibTotals totals;
  for_each_family([&]<class Address>() {
    const auto& fib = c.writer().fib<IpPrefix<Address>>(FibId(0));
    const auto statistics = fib.statistics();
    totals.entries += fib.size();
    totals.memory_bytes += statistics.memory_bytes;
    totals.failed_inserts += statistics.failed_inserts;
  });
  return totals;
}

// Everything that the control plane counts beside packets' ways, by name.
std::vector<std::pair<std::string, std::uint64_t>> control_counters(Control& c) {
  return {{"frames_sent", c.output().counters().sent},
          {"frames_lost", c.output().counters().lost},
          {"own_packets_without_route", c.output().counters().no_route},
          {"arp_requests_sent", c.neighbors().counters().requests_sent},
          {"arp_replies_sent", c.neighbors().counters().replies_sent},
          {"nd_solicitations_sent", c.neighbors().counters().solicitations_sent},
          {"nd_advertisements_sent", c.neighbors().counters().advertisements_sent},
          {"router_advertisements_sent", c.neighbors().counters().router_advertisements_sent},
          {"neighbors_learned", c.neighbors().counters().learned},
          {"address_conflicts", c.neighbors().counters().conflicts},
          {"echo_replies_sent", c.icmp().counters().echo_replies},
          {"icmp_errors_sent", c.icmp().counters().errors_sent},
          {"icmp_errors_rate_limited", c.icmp().counters().errors_suppressed_rate},
          {"icmp_errors_not_allowed", c.icmp().counters().errors_suppressed_rule},
          {"failed_route_installs", c.failed_installs()},
          {"failed_fib_inserts", fib_totals(c).failed_inserts}};
}

// The sources whose routes lists and totals have: not those of single neighbours.
constexpr RouteSource kListedSources[] = {RouteSource::connected, RouteSource::static_config,
                                          RouteSource::api, RouteSource::fpm, RouteSource::netlink};

json rib_json(Control& c) {
  json sources;
  json families;
  std::size_t routes = 0;
  for (const RouteSource source : kListedSources) {
    sources[std::string(name(source))] = c.count(source);
    routes += c.count(source);
  }
  for_each_family([&]<class Address>() {
    std::size_t count = 0;
    for (const RouteSource source : kListedSources) count += c.rib<IpPrefix<Address>>().count(source);
    families[std::string(kFamilyName<Address>)] = count;
  });
  return {{"routes", routes}, {"sources", std::move(sources)}, {"families", std::move(families)}};
}

json fib_json(Control& c) {
  json families;
  for_each_family([&]<class Address>() {
    families[std::string(kFamilyName<Address>)] = c.writer().fib<IpPrefix<Address>>(FibId(0)).size();
  });
  const FibTotals totals = fib_totals(c);
  return {{"entries", totals.entries},
          {"families", std::move(families)},
          {"next_hops", c.writer().next_hops_used()},
          {"adjacencies", c.writer().adjacencies_used()},
          {"groups_published", c.next_hops().groups_published()},
          {"memory_bytes", totals.memory_bytes}};
}

json punt_json(Control& c) {
  json list = json::array();
  for (std::size_t i = 0; i < dataplane::kPuntClassCount; ++i) {
    std::uint64_t policed = 0;
    for (std::size_t w = 0; w < c.worker_count(); ++w) policed += c.worker(w).counters().policed[i].get();
    list.push_back({{"class", kPuntNames[i]},
                    {"received", c.punts_handled(static_cast<dataplane::PuntClass>(i))},
                    {"policed", policed}});
  }
  return list;
}

constexpr std::pair<const char*, const char*> kSteps[] = {
#define WORKER_STEP(name, what) {#name, what},
#include "dataplane/step.def"
#undef WORKER_STEP
};

double ratio(double a, double b) {
  return b > 0 ? a / b : 0.0;
}

json steps_json(const dataplane::WorkerCounters& counters) {
  json list = json::array();
  for (std::size_t i = 0; i < dataplane::kWorkerStepCount; ++i) {
    const dataplane::StepCounters& step = counters.steps[i];
    const std::uint64_t packets = step.packets.get();
    list.push_back(
        {{"step", kSteps[i].first},
         {"what", kSteps[i].second},
         {"timed_packets", packets},
         {"cycles_per_packet", ratio(static_cast<double>(step.cycles.get()), static_cast<double>(packets))}});
  }
  return list;
}

json bursts_json(const dataplane::WorkerCounters& counters) {
  json list = json::array();
  for (std::size_t bin = 0; bin < dataplane::kBurstBins; ++bin) {
    const unsigned least = 1U << bin;
    list.push_back({{"from", least},
                    {"to", std::min(2 * least - 1, dataplane::kBurst)},
                    {"bursts", counters.rx_bursts[bin].get()}});
  }
  return list;
}

json worker_json(Control& control, std::size_t i, unsigned core) {
  const dataplane::WorkerCounters& c = control.worker(i).counters();
  json queues = json::array();
  for (const auto& rx : control.plan(i).rx) {
    const Interface* interface = control.interfaces().find(rx.interface);
    queues.push_back({{"interface", interface == nullptr ? "?" : interface->name}, {"queue", rx.queue}});
  }
  std::uint64_t rx = 0;
  std::uint64_t tx = 0;
  for (std::size_t id = 0; id < control.interfaces().id_limit(); ++id) {
    const auto& counters = control.worker(i).interface_counters(InterfaceId(static_cast<std::uint16_t>(id)));
    rx += counters.own_packets();
    tx += counters.tx_packets.get();
  }
  const auto busy = static_cast<double>(c.busy_cycles.get());
  const auto idle = static_cast<double>(c.idle_cycles.get());
  std::uint64_t bursts = 0;
  for (const dataplane::Counter& bin : c.rx_bursts) bursts += bin.get();
  return {{"id", i},
          {"core", core},
          {"queues", std::move(queues)},
          {"loops", c.loops.get()},
          {"busy_percent", 100 * ratio(busy, busy + idle)},
          {"rx_packets", rx},
          {"tx_packets", tx},
          {"cycles_per_packet", ratio(busy, static_cast<double>(rx))},
          {"mean_burst", ratio(static_cast<double>(rx), static_cast<double>(bursts))},
          {"bursts", bursts_json(c)},
          {"steps", steps_json(c)},
          {"naps", c.naps.get()}};
}

}  // namespace

ApiResponse Api::get_status(const ApiRequest&, const Query&) {
  json body;
  on_control_([&](Control& c) {
    const std::uint64_t oldest = c.reclaimer().oldest_ns();
    const std::uint64_t now = info_.now_ns();
    const Reassembly& reassembly = c.local().reassembly();
    std::size_t resolved = 0;
    for (const auto& [key, entry] : c.neighbors().entries()) resolved += entry.mac.is_zero() ? 0 : 1;
    body = {{"version", MILLRACE_VERSION},
            {"pid", getpid()},
            {"uptime_seconds", static_cast<double>(now - info_.started_ns) / 1e9},
            {"config", {{"file", info_.config_file}, {"generation", c.generation()}}},
            {"dataplane",
             {{"workers", c.worker_count()},
              {"idle", c.desired().dataplane.idle == config::Idle::poll ? "poll" : "adaptive"},
              {"hugepages", info_.hugepages},
              {"memory_bytes", c.desired().dataplane.memory_bytes}}},
            {"rib", rib_json(c)},
            {"fib", fib_json(c)},
            {"neighbors", {{"total", c.neighbors().entries().size()}, {"resolved", resolved}}},
            {"accounting", to_json(c.accounting())},
            {"control_loop",
             {{"lag_p50_seconds", info_.lag == nullptr ? 0.0 : info_.lag->quantile(0.5)},
              {"lag_p99_seconds", info_.lag == nullptr ? 0.0 : info_.lag->quantile(0.99)},
              {"lag_max_seconds", info_.lag == nullptr ? 0.0 : info_.lag->max_seconds()}}},
            {"rcu", {{"oldest_grace_seconds", oldest == 0 ? 0.0 : static_cast<double>(now - oldest) / 1e9}}},
            {"reassembly", {{"datagrams", reassembly.datagrams()}, {"buffers", reassembly.buffers()}}},
            {"mbuf_pools", pools_of(c)}};
  });
  return ok(body);
}

// Own addresses of IPv6 that somebody else on the link has, so that they are not used.
static json duplicates_on(const Interface& interface, const Nd& nd) {
  json duplicates = json::array();
  const auto look = [&](Ipv6Address own) {
    if (nd.address_state(interface.id, own) == Dad::State::duplicate) duplicates.push_back(own.to_string());
  };
  for (const auto& own : interface.config.addresses.ipv6) look(own.address);
  if (const auto link_local = interface.link_local()) look(*link_local);
  return duplicates;
}

static const char* word_of(dataplane::Rss rss) {
  return rss == dataplane::Rss::off ? "off" : rss == dataplane::Rss::standard ? "standard" : "symmetric";
}

// Of a port's own interface the port, of a VLAN's the interface of its port and the tags; the kind alone
// of the others.
static json hardware_of(const Interface& interface, const dataplane::Port* port) {
  if (port != nullptr) {
    const dataplane::PortStats stats = port->stats();
    return {{"kind", "port"},
            {"device", interface.config.device},
            {"driver", port->driver()},
            {"rx_queues", port->rx_queues()},
            {"tx_queues", port->tx_queues()},
            {"rss", word_of(port->rss())},
            {"offloads", port->offloads().names()},
            {"rx_missed", stats.rx_missed},
            {"rx_errors", stats.rx_errors}};
  }
  if (interface.config.ipsec) return {{"kind", "ipsec"}};
  if (!interface.tags.any()) return {{"kind", "loopback"}};
  json vlan = {{"kind", "vlan"}, {"parent", interface.config.parent}, {"vlan", interface.tags.outer}};
  if (interface.tags.inner != 0) vlan["inner_vlan"] = interface.tags.inner;
  return vlan;
}

// Of an interface that daemons see, as far as its device could be made; null of any other.
static json host_of(const Interface& interface, const HostInterfaces* host) {
  const HostInterfaces::Counters* counters = host == nullptr ? nullptr : host->counters(interface.id);
  if (counters == nullptr) return nullptr;
  json lent = json::array();
  for (const LentAddress& one : interface.lent) {
    lent.push_back(
        {{"address", one.address.to_string()}, {"mac", interface.mac_of(one.address).to_string()}});
  }
  return {{"index", host->index(interface.id)},
          {"lent", std::move(lent)},
          {"to_host", counters->to_host},
          {"to_host_lost", counters->to_host_lost},
          {"from_host", counters->from_host},
          {"from_host_bad", counters->from_host_bad},
          {"from_host_lost", counters->from_host_lost}};
}

ApiResponse Api::get_interfaces(const ApiRequest&, const Query&) {
  json list = json::array();
  on_control_([&](Control& c) {
    c.interfaces().visit([&](const Interface& interface) {
      json row = counters_of(interface, c.totals(interface.id));
      json addresses = json::array();
      for_each_family([&]<class Address>() {
        for (const auto& own : interface.config.addresses.of<Address>()) addresses.push_back(own.to_string());
      });
      const auto link_local = interface.link_local();
      row.update({{"state", interface.up ? "up" : "down"},
                  {"mac", interface.mac.to_string()},
                  {"mtu", interface.config.mtu},
                  {"addresses", std::move(addresses)},
                  {"duplicate_addresses", duplicates_on(interface, c.nd())},
                  {"link_local", link_local ? json(link_local->to_string()) : json(nullptr)},
                  {"fib", "default"},
                  {"host", host_of(interface, c.host())}});
      row.update(hardware_of(interface, c.port_of(interface)));
      list.push_back(std::move(row));
    });
  });
  return ok({{"interfaces", std::move(list)}});
}

// In slices: there may be many thousand.
ApiResponse Api::get_neighbors(const ApiRequest&, const Query&) {
  json list = json::array();
  std::optional<NeighborKey> last;
  for (bool more = true; more;) {
    more = false;
    on_control_([&](Control& c) {
      const auto& entries = c.neighbors().entries();
      std::size_t taken = 0;
      for (auto at = last ? entries.upper_bound(*last) : entries.begin(); at != entries.end(); ++at) {
        if (taken++ == kSlice) {
          more = true;
          return;
        }
        last = at->first;
        const Interface* on = c.interfaces().find(at->first.interface);
        const Neighbors::Entry& e = at->second;
        const std::uint64_t since = std::max(e.confirmed_ns, e.used_ns);
        list.push_back(
            {{"address", at->first.address.to_string()},
             {"interface", on == nullptr ? "?" : on->name},
             {"mac", e.mac.is_zero() ? json(nullptr) : json(e.mac.to_string())},
             {"state", Neighbors::name(e.state)},
             {"age_seconds", static_cast<double>(info_.now_ns() - std::min(since, info_.now_ns())) / 1e9},
             {"queued", e.waiting.size()}});
      }
    });
  }
  return ok({{"neighbors", std::move(list)}});
}

ApiResponse Api::get_workers(const ApiRequest&, const Query&) {
  json list = json::array();
  on_control_([&](Control& c) {
    for (std::size_t i = 0; i < c.worker_count(); ++i) {
      list.push_back(worker_json(c, i, i < info_.worker_cores.size() ? info_.worker_cores[i] : 0));
    }
  });
  return ok({{"workers", std::move(list)}});
}

ApiResponse Api::get_counters(const ApiRequest&, const Query&) {
  json body;
  on_control_([&](Control& c) {
    json interfaces = json::array();
    c.interfaces().visit([&](const Interface& interface) {
      interfaces.push_back(counters_of(interface, c.totals(interface.id)));
    });
    json control;
    for (const auto& [name, value] : control_counters(c)) control[name] = value;
    body = {{"accounting", to_json(c.accounting())},
            {"interfaces", std::move(interfaces)},
            {"punt", punt_json(c)},
            {"control", std::move(control)}};
  });
  return ok(body);
}

ApiResponse Api::get_drops(const ApiRequest&, const Query& query) {
  const auto all = query.find("all");
  const bool zeros = all != query.end() && all->second == "1";
  json list = json::array();
  on_control_([&](Control& c) {
    c.interfaces().visit([&](const Interface& interface) {
      for (std::size_t i = 0; i < dataplane::kDropReasonCount; ++i) {
        const std::uint64_t packets = c.dropped(interface.id, static_cast<dataplane::DropReason>(i));
        if (packets == 0 && !zeros) continue;
        const auto& reason = dataplane::kDropReasons[i];
        list.push_back({{"reason", reason.name},
                        {"description", reason.text},
                        {"reference", reason.reference},
                        {"interface", interface.name},
                        {"packets", packets}});
      }
    });
  });
  return ok({{"drops", std::move(list)}});
}

ApiResponse Api::get_metrics(const ApiRequest&, const Query&) {
  MetricsText text;
  on_control_([&](Control& c) {
    const auto by_interface = [&](std::string_view name, std::string_view help, auto&& value) {
      text.family(name, "counter", help);
      const std::string total = std::string(name) + "_total";
      c.interfaces().visit([&](const Interface& i) {
        text.sample(total, {{"interface", i.name}}, value(c.totals(i.id)));
      });
    };
    by_interface("millrace_rx_packets", "Frames received.", [](const auto& t) { return t.rx_packets; });
    by_interface("millrace_rx_bytes", "Bytes received.", [](const auto& t) { return t.rx_bytes; });
    by_interface("millrace_tx_packets", "Frames transmitted.", [](const auto& t) { return t.tx_packets; });
    by_interface("millrace_tx_bytes", "Bytes transmitted.", [](const auto& t) { return t.tx_bytes; });
    by_interface("millrace_punted_packets", "Packets given to the control plane.",
                 [](const auto& t) { return t.punted; });
    text.family("millrace_dropped_packets", "counter", "Packets dropped, by reason.");
    c.interfaces().visit([&](const Interface& interface) {
      for (std::size_t i = 0; i < dataplane::kDropReasonCount; ++i) {
        const std::uint64_t packets = c.dropped(interface.id, static_cast<dataplane::DropReason>(i));
        if (packets == 0) continue;
        text.sample("millrace_dropped_packets_total",
                    {{"interface", interface.name}, {"reason", dataplane::kDropReasons[i].name}}, packets);
      }
    });
    text.family("millrace_control_events", "counter", "What the control plane did, by event.");
    for (const auto& [name, value] : control_counters(c)) {
      text.sample("millrace_control_events_total", {{"event", name}}, value);
    }
    text.family("millrace_routes", "gauge", "Routes in the RIB, by family and source.");
    for_each_family([&]<class Address>() {
      for (const RouteSource source : kListedSources) {
        text.sample("millrace_routes", {{"family", kFamilyName<Address>}, {"source", name(source)}},
                    std::uint64_t{c.rib<IpPrefix<Address>>().count(source)});
      }
    });
    text.family("millrace_fib_entries", "gauge", "Prefixes in the FIB, by family.");
    for_each_family([&]<class Address>() {
      text.sample("millrace_fib_entries", {{"family", kFamilyName<Address>}},
                  std::uint64_t{c.writer().fib<IpPrefix<Address>>(FibId(0)).size()});
    });
    text.family("millrace_next_hop_groups_published", "counter",
                "Next hops of the FIB that were given to workers, new or changed.");
    text.sample("millrace_next_hop_groups_published_total", {}, c.next_hops().groups_published());
    write_feed_metrics(c, text);
    text.family("millrace_neighbors", "gauge", "Entries of the neighbour table.");
    text.sample("millrace_neighbors", {}, std::uint64_t{c.neighbors().entries().size()});
    text.family("millrace_worker_busy_cycles", "counter", "TSC cycles in loops that found packets.");
    for (std::size_t i = 0; i < c.worker_count(); ++i) {
      text.sample("millrace_worker_busy_cycles_total", {{"worker", std::to_string(i)}},
                  c.worker(i).counters().busy_cycles.get());
    }
    const std::uint64_t oldest = c.reclaimer().oldest_ns();
    text.family("millrace_rcu_oldest_grace_seconds", "gauge",
                "Age of the oldest grace period that has not passed.");
    text.sample("millrace_rcu_oldest_grace_seconds", {},
                oldest == 0 ? 0.0 : static_cast<double>(info_.now_ns() - oldest) / 1e9);
  });
  if (info_.lag != nullptr) {
    text.histogram("millrace_control_loop_lag_seconds", "How late timers of the control loop run.",
                   *info_.lag);
  }
  return {200, "application/openmetrics-text; version=1.0.0; charset=utf-8", {}, {}, text.finish()};
}

}  // namespace millrace::controlplane
