// Neighbour discovery of IPv6 (RFC 4861) for a router: asks and answers for the neighbour table, and looks
// after what depends on it: own addresses (dad.h) and router advertisements. Control thread only.
//
// Supported: RFC 4861 7.1, 7.2 and 7.3, RFC 4862 5.4, RFC 6980 (never in fragments). Router advertisements
// and redirects of others are not obeyed: a router's routes are its own (6.2.7, 8.2).
#pragma once

#include <rte_mbuf.h>

#include <cstdint>
#include <optional>
#include <span>

#include "controlplane/dad.h"
#include "controlplane/nd_message.h"
#include "controlplane/neighbors.h"
#include "controlplane/output.h"
#include "controlplane/router_advertiser.h"

namespace millrace::controlplane {

class Nd final : public NeighborSpeaker {
 public:
  Nd(const Interfaces& interfaces, Output& output, Neighbors& neighbors);

  void set_time(std::uint64_t now_ns);
  void tick();
  // A message that begins `at` bytes behind the Ethernet header. Takes the buffer if it has no reason to drop
  // it.
  std::optional<dataplane::DropReason> handle(rte_mbuf* m, const Interface& ingress, std::uint32_t at);

  void ask(const Interface& on, const IpAddress& target, std::optional<MacAddress> last) override;
  // Duplicate detection for what is new, and router advertisements as configured.
  void sync(const Interface& interface) override;
  // Unsolicited advertisements (7.2.6) of what is known to be unique.
  void announce(const Interface& interface) override;
  void stop(InterfaceId interface) override;

  // The own address to speak from to `peer`, of those that are known to be unique.
  [[nodiscard]] std::optional<Ipv6Address> source_for(const Interface& on, Ipv6Address peer) const;
  [[nodiscard]] Dad::State address_state(InterfaceId interface, Ipv6Address address) const {
    return dad_.state(interface, address);
  }
  [[nodiscard]] bool may_answer(Ipv6Address own, InterfaceId ingress) const {
    return dad_.may_answer(own, ingress);
  }

 private:
  using Reason = std::optional<dataplane::DropReason>;
  Reason solicited(const NdMessage& message, const Interface& ingress);
  Reason advertised(const NdMessage& message, const Interface& ingress);
  Reason somebody_uses(const NdMessage& message, const Interface& ingress);
  void learn_advertised(NeighborKey key, const Neighbors::Entry& entry, const NdMessage& message);
  void probe(const Interface& on, Ipv6Address address);
  void advertise(const Interface& on, Ipv6Address own, Ipv6Address to, std::uint32_t flags);
  void advertise_unsolicited(const Interface& on, Ipv6Address own);
  bool advertise_router(const Interface& on, std::span<const std::byte> message);
  // To the MAC `to`, else to whom `destination` is on the link.
  void send(const Interface& on, Ipv6Address source, Ipv6Address destination,
            std::span<const std::byte> message, std::optional<MacAddress> to = std::nullopt);

  Output& output_;
  Neighbors& neighbors_;
  Dad dad_;
  RouterAdvertiser advertiser_;
};

}  // namespace millrace::controlplane
