// Netlink messages and FPM frames byte by byte, for tests: written by hand, so that they do not share the
// parser's mistakes.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "net/ip_address.h"

namespace millrace::controlplane {

using ByteString = std::vector<std::uint8_t>;

inline constexpr std::uint16_t kNewRoute = 24, kDelRoute = 25, kNewNextHop = 104, kDelNextHop = 105;
inline constexpr std::uint16_t kNewLink = 16, kDelLink = 17, kNetlinkError = 2, kNetlinkDone = 3;
// NLM_F_...: as the kernel marks an addition with the first route of its prefix and metric, with one before
// or behind others, with one in the place of another; and what a dump says.
inline constexpr std::uint16_t kFirst = 0x600, kBefore = 0x400, kBehind = 0xc00, kInstead = 0x100;
inline constexpr std::uint16_t kDumped = 0x2, kInconsistent = 0x10;
inline constexpr std::uint8_t kInet = 2, kInet6 = 10;
inline constexpr std::uint8_t kKernel = 2, kBoot = 3, kRa = 9, kBird = 12, kBgp = 186,
                              kZebraStatic = 196;  // RTPROT_...
inline constexpr std::uint8_t kUnicast = 1, kBlackhole = 6, kUnreachable = 7, kProhibit = 8;

inline void put(ByteString& to, std::uint64_t value, unsigned size) {  // little-endian, as hosts are
  for (unsigned i = 0; i < size; ++i) to.push_back(static_cast<std::uint8_t>(value >> (8 * i)));
}
inline void put(ByteString& to, const ByteString& bytes) {
  to.insert(to.end(), bytes.begin(), bytes.end());
}
inline void pad(ByteString& bytes) {
  while (bytes.size() % 4 != 0) bytes.push_back(0);
}

inline ByteString u32(std::uint32_t value) {
  ByteString bytes;
  put(bytes, value, 4);
  return bytes;
}
inline ByteString wire(const IpAddress& address) {
  ByteString bytes;
  if (address.is_ipv6()) {
    for (const std::uint8_t byte : address.as<Ipv6Address>().bytes()) bytes.push_back(byte);
  } else {
    const std::uint32_t value = address.as<Ipv4Address>().value();
    for (int shift = 24; shift >= 0; shift -= 8) bytes.push_back(static_cast<std::uint8_t>(value >> shift));
  }
  return bytes;
}
inline ByteString wire(std::string_view address) {
  return wire(*IpAddress::parse(address));
}

inline ByteString attribute(std::uint16_t type, const ByteString& payload) {
  ByteString bytes;
  put(bytes, payload.size() + 4, 2);
  put(bytes, type, 2);
  put(bytes, payload);
  pad(bytes);
  return bytes;
}

inline ByteString message(std::uint16_t type, const ByteString& payload, std::uint16_t flags = 0x501,
                          std::uint32_t sequence = 0) {
  ByteString bytes;
  put(bytes, payload.size() + 16, 4);
  put(bytes, type, 2);
  put(bytes, flags, 2);
  put(bytes, sequence, 4);
  put(bytes, 0, 4);  // port
  put(bytes, payload);
  pad(bytes);
  return bytes;
}

inline ByteString joined(std::initializer_list<ByteString> parts) {
  ByteString bytes;
  for (const ByteString& part : parts) put(bytes, part);
  return bytes;
}

// struct rtmsg
inline ByteString route_header(std::uint8_t family, unsigned length, std::uint8_t protocol = kBgp,
                               std::uint8_t type = kUnicast, std::uint8_t table = 254) {
  return {family, static_cast<std::uint8_t>(length), 0, 0, table, protocol, 0, type, 0, 0, 0, 0};
}

// What a route's test says of it; attributes are added as they are.
struct RouteText {
  std::string prefix;
  std::uint8_t protocol = kBgp;
  std::uint8_t type = kUnicast;
  std::uint8_t table = 254;
  std::uint32_t metric = 20;
  std::uint16_t flags = 0x501;
};

inline ByteString route(std::uint16_t message_type, const RouteText& text, const ByteString& attributes) {
  const AnyPrefix prefix = *parse_prefix(text.prefix);
  ByteString bytes = std::visit(
      [&](auto of_family) {
        const IpAddress address = of_family.address();
        return joined({route_header(address.is_ipv6() ? kInet6 : kInet, of_family.length(), text.protocol,
                                    text.type, text.table),
                       attribute(1, wire(address)), attribute(6, u32(text.metric))});
      },
      prefix);
  put(bytes, attributes);
  return message(message_type, bytes, text.flags);
}
inline ByteString new_route(const RouteText& text, const ByteString& attributes = {}) {
  return route(kNewRoute, text, attributes);
}
inline ByteString del_route(const RouteText& text, const ByteString& attributes = {}) {
  return route(kDelRoute, text, attributes);
}

inline ByteString by_id(std::uint32_t id) {
  return attribute(30, u32(id));
}
inline ByteString via(std::string_view gateway, std::uint32_t interface_index = 3) {
  return joined({attribute(5, wire(gateway)), attribute(4, u32(interface_index))});
}

// A hop of RTA_MULTIPATH.
inline ByteString path(std::string_view gateway, unsigned weight = 1, std::uint32_t interface_index = 3,
                       std::uint8_t flags = 0) {
  const ByteString gateway_attribute = attribute(5, wire(gateway));
  ByteString bytes;
  put(bytes, 8 + gateway_attribute.size(), 2);
  put(bytes, flags, 1);
  put(bytes, weight - 1, 1);
  put(bytes, interface_index, 4);
  put(bytes, gateway_attribute);
  return bytes;
}
inline ByteString multipath(std::initializer_list<ByteString> paths) {
  return attribute(9, joined(paths));
}

// struct nhmsg and NHA_ID
inline ByteString next_hop_message(std::uint16_t type, std::uint8_t family, std::uint32_t id,
                                   const ByteString& attributes) {
  return message(type, joined({{family, 0, 11, 0, 0, 0, 0, 0}, attribute(1, u32(id)), attributes}));
}
inline ByteString next_hop(std::uint32_t id, std::string_view gateway, std::uint32_t interface_index = 3) {
  const ByteString address = wire(gateway);
  return next_hop_message(kNewNextHop, address.size() == 4 ? kInet : kInet6, id,
                          joined({attribute(6, address), attribute(5, u32(interface_index))}));
}
inline ByteString link_next_hop(std::uint32_t id, std::uint32_t interface_index = 3) {
  return next_hop_message(kNewNextHop, kInet, id, attribute(5, u32(interface_index)));
}
inline ByteString blackhole_next_hop(std::uint32_t id) {
  return next_hop_message(kNewNextHop, kInet, id, attribute(4, {}));
}
inline ByteString del_next_hop(std::uint32_t id) {
  return next_hop_message(kDelNextHop, 0, id, {});
}

struct MemberText {
  std::uint32_t id;
  unsigned weight = 1;
};
inline ByteString group(std::uint32_t id, std::initializer_list<MemberText> members) {
  ByteString list;
  for (const MemberText& member : members) {
    put(list, member.id, 4);
    put(list, member.weight - 1, 4);
  }
  return next_hop_message(kNewNextHop, 0, id, attribute(2, list));
}

// struct ifinfomsg; up with a carrier, up without, down
inline constexpr std::uint32_t kLinkUp = 0x11043, kNoCarrier = 0x1003, kLinkDown = 0x1002;
inline ByteString link(std::uint32_t index, std::string_view name, std::uint32_t flags = kLinkUp,
                       std::uint16_t type = kNewLink) {
  ByteString text(name.begin(), name.end());
  text.push_back(0);
  return message(type, joined({{0, 0, 1, 0}, u32(index), u32(flags), u32(0), attribute(3, text)}), 0);
}
// Of a dump: what else would say that something is new.
inline ByteString dumped(ByteString message) {
  message[6] = kDumped;
  message[7] = 0;
  return message;
}
inline ByteString done(std::uint32_t sequence, int error = 0, std::uint16_t flags = kDumped) {
  return message(kNetlinkDone, u32(static_cast<std::uint32_t>(-error)), flags, sequence);
}

inline ByteString fpm_frame(const ByteString& messages, std::uint8_t version = 1, std::uint8_t type = 1) {
  const std::size_t length = messages.size() + 4;
  return joined(
      {{version, type, static_cast<std::uint8_t>(length >> 8), static_cast<std::uint8_t>(length)}, messages});
}

}  // namespace millrace::controlplane
