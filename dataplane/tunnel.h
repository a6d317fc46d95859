// IPsec's tunnels as workers see them: what goes around a packet that leaves by one, and which security
// associations (SAs) take packets apart that come by one.
//
// Both are immutable and published as InterfaceViews are (tables.h); what changes of an SA is its state,
// which its owner worker alone writes. Other workers hand packets over to the owner.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "dataplane/counters.h"
#include "esp/sa.h"
#include "net/ip_address.h"
#include "net/strong_id.h"
#include "net/wire.h"
#include "net/wire6.h"

namespace millrace::dataplane {

// written by: the SA's owner worker; read by: the control thread.
struct SaCounters {
  Counter packets;  // protected, or verified
  Counter bytes;    // of the packets inside
  std::array<Counter, static_cast<std::size_t>(esp::Verdict::malformed) + 1> refused;  // [verdict]
};

struct OutboundSa {
  esp::OutboundSa sa;
  SaCounters counters;
};

struct InboundSa {
  esp::InboundSa sa;
  SaCounters counters;
};

// May an outer packet of IPv4 be fragmented? As the packet inside (one of IPv6 may not), never, always.
enum class OuterDf : std::uint8_t { copy, set, clear };

// What goes around packets that leave by a tunnel (RFC 4301 5.1.2).
struct Tunnel {
  unsigned owner = 0;  // the worker that writes the SAs' state
  IpAddress local, remote;
  bool udp = false;                  // RFC 3948: ESP in UDP, for ways through NAT
  std::uint8_t hop_limit = 64;       // at most 254
  std::optional<std::uint8_t> dscp;  // nothing: the inner packet's
  OuterDf df = OuterDf::copy;
  std::shared_ptr<OutboundSa> out;  // nothing: nothing leaves

  // Bytes before the ESP header, from the outer IP header on.
  [[nodiscard]] std::uint32_t outer_bytes() const {
    const auto ip = static_cast<std::uint32_t>(local.is_ipv6() ? sizeof(wire::Ipv6) : sizeof(wire::Ipv4));
    return ip + (udp ? static_cast<std::uint32_t>(sizeof(wire::Udp)) : 0);
  }
};

// The SAs that packets come by, found by their SPI: it is the receiver's choice, and is enough (RFC 4301
// 4.1).
class InboundSas {
 public:
  struct Entry {
    std::uint32_t spi = 0;
    InterfaceId interface;  // that the packets inside come by
    unsigned owner = 0;
    IpAddress local;  // where its packets are sent to
    bool udp = false;
    std::shared_ptr<InboundSa> in;
  };

  static const InboundSas& none() {  // never freed
    static const InboundSas empty{{}};
    return empty;
  }

  // Each SPI once, none of them 0.
  explicit InboundSas(std::vector<Entry> entries)
      : is_empty_(entries.empty()), slots_(std::bit_ceil(2 * entries.size() + 1)) {
    for (Entry& entry : entries) {
      any_udp_ |= entry.udp;
      std::size_t at = slot_of(entry.spi);
      while (slots_[at].in) at = next(at);
      slots_[at] = std::move(entry);
    }
  }
  [[nodiscard]] const Entry* find(std::uint32_t spi) const {
    for (std::size_t at = slot_of(spi); slots_[at].in; at = next(at)) {
      if (slots_[at].spi == spi) return &slots_[at];
    }
    return nullptr;
  }
  void prefetch(std::uint32_t spi) const { __builtin_prefetch(&slots_[slot_of(spi)]); }
  [[nodiscard]] bool empty() const { return is_empty_; }
  [[nodiscard]] bool any_udp() const { return any_udp_; }

 private:
  [[nodiscard]] std::size_t slot_of(std::uint32_t spi) const {
    return spi * 0x9e3779b1U >> 7 & (slots_.size() - 1);
  }
  [[nodiscard]] std::size_t next(std::size_t at) const { return (at + 1) & (slots_.size() - 1); }

  bool is_empty_;
  bool any_udp_ = false;
  std::vector<Entry> slots_;  // at most half of them are taken
};

}  // namespace millrace::dataplane
