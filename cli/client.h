// One HTTP exchange with the daemon. The commands see only Transport, so that tests can answer in its place.
#pragma once

#include <memory>
#include <string>

namespace millrace::cli {

struct Request {
  std::string method = "GET";
  std::string target;  // path and query, encoded
  std::string body;
  std::string content_type;  // of the body, if there is one
  std::string if_match;      // an entity tag with its quotes; empty: not sent
};

struct Response {
  unsigned status = 0;
  std::string body;
};

class Transport {
 public:
  Transport() = default;
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;
  virtual ~Transport() = default;
  // Throws Failure if there is no daemon or no whole answer.
  virtual Response send(Request request) = 0;
};

// HTTP/1.1 on the daemon's UNIX socket. Connects at the first request and keeps the connection, and so the
// daemon's work per request is small in a load of many batches.
std::unique_ptr<Transport> connect_to_daemon(std::string socket_path);

}  // namespace millrace::cli
