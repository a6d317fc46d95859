#include "dataplane/vlan.h"

#include <algorithm>
#include <cstring>

#include "dataplane/packet.h"
#include "dataplane/port_marks.h"

namespace millrace::dataplane {

namespace {

constexpr std::uint16_t kMacs = 2 * sizeof(MacAddress);

bool is_tag(Be16 type) {
  return type.host() == wire::kEtherTypeVlan || type.host() == wire::kEtherTypeQinQ;
}

}  // namespace

VlanTable::VlanTable(std::vector<Entry> entries) : entries_(std::move(entries)) {
  std::ranges::sort(entries_);
  std::size_t at = 0;
  for (std::size_t id = 0; id < kIds; ++id) {
    first_[id] = static_cast<std::uint16_t>(at);
    while (at < entries_.size() && entries_[at].outer == id) ++at;
  }
  first_[kIds] = static_cast<std::uint16_t>(at);
}

InterfaceId VlanTable::find(std::uint16_t outer, std::uint16_t inner) const {
  const auto begin = entries_.begin() + first_[outer], end = entries_.begin() + first_[outer + 1U];
  const auto at =
      std::lower_bound(begin, end, inner, [](const Entry& e, std::uint16_t id) { return e.inner < id; });
  return at != end && at->inner == inner ? at->interface : kNoInterface;
}

bool has_tag(const rte_mbuf& m) {
  return (m.ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED) != 0 ||
         is_tag(rte_pktmbuf_mtod(&m, const wire::Ethernet*)->type);
}

TakenTags take_tags(rte_mbuf* m) {
  TakenTags taken;
  const auto count = [&taken](std::uint16_t id) {
    if (id == 0) return;
    if (taken.inner != 0 || id > kMaxVlan) taken.is_known = false;
    (taken.outer == 0 ? taken.outer : taken.inner) = id;
  };
  if ((m->ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED) != 0) {
    m->ol_flags &= ~(RTE_MBUF_F_RX_VLAN_STRIPPED | RTE_MBUF_F_RX_VLAN);
    count(m->vlan_tci & 0xfff);
  }
  constexpr unsigned kMost = 4;  // tags with and without an id
  for (unsigned i = 0; is_tag(ethernet(m)->type); ++i) {
    if (i == kMost || !make_contiguous(m, sizeof(wire::Ethernet) + sizeof(wire::VlanTag))) {
      taken.is_known = false;
      break;
    }
    count(rte_pktmbuf_mtod_offset(m, const wire::VlanTag*, kMacs)->id());
    char* frame = rte_pktmbuf_mtod(m, char*);
    std::memmove(frame + sizeof(wire::VlanTag), frame, kMacs);
    rte_pktmbuf_adj(m, sizeof(wire::VlanTag));
    forget_marks(m);
  }
  return taken;
}

bool put_tags(rte_mbuf* m, const VlanTags& tags, bool by_port) {
  if (by_port) {
    m->vlan_tci = tags.outer;
    m->ol_flags |= RTE_MBUF_F_TX_VLAN;
    return true;
  }
  const auto bytes = static_cast<std::uint16_t>(tags.count() * sizeof(wire::VlanTag));
  char* frame = rte_pktmbuf_prepend(m, bytes);
  if (frame == nullptr) return false;
  const auto wire = tags.wire();
  std::memmove(frame, frame + bytes, kMacs);
  std::memcpy(frame + kMacs, wire.data(), bytes);
  return true;
}

}  // namespace millrace::dataplane
