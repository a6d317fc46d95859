// A daemon comes, goes and comes again; the queue of what it said.
#include "controlplane/route_feed.h"

#include <gtest/gtest.h>
#include <spdlog/spdlog.h>

#include <algorithm>

#include "controlplane/fpm_feed.h"
#include "tests/unit/feed_fixture.h"

namespace millrace::controlplane {
namespace {

constexpr std::uint64_t kSecond = 1'000'000'000;
using State = RouteFeed::State;

class RouteFeedTest : public FeedFixture {
 protected:
  RouteFeedTest() {
    spdlog::set_level(spdlog::level::off);
    feed_.set_times({.hold_ns = 100 * kSecond, .sweep_ns = 5 * kSecond});
    pass(1);
  }
  ~RouteFeedTest() override { spdlog::set_level(spdlog::level::info); }
  void pass(std::uint64_t seconds) {
    now_ += seconds * kSecond;
    feed_.set_time(now_);
    feed_.tick();
    work();
  }
  void work() {
    for (Result<bool> more = true; *more;) {
      more = feed_.work();
      if (!more) {
        feed_.disconnected(more.error());
        return;
      }
    }
  }
  void arrive(const ByteString& bytes) {
    const auto room = feed_.room();
    ASSERT_GE(room.size(), bytes.size());
    std::copy(bytes.begin(), bytes.end(), room.begin());
    feed_.received(bytes.size());
  }
  void say(std::initializer_list<ByteString> messages) {
    arrive(fpm_frame(joined(messages)));
    work();
  }
  State state() const { return feed_.feed().state(); }
  std::size_t routes() const { return feed_.feed().routes().routes(); }

  FpmFeed feed_{tables()};
  std::uint64_t now_ = 0;
};

TEST_F(RouteFeedTest, ADaemonIsInSyncWhenItHasSaidNothingForAWhile) {
  EXPECT_EQ(state(), State::idle);
  EXPECT_EQ(feed_.feed().since_ns(), now_) << "since it was made";
  feed_.connected("peer");
  EXPECT_EQ(state(), State::syncing);
  pass(10);
  EXPECT_EQ(state(), State::syncing) << "it has not said anything yet";
  say({new_route({"10.0.0.0/8"}, via("192.0.2.2"))});
  EXPECT_EQ(route("10.0.0.0/8"), "192.0.2.2") << "at once";
  pass(4);
  say({new_route({"11.0.0.0/8"}, via("192.0.2.2"))});
  pass(4);
  EXPECT_EQ(state(), State::syncing);
  pass(1);
  EXPECT_EQ(state(), State::up);
  EXPECT_EQ(feed_.feed().peer(), "peer");
  EXPECT_EQ(feed_.feed().connections(), 1U);
}

// Rule 44.
TEST_F(RouteFeedTest, RoutesAreHeldWhenTheDaemonGoesAndRemovedInTheEnd) {
  feed_.connected("peer");
  say({new_route({"10.0.0.0/8"}, via("192.0.2.2")), new_route({"2001:db8:1::/48"}, via("2001:db8:0:2::2"))});
  feed_.disconnected("it closed");
  EXPECT_EQ(state(), State::held);
  EXPECT_EQ(feed_.feed().peer(), "");
  EXPECT_EQ(feed_.feed().last_error(), "it closed");
  pass(99);
  EXPECT_EQ(routes(), 2U);
  EXPECT_EQ(state(), State::held);
  pass(1);
  EXPECT_EQ(routes(), 0U);
  EXPECT_EQ(state(), State::idle);
}

TEST_F(RouteFeedTest, WithoutHoldRoutesGoWithTheDaemon) {
  feed_.set_times({.hold_ns = 0, .sweep_ns = 5 * kSecond});
  feed_.connected("peer");
  say({new_route({"10.0.0.0/8"}, via("192.0.2.2"))});
  feed_.disconnected("it closed");
  pass(0);
  EXPECT_EQ(routes(), 0U);
}

// Rule 44.
TEST_F(RouteFeedTest, ADaemonThatComesAgainConfirmsItsRoutesAndTheOthersAreSwept) {
  feed_.connected("peer");
  say({new_route({"10.0.0.0/8"}, via("192.0.2.2")), new_route({"11.0.0.0/8"}, via("192.0.2.2"))});
  pass(5);
  feed_.disconnected("it closed");
  pass(50);
  feed_.connected("peer again");
  EXPECT_EQ(feed_.feed().routes().stale(), 0U) << "not before it says something";
  say({new_route({"10.0.0.0/8"}, via("192.0.2.2"))});
  EXPECT_EQ(feed_.feed().routes().stale(), 1U);
  EXPECT_EQ(routes(), 2U);
  pass(4);
  EXPECT_EQ(routes(), 2U);
  pass(1);
  EXPECT_EQ(state(), State::up);
  EXPECT_EQ(route("10.0.0.0/8"), "192.0.2.2");
  EXPECT_EQ(route("11.0.0.0/8"), "");
  pass(200);
  EXPECT_EQ(routes(), 1U) << "nothing is held any more";
}

TEST_F(RouteFeedTest, ADaemonThatNeverFallsSilentIsInSyncAfterHoldAndSweep) {
  feed_.connected("peer");
  say({new_route({"10.0.0.0/8"}, via("192.0.2.2")), new_route({"11.0.0.0/8"}, via("192.0.2.2"))});
  feed_.disconnected("it closed");
  feed_.connected("peer");
  for (unsigned second = 0; second < 104; ++second) {
    say({new_route({"10.0.0.0/8"}, via(second % 2 == 0 ? "192.0.2.2" : "192.0.2.3"))});
    pass(1);
  }
  EXPECT_EQ(routes(), 2U);
  pass(1);
  EXPECT_EQ(routes(), 1U);
}

// A port scanner, say.
TEST_F(RouteFeedTest, AConnectionThatSaysNothingHoldsNoRoutesAndTakesNone) {
  feed_.connected("peer");
  say({new_route({"10.0.0.0/8"}, via("192.0.2.2"))});
  pass(5);
  feed_.disconnected("it closed");
  pass(40);
  feed_.connected("a stranger");
  pass(40);
  EXPECT_EQ(routes(), 1U);
  feed_.disconnected("it closed");
  pass(19);
  EXPECT_EQ(routes(), 1U);
  pass(1);
  EXPECT_EQ(routes(), 0U) << "100 s after the daemon went, not the stranger";
}

TEST_F(RouteFeedTest, AMalformedFrameChangesNothingAndIsTold) {
  feed_.connected("peer");
  say({new_route({"10.0.0.0/8"}, via("192.0.2.2"))});
  say({del_route({"10.0.0.0/8"}), message(kNewNextHop, ByteString(8))});
  EXPECT_EQ(state(), State::held);
  EXPECT_EQ(feed_.feed().last_error(), "RTM_NEWNEXTHOP at byte 44: there is no NHA_ID");
  EXPECT_EQ(route("10.0.0.0/8"), "192.0.2.2") << "not even what was right in the frame is applied";
}

TEST_F(RouteFeedTest, WhatIsQueuedIsForgottenWithItsConnection) {
  feed_.connected("peer");
  const ByteString frame = fpm_frame(new_route({"10.0.0.0/8"}, via("192.0.2.2")));
  arrive({frame.begin(), frame.end() - 1});
  work();
  feed_.disconnected("it closed");
  EXPECT_EQ(feed_.feed().last_error(), "it closed, in the middle of a frame");
  feed_.connected("peer");
  arrive(frame);
  work();
  EXPECT_EQ(route("10.0.0.0/8"), "192.0.2.2");
  EXPECT_EQ(feed_.queued_bytes(), 0U);
}

TEST_F(RouteFeedTest, LagIsTheAgeOfWhatIsQueued) {
  feed_.connected("peer");
  arrive(fpm_frame(new_route({"10.0.0.0/8"}, via("192.0.2.2"))));
  now_ += 3;
  feed_.set_time(now_);
  arrive(fpm_frame(new_route({"11.0.0.0/8"}, via("192.0.2.2"))));
  now_ += 2;
  feed_.set_time(now_);
  EXPECT_EQ(feed_.lag_ns(), 5U);
  EXPECT_TRUE(*feed_.work());
  EXPECT_EQ(feed_.lag_ns(), 2U);
  work();
  EXPECT_EQ(feed_.lag_ns(), 0U);
  EXPECT_EQ(feed_.max_lag_ns(), 5U);
}

// RTM_NEWROUTE with RTM_F_OFFLOAD (0x4000) or RTM_F_OFFLOAD_FAILED (0x20000000).
ByteString offload(std::string_view prefix, bool failed = false) {
  const AnyPrefix of = *parse_prefix(prefix);
  ByteString bytes = std::visit(
      [&](auto some) {
        const IpAddress address = some.address();
        return joined(
            {route_header(address.is_ipv6() ? kInet6 : kInet, some.length()), attribute(1, wire(address))});
      },
      of);
  bytes[failed ? 11 : 9] = failed ? 0x20 : 0x40;
  return fpm_frame(message(kNewRoute, bytes, 1));
}

TEST_F(RouteFeedTest, ADaemonThatWantsItIsToldWhatBecameOfItsRoutes) {
  feed_.connected("peer");
  say({new_route({"10.0.0.0/8"}, via("192.0.2.2"))});
  EXPECT_TRUE(feed_.answers().empty());
  feed_.set_feedback(true);
  EXPECT_FALSE(feed_.work()) << "it is to say again what it has said";
  feed_.disconnected("it was ended");
  feed_.connected("peer");
  const auto told = [this] {
    ByteString all(feed_.answers().begin(), feed_.answers().end());
    feed_.answered(all.size());
    return all;
  };
  say({new_route({"10.0.0.0/8"}, via("192.0.2.3")), new_route({"2001:db8:1::/48"}, via("2001:db8:0:2::2")),
       new_route({"12.0.0.0/8", kBgp, kBlackhole})});
  EXPECT_EQ(told(), joined({offload("10.0.0.0/8"), offload("2001:db8:1::/48"), offload("12.0.0.0/8")}));
  say({new_route({"11.0.0.0/8"}, attribute(4, u32(3)))});
  EXPECT_EQ(told(), offload("11.0.0.0/8", true)) << "it has no gateway";
  say({new_route({"11.0.0.0/8"}, by_id(7))});
  EXPECT_TRUE(told().empty()) << "its next hop may come";
  say({next_hop(7, "192.0.2.2")});
  EXPECT_EQ(told(), offload("11.0.0.0/8"));
  say({del_route({"11.0.0.0/8"}), new_route({"192.0.2.0/24", kKernel}, via("192.0.2.9"))});
  EXPECT_TRUE(told().empty()) << "connected routes are ours";
}

TEST_F(RouteFeedTest, NothingIsAppliedWhileTooManyAnswersWait) {
  feed_.set_feedback(true);
  feed_.connected("peer");
  const std::size_t one = offload("10.0.0.0/24").size();
  const std::size_t fit = (FpmFeed::kAnswerBytes + one - 1) / one;
  ByteString frames;
  std::size_t routes_said = 0;
  for (std::size_t i = 0; routes_said < fit + 5; ++i) {
    const auto address = Ipv4Address((10U << 24) + static_cast<std::uint32_t>(i << 8));
    arrive(fpm_frame(new_route({address.to_string() + "/24", kBgp, kBlackhole})));
    ++routes_said;
    if (feed_.room().size() < 256) work();
  }
  work();
  EXPECT_EQ(routes(), fit);
  EXPECT_GT(feed_.queued_bytes(), 0U);
  feed_.answered(feed_.answers().size());
  work();
  EXPECT_EQ(routes(), fit + 5);
  EXPECT_EQ(feed_.queued_bytes(), 0U);
}

TEST_F(RouteFeedTest, OtherDistancesHaveADaemonSayEverythingAgain) {
  const auto distance = [this] { return rib_.find("10.0.0.0/8"_p, RouteSource::fpm)->distance; };
  feed_.set_distances({{"ospf", 5}});
  feed_.connected("peer");
  say({new_route({"10.0.0.0/8"}, via("192.0.2.2"))});
  EXPECT_EQ(distance(), 20);
  feed_.set_distances({{"ospf", 5}});
  EXPECT_TRUE(feed_.work()) << "nothing has changed";
  feed_.set_distances({{"bgp", 200}});
  EXPECT_FALSE(feed_.work());
  feed_.disconnected("it was ended");
  EXPECT_EQ(distance(), 20) << "held as it is";
  feed_.connected("peer");
  EXPECT_TRUE(feed_.work());
  say({new_route({"10.0.0.0/8"}, via("192.0.2.2"))});
  EXPECT_EQ(distance(), 200);
  feed_.disconnected("it went");
  feed_.set_distances({});
  feed_.connected("peer");
  EXPECT_TRUE(feed_.work()) << "it has said nothing yet";
}

TEST_F(RouteFeedTest, AllIsGivenBackWhenTheFeedEnds) {
  {
    FpmFeed feed(tables());
    feed.set_time(1);
    feed.connected("peer");
    const ByteString frame = fpm_frame(joined({next_hop(1, "192.0.2.2"), group(2, {{1}})}));
    std::copy(frame.begin(), frame.end(), feed.room().begin());
    feed.received(frame.size());
    EXPECT_TRUE(*feed.work());
    EXPECT_EQ(next_hops_.size(), 2U);
  }
  EXPECT_EQ(next_hops_.size(), 0U);
}

}  // namespace
}  // namespace millrace::controlplane
