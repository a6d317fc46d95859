// The extension headers of an IPv6 packet (RFC 8200 4), as far as a node that it is addressed to has to look.
#pragma once

#include <rte_mbuf.h>

#include <cstdint>
#include <optional>

#include "dataplane/drop_reason.h"

namespace millrace::controlplane {

// Places are counted from the IPv6 header on.
struct HeaderChain {
  std::uint8_t protocol = 0;     // what the headers lead to, or a fragment header
  std::uint16_t at = 0;          // where that begins
  std::uint16_t named_at = 0;    // the byte that names it
  bool later_fragment = false;   // what stands there is the middle of something
  bool atomic_fragment = false;  // a fragment header was passed that takes no part in a datagram (RFC 6946)
  bool cut_short = false;        // a header goes on behind the packet's end
  std::optional<dataplane::DropReason> problem;
  std::uint16_t pointer = 0;  // of the parameter problem, if `problem` is one
};

enum class ChainUse : std::uint8_t {
  deliver,  // headers and options are obeyed; the chain ends at a fragment header
  look,     // only to find what it carries, past fragment headers, too
};

// Walks at most 8 headers of 256 bytes together. Atomic fragments are no fragments (RFC 6946).
HeaderChain read_chain(rte_mbuf* m, ChainUse use);

// Whether no header of a fragment goes on in the next one, the first of what it carries included (RFC 7112
// 5): so it is with later fragments, which have none, and with chains too long for us to follow.
bool holds_all_headers(rte_mbuf* m);

}  // namespace millrace::controlplane
