// A key as a file or a program gives it: on pages that are locked and in no core dump, wiped when the last
// copy goes. Nothing prints it.
//
// Copies share one place. Any thread may make, copy and end them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "esp/algorithm.h"

namespace millrace::config {

class Secret {
 public:
  static constexpr std::size_t kMaxBytes = 120;

  Secret() = default;                                    // of no bytes
  explicit Secret(std::span<const std::uint8_t> bytes);  // at most kMaxBytes; std::bad_alloc without memory
  // Pairs of digits, behind 0x or not; nothing of anything else, and of none.
  static std::optional<Secret> from_hex(std::string_view text);

  [[nodiscard]] std::span<const std::uint8_t> bytes() const;
  [[nodiscard]] bool empty() const { return bytes().empty(); }
  friend bool operator==(const Secret& a, const Secret& b) {
    return std::ranges::equal(a.bytes(), b.bytes());
  }
  friend bool operator<(const Secret& a, const Secret& b) {
    return std::ranges::lexicographical_compare(a.bytes(), b.bytes());
  }

 private:
  struct Place;
  class Pages;
  std::shared_ptr<const Place> place_;
};

// What is wrong with its size as a key of the algorithm, if anything is.
std::optional<std::string> wrong_size(const Secret& key, const esp::Traits& of);

}  // namespace millrace::config
