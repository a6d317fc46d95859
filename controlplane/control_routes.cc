// Routes of either family into the RIBs: of the configuration, of the API, of connected subnets and
// neighbours.
#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "controlplane/control.h"

namespace millrace::controlplane {

using dataplane::DropReason;

namespace {

// Prefixes of a connected subnet that stand for more than a host (RFC 1812 5.3.5.2), or for the router
// (RFC 4291 2.6.1).
template <class Routes>
void add_special(const Interface& on, const Ipv4InterfaceAddress& own, Routes& wanted) {
  if (!own.has_broadcast()) return;
  wanted.try_emplace({own.broadcast(), 32}, on.is_directed_broadcast(own.broadcast())
                                                ? NextHopSpec::neighbor({on.id, own.broadcast()})
                                                : NextHopSpec::drop(DropReason::subnet_broadcast));
  wanted.try_emplace({own.subnet().address(), 32}, NextHopSpec::drop(DropReason::subnet_broadcast));
}
template <class Routes>
void add_special(const Interface& /*on*/, const Ipv6InterfaceAddress& own, Routes& wanted) {
  if (own.has_anycast()) wanted.try_emplace({own.anycast(), 128}, NextHopSpec::local());
}

// Link-local addresses are on every link: no FIB can tell where.
bool may_be_host_route(Ipv4Address) {
  return true;
}
bool may_be_host_route(Ipv6Address address) {
  return !address.is_link_local();
}

}  // namespace

NextHopSpec next_hop_of(const config::RouteConfig& route) {
  switch (route.type) {
    case config::RouteType::blackhole:
      return NextHopSpec::drop(DropReason::route_blackhole);
    case config::RouteType::unreachable:
      return NextHopSpec::drop(DropReason::route_unreachable);
    case config::RouteType::prohibit:
      return NextHopSpec::drop(DropReason::route_prohibit);
    case config::RouteType::unicast:
      break;
  }
  return NextHopSpec::via(route.via);
}

Result<RouteOutcome> Control::add_route(const AnyPrefix& prefix, const ApiRoute& route, std::uint32_t mark) {
  return std::visit(
      [&](auto of_family) {
        return add(of_family,
                   {next_hop_of(route.route), RouteSource::api,
                    static_cast<std::uint8_t>(route.route.distance), route.route.metric, route.owner, mark});
      },
      prefix);
}

bool Control::remove_route(const AnyPrefix& prefix) {
  return std::visit([&](auto of_family) { return uninstall(of_family, RouteSource::api); }, prefix);
}

bool Control::continue_apply(PendingApply& pending, std::size_t slice) {
  const std::size_t end = std::min(pending.done + slice, pending.diff.route_count());
  while (pending.done < end) apply_route(pending.diff, pending.done++);
  if (pending.done < pending.diff.route_count()) return true;
  if (!pending.diff.interfaces.empty() && tunnels_.publish_policies(Tunnels::Policies::all))
    next_hops_.interfaces_changed();
  desired_ = pending.next;
  ++generation_;
  seen_losses_ = pending.losses;  // what was lost meanwhile is seen again, with the new routes
  sync_static_routes();
  return false;
}

void Control::sync_connected() {
  for_each_family([this]<class Address>() { sync_connected_of<Address>(); });
}

template <class Address>
void Control::sync_connected_of() {
  ConnectedRoutes<Address> wanted;
  interfaces_.visit([&](const Interface& interface) {
    for (const auto& own : interface.config.addresses.of<Address>()) {
      wanted[{own.address, Address::kBits}] = NextHopSpec::local();
      if (!interface.up || own.length == Address::kBits) continue;
      if (interface.config.ipsec) {  // nobody is asked for: all go into it
        wanted.try_emplace(own.subnet(), NextHopSpec::neighbor({interface.id, own.subnet().address()}));
        continue;
      }
      wanted.try_emplace(own.subnet(), NextHopSpec::glean(interface.id));
      add_special(interface, own, wanted);
    }
  });
  auto& connected = connected_.of<Address>();
  for (const auto& [prefix, spec] : connected) {
    if (!wanted.contains(prefix)) uninstall(prefix, RouteSource::connected);
  }
  for (const auto& [prefix, spec] : wanted) install(prefix, {spec, RouteSource::connected, 0, 0, 0, 0});
  connected = std::move(wanted);
}

template <class Prefix>
Result<RouteOutcome> Control::add(Prefix prefix, const RouteSpec& spec) {
  auto outcome = rib<Prefix>().add(prefix, spec);
  if (outcome && *outcome == RouteOutcome::added) route_changed(prefix);
  return outcome;
}

template <class Prefix>
void Control::install(Prefix prefix, const RouteSpec& spec) {
  if (const auto added = add(prefix, spec); !added) {
    ++failed_installs_;
    spdlog::error("route {} ({}) is not installed: {}", prefix.to_string(), name(spec.source), added.error());
  }
}

template <class Prefix>
bool Control::uninstall(Prefix prefix, RouteSource source) {
  if (!rib<Prefix>().remove(prefix, source)) return false;
  route_changed(prefix);
  return true;
}

// A route inside a connected subnet takes the neighbours below it from that subnet, or gives them back.
template <class Address>
void Control::route_changed(IpPrefix<Address> prefix) {
  if (prefix.length() == Address::kBits) return;
  const Interface* on = interfaces_.connected_to(prefix.address());
  if (on == nullptr) return;
  const auto holds = [&](const auto& own) { return own.subnet().contains(prefix); };
  if (std::ranges::none_of(on->config.addresses.of<Address>(), holds)) return;
  std::vector<NeighborKey> below;
  const auto& entries = neighbors_.entries();
  for (auto at = entries.lower_bound({on->id, IpAddress(prefix.address())}); at != entries.end(); ++at) {
    if (at->first.interface != on->id || at->first.address > IpAddress(prefix.last())) break;
    below.push_back(at->first);
  }
  for (const NeighborKey& key : below) sync_host_route(key);
}

// A feed that is there stays: without a restart none comes or goes.
void Control::apply_feeds(const config::FeedsConfig& feeds) {
  if (generation_ == 0) make_feeds(feeds);
  if (netlink_) netlink_->set_distances(feeds.distances);
  if (!fpm_) return;
  constexpr std::uint64_t kSecondNs = 1'000'000'000;
  fpm_->set_times({feeds.fpm->hold_s * kSecondNs, feeds.fpm->sweep_s * kSecondNs});
  fpm_->set_feedback(feeds.fpm->offload_feedback);
  fpm_->set_distances(feeds.distances);
}

void Control::make_feeds(const config::FeedsConfig& feeds) {
  // A daemon's interfaces are ours where we made them.
  const auto interface_of = [this](std::uint32_t index) {
    return host_ ? host_->interface_of(index) : std::string();
  };
  const auto changed = [this](const AnyPrefix& prefix) {
    std::visit([this](auto of_family) { route_changed(of_family); }, prefix);
  };
  const FeedTables tables{ribs_.ipv4, ribs_.ipv6, next_hops_, owners_, changed, interface_of};
  if (feeds.fpm) {
    fpm_ = std::make_unique<FpmFeed>(tables);
    fpm_->set_time(now_ns_);
  }
  if (feeds.netlink) {
    // What FRR's zebra puts into the kernel comes over FPM, too.
    const FeedRules rules{feeds.netlink->table, true, feeds.fpm.has_value()};
    const auto has_interface = [this](const std::string& name) { return interfaces_.find(name) != nullptr; };
    netlink_ = std::make_unique<NetlinkFeed>(tables, rules, has_interface);
    netlink_->set_time(now_ns_);
  }
}

void Control::sync_host_route(NeighborKey key) {
  key.address.visit([&](auto address) {
    if (may_be_host_route(address))
      sync_host_route(key, IpPrefix<decltype(address)>(address, decltype(address)::kBits));
  });
}

// A neighbour whose MAC is known is a host route, as long as what covers it is the connected subnet: a more
// specific route inside the subnet wins over who happens to be heard on the link.
template <class Prefix>
void Control::sync_host_route(NeighborKey key, Prefix host) {
  const auto [cover, route] = rib<Prefix>().covering(host);
  const NextHops::Set* set = route == nullptr ? nullptr : next_hops_.find(route->next_hop);
  const bool connected = set != nullptr && set->spec == NextHopSpec::glean(key.interface);
  const bool known = neighbors_.known(key).first == NextHops::LinkState::resolved;
  if (connected && known) {
    install(host, {NextHopSpec::neighbor(key), RouteSource::neighbor, kNeighborDistance, 0, 0, 0});
  } else {
    rib<Prefix>().remove(host, RouteSource::neighbor);
  }
}

// The difference's routes are numbered: those of IPv4 before those of IPv6.
void Control::apply_route(const config::Diff& diff, std::size_t number) {
  const std::size_t ipv4 = diff.routes.ipv4.size();
  if (number < ipv4) return apply_route(diff.routes.ipv4, number);
  apply_route(diff.routes.ipv6, number - ipv4);
}

// Of a family: first those that go, then the new ones, then those that change.
template <class Prefix>
void Control::apply_route(const config::MapDiff<Prefix, config::RouteConfig>& routes, std::size_t number) {
  if (number < routes.removed.size()) {
    while (uninstall(routes.removed[number].first, RouteSource::static_config)) {
    }
    return;
  }
  number -= routes.removed.size();
  if (number < routes.added.size())
    return install_static(routes.added[number].first, routes.added[number].second);
  const auto& change = routes.changed[number - routes.added.size()];
  const config::RouteConfig& after = change.after;
  install_static(change.key, after);
  // Those of other distances go when what takes their place is there.
  const auto stays = [&](unsigned distance) {
    return after.distance == distance ||
           std::ranges::find(after.floating, distance, &config::RouteConfig::distance) !=
               after.floating.end();
  };
  const auto leave = [&](unsigned distance) {
    if (!stays(distance))
      rib<Prefix>().remove(change.key, RouteSource::static_config, static_cast<std::uint8_t>(distance));
  };
  leave(change.before.distance);
  for (const config::RouteConfig& other : change.before.floating) leave(other.distance);
}

template <class Prefix>
void Control::install_static(Prefix prefix, const config::RouteConfig& route) {
  install(prefix, {next_hop_of(route), RouteSource::static_config, static_cast<std::uint8_t>(route.distance),
                   route.metric, 0, 0});
  for (const config::RouteConfig& other : route.floating) install_static(prefix, other);
}

// By the route to it. The default route leads to no next hop: with a more specific one lost, packets would
// leave by it for a router that is not there.
const NextHops::Set* Control::way_to(IpAddress address) {
  return address.visit([this]<class Address>(Address to) -> const NextHops::Set* {
    const auto [prefix, route] = rib<IpPrefix<Address>>().match(to);
    return route == nullptr || prefix.length() == 0 ? nullptr : next_hops_.find(route->next_hop);
  });
}

// A static route whose links are lost gives way to what else there is for its prefix.
void Control::sync_static_routes() {
  if (std::exchange(seen_losses_, next_hops_.losses()) == next_hops_.losses()) return;
  for_each_family([this]<class Address>() {
    for (const auto& [prefix, route] : desired_->routes.of<Address>())
      rib<IpPrefix<Address>>().links_changed(prefix);
  });
}

}  // namespace millrace::controlplane
