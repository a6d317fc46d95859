// IPsec's tunnels as workers see them: what goes around a packet that leaves by one, and which security
// associations (SAs) take packets apart that come by one.
//
// Both are immutable and published as InterfaceViews are (tables.h); what changes of an SA is its state,
// which its owner worker alone writes. Other workers hand packets over to the owner.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "dataplane/counters.h"
#include "dataplane/policy.h"
#include "esp/sa.h"
#include "net/ip_address.h"
#include "net/prefetch.h"
#include "net/strong_id.h"
#include "net/wire.h"
#include "net/wire6.h"

namespace millrace::dataplane {

// written by: the SA's owner worker; read by: the control thread. Packets and bytes come first: they are to
// lie in the line of what else is written of an SA for each packet.
struct SaCounters {
  Counter packets;  // protected, or verified
  Counter bytes;    // of the packets inside
  std::array<Counter, static_cast<std::size_t>(esp::Verdict::malformed) + 1> refused;  // [verdict]
  Counter unselected;  // that the selectors do not have
};

struct alignas(64) OutboundSa {
  esp::OutboundSa sa;
  SaCounters counters;
};
static_assert(sizeof(esp::OutboundSa) + 2 * sizeof(Counter) <= 64,
              "what each packet touches: one cache line");

struct alignas(64) InboundSa {
  esp::InboundSa sa;
  SaCounters counters;
};
static_assert(sizeof(esp::InboundSa) + 2 * sizeof(Counter) <= 64, "what each packet touches: one cache line");

// May an outer packet of IPv4 be fragmented? As the packet inside (one of IPv6 may not), never, always.
enum class OuterDf : std::uint8_t { copy, set, clear };

template <class Address>
struct TunnelEnds {
  Address local, remote;
};

// What goes around packets that leave by a tunnel (RFC 4301 5.1.2), or around what those carry (transport).
//
// Of thousands of tunnels a packet finds none in a near cache: what is asked for each one lies in one line,
// but for IPv6's ends.
struct alignas(64) Tunnel {
  const esp::Keys* keys = nullptr;             // of `out`, so that both can be asked for at once
  std::shared_ptr<OutboundSa> out;             // nothing: nothing leaves
  std::shared_ptr<const Selectors> selectors;  // nothing: what leads into the tunnel may
  std::optional<std::uint16_t> udp;            // RFC 3948: ESP in UDP to this port, for ways through NAT
  std::optional<std::uint8_t> dscp;            // nothing: the inner packet's
  esp::Algorithm algorithm{};                  // of `keys`
  std::uint8_t owner = 0;                      // the worker that writes the SAs' state
  std::uint8_t hop_limit = 64;                 // at most 254
  OuterDf df = OuterDf::copy;
  bool transport = false;
  bool outer_ipv6 = false;
  PerFamily<TunnelEnds> ends{};  // of the family that `outer_ipv6` says

  void send_by(std::shared_ptr<OutboundSa> sa) {
    keys = sa->sa.keys.get();
    algorithm = keys->algorithm();
    out = std::move(sa);
  }
  [[nodiscard]] bool asks_ports() const { return selectors && selectors->ask_ports(); }
  // Bytes that come before the ESP header, from the outer IP header on.
  [[nodiscard]] std::uint32_t outer_bytes() const {
    const auto ip = static_cast<std::uint32_t>(outer_ipv6 ? sizeof(wire::Ipv6) : sizeof(wire::Ipv4));
    return (transport ? 0 : ip) + (udp ? static_cast<std::uint32_t>(sizeof(wire::Udp)) : 0);
  }
};
static_assert(offsetof(Tunnel, ends.ipv6) <= 64);

// The SAs that packets come by, found by their SPI: it is the receiver's choice, and is enough (RFC 4301
// 4.1).
class InboundSas {
 public:
  struct Entry {
    std::uint32_t spi = 0;
    InterfaceId interface;  // that the packets inside come by
    std::uint8_t owner = 0;
    enum Flags : std::uint8_t { kUdp = 1, kTransport = 2 };
    std::uint8_t flags = 0;
    IpAddress local;  // where its packets are sent to
    std::shared_ptr<InboundSa> in;
    std::shared_ptr<const Selectors> selectors;  // of the packets inside; nothing: any may be

    [[nodiscard]] bool is_udp() const { return (flags & kUdp) != 0; }
    [[nodiscard]] bool is_transport() const { return (flags & kTransport) != 0; }
  };
  static_assert(sizeof(Entry) == 64, "one cache line");

  static const InboundSas& none() {  // never freed
    static const InboundSas empty({}, false);
    return empty;
  }

  // Each SPI once, none of them 0. With `takes_esp` ESP that none of them takes is not for others, either.
  InboundSas(std::vector<Entry> entries, bool takes_esp)
      : takes_esp_(takes_esp), slots_(std::bit_ceil(2 * entries.size() + 1)) {
    for (Entry& entry : entries) {
      any_udp_ |= entry.is_udp();
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
  void prefetch(std::uint32_t spi) const { millrace::prefetch(&slots_[slot_of(spi)]); }
  [[nodiscard]] bool takes_esp() const { return takes_esp_; }
  [[nodiscard]] bool any_udp() const { return any_udp_; }

 private:
  [[nodiscard]] std::size_t slot_of(std::uint32_t spi) const {
    return spi * 0x9e3779b1U >> 7 & (slots_.size() - 1);
  }
  [[nodiscard]] std::size_t next(std::size_t at) const { return (at + 1) & (slots_.size() - 1); }

  bool takes_esp_;
  bool any_udp_ = false;
  std::vector<Entry> slots_;  // at most half of them are taken
};

}  // namespace millrace::dataplane
