#include "controlplane/fpm_frame.h"

#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>

#include <algorithm>
#include <cstring>

namespace millrace::controlplane {

namespace {

constexpr std::uint8_t kVersion = 1;
constexpr std::uint8_t kNetlink = 1;
constexpr std::uint8_t kProtobuf = 2;

// Empty if a frame can begin like that.
std::string problem_of(const FpmHeader& header) {
  if (header.version != kVersion)
    return "a frame has the FPM version " + std::to_string(header.version) + ", not 1";
  if (header.type == kProtobuf) return "a frame holds protobuf: zebra needs -M dplane_fpm_nl";
  if (header.type != kNetlink)
    return "a frame has the type " + std::to_string(header.type) + ", not 1 (netlink)";
  if (header.length.host() < sizeof header)
    return "a frame says that it has " + std::to_string(header.length.host()) +
           " bytes, and its header alone has 4";
  return {};
}

}  // namespace

void append_offload(const AnyPrefix& prefix, std::uint8_t protocol, bool taken,
                    std::vector<std::uint8_t>& frames) {
  alignas(nlmsghdr) std::uint8_t bytes[64];
  nlmsghdr& message = *mnl_nlmsg_put_header(bytes);
  message.nlmsg_type = RTM_NEWROUTE;
  message.nlmsg_flags = NLM_F_REQUEST;
  auto& route = *static_cast<rtmsg*>(mnl_nlmsg_put_extra_header(&message, sizeof(rtmsg)));
  route.rtm_table = RT_TABLE_MAIN;
  route.rtm_protocol = protocol;
  route.rtm_type = RTN_UNICAST;
  route.rtm_flags = taken ? RTM_F_OFFLOAD : RTM_F_OFFLOAD_FAILED;
  const auto put = [&](std::uint8_t family, unsigned length, const auto& network) {
    route.rtm_family = family;
    route.rtm_dst_len = static_cast<std::uint8_t>(length);
    mnl_attr_put(&message, RTA_DST, sizeof network, &network);
  };
  if (const auto* ipv4 = std::get_if<Ipv4Prefix>(&prefix)) {
    put(AF_INET, ipv4->length(), ipv4->address().wire());
  } else {
    const Ipv6Prefix& ipv6 = std::get<Ipv6Prefix>(prefix);
    put(AF_INET6, ipv6.length(), ipv6.address().bytes());
  }
  const FpmHeader header{kVersion, kNetlink,
                         Be16(static_cast<std::uint16_t>(sizeof header + message.nlmsg_len))};
  const auto* head = reinterpret_cast<const std::uint8_t*>(&header);
  frames.insert(frames.end(), head, head + sizeof header);
  frames.insert(frames.end(), bytes, bytes + message.nlmsg_len);
}

// What is queued moves to the front once half of the queue is free there: no byte moves twice before as many
// others have been read. Until then the queue holds many whole frames, so that reading goes on.
std::span<std::uint8_t> FpmFrames::room() {
  if (begin_ >= kQueueBytes / 2) {
    std::copy(queue_.begin() + static_cast<std::ptrdiff_t>(begin_),
              queue_.begin() + static_cast<std::ptrdiff_t>(end_), queue_.begin());
    end_ -= begin_;
    begin_ = 0;
  }
  return std::span(queue_).subspan(end_);
}

Result<std::optional<std::span<const std::uint8_t>>> FpmFrames::next() {
  using Frame = std::optional<std::span<const std::uint8_t>>;
  FpmHeader header;
  if (queued_bytes() < sizeof header) return Frame();
  std::memcpy(&header, queue_.data() + begin_, sizeof header);
  if (std::string problem = problem_of(header); !problem.empty()) return Error{std::move(problem)};
  const std::size_t length = header.length.host();
  if (queued_bytes() < length) return Frame();
  std::memcpy(frame_, queue_.data() + begin_ + sizeof header, length - sizeof header);
  begin_ += length;
  if (begin_ == end_) clear();
  return Frame(std::span<const std::uint8_t>(frame_, length - sizeof header));
}

}  // namespace millrace::controlplane
