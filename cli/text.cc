#include "cli/text.h"

#include <array>
#include <cmath>
#include <cstdio>

namespace millrace::cli {

namespace {

std::string two_units(std::uint64_t big, const char* big_unit, std::uint64_t small, const char* small_unit) {
  std::string text = std::to_string(big) + " " + big_unit;
  if (small != 0) text += " " + std::to_string(small) + " " + small_unit;
  return text;
}

std::string long_duration(std::uint64_t s) {
  if (s >= 86400) return two_units(s / 86400, "d", s % 86400 / 3600, "h");
  if (s >= 3600) return two_units(s / 3600, "h", s % 3600 / 60, "min");
  if (s >= 60) return two_units(s / 60, "min", s % 60, "s");
  return std::to_string(s) + " s";
}

}  // namespace

std::string printable(std::string_view text) {
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string clean;
  clean.reserve(text.size());
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7f) {
      clean += c;
    } else {
      clean += "\\x";
      clean += kHex[byte >> 4];
      clean += kHex[byte & 15];
    }
  }
  return clean;
}

std::string grouped(std::uint64_t value) {
  std::string digits = std::to_string(value);
  for (std::size_t at = digits.size(); at > 3; at -= 3) digits.insert(at - 3, 1, ',');
  return digits;
}

std::string grouped(std::int64_t value) {
  const auto bits = static_cast<std::uint64_t>(value);
  std::string text = value < 0 ? "-" : "";
  text += grouped(value < 0 ? 0 - bits : bits);  // unsigned negation holds for the minimum as well
  return text;
}

std::string bytes(std::uint64_t value) {
  constexpr std::array kUnits = {"KiB", "MiB", "GiB", "TiB"};
  if (value < 1024) return std::to_string(value) + " B";
  double scaled = static_cast<double>(value) / 1024;
  std::size_t unit = 0;
  while (scaled >= 1024 && unit + 1 < kUnits.size()) {
    scaled /= 1024;
    ++unit;
  }
  return fixed(scaled, 1) + " " + kUnits[unit];
}

std::string duration(double seconds) {
  if (!(seconds > 0)) return "0 s";
  if (seconds < 1e-3) return fixed(seconds * 1e6, 0) + " us";
  if (seconds < 1) return fixed(seconds * 1e3, seconds < 0.01 ? 2 : 0) + " ms";
  if (seconds < 10) return fixed(seconds, 1) + " s";
  return long_duration(static_cast<std::uint64_t>(std::min(seconds, 1e12)));
}

std::string fixed(double value, int digits) {
  std::array<char, 64> buffer{};
  const int length = std::snprintf(buffer.data(), buffer.size(), "%.*f", digits, value);
  return {buffer.data(), std::min(static_cast<std::size_t>(length), buffer.size() - 1)};
}

std::string counted(std::uint64_t value, std::string_view one, std::string_view many) {
  return grouped(value) + " " + std::string(value == 1 ? one : many);
}

std::string shown_name(std::string_view file) {
  return file == "-" ? "<stdin>" : printable(file);
}

}  // namespace millrace::cli
