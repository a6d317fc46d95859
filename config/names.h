// The interfaces of a draft by name, for checks.
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "config/draft.h"

namespace millrace::config {

inline std::string line_of(Place at) {
  return "line " + std::to_string(at.line);
}

// The interfaces by name.
class Names {
 public:
  explicit Names(const Draft& draft) {
    for (const InterfaceDraft& interface : draft.interfaces) {
      known_.emplace(interface.name, &interface);
      if (listed_.size() < kMaxListed) listed_.push_back(interface.name);
    }
  }
  [[nodiscard]] const InterfaceDraft* find(std::string_view name) const {
    const auto found = known_.find(name);
    return found == known_.end() ? nullptr : found->second;
  }
  [[nodiscard]] std::string hint(std::string_view name) const { return did_you_mean(nearest(name, listed_)); }

 private:
  static constexpr std::size_t kMaxListed = 256;  // a hint is not worth more work
  std::unordered_map<std::string_view, const InterfaceDraft*> known_;
  std::vector<std::string_view> listed_;
};

}  // namespace millrace::config
