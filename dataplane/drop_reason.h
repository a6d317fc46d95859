// Why a packet was dropped. The list is drop_reason.def.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace millrace::dataplane {

enum class DropReason : std::uint8_t {
#define DROP_REASON(name, text, reference, icmp_type, icmp_code) name,
#include "dataplane/drop_reason.def"
#undef DROP_REASON
};

struct DropReasonInfo {
  std::string_view name;
  std::string_view text;
  std::string_view reference;
  std::uint8_t icmp_type;  // of the error that goes to the sender, or kSilent
  std::uint8_t icmp_code;
};

inline constexpr std::uint8_t kSilent = 0xff;
inline constexpr std::uint8_t kUnreachable = 3;
inline constexpr std::uint8_t kTimeExceeded = 11;

inline constexpr std::array kDropReasons = {
#define DROP_REASON(name, text, reference, icmp_type, icmp_code) \
  DropReasonInfo{#name, text, reference, icmp_type, icmp_code},
#include "dataplane/drop_reason.def"
#undef DROP_REASON
};
inline constexpr std::size_t kDropReasonCount = kDropReasons.size();

constexpr const DropReasonInfo& info(DropReason reason) {
  return kDropReasons[static_cast<std::size_t>(reason)];
}
constexpr bool has_icmp_error(DropReason reason) {
  return info(reason).icmp_type != kSilent;
}

}  // namespace millrace::dataplane
