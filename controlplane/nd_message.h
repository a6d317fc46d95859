// Messages of neighbour discovery (RFC 4861 4), checked when they come and complete when they go.
#pragma once

#include <rte_mbuf.h>

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "net/wire6.h"

namespace millrace::controlplane {

struct NdMessage {
  std::uint8_t type = 0;
  MacAddress from;  // of the frame
  Ipv6Address source;
  Ipv6Address destination;
  std::uint32_t flags = 0;  // of an advertisement
  Ipv6Address target;       // of a solicitation or advertisement
  std::optional<MacAddress> source_link;
  std::optional<MacAddress> target_link;
};

// The message that begins `at` bytes behind the Ethernet header; nothing if RFC 4861 6.1, 7.1 or 8.1 has it
// discarded.
std::optional<NdMessage> read_nd(rte_mbuf* m, std::uint32_t at);

// Bytes of a message to send, header first, then options.
class NdBytes {
 public:
  template <class T>
  void add(const T& part) {
    const auto bytes = std::as_bytes(std::span(&part, 1));
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
  }
  [[nodiscard]] std::span<const std::byte> bytes() const { return bytes_; }
  friend bool operator==(const NdBytes&, const NdBytes&) = default;

 private:
  std::vector<std::byte> bytes_;
};

// Writes the IPv6 packet of a message from `source` to `destination`: hop limit, lengths, checksum.
// `to` has room for the IPv6 header and the message.
void write_nd(std::byte* to, Ipv6Address source, Ipv6Address destination, std::span<const std::byte> message);

}  // namespace millrace::controlplane
