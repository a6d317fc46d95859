#include "controlplane/kernel_notices.h"

#include <libmnl/libmnl.h>
#include <linux/netlink.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string>

namespace millrace::controlplane {

Result<std::unique_ptr<KernelNotices>> KernelNotices::open(unsigned groups) {
  mnl_socket* socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (socket == nullptr) return Error{std::string("cannot open a netlink socket: ") + std::strerror(errno)};
  std::unique_ptr<KernelNotices> notices(new KernelNotices(socket));
  if (mnl_socket_bind(socket, groups, MNL_SOCKET_AUTOPID) != 0)
    return Error{std::string("cannot listen to the kernel: ") + std::strerror(errno)};
  return notices;
}

KernelNotices::~KernelNotices() {
  mnl_socket_close(socket_);
}

int KernelNotices::fd() const {
  return mnl_socket_get_fd(socket_);
}

// That some were lost (ENOBUFS) is a notice as well.
void KernelNotices::take() {
  std::array<char, 4096> ignored;
  while (recv(fd(), ignored.data(), ignored.size(), MSG_TRUNC) >= 0 || errno == EINTR || errno == ENOBUFS) {
  }
}

}  // namespace millrace::controlplane
