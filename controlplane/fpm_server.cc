#include "controlplane/fpm_server.h"

#include <spdlog/spdlog.h>

#include <boost/asio.hpp>
#include <chrono>
#include <optional>

#include "controlplane/listen_tcp.h"

namespace millrace::controlplane {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

namespace {

// The control loop has other work, too.
constexpr auto kTurn = std::chrono::milliseconds(1);
constexpr std::size_t kReadBytes = 256 << 10;  // at a turn

std::string text_of(const tcp::endpoint& endpoint) {
  return endpoint.address().to_string() + ":" + std::to_string(endpoint.port());
}

}  // namespace

struct FpmServer::Impl {
  // Handlers that wait hold on to theirs; only that of `current` is read.
  struct Connection {
    explicit Connection(tcp::socket s) : socket(std::move(s)) {}
    tcp::socket socket;
    bool is_waiting = false;           // for bytes
    bool is_full = false;              // of answers: it is waited for until it takes more
    std::optional<std::string> ended;  // why; what was read before is still to be applied
  };

  explicit Impl(asio::io_context& loop) : io(loop), acceptor(loop), timer(loop) {}

  void accept();
  void connected(tcp::socket socket);
  void wait_for_bytes();
  void read();
  void work();
  void send();
  void close(const std::string& why);

  asio::io_context& io;
  tcp::acceptor acceptor;
  asio::steady_timer timer;
  FpmFeed* feed = nullptr;
  std::function<void()> tell_time;
  std::shared_ptr<Connection> current;
  bool is_working = false;  // a turn is posted
};

void FpmServer::Impl::accept() {
  acceptor.async_accept([this](error_code error, tcp::socket socket) {
    if (error == asio::error::operation_aborted) return;
    if (error) {  // out of descriptors, say: do not spin
      timer.expires_after(std::chrono::milliseconds(100));
      return timer.async_wait([this](error_code stopped) {
        if (!stopped) accept();
      });
    }
    connected(std::move(socket));
    accept();
  });
}

void FpmServer::Impl::connected(tcp::socket socket) {
  error_code error;
  const tcp::endpoint peer = socket.remote_endpoint(error);
  if (!error) socket.non_blocking(true, error);
  if (!error) socket.set_option(asio::socket_base::keep_alive(true), error);
  if (error) return;  // it is gone already
  tell_time();
  if (current) close("another daemon has connected from " + text_of(peer));
  current = std::make_shared<Connection>(std::move(socket));
  feed->connected(text_of(peer));
  wait_for_bytes();
}

void FpmServer::Impl::close(const std::string& why) {
  error_code ignored;
  current->socket.close(ignored);
  current.reset();
  feed->disconnected(why);
}

// Not while the queue is full: then the daemon waits.
void FpmServer::Impl::wait_for_bytes() {
  if (!current || current->is_waiting || current->ended || feed->room().empty()) return;
  current->is_waiting = true;
  current->socket.async_wait(tcp::socket::wait_read, [this, of = current](error_code error) {
    of->is_waiting = false;
    if (!error && of == current) read();
  });
}

void FpmServer::Impl::read() {
  tell_time();
  const auto room = feed->room();
  error_code error;
  const std::size_t size =
      current->socket.read_some(asio::buffer(room.data(), std::min(room.size(), kReadBytes)), error);
  feed->received(size);
  if (error == asio::error::eof) {
    current->ended = "it closed the connection";
  } else if (error && error != asio::error::would_block && error != asio::error::try_again) {
    current->ended = error.message();
  }
  wait_for_bytes();
  if (!is_working) work();
}

// What does not fit waits here; once it is sent, what had to wait for it goes on.
void FpmServer::Impl::send() {
  if (!current || current->is_full || feed->answers().empty()) return;
  if (current->ended) return feed->answered(feed->answers().size());  // nobody reads them
  error_code error;
  const auto answers = feed->answers();
  feed->answered(current->socket.write_some(asio::buffer(answers.data(), answers.size()), error));
  if (error && error != asio::error::would_block && error != asio::error::try_again) {
    current->ended = error.message();
  } else if (!feed->answers().empty()) {
    current->is_full = true;
    current->socket.async_wait(tcp::socket::wait_write, [this, of = current](error_code stopped) {
      of->is_full = false;
      if (!stopped && of == current && !is_working) work();
    });
  }
}

void FpmServer::Impl::work() {
  is_working = false;
  tell_time();
  const auto end = std::chrono::steady_clock::now() + kTurn;
  Result<bool> more = true;
  while (more && *more && std::chrono::steady_clock::now() < end) more = feed->work();
  const bool was_full = feed->is_full();
  if (more) send();
  if (!more) {
    close(more.error());
  } else if (*more || (was_full && !feed->is_full())) {
    is_working = true;
    asio::post(io, [this] { work(); });
  } else if (current && current->ended) {
    close(*current->ended);
  }
  wait_for_bytes();
}

FpmServer::FpmServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
FpmServer::~FpmServer() = default;

Result<std::unique_ptr<FpmServer>> FpmServer::open(asio::io_context& io, const std::string& listen) {
  auto impl = std::make_unique<Impl>(io);
  if (auto opened = listen_tcp(impl->acceptor, listen, "feeds.fpm.listen"); !opened)
    return Error{opened.error()};
  return std::unique_ptr<FpmServer>(new FpmServer(std::move(impl)));
}

void FpmServer::start(FpmFeed& feed, std::function<void()> tell_time) {
  impl_->feed = &feed;
  impl_->tell_time = std::move(tell_time);
  impl_->accept();
}

void FpmServer::poke() {
  if (!impl_->is_working) impl_->work();
}

// The loop has ended, and calls no handler any more.
void FpmServer::stop() {
  error_code ignored;
  impl_->acceptor.close(ignored);
  impl_->timer.cancel();
  if (impl_->current) impl_->current->socket.close(ignored);
  impl_->current.reset();
}

}  // namespace millrace::controlplane
