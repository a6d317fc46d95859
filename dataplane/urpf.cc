#include "dataplane/urpf.h"

#include "dataplane/ip_family.h"
#include "dataplane/worker.h"

namespace millrace::dataplane {
namespace {

NextHop route_to_source(const Tables& tables, rte_mbuf* m) {
  const FibId fib = meta(m).fib;
  const bool is_ipv6 = ethernet(m)->type.host() == wire::kEtherTypeIpv6;
  return tables.next_hop(is_ipv6 ? tables.fib<Ipv6Address>(fib).lookup(Ipv6Address(ipv6(m)->source))
                                 : tables.fib<Ipv4Address>(fib).lookup(Ipv4Address(ipv4(m)->source)));
}

bool leads_by(const Tables& tables, NextHop next_hop, InterfaceId interface) {
  const auto adjacency_does = [&](std::uint32_t index) {
    return tables.adjacency(index).egress.interface == interface;
  };
  switch (next_hop.kind()) {
    case NextHop::Kind::forward:
      return adjacency_does(next_hop.index());
    case NextHop::Kind::group:
      for (std::uint32_t i = 0; i < next_hop.buckets(); ++i) {
        if (adjacency_does(tables.bucket(next_hop.index() + i))) return true;
      }
      return false;
    case NextHop::Kind::glean:
      return InterfaceId(static_cast<std::uint16_t>(next_hop.index())) == interface;
    case NextHop::Kind::local:
    case NextHop::Kind::drop:
      break;
  }
  return false;
}

Verdict verdict_of(bool good) {
  return good ? Verdict::go_on() : Verdict::drop(DropReason::urpf_failed);
}

}  // namespace

Verdict check_source_strictly(Worker& worker, rte_mbuf* m) {
  const Tables& tables = worker.tables();
  return verdict_of(leads_by(tables, route_to_source(tables, m), meta(m).ingress));
}

Verdict check_source_loosely(Worker& worker, rte_mbuf* m) {
  return verdict_of(route_to_source(worker.tables(), m).kind() != NextHop::Kind::drop);
}

}  // namespace millrace::dataplane
