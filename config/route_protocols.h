// Who makes routes that come by netlink: the number that a route carries, its name, and how far it is trusted
// beside routes of other sources. FRR's own distances (zebra/zebra_rib.c), which is the field's custom.
//
// A daemon says only its protocol: BGP's routes have the distance of external ones, whoever they came from,
// unless feeds.distances says another. Among the routes of one daemon it has chosen itself; the distance
// decides against static and API routes.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace millrace::config {

struct RouteProtocol {
  std::uint8_t number;  // RTPROT_... of linux/rtnetlink.h; from 190 on some of zebra/rt_netlink.h alone
  std::string_view name;
  std::uint8_t distance;
  bool is_of_zebra = false;  // zebra gives the number to routes that it puts into a kernel
};

inline constexpr std::uint8_t kProtocolKernel = 2;  // of connected routes

inline constexpr RouteProtocol kRouteProtocols[] = {{1, "redirect", 1},
                                                    {kProtocolKernel, "kernel", 150},
                                                    {3, "boot", 1},
                                                    {4, "static", 1},
                                                    {9, "ra", 1},
                                                    {11, "zebra", 150, true},
                                                    {12, "bird", 150},
                                                    {16, "dhcp", 1},
                                                    {18, "keepalived", 1},
                                                    {42, "babel", 100, true},
                                                    {99, "openr", 150},
                                                    {186, "bgp", 20, true},
                                                    {187, "isis", 115, true},
                                                    {188, "ospf", 110, true},
                                                    {189, "rip", 120, true},
                                                    {190, "ripng", 120, true},
                                                    {191, "nhrp", 10, true},
                                                    {192, "eigrp", 90, true},
                                                    {193, "ldp", 150, true},
                                                    {194, "sharp", 150, true},
                                                    {195, "pbr", 200, true},
                                                    {196, "static", 1, true},
                                                    {197, "openfabric", 115, true},
                                                    {198, "srte", 255, true}};

inline constexpr RouteProtocol kUnknownProtocol = {0, "unknown", 150};

constexpr RouteProtocol protocol_of(std::uint8_t number) {
  for (const RouteProtocol& protocol : kRouteProtocols) {
    if (protocol.number == number) return protocol;
  }
  return kUnknownProtocol;
}

// Two numbers may have one name: routes of the kernel's own tools and of zebra that are static.
constexpr bool is_first_of_its_name(const RouteProtocol& protocol) {
  return std::ranges::find(kRouteProtocols, protocol.name, &RouteProtocol::name)->number == protocol.number;
}

inline constexpr auto kProtocolNames = [] {
  std::array<std::string_view, std::ranges::count_if(kRouteProtocols, is_first_of_its_name)> names;
  std::size_t count = 0;
  for (const RouteProtocol& protocol : kRouteProtocols) {
    if (is_first_of_its_name(protocol)) names[count++] = protocol.name;
  }
  return names;
}();

// Of one of kProtocolNames.
constexpr unsigned own_distance(std::string_view name) {
  return std::ranges::find(kRouteProtocols, name, &RouteProtocol::name)->distance;
}

}  // namespace millrace::config
