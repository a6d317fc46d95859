#include "controlplane/header_chain.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <span>

#include "controlplane/packet_bytes.h"
#include "dataplane/packet.h"
#include "net/wire6.h"

namespace millrace::controlplane {

using dataplane::DropReason;

namespace {

constexpr unsigned kMaxHeaders = 8;
constexpr std::size_t kMaxBytes = 256;  // of all of them
constexpr std::size_t kBegin = sizeof(wire::Ipv6);
constexpr std::size_t kUnit = 8;

constexpr std::size_t kUdpHeader = 8;
constexpr std::size_t kTcpHeader = 20;      // without options
constexpr std::size_t kTcpDataOffset = 12;  // its four high bits: the header's length in words of 4 bytes

constexpr std::uint8_t kPad1 = 0;
constexpr std::uint8_t kPadN = 1;
constexpr std::uint8_t kRouterAlert = 5;  // RFC 2711: has come to who is to look at it

class Walk {
 public:
  Walk(rte_mbuf* m, ChainUse use) : use_(use) {
    const wire::Ipv6* ip = dataplane::ipv6(m);
    to_group_ = Ipv6Address(ip->destination).is_multicast();
    chain_.protocol = ip->next_header;
    chain_.at = kBegin;
    chain_.named_at = offsetof(wire::Ipv6, next_header);
    held_ = kBegin + ip->payload_length.host();
    size_ = copy_out(m, sizeof(wire::Ethernet), std::span(bytes_).first(std::min(held_, bytes_.size())));
  }

  HeaderChain run() {
    for (unsigned headers = 0; wire::is_extension(chain_.protocol); ++headers) {
      if (headers == kMaxHeaders) return fail(DropReason::local_headers_invalid);
      if (!step()) break;
    }
    return chain_;
  }

 private:
  // Passes one header. False if the walk ends here.
  bool step() {
    const std::size_t at = chain_.at;
    // RFC 8200 4.1: only first. Anywhere else it is a header that nobody knows.
    if (chain_.protocol == wire::kHopByHop && at != kBegin) return false;
    if (!reaches(at + kUnit)) return false;
    const bool is_fragment = chain_.protocol == wire::kFragment;
    const std::size_t length = is_fragment ? kUnit : (byte(at + 1) + 1) * kUnit;
    if (!reaches(at + length)) return false;
    if (is_fragment && !pass_fragment(at)) return false;
    if (use_ == ChainUse::deliver && !obey(at, length)) return false;
    chain_.named_at = static_cast<std::uint16_t>(at);
    chain_.protocol = static_cast<std::uint8_t>(byte(at));
    chain_.at = static_cast<std::uint16_t>(at + length);
    return true;
  }

  // Whether the bytes before `end` are there and not too many.
  bool reaches(std::size_t end) {
    if (end <= size_) return true;
    chain_.cut_short = end > held_;
    return stop(DropReason::local_headers_invalid);
  }

  bool pass_fragment(std::size_t at) {
    wire::Ipv6Fragment fragment;
    std::memcpy(&fragment, &bytes_[at], sizeof fragment);
    if (fragment.offset() == 0 && !fragment.more()) return chain_.atomic_fragment = true;
    chain_.later_fragment |= fragment.offset() != 0;
    return use_ == ChainUse::look && !chain_.later_fragment;
  }

  bool obey(std::size_t at, std::size_t length) {
    if (chain_.protocol == wire::kRouting) {
      // RFC 5095, RFC 8200 4.4: no type is served; without segments left it is passed over.
      if (byte(at + 3) == 0) return true;
      return stop(DropReason::local_routing_header, at + 2);
    }
    return chain_.protocol == wire::kFragment || obey_options(at + 2, at + length);
  }

  // RFC 8200 4.2
  bool obey_options(std::size_t at, std::size_t end) {
    while (at < end) {
      const auto type = static_cast<std::uint8_t>(byte(at));
      if (type == kPad1) {
        ++at;
        continue;
      }
      if (at + 2 > end || at + 2 + byte(at + 1) > end) return stop(DropReason::local_headers_invalid);
      if (type != kPadN && type != kRouterAlert && !skip_option(type, at)) return false;
      at += 2 + byte(at + 1);
    }
    return true;
  }

  // The two highest bits of an option that nobody knows say what becomes of its packet.
  bool skip_option(std::uint8_t type, std::size_t at) {
    const unsigned action = type >> 6;
    if (action == 0) return true;
    const bool refuse = action == 2 || (action == 3 && !to_group_);
    return refuse ? stop(DropReason::local_option_refused, at) : stop(DropReason::local_option_discard);
  }

  bool stop(DropReason reason, std::size_t pointer = 0) {
    chain_.problem = reason;
    chain_.pointer = static_cast<std::uint16_t>(pointer);
    return false;
  }
  HeaderChain fail(DropReason reason) {
    stop(reason);
    return chain_;
  }
  [[nodiscard]] std::size_t byte(std::size_t at) const { return std::to_integer<std::size_t>(bytes_[at]); }

  ChainUse use_;
  bool to_group_ = false;
  HeaderChain chain_;
  std::array<std::byte, kBegin + kMaxBytes> bytes_;
  std::size_t size_ = 0;  // of `bytes_`
  std::size_t held_ = 0;  // by the packet
};

// Of the header of what the packet carries, as far as we know its protocol. In a later fragment the walk ends
// at the fragment header, which is there.
std::size_t upper_header_length(const rte_mbuf* m, const HeaderChain& chain) {
  switch (chain.protocol) {
    case wire::kNoNextHeader:
      return 0;
    case wire::kProtocolIcmpv6:
      return sizeof(wire::Icmp);
    case wire::kProtocolUdp:
      return kUdpHeader;
    case wire::kProtocolTcp: {
      std::array<std::byte, kTcpHeader> tcp{};
      copy_out(m, static_cast<std::uint32_t>(sizeof(wire::Ethernet)) + chain.at, tcp);
      const std::size_t words = std::to_integer<std::size_t>(tcp[kTcpDataOffset] >> 4);
      return std::max(kTcpHeader, words * 4);
    }
    default:
      return 1;
  }
}

}  // namespace

HeaderChain read_chain(rte_mbuf* m, ChainUse use) {
  return Walk(m, use).run();
}

bool holds_all_headers(rte_mbuf* m) {
  const HeaderChain chain = read_chain(m, ChainUse::look);
  if (chain.problem) return !chain.cut_short;
  return chain.at + upper_header_length(m, chain) <= kBegin + dataplane::ipv6(m)->payload_length.host();
}

}  // namespace millrace::controlplane
