// A packet in memory of the test's own, for code that only reads it: no pool, no DPDK environment.
#pragma once

#include <rte_mbuf.h>

#include <deque>
#include <vector>

#include "tests/packets/packet.h"

namespace millrace {

class PlainPacket {
 public:
  // The lengths of the first segments; the rest is the last one.
  explicit PlainPacket(const packets::Bytes& frame, const std::vector<std::size_t>& segments = {}) {
    std::size_t at = 0;
    for (const std::size_t length : segments) at += append(packets::slice(frame, at, length));
    append(packets::slice(frame, at, frame.size() - at));
    parts_.front().pkt_len = static_cast<std::uint32_t>(frame.size());
    parts_.front().nb_segs = static_cast<std::uint16_t>(parts_.size());
  }
  PlainPacket(const PlainPacket&) = delete;
  PlainPacket& operator=(const PlainPacket&) = delete;

  [[nodiscard]] rte_mbuf* mbuf() { return &parts_.front(); }

 private:
  std::size_t append(packets::Bytes bytes) {
    rte_mbuf* last = parts_.empty() ? nullptr : &parts_.back();
    memory_.push_back(std::move(bytes));
    rte_mbuf& part = parts_.emplace_back();
    part.buf_addr = memory_.back().data();
    part.data_len = static_cast<std::uint16_t>(memory_.back().size());
    if (last != nullptr) last->next = &part;
    return memory_.back().size();
  }

  std::deque<packets::Bytes> memory_;
  std::deque<rte_mbuf> parts_;
};

}  // namespace millrace
