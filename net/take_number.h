// Numbers in the texts of addresses.
#pragma once

#include <charconv>
#include <optional>
#include <string_view>

namespace millrace {

// A decimal number of at most `max`, without sign or leading zeros; moves `text` past it.
inline std::optional<unsigned> take_number(std::string_view& text, unsigned max) {
  unsigned value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const auto digits = static_cast<std::size_t>(end - text.data());
  if (error != std::errc{} || value > max || (digits > 1 && text.front() == '0')) return std::nullopt;
  text.remove_prefix(digits);
  return value;
}

}  // namespace millrace
