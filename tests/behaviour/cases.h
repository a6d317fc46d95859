// Tables of packets: what goes in, what has to become of it, what comes out.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "lab.h"

namespace millrace::behaviour {

// Two subnets, a host with a known MAC on each, and a route to a third one by the host on b.
inline const std::string kTwoSubnets = R"(
interfaces:
  a: {device: @a, addresses: [10.0.1.1/24]}
  b: {device: @b, addresses: [10.0.2.1/24]}
routes:
  - {prefix: 203.0.113.0/24, via: 10.0.2.2}
neighbors:
  - {address: 10.0.1.2, mac: "02:00:00:00:01:02", interface: a}
  - {address: 10.0.2.2, mac: "02:00:00:00:02:02", interface: b}
)";
inline const MacAddress kHostA{{2, 0, 0, 0, 1, 2}};
inline const MacAddress kHostB{{2, 0, 0, 0, 2, 2}};

struct Expect {
  std::optional<DropReason> drop;  // counted once, on the interface that the packet came by
  std::string on;                  // where frames come out
  std::vector<Bytes> frames;       // all of them, in order
  bool chosen_id = false;          // their IP identification is the router's choice
};
Expect dropped(DropReason reason);
Expect sent(const std::string& on, const Bytes& frame);
Expect answered(const std::string& on, const Bytes& frame);                    // identification free
Expect refused(DropReason reason, const std::string& on, const Bytes& frame);  // dropped, with an ICMP error

struct Case {
  std::string what;  // the rule, and the RFC section that makes it
  Bytes in;
  Expect expect;
  Layout layout{};
};

// Sends the frame, runs the router and compares all that comes out, and all drop counters.
void verify(Lab& lab, const std::string& on, const Case& c);
void verify(Lab& lab, const std::string& on, const std::vector<Case>& cases);

// Compares what came out with what was wanted; with `chosen_id` the identification is taken over first.
void expect_frames(const std::vector<Bytes>& wanted, std::vector<Bytes> got, bool chosen_id = false);

// The frame that a host of `from`'s subnet sends by way of the router's interface.
Bytes towards(Lab& lab, const std::string& interface, const MacAddress& from, const Ipv4Packet& packet);

// The frame of the ICMP error about `offending` (a frame): RFC 792, RFC 1812 4.3.2.
struct IcmpError {
  std::uint8_t type = 3;
  std::uint8_t code = 0;
  std::uint16_t mtu = 0;
  Ipv4Address source{10, 0, 1, 1};
};
Bytes icmp_error(Lab& lab, const std::string& interface, const MacAddress& to, const Bytes& offending,
                 const IcmpError& error);

// Tests that send from host A on a, most of them to host B on b.
class TwoSubnetsTest : public LabTest {
 protected:
  Lab& two() { return lab_ ? *lab_ : start(kTwoSubnets); }
  Bytes in(const Ipv4Packet& packet) { return towards(two(), "a", kHostA, packet); }
  Case forwards_frame(const std::string& what, const Bytes& frame) {
    return {what, frame, sent("b", forwarded(frame, kHostB, two().mac("b")))};
  }
  Case forwards(const std::string& what, const Ipv4Packet& packet) {
    return forwards_frame(what, in(packet));
  }
  Case drops(const std::string& what, const Ipv4Packet& packet, DropReason reason) {
    return {what, in(packet), dropped(reason)};
  }
  // Dropped, and host A is told.
  Case refuses(const std::string& what, const Ipv4Packet& packet, DropReason reason, const IcmpError& error) {
    return {what, in(packet), refused(reason, "a", icmp_error(two(), "a", kHostA, in(packet), error))};
  }
};

}  // namespace millrace::behaviour
