// The bytes of packets in buffers of several segments, as the control thread reads and makes them.
#pragma once

#include <rte_mbuf.h>

#include <cstdint>
#include <span>

#include "net/byte_order.h"

namespace millrace::controlplane {

// Of a packet behind an Ethernet header, or behind room for one.
[[nodiscard]] bool is_ipv6(rte_mbuf* m);

// The partial Internet checksum of `length` bytes at `offset`, over all segments; the packet holds them.
[[nodiscard]] std::uint16_t checksum_sum(const rte_mbuf* m, std::uint32_t offset, std::uint32_t length);
// Copies up to `to.size()` bytes at `offset`; returns as many as there are.
std::size_t copy_out(const rte_mbuf* m, std::uint32_t offset, std::span<std::byte> to);
// Cuts the first `bytes` off the packet. The head segment stays, if need be empty; the packet holds them.
void cut_front(rte_mbuf* m, std::uint32_t bytes);

}  // namespace millrace::controlplane
