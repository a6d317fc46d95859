// Whatever a daemon sends over FPM, in whatever order it comes, goes and time passes: nothing outside is
// read, the books add up, and when it is gone for good nothing of it is left.
//
// The input: steps of a byte each (modulo 8): 0 to 4 bytes from the socket (a big-endian length of two bytes,
// then they), 5 the connection ends, and 6 another begins, 7 time passes (a byte of seconds). The first
// connection is there from the start.
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>

#include "controlplane/fpm_feed.h"
#include "controlplane/rib.h"
#include "dataplane/tables.h"
#include "lpm/reclaimer.h"
#include "tests/fuzz/input.h"

using namespace millrace;
using namespace millrace::controlplane;
using fuzz::require;

namespace {

constexpr std::uint64_t kSecondNs = 1'000'000'000;
constexpr RouteFeed::Times kTimes{.hold_ns = 60 * kSecondNs, .sweep_ns = 5 * kSecondNs};

// A router's tables with a feed and two interfaces, on which some of the next hops are.
class Bed {
 public:
  Bed() {
    add("wan0", "192.0.2.1/24", "2001:db8:0:1::1/64");
    add("lan0", "198.51.100.1/24", "2001:db8:0:2::1/64");
    interfaces_.publish_addresses();
    feed_->set_times(kTimes);
    pass(1);
    connect();
  }
  ~Bed() {
    disconnect();
    pass(60);
    require(feed_->feed().routes().routes() == 0, "no route is left when hold is over");
    feed_.reset();
    require(next_hops_.size() == 0, "no next hop is left");
    while (reclaimer_.poll() != 0) {
    }
    require(writer_.next_hops_used() == 0 && writer_.adjacencies_used() == 0 && writer_.buckets_used() == 0,
            "the tables are empty");
  }
  Bed(const Bed&) = delete;
  Bed& operator=(const Bed&) = delete;

  void connect() {
    feed_->connected("peer");
    connected_ = true;
  }
  void disconnect() {
    feed_->disconnected("it closed");
    connected_ = false;
  }
  void pass(std::uint64_t seconds) {
    now_ns_ += seconds * kSecondNs;
    writer_.set_time(now_ns_);
    feed_->set_time(now_ns_);
    feed_->tick();
    work();
  }
  void receive(std::span<const std::uint8_t> bytes) {
    while (connected_ && !bytes.empty()) {
      const auto room = feed_->room();
      const auto part = bytes.first(std::min(room.size(), bytes.size()));
      std::copy(part.begin(), part.end(), room.begin());
      feed_->received(part.size());
      bytes = bytes.subspan(part.size());
      work();
    }
  }
  void check() const {
    const FeedRoutes& routes = feed_->feed().routes();
    require(routes.stale() <= routes.routes(), "stale routes are routes");
    std::size_t fpm = 0, prefixes = 0;
    const auto count = [&](auto, const Route& route, bool best) {
      require(next_hops_.find(route.next_hop) != nullptr, "a route has a next hop");
      fpm += route.source == RouteSource::fpm ? 1 : 0;
      prefixes += best ? 1 : 0;
      return true;
    };
    rib_.visit_from({}, count);
    rib6_.visit_from({}, count);
    require(fpm == routes.routes() && prefixes == fpm, "routes are counted");
    require(feed_->queued_bytes() < FpmFrames::kMaxFrame, "what is left is less than a frame");
  }

 private:
  void add(const std::string& name, const char* ipv4, const char* ipv6) {
    config::InterfaceConfig config;
    config.addresses.ipv4.push_back(*Ipv4InterfaceAddress::parse(ipv4));
    config.addresses.ipv6.push_back(*Ipv6InterfaceAddress::parse(ipv6));
    Interface* interface = interfaces_.add(name, config);
    interface->port = PortId(0);
    interface->mac = MacAddress{{2, 0, 0, 0, 0, 1}};
    interface->up = true;
    interfaces_.publish(*interface);
  }
  void work() {
    for (Result<bool> more = true; *more;) {
      more = feed_->work();
      if (more) continue;
      require(!more.error().empty(), "an error says what is wrong");
      feed_->disconnected(more.error());
      connected_ = false;
      return;
    }
  }

  lpm::Reclaimer reclaimer_{1};
  dataplane::Tables tables_;
  dataplane::TableWriter writer_{tables_, reclaimer_, {256, lpm::Pages::normal}, {}};
  Interfaces interfaces_{writer_};
  NextHops next_hops_{writer_, interfaces_};
  RouteOwners owners_;
  Rib rib_{writer_, next_hops_, FibId(0)};
  Rib6 rib6_{writer_, next_hops_, FibId(0)};
  std::unique_ptr<FpmFeed> feed_ = std::make_unique<FpmFeed>(
      FeedTables{rib_, rib6_, next_hops_, owners_, [](const AnyPrefix&) {},
                 [](std::uint32_t index) { return index == 3 ? std::string("wan0") : std::string(); }});
  std::uint64_t now_ns_ = 0;
  bool connected_ = false;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  spdlog::set_level(spdlog::level::off);
  fuzz::Input input({data, size});
  Bed bed;
  while (!input.empty()) {
    const unsigned step = input.take() % 8;
    if (step <= 4) {
      const unsigned length = input.take16();
      bed.receive(input.take(length));
    } else if (step == 5) {
      bed.disconnect();
    } else if (step == 6) {
      bed.connect();
    } else {
      bed.pass(input.take());
    }
    bed.check();
  }
  return 0;
}
