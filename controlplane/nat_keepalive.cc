#include "controlplane/nat_keepalive.h"

#include <cstring>
#include <span>

#include "net/checksum.h"
#include "net/wire6.h"

namespace millrace::controlplane {
namespace {

constexpr std::uint8_t kHops = 64;
constexpr std::byte kKeepalive{0xff};
constexpr std::uint16_t kUdpBytes = sizeof(wire::Udp) + sizeof kKeepalive;

void write(wire::Ipv4& ip, std::span<std::byte> /*udp*/, const config::TunnelConfig& tunnel) {
  ip = {0x45,
        0,
        Be16(static_cast<std::uint16_t>(sizeof ip + kUdpBytes)),
        Be16(0),
        Be16(wire::kIpv4DontFragment),
        kHops,
        wire::kProtocolUdp,
        Be16(0),
        tunnel.local.as<Ipv4Address>().wire(),
        tunnel.remote.as<Ipv4Address>().wire()};
  ip.checksum = internet_checksum({reinterpret_cast<const std::byte*>(&ip), sizeof ip});
}

// RFC 8200 8.1: with a checksum of UDP.
void write(wire::Ipv6& ip, std::span<std::byte> udp, const config::TunnelConfig& tunnel) {
  const auto local = tunnel.local.as<Ipv6Address>(), remote = tunnel.remote.as<Ipv6Address>();
  ip = {Be32(6U << 28), Be16(kUdpBytes), wire::kProtocolUdp, kHops, local.bytes(), remote.bytes()};
  reinterpret_cast<wire::Udp*>(udp.data())->checksum = wire::udp_checksum(ip, udp);
}

template <class Ip>
void send(Output& output, const Interface& on, const config::TunnelConfig& tunnel) {
  rte_mbuf* m = output.allocate(sizeof(Ip) + kUdpBytes);
  if (m == nullptr) return;
  auto* ip = rte_pktmbuf_mtod(m, Ip*);
  const std::span udp(reinterpret_cast<std::byte*>(ip + 1), kUdpBytes);
  const wire::Udp header{Be16(wire::kUdpEsp), Be16(tunnel.udp->remote_port), Be16(kUdpBytes), Be16(0)};
  std::memcpy(udp.data(), &header, sizeof header);
  udp.back() = kKeepalive;
  write(*ip, udp, tunnel);
  output.send_packet(m, on);
}

}  // namespace

void send_nat_keepalive(Output& output, const Interface& tunnel) {
  const config::TunnelConfig& config = *tunnel.config.ipsec;
  config.local.is_ipv6() ? send<wire::Ipv6>(output, tunnel, config)
                         : send<wire::Ipv4>(output, tunnel, config);
}

}  // namespace millrace::controlplane
