#include "controlplane/tunnel_views.h"

#include <optional>
#include <variant>

#include "esp/packet.h"

namespace millrace::controlplane {
namespace {

using config::TunnelConfig;

dataplane::OuterDf df_of(config::OuterDf df) {
  switch (df) {
    case config::OuterDf::copy:
      break;
    case config::OuterDf::set:
      return dataplane::OuterDf::set;
    case config::OuterDf::clear:
      return dataplane::OuterDf::clear;
  }
  return dataplane::OuterDf::copy;
}

// One with no more in it than the packets between two hosts; nothing if it has none of them.
std::optional<Selector> between(Selector selector, const IpAddress& local, const IpAddress& remote) {
  const auto narrow = [](std::optional<AnyPrefix>& prefix, const IpAddress& end) {
    return end.visit([&]<class Address>(Address host) {
      const auto* given = prefix ? std::get_if<IpPrefix<Address>>(&*prefix) : nullptr;
      const bool has = !prefix || (given != nullptr && given->contains(host));
      prefix = IpPrefix<Address>(host, Address::kBits);
      return has;
    });
  };
  const bool has_both = narrow(selector.local, local) && narrow(selector.remote, remote);
  return has_both ? std::optional(selector) : std::nullopt;
}

}  // namespace

ProtectedBy protected_by(const Interfaces& interfaces) {
  ProtectedBy found;
  interfaces.visit([&](const Interface& interface) {
    for (const config::PolicyConfig& policy : interface.config.policies) {
      if (policy.action == PolicyAction::protect) found[policy.tunnel].push_back(policy.selector);
    }
  });
  return found;
}

std::shared_ptr<const dataplane::Selectors> selectors_of(const std::string& name, const TunnelConfig& config,
                                                         const ProtectedBy& by_policies) {
  std::vector<Selector> selectors = config.selectors;
  const auto at = by_policies.find(name);
  if (selectors.empty() && at != by_policies.end()) selectors = at->second;
  if (config.is_transport()) {
    if (selectors.empty()) selectors.emplace_back();
    std::vector<Selector> narrowed;
    for (const Selector& selector : selectors) {
      if (const auto both = between(selector, config.local, config.remote)) narrowed.push_back(*both);
    }
    return std::make_shared<const dataplane::Selectors>(narrowed);
  }
  return selectors.empty() ? nullptr : std::make_shared<const dataplane::Selectors>(selectors);
}

std::shared_ptr<const dataplane::Policies> policies_of(const Interface& interface,
                                                       const Interfaces& interfaces) {
  if (interface.config.policies.empty()) return nullptr;
  std::vector<dataplane::Policy> policies;
  for (const config::PolicyConfig& policy : interface.config.policies) {
    const Interface* tunnel = policy.tunnel.empty() ? nullptr : interfaces.find(policy.tunnel);
    const bool is_lost = policy.action == PolicyAction::protect && tunnel == nullptr;
    policies.push_back({policy.selector, is_lost ? PolicyAction::discard : policy.action,
                        tunnel == nullptr ? kNoInterface : tunnel->id});
  }
  return std::make_shared<const dataplane::Policies>(policies);
}

std::uint32_t mtu_inside(const TunnelConfig& config, std::uint32_t way) {
  return esp::inside_room(esp::traits(config.algorithm), way, config.local.is_ipv6(), config.udp.has_value(),
                          config.is_transport());
}

std::uint8_t flags_of(const TunnelConfig& config) {
  using Entry = dataplane::InboundSas::Entry;
  unsigned flags = 0;
  if (config.udp) flags |= Entry::kUdp;
  if (config.is_transport()) flags |= Entry::kTransport;
  return static_cast<std::uint8_t>(flags);
}

dataplane::Tunnel view_of(const TunnelConfig& config, unsigned owner) {
  dataplane::Tunnel view;
  view.owner = static_cast<std::uint8_t>(owner);
  view.transport = config.is_transport();
  view.outer_ipv6 = config.local.is_ipv6();
  config.local.visit([&]<class Address>(Address local) {
    view.ends.of<Address>() = {local, config.remote.as<Address>()};
  });
  if (config.udp) view.udp = config.udp->remote_port;
  view.hop_limit = static_cast<std::uint8_t>(config.hop_limit);
  if (config.dscp) view.dscp = static_cast<std::uint8_t>(*config.dscp);
  view.df = df_of(config.df);
  return view;
}

}  // namespace millrace::controlplane
