// HTTP/1.1 on a UNIX socket, and /metrics on a TCP port: the API's own thread.
//
// The thread runs below the control thread's priority; a request is handled to its end before the next one.
// Limits: a body of 64 MiB, 128 connections, 60 s for a request to arrive, an hour between requests.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "controlplane/api.h"
#include "net/result.h"

namespace millrace::controlplane {

inline constexpr const char* kApiGroup = "millrace";  // who may use the API beside root, where it exists

class HttpServer {
 public:
  struct Options {
    std::string socket;                  // its folder is made if it is missing; a stale socket is replaced
    std::optional<std::string> metrics;  // "address:port"
  };

  // Opens the sockets on the calling thread, so that an error is known and privileges may be dropped
  // afterwards.
  static Result<std::unique_ptr<HttpServer>> open(const Options& options, Api& api);
  ~HttpServer();  // stops, and removes the socket
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  void start();
  // Ends the thread. `keep_alive` is called again and again until it has ended: requests under way may need
  // the control thread, which is the caller.
  template <class KeepAlive>
  void stop(KeepAlive&& keep_alive) {
    request_stop();
    while (!ended_.load(std::memory_order_acquire)) keep_alive();
    join();
  }

 private:
  struct Impl;
  explicit HttpServer(std::unique_ptr<Impl> impl);
  void request_stop();
  void join();

  std::unique_ptr<Impl> impl_;
  std::thread thread_;
  std::atomic<bool> ended_{true};
};

}  // namespace millrace::controlplane
