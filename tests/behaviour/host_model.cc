#include "host_model.h"

#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>

namespace millrace::behaviour {

HostModel::HostModel() : notices_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {}

HostModel::~HostModel() {
  close(notices_);
  for (const auto& [name, device] : devices_) close(device.far_end);
}

Result<controlplane::HostDevice> HostModel::open(const std::string& name) {
  if (!failure.empty()) return Error{failure};
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) != 0)
    return Error{"no socket pair"};
  Device& device = devices_[name];
  if (device.far_end >= 0) close(device.far_end);
  if (device.index == 0) device.index = ++made_;
  device.far_end = ends[1];
  return controlplane::HostDevice{ends[0], device.index};
}

Result<void> HostModel::set(const controlplane::HostDevice& device,
                            const controlplane::HostDeviceSettings& settings) {
  for (auto& [name, one] : devices_) {
    if (one.index == device.index) one.settings = settings;
  }
  return {};
}

void HostModel::remove(const controlplane::HostDevice& device) {
  std::erase_if(devices_, [&](const auto& entry) {
    if (entry.second.index != device.index) return false;
    close(entry.second.far_end);
    return true;
  });
}

const HostModel::Device* HostModel::find(const std::string& name) const {
  const auto at = devices_.find(name);
  return at == devices_.end() ? nullptr : &at->second;
}

void HostModel::lend(const std::string& name, const std::vector<controlplane::LentAddress>& addresses) {
  lent_[devices_.at(name).index] = addresses;
  ASSERT_EQ(eventfd_write(notices_, 1), 0);
}

void HostModel::take_notices() {
  eventfd_t count = 0;
  ASSERT_EQ(eventfd_read(notices_, &count), 0);
}

std::vector<packets::Bytes> HostModel::heard(const std::string& name) {
  std::vector<packets::Bytes> frames;
  packets::Bytes frame(65536);
  while (true) {
    const auto size = recv(devices_.at(name).far_end, frame.data(), frame.size(), 0);
    if (size <= 0) return frames;
    frames.emplace_back(frame.begin(), frame.begin() + size);
  }
}

void HostModel::say(const std::string& name, const packets::Bytes& frame) {
  ASSERT_EQ(send(devices_.at(name).far_end, frame.data(), frame.size(), 0),
            static_cast<ssize_t>(frame.size()));
}

}  // namespace millrace::behaviour
