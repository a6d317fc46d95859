// Tables of packets of IPv6, as cases.h has those of IPv4.
#pragma once

#include "cases.h"
#include "tests/packets/packet6.h"

namespace millrace::behaviour {

// Two links with both families, a host with a known MAC on each, and routes by the host on b.
inline const std::string kTwoLinks = R"(
interfaces:
  a: {device: @a, addresses: [10.0.1.1/24, "2001:db8:1::1/64"]}
  b: {device: @b, addresses: [10.0.2.1/24, "2001:db8:2::1/64"], mtu: 1400}
routes:
  - {prefix: "2001:db8:100::/40", via: "2001:db8:2::2"}
  - {prefix: "2001:db8:101::/48", via: {address: "fe80::b", interface: b}}
  - {prefix: "2001:db8:102::/48", via: "2001:db8:1::2"}
  - {prefix: "2001:db8:103::/48", type: blackhole}
  - {prefix: "2001:db8:104::/48", type: unreachable}
  - {prefix: "2001:db8:105::/48", type: prohibit}
  - {prefix: "2001:db8:106::1/128", via: "2001:db8:1::2"}
  - {prefix: 198.18.6.0/24, via: "2001:db8:2::2"}
neighbors:
  - {address: 10.0.1.2, mac: "02:00:00:00:01:02", interface: a}
  - {address: "2001:db8:1::2", mac: "02:00:00:00:01:02", interface: a}
  - {address: "fe80::a", mac: "02:00:00:00:01:02", interface: a}
  - {address: "2001:db8:2::2", mac: "02:00:00:00:02:02", interface: b}
  - {address: "fe80::b", mac: "02:00:00:00:02:0b", interface: b}
)";
inline const MacAddress kHostLinkLocalB{{2, 0, 0, 0, 2, 0xb}};

// The frame of the ICMPv6 error about `offending` (a frame): RFC 4443 2.4 and 3.
struct Icmp6Error {
  std::uint8_t type = 1;
  std::uint8_t code = 0;
  std::uint32_t rest = 0;
  Ipv6Address source = ip6("2001:db8:1::1");
};
Bytes icmp6_error(Lab& lab, const std::string& interface, const MacAddress& to, const Bytes& offending,
                  const Icmp6Error& error);

// Tests that send from host A on a, most of them to host B on b.
class TwoLinksTest : public LabTest {
 protected:
  Lab& two() { return lab_ ? *lab_ : start(kTwoLinks); }
  Bytes in(const Ipv6Packet& packet) { return frame(two().mac("a"), kHostA, packet); }
  Case forwards_frame(const std::string& what, const Bytes& frame, const MacAddress& to = kHostB,
                      const std::string& on = "b") {
    return {what, frame, sent(on, forwarded6(frame, to, two().mac(on)))};
  }
  Case forwards(const std::string& what, const Ipv6Packet& packet) {
    return forwards_frame(what, in(packet));
  }
  Case drops(const std::string& what, const Ipv6Packet& packet, DropReason reason) {
    return {what, in(packet), dropped(reason)};
  }
  // Dropped, and host A is told.
  Case refuses(const std::string& what, const Ipv6Packet& packet, DropReason reason,
               const Icmp6Error& error) {
    const Bytes frame = in(packet);
    return {what, frame, {reason, "a", {icmp6_error(two(), "a", kHostA, frame, error)}}};
  }
};

}  // namespace millrace::behaviour
