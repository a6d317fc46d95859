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
#include <memory>

#include "controlplane/fpm_feed.h"
#include "tests/fuzz/feed_bed.h"

using namespace millrace;
using namespace millrace::controlplane;
using fuzz::require;

namespace {

constexpr std::uint64_t kSecondNs = 1'000'000'000;
constexpr RouteFeed::Times kTimes{.hold_ns = 60 * kSecondNs, .sweep_ns = 5 * kSecondNs};

class Bed {
 public:
  Bed() {
    feed_->set_times(kTimes);
    feed_->set_feedback(true);
    pass(1);
    connect();
  }
  ~Bed() {
    disconnect();
    pass(60);
    require(feed_->feed().routes().routes() == 0, "no route is left when hold is over");
    feed_.reset();
    tables_.check_empty();
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
    tables_.set_time(now_ns_);
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
    tables_.check(feed_->feed().routes(), RouteSource::fpm);
    require(feed_->feed().routes().shadowed() == 0, "zebra has one route of a prefix");
    require(feed_->queued_bytes() < FpmFrames::kMaxFrame, "what is left is less than a frame");
  }

 private:
  void work() {
    for (Result<bool> more = true; *more;) {
      more = feed_->work();
      feed_->answered(feed_->answers().size());
      if (more) continue;
      require(!more.error().empty(), "an error says what is wrong");
      feed_->disconnected(more.error());
      connected_ = false;
      return;
    }
  }

  fuzz::FeedBed tables_;
  std::unique_ptr<FpmFeed> feed_ = std::make_unique<FpmFeed>(tables_.tables());
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
