#include "esp/sa.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "esp/packet.h"

namespace millrace::esp {

namespace {

// What goes through the engine of a burst: the packets, and whose they are.
struct Work {
  std::array<Packet, Engine::kBurst> packets;
  std::array<std::size_t, Engine::kBurst> of;
  std::size_t count = 0;

  void add(const Packet& packet, std::size_t index) {
    packets[count] = packet;
    of[count++] = index;
  }
  [[nodiscard]] std::span<Packet> all() { return std::span(packets).first(count); }
};

template <class Any, class Each>
void by_bursts(std::span<Any> packets, const Each& each) {
  for (; !packets.empty(); packets = packets.subspan(std::min(packets.size(), Engine::kBurst)))
    each(packets.first(std::min(packets.size(), Engine::kBurst)));
}

// The sequence number is what makes the IV unique under its key (RFC 4106 section 3.1): it is never given out
// twice.
void write_header(const Traits& of, std::uint32_t spi, std::uint8_t* esp, std::uint64_t number) {
  const Header header{Be32(spi), Be32(static_cast<std::uint32_t>(number))};
  std::memcpy(esp, &header, sizeof header);
  if (of.iv() == 0) return;
  const BigEndian<std::uint64_t> iv(number);
  std::memcpy(esp + sizeof header, &iv, sizeof iv);
  std::memset(esp + sizeof header + sizeof iv, 0, of.iv() - sizeof iv);
}

// RFC 4303 section 3.4.3. What is known without a key: the length, and whether the number is still to come.
Verdict look(const Inbound& packet, std::uint64_t& number) {
  const InboundSa& sa = *packet.sa;
  if (!is_whole(sa.keys->traits(), packet.bytes)) return Verdict::runt;
  Header header;
  std::memcpy(&header, packet.esp, sizeof header);
  const std::uint32_t low = header.sequence.host();
  number = sa.keys->extended_sequence() ? extended_sequence(low, sa.window.highest(), sa.window.size()) : low;
  switch (sa.window.look(number)) {
    case ReplayWindow::Verdict::fresh:
      return Verdict::good;
    case ReplayWindow::Verdict::replayed:
      return Verdict::replayed;
    case ReplayWindow::Verdict::late:
      return Verdict::late;
  }
  return Verdict::late;
}

// What is known after it has verified; only then does the window move.
Verdict take(Inbound& packet, std::uint64_t number) {
  switch (packet.sa->window.take(number)) {
    case ReplayWindow::Verdict::fresh:
      break;
    case ReplayWindow::Verdict::replayed:
      return Verdict::replayed;
    case ReplayWindow::Verdict::late:
      return Verdict::late;
  }
  const bool whole = read_trailer(packet.sa->keys->traits(), packet.esp, packet.bytes, packet.payload);
  return whole ? Verdict::good : Verdict::malformed;
}

}  // namespace

void encapsulate(Engine& engine, std::span<Outbound> packets) {
  by_bursts(packets, [&engine](std::span<Outbound> burst) {
    Work work;
    for (std::size_t i = 0; i < burst.size(); ++i) {
      Outbound& packet = burst[i];
      const auto claim = packet.sa->sequence.claim(1);
      if (claim.count == 0) {
        packet.verdict = Verdict::exhausted;
        continue;
      }
      packet.verdict = Verdict::good;
      write_header(*packet.of, packet.sa->spi, packet.esp(), claim.first);
      write_trailer(*packet.of, packet.payload, packet.bytes, packet.next_header);
      work.add({packet.sa->keys.get(), packet.esp(), packet.esp_bytes(),
                static_cast<std::uint32_t>(claim.first >> 32)},
               i);
    }
    engine.seal(work.all());
  });
}

void decapsulate(Engine& engine, std::span<Inbound> packets) {
  by_bursts(packets, [&engine](std::span<Inbound> burst) {
    Work work;
    std::array<std::uint64_t, Engine::kBurst> numbers;
    for (std::size_t i = 0; i < burst.size(); ++i) {
      Inbound& packet = burst[i];
      packet.verdict = look(packet, numbers[i]);
      if (packet.verdict == Verdict::good)
        work.add(
            {packet.sa->keys.get(), packet.esp, packet.bytes, static_cast<std::uint32_t>(numbers[i] >> 32)},
            i);
    }
    engine.open(work.all());
    for (std::size_t done = 0; done < work.count; ++done) {
      const std::size_t i = work.of[done];
      burst[i].verdict = work.packets[done].verified ? take(burst[i], numbers[i]) : Verdict::forged;
    }
  });
}

}  // namespace millrace::esp
