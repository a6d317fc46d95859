// The network namespace in which daemons see the router's interfaces: that of millraced itself, or one by
// name (ip-netns(8)), made if there is none. Privileges are dropped after it was entered: a thread stays in
// it.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "net/result.h"

namespace millrace::controlplane {

class HostNetns {
 public:
  // An empty name: millraced's own. Another one needs CAP_SYS_ADMIN; sysctls are set in one that is made here
  // alone: the kernel does not forward in it, and keeps IPv6 addresses without asking for duplicates.
  static Result<std::unique_ptr<HostNetns>> enter(const std::string& name);
  ~HostNetns();
  HostNetns(const HostNetns&) = delete;
  HostNetns& operator=(const HostNetns&) = delete;

  // Runs `work` in the namespace, and waits for it: what it opens there stays there. Nothing is thrown.
  void run(const std::function<void()>& work);
  // "" or the name.
  [[nodiscard]] const std::string& name() const { return name_; }

 private:
  struct Inside;
  explicit HostNetns(std::string name);
  std::string name_;
  std::unique_ptr<Inside> inside_;  // null: millraced's own
};

}  // namespace millrace::controlplane
