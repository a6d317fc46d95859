// Whatever a kernel's socket says, whenever messages are lost and dumps end: nothing outside is read, the
// books add up, and when a dump says that there is nothing, nothing is left.
//
// The input: steps of a byte each (modulo 8): 0 to 3 bytes from the socket (a big-endian length of two bytes,
// then they), 4 the dump that goes on ends (a byte: of its bits 0 and 1 both set, with an error; bit 2, as
// inconsistent), 5 messages were lost, 6 the router's interfaces changed, 7 time passes (a byte of tenths of
// a second). What the feed asks for is asked at once.
#include <linux/netlink.h>
#include <spdlog/spdlog.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

#include "controlplane/netlink_feed.h"
#include "tests/fuzz/feed_bed.h"

using namespace millrace;
using namespace millrace::controlplane;
using fuzz::require;

namespace {

constexpr std::uint64_t kTenthNs = 100'000'000;

class Bed {
 public:
  Bed() { pass(1); }
  // The kernel empties its table, and nobody is told.
  ~Bed() {
    for (unsigned turn = 0; turn < 2; ++turn) {
      feed_->messages_lost();
      pass(3000);  // whatever was tried in vain before is tried again
      for (unsigned answers = 0; answers < 16 && is_asked_; ++answers) end_dump(0, 0);
    }
    require(feed_->state() == NetlinkFeed::State::up, "a resync ends");
    require(feed_->routes().routes() + feed_->routes().shadowed() == 0, "no route is left");
    require(feed_->routes().parked() + feed_->routes().next_hops() == 0,
            "nothing waits, and no name is left");
    feed_.reset();
    tables_.check_empty();
  }
  Bed(const Bed&) = delete;
  Bed& operator=(const Bed&) = delete;

  void receive(std::span<const std::uint8_t> bytes) {
    // At a multiple of 4, as the socket's are.
    std::vector<std::uint32_t> aligned((bytes.size() + 3) / 4);
    if (!bytes.empty()) std::memcpy(aligned.data(), bytes.data(), bytes.size());
    feed_->receive({reinterpret_cast<const std::uint8_t*>(aligned.data()), bytes.size()});
    go_on();
  }
  void end_dump(int error, std::uint16_t flags) {
    struct {
      nlmsghdr header;
      int error;
    } done{};
    done.header.nlmsg_len = sizeof done;
    done.header.nlmsg_type = NLMSG_DONE;
    done.header.nlmsg_flags = static_cast<std::uint16_t>(NLM_F_MULTI | flags);
    done.header.nlmsg_seq = sequence_;
    done.error = -error;
    is_asked_ = false;
    receive({reinterpret_cast<const std::uint8_t*>(&done), sizeof done});
  }
  void lose() {
    feed_->messages_lost();
    go_on();
  }
  void change_interfaces() {
    feed_->interfaces_changed();
    go_on();
  }
  void pass(std::uint64_t tenths) {
    now_ns_ += tenths * kTenthNs;
    tables_.set_time(now_ns_);
    feed_->set_time(now_ns_);
    feed_->tick();
    go_on();
  }
  void check() const { tables_.check(feed_->routes(), RouteSource::netlink); }

 private:
  void go_on() {
    while (feed_->work(64)) {
    }
    const auto request = feed_->next_request();
    if (request.empty()) return;
    require(request.size() >= sizeof(nlmsghdr), "a request is a message");
    nlmsghdr header;
    std::memcpy(&header, request.data(), sizeof header);
    sequence_ = header.nlmsg_seq;
    is_asked_ = true;
  }

  fuzz::FeedBed tables_;
  std::unique_ptr<NetlinkFeed> feed_ =
      std::make_unique<NetlinkFeed>(tables_.tables(), FeedRules{.table = 254, .of_kernel = true},
                                    [](const std::string& name) { return name == "wan0" || name == "lan0"; });
  std::uint64_t now_ns_ = 0;
  std::uint32_t sequence_ = 0;
  bool is_asked_ = false;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  spdlog::set_level(spdlog::level::off);
  fuzz::Input input({data, size});
  Bed bed;
  while (!input.empty()) {
    const unsigned step = input.take() % 8;
    if (step <= 3) {
      const unsigned length = input.take16();
      bed.receive(input.take(length));
    } else if (step == 4) {
      const unsigned how = input.take();
      bed.end_dump((how & 3) == 3 ? EIO : 0, (how & 4) != 0 ? NLM_F_DUMP_INTR : std::uint16_t{0});
    } else if (step == 5) {
      bed.lose();
    } else if (step == 6) {
      bed.change_interfaces();
    } else {
      bed.pass(input.take());
    }
    bed.check();
  }
  return 0;
}
