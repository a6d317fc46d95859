// ICMP errors, reason by reason: what is quoted, who is told, and who is not (RFC 1812 4.3.2, RFC
// 1122 3.2.2).
#include <algorithm>

#include "cases.h"

namespace millrace::behaviour {
namespace {

// A way to each reason that has an error, from host A.
const std::string kEveryError = kTwoSubnets.substr(0, kTwoSubnets.find("neighbors")) + R"(
  - {prefix: 198.18.1.0/24, type: unreachable}
  - {prefix: 198.18.2.0/24, type: prohibit}
neighbors:
  - {address: 10.0.1.2, mac: "02:00:00:00:01:02", interface: a}
  - {address: 10.0.2.2, mac: "02:00:00:00:02:02", interface: b}
)";

struct Offence {
  const char* what;
  DropReason reason;
  IcmpError error;
  Ipv4Packet packet;
};

std::vector<Offence> offences() {
  return {
      {"TTL expired", DropReason::ttl_expired, {.type = 11}, {.ttl = 1}},
      {"no route", DropReason::no_route, {.code = 0}, {.destination = ip("8.8.8.8")}},
      {"unreachable route", DropReason::route_unreachable, {.code = 1}, {.destination = ip("198.18.1.1")}},
      {"prohibit route", DropReason::route_prohibit, {.code = 13}, {.destination = ip("198.18.2.1")}},
      {"DF over the MTU",
       DropReason::fragmentation_needed,
       {.code = 4, .mtu = 1500},
       {.flags_offset = kDf, .payload = pattern(1481)}},
      {"closed port",
       DropReason::local_no_port,
       {.code = 3},
       {.destination = ip("10.0.1.1"), .payload = udp(1, 2)}},
      {"unknown protocol",
       DropReason::local_no_protocol,
       {.code = 2},
       {.destination = ip("10.0.1.1"), .protocol = 132}}};
}

class IcmpErrors : public TwoSubnetsTest {
 protected:
  IcmpErrors() { start(kEveryError); }
  Case told(const std::string& what, const Offence& o, const Ipv4Packet& packet) {
    return refuses(what + o.what, packet, o.reason, o.error);
  }
  Case silent(const std::string& what, const Offence& o, const Ipv4Packet& packet) {
    return drops(what + o.what, packet, o.reason);
  }
};

// TTL, TOS, identification, flags, options and checksum of the quote are those that came.
TEST_F(IcmpErrors, Rfc1812_4_3_2_3_TheQuoteIsThePacketAsItCame) {
  for (const Offence& o : offences()) {
    Ipv4Packet packet = o.packet;
    verify(two(), "a", told("rule 16: plain, ", o, packet));
    packet.tos = 0xfd;
    packet.identification = 0xbeef;
    packet.flags_offset = static_cast<std::uint16_t>(packet.flags_offset | kReservedFlag);
    verify(two(), "a", told("rule 16: marked, ", o, packet));
    packet.options = {0x94, 4, 0, 0, 0x5e, 4, 7, 7};
    verify(two(), "a", told("rule 16: with options, ", o, packet));
    packet.payload.resize(std::max<std::size_t>(packet.payload.size(), 1460), 0xee);
    verify(two(), "a", told("rule 16: long, ", o, packet));
  }
}

TEST_F(IcmpErrors, Rfc1122_3_2_2_NotAboutErrorsOfAnyKind) {
  for (const Offence& o : offences()) {
    if (o.reason == DropReason::local_no_port || o.reason == DropReason::local_no_protocol) continue;
    for (const unsigned type : {3U, 4U, 5U, 11U, 12U}) {
      Ipv4Packet packet = o.packet;
      packet.protocol = 1;
      packet.payload = icmp(static_cast<std::uint8_t>(type), 0, 0, pattern(packet.payload.size()));
      verify(two(), "a", silent("rule 17: about ICMP type " + std::to_string(type) + ", ", o, packet));
    }
    Ipv4Packet query = o.packet;
    query.protocol = 1;
    query.payload = icmp(8, 0, 0, pattern(query.payload.size()));
    verify(two(), "a", told("rule 17: about an echo, ", o, query));
  }
}

TEST_F(IcmpErrors, Rfc1122_3_2_2_NotAboutLaterFragmentsOfAnyKind) {
  for (const Offence& o : offences()) {
    if (o.reason == DropReason::local_no_port || o.reason == DropReason::local_no_protocol) continue;
    Ipv4Packet packet = o.packet;
    packet.flags_offset = static_cast<std::uint16_t>(packet.flags_offset | kMf);
    verify(two(), "a", told("rule 17: about a first fragment, ", o, packet));
    packet.flags_offset = static_cast<std::uint16_t>(packet.flags_offset | 1);
    verify(two(), "a", silent("rule 17: about a later fragment, ", o, packet));
    packet.flags_offset = static_cast<std::uint16_t>(o.packet.flags_offset | 0x1fff);
    verify(two(), "a", silent("rule 17: about the last fragment, ", o, packet));
  }
}

TEST_F(IcmpErrors, Rfc1122_3_2_2_NotAboutGroupFramesOfAnyKind) {
  for (const Offence& o : offences()) {
    for (const char* group : {"ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:01"}) {
      verify(two(), "a",
             {"rule 17: in a frame to " + std::string(group) + ", " + o.what,
              frame(mac(group), kHostA, o.packet), dropped(DropReason::l2_broadcast)});
    }
  }
}

TEST_F(IcmpErrors, Rfc1812_4_3_2_4_TheSourceFacesTheSenderWhateverWasAsked) {
  for (const Offence& o : offences()) {
    Ipv4Packet packet = o.packet;
    packet.source = ip("203.0.113.9");  // behind b
    const Bytes offending = towards(two(), "b", kHostB, packet);
    const IcmpError error{o.error.type, o.error.code, o.error.mtu, ip("10.0.2.1")};
    verify(two(), "b",
           {"rule 16: from behind b, " + std::string(o.what), offending,
            refused(o.reason, "b", icmp_error(two(), "b", kHostB, offending, error))});
  }
}

// A bucket holds a tenth of a second's errors, and six at least.
TEST_F(IcmpErrors, Rfc1812_4_3_2_8_TheLimitIsTheOneThatIsSet) {
  for (const auto& [rate, at_once] :
       std::vector<std::pair<unsigned, unsigned>>{{1, 6}, {60, 6}, {70, 7}, {1000, 100}, {2000, 200}}) {
    two().must_apply(kEveryError + "control: {icmp_error_rate: " + std::to_string(rate) + "/s}\n");
    two().advance(10);
    const std::uint64_t held_back = two().control().icmp().counters().errors_suppressed_rate;
    for (unsigned i = 0; i < at_once + 5; ++i) two().send("a", in({.ttl = 1}));
    two().run();
    EXPECT_EQ(two().received("a").size(), at_once) << "rule 18: " << rate << " a second";
    EXPECT_EQ(two().control().icmp().counters().errors_suppressed_rate - held_back, 5U) << "rule 18";
  }
}

}  // namespace
}  // namespace millrace::behaviour
