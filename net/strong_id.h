// A small integer that names one kind of thing, so that a port number cannot be passed for an interface
// number.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>

namespace millrace {

template <class Tag, class Rep>
class StrongId {
 public:
  using rep = Rep;
  constexpr StrongId() = default;
  constexpr explicit StrongId(Rep value) : value_(value) {}
  [[nodiscard]] constexpr Rep value() const { return value_; }
  friend constexpr auto operator<=>(StrongId, StrongId) = default;

 private:
  Rep value_{};
};

using PortId = StrongId<struct PortTag, std::uint16_t>;            // a DPDK ethdev port: hardware
using InterfaceId = StrongId<struct InterfaceTag, std::uint16_t>;  // a layer-3 interface on a port
using FibId = StrongId<struct FibTag, std::uint16_t>;              // a forwarding table (one per VRF, later)
using NextHopId = StrongId<struct NextHopTag, std::uint32_t>;      // what a FIB entry names: a next-hop group
using AdjacencyId = StrongId<struct AdjacencyTag, std::uint32_t>;  // a slot of the adjacency table

inline constexpr InterfaceId kNoInterface{0xffff};

}  // namespace millrace

template <class Tag, class Rep>
struct std::hash<millrace::StrongId<Tag, Rep>> {
  std::size_t operator()(millrace::StrongId<Tag, Rep> id) const noexcept {
    return std::hash<Rep>{}(id.value());
  }
};
