// Which packets a security association or a policy is for (RFC 4301 section 4.4.1.1), as they are written
// down. "Local" is the protected side: the source of packets that leave, the destination of those that come.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "net/ip_address.h"

namespace millrace {

struct PortRange {
  std::uint16_t first = 0, last = 0xffff;
  [[nodiscard]] constexpr bool is_any() const { return first == 0 && last == 0xffff; }
  [[nodiscard]] constexpr bool contains(std::uint16_t port) const { return port >= first && port <= last; }
  friend constexpr auto operator<=>(const PortRange&, const PortRange&) = default;
};

// What is absent may be anything.
struct Selector {
  std::optional<AnyPrefix> local, remote;  // of one family
  std::optional<std::uint8_t> protocol;
  PortRange local_ports, remote_ports;  // of TCP, UDP and SCTP

  [[nodiscard]] std::string to_string() const;  // "local 10.1.0.0/16 remote 10.2.0.0/16 protocol 6"
  friend bool operator==(const Selector&, const Selector&) = default;
};

// What happens to packets that a selector has (RFC 4301 section 4.4.1).
enum class PolicyAction : std::uint8_t { protect, bypass, discard };

}  // namespace millrace
