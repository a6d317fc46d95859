// Any frames, in any segments, at any time: every packet is accounted for, every buffer comes back, and
// whatever leaves is a good frame (rule 40 of docs/conformance.md).
//
// The input is a list of steps. A step's first byte: bits 0-1 the interface (3: time passes, the next byte
// tells how many tenths of a second), 2 leave the destination MAC as it is (else the interface's is put in),
// 3 leave the IPv4 checksum as it is (else it is made right), 4 two bytes follow: lengths of the first two
// segments, 5 the first segment has no room behind it, 6 the frame is filled up with its last byte. Then two
// bytes, the frame's length, and its bytes; a frame that is filled up has a byte more that tells how many are
// given.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "net/checksum.h"
#include "net/wire.h"
#include "tests/behaviour/lab.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/neighbor_limits.h"

using namespace millrace;
using behaviour::Bytes;
using behaviour::Lab;
using fuzz::Input;
using fuzz::require;

namespace {

constexpr std::size_t kEthernet = sizeof(wire::Ethernet);
constexpr unsigned kMostFrames = 256;  // of an input

// A jumbo port, one with the least MTU that a configuration may have, and an ordinary one.
const char* const kNames[] = {"jumbo0", "small0", "wan0"};
const char* const kConfig = R"(
interfaces:
  jumbo0: { device: @jumbo0, mtu: 9000, addresses: [192.0.2.1/24] }
  small0: { device: @small0, mtu: 576, addresses: [198.51.100.1/24] }
  wan0: { device: @wan0, addresses: [203.0.113.1/31] }
routes:
  - { prefix: 10.0.0.0/8, via: 198.51.100.2 }
  - { prefix: 10.1.0.0/16, via: [192.0.2.2, 203.0.113.0] }
  - { prefix: 10.2.0.0/16, via: 198.51.100.99 }
  - { prefix: 10.3.0.0/24, type: blackhole }
  - { prefix: 10.3.1.0/24, type: unreachable }
  - { prefix: 10.3.2.0/24, type: prohibit }
  - { prefix: 20.0.0.0/8, via: 192.0.2.2 }
neighbors:
  - { address: 192.0.2.2, mac: "02:00:00:00:00:02", interface: jumbo0 }
  - { address: 198.51.100.2, mac: "02:00:00:00:00:03", interface: small0 }
)";

Lab& lab() {
  static Lab* const kept = [] {
    behaviour::LabOptions options;
    options.neighbors = fuzz::quick_neighbors();
    options.neighbors.incomplete = 16;
    options.neighbors.total = 32;
    auto* made = new Lab(kConfig, options);
    // A next hop on no connected subnet: the API takes it, a configuration does not.
    config::RouteConfig lost;
    lost.via = {Ipv4Address(172, 16, 0, 1)};
    const auto added = made->control().add_route(Ipv4Prefix(Ipv4Address(10, 3, 3, 128), 25), {lost, 0});
    require(bool(added), "the route without a way is taken");
    return made;
  }();
  return *kept;
}

// What fuzzers do not find by themselves, and what most inputs should have right to come further.
void mend(Bytes& frame, const MacAddress& mac, bool put_mac, bool put_checksum) {
  if (put_mac && frame.size() >= 6) std::copy(mac.bytes.begin(), mac.bytes.end(), frame.begin());
  if (!put_checksum || frame.size() < kEthernet + sizeof(wire::Ipv4)) return;
  const std::size_t header = std::size_t{frame[kEthernet] & 0xfU} * 4;
  if (header < sizeof(wire::Ipv4) || frame.size() < kEthernet + header) return;
  frame[kEthernet + 10] = frame[kEthernet + 11] = 0;
  const Be16 checksum = internet_checksum(std::as_bytes(std::span(frame).subspan(kEthernet, header)));
  std::memcpy(&frame[kEthernet + 10], &checksum, sizeof checksum);
}

void send_frame(Input& input, unsigned step) {
  behaviour::Layout layout;
  if ((step & 0x10) != 0) layout.segments = {input.take(), input.take()};
  layout.no_tailroom = (step & 0x20) != 0;
  const std::size_t length = std::min<std::size_t>(input.take16(), 9200);
  const auto given = input.take((step & 0x40) != 0 ? std::min<std::size_t>(input.take(), length) : length);
  Bytes frame(given.begin(), given.end());
  if ((step & 0x40) != 0) frame.resize(length, frame.empty() ? std::uint8_t{0} : frame.back());
  if (frame.empty()) return;
  const std::string name = kNames[step & 3];
  mend(frame, lab().mac(name), (step & 4) == 0, (step & 8) == 0);
  lab().send(name, frame, layout);
}

bool is_own(Ipv4Address address) {
  return std::any_of(std::begin(kNames), std::end(kNames),
                     [&](const char* name) { return lab().interface(name).has_address(address); });
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

// A frame that leaves: from our MAC, whole, and no longer than the link takes.
void check_sent(const std::string& name, const Bytes& frame) {
  require(frame.size() >= kEthernet, "a frame holds an Ethernet header");
  require(std::equal(frame.begin() + 6, frame.begin() + 12, lab().mac(name).bytes.begin()),
          "it comes from our MAC");
  const unsigned type = unsigned{frame[12]} << 8 | frame[13];
  if (type == wire::kEtherTypeArp)
    return require(frame.size() == kEthernet + sizeof(wire::Arp), "ARP has its length");
  require(type == wire::kEtherTypeIpv4, "it is ARP or IPv4");
  require(frame.size() >= kEthernet + sizeof(wire::Ipv4), "it holds an IPv4 header");
  wire::Ipv4 ip;
  std::memcpy(&ip, &frame[kEthernet], sizeof ip);
  require(ip.version() == 4 && ip.header_length() >= sizeof ip, "version 4, IHL at least 5");
  require(ip.total_length.host() == frame.size() - kEthernet, "the frame is as long as the packet");
  require(ip.header_length() <= ip.total_length.host(), "the packet holds its header");
  require(ip.total_length.host() <= lab().interface(name).config.mtu, "no longer than the MTU");
  require(ip.ttl >= 1, "the TTL is not used up");
  require(checksum_ok(std::as_bytes(std::span(frame).subspan(kEthernet, ip.header_length()))),
          "the checksum is right");
  if (ip.protocol == wire::kProtocolIcmp && !ip.is_fragment() && is_own(Ipv4Address(ip.source)))
    check_own_icmp(std::span(frame).subspan(kEthernet + ip.header_length()));
}

void run_and_check() {
  lab().run();
  for (const char* name : kNames) {
    for (const Bytes& frame : lab().received(name)) check_sent(name, frame);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input({data, size});
  lab();
  unsigned frames = 0;
  for (unsigned ticks = 0; !input.empty() && frames < kMostFrames && ticks < 100;) {
    const unsigned step = input.take();
    if ((step & 3) == 3) {
      run_and_check();
      const unsigned tenths = input.take() % 32;
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
  const bool has_fragments = lab().control().local().reassembly().datagrams() != 0;
  lab().advance(has_fragments ? 61 : 3);
  run_and_check();
  require(lab().control().accounting().difference() == 0, "it adds up when nothing waits any more");
  require(lab().control().waiting_packets() == 0 && lab().buffers_out() == 0, "every buffer is back");
  return 0;
}
