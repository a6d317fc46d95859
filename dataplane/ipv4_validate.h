// Is this a packet that a router may forward or accept? RFC 1812 5.2.2 and 5.3, step by step.
#pragma once

#include <rte_mbuf.h>

#include <array>
#include <cstdint>
#include <span>

#include "dataplane/feature.h"
#include "dataplane/packet.h"
#include "dataplane/port_marks.h"
#include "dataplane/tables.h"
#include "net/checksum.h"
#include "net/wire.h"

namespace millrace::dataplane {

// What the first octet of an address rules out, as bits: one load instead of five comparisons.
namespace octet_class {
inline constexpr std::uint8_t kReserved = 1;        // 0/8, 127/8, 240/4
inline constexpr std::uint8_t kMulticast = 2;       // 224/4
inline constexpr std::uint8_t kMaybeLinkLocal = 4;  // 169.x

constexpr std::array<std::uint8_t, 256> make() {
  std::array<std::uint8_t, 256> table{};
  table[0] = table[127] = kReserved;
  for (std::size_t i = 224; i < 240; ++i) table[i] = kMulticast;
  for (std::size_t i = 240; i < 256; ++i) table[i] = kReserved;
  table[169] = kMaybeLinkLocal;
  return table;
}
inline constexpr auto kTable = make();
constexpr std::uint8_t of(Ipv4Address a) {
  return kTable[a.value() >> 24];
}
}  // namespace octet_class

// Walks the options of a valid header (RFC 791 3.1). Source routes, record route and timestamp are refused
// (RFC 7126 4.3-4.7) unless they are to be ignored; the others, Router Alert too, pass as they are.
inline Verdict check_options(std::span<const std::uint8_t> options, bool ignored) {
  constexpr std::uint8_t kEnd = 0, kNop = 1, kRecordRoute = 7, kTimestamp = 68, kLooseRoute = 131,
                         kStrictRoute = 137;
  for (std::size_t at = 0; at < options.size() && options[at] != kEnd;) {
    const std::uint8_t type = options[at];
    if (type == kNop) {
      ++at;
      continue;
    }
    if (at + 1 >= options.size() || options[at + 1] < 2 || at + options[at + 1] > options.size()) {
      return Verdict::drop(DropReason::ip_option_malformed);
    }
    const bool acts =
        type == kRecordRoute || type == kTimestamp || type == kLooseRoute || type == kStrictRoute;
    if (acts && !ignored) {
      return Verdict::drop(DropReason::ip_option_refused);
    }
    at += options[at + 1];
  }
  return Verdict::go_on();
}

inline bool is_unicast_host(Ipv4Address address) {
  return (octet_class::of(address) & (octet_class::kReserved | octet_class::kMulticast)) == 0;
}
inline bool source_is_good(Ipv4Address source, const OwnAddresses<Ipv4Address>& own) {
  return is_unicast_host(source) && !own.contains(source);
}

// Why a source is not good.
inline DropReason bad_source(Ipv4Address source, const OwnAddresses<Ipv4Address>& own) {
  if (source.is_multicast()) return DropReason::source_multicast;
  if (source.is_broadcast()) return DropReason::source_broadcast;
  if (const auto kind = own.find(source)) {
    return *kind == AddressKind::own ? DropReason::source_is_own : DropReason::source_broadcast;
  }
  return DropReason::source_reserved;
}

inline DropReason bad_destination(Ipv4Address destination) {
  if (destination.is_multicast()) return DropReason::destination_multicast;
  return destination.is_broadcast() ? DropReason::destination_broadcast : DropReason::destination_reserved;
}

// Whether it comes from, or is to, 169.254/16.
inline bool is_link_local(const wire::Ipv4& ip) {
  return ((octet_class::of(Ipv4Address(ip.source)) | octet_class::of(Ipv4Address(ip.destination))) &
          octet_class::kMaybeLinkLocal) != 0 &&
         (Ipv4Address(ip.source).is_link_local() || Ipv4Address(ip.destination).is_link_local());
}

// Steps 1 to 8 at once for what nearly every packet is: in one segment, without options, from and to ordinary
// addresses, none of them link-local. A no says nothing of the packet: validate_ipv4() does then. `kMarks`:
// the port's word for the checksum is believed; that saves 2 cycles of 8.
template <bool kMarks = false>
inline bool is_plain_ipv4(const rte_mbuf* m, const wire::Ipv4& ip, const OwnAddresses<Ipv4Address>& own) {
  constexpr std::uint32_t kL2 = sizeof(wire::Ethernet);
  if (rte_pktmbuf_data_len(m) < kL2 + sizeof(wire::Ipv4)) [[unlikely]]
    return false;
  const std::uint32_t total = ip.total_length.host();
  const Ipv4Address source(ip.source), destination(ip.destination);
  const bool shape =
      (ip.version_ihl == 0x45) & (total >= sizeof(wire::Ipv4)) & (kL2 + total <= rte_pktmbuf_data_len(m));
  const unsigned classes = octet_class::of(source) | octet_class::of(destination);
  if (classes != 0 && (classes != octet_class::kMaybeLinkLocal || is_link_local(ip))) [[unlikely]]
    return false;
  const bool good = (kMarks && is_marked_good(m)) || checksum_ok_20(&ip);
  return (shape & good) && !own.contains(source);
}

// `m` holds an Ethernet header and at least `type` says IPv4. After go_on the whole IP header lies in the
// first segment, and the packet ends where its total length says.
inline Verdict validate_ipv4(rte_mbuf* m, const InterfaceView& in, const OwnAddresses<Ipv4Address>& own) {
  constexpr std::uint32_t kL2 = sizeof(wire::Ethernet);
  // 1. 5.2.2 (1): the frame holds an IPv4 header.
  if (m->pkt_len < kL2 + sizeof(wire::Ipv4)) return Verdict::drop(DropReason::ip_truncated);
  if (!make_contiguous(m, kL2 + sizeof(wire::Ipv4))) return Verdict::drop(DropReason::header_not_contiguous);
  const wire::Ipv4* ip = ipv4(m);
  // 2. 5.2.2 (3): version 4.
  if (ip->version() != 4) [[unlikely]]
    return Verdict::drop(DropReason::ip_bad_version);
  // 3. 5.2.2 (4): IHL at least 5.
  const unsigned header = ip->header_length();
  if (header < sizeof(wire::Ipv4)) [[unlikely]]
    return Verdict::drop(DropReason::ip_header_length);
  // 4. 5.2.2 (5): the total length holds the header.
  const unsigned total = ip->total_length.host();
  if (total < sizeof(wire::Ipv4)) [[unlikely]]
    return Verdict::drop(DropReason::ip_total_length_short);
  if (total < header) [[unlikely]]
    return Verdict::drop(DropReason::ip_header_past_end);
  // 5. 5.2.2: the frame holds the total length.
  if (m->pkt_len < kL2 + total) [[unlikely]]
    return Verdict::drop(DropReason::ip_total_length_long);
  if (header > sizeof(wire::Ipv4)) [[unlikely]] {
    if (!make_contiguous(m, static_cast<std::uint16_t>(kL2 + header))) {
      return Verdict::drop(DropReason::header_not_contiguous);
    }
    ip = ipv4(m);
  }
  // 6. 5.2.2 (2): the checksum.
  const bool good = header == sizeof(wire::Ipv4)
                        ? checksum_ok_20(ip)
                        : checksum_ok({reinterpret_cast<const std::byte*>(ip), header});
  if (!good) [[unlikely]] {
    return Verdict::drop(DropReason::ip_bad_checksum);
  }
  // 7. 5.3.7: martian sources and destinations; 5.3.5, 5.2.4.3: broadcast and multicast.
  const Ipv4Address source(ip->source), destination(ip->destination);
  if (!source_is_good(source, own)) [[unlikely]]
    return Verdict::drop(bad_source(source, own));
  if (!is_unicast_host(destination)) [[unlikely]]
    return Verdict::drop(bad_destination(destination));
  // 8. 4.2.2.6: options.
  if (header > sizeof(wire::Ipv4)) [[unlikely]] {
    const auto* first = reinterpret_cast<const std::uint8_t*>(ip + 1);
    const Verdict v = check_options({first, header - sizeof(wire::Ipv4)}, in.ignores_options);
    if (!v.goes_on()) return v;
  }
  // 9. 5.2.2: what the link added behind the total length is not part of the packet.
  cut_to(m, kL2 + total);
  return Verdict::go_on();
}

}  // namespace millrace::dataplane
