// A socket that a kernel tells changes of its links, their IPv4 addresses, next hops and routes to, and dumps
// on request.
//
// It belongs to the network namespace in which it was opened, whatever its user's is. Non-blocking. One
// thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "net/result.h"

struct mnl_socket;

namespace millrace::controlplane {

class NetlinkSocket {
 public:
  // The longest datagram that is read whole: twice and more of what a kernel sends.
  static constexpr std::size_t kMaxDatagram = 128 << 10;

  struct Received {
    enum class Kind : std::uint8_t { datagram, nothing, lost };
    Kind kind = Kind::nothing;  // `lost`: there was no room for some, or it could not be read whole
    std::size_t bytes = 0;
  };

  // In the calling thread's network namespace. A large buffer takes CAP_NET_ADMIN; without, `warning` says
  // how small it is.
  static Result<NetlinkSocket> open();

  [[nodiscard]] int fd() const;
  // What else than the kernel sends is passed over. `room` is at least kMaxDatagram.
  Received receive(std::span<std::uint8_t> room);
  Result<void> send(std::span<const std::uint8_t> request);
  // What waits to be read, with the kernel's own costs.
  [[nodiscard]] std::size_t queued_bytes() const;
  [[nodiscard]] const std::string& warning() const { return warning_; }

 private:
  struct Close {
    void operator()(mnl_socket* socket) const;
  };
  explicit NetlinkSocket(mnl_socket* socket) : socket_(socket) {}
  Result<void> prepare();
  void enlarge_buffer();

  std::unique_ptr<mnl_socket, Close> socket_;
  std::string warning_;
};

}  // namespace millrace::controlplane
