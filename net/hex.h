// Pairs of hexadecimal digits.
#pragma once

#include <charconv>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace millrace {

// A pair for each byte of `into`, and nothing else; false of any other text.
inline bool read_hex(std::string_view text, std::span<std::uint8_t> into) {
  if (text.size() != 2 * into.size()) return false;
  for (std::size_t i = 0; i < into.size(); ++i) {
    const char* const pair = text.data() + 2 * i;
    const auto [end, error] = std::from_chars(pair, pair + 2, into[i], 16);
    if (error != std::errc{} || end != pair + 2) return false;
  }
  return true;
}

inline std::string to_hex(std::span<const std::uint8_t> bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (const std::uint8_t byte : bytes) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 0xf];
  }
  return text;
}

}  // namespace millrace
