// TAPs in the namespace of daemons. They outlive millraced: one that was left is taken up again, with its
// number, so that a daemon need not see its interface go. Linux' tuntap.rst and rtnetlink(7).
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "controlplane/host_devices.h"
#include "controlplane/host_netns.h"
#include "controlplane/kernel_notices.h"

namespace millrace::controlplane {

class Taps : public HostDevices {
 public:
  // `netns` outlives it.
  static Result<std::unique_ptr<Taps>> open(HostNetns& netns);
  ~Taps() override;
  Taps(const Taps&) = delete;
  Taps& operator=(const Taps&) = delete;

  Result<HostDevice> open(const std::string& name) override;
  // Those of its addresses that were Millrace's and are not any more are taken off the device.
  Result<void> set(const HostDevice& device, const HostDeviceSettings& settings) override;
  void remove(const HostDevice& device) override;
  [[nodiscard]] int notices() const override { return notices_->fd(); }
  void take_notices() override { notices_->take(); }
  // Addresses of a TAP, and those of macvlans on it that have a carrier (FRR's vrrpd takes it from one that
  // is not the master's) with the macvlan's MAC.
  Result<std::map<std::uint32_t, std::vector<LentAddress>>> lent() override;

 private:
  class Netlink;
  Taps(HostNetns& netns, std::unique_ptr<Netlink> netlink, std::unique_ptr<KernelNotices> notices);
  HostNetns& netns_;
  std::unique_ptr<Netlink> netlink_;
  std::unique_ptr<KernelNotices> notices_;
  std::map<std::uint32_t, HostDeviceSettings> set_;  // by a device's number
};

}  // namespace millrace::controlplane
