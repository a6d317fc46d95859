// The links of a kernel's network namespace by their index, which its routes name them by. Control thread
// only.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "controlplane/netlink_message.h"

namespace millrace::controlplane {

class KernelLinks {
 public:
  // What a message tells of a link beside that it is there.
  enum class News : std::uint8_t {
    none,
    lost,     // it went down or lost its carrier, or is gone
    changed,  // it or its carrier came up, or it has another name
  };

  News put(const NetlinkLink& said) {
    if (said.remove) return links_.erase(said.index) != 0 ? News::lost : News::none;
    const auto [at, is_new] = links_.try_emplace(said.index);
    Link& link = at->second;
    const Link before = std::exchange(link, {said.name, said.state, round_});
    if (is_new) return News::none;
    if (said.state < before.state) return News::lost;
    return said.state != before.state || said.name != before.name ? News::changed : News::none;
  }
  // Empty: there is no such link.
  [[nodiscard]] std::string name(std::uint32_t index) const {
    const auto at = links_.find(index);
    return at == links_.end() ? std::string() : at->second.name;
  }
  void next_round() { ++round_; }
  // Forgets the links that were not said since the round began, and returns them.
  std::vector<std::uint32_t> remove_stale() {
    std::vector<std::uint32_t> gone;
    for (const auto& [index, link] : links_) {
      if (link.round != round_) gone.push_back(index);
    }
    for (const std::uint32_t index : gone) links_.erase(index);
    return gone;
  }

 private:
  struct Link {
    std::string name;
    NetlinkLink::State state = NetlinkLink::State::down;
    std::uint32_t round = 0;  // that said it last
  };
  std::unordered_map<std::uint32_t, Link> links_;
  std::uint32_t round_ = 0;
};

}  // namespace millrace::controlplane
