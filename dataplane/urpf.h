// Unicast reverse path forwarding (RFC 3704): is the source one that this packet may come from?
//
//   strict (2.2, 2.3)  the route to the source leads back by the interface that the packet came by; of
//                      several equal paths, one has to
//   loose (2.4)        there is a route to the source, the default route too; not one that refuses
//
// Ingress features: an interface without them pays nothing. Workers only.
#pragma once

#include "dataplane/feature.h"

namespace millrace::dataplane {

Verdict check_source_strictly(Worker& worker, rte_mbuf* m);
Verdict check_source_loosely(Worker& worker, rte_mbuf* m);

// The features of every router, in their order.
enum class IngressFeature : std::uint8_t { urpf_strict, urpf_loose };
constexpr FeatureMask mask_of(IngressFeature feature) {
  return FeatureMask{1} << static_cast<unsigned>(feature);
}
inline FeatureTable router_features() {
  FeatureTable table;
  table.ingress[static_cast<std::size_t>(IngressFeature::urpf_strict)] = check_source_strictly;
  table.ingress[static_cast<std::size_t>(IngressFeature::urpf_loose)] = check_source_loosely;
  return table;
}

}  // namespace millrace::dataplane
