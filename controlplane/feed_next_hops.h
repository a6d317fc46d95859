// The next-hop objects of a feed: what its daemon calls by an id, and its routes name by it.
//
//   id -> object -> Set (NextHops, of its own) <- routes
//   id -> group  -> Set of its members' hops   <- routes
//
// An object's set changes in place, so that a change moves all of its routes at once. Objects may come in any
// order: a group is usable once every member has come. An object that is deleted loses its name alone; its
// set lives as long as routes name it. Control thread only.
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

  FeedNextHops(NextHops& next_hops, InterfaceOfIndex interface_of)
      : next_hops_(next_hops), interface_of_(std::move(interface_of)) {}
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
  [[nodiscard]] std::size_t size() const { return objects_.size(); }

 private:
  struct Object {
    bool blackhole = false;
    std::vector<NetlinkHop> hops;  // of one that is no group: one
    std::vector<NetlinkNextHop::Member> group;
    std::optional<NextHopId> set;  // which we hold a reference to
  };

  // What the object is for routes; nothing as long as a member of it is unknown.
  [[nodiscard]] std::optional<NextHopSpec> spec_of(const Object& object) const;
  Result<bool> update(Object& object);
  void leave_members(std::uint32_t id, const Object& object);

  NextHops& next_hops_;
  InterfaceOfIndex interface_of_;
  std::unordered_map<std::uint32_t, Object> objects_;
  std::unordered_map<std::uint32_t, std::set<std::uint32_t>> groups_of_;  // [member, also an unknown one]
};

}  // namespace millrace::controlplane
