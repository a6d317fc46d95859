// Who makes routes that come by netlink: the number that a route carries, its name, and how far it is trusted
// beside routes of other sources. FRR's own distances (zebra/zebra_rib.c), which is the field's custom.
//
// A daemon says only its protocol: BGP's routes have the distance of external ones, whoever they came from.
// Among the routes of one daemon it has chosen itself; the distance decides against static and API routes.
#pragma once

#include <cstdint>
#include <string_view>

namespace millrace::controlplane {

struct RouteProtocol {
  std::uint8_t number;  // RTPROT_... of linux/rtnetlink.h; from 190 on some of zebra/rt_netlink.h alone
  std::string_view name;
  std::uint8_t distance;
};

inline constexpr std::uint8_t kProtocolKernel = 2;  // also of connected routes

inline constexpr RouteProtocol kRouteProtocols[] = {{kProtocolKernel, "kernel", 0},
                                                    {3, "boot", 1},
                                                    {4, "static", 1},
                                                    {9, "ra", 1},
                                                    {11, "zebra", 150},
                                                    {12, "bird", 150},
                                                    {16, "dhcp", 1},
                                                    {42, "babel", 100},
                                                    {186, "bgp", 20},
                                                    {187, "isis", 115},
                                                    {188, "ospf", 110},
                                                    {189, "rip", 120},
                                                    {190, "ripng", 120},
                                                    {191, "nhrp", 10},
                                                    {192, "eigrp", 90},
                                                    {193, "ldp", 150},
                                                    {194, "sharp", 150},
                                                    {195, "pbr", 200},
                                                    {196, "static", 1},
                                                    {197, "openfabric", 115},
                                                    {198, "srte", 255}};

inline constexpr RouteProtocol kUnknownProtocol = {0, "unknown", 150};

constexpr RouteProtocol protocol_of(std::uint8_t number) {
  for (const RouteProtocol& protocol : kRouteProtocols) {
    if (protocol.number == number) return protocol;
  }
  return kUnknownProtocol;
}

}  // namespace millrace::controlplane
