#include "controlplane/feed_next_hops.h"

#include <algorithm>
#include <utility>

namespace millrace::controlplane {

using dataplane::DropReason;

namespace {

constexpr unsigned kMaxWeight = 255;

bool leads_out(const config::NextHop& hop) {
  const bool link_local = hop.address.is_ipv6() && hop.address.as<Ipv6Address>().is_link_local();
  return !link_local || !hop.interface.empty();
}

struct Way {
  config::NextHop hop;
  unsigned weight;  // of all hops that go this way, together
};

// Each way once.
std::vector<Way> merged(std::vector<Way> ways) {
  std::sort(ways.begin(), ways.end(), [](const Way& a, const Way& b) { return a.hop < b.hop; });
  std::vector<Way> once;
  for (Way& way : ways) {
    if (!once.empty() && once.back().hop.is_same_way(way.hop)) {
      once.back().weight += way.weight;
    } else {
      once.push_back(std::move(way));
    }
  }
  if (once.size() > config::kMaxNextHops) once.resize(config::kMaxNextHops, once.front());
  return once;
}

}  // namespace

// Weights above the largest one that we have are all made smaller alike.
std::vector<config::NextHop> ways_of(std::span<const NetlinkHop> hops, const InterfaceOfIndex& interface_of) {
  std::vector<Way> ways;
  for (const NetlinkHop& hop : hops) {
    if (!hop.gateway || hop.encapsulates || hop.dead) continue;
    Way way{{*hop.gateway, interface_of(hop.interface_index)}, hop.weight};
    if (leads_out(way.hop)) ways.push_back(std::move(way));
  }
  ways = merged(std::move(ways));
  unsigned largest = kMaxWeight;
  for (const Way& way : ways) largest = std::max(largest, way.weight);
  std::vector<config::NextHop> result;
  for (Way& way : ways) {
    way.hop.weight = static_cast<std::uint8_t>(std::max(1U, way.weight * kMaxWeight / largest));
    result.push_back(std::move(way.hop));
  }
  return result;
}

std::optional<NextHopSpec> FeedNextHops::spec_of(const Object& object) const {
  std::vector<NetlinkHop> hops = object.hops;
  bool blackhole = object.blackhole;
  for (const auto& [member, weight] : object.group) {
    const auto at = objects_.find(member);
    if (at == objects_.end()) return std::nullopt;
    blackhole |= at->second.blackhole;
    for (const NetlinkHop& hop : at->second.hops) hops.emplace_back(hop).weight = weight;
  }
  NextHopSpec spec = NextHopSpec::via(ways_of(hops, interface_of_));
  spec.reason = blackhole && spec.hops.empty() ? DropReason::route_blackhole : DropReason::next_hop_lost;
  return spec;
}

// True if the object has become usable. One that was keeps its set, even if it leads nowhere now.
Result<bool> FeedNextHops::update(Object& object) {
  auto spec = spec_of(object);
  if (!spec) return false;
  if (object.set) {
    next_hops_.change_own(*object.set, std::move(*spec));
    return false;
  }
  if (spec->hops.empty() && spec->reason == DropReason::next_hop_lost) return false;
  const auto made = next_hops_.make_own(std::move(*spec));
  if (!made) return Error{made.error()};
  object.set = *made;
  return true;
}

Result<std::vector<std::uint32_t>> FeedNextHops::put(const NetlinkNextHop& from) {
  if (objects_.size() >= kMaxObjects && !objects_.contains(from.id))
    return Error{"there are more than " + std::to_string(kMaxObjects) + " next-hop objects"};
  Object& object = objects_[from.id];
  leave_members(from.id, object);
  object.round = round_;
  object.blackhole = from.blackhole;
  object.group = from.group;
  object.hops.clear();
  if (from.group.empty() && !from.blackhole) object.hops = {from.hop};
  for (const auto& member : object.group) groups_of_[member.id].insert(from.id);

  std::vector<std::uint32_t> ready;
  const auto add_if_ready = [&](std::uint32_t id) -> Result<void> {
    const auto became_usable = update(objects_.at(id));
    if (!became_usable) return Error{became_usable.error()};
    if (*became_usable) ready.push_back(id);
    return {};
  };
  if (auto updated = add_if_ready(from.id); !updated) return Error{updated.error()};
  const auto groups = groups_of_.find(from.id);
  if (groups == groups_of_.end()) return ready;
  for (const std::uint32_t id : groups->second) {
    if (auto updated = add_if_ready(id); !updated) return Error{updated.error()};
  }
  return ready;
}

void FeedNextHops::leave_members(std::uint32_t id, const Object& object) {
  for (const auto& member : object.group) {
    const auto groups = groups_of_.find(member.id);
    if (groups == groups_of_.end()) continue;
    groups->second.erase(id);
    if (groups->second.empty()) groups_of_.erase(groups);
  }
}

// As in the kernel, groups lose a member that is deleted.
void FeedNextHops::remove(std::uint32_t id) {
  const auto at = objects_.find(id);
  if (at == objects_.end()) return;
  leave_members(id, at->second);
  const std::optional<NextHopId> set = at->second.set;
  objects_.erase(at);
  const auto groups = groups_of_.extract(id);
  if (!groups.empty()) {
    for (const std::uint32_t group_id : groups.mapped()) leave_group(id, group_id);
  }
  if (set) lost_ ? lost_(*set) : next_hops_.release(*set);
}

void FeedNextHops::leave_group(std::uint32_t member, std::uint32_t group_id) {
  Object& group = objects_.at(group_id);
  std::erase_if(group.group, [&](const auto& one) { return one.id == member; });
  if (group.group.empty() && lost_) return remove(group_id);
  // It was whole or is not usable yet: no set is made here, and so nothing can fail.
  if (group.set) static_cast<void>(update(group));
}

template <class Which>
void FeedNextHops::remove_if(Which&& which) {
  std::vector<std::uint32_t> ids;
  for (const auto& [id, object] : objects_) {
    if (which(object)) ids.push_back(id);
  }
  for (const std::uint32_t id : ids) remove(id);
}

void FeedNextHops::remove_on(std::uint32_t interface_index) {
  remove_if([&](const Object& object) { return object.is_on(interface_index); });
}

bool FeedNextHops::uses(std::uint32_t interface_index) const {
  return std::any_of(objects_.begin(), objects_.end(),
                     [&](const auto& one) { return one.second.is_on(interface_index); });
}

void FeedNextHops::remove_stale() {
  remove_if([&](const Object& object) { return object.round != round_; });
}

FeedNextHops::Found FeedNextHops::find(std::uint32_t id) const {
  const auto at = objects_.find(id);
  if (at == objects_.end()) return {};
  const Object& object = at->second;
  if (object.set) return {State::usable, *object.set, &next_hops_.find(*object.set)->spec};
  return {spec_of(object) ? State::unusable : State::unknown, {}, nullptr};
}

void FeedNextHops::clear() {
  for (auto& [id, object] : objects_) {
    if (object.set) next_hops_.release(*object.set);
  }
  objects_.clear();
  groups_of_.clear();
}

}  // namespace millrace::controlplane
