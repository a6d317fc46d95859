// How the neighbours of one family are spoken to: ARP (arp.h), or neighbour discovery (nd.h).
#pragma once

#include <optional>

#include "controlplane/interfaces.h"

namespace millrace::controlplane {

class NeighborSpeaker {
 public:
  NeighborSpeaker() = default;
  NeighborSpeaker(const NeighborSpeaker&) = delete;
  NeighborSpeaker& operator=(const NeighborSpeaker&) = delete;
  virtual ~NeighborSpeaker() = default;

  // Asks for a neighbour's MAC: everybody, or the one who had it last.
  virtual void ask(const Interface& on, const IpAddress& target, std::optional<MacAddress> last) = 0;
  // The interface came up, or its addresses or MAC changed: what depends on them follows.
  virtual void sync(const Interface& interface) = 0;
  // Says to everybody on the link who we are.
  virtual void announce(const Interface& interface) = 0;
  // The interface went down, or goes for good.
  virtual void stop(InterfaceId interface) = 0;
};

}  // namespace millrace::controlplane
