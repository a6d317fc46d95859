// YAML text to a tree of nodes that know their place: the only file of Millrace that talks to yaml-cpp is
// document.cc. It reads yaml-cpp's events instead of its node tree, so that the limits below hold while the
// tree grows and repeated keys are seen.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/problems.h"

namespace millrace::config {

// What a file may cost at most. An alias counts as all the nodes that it stands for, which defuses "billion
// laughs".
inline constexpr std::size_t kMaxFileBytes = std::size_t{64} << 20;
inline constexpr std::size_t kMaxNodes = std::size_t{4} << 20;
inline constexpr std::size_t kMaxDepth = 32;
inline constexpr std::size_t kMaxValueBytes = std::size_t{1}
                                              << 20;  // text between two events, without comments

enum class Kind : std::uint8_t { null, scalar, sequence, mapping };

struct Node;

struct Entry {
  std::string key;
  Place at;  // of the key
  const Node* value;
};

struct Node {
  Kind kind = Kind::null;
  bool plain = false;  // a scalar without quotes: only such a one can be a number
  Place at;
  std::uint32_t cost = 0;          // nodes that an alias to it stands for; 0 while it is being built
  std::string text;                // of a scalar
  std::vector<const Node*> items;  // of a sequence
  std::vector<Entry> entries;      // of a mapping: in the file's order, without repeated keys

  [[nodiscard]] bool is_null() const { return kind == Kind::null; }
};

// Owns the nodes; moving it leaves them where they are.
struct Document {
  std::deque<Node> nodes;
  const Node* root = nullptr;  // null: nothing but comments
};

// Reports what is wrong with the text as YAML. Without a document there is nothing to go on with.
std::optional<Document> load(std::string_view text, Problems& problems);

}  // namespace millrace::config
