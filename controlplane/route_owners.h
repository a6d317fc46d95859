// The owner tags of API routes, kept as small numbers; 0 is "none". Control thread only.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "net/result.h"

namespace millrace::controlplane {

class RouteOwners {
 public:
  Result<std::uint16_t> id(const std::string& owner) {
    if (const auto at = ids_.find(owner); at != ids_.end()) return at->second;
    if (names_.size() > 0xffff) return Error{"too many different route owners"};
    const auto id = static_cast<std::uint16_t>(names_.size());
    ids_.emplace(owner, id);
    names_.push_back(owner);
    return id;
  }
  [[nodiscard]] const std::string& name(std::uint16_t id) const { return names_[id]; }

 private:
  std::vector<std::string> names_{""};
  std::unordered_map<std::string, std::uint16_t> ids_{{"", 0}};
};

}  // namespace millrace::controlplane
