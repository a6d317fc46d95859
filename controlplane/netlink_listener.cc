#include "controlplane/netlink_listener.h"

#include <spdlog/spdlog.h>

#include <boost/asio.hpp>
#include <chrono>
#include <utility>
#include <vector>

namespace millrace::controlplane {

namespace asio = boost::asio;

namespace {

// The control loop has other work, too.
constexpr auto kTurn = std::chrono::milliseconds(1);
constexpr std::size_t kSlice = 64;  // routes of other work between two batches of messages
// What was read at once is applied as one batch: some hundred routes.
constexpr std::size_t kBatchBytes = 32 << 10;

}  // namespace

struct NetlinkListener::Impl {
  Impl(asio::io_context& loop, NetlinkSocket of_kernel)
      : io(loop), socket(std::move(of_kernel)), readable(loop, socket.fd()) {}
  ~Impl() { readable.release(); }  // the descriptor is the socket's

  void wait();
  void turn();
  bool read();
  bool ask();

  asio::io_context& io;
  NetlinkSocket socket;
  asio::posix::stream_descriptor readable;
  NetlinkFeed* feed = nullptr;
  std::function<void()> tell_time;
  bool is_posted = false;   // a turn
  bool is_waiting = false;  // for something to read
  std::vector<std::uint8_t> batch = std::vector<std::uint8_t>(kBatchBytes + NetlinkSocket::kMaxDatagram);
};

void NetlinkListener::Impl::wait() {
  if (is_waiting) return;
  is_waiting = true;
  readable.async_wait(asio::posix::stream_descriptor::wait_read, [this](boost::system::error_code error) {
    is_waiting = false;
    if (!error && !is_posted) turn();
  });
}

// Datagrams, one behind the other, until a batch is full. False if the socket is empty.
bool NetlinkListener::Impl::read() {
  using Kind = NetlinkSocket::Received::Kind;
  std::size_t size = 0;
  Kind last = Kind::datagram;
  while (last == Kind::datagram && size < kBatchBytes) {
    const auto received = socket.receive(std::span(batch).subspan(size));
    size += received.bytes + (4 - received.bytes % 4) % 4;
    last = received.kind;
  }
  if (size != 0) feed->receive(std::span(batch).first(size));
  if (last == Kind::lost) feed->messages_lost();
  return last != Kind::nothing;
}

// True if the kernel was asked for something.
bool NetlinkListener::Impl::ask() {
  const auto request = feed->next_request();
  if (request.empty()) return false;
  if (auto sent = socket.send(request); !sent) feed->request_failed(sent.error());
  return true;
}

void NetlinkListener::Impl::turn() {
  is_posted = false;
  tell_time();
  const auto end = std::chrono::steady_clock::now() + kTurn;
  bool more = true;
  bool unread = true;
  while (more && std::chrono::steady_clock::now() < end) {
    unread = read();
    more = feed->work(kSlice) || unread;
    if (!unread && ask()) more = true;
  }
  feed->set_queued(unread ? socket.queued_bytes() : 0);
  if (!more) return wait();
  is_posted = true;
  asio::post(io, [this] { turn(); });
}

NetlinkListener::NetlinkListener(asio::io_context& io, NetlinkSocket socket)
    : impl_(std::make_unique<Impl>(io, std::move(socket))) {
  if (!impl_->socket.warning().empty()) spdlog::warn("feed netlink: {}", impl_->socket.warning());
}
NetlinkListener::~NetlinkListener() = default;

void NetlinkListener::start(NetlinkFeed& feed, std::function<void()> tell_time) {
  impl_->feed = &feed;
  impl_->tell_time = std::move(tell_time);
  impl_->turn();
}

void NetlinkListener::poke() {
  if (!impl_->is_posted) impl_->turn();
}

// The loop has ended, and calls no handler any more.
void NetlinkListener::stop() {
  boost::system::error_code ignored;
  impl_->readable.cancel(ignored);
}

}  // namespace millrace::controlplane
