#include "controlplane/nd_message.h"

#include <array>
#include <cstring>

#include "controlplane/packet_bytes.h"
#include "dataplane/packet.h"
#include "net/checksum.h"

namespace millrace::controlplane {
namespace {

constexpr std::uint32_t kL2 = sizeof(wire::Ethernet);
// The longest message that is looked at: options fill an ordinary frame.
constexpr std::size_t kLongest = 1500 - sizeof(wire::Ipv6);

bool checksum_is_right(const rte_mbuf* m, const NdMessage& message, std::uint32_t at, std::uint32_t length) {
  const std::uint64_t pseudo =
      wire::pseudo_header_sum(message.source, message.destination, length, wire::kProtocolIcmpv6);
  return checksum_fold(pseudo + checksum_sum(m, at, length)) == 0xffff;
}

// The least length of a message, without options.
std::size_t fixed_length(std::uint8_t type) {
  switch (type) {
    case wire::kNdRouterSolicitation:
      return sizeof(wire::Icmp);
    case wire::kNdRouterAdvertisement:
      return sizeof(wire::NdRouterAdvert);
    case wire::kNdRedirect:
      return sizeof(wire::NdNeighbor) + sizeof(Ipv6Address::Bytes);
    default:
      return sizeof(wire::NdNeighbor);
  }
}

// Takes the link-layer addresses out of the options. False if an option is malformed (RFC 4861 7.1).
bool read_options(std::span<const std::byte> options, NdMessage& message) {
  while (!options.empty()) {
    if (options.size() < sizeof(wire::NdLinkOption)) return false;
    wire::NdLinkOption option;
    std::memcpy(&option, options.data(), sizeof option);
    const std::size_t length = std::size_t{option.length} * 8;
    if (length == 0 || length > options.size()) return false;
    options = options.subspan(length);
    const bool is_source = option.type == wire::kNdSourceLink;
    if (!is_source && option.type != wire::kNdTargetLink) continue;
    if (length != sizeof option || option.mac.is_group() || option.mac.is_zero()) return false;
    (is_source ? message.source_link : message.target_link) = option.mac;
  }
  return true;
}

// What each type asks for beside: RFC 4861 6.1.1, 6.1.2, 7.1.1, 7.1.2, 8.1.
bool obeys_its_type(const NdMessage& message) {
  switch (message.type) {
    case wire::kNdRouterSolicitation:
      return !message.source.is_unspecified() || !message.source_link;
    case wire::kNdRouterAdvertisement:
    case wire::kNdRedirect:
      return message.source.is_link_local();
    case wire::kNdSolicitation:
      if (message.target.is_multicast()) return false;
      return !message.source.is_unspecified() ||
             (message.destination == message.target.solicited_node() && !message.source_link);
    case wire::kNdAdvertisement:
      if (message.target.is_multicast()) return false;
      return !message.destination.is_multicast() || (message.flags & wire::kNdSolicited) == 0;
    default:
      return false;
  }
}

}  // namespace

std::optional<NdMessage> read_nd(rte_mbuf* m, std::uint32_t at) {
  const wire::Ipv6* ip = dataplane::ipv6(m);
  NdMessage message;
  message.from = dataplane::ethernet(m)->source;
  message.source = Ipv6Address(ip->source);
  message.destination = Ipv6Address(ip->destination);
  const std::uint32_t whole = static_cast<std::uint32_t>(sizeof(wire::Ipv6)) + ip->payload_length.host();
  const std::uint32_t length = whole - at;
  std::array<std::byte, kLongest> bytes;
  if (ip->hop_limit != wire::kNdHopLimit || length > kLongest || length < sizeof(wire::Icmp) ||
      copy_out(m, kL2 + at, std::span(bytes).first(length)) != length ||
      !checksum_is_right(m, message, kL2 + at, length)) {
    return std::nullopt;
  }
  wire::NdNeighbor fixed{};
  std::memcpy(&fixed, bytes.data(), std::min<std::size_t>(length, sizeof fixed));
  message.type = fixed.type;
  const std::size_t header = fixed_length(fixed.type);
  if (fixed.code != 0 || length < header) return std::nullopt;
  if (message.type == wire::kNdSolicitation || message.type == wire::kNdAdvertisement) {
    message.flags = fixed.flags.host();
    message.target = Ipv6Address(fixed.target);
  }
  const bool options_right = read_options(std::span(bytes).subspan(header, length - header), message);
  if (!options_right || !obeys_its_type(message)) return std::nullopt;
  return message;
}

void write_nd(std::byte* to, Ipv6Address source, Ipv6Address destination,
              std::span<const std::byte> message) {
  const auto length = static_cast<std::uint16_t>(message.size());
  const wire::Ipv6 ip{Be32(6U << 28),    Be16(length),   wire::kProtocolIcmpv6,
                      wire::kNdHopLimit, source.bytes(), destination.bytes()};
  std::memcpy(to, &ip, sizeof ip);
  std::memcpy(to + sizeof ip, message.data(), message.size());
  const std::uint64_t sum = wire::pseudo_header_sum(source, destination, length, wire::kProtocolIcmpv6);
  const Be16 checksum =
      Be16::from_wire(static_cast<std::uint16_t>(~checksum_fold(checksum_add(message, sum))));
  std::memcpy(to + sizeof ip + offsetof(wire::Icmp, checksum), &checksum, sizeof checksum);
}

}  // namespace millrace::controlplane
