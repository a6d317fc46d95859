// A kernel is asked for its table, says changes, loses messages, and takes links down.
#include "controlplane/netlink_feed.h"

#include <gtest/gtest.h>
#include <spdlog/spdlog.h>

#include "tests/unit/feed_fixture.h"

namespace millrace::controlplane {
namespace {

constexpr std::uint64_t kSecond = 1'000'000'000;
constexpr std::uint64_t kMillisecond = 1'000'000;
constexpr std::uint16_t kGetLink = 18, kGetNextHop = 106, kGetRoute = 26;
using State = NetlinkFeed::State;

class NetlinkFeedTest : public FeedFixture {
 protected:
  NetlinkFeedTest() {
    spdlog::set_level(spdlog::level::off);
    source_ = RouteSource::netlink;
    pass(kSecond);
  }
  ~NetlinkFeedTest() override { spdlog::set_level(spdlog::level::info); }

  void pass(std::uint64_t ns) {
    now_ += ns;
    feed_.set_time(now_);
    feed_.tick();
    work();
  }
  void work() {
    while (feed_.work(64)) {
    }
  }
  void say(std::initializer_list<ByteString> messages) {
    feed_.receive(joined(messages));
    work();
  }
  // The type and, for routes, the family of what the kernel is asked next; 0: nothing.
  std::pair<unsigned, unsigned> asked() {
    const ByteString request = feed_.next_request();
    if (request.empty()) return {0, 0};
    sequence_ = request[8] | unsigned{request[9]} << 8;
    const unsigned type = request[4] | unsigned{request[5]} << 8;
    return {type, type == kGetRoute ? request[16] : 0U};
  }
  // Answers the next question, which is of that type.
  void answer(std::pair<unsigned, unsigned> question, std::initializer_list<ByteString> messages) {
    ASSERT_EQ(asked(), question);
    for (const ByteString& message : messages) say({dumped(message)});
    say({done(sequence_)});
  }
  // All of a resync.
  struct Table {
    std::initializer_list<ByteString> links = {}, next_hops = {}, ipv4 = {}, ipv6 = {};
  };
  void answer_all(const Table& table) {
    answer({kGetLink, 0}, table.links);
    answer({kGetNextHop, 0}, table.next_hops);
    answer({kGetRoute, kInet}, table.ipv4);
    answer({kGetRoute, kInet6}, table.ipv6);
  }
  // A route as BIRD writes it, said as new.
  static ByteString bird(const char* prefix, const char* gateway, std::uint32_t interface_index = 3) {
    return new_route({prefix, kBird, kUnicast, 254, 32, kFirst}, via(gateway, interface_index));
  }
  static ByteString no_bird(const char* prefix, const char* gateway) {
    return del_route({prefix, kBird, kUnicast, 254, 32, 0}, via(gateway));
  }
  void sync() {
    answer_all({.links = {link(3, "tap0"), link(4, "tap1")}, .ipv4 = {bird("10.0.0.0/8", "192.0.2.2")}});
    ASSERT_EQ(feed_.state(), State::up);
  }

  NetlinkFeed feed_{tables(), {.table = 254, .of_kernel = true}, [](const std::string& name) {
                      return name == "wan0" || name == "lan0";
                    }};
  std::uint64_t now_ = 0;
  std::uint32_t sequence_ = 0;
};

TEST_F(NetlinkFeedTest, AsksForLinksNextHopsAndTheRoutesOfBothFamilies) {
  EXPECT_EQ(feed_.state(), State::syncing);
  answer({kGetLink, 0}, {link(3, "tap0")});
  EXPECT_EQ(asked(), std::pair(unsigned{kGetNextHop}, 0U));
  EXPECT_EQ(asked(), std::pair(0U, 0U)) << "one after the other";
  say({dumped(next_hop(1, "192.0.2.2")), done(sequence_)});
  answer({kGetRoute, kInet}, {new_route({"10.0.0.0/8", kBird}, by_id(1))});
  EXPECT_EQ(route("10.0.0.0/8"), "192.0.2.2") << "at once";
  EXPECT_EQ(feed_.state(), State::syncing);
  answer({kGetRoute, kInet6}, {bird("2001:db8:9::/48", "2001:db8:0:2::2")});
  EXPECT_EQ(feed_.state(), State::up);
  EXPECT_EQ(feed_.since_ns(), now_);
  EXPECT_EQ(feed_.routes().routes(), 2U);
  EXPECT_EQ(feed_.resyncs(), 0U);
  pass(100 * kSecond);
  EXPECT_EQ(asked(), std::pair(0U, 0U));
}

TEST_F(NetlinkFeedTest, ARequestIsAStrictDumpOfTheTable) {
  NetlinkFeed feed(tables(), {.table = 1000, .of_kernel = true}, [](const std::string&) { return false; });
  ByteString request = feed.next_request();
  EXPECT_EQ(
      request,
      joined({u32(40), {kGetLink, 0, 0x01, 0x03}, u32(1), u32(0), ByteString(16), attribute(29, u32(8))}));
  feed.receive(done(1));
  request = feed.next_request();
  EXPECT_EQ(request, joined({u32(24), {kGetNextHop, 0, 0x01, 0x03}, u32(2), u32(0), ByteString(8)}));
  feed.receive(done(2));
  request = feed.next_request();
  EXPECT_EQ(request, joined({u32(36),
                             {kGetRoute, 0, 0x01, 0x03},
                             u32(3),
                             u32(0),
                             {kInet},
                             ByteString(11),
                             attribute(15, u32(1000))}));
}

TEST_F(NetlinkFeedTest, ChangesAreAppliedWhileTheTableIsReadAndAfterwards) {
  answer({kGetLink, 0}, {});
  say({bird("11.0.0.0/8", "192.0.2.2")});
  EXPECT_EQ(route("11.0.0.0/8"), "192.0.2.2");
  answer({kGetNextHop, 0}, {});
  ASSERT_EQ(asked(), std::pair(unsigned{kGetRoute}, unsigned{kInet}));
  say({no_bird("11.0.0.0/8", "192.0.2.2"), dumped(bird("11.0.0.0/8", "192.0.2.2")), done(sequence_)});
  EXPECT_EQ(route("11.0.0.0/8"), "") << "the dump's message is the older one";
  answer({kGetRoute, kInet6}, {});
  say({bird("12.0.0.0/8", "192.0.2.2")});
  EXPECT_EQ(route("12.0.0.0/8"), "192.0.2.2");
  EXPECT_EQ(feed_.state(), State::up);
}

TEST_F(NetlinkFeedTest, LostMessagesLeadToAResyncThatSweeps) {
  sync();
  say({bird("11.0.0.0/8", "192.0.2.2")});
  feed_.messages_lost();
  EXPECT_NE(feed_.last_error().find("ENOBUFS"), std::string::npos);
  answer({kGetLink, 0}, {link(3, "tap0")});
  EXPECT_EQ(feed_.state(), State::resyncing);
  EXPECT_EQ(feed_.resyncs(), 1U);
  answer({kGetNextHop, 0}, {});
  answer({kGetRoute, kInet}, {bird("12.0.0.0/8", "192.0.2.2"), bird("10.0.0.0/8", "192.0.2.3")});
  EXPECT_EQ(route("10.0.0.0/8"), "192.0.2.3");
  EXPECT_EQ(route("11.0.0.0/8"), "192.0.2.2") << "it may be among what is still to come";
  EXPECT_EQ(feed_.routes().stale(), 2U) << "it, and the way before";
  answer({kGetRoute, kInet6}, {});
  EXPECT_EQ(route("11.0.0.0/8"), "");
  EXPECT_EQ(route("12.0.0.0/8"), "192.0.2.2");
  EXPECT_EQ(feed_.state(), State::up);
  EXPECT_EQ(feed_.routes().stale(), 0U);
  EXPECT_EQ(feed_.routes().shadowed(), 0U);
}

TEST_F(NetlinkFeedTest, AResyncInWhichMessagesAreLostBeginsAnewAndSweepsNothing) {
  sync();
  feed_.messages_lost();
  answer({kGetLink, 0}, {});
  answer({kGetNextHop, 0}, {});
  ASSERT_EQ(asked(), std::pair(unsigned{kGetRoute}, unsigned{kInet}));
  feed_.messages_lost();
  EXPECT_EQ(asked(), std::pair(0U, 0U)) << "the kernel dumps one thing at a time";
  say({done(sequence_)});
  EXPECT_EQ(route("10.0.0.0/8"), "192.0.2.2");
  answer_all({.ipv4 = {bird("10.0.0.0/8", "192.0.2.2")}});
  EXPECT_EQ(route("10.0.0.0/8"), "192.0.2.2");
  EXPECT_EQ(feed_.state(), State::up);
  EXPECT_EQ(feed_.resyncs(), 1U);
}

TEST_F(NetlinkFeedTest, ADumpThatTheKernelCallsInconsistentIsRepeated) {
  sync();
  feed_.messages_lost();
  answer({kGetLink, 0}, {});
  answer({kGetNextHop, 0}, {});
  for (unsigned attempt = 0; attempt < 3; ++attempt) {
    ASSERT_EQ(asked(), std::pair(unsigned{kGetRoute}, unsigned{kInet})) << attempt;
    say({done(sequence_, 0, kDumped | kInconsistent)});
  }
  answer({kGetRoute, kInet}, {bird("10.0.0.0/8", "192.0.2.2")});
  answer({kGetRoute, kInet6}, {});
  EXPECT_EQ(feed_.state(), State::up);
  EXPECT_EQ(route("10.0.0.0/8"), "192.0.2.2");
}

TEST_F(NetlinkFeedTest, WhereDumpsStayInconsistentNothingIsSweptAndAllIsTriedAgainLater) {
  sync();
  feed_.messages_lost();
  answer({kGetLink, 0}, {});
  for (unsigned attempt = 0; attempt < 4; ++attempt) {
    ASSERT_EQ(asked(), std::pair(unsigned{kGetNextHop}, 0U)) << attempt;
    ByteString one = dumped(next_hop(1, "192.0.2.2"));
    one[6] = kDumped | kInconsistent;
    say({one, done(sequence_)});
  }
  EXPECT_EQ(feed_.state(), State::resyncing);
  EXPECT_EQ(feed_.last_error(), "the kernel's next hops change all the time");
  EXPECT_EQ(route("10.0.0.0/8"), "192.0.2.2");
  pass(kSecond - 1);
  EXPECT_EQ(asked(), std::pair(0U, 0U));
  pass(1);
  answer_all({});
  EXPECT_EQ(feed_.state(), State::up);
  EXPECT_EQ(feed_.routes().routes(), 0U);
}

// Of IPv6 the kernel leaves routes out of a dump when others go meanwhile, and does not say so. What two
// dumps together do not say is gone.
TEST_F(NetlinkFeedTest, AnIpv6DumpInWhichRoutesGoIsRepeated) {
  sync();
  say({bird("2001:db8:1::/48", "2001:db8:0:2::2"), bird("2001:db8:2::/48", "2001:db8:0:2::2"),
       bird("2001:db8:3::/48", "2001:db8:0:2::2"), bird("2001:db8:4::/48", "2001:db8:0:2::2")});
  feed_.messages_lost();
  answer({kGetLink, 0}, {});
  answer({kGetNextHop, 0}, {});
  answer({kGetRoute, kInet}, {});
  ASSERT_EQ(asked(), std::pair(unsigned{kGetRoute}, unsigned{kInet6}));
  say({dumped(bird("2001:db8:1::/48", "2001:db8:0:2::2")), no_bird("2001:db8:4::/48", "2001:db8:0:2::2"),
       done(sequence_)});
  answer({kGetRoute, kInet6}, {bird("2001:db8:2::/48", "2001:db8:0:2::2")});
  EXPECT_EQ(feed_.state(), State::up);
  EXPECT_EQ(feed_.routes().routes(), 2U);
  EXPECT_EQ(route("2001:db8:3::/48"), "");
}

TEST_F(NetlinkFeedTest, ALinkThatGoesDownTakesObjectsAtOnceAndLeadsToAResync) {
  answer_all(
      {.links = {link(3, "tap0"), link(4, "tap1")},
       .next_hops = {next_hop(1, "192.0.2.2", 3), next_hop(2, "198.51.100.2", 4), group(5, {{1}, {2}})},
       .ipv4 = {new_route({"10.0.0.0/8", kBird}, by_id(1)), new_route({"11.0.0.0/8", kBird}, by_id(5)),
                bird("12.0.0.0/8", "192.0.2.3", 3), bird("13.0.0.0/8", "198.51.100.2", 4)}});
  say({link(3, "tap0", kNoCarrier)});
  EXPECT_EQ(route("10.0.0.0/8"), "");
  EXPECT_EQ(route("11.0.0.0/8"), "198.51.100.2");
  EXPECT_EQ(route("12.0.0.0/8"), "192.0.2.3") << "that the kernel tells only when it is asked";
  EXPECT_EQ(asked(), std::pair(0U, 0U)) << "links often go together";
  pass(20 * kMillisecond);
  answer_all({.links = {link(3, "tap0", kNoCarrier), link(4, "tap1")},
              .next_hops = {next_hop(2, "198.51.100.2", 4), group(5, {{2}})},
              .ipv4 = {new_route({"11.0.0.0/8", kBird}, by_id(5)), bird("13.0.0.0/8", "198.51.100.2", 4)}});
  EXPECT_EQ(route("11.0.0.0/8"), "198.51.100.2");
  EXPECT_EQ(route("12.0.0.0/8"), "");
  EXPECT_EQ(feed_.routes().routes(), 2U);
  EXPECT_EQ(feed_.resyncs(), 1U);
}

TEST_F(NetlinkFeedTest, LinksThatNoRouteGoesByLeadToNoResync) {
  sync();
  say({link(4, "tap1", kLinkDown), link(4, "tap1"), link(9, "new0"), link(9, "new1"),
       link(9, "new1", 0, kDelLink), link(3, "tap0")});
  pass(kSecond);
  EXPECT_EQ(asked(), std::pair(0U, 0U));
  say({link(3, "tap0", kLinkDown, kDelLink)});
  pass(kSecond);
  EXPECT_EQ(asked(), std::pair(unsigned{kGetLink}, 0U));
}

TEST_F(NetlinkFeedTest, EachStepDownAndUpOfALinkLeadsToAResync) {
  sync();
  for (const std::uint32_t flags : {kNoCarrier, kLinkDown, kNoCarrier, kLinkUp, kLinkDown, kLinkUp}) {
    say({link(3, "tap0", flags)});
    pass(20 * kMillisecond);
    answer_all({.links = {link(3, "tap0", flags)}, .ipv4 = {bird("10.0.0.0/8", "192.0.2.2")}});
    say({link(3, "tap0", flags)});
    pass(kSecond);
    EXPECT_EQ(asked(), std::pair(0U, 0U)) << "the same once more";
  }
}

TEST_F(NetlinkFeedTest, AnAddressThatGoesLeadsToAResync) {
  constexpr std::uint16_t kNewAddress = 20, kDelAddress = 21;
  sync();
  const ByteString of_tap0 = joined({{kInet, 24, 0, 0}, u32(3), attribute(2, wire("192.0.2.9"))});
  say({message(kNewAddress, of_tap0)});
  pass(kSecond);
  EXPECT_EQ(asked(), std::pair(0U, 0U));
  say({message(kDelAddress, of_tap0)});
  pass(20 * kMillisecond);
  answer_all({});
  EXPECT_EQ(feed_.routes().routes(), 0U);
}

TEST_F(NetlinkFeedTest, ALinkThatIsMissingFromADumpIsLost) {
  answer_all({.links = {link(3, "tap0")},
              .next_hops = {next_hop(1, "192.0.2.2", 3)},
              .ipv4 = {new_route({"10.0.0.0/8", kBird}, by_id(1))}});
  feed_.messages_lost();
  answer({kGetLink, 0}, {});
  EXPECT_EQ(route("10.0.0.0/8"), "");
}

TEST_F(NetlinkFeedTest, ALinkThatGoesOnFlappingKeepsNoResyncFromItsEndAndTakesHalfOfTheTimeAtMost) {
  sync();
  say({link(3, "tap0", kLinkDown)});
  pass(20 * kMillisecond);
  answer({kGetLink, 0}, {link(3, "tap0", kLinkDown)});
  say({link(3, "tap0")});
  pass(kSecond);
  say({link(3, "tap0", kLinkDown)});
  answer({kGetNextHop, 0}, {});
  answer({kGetRoute, kInet}, {bird("11.0.0.0/8", "192.0.2.2")});
  answer({kGetRoute, kInet6}, {});
  EXPECT_EQ(feed_.state(), State::up);
  EXPECT_EQ(route("10.0.0.0/8"), "");
  pass(kSecond - 1);
  EXPECT_EQ(asked(), std::pair(0U, 0U)) << "it took a second";
  pass(1);
  answer_all({.ipv4 = {bird("11.0.0.0/8", "192.0.2.2")}});
  pass(100 * kSecond);
  EXPECT_EQ(asked(), std::pair(0U, 0U));
}

// RTA_OIF -> the kernel's link -> our interface of that name.
TEST_F(NetlinkFeedTest, ALinkIsOurInterfaceOfTheSameName) {
  answer_all({.links = {link(7, "lan0"), link(8, "other0")},
              .ipv6 = {bird("2001:db8:1::/48", "fe80::2", 7), bird("2001:db8:2::/48", "fe80::2", 8)}});
  EXPECT_EQ(route("2001:db8:1::/48"), "fe80::2 dev lan0");
  EXPECT_EQ(route("2001:db8:2::/48"), "");
  say({bird("10.0.0.0/8", "198.51.100.2", 8), bird("11.0.0.0/8", "198.51.100.2", 7)});
  EXPECT_EQ(route("10.0.0.0/8"), "198.51.100.2");
  EXPECT_EQ(route("11.0.0.0/8"), "198.51.100.2 dev lan0");
}

TEST_F(NetlinkFeedTest, InterfacesThatComeOrGoLeadToAResync) {
  sync();
  feed_.interfaces_changed();
  answer_all({});
  EXPECT_EQ(feed_.state(), State::up);
}

TEST_F(NetlinkFeedTest, OtherDistancesLeadToAResync) {
  sync();
  const auto distance = [this] { return rib_.find("10.0.0.0/8"_p, RouteSource::netlink)->distance; };
  EXPECT_EQ(distance(), 150);
  feed_.set_distances({});
  EXPECT_EQ(asked().first, 0U);
  feed_.set_distances({{"bird", 30}});
  answer_all({.links = {link(3, "tap0"), link(4, "tap1")}, .ipv4 = {bird("10.0.0.0/8", "192.0.2.2")}});
  EXPECT_EQ(distance(), 30);
}

TEST_F(NetlinkFeedTest, ARemovalThatDoesNotFitLeadsToAResyncInASecond) {
  sync();
  say({no_bird("10.0.0.0/8", "192.0.2.77")});
  EXPECT_EQ(route("10.0.0.0/8"), "192.0.2.2");
  pass(kSecond - 1);
  EXPECT_EQ(asked(), std::pair(0U, 0U));
  pass(1);
  answer_all({});
  EXPECT_EQ(route("10.0.0.0/8"), "");
}

TEST_F(NetlinkFeedTest, KernelsWithoutNextHopsIpv6OrTheTableHaveNone) {
  constexpr int kNoEntry = 2, kNotSupported = 95, kNoFamily = 97;
  answer({kGetLink, 0}, {});
  ASSERT_EQ(asked(), std::pair(unsigned{kGetNextHop}, 0U));
  say({message(kNetlinkError, joined({u32(static_cast<std::uint32_t>(-kNotSupported)), ByteString(16)}), 0,
               sequence_)});
  ASSERT_EQ(asked(), std::pair(unsigned{kGetRoute}, unsigned{kInet}));
  say({done(sequence_, kNoEntry)});
  ASSERT_EQ(asked(), std::pair(unsigned{kGetRoute}, unsigned{kInet6}));
  say({done(sequence_, kNoFamily)});
  EXPECT_EQ(feed_.state(), State::up);
  EXPECT_EQ(feed_.last_error(), "");
}

TEST_F(NetlinkFeedTest, AKernelThatRefusesIsAskedAgain) {
  constexpr int kNoMemory = 12;
  sync();
  feed_.messages_lost();
  answer({kGetLink, 0}, {});
  answer({kGetNextHop, 0}, {});
  ASSERT_EQ(asked(), std::pair(unsigned{kGetRoute}, unsigned{kInet}));
  say({done(sequence_ - 1), done(sequence_, kNoMemory)});
  EXPECT_EQ(feed_.last_error(), "the kernel does not tell its IPv4 routes: Cannot allocate memory");
  EXPECT_EQ(route("10.0.0.0/8"), "192.0.2.2");
  pass(kSecond);
  ASSERT_EQ(asked(), std::pair(unsigned{kGetLink}, 0U));
  feed_.request_failed("a request to the kernel failed: No buffer space available");
  pass(kSecond);
  answer_all({.ipv4 = {bird("10.0.0.0/8", "192.0.2.2")}});
  EXPECT_EQ(feed_.state(), State::up);
}

TEST_F(NetlinkFeedTest, AMessageThatCannotBeReadCostsNoOther) {
  sync();
  const ByteString wrong = new_route({"11.0.0.0/8", kBird}, attribute(5, {1, 2, 3}));
  say({wrong,
       bird("12.0.0.0/8", "192.0.2.2"),
       message(99, {1, 2, 3, 4}),
       bird("13.0.0.0/8", "192.0.2.2"),
       {1, 2, 3}});
  EXPECT_EQ(route("12.0.0.0/8"), "192.0.2.2");
  EXPECT_EQ(route("13.0.0.0/8"), "192.0.2.2");
  EXPECT_EQ(feed_.routes().counters().failed, 2U);
  EXPECT_EQ(feed_.last_error(), "the last 3 bytes, at byte 0, are no whole netlink message");
}

TEST_F(NetlinkFeedTest, LagIsSinceTheSocketWasEmpty) {
  feed_.set_queued(1000);
  pass(3);
  EXPECT_EQ(feed_.lag_ns(), 3U);
  EXPECT_EQ(feed_.queued_bytes(), 1000U);
  feed_.set_queued(500);
  pass(2);
  EXPECT_EQ(feed_.lag_ns(), 5U);
  feed_.set_queued(0);
  EXPECT_EQ(feed_.lag_ns(), 0U);
  EXPECT_EQ(feed_.max_lag_ns(), 5U);
}

}  // namespace
}  // namespace millrace::controlplane
