#include "controlplane/http_server.h"

#include <grp.h>
#include <pthread.h>
#include <spdlog/spdlog.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/asio.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <filesystem>

#include "controlplane/listen_tcp.h"

namespace millrace::controlplane {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using Unix = asio::local::stream_protocol;
using Tcp = asio::ip::tcp;
using boost::system::error_code;

constexpr auto kRequestTime = std::chrono::seconds(60);

// What one listener allows. A collector of metrics must not be able to keep the CLI out.
struct Limits {
  std::uint64_t body_bytes;
  int sessions;
  std::chrono::seconds idle;
};
constexpr Limits kLocalLimits{std::uint64_t{64} << 20, 128, std::chrono::hours(1)};
constexpr Limits kMetricsLimits{1024, 16, std::chrono::minutes(2)};

http::response<http::string_body> to_http(ApiResponse&& answer, unsigned version, bool keep_alive) {
  http::response<http::string_body> response(static_cast<http::status>(answer.status), version);
  response.set(http::field::server, "millraced");
  response.set(http::field::content_type, answer.content_type);
  if (!answer.etag.empty()) response.set(http::field::etag, answer.etag);
  if (!answer.allow.empty()) response.set(http::field::allow, answer.allow);
  response.keep_alive(keep_alive);
  response.body() = std::move(answer.body);
  response.prepare_payload();
  return response;
}

// One connection: read a request, handle it, write the answer, again.
template <class Protocol>
class Session : public std::enable_shared_from_this<Session<Protocol>> {
 public:
  using Stream = beast::basic_stream<Protocol>;
  using Handle = std::function<ApiResponse(const ApiRequest&)>;

  Session(typename Protocol::socket socket, const Handle& handle, const Limits& limits, int& sessions)
      : stream_(std::move(socket)), handle_(handle), limits_(limits), sessions_(sessions) {
    ++sessions_;
  }
  ~Session() { --sessions_; }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  void read() {
    parser_.emplace();
    parser_->body_limit(limits_.body_bytes);
    stream_.expires_after(buffer_.size() == 0 && served_ != 0 ? limits_.idle : kRequestTime);
    http::async_read(
        stream_, buffer_, *parser_,
        [self = this->shared_from_this()](error_code error, std::size_t) { self->on_read(error); });
  }

 private:
  void on_read(error_code error) {
    if (error == http::error::body_limit) {
      return write(problem(413, "Body too large", "the body is longer than this endpoint takes"), false);
    }
    // Whatever else is wrong with the bytes of a request, an HTTP client gets an answer; a closed connection
    // does not.
    if (error && error.category() == http::make_error_code(http::error::bad_method).category() &&
        error != http::error::end_of_stream && error != http::error::partial_message) {
      return write(problem(400, "Bad request", error.message()), false);
    }
    if (error) return;
    auto& message = parser_->get();
    ApiRequest request;
    request.method = std::string(message.method_string());
    request.target = std::string(message.target());
    request.content_type = std::string(message[http::field::content_type]);
    request.if_match = std::string(message[http::field::if_match]);
    request.body = std::move(message.body());
    ++served_;
    write(handle_(request), message.keep_alive());
  }

  void write(ApiResponse answer, bool keep_alive) {
    response_ = to_http(std::move(answer), 11, keep_alive);
    stream_.expires_after(kRequestTime);
    http::async_write(stream_, response_,
                      [self = this->shared_from_this(), keep_alive](error_code error, std::size_t) {
                        if (!error && keep_alive) return self->read();
                        error_code ignored;
                        self->stream_.socket().shutdown(Protocol::socket::shutdown_both, ignored);
                      });
  }

  Stream stream_;
  const Handle& handle_;
  const Limits& limits_;
  int& sessions_;
  std::uint64_t served_ = 0;
  beast::flat_buffer buffer_;
  std::optional<http::request_parser<http::string_body>> parser_;
  http::response<http::string_body> response_;
};

// A folder of our own, if it is missing: open to all, as the group has to come through; the socket in it is
// not.
void make_folder(const std::filesystem::path& folder) {
  std::error_code error;
  if (!std::filesystem::create_directories(folder, error)) return;
  std::filesystem::permissions(folder, std::filesystem::perms{0755}, error);
}

// The socket's group may read and write; nobody else but root.
void restrict_access(const std::string& path) {
  chmod(path.c_str(), 0660);
  const struct group* entry = getgrnam(kApiGroup);
  if (entry == nullptr) return;
  if (chown(path.c_str(), static_cast<uid_t>(-1), entry->gr_gid) != 0) {
    spdlog::warn("{} cannot be given to the group {}", path, kApiGroup);
  }
}

// Removes what a dead daemon left; a living one, or something that is no socket, is an error.
Result<void> clear_socket(asio::io_context& io, const std::string& path) {
  struct stat status {};
  if (lstat(path.c_str(), &status) != 0) return {};
  if (!S_ISSOCK(status.st_mode)) return Error{path + " exists and is not a socket"};
  Unix::socket probe(io);
  error_code error;
  probe.connect(Unix::endpoint(path), error);
  if (!error) return Error{path + " is in use: another millraced is running"};
  unlink(path.c_str());
  return {};
}

}  // namespace

struct HttpServer::Impl {
  explicit Impl(Api& api) {
    local.handle = [&api](const ApiRequest& r) { return api.handle(r); };
    // The TCP port is for a metrics collector alone: it reaches nothing else.
    tcp.handle = [&api](const ApiRequest& r) {
      if (r.target.substr(0, r.target.find('?')) != "/metrics") {
        return problem(404, "Not found", "only /metrics is served here");
      }
      return api.handle(r);
    };
  }

  template <class Protocol>
  struct Listener {
    Listener(asio::io_context& io, const Limits& l) : limits(l), acceptor(io), timer(io) {}
    const Limits& limits;
    typename Protocol::acceptor acceptor;
    asio::steady_timer timer;
    std::function<ApiResponse(const ApiRequest&)> handle;
  };

  template <class Protocol>
  void accept(Listener<Protocol>& on, int& sessions) {
    on.acceptor.async_accept([this, &on, &sessions](error_code error, typename Protocol::socket socket) {
      if (error == asio::error::operation_aborted) return;
      if (!error && sessions < on.limits.sessions) {
        std::make_shared<Session<Protocol>>(std::move(socket), on.handle, on.limits, sessions)->read();
      }
      if (error) {  // out of descriptors, say: do not spin
        on.timer.expires_after(std::chrono::milliseconds(100));
        return on.timer.async_wait([this, &on, &sessions](error_code) { accept(on, sessions); });
      }
      accept(on, sessions);
    });
  }

  Result<void> open_socket(const Options& options) {
    error_code error;
    make_folder(std::filesystem::path(options.socket).parent_path());
    if (auto cleared = clear_socket(io, options.socket); !cleared) return cleared;
    Unix::endpoint endpoint;
    try {
      endpoint = Unix::endpoint(options.socket);
    } catch (const std::exception&) {
      return Error{options.socket + ": the path is too long for a socket"};
    }
    local.acceptor.open(endpoint.protocol(), error);
    const mode_t before = umask(0117);  // never open to others, not even until chmod
    if (!error) local.acceptor.bind(endpoint, error);
    umask(before);
    if (!error) local.acceptor.listen(asio::socket_base::max_listen_connections, error);
    if (error) return Error{options.socket + ": " + error.message()};
    path = options.socket;
    restrict_access(path);
    return {};
  }

  int local_sessions = 0;  // sessions end with `io`, and count themselves out
  int tcp_sessions = 0;
  asio::io_context io{1};
  Listener<Unix> local{io, kLocalLimits};
  Listener<Tcp> tcp{io, kMetricsLimits};
  std::string path;
};

HttpServer::HttpServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Result<std::unique_ptr<HttpServer>> HttpServer::open(const Options& options, Api& api) {
  auto impl = std::make_unique<Impl>(api);
  if (auto opened = impl->open_socket(options); !opened) return Error{opened.error()};
  if (options.metrics) {
    if (auto opened = listen_tcp(impl->tcp.acceptor, *options.metrics, "control.metrics"); !opened)
      return Error{opened.error()};
  }
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(impl)));
}

void HttpServer::start() {
  ended_.store(false, std::memory_order_release);
  thread_ = std::thread([this] {
    pthread_setname_np(pthread_self(), "mr-api");
    setpriority(PRIO_PROCESS, static_cast<id_t>(gettid()), 10);  // the control loop goes first
    impl_->accept(impl_->local, impl_->local_sessions);
    if (impl_->tcp.acceptor.is_open()) impl_->accept(impl_->tcp, impl_->tcp_sessions);
    impl_->io.run();
    ended_.store(true, std::memory_order_release);
  });
}

void HttpServer::request_stop() {
  impl_->io.stop();
}

void HttpServer::join() {
  if (thread_.joinable()) thread_.join();
}

HttpServer::~HttpServer() {
  request_stop();
  join();
  if (!impl_->path.empty()) unlink(impl_->path.c_str());
}

}  // namespace millrace::controlplane
