// Security policies (RFC 4301 section 4.4.1): which packets may pass an interface, and which of them only
// protected; and which packets may be inside of a security association.
//
// Immutable, and published with the interface or the tunnel that has them.
#pragma once

#include <rte_mbuf.h>

#include <cstdint>
#include <optional>
#include <variant>
#include <vector>

#include "dataplane/drop_reason.h"
#include "dataplane/feature.h"
#include "net/ip_address.h"
#include "net/prefix.h"
#include "net/selector.h"
#include "net/strong_id.h"

namespace millrace::dataplane {

class Tables;

enum class Way : std::uint8_t { out, in };

// What selectors ask of a packet.
template <class Address>
struct SelectedFlow {
  Address local, remote;
  std::optional<std::uint8_t> protocol;  // nothing: behind more headers than are looked at
  bool is_fragment = false;
  bool has_ports = false;  // no fragment does
  std::uint16_t local_port = 0, remote_port = 0;
};

// A Selector in one family.
template <class Address>
struct FlowSelector {
  enum class Match : std::uint8_t { no, yes, unknown };  // unknown: the ports, or the protocol, would tell

  IpPrefix<Address> local, remote;
  std::optional<std::uint8_t> protocol;
  PortRange local_ports, remote_ports;

  [[nodiscard]] Match match(const SelectedFlow<Address>& flow) const {
    if (!local.contains(flow.local) || !remote.contains(flow.remote)) return Match::no;
    if (protocol && flow.protocol && *protocol != *flow.protocol) return Match::no;
    if (protocol && !flow.protocol) return Match::unknown;
    if (local_ports.is_any() && remote_ports.is_any()) return Match::yes;
    if (!flow.has_ports) return Match::unknown;
    const bool fits = local_ports.contains(flow.local_port) && remote_ports.contains(flow.remote_port);
    return fits ? Match::yes : Match::no;
  }
};

// Nothing for a family that it is not for.
template <class Address>
std::optional<IpPrefix<Address>> in_family(const std::optional<AnyPrefix>& prefix) {
  if (!prefix) return IpPrefix<Address>();
  const auto* of_family = std::get_if<IpPrefix<Address>>(&*prefix);
  return of_family == nullptr ? std::nullopt : std::optional(*of_family);
}
template <class Address>
std::optional<FlowSelector<Address>> in_family(const Selector& selector) {
  const auto local = in_family<Address>(selector.local), remote = in_family<Address>(selector.remote);
  if (!local || !remote) return std::nullopt;
  return FlowSelector<Address>{*local, *remote, selector.protocol, selector.local_ports,
                               selector.remote_ports};
}

// Those of an SA: a packet that none of them has may not be inside.
class Selectors {
 public:
  explicit Selectors(const std::vector<Selector>& selectors) {
    for_each_family([&]<class Address>() {
      for (const Selector& each : selectors) {
        if (const auto selector = in_family<Address>(each)) lists_.of<Address>().push_back(*selector);
        ask_ports_ |= !each.local_ports.is_any() || !each.remote_ports.is_any();
      }
    });
  }
  // Of a frame with a whole IP header.
  [[nodiscard]] bool have(rte_mbuf* m, Way way) const;
  // Whether they tell packets apart by what fragments do not say: what is too long is then cut up outside.
  [[nodiscard]] bool ask_ports() const { return ask_ports_; }

 private:
  template <class Address>
  using List = std::vector<FlowSelector<Address>>;
  PerFamily<List> lists_;
  bool ask_ports_ = false;
};

struct Policy {
  Selector selector;
  PolicyAction action = PolicyAction::discard;
  InterfaceId tunnel;  // protect: by which
};

// The SPD of an interface, in order: the first one that has a packet says what happens to it. What none has
// is discarded, and so is a fragment that an earlier one may have, if only its ports were known (RFC 4301
// 7.1).
class Policies {
 public:
  struct Said {
    PolicyAction action;
    InterfaceId tunnel;   // protect
    DropReason reason{};  // discard
  };

  explicit Policies(const std::vector<Policy>& policies) {
    for_each_family([&]<class Address>() {
      for (const Policy& each : policies) {
        if (const auto selector = in_family<Address>(each.selector))
          lists_.of<Address>().push_back({*selector, each.action, each.tunnel});
      }
    });
  }
  // Of a frame with a whole IP header, that passes unprotected: one that comes so and is to be protected is
  // discarded. What the link itself needs (its groups, its
  // own addresses, neighbour discovery), IKE and ESP of ours are asked nothing.
  [[nodiscard]] Said ask(const Tables& tables, rte_mbuf* m, Way way) const;

 private:
  template <class Address>
  struct Rule {
    FlowSelector<Address> selector;
    PolicyAction action;
    InterfaceId tunnel;
  };
  template <class Address>
  using List = std::vector<Rule<Address>>;
  template <class Family>
  [[nodiscard]] Said ask_family(const Tables& tables, rte_mbuf* m, Way way) const;
  PerFamily<List> lists_;
};

// Features of interfaces that have policies. On the way out a packet that is to be protected goes on with the
// tunnel as meta(m).egress.
Verdict ask_policies_in(Worker& worker, rte_mbuf* m);
Verdict ask_policies_out(Worker& worker, rte_mbuf* m);

}  // namespace millrace::dataplane
