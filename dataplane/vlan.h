// VLAN tags: which sub-interface a frame is for, and tags taken off and put on. Untagged traffic never comes
// here.
#pragma once

#include <rte_mbuf.h>

#include <array>
#include <cstdint>
#include <vector>

#include "net/strong_id.h"
#include "net/vlan.h"

namespace millrace::dataplane {

// The sub-interfaces of a port by their VLAN ids. Immutable: a part of the port's InterfaceView.
class VlanTable {
 public:
  struct Entry {
    std::uint16_t outer = 0;
    std::uint16_t inner = 0;  // 0: none
    InterfaceId interface;
    friend auto operator<=>(const Entry&, const Entry&) = default;
  };
  explicit VlanTable(std::vector<Entry> entries);

  // kNoInterface if none has exactly these ids.
  [[nodiscard]] InterfaceId find(std::uint16_t outer, std::uint16_t inner) const;

 private:
  static constexpr std::size_t kIds = 4096;
  std::vector<Entry> entries_;                   // by outer, then inner id
  std::array<std::uint16_t, kIds + 1> first_{};  // of those with an outer id; the next one's is the end
};

// The tags of a frame, taken off it: of the frame's own two at most, and of one that the port took off
// before. Tags with VLAN id 0 carry only a priority (IEEE 802.1Q 6.9.1): they go and do not count.
struct TakenTags {
  std::uint16_t outer = 0;
  std::uint16_t inner = 0;
  bool is_known = true;  // false: there are more tags, or a tag is cut off
  [[nodiscard]] bool any() const { return outer != 0 || !is_known; }
};
TakenTags take_tags(rte_mbuf* m);
bool has_tag(const rte_mbuf& m);  // an Ethernet header lies in the first segment

// Makes an untagged frame one of the VLAN: the tags go between the MACs and the type, by us or, `by_port`, by
// the port when it sends the frame. False if the buffer has no room for them before the frame.
bool put_tags(rte_mbuf* m, const VlanTags& tags, bool by_port);

}  // namespace millrace::dataplane
