#include "config/diff.h"

#include <algorithm>
#include <iterator>
#include <set>
#include <tuple>
#include <utility>

#include "config/route_protocols.h"
#include "config/words.h"

namespace millrace::config {
namespace {

// Values in the words of the file.

std::string text_of(const NextHop& hop) {
  return hop.to_string();
}
template <class Address>
std::string text_of(const IpInterfaceAddress<Address>& address) {
  return address.to_string();
}
std::string text_of(const std::string& word) {
  return word;
}
std::string text_of(unsigned number) {
  return std::to_string(number);
}

template <class T>
std::string list_of(const std::vector<T>& values) {
  std::string text;
  for (const T& value : values) {
    if (!text.empty()) text += ", ";
    text += text_of(value);
  }
  return text;
}

// The largest unit that leaves a whole number.
std::string size_text(std::uint64_t bytes) {
  constexpr std::pair<unsigned, char> kUnits[] = {{30, 'G'}, {20, 'M'}, {10, 'K'}};
  for (const auto& [shift, unit] : kUnits) {
    if (bytes % (std::uint64_t{1} << shift) == 0) return std::to_string(bytes >> shift) + unit;
  }
  return std::to_string(bytes);
}

std::string queues_text(const InterfaceConfig& interface) {
  return interface.queues ? std::to_string(*interface.queues) : "auto";
}

std::string route_text(const RouteConfig& route) {
  const RouteConfig defaults;
  std::string text = route.type == RouteType::unicast ? "via " + list_of(route.via)
                                                      : std::string(word_of(kRouteTypeWords, route.type));
  if (route.distance != defaults.distance) text += ", distance " + std::to_string(route.distance);
  if (route.metric != defaults.metric) text += ", metric " + std::to_string(route.metric);
  for (const RouteConfig& other : route.floating) text += "; " + route_text(other);
  return text;
}

// Merges two ordered maps into their difference.
template <class Key, class Value>
MapDiff<Key, Value> diff_maps(const std::map<Key, Value>& before, const std::map<Key, Value>& after) {
  MapDiff<Key, Value> diff;
  auto old = before.begin();
  auto now = after.begin();
  while (old != before.end() || now != after.end()) {
    if (now == after.end() || (old != before.end() && old->first < now->first)) {
      diff.removed.emplace_back(*old++);
    } else if (old == before.end() || now->first < old->first) {
      diff.added.emplace_back(*now++);
    } else {
      if (!(old->second == now->second)) diff.changed.push_back({old->first, old->second, now->second});
      ++old;
      ++now;
    }
  }
  return diff;
}

// Collects lines; a setting without a line is unchanged.
class Lines {
 public:
  explicit Lines(bool needs_restart = false) : needs_restart_(needs_restart) {}
  void add(std::string what, std::string value) { push(Action::add, std::move(what), "", std::move(value)); }
  void remove(std::string what, std::string value) {
    push(Action::remove, std::move(what), std::move(value), "");
  }
  void change(std::string what, std::string before, std::string after) {
    if (before != after) push(Action::change, std::move(what), std::move(before), std::move(after));
  }
  // Of a setting that may be absent.
  void optional(std::string what, const std::optional<std::string>& before,
                const std::optional<std::string>& after) {
    if (before && after) {
      change(std::move(what), *before, *after);
    } else if (before) {
      remove(std::move(what), *before);
    } else if (after) {
      add(std::move(what), *after);
    }
  }
  void append(std::vector<Change> lines) { std::ranges::move(lines, std::back_inserter(lines_)); }
  [[nodiscard]] std::vector<Change> take() && { return std::move(lines_); }

 private:
  void push(Action action, std::string what, std::string before, std::string after) {
    lines_.push_back({action, std::move(what), std::move(before), std::move(after), needs_restart_});
  }
  std::vector<Change> lines_;
  bool needs_restart_;
};

std::optional<std::string> workers_text(const DataplaneConfig& dataplane) {
  return dataplane.workers ? std::optional(list_of(*dataplane.workers)) : std::nullopt;
}

std::optional<std::string> drivers_text(const DataplaneConfig& dataplane) {
  return dataplane.drivers.empty() ? std::nullopt : std::optional(list_of(dataplane.drivers));
}

std::optional<std::string> netns_text(const HostConfig& host) {
  return host.netns.empty() ? std::nullopt : std::optional(host.netns);
}

std::optional<std::string> listen_text(const FeedsConfig& feeds) {
  return feeds.fpm ? std::optional(feeds.fpm->listen) : std::nullopt;
}

std::optional<std::string> table_text(const FeedsConfig& feeds) {
  if (!feeds.netlink) return std::nullopt;
  const std::uint32_t table = feeds.netlink->table;
  return table == NetlinkConfig::kMainTable ? "main" : text_of(table);
}

std::optional<std::string> seconds_text(const FeedsConfig& feeds, unsigned FpmConfig::*member) {
  return feeds.fpm ? std::optional(text_of((*feeds.fpm).*member) + "s") : std::nullopt;
}

std::optional<std::string> feedback_text(const FeedsConfig& feeds) {
  return feeds.fpm ? std::optional(std::string(word_of(kBoolWords, feeds.fpm->offload_feedback)))
                   : std::nullopt;
}

std::string distance_text(const FeedsConfig& feeds, std::string_view protocol) {
  const auto at = feeds.distances.find(std::string(protocol));
  return text_of(at == feeds.distances.end() ? own_distance(protocol) : at->second);
}

// What changes while they run; of a feed that comes or goes it stands beside where it listens.
void describe_feeds(const FeedsConfig& before, const FeedsConfig& after, Lines& lines) {
  lines.optional("feeds.fpm.hold", seconds_text(before, &FpmConfig::hold_s),
                 seconds_text(after, &FpmConfig::hold_s));
  lines.optional("feeds.fpm.sweep", seconds_text(before, &FpmConfig::sweep_s),
                 seconds_text(after, &FpmConfig::sweep_s));
  lines.optional("feeds.fpm.offload_feedback", feedback_text(before), feedback_text(after));
  for (const std::string_view protocol : kProtocolNames)
    lines.change("feeds.distances." + std::string(protocol), distance_text(before, protocol),
                 distance_text(after, protocol));
}

std::vector<Change> restart_lines(const Config& before, const Config& after) {
  Lines lines(true);
  const auto& [old, now] = std::tie(before.dataplane, after.dataplane);
  lines.optional("dataplane.workers", workers_text(old), workers_text(now));
  lines.change("dataplane.hugepages", std::string(word_of(kHugepagesWords, old.hugepages)),
               std::string(word_of(kHugepagesWords, now.hugepages)));
  lines.change("dataplane.memory", size_text(old.memory_bytes), size_text(now.memory_bytes));
  lines.change("dataplane.idle", std::string(word_of(kIdleWords, old.idle)),
               std::string(word_of(kIdleWords, now.idle)));
  lines.change("dataplane.tx_wait_us", text_of(old.tx_wait_us), text_of(now.tx_wait_us));
  lines.change("dataplane.flow_label_hash", std::string(word_of(kBoolWords, old.flow_label_hash)),
               std::string(word_of(kBoolWords, now.flow_label_hash)));
  lines.change("dataplane.rss", std::string(word_of(kRssWords, old.rss)),
               std::string(word_of(kRssWords, now.rss)));
  lines.optional("dataplane.drivers", drivers_text(old), drivers_text(now));
  lines.change("control.core", text_of(before.control.core), text_of(after.control.core));
  lines.change("control.api", before.control.api, after.control.api);
  lines.optional("control.metrics", before.control.metrics, after.control.metrics);
  lines.optional("host.netns", netns_text(before.host), netns_text(after.host));
  lines.optional("feeds.fpm.listen", listen_text(before.feeds), listen_text(after.feeds));
  lines.change("ipsec.state", before.ipsec.state, after.ipsec.state);
  lines.optional("feeds.netlink.table", table_text(before.feeds), table_text(after.feeds));
  return std::move(lines).take();
}

// A line for each address that goes or comes. A new order needs one as well, for the first address is the
// primary one.
template <class Address>
void describe_addresses(const std::string& what, const std::vector<Address>& before,
                        const std::vector<Address>& after, Lines& lines) {
  const std::set<Address> old(before.begin(), before.end());
  const std::set<Address> now(after.begin(), after.end());
  std::vector<Address> reached;  // what the lines so far lead to
  for (const auto& address : before) {
    if (now.contains(address))
      reached.push_back(address);
    else
      lines.remove(what, address.to_string());
  }
  for (const auto& address : after) {
    if (old.contains(address)) continue;
    lines.add(what, address.to_string());
    reached.push_back(address);
  }
  if (reached != after) lines.change(what, list_of(before), list_of(after));
}

// Key and value of each setting but the addresses. What is not set, and what the interface cannot have, is
// empty.
std::vector<std::pair<std::string, std::string>> settings_of(const InterfaceConfig& interface) {
  const auto id = [](std::uint16_t vlan) { return vlan == 0 ? std::string() : std::to_string(vlan); };
  const auto word = [](std::string_view text) { return std::string(text); };
  const VlanTags& vlan = interface.vlan;
  return {{"device", interface.device},
          {"parent", interface.parent},
          {"vlan", id(vlan.outer)},
          {"inner_vlan", id(vlan.inner)},
          {"vlan_type", vlan.any() ? word(word_of(kVlanTypeWords, vlan.outer_type)) : ""},
          {"loopback", interface.loopback ? "true" : ""},
          {"queues", interface.device.empty() ? "" : queues_text(interface)},
          {"offloads", word(word_of(kBoolWords, interface.offloads))},
          {"mtu", interface.loopback ? "" : text_of(interface.mtu)},
          {"urpf", word(word_of(kUrpfWords, interface.urpf))},
          {"ip_options", word(word_of(kIpOptionsWords, interface.ip_options))},
          {"directed_broadcast", word(word_of(kBoolWords, interface.directed_broadcast))},
          {"router_advertisements", word(word_of(kBoolWords, interface.router_advertisements))},
          {"host", word(word_of(kBoolWords, interface.host))}};
}

std::string text_of(const std::optional<EspInUdp>& udp) {
  if (!udp) return "false";
  return "port " + text_of(udp->remote_port) + ", keepalive " + text_of(udp->keepalive_s) + "s";
}

// Nothing if there are none.
std::string text_of(const SaLimits& limits) {
  std::string text;
  const auto say = [&text](const auto& value, const char* unit) {
    if (value) text += (text.empty() ? "" : ", ") + std::to_string(*value) + unit;
  };
  say(limits.packets, " packets");
  say(limits.bytes, " bytes");
  say(limits.seconds, "s");
  return text;
}

// The same of a tunnel, without its SAs. No interface has what it has.
std::vector<std::pair<std::string, std::string>> settings_of(const std::optional<TunnelConfig>& tunnel) {
  const auto said = [&](const auto& text) { return tunnel ? std::string(text(*tunnel)) : std::string(); };
  return {{"ipsec.mode", said([](const auto& of) { return word_of(kIpsecModeWords, of.mode); })},
          {"ipsec.local", said([](const auto& of) { return of.local.to_string(); })},
          {"ipsec.remote", said([](const auto& of) { return of.remote.to_string(); })},
          {"ipsec.algorithm", said([](const auto& of) { return esp::traits(of.algorithm).name; })},
          {"ipsec.esn", said([](const auto& of) { return word_of(kBoolWords, of.esn); })},
          {"ipsec.replay_window", said([](const auto& of) { return text_of(of.replay_window); })},
          {"ipsec.udp", said([](const auto& of) { return text_of(of.udp); })},
          {"ipsec.dscp", said([](const auto& of) { return of.dscp ? text_of(*of.dscp) : "copy"; })},
          {"ipsec.df", said([](const auto& of) { return word_of(kOuterDfWords, of.df); })},
          {"ipsec.hop_limit", said([](const auto& of) { return text_of(of.hop_limit); })},
          {"ipsec.lifetime.soft", said([](const auto& of) { return text_of(of.lifetime.soft); })},
          {"ipsec.lifetime.hard", said([](const auto& of) { return text_of(of.lifetime.hard); })},
          {"ipsec.path_mtu_discovery",
           said([](const auto& of) { return word_of(kBoolWords, of.path_mtu_discovery); })}};
}

// Keys are not shown. One that was changed is another SA.
std::string sa_text(const SaConfig& sa) {
  return "spi " + text_of(sa.spi) + (sa.key_file.empty() ? ", key" : ", key_file " + sa.key_file);
}

std::optional<std::string> outbound_text(const std::optional<TunnelConfig>& tunnel) {
  return tunnel && tunnel->out ? std::optional(sa_text(*tunnel->out)) : std::nullopt;
}

void describe_sas(const std::string& what, const std::optional<TunnelConfig>& before,
                  const std::optional<TunnelConfig>& after, Lines& lines) {
  const auto has = [](const std::optional<TunnelConfig>& tunnel, const SaConfig& sa) {
    return tunnel && std::ranges::find(tunnel->in, sa) != tunnel->in.end();
  };
  if (before) {
    for (const SaConfig& sa : before->in) {
      if (!has(after, sa)) lines.remove(what + ".ipsec.in", sa_text(sa));
    }
  }
  if (after) {
    for (const SaConfig& sa : after->in) {
      if (!has(before, sa)) lines.add(what + ".ipsec.in", sa_text(sa));
    }
  }
  const auto old = outbound_text(before), now = outbound_text(after);
  if (old && now && old == now && !(before->out == after->out)) {
    lines.remove(what + ".ipsec.out", *old);
    lines.add(what + ".ipsec.out", *now);
  } else {
    lines.optional(what + ".ipsec.out", old, now);
  }
}

std::string text_of(const PolicyConfig& policy) {
  const std::string by = policy.tunnel.empty() ? "" : " by " + policy.tunnel;
  return std::string(word_of(kPolicyActionWords, policy.action)) + by + ": " + policy.selector.to_string();
}
std::string text_of(const Selector& selector) {
  return selector.to_string();
}

// Lists whose order counts, by place.
template <class T>
void describe_list(const std::string& what, const std::vector<T>& before, const std::vector<T>& after,
                   Lines& lines) {
  const auto at = [](const std::vector<T>& list, std::size_t i) {
    return i < list.size() ? std::optional(text_of(list[i])) : std::nullopt;
  };
  for (std::size_t i = 0; i < std::max(before.size(), after.size()); ++i)
    lines.optional(what + "[" + std::to_string(i) + "]", at(before, i), at(after, i));
}

std::vector<Selector> selectors_of(const InterfaceConfig& interface) {
  return interface.ipsec ? interface.ipsec->selectors : std::vector<Selector>();
}

void describe_interface(const MapDiff<std::string, InterfaceConfig>::Changed& changed, Lines& lines) {
  const std::string what = "interfaces." + changed.key;
  const auto before = settings_of(changed.before), after = settings_of(changed.after);
  const auto set = [](const std::string& text) { return text.empty() ? std::nullopt : std::optional(text); };
  for (std::size_t i = 0; i < before.size(); ++i)
    lines.optional(what + std::string(".").append(before[i].first), set(before[i].second),
                   set(after[i].second));
  const auto old_tunnel = settings_of(changed.before.ipsec), new_tunnel = settings_of(changed.after.ipsec);
  for (std::size_t i = 0; i < old_tunnel.size(); ++i)
    lines.optional(what + std::string(".").append(old_tunnel[i].first), set(old_tunnel[i].second),
                   set(new_tunnel[i].second));
  describe_sas(what, changed.before.ipsec, changed.after.ipsec, lines);
  describe_list(what + ".ipsec.selectors", selectors_of(changed.before), selectors_of(changed.after), lines);
  describe_list(what + ".policies", changed.before.policies, changed.after.policies, lines);
  for_each_family([&]<class Address>() {
    describe_addresses(what + ".addresses", changed.before.addresses.of<Address>(),
                       changed.after.addresses.of<Address>(), lines);
  });
}

// One that comes or goes as a whole: `line` is Lines::add or Lines::remove.
void describe_whole(const std::string& name, const InterfaceConfig& interface,
                    void (Lines::*line)(std::string, std::string), Lines& lines) {
  const std::string what = "interfaces." + name;
  const auto settings = settings_of(interface), defaults = settings_of(InterfaceConfig{});
  for (std::size_t i = 0; i < settings.size(); ++i) {
    const auto& [key, value] = settings[i];
    const bool always = (key == "mtu" || key == "queues") && !value.empty();
    if (always || (!value.empty() && value != defaults[i].second))
      (lines.*line)(what + std::string(".").append(key), value);
  }
  if (interface.ipsec) {
    for (const auto& [key, value] : settings_of(interface.ipsec)) {
      if (!value.empty()) (lines.*line)(what + std::string(".").append(key), value);
    }
    for (const SaConfig& sa : interface.ipsec->in) (lines.*line)(what + ".ipsec.in", sa_text(sa));
    if (const auto out = outbound_text(interface.ipsec)) (lines.*line)(what + ".ipsec.out", *out);
    for (const Selector& selector : interface.ipsec->selectors)
      (lines.*line)(what + ".ipsec.selectors", text_of(selector));
  }
  for (const PolicyConfig& policy : interface.policies) (lines.*line)(what + ".policies", text_of(policy));
  for_each_family([&]<class Address>() {
    for (const auto& address : interface.addresses.of<Address>())
      (lines.*line)(what + ".addresses", address.to_string());
  });
}

template <class Address>
std::string name_of(const IpPrefix<Address>& prefix) {
  return "routes " + prefix.to_string();
}
std::string name_of(const NeighborKey& key) {
  return "neighbors " + key.interface + " " + key.address.to_string();
}
std::string value_of(const RouteConfig& route) {
  return route_text(route);
}
std::string value_of(const MacAddress& mac) {
  return mac.to_string();
}

// Removed, added, changed: what goes makes room for what comes.
template <class Key, class Value>
void describe_map(const MapDiff<Key, Value>& diff, Lines& lines) {
  for (const auto& [key, value] : diff.removed) lines.remove(name_of(key), value_of(value));
  for (const auto& [key, value] : diff.added) lines.add(name_of(key), value_of(value));
  for (const auto& [key, before, after] : diff.changed)
    lines.change(name_of(key), value_of(before), value_of(after));
}

void describe_interfaces(const MapDiff<std::string, InterfaceConfig>& diff, Lines& lines) {
  for (const auto& [name, interface] : diff.removed) describe_whole(name, interface, &Lines::remove, lines);
  for (const auto& [name, interface] : diff.added) describe_whole(name, interface, &Lines::add, lines);
  for (const auto& changed : diff.changed) describe_interface(changed, lines);
}

}  // namespace

std::string Change::to_string() const {
  std::string text = action == Action::add ? "+ " : action == Action::remove ? "- " : "~ ";
  text += what + ": ";
  text += action == Action::add ? after : action == Action::remove ? before : before + " -> " + after;
  if (needs_restart) text += " (needs a restart)";
  return text;
}

bool Diff::empty() const {
  return interfaces.empty() && route_count() == 0 && neighbors.empty() && restart.empty() &&
         !icmp_error_rate_changed && !feeds_changed;
}

Diff diff(const Config& before, const Config& after) {
  return {.interfaces = diff_maps(before.interfaces, after.interfaces),
          .routes = {diff_maps(before.routes.ipv4, after.routes.ipv4),
                     diff_maps(before.routes.ipv6, after.routes.ipv6)},
          .neighbors = diff_maps(before.neighbors, after.neighbors),
          .restart = restart_lines(before, after),
          .icmp_error_rate_changed = before.control.icmp_error_rate != after.control.icmp_error_rate,
          .feeds_changed = before.feeds != after.feeds};
}

std::vector<Change> describe(const Config& before, const Config& after) {
  Diff changes = diff(before, after);
  Lines lines;
  lines.append(std::move(changes.restart));
  lines.change("control.icmp_error_rate", std::to_string(before.control.icmp_error_rate) + "/s",
               std::to_string(after.control.icmp_error_rate) + "/s");
  describe_interfaces(changes.interfaces, lines);
  describe_map(changes.routes.ipv4, lines);
  describe_map(changes.routes.ipv6, lines);
  describe_map(changes.neighbors, lines);
  describe_feeds(before.feeds, after.feeds, lines);
  return std::move(lines).take();
}

}  // namespace millrace::config
