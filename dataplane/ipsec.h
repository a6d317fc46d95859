// The way of packets into IPsec's tunnels and out of them, on a worker.
//
//   leaves by a tunnel -> protect() -> at the burst's end: ESP, outer headers -> looked up as any packet
//   to one of us       -> take()    -> at the burst's end: verified, decrypted -> received by the tunnel's
//                                      interface, as a port's frames by its own; in transport mode by the
//                                      one that it came by
//
// Packets wait for the burst's end, so that all of a burst are encrypted together. An SA's packets are its
// owner's: another worker hands them over to it.
#pragma once

#include <rte_mbuf.h>

#include <array>
#include <cstdint>
#include <memory>
#include <span>

#include "dataplane/burst.h"
#include "dataplane/drop_reason.h"
#include "dataplane/tunnel.h"
#include "esp/engine.h"

namespace millrace::dataplane {

class Worker;
struct InterfaceView;

// One for each worker. written and read by: it.
class Ipsec {
 public:
  explicit Ipsec(std::unique_ptr<esp::Engine> engine) : engine_(std::move(engine)) {}

  // Takes a frame that leaves by the interface `tunnel`: no longer than its MTU, its hop counted.
  void protect(Worker& worker, const InterfaceView& in, InterfaceId tunnel, rte_mbuf* m);
  // Takes a frame to one of our addresses if it is ESP; true if it did. Its IP header lies in the first
  // segment.
  bool take(Worker& worker, const InterfaceView& in, rte_mbuf* m);

  // Is what a worker receives now what was inside?
  [[nodiscard]] bool takes() const { return takes_; }
  [[nodiscard]] bool waits() const { return (outbound_count_ | inbound_count_) != 0; }
  void go_on(Worker& worker);  // with those that wait

 private:
  struct Outbound {
    rte_mbuf* m;
    const InterfaceView* in;  // of the burst that it was in
    InterfaceId ingress, id;  // id: of the tunnel's interface
    const Tunnel* tunnel = nullptr;
    std::uint8_t tos = 0;  // of the outer packet
    bool dont_fragment = false;
    std::uint8_t header = 0;  // bytes of the IP header that stays outside (transport mode)
  };
  struct Inbound {
    rte_mbuf* m;
    InterfaceId ingress;
    std::uint16_t at;  // of the ESP header, from the frame's begin
    bool udp;
    const InboundSas::Entry* entry = nullptr;
  };

  struct Outer;

  void send_outbound(Worker& worker);
  unsigned find_tunnels(Worker& worker);
  static void ask_for_sas(Worker& worker, std::span<const Outbound> packets);
  static unsigned make_payloads(Worker& worker, std::span<Outbound> packets,
                                std::span<esp::Outbound> payloads);
  void wrap(Worker& worker, std::span<const Outbound> packets, std::span<const esp::Outbound> payloads,
            Outer& outer);
  void write_outer(const Outbound& packet, const esp::Outbound& payload);
  static void write_transport(const Outbound& packet, const esp::Outbound& payload);
  void send_outer(Worker& worker, const InterfaceView& in, Outer& outer);
  void take_inbound(Worker& worker);
  void find_entries(const InboundSas& sas);
  unsigned find_sas(Worker& worker, std::array<esp::Inbound, kBurst>& packets);
  void receive_inner(Worker& worker, std::span<const Inbound> packets);
  static void receive_transport(Worker& worker, const Inbound& packet);

  std::unique_ptr<esp::Engine> engine_;
  bool sends_ = false;  // outer packets are on their way: they go into no tunnel
  bool takes_ = false;  // inner packets are: they are not taken apart
  unsigned outbound_count_ = 0, inbound_count_ = 0;
  std::uint16_t identification_ = 0;  // of outer packets of IPv4 (RFC 6864)
  std::array<Outbound, kBurst> outbound_;
  std::array<Inbound, kBurst> inbound_;
};

// Whether Ipsec::take() takes the frame, to one of our addresses, in one datagram.
bool is_esp(rte_mbuf* m, bool any_udp);

}  // namespace millrace::dataplane
