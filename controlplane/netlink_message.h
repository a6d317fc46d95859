// Routes, next-hop objects, links and addresses as rtnetlink says them: rtnetlink(7), linux/rtnetlink.h,
// linux/nexthop.h. The kernel's socket carries such messages, and so do the frames of FRR's FPM
// (fpm_frame.h).
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
  unsigned weight = 1;                // 1 to 65536
  bool encapsulates = false;          // MPLS, VXLAN and the like
  bool dead = false;                  // RTNH_F_DEAD: its link is down, and the sender does not use it
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
    unsigned weight;  // 1 to 65536
  };
  bool remove = false;      // RTM_DELNEXTHOP
  std::uint16_t flags = 0;  // NLM_F_...
  std::uint32_t id = 0;
  bool blackhole = false;
  NetlinkHop hop;             // of one that is no group
  std::vector<Member> group;  // not empty: it is one
  std::uint8_t protocol = 0;  // RTPROT_...
};

// An interface of the sender's network namespace.
struct NetlinkLink {
  // By its administrator, and by its carrier: only while it is up the kernel has next-hop objects on it.
  enum class State : std::uint8_t { down, without_carrier, up };
  bool remove = false;      // RTM_DELLINK
  std::uint16_t flags = 0;  // NLM_F_...
  std::uint32_t index = 0;
  std::string name;
  State state = State::down;
};

// An address of a link.
struct NetlinkAddress {
  bool remove = false;      // RTM_DELADDR
  std::uint16_t flags = 0;  // NLM_F_...
};

// The end of an answer, in order (NLMSG_DONE) or not (NLMSG_ERROR).
struct NetlinkDone {
  std::uint16_t flags = 0;     // NLM_F_...
  std::uint32_t sequence = 0;  // of the request
  int error = 0;               // an errno; 0: none
};

// A message of a family or type that says nothing of IP routes.
struct NetlinkOther {
  std::uint16_t type = 0;
  std::uint16_t flags = 0;  // NLM_F_...
};

using NetlinkMessage =
    std::variant<NetlinkRoute, NetlinkNextHop, NetlinkLink, NetlinkAddress, NetlinkDone, NetlinkOther>;

inline std::uint16_t flags_of(const NetlinkMessage& message) {
  return std::visit([](const auto& of_kind) { return of_kind.flags; }, message);
}

// "RTM_NEWROUTE", or "message type 28".
std::string netlink_type_name(std::uint16_t type);

// Appends the messages that the bytes hold to `messages`, in order. On an error it holds those before the one
// that is wrong, and the text says which one that is and why. `bytes` begin at a multiple of 4.
Result<void> parse_netlink(std::span<const std::uint8_t> bytes, std::vector<NetlinkMessage>& messages);

}  // namespace millrace::controlplane
