// TAPs in the namespace of daemons. They outlive millraced: one that was left is taken up again, with its
// number, so that a daemon need not see its interface go. Linux' tuntap.rst and rtnetlink(7).
#pragma once

#include <memory>

#include "controlplane/host_devices.h"
#include "controlplane/host_netns.h"

namespace millrace::controlplane {

class Taps : public HostDevices {
 public:
  // `netns` outlives it.
  static Result<std::unique_ptr<Taps>> open(HostNetns& netns);
  ~Taps() override;
  Taps(const Taps&) = delete;
  Taps& operator=(const Taps&) = delete;

  Result<HostDevice> open(const std::string& name) override;
  // Addresses that Millrace has not got are taken off the device.
  Result<void> set(const HostDevice& device, const HostDeviceSettings& settings) override;
  void remove(const HostDevice& device) override;

 private:
  class Netlink;
  Taps(HostNetns& netns, std::unique_ptr<Netlink> netlink);
  HostNetns& netns_;
  std::unique_ptr<Netlink> netlink_;
};

}  // namespace millrace::controlplane
