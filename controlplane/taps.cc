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

Error system_error(const std::string& what) {
  return Error{what + ": " + std::strerror(errno)};
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
  // The addresses that the device has.
  struct Address {
    IpAddress address;
    unsigned length;
    friend bool operator==(const Address&, const Address&) = default;
  };
  std::optional<std::vector<Address>> addresses(std::uint32_t index);

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

std::optional<std::vector<Taps::Netlink::Address>> Taps::Netlink::addresses(std::uint32_t index) {
  struct Found {
    std::uint32_t index;
    std::vector<Address> list;
  } found{index, {}};
  nlmsghdr* message = begin(RTM_GETADDR, NLM_F_DUMP);
  auto* wanted = static_cast<ifaddrmsg*>(mnl_nlmsg_put_extra_header(message, sizeof(ifaddrmsg)));
  *wanted = {};
  const auto add = [](const nlmsghdr* one, void* data) -> int {
    auto& into = *static_cast<Found*>(data);
    if (one->nlmsg_type != RTM_NEWADDR || mnl_nlmsg_get_payload_len(one) < sizeof(ifaddrmsg))
      return MNL_CB_OK;
    const auto* header = static_cast<const ifaddrmsg*>(mnl_nlmsg_get_payload(one));
    if (header->ifa_index != into.index) return MNL_CB_OK;
    const nlattr* address = nullptr;
    const auto look = [](const nlattr* attribute, void* found_at) -> int {
      auto& best = *static_cast<const nlattr**>(found_at);
      const std::uint16_t type = mnl_attr_get_type(attribute);
      if (type == IFA_LOCAL || (type == IFA_ADDRESS && best == nullptr)) best = attribute;
      return MNL_CB_OK;
    };
    mnl_attr_parse(one, sizeof(ifaddrmsg), look, &address);
    if (address == nullptr) return MNL_CB_OK;
    const auto* bytes = static_cast<const std::uint8_t*>(mnl_attr_get_payload(address));
    if (header->ifa_family == AF_INET && mnl_attr_get_payload_len(address) == sizeof(Be32)) {
      Be32 value;
      std::memcpy(&value, bytes, sizeof value);
      into.list.push_back({IpAddress(Ipv4Address(value)), header->ifa_prefixlen});
    } else if (header->ifa_family == AF_INET6 && mnl_attr_get_payload_len(address) == 16) {
      std::array<std::uint8_t, 16> value;
      std::memcpy(value.data(), bytes, value.size());
      into.list.push_back({IpAddress(Ipv6Address(value)), header->ifa_prefixlen});
    }
    return MNL_CB_OK;
  };
  if (!ask(message, add, &found)) return std::nullopt;
  return std::move(found.list);
}

Taps::Taps(HostNetns& netns, std::unique_ptr<Netlink> netlink)
    : netns_(netns), netlink_(std::move(netlink)) {}
Taps::~Taps() = default;

Result<std::unique_ptr<Taps>> Taps::open(HostNetns& netns) {
  mnl_socket* socket = nullptr;
  netns.run([&] { socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC); });
  if (socket == nullptr) return system_error("cannot open a netlink socket");
  if (mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) != 0) {
    const Error error = system_error("cannot bind a netlink socket");
    mnl_socket_close(socket);
    return error;
  }
  return std::unique_ptr<Taps>(new Taps(netns, std::make_unique<Netlink>(socket)));
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
  std::vector<Netlink::Address> wanted;
  for (const auto& own : settings.addresses.ipv4) wanted.push_back({own.address, own.length});
  for (const auto& own : settings.addresses.ipv6) wanted.push_back({own.address, own.length});
  const auto present = netlink_->addresses(device.index);
  if (!present) return system_error("cannot read its addresses");
  const auto is_in = [](const auto& list, const Netlink::Address& one) {
    return std::find(list.begin(), list.end(), one) != list.end();
  };
  for (const auto& one : *present) {
    if (!is_in(wanted, one) && !netlink_->change_address(RTM_DELADDR, device.index, one.address, one.length))
      return system_error("cannot remove the address " + one.address.to_string());
  }
  for (const auto& one : wanted) {
    if (!is_in(*present, one) &&
        !netlink_->change_address(RTM_NEWADDR, device.index, one.address, one.length))
      return system_error("cannot add the address " + one.address.to_string());
  }
  int carrier = settings.carrier ? 1 : 0;
  if (ioctl(device.fd, TUNSETCARRIER, &carrier) != 0) return system_error("cannot set its carrier");
  return {};
}

void Taps::remove(const HostDevice& device) {
  ioctl(device.fd, TUNSETPERSIST, 0);
}

}  // namespace millrace::controlplane
