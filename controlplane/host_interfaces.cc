#include "controlplane/host_interfaces.h"

#include <spdlog/spdlog.h>
#include <sys/epoll.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <set>
#include <span>
#include <vector>

#include "dataplane/packet.h"
#include "net/wire.h"

namespace millrace::controlplane {

namespace {

constexpr std::size_t kL2 = sizeof(wire::Ethernet);
constexpr std::uint32_t kNotices = 0xffffffff;  // in epoll: not a device

HostDeviceSettings settings_of(const Interface& interface) {
  HostDeviceSettings settings{interface.mac, interface.config.mtu, interface.up,
                              interface.configured_addresses()};
  constexpr std::uint8_t kLinkLocalLength = 64;  // RFC 4291 2.5.6
  if (const auto own = interface.link_local()) settings.addresses.ipv6.push_back({*own, kLinkLocalLength});
  return settings;
}

// A packet of a daemon that Output can look up, and policies can be asked about.
bool can_be_routed(std::span<const std::byte> packet, std::uint16_t type) {
  if (type == wire::kEtherTypeIpv4) {
    wire::Ipv4 ip;
    if (packet.size() < sizeof ip) return false;
    std::memcpy(static_cast<void*>(&ip), packet.data(), sizeof ip);
    return ip.version() == 4 && ip.header_length() >= sizeof ip &&
           ip.total_length.host() >= ip.header_length() && ip.total_length.host() <= packet.size();
  }
  wire::Ipv6 ip;
  if (type != wire::kEtherTypeIpv6 || packet.size() < sizeof ip) return false;
  std::memcpy(static_cast<void*>(&ip), packet.data(), sizeof ip);
  return ip.version() == 6 && sizeof ip + ip.payload_length.host() <= packet.size();
}

}  // namespace

HostInterfaces::HostInterfaces(HostDevices& devices, const Interfaces& interfaces, Output& output)
    : devices_(devices), interfaces_(interfaces), output_(output), epoll_(epoll_create1(EPOLL_CLOEXEC)) {
  if (devices.notices() >= 0) watch(devices.notices(), kNotices);
}

// Devices stay: daemons are to see theirs when millraced is back.
HostInterfaces::~HostInterfaces() {
  while (!by_id_.empty()) close(by_id_.begin()->first, false);
  ::close(epoll_);
}

void HostInterfaces::sync() {
  std::set<std::uint16_t> wanted;
  interfaces_.visit([&](const Interface& interface) {
    if (interface.config.host) wanted.insert(interface.id.value());
  });
  std::vector<std::uint16_t> going;
  for (const auto& [id, one] : by_id_) {
    const Interface* interface = interfaces_.find(InterfaceId(id));
    if (!wanted.contains(id) || interface->name != one->name) going.push_back(id);
  }
  for (const std::uint16_t id : going) {
    // One that was made anew keeps its device.
    const Interface* again = interfaces_.find(by_id_.at(id)->name);
    close(id, again == nullptr || !again->config.host);
  }
  for (const std::uint16_t id : wanted) {
    const Interface& interface = *interfaces_.find(InterfaceId(id));
    if (!has(interface.id)) open(interface);
    if (has(interface.id)) update(*by_id_.at(id), interface);
  }
}

void HostInterfaces::open(const Interface& interface) {
  const auto device = devices_.open(interface.name);
  if (!device) return complain(interface.name, device.error());
  auto one = std::make_unique<One>();
  one->id = interface.id;
  one->name = interface.name;
  one->device = *device;
  watch(device->fd, interface.id.value());
  by_id_[interface.id.value()] = std::move(one);
}

void HostInterfaces::watch(int fd, std::uint32_t as) {
  epoll_event wanted{};
  wanted.events = EPOLLIN;
  wanted.data.u32 = as;
  epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &wanted);
}

void HostInterfaces::close(std::uint16_t id, bool forever) {
  const auto at = by_id_.find(id);
  if (forever) devices_.remove(at->second->device);
  ::close(at->second->device.fd);  // and out of epoll_
  by_id_.erase(at);
}

void HostInterfaces::update(One& one, const Interface& interface) {
  const HostDeviceSettings settings = settings_of(interface);
  if (one.is_set && settings == one.settings) return;
  one.settings = settings;
  const auto set = devices_.set(one.device, settings);
  one.is_set = bool(set);
  if (!set) return complain(interface.name, set.error());
  complaints_.erase(interface.name);
}

void HostInterfaces::complain(const std::string& name, const std::string& what) {
  std::string& last = complaints_[name];
  if (last != what) spdlog::error("interface {}: host: {}", name, what);
  last = what;
}

void HostInterfaces::send(const rte_mbuf* frame, const Interface& on) {
  const auto at = by_id_.find(on.id.value());
  if (at == by_id_.end()) return;
  One& one = *at->second;
  constexpr std::size_t kMaxSegments = 64;
  std::array<iovec, kMaxSegments> parts;
  std::size_t count = 0;
  for (const rte_mbuf* part = frame; part != nullptr && count < parts.size(); part = part->next)
    parts[count++] = {rte_pktmbuf_mtod(part, void*), part->data_len};
  const bool is_whole = frame->nb_segs <= parts.size();
  if (is_whole && writev(one.device.fd, parts.data(), static_cast<int>(count)) >= 0) {
    ++one.counters.to_host;
  } else {
    ++one.counters.to_host_lost;
  }
}

bool HostInterfaces::receive(unsigned budget) {
  std::array<epoll_event, 64> ready;
  const int count = epoll_wait(epoll_, ready.data(), static_cast<int>(ready.size()), 0);
  if (count <= 0) return false;
  const unsigned each = std::max(1U, budget / static_cast<unsigned>(count));
  bool more = count == static_cast<int>(ready.size());
  for (int i = 0; i < count; ++i) {
    const std::uint32_t id = ready[static_cast<std::size_t>(i)].data.u32;
    if (id == kNotices) {
      devices_.take_notices();
      lent_changed_();
      continue;
    }
    const auto at = by_id_.find(static_cast<std::uint16_t>(id));
    if (at == by_id_.end()) continue;
    One& one = *at->second;
    const Interface* on = interfaces_.find(one.id);
    unsigned taken = 0;
    for (; taken < each; ++taken) {
      const auto size = read(one.device.fd, buffer_.data(), buffer_.size());
      if (size <= 0) break;
      if (on != nullptr) from_host(one, *on, static_cast<std::size_t>(size));
    }
    more = more || taken == each;
  }
  return more;
}

// The frame lies in buffer_.
void HostInterfaces::from_host(One& one, const Interface& on, std::size_t bytes) {
  ++one.counters.from_host;
  if (bytes < kL2 || bytes > kL2 + on.config.mtu) {
    ++one.counters.from_host_bad;
    return;
  }
  wire::Ethernet ethernet;
  std::memcpy(static_cast<void*>(&ethernet), buffer_.data(), sizeof ethernet);
  const bool is_routed = on.has_mac(ethernet.destination);
  std::span<const std::byte> frame(buffer_.data(), bytes);
  const bool is_read = is_routed || (on.current_policies() && wire::is_ip(ethernet.type.host()));
  if (is_read && !can_be_routed(frame.subspan(kL2), ethernet.type.host())) {
    ++one.counters.from_host_bad;
    return;
  }
  rte_mbuf* m = output_.make(is_routed ? frame.subspan(kL2) : frame);
  if (m == nullptr) {
    ++one.counters.from_host_lost;
    return;
  }
  is_routed ? output_.send_packet(m, on) : output_.send_frame(m, on);
}

std::map<std::uint16_t, std::vector<LentAddress>> HostInterfaces::lent() {
  auto by_index = devices_.lent();
  std::map<std::uint16_t, std::vector<LentAddress>> found;
  if (!by_index) spdlog::error("host: {}", by_index.error());
  for (const auto& [id, one] : by_id_) {
    if (by_index) one->lent = std::move((*by_index)[one->device.index]);
    found[id] = one->lent;
  }
  return found;
}

std::string HostInterfaces::interface_of(std::uint32_t index) const {
  for (const auto& [id, one] : by_id_) {
    if (one->device.index == index) return one->name;
  }
  return {};
}

const HostInterfaces::Counters* HostInterfaces::counters(InterfaceId id) const {
  const auto at = by_id_.find(id.value());
  return at == by_id_.end() ? nullptr : &at->second->counters;
}

std::uint32_t HostInterfaces::index(InterfaceId id) const {
  const auto at = by_id_.find(id.value());
  return at == by_id_.end() ? 0 : at->second->device.index;
}

}  // namespace millrace::controlplane
