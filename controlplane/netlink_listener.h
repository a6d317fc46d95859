// The kernel's socket on the control loop: reads for the NetlinkFeed, sends what it asks, and gives it time
// to work, in turns of about a millisecond.
#pragma once

#include <functional>
#include <memory>

#include "controlplane/netlink_feed.h"
#include "controlplane/netlink_socket.h"

namespace boost::asio {
class io_context;
}

namespace millrace::controlplane {

class NetlinkListener {
 public:
  NetlinkListener(boost::asio::io_context& io, NetlinkSocket socket);
  ~NetlinkListener();
  NetlinkListener(const NetlinkListener&) = delete;
  NetlinkListener& operator=(const NetlinkListener&) = delete;

  // `tell_time` gives the feed the time. The feed outlives the listener, or stop() is called.
  void start(NetlinkFeed& feed, std::function<void()> tell_time);
  // Work that came with the time: call it after each tick of the feed.
  void poke();
  void stop();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace millrace::controlplane
