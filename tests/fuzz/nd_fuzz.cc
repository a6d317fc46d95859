// Messages of neighbour discovery with right checksums, packets that need a neighbour, links and time, in any
// order: limits hold and tables agree after every step, only addresses that are known to be unique are
// answered for, what is sent obeys the rules that it is checked by, and in the end nothing is left (rules 28,
// 40).
//
// The input is a list of steps. A step's first byte: bits 0-2 what happens, 3 on which of two ports, 4-7 a
// host.
//   0-4 a router solicitation, a router advertisement, a solicitation, an advertisement, a redirect of the
//       host (addresses: see address()); four bytes: bits 0-3 and 4-7 target and destination; 0-2 the MAC
//       that it comes from, 3-7 flags; 255 less the hop limit; how many bytes of options follow
//   5 time passes: as many tenths of a second as the host's number and one; host 15: 61 seconds
//   6 the port's link goes down (even hosts) or up
//   7 a packet to the host comes in by the other port
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "controlplane/nd_message.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/neighbor_checks.h"
#include "tests/fuzz/neighbor_limits.h"
#include "tests/packets/nd_packet.h"

using namespace millrace;
using behaviour::Bytes;
using behaviour::Lab;
using fuzz::Input;
using fuzz::require;

namespace {

constexpr unsigned kHosts = 16;
constexpr unsigned kMostSteps = 300;
constexpr std::array<const char*, 2> kPorts = {"a", "b"};
const char* const kConfig = R"(
interfaces:
  a: { device: @a, addresses: ["2001:db8:0::1/64"] }
  b: { device: @b, router_advertisements: true, addresses: ["2001:db8:1::1/64"] }
routes:
  - { prefix: "2001:db8:ff::/48", via: "2001:db8:1::5" }
)";

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
  static Lab* const kept = new Lab(kConfig, options());
  return *kept;
}

// 0: nobody, 1: the router, 2: its link-local address, 3-5: groups, 6: a multicast target's, 7: of another
// link, 8-10: link-local, 11-15: hosts of the subnet.
Ipv6Address address(unsigned port, unsigned host) {
  constexpr std::uint64_t kSubnet = 0x2001'0db8'0000'0000;
  const std::uint64_t subnet = kSubnet | std::uint64_t{port} << 16;
  const Ipv6Address own(subnet, 1);
  switch (host) {
    case 0:
      return {};
    case 1:
      return own;
    case 2:
      return *lab().interface(kPorts[port]).link_local();
    case 3:
      return wire::kAllNodes;
    case 4:
      return wire::kAllRouters;
    case 5:
      return own.solicited_node();
    case 6:
      return lab().interface(kPorts[port]).link_local()->solicited_node();
    case 7:
      return {kSubnet | std::uint64_t{1 - port} << 16, 1};
    default:
      return host < 11 ? Ipv6Address(0xfe80'0000'0000'0000, host) : Ipv6Address(subnet, host - 8);
  }
}

// Of hosts; one of a group, one of all zeroes, one of the router itself.
MacAddress mac(unsigned port, unsigned which) {
  if (which == 5) return {{0x33, 0x33, 0, 0, 0, 1}};
  if (which == 6) return {};
  if (which == 7) return lab().mac(kPorts[port]);
  return {{2, 0, 0, 0, 0, static_cast<std::uint8_t>(which + 1)}};
}

constexpr std::array kTypes = {packets::kRs, packets::kRa, packets::kNs, packets::kNa, packets::kRedirect};

// What stands between the first 8 bytes and the options, but for a target.
Bytes fixed_part(std::uint8_t type, Ipv6Address about) {
  if (type == packets::kRa) return Bytes(8);
  return type == packets::kRedirect ? packets::address_bytes(about) : Bytes{};
}

void send_message(std::uint8_t type, unsigned port, unsigned host, Input& input) {
  const unsigned places = input.take();
  const unsigned what = input.take();
  packets::NdPacket nd{.type = type,
                       .source = address(port, host),
                       .destination = address(port, places >> 4),
                       .flags = (what & 0xf8) << 24};
  nd.hop_limit = static_cast<std::uint8_t>(255 - input.take());
  const Ipv6Address target = address(port, places & 15);
  if (type != packets::kRs && type != packets::kRa) nd.target = target;
  const auto options = input.take(input.take());
  nd.options = packets::join(fixed_part(type, target), Bytes(options.begin(), options.end()));
  const bool to_group = nd.destination.is_multicast();
  const MacAddress to = to_group ? packets::group_mac(nd.destination) : lab().mac(kPorts[port]);
  lab().send(kPorts[port], frame(to, mac(port, what & 7), nd));
}

void send_packet(unsigned port, unsigned host) {
  const unsigned from = 1 - port;
  packets::Ipv6Packet packet;
  packet.source = Ipv6Address(0x2001'0db8'ffff'0000, 1);
  packet.destination = host == 0 ? Ipv6Address(0x2001'0db8'00ff'0000, 1) : address(port, host);
  lab().send(kPorts[from], frame(lab().mac(kPorts[from]), mac(from, 3), packet));
}

bool is_usable(const controlplane::Interface& on, Ipv6Address own) {
  return lab().control().nd().address_state(on.id, own) == controlplane::Dad::State::preferred;
}

// RFC 4861 7.1, RFC 4862 5.4: of what the router says for itself.
void check_sent(const controlplane::Interface& on, const Bytes& bytes) {
  require(bytes.size() >= packets::kEthernet + 40, "a frame holds a packet");
  const bool may_be_nd =
      bytes[packets::kEthernet + 6] == packets::kIcmp6 && bytes[packets::kEthernet + 7] == 255;
  if (!may_be_nd || bytes.size() < packets::kEthernet + 48 || !wire::is_nd(bytes[packets::kEthernet + 40]))
    return;
  rte_mbuf* m = behaviour::make_mbuf(bytes);
  const auto said = controlplane::read_nd(m, sizeof(wire::Ipv6));
  rte_pktmbuf_free(m);
  require(said.has_value(), "the router obeys the rules that it checks others by");
  require(said->from == on.mac, "it speaks with its own MAC");
  if (said->source.is_unspecified()) return;
  require(on.has_address(said->source) && is_usable(on, said->source),
          "it speaks from an address of its own");
  if (said->type != wire::kNdAdvertisement) return;
  require(on.has_address(said->target) && is_usable(on, said->target), "it answers for what is its own");
}

void run_and_check() {
  lab().run();
  for (const char* port : kPorts) {
    for (const Bytes& bytes : lab().received(port)) check_sent(lab().interface(port), bytes);
  }
  static const std::vector<IpAddress> hosts = [] {
    std::vector<IpAddress> all;
    for (unsigned port = 0; port < kPorts.size(); ++port) {
      for (unsigned host = 0; host < kHosts; ++host) all.emplace_back(address(port, host));
    }
    all.emplace_back(Ipv6Address(0x2001'0db8'0001'0000, 5));
    return all;
  }();
  fuzz::check_neighbors(lab(), options().neighbors, hosts);
}

void step(Input& input) {
  const unsigned first = input.take();
  const unsigned port = first >> 3 & 1;
  const unsigned host = first >> 4;
  switch (first & 7) {
    case 5:
      return lab().advance(host == 15 ? 61 : (host + 1) / 10.0);
    case 6:
      return lab().set_link(kPorts[port], host % 2 != 0);
    case 7:
      return send_packet(port, host);
    default:
      return send_message(kTypes[first & 7], port, host, input);
  }
}

// As it was before the input: addresses that were found to be in use are looked for anew.
void restore() {
  for (const char* port : kPorts) {
    lab().set_link(port, false);
    lab().set_link(port, true);
  }
  lab().advance(3);
  run_and_check();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input({data, size});
  lab();
  for (unsigned steps = 0; !input.empty() && steps < kMostSteps; ++steps) {
    step(input);
    run_and_check();
  }
  restore();
  for (const auto& [key, entry] : lab().control().neighbors().entries())
    require(entry.wanted, "who is not wanted is forgotten");
  require(lab().control().accounting().difference() == 0,
          "received + originated + fragments = sent + punted + dropped");
  require(lab().buffers_out() == 0, "every buffer is back");
  return 0;
}
