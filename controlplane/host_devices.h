// What the kernel of the host shows of our interfaces: one device each, with a descriptor that takes and
// gives whole frames. The real ones are TAPs (taps.h).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "config/model.h"
#include "net/ip_address.h"
#include "net/mac.h"
#include "net/result.h"

namespace millrace::controlplane {

// What a device looks like to daemons.
struct HostDeviceSettings {
  MacAddress mac;
  unsigned mtu = 1500;
  bool carrier = false;
  PerFamily<config::InterfaceAddresses> addresses;  // the link-local one among them
  friend bool operator==(const HostDeviceSettings&, const HostDeviceSettings&) = default;
};

// An address that a daemon gave a device, beside those that are Millrace's.
struct LentAddress {
  IpAddress address;
  std::uint8_t length = 0;
  std::optional<MacAddress> mac;  // of the virtual router that has it (RFC 5798); none: the device's
  friend bool operator==(const LentAddress&, const LentAddress&) = default;
};

struct HostDevice {
  int fd = -1;              // does not block; closing it leaves the device to its daemons
  std::uint32_t index = 0;  // the kernel's, in its namespace
};

class HostDevices {
 public:
  virtual ~HostDevices() = default;
  // The device of this name, made if there is none. The caller closes the descriptor.
  virtual Result<HostDevice> open(const std::string& name) = 0;
  virtual Result<void> set(const HostDevice& device, const HostDeviceSettings& settings) = 0;
  // The device goes when its descriptor is closed.
  virtual void remove(const HostDevice& device) = 0;

  // Readable when what is lent may have changed, until take_notices(); -1: that is never said.
  [[nodiscard]] virtual int notices() const = 0;
  virtual void take_notices() = 0;
  // What daemons have put on the devices, and on their devices above them, by the devices' numbers.
  virtual Result<std::map<std::uint32_t, std::vector<LentAddress>>> lent() = 0;
};

}  // namespace millrace::controlplane
