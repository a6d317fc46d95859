// Security associations, and what RFC 4303 has a sender (section 3.3) and a receiver (section 3.4) do with a
// packet, but for finding the SA and for what is around ESP.
//
// An SA's state is written by the worker that owns it, and read by the control thread.
#pragma once

#include <cstdint>
#include <span>

#include "esp/engine.h"
#include "esp/keys.h"
#include "esp/packet.h"
#include "esp/replay_window.h"
#include "esp/sequence.h"

namespace millrace::esp {

enum class Verdict : std::uint8_t {
  good,
  exhausted,  // no sequence number is left (outbound)
  runt,       // too short, or no whole blocks
  replayed,   // was taken already
  late,       // is below the window
  forged,     // the ICV is wrong
  malformed,  // verified, but there is more padding than packet
};

struct OutboundSa {
  KeyStore::Owned keys;
  std::uint32_t spi;
  SequenceCounter sequence;
};

struct InboundSa {
  KeyStore::Owned keys;
  ReplayWindow window;
};

// A packet on its way out. Before the payload there is room for payload_offset() bytes, behind it for the
// rest of packet_bytes().
struct Outbound {
  OutboundSa* sa;
  const Traits* of;  // the SA's, here so that who asks for them later need not look at its keys again
  std::uint8_t* payload;
  std::uint32_t bytes;  // of it
  std::uint8_t next_header;
  Verdict verdict = Verdict::good;  // good or exhausted
  [[nodiscard]] std::uint8_t* esp() const { return payload - payload_offset(*of); }
  [[nodiscard]] std::uint32_t esp_bytes() const { return packet_bytes(*of, bytes); }
};

// A packet on its way in, from its ESP header to its end, in one piece. What it carries is said if it is
// good.
struct Inbound {
  InboundSa* sa;
  std::uint8_t* esp;
  std::uint32_t bytes;
  Verdict verdict = Verdict::good;  // all but exhausted
  Payload payload{};
  [[nodiscard]] std::uint8_t* payload_begin() const { return esp + payload_offset(sa->keys->traits()); }
};

// In any order of SAs; those of one algorithm that stand side by side are worked on at once. Packets of an SA
// get numbers in their order.
void encapsulate(Engine& engine, std::span<Outbound> packets);
void decapsulate(Engine& engine, std::span<Inbound> packets);

}  // namespace millrace::esp
