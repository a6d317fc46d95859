// ESP of ours that an error is about: RFC 4301 section 8.2.1, RFC 3948. Control thread only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "net/ip_address.h"

namespace millrace::controlplane {

struct EspQuote {
  IpAddress source, destination;
  std::uint32_t spi = 0;
  std::uint32_t length = 0;  // of the whole packet
};

// Bytes of a quote that are looked at.
inline constexpr std::size_t kEspQuoteBytes = 80;

// What the beginning of a packet says that was sent, from its IP header on; nothing if it is no ESP, or too
// little of it is there.
std::optional<EspQuote> read_esp_quote(std::span<const std::byte> packet);

// RFC 1191 section 7.1: what the path may carry, where who says that it is less does not say how much.
std::uint32_t next_plateau(std::uint32_t length);

}  // namespace millrace::controlplane
