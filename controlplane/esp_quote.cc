#include "controlplane/esp_quote.h"

#include <cstring>

#include "net/wire6.h"

namespace millrace::controlplane {
namespace {

// Of `protocol`, at `at`.
std::optional<std::uint32_t> read_spi(std::span<const std::byte> packet, std::size_t at,
                                      std::uint8_t protocol) {
  if (protocol == wire::kProtocolUdp) {
    wire::Udp udp;
    if (packet.size() < at + sizeof udp) return std::nullopt;
    std::memcpy(static_cast<void*>(&udp), packet.data() + at, sizeof udp);
    if (udp.source.host() != wire::kUdpEsp) return std::nullopt;
    at += sizeof udp;
  } else if (protocol != wire::kProtocolEsp) {
    return std::nullopt;
  }
  Be32 spi;
  if (packet.size() < at + sizeof spi) return std::nullopt;
  std::memcpy(static_cast<void*>(&spi), packet.data() + at, sizeof spi);
  return spi.host();
}

}  // namespace

std::optional<EspQuote> read_esp_quote(std::span<const std::byte> packet) {
  wire::Ipv4 ip4;
  wire::Ipv6 ip6;
  if (packet.size() < sizeof ip4) return std::nullopt;
  std::memcpy(static_cast<void*>(&ip4), packet.data(), sizeof ip4);
  std::optional<std::uint32_t> spi;
  EspQuote quote;
  if (ip4.version() == 4 && ip4.header_length() >= sizeof ip4 && ip4.fragment_offset() == 0) {
    spi = read_spi(packet, ip4.header_length(), ip4.protocol);
    quote.source = Ipv4Address(ip4.source);
    quote.destination = Ipv4Address(ip4.destination);
    quote.length = ip4.total_length.host();
  } else if (ip4.version() == 6 && packet.size() >= sizeof ip6) {
    std::memcpy(static_cast<void*>(&ip6), packet.data(), sizeof ip6);
    spi = read_spi(packet, sizeof ip6, ip6.next_header);
    quote.source = Ipv6Address(ip6.source);
    quote.destination = Ipv6Address(ip6.destination);
    quote.length = static_cast<std::uint32_t>(sizeof ip6) + ip6.payload_length.host();
  }
  if (!spi) return std::nullopt;
  quote.spi = *spi;
  return quote;
}

std::uint32_t next_plateau(std::uint32_t length) {
  constexpr std::uint32_t kPlateaus[] = {32000, 17914, 8166, 4352, 2002, 1492, 1006, 576};
  for (const std::uint32_t plateau : kPlateaus) {
    if (plateau < length) return plateau;
  }
  return kPlateaus[std::size(kPlateaus) - 1];
}

}  // namespace millrace::controlplane
