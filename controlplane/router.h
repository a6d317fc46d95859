// The router: owns DPDK, the control plane, the workers and the API, and runs the control loop.
//
// Members are in the order in which they are made; they end in the reverse order: the API first, then the
// workers, the ports and tables (Control), DPDK last.
#pragma once

#include <memory>
#include <string>

#include "config/model.h"
#include "controlplane/host_netns.h"
#include "net/result.h"

namespace millrace::controlplane {

class Router {
 public:
  // Starts everything; the calling thread becomes the control thread. The error names what failed. `netns`,
  // the one that the configuration names, outlives it.
  static Result<std::unique_ptr<Router>> start(const config::Config& config, const std::string& config_file,
                                               HostNetns& netns);
  ~Router();
  Router(const Router&) = delete;
  Router& operator=(const Router&) = delete;

  // The control loop, until SIGINT or SIGTERM.
  void run();

 private:
  struct Impl;
  explicit Router(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace millrace::controlplane
