#include "lpm/reclaimer.h"

#include <gtest/gtest.h>
#include <rte_rcu_qsbr.h>

#include <vector>

namespace millrace::lpm {
namespace {

class ReclaimerTest : public testing::Test {
 protected:
  void retire(std::uint64_t what, std::uint64_t now_ns = 1) {
    reclaimer_.retire(
        [](void* self, std::uint64_t w) { static_cast<ReclaimerTest*>(self)->freed_.push_back(w); }, this,
        what, now_ns);
  }
  void quiescent(unsigned worker) { rte_rcu_qsbr_quiescent(reclaimer_.qsbr(), worker); }

  std::vector<std::uint64_t> freed_;
  Reclaimer reclaimer_{2};
};

TEST_F(ReclaimerTest, WithoutWorkersAThingComesBackAtTheNextPoll) {
  retire(1);
  EXPECT_TRUE(freed_.empty()) << "never inside retire()";
  EXPECT_EQ(reclaimer_.poll(), 1U);
  EXPECT_EQ(freed_, std::vector<std::uint64_t>{1});
  EXPECT_EQ(reclaimer_.poll(), 0U);
}

// Rule 42.
TEST_F(ReclaimerTest, WaitsForEveryWorkerThatIsOnline) {
  reclaimer_.register_worker(0);
  reclaimer_.register_worker(1);
  quiescent(0);
  quiescent(1);
  retire(1);
  EXPECT_EQ(reclaimer_.poll(), 0U) << "what they said before it was retired does not count";
  quiescent(0);
  EXPECT_EQ(reclaimer_.poll(), 0U) << "worker 1 may still read it";
  quiescent(1);
  EXPECT_EQ(reclaimer_.poll(), 1U);
  reclaimer_.unregister_worker(0);
  reclaimer_.unregister_worker(1);
}

TEST_F(ReclaimerTest, DoesNotWaitForASleeperNorForOneThatLeft) {
  reclaimer_.register_worker(0);
  reclaimer_.register_worker(1);
  retire(1);
  rte_rcu_qsbr_thread_offline(reclaimer_.qsbr(), 0);
  EXPECT_EQ(reclaimer_.poll(), 0U);
  reclaimer_.unregister_worker(1);
  EXPECT_EQ(reclaimer_.poll(), 1U);
  rte_rcu_qsbr_thread_online(reclaimer_.qsbr(), 0);  // awake: counts again
  retire(2);
  EXPECT_EQ(reclaimer_.poll(), 0U);
  quiescent(0);
  EXPECT_EQ(reclaimer_.poll(), 1U);
  reclaimer_.unregister_worker(0);
}

TEST_F(ReclaimerTest, GivesBackInOrderAndNoMoreThanTheLimit) {
  for (std::uint64_t i = 0; i < 10; ++i) retire(i);
  EXPECT_EQ(reclaimer_.poll(3), 3U);
  EXPECT_EQ(freed_, (std::vector<std::uint64_t>{0, 1, 2}));
  EXPECT_EQ(reclaimer_.pending(), 7U);
  EXPECT_EQ(reclaimer_.poll(100), 7U);
  EXPECT_EQ(freed_.back(), 9U);
}

TEST_F(ReclaimerTest, TellsSinceWhenTheOldestWaits) {
  EXPECT_EQ(reclaimer_.oldest_ns(), 0U);
  reclaimer_.register_worker(0);
  retire(1, 100);
  quiescent(0);
  retire(2, 200);
  EXPECT_EQ(reclaimer_.oldest_ns(), 100U);
  EXPECT_EQ(reclaimer_.poll(), 1U) << "the first one is due, the second is not";
  EXPECT_EQ(reclaimer_.oldest_ns(), 200U);
  quiescent(0);
  reclaimer_.poll();
  EXPECT_EQ(reclaimer_.oldest_ns(), 0U);
  reclaimer_.unregister_worker(0);
}

TEST_F(ReclaimerTest, WhatIsFreedMayRetireMore) {
  struct Chain {
    Reclaimer* reclaimer;
    int left;
  } chain{&reclaimer_, 3};
  const Reclaimer::Free next = [](void* context, std::uint64_t self) {
    auto* c = static_cast<Chain*>(context);
    if (--c->left > 0) c->reclaimer->retire(reinterpret_cast<Reclaimer::Free>(self), c, self, 1);
  };
  reclaimer_.retire(next, &chain, reinterpret_cast<std::uint64_t>(next), 1);
  for (int i = 0; i < 5; ++i) reclaimer_.poll();
  EXPECT_EQ(chain.left, 0);
  EXPECT_EQ(reclaimer_.pending(), 0U);
}

TEST(Reclaimer, DeletesObjectsAndAtItsEndWhateverWaits) {
  static int alive;
  alive = 0;
  struct Object {
    Object() { ++alive; }
    Object(const Object&) = delete;
    Object& operator=(const Object&) = delete;
    ~Object() { --alive; }
  };
  {
    Reclaimer reclaimer(1);
    reclaimer.register_worker(0);
    reclaimer.retire_object(new Object, 1);
    reclaimer.retire_object(static_cast<const Object*>(new Object), 1);
    reclaimer.poll();
    EXPECT_EQ(alive, 2);
    rte_rcu_qsbr_quiescent(reclaimer.qsbr(), 0);
    reclaimer.retire_object(new Object, 1);
    reclaimer.poll();
    EXPECT_EQ(alive, 1);
    reclaimer.unregister_worker(0);
  }
  EXPECT_EQ(alive, 0);
}

}  // namespace
}  // namespace millrace::lpm
