// The only file that includes Asio and Beast: they take longer to compile than the rest of the command.
#include "cli/client.h"

#include <sys/un.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <optional>
#include <utility>

#include "cli/failure.h"
#include "cli/text.h"

namespace millrace::cli {

namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using asio::local::stream_protocol;
using boost::system::error_code;

constexpr std::uint64_t kMaxAnswerBytes = std::uint64_t{256} << 20;  // a page of 10,000 routes is about 3 MB

[[noreturn]] void fail_to_connect(const std::string& path, const error_code& ec) {
  const std::string name = printable(path);
  if (ec == asio::error::connection_refused || ec == boost::system::errc::no_such_file_or_directory) {
    throw Failure("no daemon at " + name + ": is millraced running?");
  }
  if (ec == asio::error::access_denied) {
    throw Failure("permission denied on " + name + ": add yourself to the group millrace");
  }
  throw Failure("cannot connect to " + name + ": " + ec.message());
}

http::request<http::string_body> to_http(Request request) {
  http::request<http::string_body> message;
  message.method_string(request.method);
  message.target(request.target);
  message.set(http::field::host, "millrace");
  message.set(http::field::user_agent, "millrace/" MILLRACE_VERSION);
  if (!request.content_type.empty()) message.set(http::field::content_type, request.content_type);
  if (!request.if_match.empty()) message.set(http::field::if_match, request.if_match);
  message.body() = std::move(request.body);
  message.prepare_payload();
  return message;
}

class SocketTransport : public Transport {
 public:
  explicit SocketTransport(std::string path) : path_(std::move(path)) {}

  Response send(Request request) override {
    if (!socket_) connect();
    error_code written;
    http::write(*socket_, to_http(std::move(request)), written);
    http::response_parser<http::string_body> parser;
    parser.body_limit(kMaxAnswerBytes);
    error_code read;
    // Read even if the write failed: a daemon that refuses a body answers before it has taken all of it.
    http::read(*socket_, buffer_, parser, read);
    if (read) throw Failure("the daemon broke off the connection: " + (written ? written : read).message());
    auto answer = parser.release();
    if (!answer.keep_alive()) disconnect();
    return {answer.result_int(), std::move(answer.body())};
  }

 private:
  void connect() {
    if (path_.size() >= kMaxPath) throw Failure("the socket's path is too long: " + printable(path_));
    socket_.emplace(io_);
    error_code ec;
    socket_->connect(stream_protocol::endpoint(path_), ec);
    if (ec) fail_to_connect(path_, ec);
  }
  void disconnect() {
    socket_.reset();
    buffer_.clear();
  }

  static constexpr std::size_t kMaxPath = sizeof(sockaddr_un::sun_path);
  std::string path_;
  asio::io_context io_;
  std::optional<stream_protocol::socket> socket_;
  beast::flat_buffer buffer_;
};

}  // namespace

std::unique_ptr<Transport> connect_to_daemon(std::string socket_path) {
  return std::make_unique<SocketTransport>(std::move(socket_path));
}

}  // namespace millrace::cli
