// The features of every router, in their order.
#pragma once

#include "dataplane/policy.h"
#include "dataplane/urpf.h"

namespace millrace::dataplane {

enum class IngressFeature : std::uint8_t { urpf_strict, urpf_loose, policies };
enum class EgressFeature : std::uint8_t { policies };

template <class Feature>
constexpr FeatureMask mask_of(Feature feature) {
  return FeatureMask{1} << static_cast<unsigned>(feature);
}

inline FeatureTable router_features() {
  FeatureTable table;
  table.ingress[static_cast<std::size_t>(IngressFeature::urpf_strict)] = check_source_strictly;
  table.ingress[static_cast<std::size_t>(IngressFeature::urpf_loose)] = check_source_loosely;
  table.ingress[static_cast<std::size_t>(IngressFeature::policies)] = ask_policies_in;
  table.egress[static_cast<std::size_t>(EgressFeature::policies)] = ask_policies_out;
  return table;
}

}  // namespace millrace::dataplane
