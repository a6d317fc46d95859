// Why a packet was dropped. The list is drop_reason.def.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace millrace::dataplane {

enum class DropReason : std::uint8_t {
#define DROP_REASON(name, text, reference, error, error6) name,
#include "dataplane/drop_reason.def"
#undef DROP_REASON
};

struct IcmpError {
  std::uint8_t type;
  std::uint8_t code;
};

struct DropReasonInfo {
  std::string_view name;
  std::string_view text;
  std::string_view reference;
  std::optional<IcmpError> error;   // what goes to the sender of an IPv4 packet
  std::optional<IcmpError> error6;  // what goes to the sender of an IPv6 packet
};

// As the list writes it.
namespace drop_reason_list {
inline constexpr std::optional<IcmpError> silent;
constexpr std::optional<IcmpError> icmp(std::uint8_t type, std::uint8_t code) {
  return IcmpError{type, code};
}
inline constexpr std::array kDropReasons = {
#define DROP_REASON(name, text, reference, error, error6) \
  DropReasonInfo{#name, text, reference, error, error6},
#include "dataplane/drop_reason.def"
#undef DROP_REASON
};
}  // namespace drop_reason_list
using drop_reason_list::kDropReasons;
inline constexpr std::size_t kDropReasonCount = kDropReasons.size();

constexpr const DropReasonInfo& info(DropReason reason) {
  return kDropReasons[static_cast<std::size_t>(reason)];
}
constexpr bool has_icmp_error(DropReason reason) {
  return info(reason).error || info(reason).error6;
}

}  // namespace millrace::dataplane
