// The straight way in says of frames what the way of one by one says. Frames that are nearly right, of one
// family or of both: up to three of a frame's bytes are changed, or lengths, or how it lies in memory.
#include "dataplane/straight.h"
#include "dataplane/ip_batch.h"

#include <bit>
#include <random>
#include <tuple>

#include "cases.h"
#include "tests/packets/packet6.h"

namespace millrace::behaviour {
namespace {

using dataplane::Ipv4Family;
using dataplane::Ipv6Family;
using Own4 = dataplane::OwnAddresses<Ipv4Address>;
using Own6 = dataplane::OwnAddresses<Ipv6Address>;

const MacAddress kOwnMac = mac("02:00:5e:10:20:30");

enum class Mix { ipv4, ipv6, both };

class Frames {
 public:
  Frames(unsigned count, Mix mix) {
    for (unsigned i = 0; i < count; ++i)
      frames_.push_back(make(mix == Mix::ipv6 || (mix == Mix::both && draw(2) == 0)));
  }
  ~Frames() {
    for (rte_mbuf* m : frames_) rte_pktmbuf_free(m);
  }
  Frames(const Frames&) = delete;
  Frames& operator=(const Frames&) = delete;
  rte_mbuf** data() { return frames_.data(); }
  rte_mbuf* operator[](unsigned i) { return frames_[i]; }

 private:
  static unsigned draw(unsigned below) {
    static std::minstd_rand random(7);
    return static_cast<unsigned>(random() % below);
  }
  static rte_mbuf* make(bool of_ipv6) {
    const Bytes packet = of_ipv6 ? make_ipv6() : make_ipv4();
    const std::uint16_t type = of_ipv6 != (draw(16) == 0) ? 0x86dd : 0x0800;
    Bytes frame = ethernet(kOwnMac, mac("02:00:00:00:00:99"), type, packet);
    const unsigned headers = of_ipv6 ? 54 : 34;
    if (draw(4) == 0) frame.resize(frame.size() + draw(20));
    for (unsigned n = draw(4) == 0 ? draw(4) : 0; n != 0; --n)
      frame[draw(headers)] = static_cast<std::uint8_t>(draw(256));
    if (draw(16) == 0) frame.resize(draw(headers) + 1);
    const bool whole = draw(8) != 0;
    return make_mbuf(frame, whole ? Layout{} : Layout{.segments = {draw(headers + 6) + 1}});
  }
  static Ipv4Address address4(std::uint8_t third) {
    static constexpr std::uint8_t kOctets[] = {0, 1, 10, 126, 127, 128, 169, 192, 223, 224, 239, 240, 255};
    const std::uint8_t second = draw(4) == 0 ? 254 : 0;  // 169.254/16
    return {kOctets[draw(13)], second, third, static_cast<std::uint8_t>(draw(256))};
  }
  static Bytes make_ipv4() {
    Ipv4Packet packet;
    packet.ttl = hops();
    packet.identification = static_cast<std::uint16_t>(draw(65536));
    packet.source = address4(1);
    packet.destination = address4(2);
    packet.payload = pattern(draw(60));
    // End of Option List: the first 20 bytes alone have the right checksum, too.
    if (draw(16) == 0) packet.options = Bytes(4);
    if (draw(8) == 0) packet.total_length = static_cast<std::uint16_t>(draw(100));
    if (draw(8) == 0) packet.checksum = static_cast<std::uint16_t>(draw(65536));
    if (draw(8) == 0) give_checksum(packet, draw(2) == 0 ? 0xfeff : 0x0000);
    return packet.bytes();
  }
  // By its identification. Those are the checksums that one less in the TTL carries beyond; a sender may
  // write zero as 0xffff.
  static void give_checksum(Ipv4Packet& packet, std::uint16_t checksum) {
    packet.identification = 0;
    packet.checksum.reset();
    const unsigned sum = get16(packet.bytes(), 10) + (0xffffU ^ checksum);
    packet.identification = static_cast<std::uint16_t>(sum % 0xffff);
    if (checksum == 0) packet.checksum = 0xffff;
  }
  static Bytes make_ipv6() {
    Ipv6Packet packet;
    packet.hop_limit = hops();
    packet.traffic_class = static_cast<std::uint8_t>(draw(256));
    packet.flow_label = draw(1U << 20);
    packet.version = draw(8) == 0 ? static_cast<std::uint8_t>(draw(16)) : std::uint8_t{6};
    packet.source = address6();
    packet.destination = address6();
    packet.payload = pattern(draw(60));
    if (draw(8) == 0) packet.payload_length = static_cast<std::uint16_t>(draw(100));
    return packet.bytes();
  }
  static std::uint8_t hops() { return static_cast<std::uint8_t>(draw(4) == 0 ? draw(3) : draw(256)); }
  static Ipv6Address address6() {
    static constexpr std::uint64_t kOctets[] = {0x00, 0x01, 0x20, 0x2a, 0x7f, 0x80, 0xfc, 0xfd, 0xfe, 0xff};
    if (draw(16) == 0) return Ipv6Address(0, draw(2));
    return Ipv6Address(kOctets[draw(10)] << 56 | 0x0001'0db8'0001'0000, draw(256));
  }
  std::vector<rte_mbuf*> frames_;
};

Own4 own_ipv4() {
  return Own4({{Ipv4Address(10, 0, 1, 1), dataplane::AddressKind::own},
               {Ipv4Address(192, 0, 1, 255), dataplane::AddressKind::broadcast}});
}
Own6 own_ipv6() {
  return Own6({{Ipv6Address(0x2001'0db8'0001'0000, 1), dataplane::AddressKind::own},
               {Ipv6Address(0x2a01'0db8'0001'0000, 0xff), dataplane::AddressKind::own}});
}

// What the steps for one frame ask, except the digest, which may take others for our own.
template <class Family>
bool is_straight(rte_mbuf* m, const dataplane::OwnAddresses<typename Family::Address>& own) {
  const auto& packet = *Family::header(m);
  if (m->nb_segs != 1 || m->data_len < sizeof(wire::Ethernet) + sizeof packet) return false;
  const wire::Ethernet* frame = dataplane::ethernet(m);
  return frame->destination == kOwnMac && frame->type.host() == Family::kEtherType &&
         Family::is_plain(m, packet, own);
}

template <class Family>
void expect_set_as_alone(dataplane::IpBatch<Family>& found, unsigned i, rte_mbuf* m) {
  dataplane::IpBatch<Family> alone;
  alone.set(i, m);
  EXPECT_EQ(found.packets[i], m);
  EXPECT_EQ(found.frames[i], alone.frames[i]);
  EXPECT_EQ(found.lengths[i], alone.lengths[i]);
  EXPECT_EQ(found.hops[i], alone.hops[i]);
  EXPECT_EQ(found.destinations()[i], alone.destinations()[i]);
  EXPECT_EQ(m->pkt_len, sizeof(wire::Ethernet) + Family::length(*Family::header(m)))
      << "the frame ends with the packet";
  EXPECT_EQ(m->data_len, m->pkt_len);
}

class StraightFrames : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!lpm::supported(lpm::Isa::avx512)) return;
    find_ = dataplane::find_straight(lpm::Isa::avx512);
    ASSERT_NE(find_, nullptr);
  }
  dataplane::Sighted find(rte_mbuf** frames, unsigned count) {
    return find_({kOwnMac, &own4_, &own6_}, frames, count, ipv4_, ipv6_);
  }
  dataplane::FindStraight find_ = nullptr;
  const Own4 own4_ = own_ipv4();
  const Own6 own6_ = own_ipv6();
  dataplane::IpBatch<Ipv4Family> ipv4_;
  dataplane::IpBatch<Ipv6Family> ipv6_;
};

class Straight : public StraightFrames, public ::testing::WithParamInterface<std::tuple<unsigned, Mix>> {};

TEST_P(Straight, SaysWhatIsSaidOfEachFrameAlone) {
  const auto [count, mix] = GetParam();
  unsigned straight_ones = 0, others = 0, missed = 0;
  for (unsigned round = 0; find_ != nullptr && round < 4000 / count; ++round) {
    Frames frames(count, mix);
    std::uint64_t expected4 = 0, expected6 = 0, bytes = 0;
    for (unsigned i = 0; i < count; ++i) {
      expected4 |= std::uint64_t{is_straight<Ipv4Family>(frames[i], own4_)} << i;
      expected6 |= std::uint64_t{is_straight<Ipv6Family>(frames[i], own6_)} << i;
      bytes += frames[i]->pkt_len;
    }
    const dataplane::Sighted said = find(frames.data(), count);
    EXPECT_EQ(said.bytes, bytes);
    ASSERT_EQ(said.ipv4 & ~expected4, 0U) << "not straight, of " << count;
    ASSERT_EQ(said.ipv6 & ~expected6, 0U) << "not straight, of " << count;
    straight_ones += static_cast<unsigned>(std::popcount(expected4 | expected6));
    others += count - static_cast<unsigned>(std::popcount(expected4 | expected6));
    missed += static_cast<unsigned>(std::popcount((expected4 & ~said.ipv4) | (expected6 & ~said.ipv6)));
    for (unsigned i = 0; i < count; ++i) {
      if ((said.ipv4 >> i & 1) != 0) expect_set_as_alone(ipv4_, i, frames[i]);
      if ((said.ipv6 >> i & 1) != 0) expect_set_as_alone(ipv6_, i, frames[i]);
    }
  }
  if (find_ == nullptr) return;
  EXPECT_GT(straight_ones, 100U);
  EXPECT_GT(others, 100U);
  // A group of 16 goes one by one if the first bytes of a MAC differ in it, and a source may look like ours.
  EXPECT_LT(missed, straight_ones);
}

INSTANTIATE_TEST_SUITE_P(Bursts, Straight,
                         ::testing::Combine(::testing::Values(1, 3, 15, 16, 17, 33, 64),
                                            ::testing::Values(Mix::ipv4, Mix::ipv6, Mix::both)));

TEST_F(StraightFrames, WithoutAFaultAreStraight) {
  if (find_ == nullptr) return;
  const MacAddress from = mac("02:00:00:00:00:99");
  const Bytes frame4 = ethernet(kOwnMac, from, 0x0800, Ipv4Packet{}.bytes());
  const Bytes frame6 = frame(kOwnMac, from, Ipv6Packet{});
  std::vector<rte_mbuf*> frames;
  for (unsigned i = 0; i < 64; ++i) frames.push_back(make_mbuf(i % 2 == 0 ? frame4 : frame6));
  constexpr std::uint64_t kEven = 0x5555'5555'5555'5555, kGroup = 0xffff'0000;
  dataplane::Sighted said = find(frames.data(), 64);
  EXPECT_EQ(said.ipv4, kEven);
  EXPECT_EQ(said.ipv6, ~kEven);
  frames[20]->ol_flags |= RTE_MBUF_F_RX_VLAN_STRIPPED;
  said = find(frames.data(), 64);
  EXPECT_EQ(said.ipv4, kEven & ~kGroup) << "a tag that the port took off is looked at one by one";
  EXPECT_EQ(said.ipv6, ~kEven & ~kGroup);
  for (rte_mbuf* m : frames) rte_pktmbuf_free(m);
}

// A gateway with a tunnel to each of thousands of peers has as many addresses.
Own4 many_own() {
  std::vector<Own4::Entry> entries;
  for (unsigned i = 0; i < 8000; ++i)
    entries.push_back({Ipv4Address(0x0a40'0001 + 4 * i),
                       i % 2 == 0 ? dataplane::AddressKind::own : dataplane::AddressKind::broadcast});
  entries.push_back({Ipv4Address(0x0a40'0001), dataplane::AddressKind::broadcast});
  return Own4(entries);
}

TEST_F(StraightFrames, ThousandsOfOwnAddressesHideFewOthers) {
  if (find_ == nullptr) return;
  const Own4 own = many_own();
  unsigned others = 0, missed = 0;
  for (unsigned round = 0; round < 500; ++round) {
    std::vector<rte_mbuf*> frames;
    std::uint64_t expected = 0;
    for (unsigned i = 0; i < 16; ++i) {
      const Ipv4Address source(0x0a40'0000 + 16 * round + i);
      frames.push_back(make_mbuf(
          ethernet(kOwnMac, mac("02:00:00:00:00:99"), 0x0800, Ipv4Packet{.source = source}.bytes())));
      expected |= std::uint64_t{!own.contains(source)} << i;
      EXPECT_EQ(own.contains(source), i % 4 == 1) << source.to_string();
    }
    const dataplane::Sighted said = find_({kOwnMac, &own, &own6_}, frames.data(), 16, ipv4_, ipv6_);
    EXPECT_EQ(said.ipv4 & ~expected, 0U) << "one of our own";
    others += static_cast<unsigned>(std::popcount(expected));
    missed += static_cast<unsigned>(std::popcount(expected & ~said.ipv4));
    for (rte_mbuf* m : frames) rte_pktmbuf_free(m);
  }
  EXPECT_LT(missed, others / 10);
}

TEST(OwnAddresses, AreFoundByTheFirstKindThatTheyAreGiven) {
  const Own4 own = many_own();
  EXPECT_EQ(own.find(Ipv4Address(0x0a40'0001)), dataplane::AddressKind::own) << "given twice";
  EXPECT_EQ(own.find(Ipv4Address(0x0a40'0005)), dataplane::AddressKind::broadcast);
  EXPECT_EQ(own.find(Ipv4Address(0x0a40'0002)), std::nullopt);
  EXPECT_FALSE(Own4::none().contains(Ipv4Address(0x0a40'0001)));
}

TEST(StraightForms, ThereIsNoneForOldProcessors) {
  EXPECT_EQ(dataplane::find_straight(lpm::Isa::scalar), nullptr);
  EXPECT_EQ(dataplane::find_straight(lpm::Isa::avx2), nullptr);
}

}  // namespace
}  // namespace millrace::behaviour
