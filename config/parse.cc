// The way of a file: text -> Document (document.cc) -> Draft (here, by the tables below) -> checks across
// sections (check.cc) -> Config.
#include "config/parse.h"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <utility>

#include "config/draft.h"
#include "config/parse_ipsec.h"
#include "config/parse_policies.h"
#include "config/reader.h"
#include "config/route_protocols.h"

namespace millrace::config {
namespace {

// dataplane

void read_workers(Reader& in, const Node& node, Draft& draft) {
  constexpr unsigned kMaxCore = 1023;
  if (!in.is_sequence(node, "workers", "a list of cores")) return;
  if (node.items.empty())
    return in.problem(node.at, "workers must name a core at least", "leave the key out for the default");
  for (const Node* item : node.items) {
    if (const auto core = in.integer(*item, "a worker's core", 0, kMaxCore))
      draft.workers.push_back({*core, item->at});
  }
}

void read_hugepages(Reader& in, const Node& node, Draft& draft) {
  if (const auto value = in.choice(node, "hugepages", kHugepagesWords)) draft.dataplane.hugepages = *value;
}

void read_memory(Reader& in, const Node& node, Draft& draft) {
  if (const auto value = in.memory_bytes(node, "memory")) draft.dataplane.memory_bytes = *value;
}

void read_idle(Reader& in, const Node& node, Draft& draft) {
  if (const auto value = in.choice(node, "idle", kIdleWords)) draft.dataplane.idle = *value;
}

void read_drivers(Reader& in, const Node& node, Draft& draft) {
  if (!in.is_sequence(node, "drivers", "a list of files")) return;
  for (const Node* item : node.items) {
    if (auto value = in.file_path(*item, "a driver")) draft.dataplane.drivers.push_back(std::move(*value));
  }
}

void read_tx_wait_us(Reader& in, const Node& node, Draft& draft) {
  if (const auto value = in.integer(node, "tx_wait_us", 0, 1000)) draft.dataplane.tx_wait_us = *value;
}

void read_flow_label_hash(Reader& in, const Node& node, Draft& draft) {
  if (const auto value = in.choice(node, "flow_label_hash", kBoolWords))
    draft.dataplane.flow_label_hash = *value;
}

void read_rss(Reader& in, const Node& node, Draft& draft) {
  if (const auto value = in.choice(node, "rss", kRssWords)) draft.dataplane.rss = *value;
}

constexpr Field<Draft> kDataplaneFields[] = {
    {"workers", read_workers}, {"hugepages", read_hugepages},   {"memory", read_memory},
    {"idle", read_idle},       {"tx_wait_us", read_tx_wait_us}, {"flow_label_hash", read_flow_label_hash},
    {"rss", read_rss},         {"drivers", read_drivers}};

// control

void read_core(Reader& in, const Node& node, ControlConfig& control) {
  if (const auto value = in.integer(node, "core", 0, 1023)) control.core = *value;
}

void read_api(Reader& in, const Node& node, ControlConfig& control) {
  if (const auto value = in.socket_path(node, "api")) control.api = *value;
}

void read_metrics(Reader& in, const Node& node, ControlConfig& control) {
  control.metrics = in.tcp_endpoint(node, "metrics");
}

void read_icmp_error_rate(Reader& in, const Node& node, ControlConfig& control) {
  if (const auto value = in.rate_per_second(node, "icmp_error_rate")) control.icmp_error_rate = *value;
}

constexpr Field<ControlConfig> kControlFields[] = {{"core", read_core},
                                                   {"api", read_api},
                                                   {"metrics", read_metrics},
                                                   {"icmp_error_rate", read_icmp_error_rate}};

// interfaces

void read_device(Reader& in, const Node& node, InterfaceDraft& interface) {
  interface.device_at = node.at;
  if (auto value = in.device(node, "device")) interface.config.device = std::move(*value);
}

void read_parent(Reader& in, const Node& node, InterfaceDraft& interface) {
  interface.parent_at = node.at;
  if (auto value = in.interface_name(node, "parent")) interface.config.parent = std::move(*value);
}

void read_vlan(Reader& in, const Node& node, InterfaceDraft& interface) {
  interface.vlan_at = node.at;
  if (const auto id = in.integer(node, "vlan", 1, kMaxVlan))
    interface.config.vlan.outer = static_cast<std::uint16_t>(*id);
}

void read_inner_vlan(Reader& in, const Node& node, InterfaceDraft& interface) {
  interface.inner_vlan_at = node.at;
  if (const auto id = in.integer(node, "inner_vlan", 1, kMaxVlan))
    interface.config.vlan.inner = static_cast<std::uint16_t>(*id);
}

void read_vlan_type(Reader& in, const Node& node, InterfaceDraft& interface) {
  interface.vlan_type_at = node.at;
  if (const auto type = in.choice(node, "vlan_type", kVlanTypeWords))
    interface.config.vlan.outer_type = *type;
}

void read_loopback(Reader& in, const Node& node, InterfaceDraft& interface) {
  const auto value = in.choice(node, "loopback", kBoolWords);
  interface.is_unknown |= !value;
  interface.config.loopback = value.value_or(false);
  if (interface.config.loopback) interface.loopback_at = node.at;
}

void read_queues(Reader& in, const Node& node, InterfaceDraft& interface) {
  interface.queues_at = node.at;
  interface.config.queues = in.word_or_integer(node, "queues", "auto", 1, 64);
}

void read_offloads(Reader& in, const Node& node, InterfaceDraft& interface) {
  interface.offloads_at = node.at;
  if (const auto value = in.choice(node, "offloads", kBoolWords)) interface.config.offloads = *value;
}

void read_host_switch(Reader& in, const Node& node, InterfaceDraft& interface) {
  interface.config.host = in.choice(node, "host", kBoolWords).value_or(false);
  if (interface.config.host) interface.host_at = node.at;
}

void read_mtu(Reader& in, const Node& node, InterfaceDraft& interface) {
  // RFC 791 hosts must take datagrams of 576 bytes; 9600 is what common NICs take at most.
  const auto value = in.integer(node, "mtu", 576, 9600);
  if (!value) return;
  interface.config.mtu = *value;
  interface.mtu_at = node.at;
}

void read_addresses(Reader& in, const Node& node, InterfaceDraft& interface) {
  if (!in.is_sequence(node, "addresses", "a list of addresses with their subnet's length")) return;
  for (const Node* item : node.items) {
    if (const auto value = in.interface_address(*item, "an address"))
      interface.addresses.push_back({*value, item->at});
  }
}

void read_urpf(Reader& in, const Node& node, InterfaceDraft& interface) {
  if (const auto value = in.choice(node, "urpf", kUrpfWords)) interface.config.urpf = *value;
}

void read_ip_options(Reader& in, const Node& node, InterfaceDraft& interface) {
  if (const auto value = in.choice(node, "ip_options", kIpOptionsWords)) interface.config.ip_options = *value;
}

void read_directed_broadcast(Reader& in, const Node& node, InterfaceDraft& interface) {
  if (const auto value = in.choice(node, "directed_broadcast", kBoolWords))
    interface.config.directed_broadcast = *value;
}

void read_router_advertisements(Reader& in, const Node& node, InterfaceDraft& interface) {
  if (const auto value = in.choice(node, "router_advertisements", kBoolWords))
    interface.config.router_advertisements = *value;
}

constexpr Field<InterfaceDraft> kInterfaceFields[] = {{"device", read_device},
                                                      {"parent", read_parent},
                                                      {"vlan", read_vlan},
                                                      {"inner_vlan", read_inner_vlan},
                                                      {"vlan_type", read_vlan_type},
                                                      {"loopback", read_loopback},
                                                      {"queues", read_queues},
                                                      {"offloads", read_offloads},
                                                      {"mtu", read_mtu},
                                                      {"addresses", read_addresses},
                                                      {"urpf", read_urpf},
                                                      {"ip_options", read_ip_options},
                                                      {"directed_broadcast", read_directed_broadcast},
                                                      {"router_advertisements", read_router_advertisements},
                                                      {"host", read_host_switch},
                                                      {"ipsec", read_tunnel},
                                                      {"policies", read_policies, false, true}};

// A VLAN has the MTU of its port's interface unless it says its own, and a service tag before a customer's.
void inherit(InterfaceDraft& vlan, const std::vector<InterfaceDraft>& all) {
  if (vlan.config.parent.empty()) return;
  const auto parent = std::ranges::find(all, vlan.config.parent, &InterfaceDraft::name);
  if (!vlan.mtu_at && parent != all.end()) vlan.config.mtu = parent->config.mtu;
  if (!vlan.vlan_type_at && vlan.config.vlan.inner != 0) vlan.config.vlan.outer_type = wire::kEtherTypeQinQ;
}

// Whether the mapping seems to have `key` under a wrong name: it lacks it and has one that nobody knows.
template <class T, std::size_t n>
bool may_misspell(std::string_view key, const Node& node, const Field<T> (&table)[n]) {
  if (std::ranges::find(node.entries, key, &Entry::key) != node.entries.end()) return false;
  const auto known = keys_of(table);
  return std::ranges::any_of(
      node.entries, [&](const Entry& entry) { return std::ranges::find(known, entry.key) == known.end(); });
}

// Whether an address that the file gives is missing from the draft.
bool lost_addresses(const Node& node, const InterfaceDraft& interface) {
  if (node.kind != Kind::mapping || may_misspell("addresses", node, kInterfaceFields)) return true;
  const auto entry = std::ranges::find(node.entries, "addresses", &Entry::key);
  if (entry == node.entries.end()) return false;
  return entry->value->kind != Kind::sequence || entry->value->items.size() != interface.addresses.size();
}

void read_interfaces(Reader& in, const Node& node, Draft& draft) {
  if (!in.is_mapping(node, "interfaces", "a mapping of names to interfaces")) {
    draft.interfaces_are_unknown = draft.subnets_are_unknown = true;
    return;
  }
  draft.interfaces.reserve(node.entries.size());
  for (const Entry& entry : node.entries) {
    if (!is_interface_name(entry.key))
      in.problem(entry.at, quoted(entry.key) + " cannot be an interface's name",
                 "a name is " + std::string(kInterfaceNameRule));
    InterfaceDraft& interface = draft.interfaces.emplace_back();
    interface.name = entry.key;
    interface.at = entry.at;
    interface.is_unknown = entry.value->kind != Kind::mapping;
    in.fields(*entry.value, "interface " + quoted(entry.key), kInterfaceFields, interface, entry.at);
    draft.subnets_are_unknown |= lost_addresses(*entry.value, interface);
  }
  for (InterfaceDraft& interface : draft.interfaces) inherit(interface, draft.interfaces);
}

// routes

void read_prefix(Reader& in, const Node& node, RouteDraft& route) {
  if (const auto value = in.prefix(node, "prefix")) route.prefix = {*value, node.at};
}

void read_next_hop_address(Reader& in, const Node& node, NextHopDraft& hop) {
  if (const auto value = in.address(node, "address")) hop.address = {*value, node.at};
}

void read_weight(Reader& in, const Node& node, NextHopDraft& hop) {
  if (const auto value = in.integer(node, "weight", 1, 255)) hop.weight = *value;
}

void read_next_hop_interface(Reader& in, const Node& node, NextHopDraft& hop) {
  if (auto value = in.interface_name(node, "interface")) hop.interface = {std::move(*value), node.at};
  hop.interface_is_unknown = !hop.interface;
}

constexpr Field<NextHopDraft> kNextHopFields[] = {{"address", read_next_hop_address, true},
                                                  {"interface", read_next_hop_interface},
                                                  {"weight", read_weight}};

// An address, or a mapping of address, interface and weight.
void read_next_hop(Reader& in, const Node& node, RouteDraft& route) {
  NextHopDraft hop;
  if (node.kind == Kind::mapping) {
    in.fields(node, "a next hop", kNextHopFields, hop, node.at);
  } else if (const auto value = in.address(node, "a next hop")) {
    hop.address = {*value, node.at};
  }
  if (hop.address && !hop.interface_is_unknown) route.via.push_back(std::move(hop));
}

void read_via(Reader& in, const Node& node, RouteDraft& route) {
  route.via_at = node.at;
  if (node.kind != Kind::sequence) return read_next_hop(in, node, route);
  if (node.items.empty()) in.problem(node.at, "via must name a next hop at least");
  if (node.items.size() > kMaxNextHops)
    in.problem(node.items[kMaxNextHops]->at,
               "a route has at most " + std::to_string(kMaxNextHops) + " next hops");
  for (const Node* item : node.items) read_next_hop(in, *item, route);
}

void read_type(Reader& in, const Node& node, RouteDraft& route) {
  route.type_at = node.at;
  if (const auto value = in.choice(node, "type", kRouteTypeWords)) route.config.type = *value;
}

void read_distance(Reader& in, const Node& node, RouteDraft& route) {
  if (const auto value = in.integer(node, "distance", 1, 255)) route.config.distance = *value;
}

void read_metric(Reader& in, const Node& node, RouteDraft& route) {
  if (const auto value = in.integer(node, "metric", 0, 0xffffffff)) route.config.metric = *value;
}

constexpr Field<RouteDraft> kRouteFields[] = {{"prefix", read_prefix, true},
                                              {"via", read_via},
                                              {"type", read_type},
                                              {"distance", read_distance},
                                              {"metric", read_metric}};

void read_routes(Reader& in, const Node& node, Draft& draft) {
  if (!in.is_sequence(node, "routes", "a list of routes")) return;
  draft.routes.reserve(node.items.size());
  for (const Node* item : node.items) {
    RouteDraft route{.at = item->at, .prefix = {}, .via_at = {}, .type_at = {}, .via = {}, .config = {}};
    in.fields(*item, "a route", kRouteFields, route, item->at);
    // What is no mapping has been reported and holds nothing to check.
    if (item->kind == Kind::mapping) draft.routes.push_back(std::move(route));
  }
}

// neighbors

void read_neighbor_address(Reader& in, const Node& node, NeighborDraft& neighbor) {
  if (const auto value = in.address(node, "address")) neighbor.address = {*value, node.at};
}

void read_mac(Reader& in, const Node& node, NeighborDraft& neighbor) {
  if (const auto value = in.mac(node, "mac")) neighbor.mac = {*value, node.at};
}

void read_neighbor_interface(Reader& in, const Node& node, NeighborDraft& neighbor) {
  if (auto value = in.interface_name(node, "interface")) neighbor.interface = {std::move(*value), node.at};
}

constexpr Field<NeighborDraft> kNeighborFields[] = {{"address", read_neighbor_address, true},
                                                    {"mac", read_mac, true},
                                                    {"interface", read_neighbor_interface, true}};

void read_neighbors(Reader& in, const Node& node, Draft& draft) {
  if (!in.is_sequence(node, "neighbors", "a list of neighbours")) return;
  for (const Node* item : node.items) {
    NeighborDraft neighbor{.at = item->at, .address = {}, .mac = {}, .interface = {}};
    in.fields(*item, "a neighbour", kNeighborFields, neighbor, item->at);
    draft.neighbors.push_back(std::move(neighbor));
  }
}

// host

void read_netns(Reader& in, const Node& node, HostConfig& host) {
  if (auto value = in.netns_name(node, "netns")) host.netns = std::move(*value);
}

constexpr Field<HostConfig> kHostFields[] = {{"netns", read_netns}};

// feeds

void read_listen(Reader& in, const Node& node, FpmConfig& fpm) {
  if (auto value = in.tcp_endpoint(node, "listen")) fpm.listen = std::move(*value);
}

void read_hold(Reader& in, const Node& node, FpmConfig& fpm) {
  if (const auto value = in.seconds(node, "hold", 0, 3600)) fpm.hold_s = *value;
}

void read_sweep(Reader& in, const Node& node, FpmConfig& fpm) {
  if (const auto value = in.seconds(node, "sweep", 1, 600)) fpm.sweep_s = *value;
}

void read_offload_feedback(Reader& in, const Node& node, FpmConfig& fpm) {
  if (const auto value = in.choice(node, "offload_feedback", kBoolWords)) fpm.offload_feedback = *value;
}

constexpr Field<FpmConfig> kFpmFields[] = {{"listen", read_listen},
                                           {"hold", read_hold},
                                           {"sweep", read_sweep},
                                           {"offload_feedback", read_offload_feedback}};

// `fpm: {}` is a feed with the defaults.
void read_fpm(Reader& in, const Node& node, FeedsConfig& feeds) {
  in.fields(node, "fpm", kFpmFields, feeds.fpm.emplace(), node.at);
}

void read_table(Reader& in, const Node& node, NetlinkConfig& netlink) {
  netlink.table =
      in.word_or_integer(node, "table", "main", 1, 0xffffffff).value_or(NetlinkConfig::kMainTable);
}

constexpr Field<NetlinkConfig> kNetlinkFields[] = {{"table", read_table}};

void read_netlink(Reader& in, const Node& node, FeedsConfig& feeds) {
  in.fields(node, "netlink", kNetlinkFields, feeds.netlink.emplace(), node.at);
}

template <std::size_t i>
void read_distance_of(Reader& in, const Node& node, FeedsConfig& feeds) {
  constexpr std::string_view kName = kProtocolNames[i];
  const auto value = in.integer(node, kName, 1, 255);
  if (value && *value != own_distance(kName)) feeds.distances[std::string(kName)] = *value;
}

// A row for each protocol.
template <class>
struct DistanceFields;
template <std::size_t... i>
struct DistanceFields<std::index_sequence<i...>> {
  static constexpr Field<FeedsConfig> kRows[] = {{kProtocolNames[i], read_distance_of<i>}...};
};
constexpr auto& kDistanceFields = DistanceFields<std::make_index_sequence<kProtocolNames.size()>>::kRows;

void read_distances(Reader& in, const Node& node, FeedsConfig& feeds) {
  in.fields(node, "distances", kDistanceFields, feeds, node.at);
}

constexpr Field<FeedsConfig> kFeedsFields[] = {
    {"fpm", read_fpm}, {"netlink", read_netlink}, {"distances", read_distances}};

// the top

void read_dataplane(Reader& in, const Node& node, Draft& draft) {
  in.fields(node, "dataplane", kDataplaneFields, draft, node.at);
}

void read_control(Reader& in, const Node& node, Draft& draft) {
  in.fields(node, "control", kControlFields, draft.control, node.at);
}

void read_host(Reader& in, const Node& node, Draft& draft) {
  in.fields(node, "host", kHostFields, draft.host, node.at);
}

void read_feeds(Reader& in, const Node& node, Draft& draft) {
  in.fields(node, "feeds", kFeedsFields, draft.feeds, node.at);
}

constexpr Field<Draft> kTopFields[] = {{.key = "dataplane", .read = read_dataplane, .may_be_empty = true},
                                       {.key = "control", .read = read_control, .may_be_empty = true},
                                       {.key = "interfaces", .read = read_interfaces, .may_be_empty = true},
                                       {.key = "routes", .read = read_routes, .may_be_empty = true},
                                       {.key = "neighbors", .read = read_neighbors, .may_be_empty = true},
                                       {.key = "host", .read = read_host, .may_be_empty = true},
                                       {.key = "feeds", .read = read_feeds, .may_be_empty = true},
                                       {.key = "ipsec", .read = read_ipsec, .may_be_empty = true}};

// Draft to Config: only for a draft without problems, whose optional parts are all there.

InterfaceConfig finished(InterfaceDraft& draft) {
  for (const auto& placed : draft.addresses) {
    std::visit(
        [&]<class Address>(const IpInterfaceAddress<Address>& address) {
          draft.config.addresses.of<Address>().push_back(address);
        },
        placed.value);
  }
  if (draft.ipsec) draft.config.ipsec = finished(*draft.ipsec);
  for (const PolicyDraft& policy : draft.policies) draft.config.policies.push_back(finished(policy));
  return std::move(draft.config);
}

RouteConfig finished(RouteDraft& draft) {
  for (const auto& hop : draft.via) draft.config.via.push_back(finished(hop));
  std::ranges::sort(draft.config.via);
  return std::move(draft.config);
}

// One more of a prefix: the one of the lowest distance holds the others.
void add(RouteConfig& to, RouteConfig&& other) {
  if (other.distance < to.distance) {
    other.floating = std::exchange(to.floating, {});
    std::swap(to, other);
  }
  const auto at = std::ranges::upper_bound(to.floating, other.distance, {}, &RouteConfig::distance);
  to.floating.insert(at, std::move(other));
}

Config finished(Draft& draft) {
  Config config;
  config.dataplane = draft.dataplane;
  config.control = std::move(draft.control);
  config.host = std::move(draft.host);
  config.feeds = std::move(draft.feeds);
  config.ipsec = std::move(draft.ipsec);
  if (!draft.workers.empty()) config.dataplane.workers.emplace();
  for (const auto& worker : draft.workers) config.dataplane.workers->push_back(worker.value);
  for (auto& interface : draft.interfaces) config.interfaces.emplace(interface.name, finished(interface));
  for (auto& route : draft.routes) {
    std::visit(
        [&]<class Address>(const IpPrefix<Address>& prefix) {
          const auto [at, is_new] = config.routes.of<Address>().try_emplace(prefix);
          if (is_new)
            at->second = finished(route);
          else
            add(at->second, finished(route));
        },
        route.prefix->value);
  }
  for (auto& neighbor : draft.neighbors)
    config.neighbors.emplace(NeighborKey{neighbor.interface->value, neighbor.address->value},
                             neighbor.mac->value);
  return config;
}

void read_top(Reader& in, const Node& node, Draft& draft) {
  in.fields(node, "the configuration", kTopFields, draft, node.at);
  if (may_misspell("interfaces", node, kTopFields))
    draft.interfaces_are_unknown = draft.subnets_are_unknown = true;
  check(draft, in.problems());
}

ParseResult unreadable(const std::string& path) {
  return {{}, {{path, 1, 1, std::string("cannot read the file: ") + std::strerror(errno), ""}}};
}

}  // namespace

NextHop finished(const NextHopDraft& draft) {
  return {draft.address->value, draft.interface ? draft.interface->value : std::string(),
          static_cast<std::uint8_t>(draft.weight)};
}

ParseResult parse(std::string_view text, std::string_view file) {
  Problems problems(file);
  Draft draft;
  if (const auto document = load(text, problems); document && document->root && !document->root->is_null()) {
    Reader reader(problems);
    read_top(reader, *document->root, draft);
  }
  ParseResult result;
  result.problems = std::move(problems).sorted();
  if (result.ok()) result.config = finished(draft);
  return result;
}

ParseResult parse_file(const std::string& path) {
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  if (!file) return unreadable(path);
  // One byte more than is allowed tells parse() that the file is too large, however large it is.
  std::string text;
  std::vector<char> block(64 << 10);  // on the heap, which is wiped: the file may hold keys
  while (text.size() <= kMaxFileBytes && file) {
    file.read(block.data(), static_cast<std::streamsize>(block.size()));
    text.append(block.data(), static_cast<std::size_t>(file.gcount()));
  }
  if (file.bad() || (text.empty() && errno != 0)) return unreadable(path);
  return parse(text, path);
}

std::vector<KnownKeys> known_keys() {
  std::vector<KnownKeys> all = known_ipsec_keys();
  std::ranges::copy(known_policy_keys(), std::back_inserter(all));
  for (const KnownKeys& of :
       {known("", kTopFields), known("dataplane", kDataplaneFields), known("control", kControlFields),
        known("interfaces.*", kInterfaceFields), known("routes[]", kRouteFields),
        known("routes[].via[]", kNextHopFields), known("neighbors[]", kNeighborFields),
        known("host", kHostFields), known("feeds", kFeedsFields), known("feeds.fpm", kFpmFields),
        known("feeds.netlink", kNetlinkFields), known("feeds.distances", kDistanceFields)})
    all.push_back(of);
  return all;
}

}  // namespace millrace::config
