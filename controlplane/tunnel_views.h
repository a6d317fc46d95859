// What workers read of tunnels and policies (dataplane/tunnel.h, dataplane/policy.h), made of what the
// configuration says. Control thread only.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "config/model.h"
#include "controlplane/interfaces.h"
#include "dataplane/policy.h"
#include "dataplane/tunnel.h"
#include "net/selector.h"

namespace millrace::controlplane {

// What policies have protected, by the tunnel that does it.
using ProtectedBy = std::map<std::string, std::vector<Selector>>;
ProtectedBy protected_by(const Interfaces& interfaces);

// RFC 4301 5.2: of a tunnel that says nothing itself, what its policies have protected may be inside; null:
// everything. In transport mode only what its ends say to each other.
std::shared_ptr<const dataplane::Selectors> selectors_of(const std::string& name,
                                                         const config::TunnelConfig& config,
                                                         const ProtectedBy& by_policies);

// Null without policies. What protects and has no tunnel any more discards.
std::shared_ptr<const dataplane::Policies> policies_of(const Interface& interface,
                                                       const Interfaces& interfaces);

// What of a packet that the way takes is left for those inside.
std::uint32_t mtu_inside(const config::TunnelConfig& config, std::uint32_t way);

// Of its inbound SAs: dataplane::InboundSas::Entry::Flags.
std::uint8_t flags_of(const config::TunnelConfig& config);

// Without its SA and its selectors.
dataplane::Tunnel view_of(const config::TunnelConfig& config, unsigned owner);

}  // namespace millrace::controlplane
