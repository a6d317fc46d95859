// What a kernel is asked for: everything of a kind that it has. It answers with messages as it says changes
// with, marked by NLM_F_MULTI, and NLMSG_DONE.
#pragma once

#include <cstdint>
#include <vector>

namespace millrace::controlplane {

// In the order in which they are asked for: routes name next hops, both name links.
enum class KernelDump : std::uint8_t { links, next_hops, ipv4_routes, ipv6_routes };

// The request. Kernels that check requests strictly (NETLINK_GET_STRICT_CHK) dump that table's routes only;
// others all.
std::vector<std::uint8_t> dump_request(KernelDump what, std::uint32_t table, std::uint32_t sequence);

}  // namespace millrace::controlplane
