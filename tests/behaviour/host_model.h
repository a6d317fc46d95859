// Devices of the host without a kernel: sockets that keep frames whole, whose far ends the test holds.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "controlplane/host_devices.h"
#include "tests/packets/packet.h"

namespace millrace::behaviour {

class HostModel : public controlplane::HostDevices {
 public:
  HostModel();
  ~HostModel() override;
  HostModel(const HostModel&) = delete;
  HostModel& operator=(const HostModel&) = delete;

  // A device that is there keeps its number.
  Result<controlplane::HostDevice> open(const std::string& name) override;
  Result<void> set(const controlplane::HostDevice& device,
                   const controlplane::HostDeviceSettings& settings) override;
  void remove(const controlplane::HostDevice& device) override;
  [[nodiscard]] int notices() const override { return notices_; }
  void take_notices() override;
  Result<std::map<std::uint32_t, std::vector<controlplane::LentAddress>>> lent() override { return lent_; }

  struct Device {
    int far_end = -1;
    std::uint32_t index = 0;
    controlplane::HostDeviceSettings settings;
  };
  [[nodiscard]] const Device* find(const std::string& name) const;  // null: there is none
  std::vector<packets::Bytes> heard(const std::string& name);       // by its daemons
  void say(const std::string& name, const packets::Bytes& frame);
  void lend(const std::string& name, const std::vector<controlplane::LentAddress>& addresses);
  std::string failure;  // of open(), where not empty

 private:
  std::map<std::string, Device> devices_;
  std::map<std::uint32_t, std::vector<controlplane::LentAddress>> lent_;
  int notices_;
  std::uint32_t made_ = 0;
};

}  // namespace millrace::behaviour
