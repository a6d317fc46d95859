#include "controlplane/fpm_frame.h"

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
