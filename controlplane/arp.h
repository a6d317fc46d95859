// ARP (RFC 826): asks and answers for the neighbour table. Control thread only.
//
// Supported: RFC 826 with gratuitous ARP; of RFC 5227, probes answered (2.1.1), addresses announced (2.3) and
// defended (2.4 (c)).
#pragma once

#include <rte_mbuf.h>

#include <cstdint>
#include <optional>

#include "controlplane/neighbors.h"
#include "controlplane/output.h"

namespace millrace::controlplane {

class Arp final : public NeighborSpeaker {
 public:
  Arp(Output& output, Neighbors& neighbors) : output_(output), neighbors_(neighbors) {}

  // An ARP frame from `ingress`. Takes the buffer, and says how it ended (the reason if it was of no use).
  std::optional<dataplane::DropReason> handle(rte_mbuf* m, const Interface& ingress);

  void ask(const Interface& on, const IpAddress& target, std::optional<MacAddress> last) override;
  void sync(const Interface&) override {}
  void announce(const Interface& interface) override;  // gratuitous ARP for its addresses (RFC 5227 3)
  void stop(InterfaceId) override {}

 private:
  void send(const Interface& egress, std::uint16_t operation, Ipv4Address sender, MacAddress target_mac,
            Ipv4Address target, MacAddress destination);
  void reply(const wire::Arp& request, const Interface& ingress);
  void defend(const wire::Arp& claim, const Interface& ingress);

  Output& output_;
  Neighbors& neighbors_;
  std::uint64_t last_defence_ns_ = 0;
};

}  // namespace millrace::controlplane
