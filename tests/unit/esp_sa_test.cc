// Packets through security associations, both ways: numbers, replays, forgeries (RFC 4303 sections 3.3
// and 3.4).
#include "esp/sa.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "esp_fixture.h"

namespace millrace::esp {
namespace {

constexpr std::uint64_t kEpoch = std::uint64_t{1} << 32;
constexpr std::uint8_t kIpv4InEsp = 4;

class EspSa : public EspFixture {
 protected:
  // Both ends of an SA. `last` is the number before the first that is sent.
  struct Pair {
    OutboundSa out;
    InboundSa in;
  };
  Pair pair_of(const ReferenceKeys& keys, std::uint64_t last = 0, std::uint32_t window = 64) {
    return {{expand(keys), 0x12345678, SequenceCounter(keys.extended_sequence, last)},
            {expand(keys), ReplayWindow(window)}};
  }
  Pair pair_of(Algorithm algorithm, bool extended = true, std::uint64_t last = 0) {
    return pair_of(random_keys(random_, algorithm, extended), last);
  }

  // A packet as it is on the wire; nothing where the SA is at its end.
  Bytes sealed(OutboundSa& sa, const Bytes& payload) {
    const Traits& of = sa.keys->traits();
    Bytes room(packet_bytes(of, static_cast<std::uint32_t>(payload.size())));
    std::copy(payload.begin(), payload.end(), room.begin() + payload_offset(of));
    Outbound packet{&sa, &of, room.data() + payload_offset(of), static_cast<std::uint32_t>(payload.size()),
                    kIpv4InEsp};
    encapsulate(*engine_, {&packet, 1});
    return packet.verdict == Verdict::good ? room : Bytes{};
  }
  Verdict opened(InboundSa& sa, Bytes wire) {
    Inbound packet{&sa, wire.data(), static_cast<std::uint32_t>(wire.size())};
    decapsulate(*engine_, {&packet, 1});
    return packet.verdict;
  }
  // All in one call.
  std::vector<Verdict> opened(InboundSa& sa, std::vector<Bytes> wires) {
    std::vector<Inbound> packets;
    for (Bytes& wire : wires) packets.push_back({&sa, wire.data(), static_cast<std::uint32_t>(wire.size())});
    decapsulate(*engine_, packets);
    std::vector<Verdict> verdicts;
    for (const Inbound& packet : packets) verdicts.push_back(packet.verdict);
    return verdicts;
  }

  Random random_;
};

TEST_F(EspSa, WhatGoesInComesOutWithItsNextHeader) {
  for (const Algorithm algorithm : all_algorithms()) {
    SCOPED_TRACE(traits(algorithm).name);
    Pair sa = pair_of(algorithm);
    for (std::uint32_t bytes = 0; bytes < 70; ++bytes) {
      const Bytes payload = random_bytes(random_, bytes);
      Bytes wire = sealed(sa.out, payload);
      ASSERT_EQ(wire.size(), packet_bytes(traits(algorithm), bytes));
      Inbound packet{&sa.in, wire.data(), static_cast<std::uint32_t>(wire.size())};
      decapsulate(*engine_, {&packet, 1});
      ASSERT_EQ(packet.verdict, Verdict::good);
      ASSERT_EQ(packet.payload.next_header, kIpv4InEsp);
      ASSERT_EQ(Bytes(packet.payload_begin(), packet.payload_begin() + packet.payload.bytes), payload);
    }
    EXPECT_EQ(sa.in.window.highest(), 70U);
  }
}

TEST_F(EspSa, PacketsCarryTheSpiAndCountUp) {
  Pair sa = pair_of(Algorithm::aes_128_gcm);
  for (std::uint32_t number = 1; number < 4; ++number) {
    const Bytes wire = sealed(sa.out, Bytes(8));
    Header header;
    std::memcpy(&header, wire.data(), sizeof header);
    EXPECT_EQ(header.spi.host(), 0x12345678U);
    EXPECT_EQ(header.sequence.host(), number);
  }
}

// RFC 4106 section 3.1: never the same under one key.
TEST_F(EspSa, NoIvComesTwice) {
  for (const Algorithm algorithm : all_algorithms()) {
    const Traits& of = traits(algorithm);
    if (of.iv() == 0) continue;
    Pair sa = pair_of(algorithm, true, kEpoch - 50);
    std::vector<Bytes> ivs;
    for (int i = 0; i < 100; ++i) {
      const Bytes wire = sealed(sa.out, Bytes(8));
      ivs.emplace_back(wire.begin() + 8, wire.begin() + 8 + of.iv());
    }
    std::sort(ivs.begin(), ivs.end());
    EXPECT_EQ(std::adjacent_find(ivs.begin(), ivs.end()), ivs.end()) << of.name;
  }
}

TEST_F(EspSa, WithoutExtendedNumbersSendingStopsBeforeTheWrap) {
  Pair sa = pair_of(Algorithm::aes_128_gcm, false, kEpoch - 3);
  EXPECT_EQ(opened(sa.in, sealed(sa.out, Bytes(8))), Verdict::good);
  EXPECT_EQ(opened(sa.in, sealed(sa.out, Bytes(8))), Verdict::good);
  EXPECT_TRUE(sealed(sa.out, Bytes(8)).empty());
}

TEST_F(EspSa, AnExhaustedSaHoldsBackNoOther) {
  Pair old = pair_of(Algorithm::aes_128_gcm, false, kEpoch - 1), young = pair_of(Algorithm::aes_128_gcm);
  std::vector<Bytes> rooms(4, Bytes(64));
  std::vector<Outbound> packets;
  for (std::size_t i = 0; i < rooms.size(); ++i)
    packets.push_back({i % 2 == 0 ? &old.out : &young.out, &traits(Algorithm::aes_128_gcm),
                       rooms[i].data() + 16, 8, kIpv4InEsp});
  encapsulate(*engine_, packets);
  for (std::size_t i = 0; i < rooms.size(); ++i) {
    EXPECT_EQ(packets[i].verdict, i % 2 == 0 ? Verdict::exhausted : Verdict::good);
    if (i % 2 == 0) continue;
    EXPECT_EQ(opened(young.in, Bytes(packets[i].esp(), packets[i].esp() + packets[i].esp_bytes())),
              Verdict::good);
  }
}

TEST_F(EspSa, ExtendedNumbersGoOverTheWrapInAnyOrderOfTheWindow) {
  for (const Algorithm algorithm : all_algorithms()) {
    SCOPED_TRACE(traits(algorithm).name);
    Pair sa = pair_of(algorithm, true, kEpoch - 20);
    std::vector<Bytes> wires;
    for (int i = 0; i < 40; ++i) wires.push_back(sealed(sa.out, Bytes(8)));
    EXPECT_EQ(opened(sa.in, wires[10]), Verdict::good);  // from nothing, ahead: still the first epoch
    EXPECT_EQ(opened(sa.in, wires[39]), Verdict::good);
    EXPECT_EQ(sa.in.window.highest(), kEpoch + 20);
    for (int i = 0; i < 39; ++i)
      EXPECT_EQ(opened(sa.in, wires[static_cast<std::size_t>(i)]),
                i == 10 ? Verdict::replayed : Verdict::good)
          << i;
  }
}

TEST_F(EspSa, OfEightWithSevenTheSameInABatchTwoAreTaken) {
  for (const Algorithm algorithm :
       {Algorithm::aes_128_gcm, Algorithm::chacha20_poly1305, Algorithm::aes_128_cbc_hmac_sha256}) {
    Pair sa = pair_of(algorithm);
    const Bytes first = sealed(sa.out, Bytes(8)), second = sealed(sa.out, Bytes(8));
    std::vector<Bytes> batch(7, first);
    batch.insert(batch.begin() + 3, second);
    const auto verdicts = opened(sa.in, batch);
    EXPECT_EQ(std::count(verdicts.begin(), verdicts.end(), Verdict::good), 2);
    EXPECT_EQ(std::count(verdicts.begin(), verdicts.end(), Verdict::replayed), 6);
    EXPECT_EQ(verdicts[0], Verdict::good);
    EXPECT_EQ(verdicts[3], Verdict::good);
  }
}

// With extended numbers what is below the window is taken for one of the next epoch, and its ICV is wrong.
TEST_F(EspSa, TheWindowsEdgeIsTakenAndWhatIsBelowIsNot) {
  for (const bool extended : {false, true}) {
    Pair sa = pair_of(Algorithm::aes_256_gcm, extended);
    std::vector<Bytes> wires;
    for (int i = 0; i < 70; ++i) wires.push_back(sealed(sa.out, Bytes(8)));
    EXPECT_EQ(opened(sa.in, wires[69]), Verdict::good);  // number 70: 7 to 70 are in the window
    EXPECT_EQ(opened(sa.in, wires[6]), Verdict::good);
    EXPECT_EQ(opened(sa.in, wires[5]), extended ? Verdict::forged : Verdict::late);
    EXPECT_EQ(sa.in.window.highest(), 70U);
  }
}

TEST_F(EspSa, AForgedPacketNeverMovesTheWindow) {
  for (const Algorithm algorithm : all_algorithms()) {
    Pair sa = pair_of(algorithm, false);
    EXPECT_EQ(opened(sa.in, sealed(sa.out, Bytes(8))), Verdict::good);
    Bytes forged = sealed(sa.out, Bytes(8));
    forged[4] ^= 0x40;  // a number far ahead
    EXPECT_EQ(opened(sa.in, forged), Verdict::forged);
    EXPECT_EQ(sa.in.window.highest(), 1U);
    forged[4] ^= 0x40;
    EXPECT_EQ(opened(sa.in, forged), Verdict::good) << "the real one is taken after it";
  }
}

TEST_F(EspSa, RuntsAreKnownByTheirLength) {
  for (const Algorithm algorithm : all_algorithms()) {
    Pair sa = pair_of(algorithm);
    const Bytes wire = sealed(sa.out, Bytes{});
    for (std::size_t bytes = 0; bytes < wire.size(); ++bytes)
      EXPECT_EQ(opened(sa.in, Bytes(wire.begin(), wire.begin() + static_cast<std::ptrdiff_t>(bytes))),
                Verdict::runt)
          << bytes;
    EXPECT_EQ(opened(sa.in, wire), Verdict::good);
  }
}

// Who has the key may still send nonsense.
TEST_F(EspSa, MorePaddingThanPacketIsMalformedThoughItVerifies) {
  for (const Algorithm algorithm : all_algorithms()) {
    SCOPED_TRACE(traits(algorithm).name);
    const ReferenceKeys keys = random_keys(random_, algorithm, false);
    Pair sa = pair_of(keys);
    const Traits& of = traits(algorithm);
    Bytes packet = random_packet(random_, of, 20);
    std::memset(packet.data() + 4, 0, 4);
    packet[7] = 1;
    packet[packet.size() - 2] = 0xff;
    EXPECT_EQ(opened(sa.in, reference_seal(keys, 0, packet)), Verdict::malformed);
    EXPECT_EQ(sa.in.window.highest(), 1U) << "its number has come";
  }
}

TEST_F(EspSa, NumberZeroIsRefused) {
  const ReferenceKeys keys = random_keys(random_, Algorithm::aes_128_gcm, false);
  Pair sa = pair_of(keys);
  Bytes packet = random_packet(random_, traits(Algorithm::aes_128_gcm), 20);
  std::memset(packet.data() + 4, 0, 4);
  EXPECT_EQ(opened(sa.in, reference_seal(keys, 0, packet)), Verdict::late);
}

TEST_F(EspSa, ABatchOfManySasKeepsThemApart) {
  std::vector<Pair> sas;
  for (const Algorithm algorithm : all_algorithms()) sas.push_back(pair_of(algorithm, random_.chance(2)));
  std::vector<Bytes> wires;
  std::vector<Inbound> packets;
  std::vector<Verdict> wanted;
  for (int i = 0; i < 300; ++i) {
    Pair& sa = sas[random_.below(sas.size())];
    Bytes wire = sealed(sa.out, random_bytes(random_, random_.below(100)));
    const unsigned kind = random_.below(4);
    if (kind == 0) wire.resize(7);
    if (kind == 1) wire.back() ^= 1;
    packets.push_back({&sa.in, nullptr, static_cast<std::uint32_t>(wire.size())});
    wires.push_back(std::move(wire));
    wanted.push_back(kind == 0 ? Verdict::runt : kind == 1 ? Verdict::forged : Verdict::good);
  }
  for (std::size_t i = 0; i < packets.size(); ++i) packets[i].esp = wires[i].data();
  decapsulate(*engine_, packets);
  for (std::size_t i = 0; i < packets.size(); ++i) EXPECT_EQ(packets[i].verdict, wanted[i]) << i;
}

}  // namespace
}  // namespace millrace::esp
