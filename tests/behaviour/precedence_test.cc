// What becomes of a packet of which two rules speak: the order of RFC 1812 5.2 and 5.3, where it can be seen.
#include "cases.h"

namespace millrace::behaviour {
namespace {

class Precedence : public TwoSubnetsTest {
 protected:
  Precedence() {
    start(R"(
interfaces:
  a: {device: @a, addresses: [10.0.1.1/24]}
  b: {device: @b, mtu: 576, addresses: [10.0.2.1/24]}
routes: [{prefix: 203.0.113.0/24, via: 10.0.2.2}]
neighbors:
  - {address: 10.0.1.2, mac: "02:00:00:00:01:02", interface: a}
  - {address: 10.0.2.2, mac: "02:00:00:00:02:02", interface: b}
)");
  }
  static Ipv4Packet echo_from(const char* source, const char* destination) {
    return {.source = ip(source),
            .destination = ip(destination),
            .protocol = 1,
            .payload = icmp(8, 0, 1, pattern(18))};
  }
};

TEST_F(Precedence, Rfc1812_5_3_1_APacketThatExpiresIsNeitherCutUpNorTooLong) {
  const IcmpError expired{.type = 11};
  verify(
      two(), "a",
      {refuses("rules 3, 7: over the MTU", {.ttl = 1, .payload = pattern(1000)}, DropReason::ttl_expired,
               expired),
       refuses("rules 3, 7: over the MTU with DF", {.ttl = 1, .flags_offset = kDf, .payload = pattern(1000)},
               DropReason::ttl_expired, expired)});
}

TEST_F(Precedence, Rfc1812_5_2_2_WhatABadHeaderSaysIsNotBelieved) {
  Bytes bad = in({.ttl = 1});
  bad[kEthernet + 10] ^= 1;
  Bytes to_broadcast = in({.destination = ip("10.0.2.255")});
  to_broadcast[kEthernet + 10] ^= 1;
  verify(two(), "a",
         {{"rules 1, 3: a wrong checksum and TTL 1", bad, dropped(DropReason::ip_bad_checksum)},
          {"rules 1, 9: a wrong checksum, to a broadcast address", to_broadcast,
           dropped(DropReason::ip_bad_checksum)}});
}

TEST_F(Precedence, Rfc1812_5_3_7_NoErrorGoesToAnImpossibleSource) {
  const auto from = [&](const char* source, DropReason reason) {
    return std::vector<Case>{
        drops("rules 10, 17: TTL 1 from " + std::string(source), {.source = ip(source), .ttl = 1}, reason),
        drops("rules 10, 17: without a route from " + std::string(source),
              {.source = ip(source), .destination = ip("198.51.100.1")}, reason),
        drops("rules 10, 17: DF over the MTU from " + std::string(source),
              {.source = ip(source), .flags_offset = kDf, .payload = pattern(1000)}, reason)};
  };
  for (const auto& [source, reason] : {std::pair("0.0.0.0", DropReason::source_reserved),
                                       std::pair("127.0.0.1", DropReason::source_reserved),
                                       std::pair("224.0.0.1", DropReason::source_multicast),
                                       std::pair("255.255.255.255", DropReason::source_broadcast),
                                       std::pair("10.0.1.255", DropReason::source_broadcast),
                                       std::pair("10.0.1.1", DropReason::source_is_own)}) {
    verify(two(), "a", from(source, reason));
  }
}

TEST_F(Precedence, Rfc1812_4_3_3_6_NoEchoReplyGoesToAnImpossibleSource) {
  const auto silent = [&](const char* source, DropReason reason) {
    return drops("rules 10, 19: echo from " + std::string(source), echo_from(source, "10.0.1.1"), reason);
  };
  verify(
      two(), "a",
      {silent("0.0.0.0", DropReason::source_reserved), silent("127.0.0.1", DropReason::source_reserved),
       silent("240.0.0.1", DropReason::source_reserved), silent("224.0.0.1", DropReason::source_multicast),
       silent("255.255.255.255", DropReason::source_broadcast),
       silent("10.0.1.255", DropReason::source_broadcast), silent("10.0.1.0", DropReason::source_broadcast),
       silent("10.0.1.1", DropReason::source_is_own), silent("10.0.2.1", DropReason::source_is_own)});
}

TEST_F(Precedence, Rfc1812_5_3_7_ASourceLikeTheDestinationIsAPacketLikeOthers) {
  verify(two(), "a",
         {forwards("behind a next hop", {.source = ip("203.0.113.7"), .destination = ip("203.0.113.7")}),
          forwards("a neighbour's", {.source = ip("10.0.2.2"), .destination = ip("10.0.2.2")})});
}

// A router in transit does not look behind the IP header: what lies there may be nothing, or nonsense.
TEST_F(Precedence, WhatLiesBehindTheHeaderIsNobodysBusiness) {
  for (unsigned protocol = 0; protocol < 256; ++protocol) {
    const auto p = static_cast<std::uint8_t>(protocol);
    const std::string what = "protocol " + std::to_string(protocol);
    verify(two(), "a",
           {forwards(what + ", nothing", {.protocol = p, .payload = {}}),
            forwards(what + ", one byte", {.protocol = p, .payload = {0xff}}),
            forwards(what + ", a first fragment of 8 bytes",
                     {.protocol = p, .flags_offset = kMf, .payload = pattern(8)}),
            forwards(what + ", the byte behind it", {.protocol = p, .flags_offset = 1, .payload = {0xff}})});
  }
}

}  // namespace
}  // namespace millrace::behaviour
