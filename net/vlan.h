// The tags of a VLAN sub-interface's frames (IEEE 802.1Q clause 9): one, or two where a provider's tag lies
// before the customer's (QinQ).
#pragma once

#include <array>
#include <compare>
#include <cstdint>

#include "net/byte_order.h"
#include "net/wire.h"

namespace millrace {

inline constexpr std::uint16_t kMaxVlan = 4094;  // 0 is a mere priority, 4095 is reserved

struct VlanTags {
  std::uint16_t outer = 0;                          // VLAN id; 0: untagged
  std::uint16_t inner = 0;                          // VLAN id; 0: there is one tag
  std::uint16_t outer_type = wire::kEtherTypeVlan;  // what introduces the outer tag on frames that we send

  [[nodiscard]] bool any() const { return outer != 0; }
  [[nodiscard]] unsigned count() const { return (outer != 0 ? 1U : 0U) + (inner != 0 ? 1U : 0U); }
  // As they lie behind the MACs, with priority 0.
  [[nodiscard]] std::array<wire::VlanTag, 2> wire() const {
    return {{{Be16(outer_type), Be16(outer)}, {Be16(wire::kEtherTypeVlan), Be16(inner)}}};
  }
  friend auto operator<=>(const VlanTags&, const VlanTags&) = default;
};

}  // namespace millrace
