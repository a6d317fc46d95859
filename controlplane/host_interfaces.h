// Interfaces as daemons see them: of each that is to have one, a device of the host (host_devices.h) with its
// name, MAC, MTU, addresses and carrier.
//
// To it goes what is for daemons: what is for the router's addresses and Millrace has no answer of its own
// to, groups of the link, and what neighbours answer. What daemons send leaves by the interface as it is; a
// frame to the interface's own MAC is a packet that is to be routed. Control thread only.
#pragma once

#include <rte_mbuf.h>

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "controlplane/host_devices.h"
#include "controlplane/interfaces.h"
#include "controlplane/output.h"
#include "net/result.h"

namespace millrace::controlplane {

class HostInterfaces {
 public:
  struct Counters {
    std::uint64_t to_host = 0;
    std::uint64_t to_host_lost = 0;  // the device's queue was full, or it is down
    std::uint64_t from_host = 0;
    std::uint64_t from_host_bad = 0;   // too short or too long, or no packet that can be routed
    std::uint64_t from_host_lost = 0;  // no buffer
  };

  // `devices` and `output` outlive it.
  HostInterfaces(HostDevices& devices, const Interfaces& interfaces, Output& output);
  ~HostInterfaces();
  HostInterfaces(const HostInterfaces&) = delete;
  HostInterfaces& operator=(const HostInterfaces&) = delete;

  // `lent_changed`: what lent() says may be something else now.
  void set_hook(std::function<void()> lent_changed) { lent_changed_ = std::move(lent_changed); }
  // After interfaces came, went or changed: makes their devices so. What cannot be made is logged, once.
  void sync();

  [[nodiscard]] bool has(InterfaceId id) const { return by_id_.contains(id.value()); }
  // Copies a frame to the interface's device; nothing happens if it has none.
  void send(const rte_mbuf* frame, const Interface& on);
  // Readable when daemons have sent something: see receive().
  [[nodiscard]] int fd() const { return epoll_; }
  // What daemons lend, by interface. Asks the kernel.
  [[nodiscard]] std::map<std::uint16_t, std::vector<LentAddress>> lent();
  // Takes up to `budget` frames from daemons, each device in turn; true if there may be more.
  bool receive(unsigned budget);

  // The interface whose device has this number, or empty.
  [[nodiscard]] std::string interface_of(std::uint32_t index) const;
  // Of the interface's device, or null.
  [[nodiscard]] const Counters* counters(InterfaceId id) const;
  [[nodiscard]] std::uint32_t index(InterfaceId id) const;

 private:
  struct One {
    InterfaceId id;
    std::string name;
    HostDevice device;
    HostDeviceSettings settings;
    bool is_set = false;            // as `settings` say
    std::vector<LentAddress> lent;  // as it was said last
    Counters counters;
  };
  void open(const Interface& interface);
  void watch(int fd, std::uint32_t as);
  void close(std::uint16_t id, bool forever);
  void update(One& one, const Interface& interface);
  void complain(const std::string& name, const std::string& what);
  void from_host(One& one, const Interface& on, std::size_t bytes);

  HostDevices& devices_;
  const Interfaces& interfaces_;
  Output& output_;
  int epoll_;
  std::function<void()> lent_changed_ = [] {};
  std::map<std::uint16_t, std::unique_ptr<One>> by_id_;
  std::map<std::string, std::string> complaints_;  // [interface]: what the log has heard of
  std::array<std::byte, 64 << 10> buffer_;
};

}  // namespace millrace::controlplane
