// Where a value stands in the file, and the list of everything that is wrong with the file.
#pragma once

#include <compare>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/parse.h"

namespace millrace::config {

// Counts from 1; a column counts bytes. Default: the start of the file.
struct Place {
  int line = 1;
  int column = 1;
  friend auto operator<=>(const Place&, const Place&) = default;
};

class Problems {
 public:
  // More than this helps nobody, and a broken file of a million routes must not cost gigabytes.
  static constexpr std::size_t kMax = 1000;

  explicit Problems(std::string_view file) : file_(file) {}
  void add(Place at, std::string message, std::string hint = {});
  // In the order of the file. A value that is shared by an alias is reported once.
  [[nodiscard]] std::vector<Problem> sorted() &&;

 private:
  std::string file_;
  std::vector<Problem> problems_;
  bool overflow_ = false;
};

// Text of the file as a message shows it: in quotes, without control characters, and not too long.
std::string quoted(std::string_view text);
// "did you mean 'x'?", or nothing if `text` is empty.
std::string did_you_mean(std::string_view text);
// The word that `text` is a likely misspelling of, or nothing.
std::string_view nearest(std::string_view text, std::span<const std::string_view> words);
// "a, b, c"
std::string joined(std::span<const std::string_view> words);

}  // namespace millrace::config
