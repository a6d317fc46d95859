// The next-hop objects of a feed: what its daemon calls by an id, and its routes name by it.
//
//   id -> object -> Set (NextHops, of its own) <- routes
//   id -> group  -> Set of its members' hops   <- routes
//
// An object's set changes in place, so that a change moves all of its routes at once. Objects may come in any
// order: a group is usable once every member has come.
//
// Where a daemon deletes an object, it loses its name alone; its set lives as long as routes name it. A
// kernel takes the routes with it, without a word, and groups that have no other member; so it does with
// objects on a link that goes down. What it has forgotten in such a way a dump tells: after it, objects that
// no message has said again are deleted. Control thread only.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "config/model.h"
#include "controlplane/netlink_message.h"
#include "controlplane/next_hops.h"
#include "net/result.h"

namespace millrace::controlplane {

// The name of our interface that is the sender's `interface_index`, or empty if there is none.
using InterfaceOfIndex = std::function<std::string(std::uint32_t interface_index)>;

// The ways out that netlink's hops are for us: sorted, each once, weights from 1 to 255, at most
// config::kMaxNextHops. Left out are those without a gateway, or with one that no interface of ours can
// tell (a link-local one whose link is not known), and those that encapsulate.
std::vector<config::NextHop> ways_of(std::span<const NetlinkHop> hops, const InterfaceOfIndex& interface_of);

class FeedNextHops {
 public:
  static constexpr std::size_t kMaxObjects = 1 << 16;

  // What an id leads to. `unusable`: the object is there, and gives us no way out.
  enum class State : std::uint8_t { unknown, unusable, usable };
  struct Found {
    State state = State::unknown;
    NextHopId id{};                     // if usable
    const NextHopSpec* spec = nullptr;  // if usable; until the next change
  };

  // Takes the set of a deleted object over, with our reference to it: its routes go, too.
  using Lost = std::function<void(NextHopId set)>;

  // `lost` makes it a kernel's.
  FeedNextHops(NextHops& next_hops, InterfaceOfIndex interface_of, Lost lost = {})
      : next_hops_(next_hops), interface_of_(std::move(interface_of)), lost_(std::move(lost)) {}
  ~FeedNextHops() { clear(); }
  FeedNextHops(const FeedNextHops&) = delete;
  FeedNextHops& operator=(const FeedNextHops&) = delete;

  // Returns the ids that can be found as usable from now on and could not before. An error (too many objects,
  // full tables) changes nothing that is in use.
  Result<std::vector<std::uint32_t>> put(const NetlinkNextHop& object);
  void remove(std::uint32_t id);
  [[nodiscard]] Found find(std::uint32_t id) const;
  // Forgets all names.
  void clear();
  // Deletes those that lead to a link, and are no groups.
  void remove_on(std::uint32_t interface_index);
  [[nodiscard]] bool uses(std::uint32_t interface_index) const;
  // Deletes what was not put again since the round began.
  void next_round() { ++round_; }
  void remove_stale();
  [[nodiscard]] std::size_t size() const { return objects_.size(); }

 private:
  struct Object {
    bool blackhole = false;
    std::vector<NetlinkHop> hops;  // of one that is no group: one
    std::vector<NetlinkNextHop::Member> group;
    std::optional<NextHopId> set;  // which we hold a reference to
    std::uint32_t round = 0;       // that said it last

    [[nodiscard]] bool is_on(std::uint32_t interface_index) const {
      return hops.size() == 1 && hops.front().interface_index == interface_index;
    }
  };

  // What the object is for routes; nothing as long as a member of it is unknown.
  [[nodiscard]] std::optional<NextHopSpec> spec_of(const Object& object) const;
  Result<bool> update(Object& object);
  void leave_members(std::uint32_t id, const Object& object);
  void leave_group(std::uint32_t member, std::uint32_t group);
  template <class Which>
  void remove_if(Which&& which);

  NextHops& next_hops_;
  InterfaceOfIndex interface_of_;
  Lost lost_;
  std::uint32_t round_ = 0;
  std::unordered_map<std::uint32_t, Object> objects_;
  std::unordered_map<std::uint32_t, std::set<std::uint32_t>> groups_of_;  // [member, also an unknown one]
};

}  // namespace millrace::controlplane
