// libmnl walks messages and attributes; each walk here ends where the bytes end exactly, or is an error.
#include "controlplane/netlink_message.h"

#include <libmnl/libmnl.h>
#include <linux/if.h>
#include <linux/nexthop.h>
#include <linux/rtnetlink.h>

#include <cstddef>
#include <cstring>

namespace millrace::controlplane {
namespace {

using Bytes = std::span<const std::uint8_t>;

// What is wrong with a message; empty: nothing.
using Problem = std::string;

std::string bytes_not(std::string_view what, std::size_t has, std::size_t wanted) {
  return std::string(what) + " has " + std::to_string(has) + " bytes, not " + std::to_string(wanted);
}

template <class T>
T read_as(const void* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

Bytes payload_of(const nlattr* attribute) {
  return {static_cast<const std::uint8_t*>(mnl_attr_get_payload(attribute)),
          mnl_attr_get_payload_len(attribute)};
}

// Calls `visit(type, payload)` for each attribute until it returns a problem.
template <class Visit>
Problem for_each_attribute(Bytes bytes, std::string_view of, Visit&& visit) {
  while (!bytes.empty()) {
    const auto* attribute = reinterpret_cast<const nlattr*>(bytes.data());
    if (!mnl_attr_ok(attribute, static_cast<int>(bytes.size())))
      return "the last " + std::to_string(bytes.size()) + " bytes of " + std::string(of) +
             " are no whole attribute";
    if (Problem problem = visit(mnl_attr_get_type(attribute), payload_of(attribute)); !problem.empty())
      return problem;
    bytes = bytes.subspan(std::min<std::size_t>(MNL_ALIGN(mnl_attr_get_len(attribute)), bytes.size()));
  }
  return {};
}

template <class T>
Problem read_number(std::string_view name, Bytes payload, T& into) {
  if (payload.size() != sizeof(T)) return bytes_not(name, payload.size(), sizeof(T));
  into = read_as<T>(payload.data());
  return {};
}

std::size_t address_size(int family) {
  return family == AF_INET6 ? sizeof(Ipv6Address::Bytes) : sizeof(Be32);
}

Problem read_address(std::string_view name, int family, Bytes payload, IpAddress& into) {
  if (payload.size() != address_size(family)) return bytes_not(name, payload.size(), address_size(family));
  if (family == AF_INET6) {
    into = Ipv6Address(payload.first<16>());
  } else {
    into = Ipv4Address(read_as<Be32>(payload.data()));
  }
  return {};
}

Problem read_gateway(std::string_view name, int family, Bytes payload, NetlinkHop& hop) {
  IpAddress address;
  if (Problem problem = read_address(name, family, payload, address); !problem.empty()) return problem;
  hop.gateway = address;
  return {};
}

// struct rtvia: a gateway of another family than the destination's (RFC 8950).
Problem read_via(Bytes payload, NetlinkHop& hop) {
  std::uint16_t family = 0;
  if (payload.size() < sizeof family)
    return "RTA_VIA has " + std::to_string(payload.size()) + " bytes, and no family in them";
  family = read_as<std::uint16_t>(payload.data());
  if (family != AF_INET && family != AF_INET6)
    return "RTA_VIA is of the address family " + std::to_string(family);
  return read_gateway("the address of RTA_VIA", family, payload.subspan(sizeof family), hop);
}

// An attribute that a route and each of its several next hops may have.
Problem read_hop_attribute(int family, unsigned type, Bytes payload, NetlinkHop& hop) {
  switch (type) {
    case RTA_GATEWAY:
      return read_gateway("RTA_GATEWAY", family, payload, hop);
    case RTA_VIA:
      return read_via(payload, hop);
    case RTA_OIF:
      return read_number("RTA_OIF", payload, hop.interface_index);
    case RTA_ENCAP_TYPE:
    case RTA_ENCAP:
    case RTA_NEWDST:
      hop.encapsulates = true;
      return {};
    default:
      return {};
  }
}

Problem read_multipath(int family, Bytes payload, std::vector<NetlinkHop>& hops) {
  while (!payload.empty()) {
    if (payload.size() < sizeof(rtnexthop))
      return "the last " + std::to_string(payload.size()) + " bytes of RTA_MULTIPATH are no next hop";
    const auto next_hop = read_as<rtnexthop>(payload.data());
    if (next_hop.rtnh_len < sizeof(rtnexthop) || next_hop.rtnh_len > payload.size())
      return "a next hop of RTA_MULTIPATH says that it has " + std::to_string(next_hop.rtnh_len) +
             " bytes, where " + std::to_string(payload.size()) + " are left";
    NetlinkHop& hop = hops.emplace_back();
    hop.interface_index = static_cast<std::uint32_t>(next_hop.rtnh_ifindex);
    hop.weight = next_hop.rtnh_hops + 1U;
    hop.dead = (next_hop.rtnh_flags & RTNH_F_DEAD) != 0;
    const Bytes attributes = payload.subspan(sizeof next_hop, next_hop.rtnh_len - sizeof next_hop);
    Problem problem = for_each_attribute(
        attributes, "a next hop of RTA_MULTIPATH",
        [&](unsigned type, Bytes value) { return read_hop_attribute(family, type, value, hop); });
    if (!problem.empty()) return problem;
    payload = payload.subspan(std::min<std::size_t>(RTNH_ALIGN(next_hop.rtnh_len), payload.size()));
  }
  return {};
}

NetlinkRoute::Type type_of(std::uint8_t type) {
  switch (type) {
    case RTN_UNSPEC:  // of a deletion: whatever it is
    case RTN_UNICAST:
      return NetlinkRoute::Type::unicast;
    case RTN_BLACKHOLE:
      return NetlinkRoute::Type::blackhole;
    case RTN_UNREACHABLE:
      return NetlinkRoute::Type::unreachable;
    case RTN_PROHIBIT:
      return NetlinkRoute::Type::prohibit;
    default:
      return NetlinkRoute::Type::other;
  }
}

// The attributes of a route before its parts are put together.
struct RouteParts {
  std::optional<IpAddress> destination;
  NetlinkHop hop;
  bool has_hop = false;
};

Problem read_route_attribute(int family, unsigned type, Bytes payload, NetlinkRoute& route,
                             RouteParts& parts) {
  switch (type) {
    case RTA_DST:
      return read_address("RTA_DST", family, payload, parts.destination.emplace());
    case RTA_PRIORITY:
      return read_number("RTA_PRIORITY", payload, route.priority);
    case RTA_TABLE:
      return read_number("RTA_TABLE", payload, route.table);
    case RTA_NH_ID:
      return read_number("RTA_NH_ID", payload, route.next_hop_id);
    case RTA_MULTIPATH:
      return read_multipath(family, payload, route.hops);
    default:
      parts.has_hop |= type == RTA_GATEWAY || type == RTA_VIA || type == RTA_OIF;
      return read_hop_attribute(family, type, payload, parts.hop);
  }
}

Problem read_prefix(const rtmsg& header, const std::optional<IpAddress>& destination, AnyPrefix& into) {
  const unsigned bits = header.rtm_family == AF_INET6 ? Ipv6Address::kBits : Ipv4Address::kBits;
  const unsigned length = header.rtm_dst_len;
  if (length > bits) return "the prefix length is " + std::to_string(length);
  if (!destination && length != 0)
    return "a prefix of length " + std::to_string(length) + " comes without RTA_DST";
  if (header.rtm_family == AF_INET6) {
    into = Ipv6Prefix(destination ? destination->as<Ipv6Address>() : Ipv6Address(), length);
  } else {
    into = Ipv4Prefix(destination ? destination->as<Ipv4Address>() : Ipv4Address(), length);
  }
  return {};
}

Problem read_route(const nlmsghdr& message, Bytes payload, NetlinkMessage& into) {
  if (payload.size() < sizeof(rtmsg)) return bytes_not("the payload", payload.size(), sizeof(rtmsg));
  const auto header = read_as<rtmsg>(payload.data());
  if (header.rtm_family != AF_INET && header.rtm_family != AF_INET6) {
    into = NetlinkOther{message.nlmsg_type, message.nlmsg_flags};
    return {};
  }
  NetlinkRoute route;
  route.remove = message.nlmsg_type == RTM_DELROUTE;
  route.flags = message.nlmsg_flags;
  route.type = type_of(header.rtm_type);
  route.protocol = header.rtm_protocol;
  route.table = header.rtm_table;
  route.narrowed =
      header.rtm_src_len != 0 || header.rtm_tos != 0 || (header.rtm_flags & unsigned{RTM_F_CLONED}) != 0;
  RouteParts parts;
  parts.hop.dead = (header.rtm_flags & unsigned{RTNH_F_DEAD}) != 0;
  Problem problem =
      for_each_attribute(payload.subspan(sizeof header), "the message", [&](unsigned type, Bytes value) {
        return read_route_attribute(header.rtm_family, type, value, route, parts);
      });
  if (problem.empty()) problem = read_prefix(header, parts.destination, route.prefix);
  if (!problem.empty()) return problem;
  if (parts.has_hop && route.hops.empty()) route.hops.push_back(parts.hop);
  into = std::move(route);
  return {};
}

Problem read_group(Bytes payload, std::vector<NetlinkNextHop::Member>& group) {
  if (payload.empty() || payload.size() % sizeof(nexthop_grp) != 0)
    return "NHA_GROUP has " + std::to_string(payload.size()) + " bytes, not a multiple of " +
           std::to_string(sizeof(nexthop_grp));
  for (; !payload.empty(); payload = payload.subspan(sizeof(nexthop_grp))) {
    const auto member = read_as<nexthop_grp>(payload.data());
    const unsigned high = payload[offsetof(nexthop_grp, weight) + 1];  // from Linux 6.12 on; 0 before
    group.push_back({member.id, (high << 8 | member.weight) + 1U});
  }
  return {};
}

Problem read_next_hop_attribute(int family, unsigned type, Bytes payload, NetlinkNextHop& next_hop) {
  switch (type) {
    case NHA_ID:
      return read_number("NHA_ID", payload, next_hop.id);
    case NHA_GROUP:
      return read_group(payload, next_hop.group);
    case NHA_BLACKHOLE:
      next_hop.blackhole = true;
      return {};
    case NHA_OIF:
      return read_number("NHA_OIF", payload, next_hop.hop.interface_index);
    case NHA_GATEWAY:
      return read_gateway("NHA_GATEWAY", family, payload, next_hop.hop);
    case NHA_ENCAP_TYPE:
    case NHA_ENCAP:
    case NHA_FDB:
      next_hop.hop.encapsulates = true;
      return {};
    default:
      return {};
  }
}

Problem read_next_hop(const nlmsghdr& message, Bytes payload, NetlinkMessage& into) {
  if (payload.size() < sizeof(nhmsg)) return bytes_not("the payload", payload.size(), sizeof(nhmsg));
  const auto header = read_as<nhmsg>(payload.data());
  NetlinkNextHop next_hop;
  next_hop.remove = message.nlmsg_type == RTM_DELNEXTHOP;
  next_hop.flags = message.nlmsg_flags;
  next_hop.protocol = header.nh_protocol;
  next_hop.hop.dead = (header.nh_flags & unsigned{RTNH_F_DEAD}) != 0;
  Problem problem =
      for_each_attribute(payload.subspan(sizeof header), "the message", [&](unsigned type, Bytes value) {
        return read_next_hop_attribute(header.nh_family, type, value, next_hop);
      });
  if (problem.empty() && next_hop.id == 0) problem = "there is no NHA_ID";
  into = std::move(next_hop);
  return problem;
}

Problem read_link(const nlmsghdr& message, Bytes payload, NetlinkMessage& into) {
  if (payload.size() < sizeof(ifinfomsg)) return bytes_not("the payload", payload.size(), sizeof(ifinfomsg));
  const auto header = read_as<ifinfomsg>(payload.data());
  constexpr unsigned kCarrier = IFF_RUNNING | IFF_LOWER_UP;
  NetlinkLink link;
  link.remove = message.nlmsg_type == RTM_DELLINK;
  link.flags = message.nlmsg_flags;
  link.index = static_cast<std::uint32_t>(header.ifi_index);
  if ((header.ifi_flags & IFF_UP) != 0)
    link.state =
        (header.ifi_flags & kCarrier) != 0 ? NetlinkLink::State::up : NetlinkLink::State::without_carrier;
  Problem problem =
      for_each_attribute(payload.subspan(sizeof header), "the message", [&](unsigned type, Bytes value) {
        const auto* name = reinterpret_cast<const char*>(value.data());
        if (type == IFLA_IFNAME) link.name.assign(name, strnlen(name, value.size()));
        return Problem();
      });
  // Bridges say RTM_NEWLINK of their ports, too; of another family, such a message says nothing of the link.
  if (header.ifi_family != AF_UNSPEC) {
    into = NetlinkOther{message.nlmsg_type, message.nlmsg_flags};
  } else {
    into = std::move(link);
  }
  return problem;
}

// Both begin with a negative errno or 0.
Problem read_done(const nlmsghdr& message, Bytes payload, NetlinkMessage& into) {
  NetlinkDone done{message.nlmsg_flags, message.nlmsg_seq, 0};
  if (payload.size() >= sizeof(std::int32_t)) {
    done.error = static_cast<int>(0U - read_as<std::uint32_t>(payload.data()));
  } else if (message.nlmsg_type == NLMSG_ERROR) {
    return bytes_not("the payload", payload.size(), sizeof(std::int32_t));
  }
  into = done;
  return {};
}

Problem read_message(const nlmsghdr& message, Bytes payload, NetlinkMessage& into) {
  switch (message.nlmsg_type) {
    case RTM_NEWROUTE:
    case RTM_DELROUTE:
      return read_route(message, payload, into);
    case RTM_NEWNEXTHOP:
    case RTM_DELNEXTHOP:
      return read_next_hop(message, payload, into);
    case RTM_NEWLINK:
    case RTM_DELLINK:
      return read_link(message, payload, into);
    case RTM_NEWADDR:
    case RTM_DELADDR:
      into = NetlinkAddress{message.nlmsg_type == RTM_DELADDR, message.nlmsg_flags};
      return {};
    case NLMSG_DONE:
    case NLMSG_ERROR:
      return read_done(message, payload, into);
    default:
      into = NetlinkOther{message.nlmsg_type, message.nlmsg_flags};
      return {};
  }
}

// libmnl compares lengths as signed numbers, and so takes one above 2^31 for a short one.
bool is_message(Bytes bytes) {
  const auto* message = reinterpret_cast<const nlmsghdr*>(bytes.data());
  return mnl_nlmsg_ok(message, static_cast<int>(bytes.size())) && message->nlmsg_len <= bytes.size();
}

}  // namespace

std::string netlink_type_name(std::uint16_t type) {
  switch (type) {
    case RTM_NEWROUTE:
      return "RTM_NEWROUTE";
    case RTM_DELROUTE:
      return "RTM_DELROUTE";
    case RTM_NEWNEXTHOP:
      return "RTM_NEWNEXTHOP";
    case RTM_DELNEXTHOP:
      return "RTM_DELNEXTHOP";
    case RTM_NEWLINK:
      return "RTM_NEWLINK";
    case RTM_DELLINK:
      return "RTM_DELLINK";
    case NLMSG_ERROR:
      return "NLMSG_ERROR";
    default:
      return "message type " + std::to_string(type);
  }
}

Result<void> parse_netlink(Bytes bytes, std::vector<NetlinkMessage>& messages) {
  for (std::size_t at = 0; at < bytes.size();) {
    const Bytes rest = bytes.subspan(at);
    const auto place = [&] { return " at byte " + std::to_string(at); };
    if (!is_message(rest))
      return Error{"the last " + std::to_string(rest.size()) + " bytes," + place() +
                   ", are no whole netlink message"};
    const auto header = read_as<nlmsghdr>(rest.data());
    const Bytes payload = rest.first(header.nlmsg_len).subspan(sizeof header);
    NetlinkMessage& message = messages.emplace_back();
    if (Problem problem = read_message(header, payload, message); !problem.empty()) {
      messages.pop_back();
      return Error{netlink_type_name(header.nlmsg_type) + place() + ": " + problem};
    }
    at += MNL_ALIGN(header.nlmsg_len);
  }
  return {};
}

}  // namespace millrace::controlplane
