#include "net/ipv6_address.h"

#include <charconv>

#include "net/address.h"

namespace millrace {
namespace {

constexpr unsigned kGroups = 8;  // of 16 bits

constexpr unsigned group(Ipv6Address address, unsigned i) {
  return static_cast<unsigned>(address.value() >> (112 - 16 * i)) & 0xffff;
}

struct Run {
  unsigned start = 0;
  unsigned length = 0;
};

// The longest run of zero groups, the first of those as long.
Run longest_zero_run(Ipv6Address address) {
  Run best;
  Run run;
  for (unsigned i = 0; i < kGroups; ++i) {
    if (group(address, i) != 0) {
      run = {i + 1, 0};
    } else if (++run.length > best.length) {
      best = run;
    }
  }
  return best;
}

std::string hex(unsigned number) {
  char digits[8];
  return {digits, std::to_chars(digits, digits + sizeof(digits), number, 16).ptr};
}

std::optional<std::uint16_t> parse_group(std::string_view text) {
  std::uint16_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
  if (text.size() > 4 || error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// What stands on one side of a "::".
struct Side {
  Uint128 value = 0;
  unsigned groups = 0;
};

// Groups with single colons between them, or none; with `quad_may_end`, the last two may be a dotted quad.
std::optional<Side> parse_side(std::string_view text, bool quad_may_end) {
  Side side;
  if (text.empty()) return side;
  for (;;) {
    const auto colon = text.find(':');
    const auto field = text.substr(0, colon);
    const bool is_last = colon == std::string_view::npos;
    if (is_last && quad_may_end && field.find('.') != std::string_view::npos) {
      const auto quad = Ipv4Address::parse(field);
      if (!quad) return std::nullopt;
      side = {side.value << 32 | quad->value(), side.groups + 2};
    } else {
      const auto number = parse_group(field);
      if (!number) return std::nullopt;
      side = {side.value << 16 | *number, side.groups + 1};
    }
    if (side.groups > kGroups) return std::nullopt;
    if (is_last) return side;
    text.remove_prefix(colon + 1);
  }
}

}  // namespace

std::string Ipv6Address::to_string() const {
  if (high_ == 0 && low_ >> 32 == 0xffff)
    return "::ffff:" + Ipv4Address(static_cast<std::uint32_t>(low_)).to_string();
  const Run zeros = longest_zero_run(*this);
  std::string text;
  for (unsigned i = 0; i < kGroups; ++i) {
    if (i == zeros.start && zeros.length >= 2) {
      text += "::";
      i += zeros.length - 1;
      continue;
    }
    if (!text.empty() && text.back() != ':') text += ':';
    text += hex(group(*this, i));
  }
  return text;
}

std::optional<Ipv6Address> Ipv6Address::parse(std::string_view text) {
  const auto gap = text.find("::");
  if (gap == std::string_view::npos) {
    const auto all = parse_side(text, true);
    if (!all || all->groups != kGroups) return std::nullopt;
    return Ipv6Address(all->value);
  }
  const auto left = parse_side(text.substr(0, gap), false);
  const auto right = parse_side(text.substr(gap + 2), true);
  // A "::" stands for one group at least.
  if (!left || !right || left->groups + right->groups >= kGroups) return std::nullopt;
  // In two steps: none on the left would be a shift by all 128 bits.
  const Uint128 high = left->value << 16 << 16 * (kGroups - 1 - left->groups);
  return Ipv6Address(high | right->value);
}

}  // namespace millrace
