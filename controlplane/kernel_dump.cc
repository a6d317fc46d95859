#include "controlplane/kernel_dump.h"

#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/nexthop.h>
#include <linux/rtnetlink.h>

namespace millrace::controlplane {
namespace {

constexpr std::size_t kMaxRequest = 128;

void ask_for_routes(nlmsghdr& message, std::uint8_t family, std::uint32_t table) {
  auto& header = *static_cast<rtmsg*>(mnl_nlmsg_put_extra_header(&message, sizeof(rtmsg)));
  message.nlmsg_type = RTM_GETROUTE;
  header.rtm_family = family;
  mnl_attr_put_u32(&message, RTA_TABLE, table);
}

}  // namespace

std::vector<std::uint8_t> dump_request(KernelDump what, std::uint32_t table, std::uint32_t sequence) {
  alignas(nlmsghdr) std::uint8_t bytes[kMaxRequest];
  nlmsghdr& message = *mnl_nlmsg_put_header(bytes);
  message.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  message.nlmsg_seq = sequence;
  switch (what) {
    case KernelDump::links:
      message.nlmsg_type = RTM_GETLINK;
      mnl_nlmsg_put_extra_header(&message, sizeof(ifinfomsg));
      mnl_attr_put_u32(&message, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
      break;
    case KernelDump::next_hops:
      message.nlmsg_type = RTM_GETNEXTHOP;
      mnl_nlmsg_put_extra_header(&message, sizeof(nhmsg));
      break;
    case KernelDump::ipv4_routes:
      ask_for_routes(message, AF_INET, table);
      break;
    case KernelDump::ipv6_routes:
      ask_for_routes(message, AF_INET6, table);
      break;
  }
  return {bytes, bytes + message.nlmsg_len};
}

}  // namespace millrace::controlplane
