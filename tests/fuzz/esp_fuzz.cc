// ESP packets at an inbound SA, in batches: none that is not authentic is taken, and of those that are each
// number is taken once, whatever its trailer says.
//
// The input: a byte for the algorithm (modulo their number), a byte of flags (bit 0: extended sequence
// numbers, bit 1: the packets get an ICV that is right), then packets: a byte that says how many of the next
// bytes one has, modulo 128, and whether the batch ends with it (bit 7).
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <set>
#include <span>
#include <vector>

#include "esp/packet.h"
#include "esp/sa.h"
#include "tests/fuzz/input.h"

using namespace millrace;
using namespace millrace::esp;
using fuzz::Input;
using fuzz::require;

namespace {

constexpr std::uint32_t kWindow = 64;

struct Bed {
  std::unique_ptr<KeyStore> store = std::move(*KeyStore::make());
  std::unique_ptr<Engine> engine = std::move(*Engine::make());
};

Bed& bed() {
  static Bed one;
  return one;
}

KeyStore::Owned keys_of(Algorithm algorithm, bool extended) {
  static constexpr std::array<std::uint8_t, 64> kSecret{1, 2, 3, 4, 5, 6, 7, 8, 9};
  const Traits& of = traits(algorithm);
  const std::span<const std::uint8_t> secret(kSecret);
  return std::move(*bed().store->expand(
      algorithm, extended,
      {secret.first(of.cipher_key), secret.first(of.salt()), secret.first(of.integrity_key)}));
}

// The number that the SA will take a packet to have.
std::uint64_t number_of(const InboundSa& sa, const std::vector<std::uint8_t>& packet) {
  Header header;
  std::memcpy(&header, packet.data(), sizeof header);
  const std::uint32_t low = header.sequence.host();
  return sa.keys->extended_sequence() ? extended_sequence(low, sa.window.highest(), kWindow) : low;
}

void give_icv(const InboundSa& sa, std::vector<std::uint8_t>& packet) {
  const Traits& of = sa.keys->traits();
  packet.resize(packet.size() + of.icv);
  if (!is_whole(of, static_cast<std::uint32_t>(packet.size()))) return;
  Packet whole{sa.keys.get(), packet.data(), static_cast<std::uint32_t>(packet.size()),
               static_cast<std::uint32_t>(number_of(sa, packet) >> 32)};
  bed().engine->seal({&whole, 1});
}

struct Sa {
  InboundSa in;
  bool authentic;
  std::set<std::uint64_t> taken{};

  void batch(std::vector<std::vector<std::uint8_t>>& wires) {
    std::vector<Inbound> packets;
    std::vector<std::uint64_t> numbers;
    for (auto& wire : wires) {
      if (authentic) give_icv(in, wire);
      packets.push_back({&in, wire.data(), static_cast<std::uint32_t>(wire.size())});
      numbers.push_back(wire.size() < sizeof(Header) ? 0 : number_of(in, wire));
    }
    decapsulate(*bed().engine, packets);
    for (std::size_t i = 0; i < packets.size(); ++i) check(packets[i], numbers[i]);
    wires.clear();
  }

  void check(const Inbound& packet, std::uint64_t number) {
    require(packet.verdict != Verdict::exhausted, "nothing is sent");
    if (!authentic)
      return require(packet.verdict != Verdict::good && packet.verdict != Verdict::malformed,
                     "no ICV is right");
    require(packet.verdict != Verdict::forged, "each ICV is right");
    if (packet.verdict != Verdict::good && packet.verdict != Verdict::malformed) return;
    require(number != 0 && taken.insert(number).second, "a number is taken once");
    if (packet.verdict == Verdict::malformed) return;
    const Traits& of = in.keys->traits();
    require(payload_offset(of) + packet.payload.bytes + kTrailerBytes + of.icv <= packet.bytes,
            "the payload is in the packet");
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input({data, size});
  const auto algorithm = static_cast<Algorithm>(input.take() % kTraits.size());
  const unsigned flags = input.take();
  Sa sa{{keys_of(algorithm, (flags & 1) != 0), ReplayWindow(kWindow)}, (flags & 2) != 0};
  std::vector<std::vector<std::uint8_t>> wires;
  while (!input.empty()) {
    const unsigned head = input.take();
    const auto bytes = input.take(head % 128);
    wires.emplace_back(bytes.begin(), bytes.end());
    // No more at once than are worked on at once: which number a packet has goes by the window before.
    if (head >= 128 || wires.size() == Engine::kBurst) sa.batch(wires);
  }
  sa.batch(wires);
  return 0;
}
