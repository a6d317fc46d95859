#include "perf/net_stamp/arguments.h"

#include <algorithm>
#include <charconv>
#include <stdexcept>
#include <string_view>

namespace millrace::perf {
namespace {

// Simple IMIX: 7 frames of 64 bytes, 4 of 594, 1 of 1518, all with their FCS; spread evenly.
constexpr unsigned kImix[] = {60, 590, 60, 60, 590, 60, 60, 590, 60, 1514, 60, 590};
constexpr unsigned kIpv6Least = 74;  // where IPv6 and UDP do not fit into IMIX's least
constexpr unsigned kMaxSize = 9618;

[[noreturn]] void wrong(std::string_view key, std::string_view value) {
  throw std::invalid_argument("net_stamp: " + std::string(key) + "=" + std::string(value) +
                              " makes no sense");
}

std::uint64_t number(std::string_view key, std::string_view value) {
  std::uint64_t result = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), result);
  if (error != std::errc{} || end != value.data() + value.size()) wrong(key, value);
  return result;
}

MacAddress mac(std::string_view key, std::string_view value) {
  const auto result = MacAddress::parse(value);
  if (!result) wrong(key, value);
  return *result;
}

std::vector<unsigned> sizes(std::string_view key, std::string_view value) {
  if (value == "imix") return {std::begin(kImix), std::end(kImix)};
  const std::uint64_t size = number(key, value);
  if (size > kMaxSize) wrong(key, value);
  return {static_cast<unsigned>(size)};
}

void set(Arguments& arguments, std::string_view key, std::string_view value) {
  if (key == "size") {
    arguments.sizes = sizes(key, value);
  } else if (key == "ipv") {
    if (value != "4" && value != "6") wrong(key, value);
    arguments.ipv6 = value == "6";
  } else if (key == "mac") {
    arguments.mac = mac(key, value);
  } else if (key == "dst_mac") {
    arguments.destination = mac(key, value);
  } else if (key == "src_mac") {
    arguments.source = mac(key, value);
  } else if (key == "file") {
    arguments.file = value;
  } else if (key == "offset") {
    arguments.offset = number(key, value);
  } else if (key == "stride") {
    arguments.stride = number(key, value);
  } else if (key == "rx") {
    if (value != "endless" && value != "once" && value != "none") wrong(key, value);
    arguments.rx = value != "none";
    arguments.once = value == "once";
  } else if (key == "frames") {
    arguments.frames = value;
  } else if (key == "stats") {
    arguments.stats = value;
  } else {
    throw std::invalid_argument("net_stamp: no argument " + std::string(key));
  }
}

}  // namespace

Arguments parse_arguments(const char* text) {
  Arguments arguments;
  std::string_view left(text == nullptr ? "" : text);
  while (!left.empty()) {
    const std::string_view pair = left.substr(0, left.find(','));
    left.remove_prefix(std::min(left.size(), pair.size() + 1));
    const auto equals = pair.find('=');
    if (equals == std::string_view::npos) wrong(pair, "");
    set(arguments, pair.substr(0, equals), pair.substr(equals + 1));
  }
  if (arguments.ipv6 && arguments.sizes.size() > 1) {
    for (unsigned& size : arguments.sizes) size = std::max(size, kIpv6Least);
  }
  return arguments;
}

}  // namespace millrace::perf
