#include "controlplane/netlink_socket.h"

#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

namespace millrace::controlplane {
namespace {

constexpr int kBufferBytes = 32 << 20;  // 35,000 changes a second, unread for a second

Error system_error(const std::string& what) {
  return Error{what + ": " + std::strerror(errno)};
}

}  // namespace

Result<NetlinkSocket> NetlinkSocket::open() {
  NetlinkSocket socket(mnl_socket_open2(NETLINK_ROUTE, SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (socket.socket_ == nullptr) return system_error("feeds.netlink: cannot open a netlink socket");
  if (auto prepared = socket.prepare(); !prepared) return Error{prepared.error()};
  return socket;
}

void NetlinkSocket::Close::operator()(mnl_socket* socket) const {
  mnl_socket_close(socket);
}

int NetlinkSocket::fd() const {
  return mnl_socket_get_fd(socket_.get());
}

// Groups are joined last: a socket that binds itself later loses what came before.
Result<void> NetlinkSocket::prepare() {
  enlarge_buffer();
  if (mnl_socket_bind(socket_.get(), 0, MNL_SOCKET_AUTOPID) != 0)
    return system_error("feeds.netlink: cannot bind a netlink socket");
  int on = 1;
  // Older kernels cannot, and dump all tables.
  static_cast<void>(mnl_socket_setsockopt(socket_.get(), NETLINK_GET_STRICT_CHK, &on, sizeof on));
  for (int group :
       {RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_NEXTHOP, RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE}) {
    const bool joined =
        mnl_socket_setsockopt(socket_.get(), NETLINK_ADD_MEMBERSHIP, &group, sizeof group) == 0;
    // Kernels before 5.3 have no next-hop objects.
    if (!joined && group != RTNLGRP_NEXTHOP)
      return system_error("feeds.netlink: cannot listen to the kernel's group " + std::to_string(group));
  }
  return {};
}

void NetlinkSocket::enlarge_buffer() {
  if (setsockopt(fd(), SOL_SOCKET, SO_RCVBUFFORCE, &kBufferBytes, sizeof kBufferBytes) == 0) return;
  static_cast<void>(setsockopt(fd(), SOL_SOCKET, SO_RCVBUF, &kBufferBytes, sizeof kBufferBytes));
  int has = 0;
  socklen_t size = sizeof has;
  static_cast<void>(getsockopt(fd(), SOL_SOCKET, SO_RCVBUF, &has, &size));
  warning_ = "the buffer for the kernel's messages has " + std::to_string(has >> 10) +
             " KiB only (net_admin makes it larger): many changes at once will be lost, and lead to resyncs";
}

NetlinkSocket::Received NetlinkSocket::receive(std::span<std::uint8_t> room) {
  for (;;) {
    sockaddr_nl from{};
    iovec part{room.data(), room.size()};
    msghdr message{};
    message.msg_name = &from;
    message.msg_namelen = sizeof from;
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    const ssize_t size = recvmsg(fd(), &message, 0);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return {};
    if (size < 0 || (message.msg_flags & MSG_TRUNC) != 0) return {Received::Kind::lost, 0};
    // Programs may send to it, too.
    if (from.nl_pid == 0) return {Received::Kind::datagram, static_cast<std::size_t>(size)};
  }
}

Result<void> NetlinkSocket::send(std::span<const std::uint8_t> request) {
  if (mnl_socket_sendto(socket_.get(), request.data(), request.size()) < 0)
    return system_error("a request to the kernel failed");
  return {};
}

std::size_t NetlinkSocket::queued_bytes() const {
  std::uint32_t memory[SK_MEMINFO_VARS] = {};
  socklen_t size = sizeof memory;
  if (getsockopt(fd(), SOL_SOCKET, SO_MEMINFO, memory, &size) != 0) return 0;
  return memory[SK_MEMINFO_RMEM_ALLOC];
}

}  // namespace millrace::controlplane
