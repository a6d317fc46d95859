#include "controlplane/sa_lifetime.h"

namespace millrace::controlplane {

const char* reached(const config::SaLimits& limits, const SaUsage& usage) {
  if (limits.packets && usage.packets >= *limits.packets) return "packets";
  if (limits.bytes && usage.bytes >= *limits.bytes) return "bytes";
  if (limits.seconds && usage.seconds >= *limits.seconds) return "time";
  return nullptr;
}

}  // namespace millrace::controlplane
