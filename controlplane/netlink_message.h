// Routes and next-hop objects as rtnetlink says them: rtnetlink(7), linux/rtnetlink.h, linux/nexthop.h. The
// kernel's socket carries such messages, and so do the frames of FRR's FPM (fpm_frame.h).
//
// Only forms are checked here: what a feed makes of a message is its own matter. Bytes come from other
// programs, and none of them is trusted: whatever does not fit is an error, and nothing is read outside.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "net/ip_address.h"
#include "net/result.h"

namespace millrace::controlplane {

struct NetlinkHop {
  std::optional<IpAddress> gateway;   // nothing: destinations are on the link itself
  std::uint32_t interface_index = 0;  // in the sender's network namespace; 0: not said
  unsigned weight = 1;                // 1 to 256
  bool encapsulates = false;          // MPLS, VXLAN and the like
};

struct NetlinkRoute {
  enum class Type : std::uint8_t { unicast, blackhole, unreachable, prohibit, other };
  bool remove = false;      // RTM_DELROUTE
  std::uint16_t flags = 0;  // NLM_F_REPLACE, NLM_F_APPEND, ...
  AnyPrefix prefix;
  Type type = Type::unicast;
  std::uint8_t protocol = 0;      // RTPROT_...: who made the route
  std::uint32_t table = 0;        // RT_TABLE_...
  std::uint32_t priority = 0;     // the metric
  std::uint32_t next_hop_id = 0;  // of a NetlinkNextHop; 0: the hops stand here
  std::vector<NetlinkHop> hops;
  bool narrowed = false;  // by source prefix, type of service, or a cached copy of another route
};

// A next hop that routes name by its id, or a group of such.
struct NetlinkNextHop {
  struct Member {
    std::uint32_t id;
    unsigned weight;  // 1 to 256
  };
  bool remove = false;  // RTM_DELNEXTHOP
  std::uint32_t id = 0;
  bool blackhole = false;
  NetlinkHop hop;             // of one that is no group
  std::vector<Member> group;  // not empty: it is one
  std::uint8_t protocol = 0;  // RTPROT_...
};

// A message of a family or type that says nothing of IP routes.
struct NetlinkOther {
  std::uint16_t type = 0;
};

using NetlinkMessage = std::variant<NetlinkRoute, NetlinkNextHop, NetlinkOther>;

// "RTM_NEWROUTE", or "message type 28".
std::string netlink_type_name(std::uint16_t type);

// Appends the messages that the bytes hold to `messages`, in order. On an error it holds those before the one
// that is wrong, and the text says which one that is and why. `bytes` begin at a multiple of 4.
Result<void> parse_netlink(std::span<const std::uint8_t> bytes, std::vector<NetlinkMessage>& messages);

}  // namespace millrace::controlplane
