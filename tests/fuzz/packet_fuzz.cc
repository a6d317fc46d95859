// Any frames, in any segments, at any time: every packet is accounted for, every buffer comes back, and
// whatever leaves is a good frame (rule 40 of docs/conformance.md).
//
// The input is a list of steps. A step's first byte: bits 0-1 the interface (3: time passes, the next byte
// tells in bits 0-4 how many tenths of a second, in bits 5-6 which port's link goes down and comes up
// before, 1-3, if one does), 2 leave the destination MAC as it is (else the interface's is put in), 3
// leave checksums of IPv4, ICMP and ICMPv6 as they are (else they are made right), 4 two bytes follow:
// lengths of the first two segments, 5 the first segment has no room behind it, 6 the frame is filled up
// with its last byte, 7 what it carries comes as ESP by a tunnel. Then two bytes, the frame's length, and
// its bytes; a frame that is filled up has a byte more that tells how many are given. Where the byte that
// follows a 3 has bit 7, a daemon sends a frame instead: bits 0-1 the interface, 2, 3 and 6 as above; then
// its length and bytes.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "controlplane/packet_bytes.h"
#include "esp/sa.h"
#include "net/checksum.h"
#include "net/wire6.h"
#include "tests/behaviour/lab.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/mend.h"
#include "tests/fuzz/neighbor_limits.h"

using namespace millrace;
using behaviour::Bytes;
using behaviour::Lab;
using fuzz::Input;
using fuzz::require;

namespace {

constexpr std::size_t kEthernet = sizeof(wire::Ethernet);
constexpr unsigned kMostFrames = 256;  // of an input

// A jumbo port, one with the least MTU that a configuration may have (too little for IPv6), and an ordinary
// one; a VLAN on the first and a customer's VLAN on the last. Some of them check sources, some advertise the
// router, and some have daemons. Routes lead into a tunnel of IPsec, and the customer's VLAN has policies.
const char* const kNames[] = {"jumbo0", "small0", "wan0"};
const char* const kWithDaemons[] = {"wan0", "lan0", "qinq0", "qinq0"};
const char* const kConfig = R"(
interfaces:
  jumbo0: { device: @jumbo0, mtu: 9000, addresses: [192.0.2.1/24, "2001:db8:a::1/64"] }
  small0: { device: @small0, mtu: 576, urpf: strict, addresses: [198.51.100.1/24] }
  wan0: { device: @wan0, urpf: loose, host: true, router_advertisements: true, addresses: [203.0.113.1/31, "2001:db8:c::1/64"] }
  lan0: { parent: jumbo0, vlan: 100, urpf: strict, router_advertisements: true, host: true,
          addresses: [192.168.1.1/24, "2001:db8:d::1/64"] }
  qinq0:
    parent: wan0
    vlan: 200
    inner_vlan: 7
    mtu: 1400
    host: true
    addresses: [192.168.2.1/24, "2001:db8:e::1/64"]
    policies:
      - { action: discard, protocol: tcp, remote_port: 1-1024 }
      - { action: protect, tunnel: ipsec1, remote: 192.168.2.128/25 }
      - { action: protect, tunnel: ipsec1, remote: "2001:db8:1200::/44" }
      - { action: bypass, protocol: udp }
      - { action: bypass, protocol: icmp }
      - { action: bypass, protocol: icmpv6 }
  ipsec0:
    addresses: [192.168.9.1/24, "2001:db8:f::1/64"]
    ipsec:
      local: 192.0.2.1
      remote: 192.0.2.2
      esn: false
      udp: true
      out: { spi: 0x1001, key: "1111111111111111111111111111111111111111" }
      in: { spi: 0x2001, key: "2222222222222222222222222222222222222222" }
      selectors: [{ protocol: udp, remote_port: 53 }, { remote: 10.4.0.0/17 }, { remote: "2001:db8::/32" }]
  ipsec1:
    ipsec:
      local: "2001:db8:e::1"
      remote: "2001:db8:e::2"
      algorithm: chacha20-poly1305
      out: { spi: 0x1002, key: "333333333333333333333333333333333333333333333333333333333333333333333333" }
      in: { spi: 0x2002, key: "444444444444444444444444444444444444444444444444444444444444444444444444" }
ipsec: { state: /tmp/millrace_packet_fuzz.json }
routes:
  - { prefix: 10.0.0.0/8, via: 198.51.100.2 }
  - { prefix: 10.1.0.0/16, via: [192.0.2.2, 203.0.113.0] }
  - { prefix: 10.2.0.0/16, via: 198.51.100.99 }
  - { prefix: 10.3.0.0/24, type: blackhole }
  - { prefix: 10.3.1.0/24, type: unreachable }
  - { prefix: 10.3.2.0/24, type: prohibit }
  - { prefix: 10.4.0.0/16, via: 192.168.9.2 }
  - { prefix: "2001:db8:1500::/48", via: "2001:db8:f::2" }
  - { prefix: 20.0.0.0/8, via: 192.0.2.2 }
  - { prefix: 20.1.0.0/16, via: "2001:db8:e::2" }
  - { prefix: "2001:db8:1000::/36", via: "2001:db8:a::2" }
  - { prefix: "2001:db8:1100::/40", via: ["2001:db8:c::2", "2001:db8:d::2"] }
  - { prefix: "2001:db8:1200::/40", via: "2001:db8:e::2" }
  - { prefix: "2001:db8:1300::/40", via: { address: "fe80::b", interface: lan0 } }
  - { prefix: "2001:db8:1400::/48", type: blackhole }
  - { prefix: "2001:db8:1401::/48", type: unreachable }
  - { prefix: "2001:db8:1402::/48", type: prohibit }
neighbors:
  - { address: 192.0.2.2, mac: "02:00:00:00:00:02", interface: jumbo0 }
  - { address: 198.51.100.2, mac: "02:00:00:00:00:03", interface: small0 }
  - { address: "2001:db8:a::2", mac: "02:00:00:00:00:02", interface: jumbo0 }
  - { address: "2001:db8:e::2", mac: "02:00:00:00:00:04", interface: qinq0 }
)";

Lab& lab() {
  static Lab* const kept = [] {
    behaviour::LabOptions options;
    options.neighbors = fuzz::quick_neighbors();
    options.neighbors.incomplete = 16;
    options.neighbors.total = 32;
    auto* made = new Lab(kConfig, options);
    // A next hop that no route leads to.
    config::RouteConfig lost;
    lost.via = {Ipv4Address(172, 16, 0, 1)};
    const auto added = made->control().add_route(Ipv4Prefix(Ipv4Address(10, 3, 3, 128), 25), {lost, 0});
    require(bool(added), "the route without a way is taken");
    return made;
  }();
  return *kept;
}

// The other end of ipsec0.
class Peer {
 public:
  // What the frame carries comes by the tunnel, as what its type says, or, of no such type, as what its last
  // byte does.
  void seal(Bytes& frame) {
    if (frame.size() <= kEthernet || frame.size() > 1400) return;
    const unsigned type = packets::get16(frame, 12);
    const std::uint8_t next_header = type == wire::kEtherTypeIpv4   ? wire::kProtocolIpv4
                                     : type == wire::kEtherTypeIpv6 ? wire::kProtocolIpv6
                                                                    : frame.back();
    const auto bytes = static_cast<std::uint32_t>(frame.size() - kEthernet);
    const esp::Traits& of = sa_.keys->traits();
    Bytes esp(esp::packet_bytes(of, bytes));
    std::copy(frame.begin() + kEthernet, frame.end(), esp.begin() + esp::payload_offset(of));
    esp::Outbound packet{&sa_, &of, esp.data() + esp::payload_offset(of), bytes, next_header};
    esp::encapsulate(*engine_, {&packet, 1});
    const packets::Ipv4Packet outer{.source = Ipv4Address(192, 0, 2, 2),
                                    .destination = Ipv4Address(192, 0, 2, 1),
                                    .payload = packets::udp(wire::kUdpEsp, wire::kUdpEsp, esp)};
    frame = packets::ethernet(lab().mac("jumbo0"), MacAddress{{2, 0, 0, 0, 0, 2}}, wire::kEtherTypeIpv4,
                              outer.bytes());
  }

 private:
  static esp::KeyStore::Owned keys_of(esp::KeyStore& store) {
    static constexpr std::array<std::uint8_t, 20> kKey = [] {
      std::array<std::uint8_t, 20> key{};
      key.fill(0x22);
      return key;
    }();
    const esp::Traits& of = esp::traits(esp::Algorithm::aes_128_gcm);
    return std::move(*store.expand(esp::Algorithm::aes_128_gcm, false, esp::KeyMaterial::of(of, kKey)));
  }

  std::unique_ptr<esp::KeyStore> store_ = std::move(*esp::KeyStore::make());
  std::unique_ptr<esp::Engine> engine_ = std::move(*esp::Engine::make());
  esp::OutboundSa sa_{keys_of(*store_), 0x2001, esp::SequenceCounter(false, 0)};
};

// The frame that the input has next, for that interface; `how` is a step's first byte.
Bytes take_frame(Input& input, unsigned how, const std::string& name) {
  const std::size_t length = std::min<std::size_t>(input.take16(), 9200);
  const auto given = input.take((how & 0x40) != 0 ? std::min<std::size_t>(input.take(), length) : length);
  Bytes frame(given.begin(), given.end());
  if ((how & 0x40) != 0) frame.resize(length, frame.empty() ? std::uint8_t{0} : frame.back());
  const MacAddress mac = lab().mac(name);
  if ((how & 4) == 0 && frame.size() >= 6) std::ranges::copy(mac.bytes, frame.begin());
  if ((how & 8) == 0) fuzz::mend_checksums(frame);
  return frame;
}

// What daemons have sent that is for the link, since the last look: it leaves as it is, behind its tags.
std::vector<Bytes>& from_daemons() {
  static auto* const frames = new std::vector<Bytes>;
  return *frames;
}

void say_frame(Input& input, unsigned how) {
  const std::string name = kWithDaemons[how & 3];
  const Bytes frame = take_frame(input, how, name);
  if (frame.empty()) return;
  lab().hosts().say(name, frame);
  from_daemons().push_back(frame);
}

bool is_from_a_daemon(const Bytes& frame) {
  return std::ranges::any_of(from_daemons(), [&](const Bytes& said) {
    return frame.size() >= said.size() && said.size() >= kEthernet &&
           std::equal(said.begin(), said.begin() + 12, frame.begin()) &&
           std::equal(said.begin() + 12, said.end(),
                      frame.end() - static_cast<std::ptrdiff_t>(said.size() - 12));
  });
}

void send_frame(Input& input, unsigned step) {
  behaviour::Layout layout;
  if ((step & 0x10) != 0) layout.segments = {input.take(), input.take()};
  layout.no_tailroom = (step & 0x20) != 0;
  const std::string name = kNames[step & 3];
  Bytes frame = take_frame(input, step, name);
  if (frame.empty()) return;
  if ((step & 0x80) == 0) return lab().send(name, frame, layout);
  static Peer* const peer = new Peer;
  peer->seal(frame);
  lab().send("jumbo0", frame, layout);
}

template <class Address>
bool is_own(Address address) {
  bool found = false;
  lab().control().interfaces().visit(
      [&](const controlplane::Interface& interface) { found |= interface.has_address(address); });
  return found;
}

// RFC 792, RFC 1812 4.3.2.3: the checksum holds, and an error is about a packet whose header it quotes.
void check_own_icmp(std::span<const std::uint8_t> message) {
  require(message.size() >= sizeof(wire::Icmp) && checksum_ok(std::as_bytes(message)),
          "an ICMP message of ours has its checksum");
  const unsigned type = message[0];
  if (type == wire::kIcmpEchoReply) return;
  const auto quote = message.subspan(sizeof(wire::Icmp));
  require(type == wire::kIcmpUnreachable || type == wire::kIcmpTimeExceeded ||
              type == wire::kIcmpParameterProblem,
          "it is an echo reply or an error");
  require(quote.size() >= sizeof(wire::Ipv4) && quote[0] >> 4 == 4, "an error quotes an IPv4 header");
  require(message.size() + sizeof(wire::Ipv4) <= 576, "an error is no longer than 576 bytes");
  require(quote[9] != wire::kProtocolIcmp || quote.size() <= std::size_t{quote[0] & 0xfU} * 4 ||
              quote[std::size_t{quote[0] & 0xfU} * 4] != wire::kIcmpUnreachable,
          "no error about an error");
}

// RFC 4443 2.4: an error is about a packet whose header it quotes, and fits in every link.
void check_own_icmp6(const wire::Ipv6& ip, std::span<const std::uint8_t> message) {
  const std::uint64_t pseudo =
      wire::pseudo_header_sum(Ipv6Address(ip.source), Ipv6Address(ip.destination),
                              static_cast<std::uint32_t>(message.size()), wire::kProtocolIcmpv6);
  require(message.size() >= sizeof(wire::Icmp) &&
              checksum_fold(checksum_add(std::as_bytes(message), pseudo)) == 0xffff,
          "an ICMPv6 message of ours has its checksum");
  const unsigned type = message[0];
  if (wire::is_nd(message[0])) return require(ip.hop_limit == wire::kNdHopLimit, "it stays on the link");
  if (type == wire::kIcmpv6EchoReply) return;
  require(type >= 1 && type <= 4, "it is an echo reply or an error");
  const auto quote = message.subspan(sizeof(wire::Icmp));
  require(quote.size() >= sizeof(wire::Ipv6) && quote[0] >> 4 == 6, "an error quotes an IPv6 header");
  require(message.size() + sizeof(wire::Ipv6) <= wire::kIpv6MinMtu, "an error is no longer than 1,280 bytes");
  require(quote[6] != wire::kProtocolIcmpv6 || quote.size() <= sizeof(wire::Ipv6) ||
              quote[sizeof(wire::Ipv6)] >= wire::kIcmpv6EchoRequest,
          "no error about an error");
}

// The interface that the frame left the port by: its tags say it.
const controlplane::Interface& egress_of(const std::string& port, const Bytes& frame, std::size_t packet_at) {
  const auto vlan = [&](std::size_t at) { return at < packet_at ? packets::get16(frame, at) & 0xfffU : 0U; };
  const controlplane::Interface* found = nullptr;
  lab().control().interfaces().visit([&](const controlplane::Interface& interface) {
    const bool is_it = interface.port == lab().interface(port).port && interface.tags.outer == vlan(14) &&
                       interface.tags.inner == vlan(18);
    if (is_it) found = &interface;
  });
  require(found != nullptr, "its tags are those of an interface");
  return *found;
}

void check_ipv4(const controlplane::Interface& egress, std::span<const std::uint8_t> packet) {
  require(packet.size() >= sizeof(wire::Ipv4), "it holds an IPv4 header");
  wire::Ipv4 ip;
  std::memcpy(&ip, packet.data(), sizeof ip);
  require(ip.version() == 4 && ip.header_length() >= sizeof ip, "version 4, IHL at least 5");
  require(ip.total_length.host() == packet.size(), "the frame is as long as the packet");
  require(ip.header_length() <= packet.size(), "the packet holds its header");
  require(packet.size() <= egress.config.mtu, "no longer than the MTU");
  require(ip.ttl >= 1, "the TTL is not used up");
  require(checksum_ok(std::as_bytes(packet.first(ip.header_length()))), "the checksum is right");
  if (ip.protocol == wire::kProtocolIcmp && !ip.is_fragment() && is_own(Ipv4Address(ip.source)))
    check_own_icmp(packet.subspan(ip.header_length()));
}

void check_ipv6(const controlplane::Interface& egress, std::span<const std::uint8_t> packet) {
  require(packet.size() >= sizeof(wire::Ipv6), "it holds an IPv6 header");
  require(egress.link_local().has_value(), "the link takes IPv6");
  wire::Ipv6 ip;
  std::memcpy(&ip, packet.data(), sizeof ip);
  const Ipv6Address source(ip.source);
  require(ip.version() == 6, "version 6");
  require(sizeof ip + ip.payload_length.host() == packet.size(), "the frame is as long as the packet");
  require(packet.size() <= egress.config.mtu, "no longer than the MTU");
  require(ip.hop_limit >= 1, "the hop limit is not used up");
  require(!source.is_multicast() && !source.is_loopback(), "it comes from one host");
  const bool is_ours = source.is_unspecified() || is_own(source);
  if (ip.next_header == wire::kProtocolIcmpv6 && is_ours) check_own_icmp6(ip, packet.subspan(sizeof ip));
}

// A frame that leaves: from our MAC, whole, and no longer than the link takes.
void check_sent(const std::string& name, const Bytes& frame) {
  require(frame.size() >= kEthernet, "a frame holds an Ethernet header");
  require(std::equal(frame.begin() + 6, frame.begin() + 12, lab().mac(name).bytes.begin()),
          "it comes from our MAC");
  const fuzz::Network network = fuzz::network_of(frame);
  const auto packet = std::span(frame).subspan(network.at);
  const controlplane::Interface& egress = egress_of(name, frame, network.at);
  if (network.type == wire::kEtherTypeArp)
    return require(packet.size() == sizeof(wire::Arp), "ARP has its length");
  if (network.type == wire::kEtherTypeIpv6) return check_ipv6(egress, packet);
  require(network.type == wire::kEtherTypeIpv4, "it is ARP or IP");
  check_ipv4(egress, packet);
}

void run_and_check() {
  lab().run();
  for (const char* name : kNames) {
    for (const Bytes& frame : lab().received(name)) {
      if (!is_from_a_daemon(frame)) check_sent(name, frame);
    }
  }
  from_daemons().clear();
  for (const char* name : kWithDaemons) lab().hosts().heard(name);  // and forgets it
}

// The link goes and comes: its IPv6 addresses are tentative for a second.
void flap(const char* port) {
  run_and_check();
  lab().set_link(port, false);
  lab().set_link(port, true);
}

// Forgets what the input has left behind: neighbours, fragments, and addresses that somebody else has.
void come_to_rest(bool flapped) {
  if (flapped) std::ranges::for_each(kNames, flap);
  const bool has_fragments = lab().control().local().reassembly().datagrams() != 0;
  lab().advance(has_fragments ? 61 : 3);
  run_and_check();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input({data, size});
  lab();
  unsigned frames = 0;
  bool flapped = false;
  for (unsigned ticks = 0; !input.empty() && frames < kMostFrames && ticks < 100;) {
    const unsigned step = input.take();
    if ((step & 3) == 3) {
      run_and_check();
      const unsigned what = input.take();
      if ((what & 0x80) != 0) {
        say_frame(input, what);
        frames += 4;  // its queue holds few
        if (frames % 40 < 4) run_and_check();
        continue;
      }
      if (const unsigned port = what >> 5 & 3; port != 0) {
        flap(kNames[port - 1]);
        flapped = true;
      }
      const unsigned tenths = what % 32;
      lab().advance(tenths / 10.0);
      ticks += 1 + tenths;
    } else {
      send_frame(input, step);
      ++frames;
    }
    if (frames % 40 == 0) run_and_check();  // more than a burst at once, fewer than the rings hold
  }
  run_and_check();
  require(lab().control().accounting().difference() == 0,
          "received + originated + fragments = sent + punted + dropped");
  require(lab().buffers_out() == lab().buffers_waiting(),
          "only what waits for a neighbour or for fragments is out");
  come_to_rest(flapped);
  require(lab().control().accounting().difference() == 0, "it adds up when nothing waits any more");
  require(lab().control().waiting_packets() == 0 && lab().buffers_out() == 0, "every buffer is back");
  return 0;
}
