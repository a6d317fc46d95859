// Says that something about a kernel's links or addresses has changed, and not what: who wants to know asks.
// One thread at a time.
#pragma once

#include <memory>

#include "net/result.h"

struct mnl_socket;

namespace millrace::controlplane {

class KernelNotices {
 public:
  // In the calling thread's network namespace; `groups` of RTMGRP_* (rtnetlink(7)).
  static Result<std::unique_ptr<KernelNotices>> open(unsigned groups);
  ~KernelNotices();
  KernelNotices(const KernelNotices&) = delete;
  KernelNotices& operator=(const KernelNotices&) = delete;

  [[nodiscard]] int fd() const;  // readable: something has changed
  // Takes all that has come. Never waits.
  void take();

 private:
  explicit KernelNotices(mnl_socket* socket) : socket_(socket) {}
  mnl_socket* socket_;
};

}  // namespace millrace::controlplane
