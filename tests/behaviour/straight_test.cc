// The straight way in says of frames what the way of one by one says. Frames that are nearly right: each of
// 64 at a time has up to three of its bytes changed, or lengths, or how it lies in memory.
#include "dataplane/straight.h"

#include <random>

#include "cases.h"
#include "dataplane/ipv4_validate.h"

namespace millrace::behaviour {
namespace {

using dataplane::Ipv4Family;
using Batch = dataplane::IpBatch<Ipv4Family>;
using Own = dataplane::OwnAddresses<Ipv4Address>;

const MacAddress kOwnMac = mac("02:00:5e:10:20:30");

class Frames {
 public:
  explicit Frames(unsigned count) {
    for (unsigned i = 0; i < count; ++i) frames_.push_back(make());
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
  static rte_mbuf* make() {
    static constexpr std::uint8_t kOctets[] = {0, 1, 10, 126, 127, 128, 169, 192, 223, 224, 239, 240, 255};
    Ipv4Packet packet;
    packet.ttl = static_cast<std::uint8_t>(draw(4) == 0 ? draw(3) : draw(256));
    packet.identification = static_cast<std::uint16_t>(draw(65536));
    packet.source = Ipv4Address(kOctets[draw(13)], 0, 1, static_cast<std::uint8_t>(draw(256)));
    packet.destination = Ipv4Address(kOctets[draw(13)], 0, 2, static_cast<std::uint8_t>(draw(256)));
    packet.payload = pattern(draw(60));
    if (draw(8) == 0) packet.total_length = static_cast<std::uint16_t>(draw(100));
    if (draw(8) == 0) packet.checksum = static_cast<std::uint16_t>(draw(65536));
    Bytes frame =
        ethernet(kOwnMac, mac("02:00:00:00:00:99"), draw(16) == 0 ? 0x86dd : 0x0800, packet.bytes());
    if (draw(4) == 0) frame.resize(frame.size() + draw(20));
    for (unsigned n = draw(4) == 0 ? draw(4) : 0; n != 0; --n)
      frame[draw(34)] = static_cast<std::uint8_t>(draw(256));
    if (draw(16) == 0) frame.resize(draw(34) + 1);
    const bool whole = draw(8) != 0;
    return make_mbuf(frame, whole ? Layout{} : Layout{.segments = {draw(40) + 1}});
  }
  std::vector<rte_mbuf*> frames_;
};

Own own_addresses() {
  Own own;
  own.add(Ipv4Address(10, 0, 1, 1), dataplane::AddressKind::own);
  own.add(Ipv4Address(192, 0, 1, 255), dataplane::AddressKind::broadcast);
  return own;
}

// What the steps for one frame ask, except the digest, which may take others for our own.
bool is_straight(rte_mbuf* m, const Own& own) {
  if (m->nb_segs != 1 || m->data_len < sizeof(wire::Ethernet) + sizeof(wire::Ipv4)) return false;
  const wire::Ethernet* frame = dataplane::ethernet(m);
  const wire::Ipv4* packet = dataplane::ipv4(m);
  return frame->destination == kOwnMac && frame->type.host() == wire::kEtherTypeIpv4 && packet->ttl > 1 &&
         dataplane::is_plain_ipv4(m, *packet, own);
}

class Straight : public ::testing::TestWithParam<unsigned> {
 protected:
  void SetUp() override {
    if (!lpm::supported(lpm::Isa::avx512)) return;
    find_ = dataplane::find_straight(lpm::Isa::avx512);
    ASSERT_NE(find_, nullptr);
  }
  dataplane::FindStraight find_ = nullptr;
  const Own own_ = own_addresses();
};

TEST_P(Straight, SaysWhatIsSaidOfEachFrameAlone) {
  const unsigned count = GetParam();
  unsigned straight_ones = 0, others = 0, missed = 0;
  for (unsigned round = 0; find_ != nullptr && round < 4000 / count; ++round) {
    Frames frames(count);
    std::vector<bool> expected;
    for (unsigned i = 0; i < count; ++i) expected.push_back(is_straight(frames[i], own_));
    Batch found, alone;
    std::uint64_t bytes = 0;
    for (unsigned i = 0; i < count; ++i) bytes += frames[i]->pkt_len;
    const auto [straight, sum] = find_({kOwnMac, &own_}, frames.data(), count, found);
    EXPECT_EQ(sum, bytes);
    ASSERT_EQ(count == 64 ? 0 : straight >> count, 0U) << "frames that are not there";
    for (unsigned i = 0; i < count; ++i) {
      const bool said = (straight >> i & 1) != 0;
      ++(expected[i] ? straight_ones : others);
      missed += expected[i] && !said ? 1 : 0;
      if (!said) continue;
      ASSERT_TRUE(expected[i]) << "frame " << i << " of " << count << " is not straight";
      rte_mbuf* m = frames[i];
      alone.set(i, m);
      EXPECT_EQ(found.packets[i], m);
      EXPECT_EQ(found.frames[i], alone.frames[i]);
      EXPECT_EQ(found.lengths[i], alone.lengths[i]);
      EXPECT_EQ(found.hops[i], alone.hops[i]);
      EXPECT_EQ(found.destinations()[i], alone.destinations()[i]);
      EXPECT_EQ(m->pkt_len, sizeof(wire::Ethernet) + found.lengths[i]) << "the frame ends with the packet";
      EXPECT_EQ(m->data_len, m->pkt_len);
    }
  }
  if (find_ == nullptr) return;
  EXPECT_GT(straight_ones, 100U);
  EXPECT_GT(others, 100U);
  // A group of 16 goes one by one if the first bytes of a MAC differ in it, and a source may look like ours.
  EXPECT_LT(missed, straight_ones);
}

INSTANTIATE_TEST_SUITE_P(Bursts, Straight, ::testing::Values(1, 3, 15, 16, 17, 33, 64));

TEST_F(Straight, FramesWithoutAFaultAreStraight) {
  if (find_ == nullptr) return;
  const Bytes frame = ethernet(kOwnMac, mac("02:00:00:00:00:99"), 0x0800, Ipv4Packet{}.bytes());
  std::vector<rte_mbuf*> frames;
  for (unsigned i = 0; i < 64; ++i) frames.push_back(make_mbuf(frame));
  Batch batch;
  EXPECT_EQ(find_({kOwnMac, &own_}, frames.data(), 64, batch).straight, ~std::uint64_t{0});
  frames[20]->ol_flags |= RTE_MBUF_F_RX_VLAN_STRIPPED;
  EXPECT_EQ(find_({kOwnMac, &own_}, frames.data(), 64, batch).straight, ~(std::uint64_t{0xffff} << 16))
      << "a tag that the port took off is looked at one by one";
  for (rte_mbuf* m : frames) rte_pktmbuf_free(m);
}

TEST(StraightForms, ThereIsNoneForOldProcessors) {
  EXPECT_EQ(dataplane::find_straight(lpm::Isa::scalar), nullptr);
  EXPECT_EQ(dataplane::find_straight(lpm::Isa::avx2), nullptr);
}

}  // namespace
}  // namespace millrace::behaviour
