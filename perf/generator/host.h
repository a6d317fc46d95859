// What the tester is to the device beside its test frames: a host with one address on a port, that asks for
// the device's MAC and answers when it is asked for its own.
#pragma once

#include <cstdint>
#include <optional>

#include "net/ip_address.h"
#include "net/mac.h"
#include "perf/generator/port.h"

namespace millrace::perf {

class Host {
 public:
  // Both of one family.
  Host(Port& port, IpAddress address, IpAddress gateway)
      : port_(port), address_(address), gateway_(gateway) {}

  [[nodiscard]] Port& port() const { return port_; }
  [[nodiscard]] IpAddress address() const { return address_; }
  [[nodiscard]] const std::optional<MacAddress>& gateway_mac() const { return gateway_mac_; }
  void set_gateway_mac(const MacAddress& mac) { gateway_mac_ = mac; }

  // RFC 2544 C.2.4: the learning frames. The device learns where this host is, and is asked for its own MAC.
  void send_learning_frames();
  // Deals with a frame if it is ARP or neighbour discovery. Any address but the gateway's is answered for:
  // next hops may be many.
  void handle(const rte_mbuf& frame);
  // Takes what came, for the time between trials.
  void poll();

 private:
  void handle_arp(const rte_mbuf& frame);
  void handle_nd(const rte_mbuf& frame);
  void send_arp(std::uint16_t operation, Ipv4Address sender, const MacAddress& to, Ipv4Address target);
  void solicit(Ipv6Address target);
  // `flags` of RFC 4861 4.4; `to` is who asked, or all nodes.
  void advertise(Ipv6Address target, std::uint32_t flags, Ipv6Address to, const MacAddress& to_mac);
  template <class Frame>
  void send(const Frame& frame);

  Port& port_;
  IpAddress address_, gateway_;
  std::optional<MacAddress> gateway_mac_;
};

}  // namespace millrace::perf
