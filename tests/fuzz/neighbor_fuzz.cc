// Neighbours, routes, links and configurations, in any order: what is known of a neighbour, what the next
// hops hold and what workers read are always the same, limits hold, and in the end nothing is left.
//
// The input is a list of steps. A step's first byte: bits 0-2 what happens, 3 on which of two ports, 4-7 a
// host of its subnet (0 and 15 are the network and broadcast addresses, 1 the router). Then
//   0 ARP:            a byte: bits 0 request or reply, 1-3 the sender's MAC, 4-7 the target's host
//   1 a packet to the host comes in by the other port; a byte: 0 its DF bit, 1-7 its length over 32
//   2 a route via the host is added; a byte: bits 0-2 which, 3-6 another next hop on the other port, 7 both
//   3 a route is removed; a byte: bits 0-2 which
//   4 time passes: as many tenths of a second as the host's number and one
//   5 the port's link goes down (even hosts) or up
//   6 a configuration is applied: the host's number modulo 4
//   7 nothing, but all that was sent is taken and looked at
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "tests/behaviour/lab.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/neighbor_checks.h"
#include "tests/fuzz/neighbor_limits.h"

using namespace millrace;
using behaviour::Bytes;
using behaviour::Lab;
using fuzz::Input;
using fuzz::require;

namespace {

constexpr unsigned kHosts = 16;
constexpr unsigned kMostSteps = 400;
constexpr std::array<const char*, 2> kPorts = {"a", "b"};
constexpr std::array<const char*, 4> kConfigs = {
    R"(
interfaces:
  a: { device: @a, addresses: [10.0.0.1/28] }
  b: { device: @b, mtu: 576, addresses: [10.0.1.1/28] }
)",
    R"(
interfaces:
  a: { device: @a, addresses: [10.0.0.1/28] }
  b: { device: @b, mtu: 576, addresses: [10.0.1.1/28] }
routes:
  - { prefix: 20.0.0.0/8, via: [10.0.0.5, 10.0.1.5] }
neighbors:
  - { address: 10.0.0.5, mac: "02:00:00:00:05:00", interface: a }
  - { address: 10.0.1.6, mac: "02:00:00:00:06:00", interface: b }
)",
    R"(
interfaces:
  a: { device: @a, addresses: [10.0.0.1/28] }
  b: { device: @b, mtu: 576, addresses: [10.0.1.1/29] }
neighbors:
  - { address: 10.0.0.5, mac: "02:00:00:00:05:01", interface: a }
)",
    R"(
interfaces:
  a: { device: @a, addresses: [10.0.0.9/29, 10.0.0.1/29] }
  b: { device: @b, mtu: 576 }
)"};

behaviour::LabOptions options() {
  behaviour::LabOptions all;
  all.neighbors = fuzz::quick_neighbors();
  all.neighbors.queue = 2;
  all.neighbors.waiting = 8;
  all.neighbors.incomplete = 6;
  all.neighbors.total = 12;
  return all;
}

Lab& lab() {
  static Lab* const kept = new Lab(kConfigs[0], options());
  return *kept;
}

Ipv4Address address(unsigned port, unsigned host) {
  return {10, 0, static_cast<std::uint8_t>(port), static_cast<std::uint8_t>(host)};
}

Ipv4Prefix route_prefix(unsigned which) {
  return {Ipv4Address(30, static_cast<std::uint8_t>(which), 0, 0), 16};
}

// Of hosts; one of a group, one of all zeroes, one of the router itself.
MacAddress sender_mac(unsigned port, unsigned which) {
  if (which == 5) return {{0x01, 0, 0x5e, 0, 0, 1}};
  if (which == 6) return {};
  if (which == 7) return lab().mac(kPorts[port]);
  return {{2, 0, 0, 0, 0, static_cast<std::uint8_t>(which + 1)}};
}

void send_arp(unsigned port, unsigned host, unsigned what) {
  const bool request = (what & 1) == 0;
  const MacAddress to = request ? behaviour::mac("ff:ff:ff:ff:ff:ff") : lab().mac(kPorts[port]);
  behaviour::ArpPacket arp;
  arp.operation = request ? 1 : 2;
  arp.sender_mac = sender_mac(port, what >> 1 & 7);
  arp.sender = address(port, host);
  arp.target_mac = request ? MacAddress{} : to;
  arp.target = address(port, what >> 4);
  lab().send(kPorts[port], behaviour::ethernet(to, arp.sender_mac, 0x0806, arp.bytes()));
}

void send_packet(unsigned port, unsigned host, unsigned what) {
  const unsigned from = 1 - port;
  behaviour::Ipv4Packet packet;
  packet.source = Ipv4Address(198, 51, 100, 1);
  packet.destination =
      (what & 0x80) != 0 ? Ipv4Address(30, static_cast<std::uint8_t>(host), 0, 1) : address(port, host);
  packet.flags_offset = (what & 1) != 0 ? behaviour::kDf : 0;
  packet.payload = Bytes(std::size_t{what >> 1} * 16);
  lab().send(kPorts[from], behaviour::frame(lab().mac(kPorts[from]), {{2, 0, 0, 0, 0, 9}}, packet));
}

void add_route(unsigned port, unsigned host, unsigned what) {
  config::RouteConfig route;
  route.via.emplace_back(address(port, host));
  if ((what & 0x80) != 0) route.via.emplace_back(address(1 - port, what >> 3 & 15), 3);
  std::sort(route.via.begin(), route.via.end());
  const auto added = lab().control().add_route(route_prefix(what & 7), {route, 0});
  require(bool(added), "there is room for a few routes");
}

void apply(unsigned which) {
  static unsigned current = 0;
  if (which == current) return;
  require(bool(lab().apply(kConfigs[which])), "the configuration can be applied");
  current = which;
}

void check() {
  static const std::vector<IpAddress> hosts = [] {
    std::vector<IpAddress> all;
    for (unsigned port = 0; port < kPorts.size(); ++port) {
      for (unsigned host = 0; host < kHosts; ++host) all.emplace_back(address(port, host));
    }
    return all;
  }();
  fuzz::check_neighbors(lab(), options().neighbors, hosts);
}

void step(Input& input) {
  const unsigned first = input.take();
  const unsigned port = first >> 3 & 1;
  const unsigned host = first >> 4;
  switch (first & 7) {
    case 0:
      return send_arp(port, host, input.take());
    case 1:
      return send_packet(port, host, input.take());
    case 2:
      return add_route(port, host, input.take());
    case 3:
      lab().control().remove_route(route_prefix(input.take() & 7));
      return;
    case 4:
      return lab().advance((host + 1) / 10.0);
    case 5:
      lab().set_link(kPorts[port], host % 2 != 0);
      return;
    case 6:
      return apply(host % kConfigs.size());
    default:
      return fuzz::take_sent(lab());
  }
}

// As it was before the input.
void restore() {
  for (unsigned which = 0; which < 8; ++which) lab().control().remove_route(route_prefix(which));
  apply(0);
  for (const char* port : kPorts) lab().set_link(port, true);
  lab().advance(3);
  fuzz::take_sent(lab());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input({data, size});
  lab();
  for (unsigned steps = 0; !input.empty() && steps < kMostSteps; ++steps) {
    step(input);
    lab().run();
    check();
    if (steps % 64 == 63) fuzz::take_sent(lab());  // before the rings are full
  }
  restore();
  check();
  require(lab().control().neighbors().entries().empty(), "who is not wanted is forgotten");
  require(lab().control().accounting().difference() == 0,
          "received + originated + fragments = sent + punted + dropped");
  require(lab().buffers_out() == 0, "every buffer is back");
  return 0;
}
