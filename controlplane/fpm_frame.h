// Frames of FRR's FPM protocol, as `zebra -M dplane_fpm_nl` sends them over TCP, out of a bounded queue of
// bytes.
//
//   u8 version (1) | u8 type (1: netlink) | u16 length, big-endian, with these 4 bytes | netlink messages
//
// Source: fpm/fpm.h of FRR.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "net/byte_order.h"
#include "net/ip_address.h"
#include "net/result.h"

namespace millrace::controlplane {

struct FpmHeader {
  std::uint8_t version;
  std::uint8_t type;
  Be16 length;
};
static_assert(sizeof(FpmHeader) == 4);

// What zebra is told of a route of its own, as a frame: RTM_NEWROUTE with RTM_F_OFFLOAD if it was `taken`,
// with RTM_F_OFFLOAD_FAILED if it cannot be. FRR takes it from 8.5 on (fpm_read of zebra/dplane_fpm_nl.c).
void append_offload(const AnyPrefix& prefix, std::uint8_t protocol, bool taken,
                    std::vector<std::uint8_t>& frames);

class FpmFrames {
 public:
  static constexpr std::size_t kMaxFrame = 0xffff;     // bytes: what the length can say
  static constexpr std::size_t kQueueBytes = 1 << 20;  // whoever feeds it waits while that much is unread

  // Room for more bytes, to be written to and then taken with add(); empty when the queue is full.
  std::span<std::uint8_t> room();
  void add(std::size_t bytes) { end_ += bytes; }

  // The messages of the next frame, at an address that netlink can be read at; nothing as long as it has not
  // come whole. They last until the next call. An error says what is wrong; nothing can be read after it.
  Result<std::optional<std::span<const std::uint8_t>>> next();

  [[nodiscard]] std::size_t queued_bytes() const { return end_ - begin_; }
  void clear() { begin_ = end_ = 0; }

 private:
  std::vector<std::uint8_t> queue_ = std::vector<std::uint8_t>(kQueueBytes);
  std::size_t begin_ = 0, end_ = 0;  // of what is queued
  alignas(8) std::uint8_t frame_[kMaxFrame + 1];
};

}  // namespace millrace::controlplane
