#include "controlplane/taps.h"

#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <optional>
#include <vector>

namespace millrace::controlplane {

namespace {

constexpr std::uint8_t kProtocol = 77;  // IFA_PROTO of our addresses; kernels before 5.18 forget it

Error system_error(const std::string& what) {
  return Error{what + ": " + std::strerror(errno)};
}

// Of Millrace's own addresses.
template <class Is>
bool any_own(const HostDeviceSettings& settings, const Is& is) {
  return std::ranges::any_of(settings.addresses.ipv4, is) || std::ranges::any_of(settings.addresses.ipv6, is);
}

}  // namespace

// A socket that asks the kernel, and waits for its answer.
class Taps::Netlink {
 public:
  explicit Netlink(mnl_socket* socket) : socket_(socket), port_(mnl_socket_get_portid(socket)) {}
  ~Netlink() { mnl_socket_close(socket_); }
  Netlink(const Netlink&) = delete;
  Netlink& operator=(const Netlink&) = delete;

  nlmsghdr* begin(std::uint16_t type, unsigned flags) {
    nlmsghdr* message = mnl_nlmsg_put_header(buffer_.data());
    message->nlmsg_type = type;
    message->nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | flags);
    message->nlmsg_seq = ++sequence_;
    return message;
  }
  // False: errno says why. `each` gets the messages of a dump.
  bool ask(const nlmsghdr* message, int (*each)(const nlmsghdr*, void*) = nullptr, void* data = nullptr) {
    if (mnl_socket_sendto(socket_, message, message->nlmsg_len) < 0) return false;
    std::array<char, 32768> answer;
    int going_on = MNL_CB_OK;
    while (going_on == MNL_CB_OK) {
      const auto size = mnl_socket_recvfrom(socket_, answer.data(), answer.size());
      if (size < 0) return false;
      going_on = mnl_cb_run(answer.data(), static_cast<std::size_t>(size), sequence_, port_, each, data);
    }
    return going_on == MNL_CB_STOP;
  }

  bool set_link(std::uint32_t index, const HostDeviceSettings& settings);
  bool change_address(std::uint16_t type, std::uint32_t index, const IpAddress& address, unsigned length);
  struct Address {
    std::uint32_t index = 0;
    IpAddress address;
    unsigned length = 0;
    unsigned flags = 0;
    bool is_ours = false;  // Millrace has put it there, in this life or one before
    [[nodiscard]] bool is(const IpAddress& other, unsigned prefix) const {
      return address == other && length == prefix;
    }
  };
  std::optional<std::vector<Address>> addresses();  // of all devices
  struct Macvlan {
    std::uint32_t below = 0;
    MacAddress mac;
  };
  std::optional<std::map<std::uint32_t, Macvlan>> macvlans();  // that are up, by their numbers

 private:
  mnl_socket* socket_;
  unsigned port_;
  std::uint32_t sequence_ = 0;
  alignas(nlmsghdr) std::array<char, 4096> buffer_{};
};

// Its MAC, its MTU, up. The link-local address is Millrace's matter, too: the kernel makes none.
bool Taps::Netlink::set_link(std::uint32_t index, const HostDeviceSettings& settings) {
  nlmsghdr* message = begin(RTM_NEWLINK, NLM_F_ACK);
  auto* link = static_cast<ifinfomsg*>(mnl_nlmsg_put_extra_header(message, sizeof(ifinfomsg)));
  *link = {};
  link->ifi_family = AF_UNSPEC;
  link->ifi_index = static_cast<int>(index);
  link->ifi_flags = link->ifi_change = IFF_UP;
  mnl_attr_put(message, IFLA_ADDRESS, settings.mac.bytes.size(), settings.mac.bytes.data());
  mnl_attr_put_u32(message, IFLA_MTU, settings.mtu);
  nlattr* families = mnl_attr_nest_start(message, IFLA_AF_SPEC);
  nlattr* ipv6 = mnl_attr_nest_start(message, AF_INET6);
  mnl_attr_put_u8(message, IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
  mnl_attr_nest_end(message, ipv6);
  mnl_attr_nest_end(message, families);
  return ask(message);
}

bool Taps::Netlink::change_address(std::uint16_t type, std::uint32_t index, const IpAddress& address,
                                   unsigned length) {
  const bool adds = type == RTM_NEWADDR;
  nlmsghdr* message = begin(type, adds ? NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE : NLM_F_ACK);
  auto* header = static_cast<ifaddrmsg*>(mnl_nlmsg_put_extra_header(message, sizeof(ifaddrmsg)));
  *header = {};
  header->ifa_prefixlen = static_cast<std::uint8_t>(length);
  header->ifa_index = index;
  header->ifa_flags = IFA_F_PERMANENT;
  mnl_attr_put_u8(message, IFA_PROTO, kProtocol);
  if (address.is_ipv6()) {
    const auto bytes = address.as<Ipv6Address>().bytes();
    header->ifa_family = AF_INET6;
    header->ifa_flags |= IFA_F_NODAD;  // Millrace has asked the link
    header->ifa_scope = address.as<Ipv6Address>().is_link_local() ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
    mnl_attr_put(message, IFA_LOCAL, bytes.size(), bytes.data());
    mnl_attr_put(message, IFA_ADDRESS, bytes.size(), bytes.data());
  } else {
    const Be32 bytes = address.as<Ipv4Address>().wire();
    header->ifa_family = AF_INET;
    mnl_attr_put(message, IFA_LOCAL, sizeof bytes, &bytes);
    mnl_attr_put(message, IFA_ADDRESS, sizeof bytes, &bytes);
    if (length < 31) {
      const Be32 all = Ipv4Address(address.as<Ipv4Address>().value() | ~std::uint32_t{0} >> length).wire();
      mnl_attr_put(message, IFA_BROADCAST, sizeof all, &all);
    }
  }
  if (ask(message)) return true;
  return adds ? errno == EEXIST : errno == EADDRNOTAVAIL;
}

namespace {

// Of a message, as far as they are known.
template <std::size_t kCount>
std::array<const nlattr*, kCount> attributes_of(const nlmsghdr* message, std::size_t header) {
  std::array<const nlattr*, kCount> found{};
  const auto look = [](const nlattr* attribute, void* into) -> int {
    const std::uint16_t type = mnl_attr_get_type(attribute);
    if (type < kCount) (*static_cast<std::array<const nlattr*, kCount>*>(into))[type] = attribute;
    return MNL_CB_OK;
  };
  mnl_attr_parse(message, static_cast<unsigned>(header), look, &found);
  return found;
}

template <class Value>
std::optional<Value> value_of(const nlattr* attribute) {
  if (attribute == nullptr || mnl_attr_get_payload_len(attribute) != sizeof(Value)) return std::nullopt;
  Value value;
  std::memcpy(static_cast<void*>(&value), mnl_attr_get_payload(attribute), sizeof value);
  return value;
}

std::optional<IpAddress> address_of(unsigned family, const nlattr* attribute) {
  if (const auto ipv4 = value_of<Be32>(attribute); family == AF_INET && ipv4)
    return IpAddress(Ipv4Address(*ipv4));
  if (const auto ipv6 = value_of<std::array<std::uint8_t, 16>>(attribute); family == AF_INET6 && ipv6)
    return IpAddress(Ipv6Address(*ipv6));
  return std::nullopt;
}

// IFLA_LINKINFO says the kind of a device in an attribute of its own.
bool is_macvlan(const nlattr* link_info) {
  bool found = false;
  const auto look = [](const nlattr* part, void* into) -> int {
    constexpr std::string_view kKind = "macvlan";
    if (mnl_attr_get_type(part) == IFLA_INFO_KIND && mnl_attr_get_payload_len(part) >= kKind.size())
      *static_cast<bool*>(into) = std::memcmp(mnl_attr_get_payload(part), kKind.data(), kKind.size()) == 0;
    return MNL_CB_OK;
  };
  if (link_info != nullptr) mnl_attr_parse_nested(link_info, look, &found);
  return found;
}

}  // namespace

std::optional<std::vector<Taps::Netlink::Address>> Taps::Netlink::addresses() {
  std::vector<Address> found;
  nlmsghdr* message = begin(RTM_GETADDR, NLM_F_DUMP);
  *static_cast<ifaddrmsg*>(mnl_nlmsg_put_extra_header(message, sizeof(ifaddrmsg))) = {};
  const auto add = [](const nlmsghdr* one, void* into) -> int {
    if (one->nlmsg_type != RTM_NEWADDR || mnl_nlmsg_get_payload_len(one) < sizeof(ifaddrmsg))
      return MNL_CB_OK;
    const auto* header = static_cast<const ifaddrmsg*>(mnl_nlmsg_get_payload(one));
    const auto parts = attributes_of<IFA_PROTO + 1>(one, sizeof(ifaddrmsg));
    const nlattr* own = parts[IFA_LOCAL] != nullptr ? parts[IFA_LOCAL] : parts[IFA_ADDRESS];
    const auto address = address_of(header->ifa_family, own);
    if (!address) return MNL_CB_OK;
    static_cast<std::vector<Address>*>(into)->push_back(
        {header->ifa_index, *address, header->ifa_prefixlen,
         value_of<std::uint32_t>(parts[IFA_FLAGS]).value_or(header->ifa_flags),
         value_of<std::uint8_t>(parts[IFA_PROTO]) == kProtocol});
    return MNL_CB_OK;
  };
  if (!ask(message, add, &found)) return std::nullopt;
  return found;
}

auto Taps::Netlink::macvlans() -> std::optional<std::map<std::uint32_t, Macvlan>> {
  std::map<std::uint32_t, Macvlan> found;
  nlmsghdr* message = begin(RTM_GETLINK, NLM_F_DUMP);
  *static_cast<ifinfomsg*>(mnl_nlmsg_put_extra_header(message, sizeof(ifinfomsg))) = {};
  const auto add = [](const nlmsghdr* one, void* into) -> int {
    if (one->nlmsg_type != RTM_NEWLINK || mnl_nlmsg_get_payload_len(one) < sizeof(ifinfomsg))
      return MNL_CB_OK;
    const auto* header = static_cast<const ifinfomsg*>(mnl_nlmsg_get_payload(one));
    const auto parts = attributes_of<IFLA_LINKINFO + 1>(one, sizeof(ifinfomsg));
    const auto below = value_of<std::uint32_t>(parts[IFLA_LINK]);
    const auto mac = value_of<MacAddress>(parts[IFLA_ADDRESS]);
    constexpr unsigned kRuns = IFF_UP | IFF_RUNNING;
    if (is_macvlan(parts[IFLA_LINKINFO]) && below && mac && (header->ifi_flags & kRuns) == kRuns)
      (*static_cast<std::map<std::uint32_t, Macvlan>*>(
          into))[static_cast<std::uint32_t>(header->ifi_index)] = {*below, *mac};
    return MNL_CB_OK;
  };
  if (!ask(message, add, &found)) return std::nullopt;
  return found;
}

Taps::Taps(HostNetns& netns, std::unique_ptr<Netlink> netlink, std::unique_ptr<KernelNotices> notices)
    : netns_(netns), netlink_(std::move(netlink)), notices_(std::move(notices)) {}
Taps::~Taps() = default;

Result<std::unique_ptr<Taps>> Taps::open(HostNetns& netns) {
  mnl_socket* socket = nullptr;
  Result<std::unique_ptr<KernelNotices>> notices = Error{""};
  netns.run([&] {
    notices = KernelNotices::open(RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR);
    socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
  });
  if (!notices) return Error{notices.error()};
  if (socket == nullptr) return system_error("cannot open a netlink socket");
  if (mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) != 0) {
    const Error error = system_error("cannot bind a netlink socket");
    mnl_socket_close(socket);
    return error;
  }
  return std::unique_ptr<Taps>(new Taps(netns, std::make_unique<Netlink>(socket), std::move(*notices)));
}

Result<HostDevice> Taps::open(const std::string& name) {
  Result<HostDevice> opened = Error{""};
  // The file belongs to the namespace of the thread that opens it, and so does the device.
  netns_.run([&] {
    const int fd = ::open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) {
      opened = system_error("cannot open /dev/net/tun");
      return;
    }
    ifreq request{};
    request.ifr_flags = IFF_TAP | IFF_NO_PI;
    name.copy(request.ifr_name, sizeof request.ifr_name - 1);
    const bool made = ioctl(fd, TUNSETIFF, &request) == 0 && ioctl(fd, TUNSETPERSIST, 1) == 0;
    const std::uint32_t index = made ? if_nametoindex(name.c_str()) : 0;
    if (index != 0) {
      opened = HostDevice{fd, index};
      return;
    }
    opened = errno == EINVAL  ? Error{"there is a device of this name that is no TAP"}
             : errno == EBUSY ? Error{"another process has the TAP of this name"}
                              : system_error("cannot make a TAP");
    close(fd);
  });
  return opened;
}

Result<void> Taps::set(const HostDevice& device, const HostDeviceSettings& settings) {
  if (!netlink_->set_link(device.index, settings)) return system_error("cannot set its MAC and MTU");
  const auto has = [](const HostDeviceSettings& some, const Netlink::Address& one) {
    return any_own(some, [&](const auto& own) { return one.is(IpAddress(own.address), own.length); });
  };
  auto present = netlink_->addresses();
  if (!present) return system_error("cannot read its addresses");
  std::erase_if(*present, [&](const Netlink::Address& one) { return one.index != device.index; });
  const HostDeviceSettings before = set_[device.index];
  for (const auto& one : *present) {
    const bool was_ours = one.is_ours || has(before, one);
    if (was_ours && !has(settings, one) &&
        !netlink_->change_address(RTM_DELADDR, device.index, one.address, one.length))
      return system_error("cannot remove the address " + one.address.to_string());
  }
  std::optional<IpAddress> failed;
  const auto add = [&](const auto& own) {
    const IpAddress address(own.address);
    const auto is = [&](const Netlink::Address& one) { return one.is(address, own.length); };
    if (failed || std::ranges::any_of(*present, is)) return;
    if (!netlink_->change_address(RTM_NEWADDR, device.index, address, own.length)) failed = address;
  };
  std::ranges::for_each(settings.addresses.ipv4, add);
  std::ranges::for_each(settings.addresses.ipv6, add);
  if (failed) return system_error("cannot add the address " + failed->to_string());
  set_[device.index] = settings;
  int carrier = settings.carrier ? 1 : 0;
  if (ioctl(device.fd, TUNSETCARRIER, &carrier) != 0) return system_error("cannot set its carrier");
  return {};
}

void Taps::remove(const HostDevice& device) {
  set_.erase(device.index);
  ioctl(device.fd, TUNSETPERSIST, 0);
}

// Link-local addresses are the kernel's own, except those that a virtual router was given: there one that is
// made of its MAC is the kernel's. They are on the link as they are, and have no subnet. keepalived puts the
// device's own one on a macvlan of IPv6, too, to send from it.
Result<std::map<std::uint32_t, std::vector<LentAddress>>> Taps::lent() {
  const auto macvlans = netlink_->macvlans();
  const auto addresses = macvlans ? netlink_->addresses() : std::nullopt;
  if (!addresses) return system_error("cannot read the addresses of devices");
  std::map<std::uint32_t, std::vector<LentAddress>> found;
  for (const Netlink::Address& one : *addresses) {
    if ((one.flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED)) != 0 || one.length == 0) continue;
    const auto macvlan = macvlans->find(one.index);
    const bool is_above = macvlan != macvlans->end();
    const std::uint32_t device = is_above ? macvlan->second.below : one.index;
    const auto set = set_.find(device);
    const auto is = [&](const auto& own) { return IpAddress(own.address) == one.address; };
    if (set == set_.end() || (!is_above && one.is_ours) || any_own(set->second, is)) continue;
    LentAddress lent{one.address, static_cast<std::uint8_t>(one.length), std::nullopt};
    if (is_above) lent.mac = macvlan->second.mac;
    if (one.address.is_ipv6() && one.address.as<Ipv6Address>().is_link_local()) {
      if (!is_above || one.address == IpAddress(Ipv6Address::link_local(macvlan->second.mac))) continue;
      lent.length = Ipv6Address::kBits;
    }
    found[device].push_back(lent);
  }
  return found;
}

}  // namespace millrace::controlplane
