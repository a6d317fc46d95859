// What a quote says of ESP of ours.
#include "controlplane/esp_quote.h"

#include <gtest/gtest.h>

#include <vector>

#include "tests/packets/packet6.h"

namespace millrace::controlplane {
namespace {

using packets::Bytes;
using packets::ip;
using packets::ip6;
using packets::Ipv4Packet;
using packets::Ipv6Packet;
using packets::join;

const Bytes kEsp{0, 0, 0x12, 0x34, 0, 0, 0, 1};

std::optional<EspQuote> read(const Bytes& packet) {
  return read_esp_quote(std::as_bytes(std::span(packet)));
}

Ipv4Packet four(std::uint8_t protocol, const Bytes& payload) {
  return {
      .source = ip("192.0.2.1"), .destination = ip("198.51.100.1"), .protocol = protocol, .payload = payload};
}

TEST(EspQuote, IsOfEspAndOfEspInUdpOfBothFamilies) {
  const Bytes in_udp = packets::udp(4500, 40000, kEsp);
  Ipv4Packet with_options = four(50, kEsp);
  with_options.options = {7, 4, 4, 0};
  for (const Bytes& packet : {four(50, kEsp).bytes(), four(17, in_udp).bytes(), with_options.bytes()}) {
    const auto quote = read(packet);
    ASSERT_TRUE(quote);
    EXPECT_EQ(quote->source.to_string(), "192.0.2.1");
    EXPECT_EQ(quote->destination.to_string(), "198.51.100.1");
    EXPECT_EQ(quote->spi, 0x1234U);
    EXPECT_EQ(quote->length, packet.size());
  }
  for (const auto& [protocol, payload] : {std::pair(50, kEsp), {17, in_udp}}) {
    const Bytes packet = Ipv6Packet{.source = ip6("2001:db8::1"),
                                    .destination = ip6("2001:db8::2"),
                                    .next_header = static_cast<std::uint8_t>(protocol),
                                    .payload = payload}
                             .bytes();
    const auto quote = read(packet);
    ASSERT_TRUE(quote);
    EXPECT_EQ(quote->source.to_string(), "2001:db8::1");
    EXPECT_EQ(quote->spi, 0x1234U);
    EXPECT_EQ(quote->length, packet.size());
  }
}

TEST(EspQuote, IsNothingElse) {
  Ipv4Packet later = four(50, kEsp);
  later.flags_offset = 3;
  Ipv4Packet short_header = four(50, kEsp);
  short_header.ihl = 4;
  for (const Bytes& packet : {four(6, kEsp).bytes(), four(17, packets::udp(500, 4500, kEsp)).bytes(),
                              later.bytes(), short_header.bytes()})
    EXPECT_FALSE(read(packet));
  const Bytes whole = four(17, packets::udp(4500, 4500, kEsp)).bytes(),
              six = Ipv6Packet{.next_header = 50, .payload = kEsp}.bytes();
  for (const auto& [packet, needed] : {std::pair(whole, 20 + 8 + 4), {six, 40 + 4}}) {
    for (std::size_t bytes = 0; bytes < packet.size(); ++bytes)
      EXPECT_EQ(read(packets::slice(packet, 0, bytes)).has_value(), bytes >= static_cast<std::size_t>(needed))
          << bytes;
  }
}

// RFC 1191 7.1.
TEST(EspQuote, WhoSaysNoMtuMeansTheNextPlateau) {
  EXPECT_EQ(next_plateau(1500), 1492U);
  EXPECT_EQ(next_plateau(1492), 1006U);
  EXPECT_EQ(next_plateau(9000), 8166U);
  EXPECT_EQ(next_plateau(100), 576U);
}

}  // namespace
}  // namespace millrace::controlplane
