// The TCP server that zebra's FPM connects to: reads for the FpmFeed, and gives it time to work.
//
// Everything runs on the control loop, in turns of about a millisecond. One daemon at a time: one that
// connects takes the place of the one before, as a daemon that was restarted may come before the end of its
// old connection is known. A daemon that sends what is no FPM is disconnected, and the log says why.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "controlplane/fpm_feed.h"
#include "net/result.h"

namespace boost::asio {
class io_context;
}

namespace millrace::controlplane {

class FpmServer {
 public:
  // Listens on "address:port", so that an error is known; nobody is accepted before start().
  static Result<std::unique_ptr<FpmServer>> open(boost::asio::io_context& io, const std::string& listen);
  ~FpmServer();
  FpmServer(const FpmServer&) = delete;
  FpmServer& operator=(const FpmServer&) = delete;

  // `tell_time` gives the feed the time. The feed outlives the server, or stop() is called.
  void start(FpmFeed& feed, std::function<void()> tell_time);
  // Work that came with the time: call it after each tick of the feed.
  void poke();
  void stop();

 private:
  struct Impl;
  explicit FpmServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace millrace::controlplane
