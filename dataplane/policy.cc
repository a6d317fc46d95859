#include "dataplane/policy.h"

#include <algorithm>
#include <cstring>

#include "dataplane/ip_family.h"
#include "dataplane/upper_layer.h"
#include "dataplane/worker.h"

namespace millrace::dataplane {
namespace {

UpperLayer upper_layer_of(rte_mbuf* m, const wire::Ipv4& ip) {
  make_contiguous(
      m, static_cast<std::uint16_t>(sizeof(wire::Ethernet) + ip.header_length() + sizeof(std::uint32_t)));
  return upper_layer(ip);
}
UpperLayer upper_layer_of(rte_mbuf* m, const wire::Ipv6& ip) {
  return upper_layer(m, ip);
}

bool has_ports(const UpperLayer& upper, const rte_mbuf* m) {
  return wire::has_ports(upper.protocol) && !upper.is_fragment &&
         upper.at + sizeof(std::uint32_t) <= rte_pktmbuf_data_len(m);
}

template <class Family>
SelectedFlow<typename Family::Address> flow_of(rte_mbuf* m, Way way) {
  using Address = typename Family::Address;
  const auto& ip = *Family::header(m);
  const Address source(ip.source), destination(ip.destination);
  const UpperLayer upper = upper_layer_of(m, ip);
  SelectedFlow<Address> flow;
  flow.local = way == Way::out ? source : destination;
  flow.remote = way == Way::out ? destination : source;
  const bool is_hidden = carries_ipv6(m) && wire::is_extension(upper.protocol);
  if (!is_hidden) flow.protocol = upper.protocol;
  flow.is_fragment = upper.is_fragment;
  flow.has_ports = has_ports(upper, m);
  if (flow.has_ports) {
    Be16 ports[2];
    std::memcpy(ports, rte_pktmbuf_mtod_offset(m, const std::byte*, upper.at), sizeof ports);
    flow.local_port = ports[way == Way::out ? 0 : 1].host();
    flow.remote_port = ports[way == Way::out ? 1 : 0].host();
  }
  return flow;
}

bool is_of_link(const Tables& /*tables*/, rte_mbuf* /*m*/, const wire::Ipv4& ip, Ipv4Address /*local*/) {
  const Ipv4Address to(ip.destination);
  return Ipv4Family::has_link_scope(ip) || is_link_group(to) || to.is_broadcast();
}
// RFC 4861 7.1: no router forwarded it.
bool is_of_link(const Tables& tables, rte_mbuf* m, const wire::Ipv6& ip, const Ipv6Address& local) {
  if (Ipv6Family::has_link_scope(ip)) return true;
  return is_neighbor_discovery(m, ip) && ip.hop_limit == 0xff &&
         tables.own_addresses<Ipv6Address>().contains(local);
}

// RFC 4301 4.4.1: what makes the protection is not itself protected. Of a datagram in fragments it is asked
// when it is whole.
template <class Address>
bool is_ipsec(const Tables& tables, const SelectedFlow<Address>& flow, Way way) {
  constexpr std::uint16_t kIke = 500;
  const bool is_udp = flow.protocol == wire::kProtocolUdp;
  const bool has_port = flow.has_ports ? flow.local_port == kIke || flow.local_port == wire::kUdpEsp
                                       : way == Way::in && flow.is_fragment;
  const bool may_be = flow.protocol == wire::kProtocolEsp || (is_udp && has_port);
  return may_be && tables.own_addresses<Address>().contains(flow.local);
}

}  // namespace

bool Selectors::have(rte_mbuf* m, Way way) const {
  const auto any_has = []<class Address>(const List<Address>& list, const SelectedFlow<Address>& flow) {
    return std::ranges::any_of(list, [&](const FlowSelector<Address>& each) {
      return each.match(flow) == FlowSelector<Address>::Match::yes;
    });
  };
  return carries_ipv6(m) ? any_has(lists_.ipv6, flow_of<Ipv6Family>(m, way))
                         : any_has(lists_.ipv4, flow_of<Ipv4Family>(m, way));
}

template <class Family>
Policies::Said Policies::ask_family(const Tables& tables, rte_mbuf* m, Way way) const {
  using Address = typename Family::Address;
  using Match = typename FlowSelector<Address>::Match;
  const auto flow = flow_of<Family>(m, way);
  if (is_of_link(tables, m, *Family::header(m), flow.local) || is_ipsec(tables, flow, way))
    return {PolicyAction::bypass, {}};
  for (const Rule<Address>& rule : lists_.of<Address>()) {
    const Match match = rule.selector.match(flow);
    if (match == Match::no) continue;
    if (match == Match::unknown) return {PolicyAction::discard, {}, DropReason::policy_fragment};
    if (rule.action == PolicyAction::protect && way == Way::in)
      return {PolicyAction::discard, {}, DropReason::policy_unprotected};
    return {rule.action, rule.tunnel, DropReason::policy_discard};
  }
  return {PolicyAction::discard, {}, DropReason::policy_discard};
}

Policies::Said Policies::ask(const Tables& tables, rte_mbuf* m, Way way) const {
  return carries_ipv6(m) ? ask_family<Ipv6Family>(tables, m, way) : ask_family<Ipv4Family>(tables, m, way);
}

Verdict ask_policies_in(Worker& worker, rte_mbuf* m) {
  if (worker.takes_from_ipsec()) return Verdict::go_on();  // in transport mode: it was protected
  const InterfaceView* in = worker.tables().interface(meta(m).ingress);
  if (in == nullptr || !in->policies) return Verdict::drop(DropReason::policy_discard);
  const Policies::Said said = in->policies->ask(worker.tables(), m, Way::in);
  return said.action == PolicyAction::bypass ? Verdict::go_on() : Verdict::drop(said.reason);
}

Verdict ask_policies_out(Worker& worker, rte_mbuf* m) {
  const InterfaceView* out = worker.tables().interface(meta(m).egress);
  if (out == nullptr || !out->policies) return Verdict::drop(DropReason::policy_discard);
  const Policies::Said said = out->policies->ask(worker.tables(), m, Way::out);
  if (said.action == PolicyAction::discard) return Verdict::drop(said.reason);
  if (said.action == PolicyAction::protect) meta(m).egress = said.tunnel;
  return Verdict::go_on();
}

}  // namespace millrace::dataplane
