#include "config/problems.h"

#include <algorithm>
#include <array>
#include <tuple>
#include <utility>

namespace millrace::config {
namespace {

constexpr std::size_t kMaxWord = 32;  // keys and names are shorter; nothing longer is a misspelling of one

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

// Insertions, deletions, replacements and swaps of neighbours that turn `a` into `b` (optimal string
// alignment). Case costs nothing: "Auto" is the nearest thing to "auto" that there is.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::array<std::array<std::size_t, kMaxWord + 1>, kMaxWord + 1> cost{};
  for (std::size_t i = 0; i <= a.size(); ++i) cost[i][0] = i;
  for (std::size_t j = 0; j <= b.size(); ++j) cost[0][j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const bool same = lower(a[i - 1]) == lower(b[j - 1]);
      cost[i][j] = std::min({cost[i - 1][j] + 1, cost[i][j - 1] + 1, cost[i - 1][j - 1] + (same ? 0 : 1)});
      const bool swapped =
          i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) && lower(a[i - 2]) == lower(b[j - 1]);
      if (swapped) cost[i][j] = std::min(cost[i][j], cost[i - 2][j - 2] + 1);
    }
  }
  return cost[a.size()][b.size()];
}

auto place_of(const Problem& p) {
  return std::tie(p.line, p.column);
}

bool same_problem(const Problem& a, const Problem& b) {
  return place_of(a) == place_of(b) && a.message == b.message;
}

}  // namespace

std::string Problem::to_string() const {
  std::string text = file + ":" + std::to_string(line) + ":" + std::to_string(column) + ": " + message;
  if (!hint.empty()) text += " (" + hint + ")";
  return text;
}

void Problems::add(Place at, std::string message, std::string hint) {
  if (problems_.size() == kMax) {
    overflow_ = true;
    return;
  }
  problems_.push_back({file_, at.line, at.column, std::move(message), std::move(hint)});
}

std::vector<Problem> Problems::sorted() && {
  std::ranges::stable_sort(problems_, {}, place_of);
  problems_.erase(std::unique(problems_.begin(), problems_.end(), same_problem), problems_.end());
  if (overflow_) {
    const Problem& last = problems_.back();
    problems_.push_back({file_, last.line, last.column,
                         "more than " + std::to_string(kMax) + " problems: the rest is not listed", ""});
  }
  return std::move(problems_);
}

std::string quoted(std::string_view text) {
  constexpr std::size_t kShown = 60;
  std::string shown = "'";
  for (const char c : text.substr(0, kShown)) shown += c >= 0 && (c < ' ' || c == '\x7f') ? '?' : c;
  if (text.size() <= kShown) return shown + "'";
  // The cut must not leave half a UTF-8 character.
  while ((static_cast<unsigned char>(text[shown.size() - 1]) & 0xc0) == 0x80) shown.pop_back();
  return shown + "...'";
}

std::string did_you_mean(std::string_view text) {
  return text.empty() ? std::string() : "did you mean " + quoted(text) + "?";
}

std::string_view nearest(std::string_view text, std::span<const std::string_view> words) {
  if (text.empty() || text.size() > kMaxWord) return {};
  std::string_view best;
  std::size_t least = text.size() <= 3 ? 2 : 3;  // one slip in a short word, two in a longer one
  for (const std::string_view word : words) {
    if (word.size() > kMaxWord) continue;  // a name of the file, too long to be a right one
    const std::size_t distance = edit_distance(text, word);
    if (distance < least && distance < word.size()) {
      least = distance;
      best = word;
    }
  }
  return best;
}

std::string joined(std::span<const std::string_view> words) {
  std::string text;
  for (const std::string_view word : words) {
    if (!text.empty()) text += ", ";
    text += word;
  }
  return text;
}

}  // namespace millrace::config
