// The pools that ports receive into: who shares one, and when it goes.
#include "dataplane/buffer_pools.h"

#include <rte_mbuf.h>

#include "cases.h"

namespace millrace::behaviour {
namespace {

using dataplane::BufferPools;

constexpr unsigned kBuffers = 1000;
constexpr std::uint16_t kRoom = RTE_MBUF_DEFAULT_BUF_SIZE;

class BufferPoolsTest : public LabTest {
 protected:
  BufferPoolsTest() { Lab::pool(); }  // starts DPDK

  BufferPools::Part take(unsigned parts = 1, std::uint16_t room = kRoom) {
    auto part = pools_.take(kBuffers, room, 0, parts);
    if (!part) throw std::runtime_error(part.error());
    return std::move(*part);
  }
  std::size_t after_looks(unsigned looks) {
    for (unsigned i = 0; i < looks; ++i) pools_.free_idle();
    return pools_.all().size();
  }

  BufferPools pools_;
};

TEST_F(BufferPoolsTest, PortsAlikeShareOneThatHasRoomForAllOfThem) {
  const auto first = take(3), second = take(2), third = take();
  EXPECT_EQ(first.pool(), second.pool());
  EXPECT_EQ(first.pool(), third.pool());
  EXPECT_GE(first.pool()->size, 3 * kBuffers);
  const auto fourth = take();
  EXPECT_NE(fourth.pool(), first.pool()) << "the first one has none left for it";
  EXPECT_EQ(pools_.all().size(), 2U);
}

TEST_F(BufferPoolsTest, BuffersOfAnotherSizeHaveAnotherPool) {
  const auto small = take(2);
  const auto large = take(1, 9728);
  EXPECT_NE(small.pool(), large.pool());
  EXPECT_EQ(take().pool(), small.pool());
}

TEST_F(BufferPoolsTest, WhatAPortGivesBackIsForTheNext) {
  auto first = take(2);
  rte_mempool* const pool = first.pool();
  const auto second = take();
  first = BufferPools::Part();
  EXPECT_EQ(after_looks(10), 1U) << "the second one is there";
  EXPECT_EQ(take().pool(), pool);
}

TEST_F(BufferPoolsTest, OneThatIsNobodysGoesOnceAllItsBuffersAreBack) {
  auto part = take();
  rte_mbuf* m = rte_pktmbuf_alloc(part.pool());
  part = BufferPools::Part();
  EXPECT_EQ(after_looks(10), 1U) << "a buffer is under way";
  rte_pktmbuf_free(m);
  EXPECT_EQ(after_looks(2), 1U) << "may be on its way from thread to thread";
  EXPECT_EQ(after_looks(2), 0U);
}

TEST_F(BufferPoolsTest, OneThatAPortCannotUseGoesAtOnceUnlessAnotherHasAPartOfIt) {
  pools_.discard(take(2));
  EXPECT_EQ(pools_.all().size(), 0U);
  const auto first = take(2);
  pools_.discard(take());
  EXPECT_EQ(pools_.all().size(), 1U);
}

TEST_F(BufferPoolsTest, WithoutMemoryForAllTheFirstGetsItsOwn) {
  const auto part = take(1'000'000);
  EXPECT_GE(part.pool()->size, kBuffers);
  EXPECT_LT(part.pool()->size, 2 * kBuffers + 1);
}

TEST_F(BufferPoolsTest, WithoutMemoryForOneItSaysSo) {
  const auto part = pools_.take(1'000'000'000, kRoom, 0, 1);
  ASSERT_FALSE(part);
  EXPECT_NE(part.error().find("no memory for 1000000000 packet buffers"), std::string::npos) << part.error();
}

TEST_F(BufferPoolsTest, TheRoutersPortsShareOne) {
  Lab& lab = start(kTwoSubnets);
  EXPECT_EQ(lab.control().pools().size(), 2U) << "the control thread's, and the ports'";
  lab.must_apply("interfaces: {a: {device: @a, addresses: [10.0.1.1/24]}}");
  EXPECT_EQ(lab.control().pools().size(), 2U);
}

}  // namespace
}  // namespace millrace::behaviour
