#include "config/reader.h"

#include <charconv>
#include <utility>

namespace millrace::config {
namespace {

constexpr std::string_view kDigits = "0123456789";
constexpr std::string_view kHexDigits = "0123456789abcdefABCDEF";
constexpr std::string_view kLowerLetters = "abcdefghijklmnopqrstuvwxyz";
constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

bool contains(std::string_view set, char c) {
  return set.find(c) != std::string_view::npos;
}
bool all_in(std::string_view text, std::string_view set) {
  return text.find_first_not_of(set) == std::string_view::npos;
}
bool is_number(std::string_view text) {
  return !text.empty() && all_in(text, kDigits);
}

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return result;
}

// Fit for being part of a hint as it is.
bool is_short_word(std::string_view text) {
  return !text.empty() && text.size() <= 40 &&
         std::ranges::all_of(text, [](char c) { return c > ' ' && c <= '~'; });
}

// How a message names what it found.
std::string found(const Node& node) {
  switch (node.kind) {
    case Kind::null:
      return "empty";
    case Kind::sequence:
      return "a list";
    case Kind::mapping:
      return "a mapping";
    case Kind::scalar:
      break;
  }
  return quoted(node.text);
}

// Digits alone, and no leading zeros, which YAML 1.1 takes for octal.
std::optional<std::uint64_t> whole_number(std::string_view text) {
  std::uint64_t value = 0;
  if (!is_number(text) || (text.size() > 1 && text.front() == '0')) return std::nullopt;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{}) return std::nullopt;
  return value;
}

std::string range_text(std::uint64_t min, std::uint64_t max) {
  return "a whole number from " + std::to_string(min) + " to " + std::to_string(max);
}

// The power of two that a size's unit multiplies by, or nothing.
std::optional<unsigned> unit_shift(char unit) {
  switch (unit) {
    case 'K':
      return 10;
    case 'M':
      return 20;
    case 'G':
      return 30;
    default:
      return std::nullopt;
  }
}

constexpr std::uint64_t kMinMemory = std::uint64_t{64} << 20;
constexpr std::uint64_t kMaxMemory = std::uint64_t{1} << 40;

std::optional<std::uint64_t> parse_size(std::string_view text) {
  if (text.empty()) return std::nullopt;
  const auto shift = unit_shift(text.back());
  const auto number = whole_number(text.substr(0, text.size() - 1));
  // Within 2^40 before the shift: no overflow, and the range check comes after it.
  if (!shift || !number || *number > kMaxMemory) return std::nullopt;
  return *number > (kMaxMemory >> *shift) ? kMaxMemory + 1 : *number << *shift;
}

std::string size_hint(std::string_view text) {
  const std::size_t digits = std::min(text.find_first_not_of(kDigits), text.size());
  const std::string number(text.substr(0, digits));
  const std::string unit = lower(text.substr(digits));
  if (number.empty() || number.size() > 6) return "such as 512M or 1G";
  if (unit.empty()) return "add the unit: K, M or G, such as 512M or 1G";
  if (unit == "k" || unit == "kb" || unit == "kib") return did_you_mean(number + "K");
  if (unit == "m" || unit == "mb" || unit == "mib") return did_you_mean(number + "M");
  if (unit == "g" || unit == "gb" || unit == "gib") return did_you_mean(number + "G");
  if (unit == "t" || unit == "tb" || unit == "tib")
    return did_you_mean(std::to_string(std::stoul(number) * 1024) + "G");
  return "such as 512M or 1G";
}

bool is_pci_address(std::string_view text) {
  constexpr std::string_view kForm = "hhhh:hh:dh.f";  // hexadecimal, device up to 1f, function up to 7
  if (text.size() != kForm.size()) return false;
  for (std::size_t i = 0; i < kForm.size(); ++i) {
    const char c = text[i];
    const bool fits = kForm[i] == 'h'   ? contains(kHexDigits, c)
                      : kForm[i] == 'd' ? c == '0' || c == '1'
                      : kForm[i] == 'f' ? c >= '0' && c <= '7'
                                        : c == kForm[i];
    if (!fits) return false;
  }
  return true;
}

bool is_devargs_argument(std::string_view text) {
  const auto equals = text.find('=');
  if (equals == 0 || equals == std::string_view::npos) return false;
  for (const char c : text.substr(0, equals)) {
    if (!contains(kLetters, c) && !contains(kDigits, c) && c != '_' && c != '-') return false;
  }
  for (const char c : text.substr(equals + 1)) {
    if (c <= ' ' || c > '~') return false;
  }
  return true;
}

// "driver" or "driver,key=value,..."
bool is_devargs(std::string_view text) {
  const std::string_view driver = text.substr(0, text.find(','));
  if (driver.empty() || !contains(kLowerLetters, driver.front())) return false;
  for (const char c : driver) {
    if (!contains(kLowerLetters, c) && !contains(kDigits, c) && c != '_') return false;
  }
  std::string_view rest = text.substr(driver.size());
  while (!rest.empty()) {
    rest.remove_prefix(1);  // the comma
    const std::string_view argument = rest.substr(0, rest.find(','));
    if (!is_devargs_argument(argument)) return false;
    rest.remove_prefix(argument.size());
  }
  return true;
}

std::string device_hint(std::string_view text) {
  const std::string with_domain = "0000:" + std::string(text);
  if (is_pci_address(with_domain)) return did_you_mean(with_domain);
  if (contains(text, ' ')) return "write devargs without spaces";
  return "such as \"0000:3b:00.0\" or \"net_af_packet,iface=veth1\"";
}

// Those of one family have other lengths than those of the other.
std::string length_of_a_host(const IpAddress& address) {
  return address.is_ipv6() ? "/128" : "/32";
}

std::string address_hint(std::string_view text) {
  const auto end = text.find_first_of("/%");
  if (end == std::string_view::npos || !IpAddress::parse(text.substr(0, end))) return {};
  if (text[end] == '%') return "name the interface with the key 'interface'";
  return did_you_mean(text.substr(0, end));
}

std::string prefix_hint(std::string_view text) {
  if (const auto prefix = parse_prefix(text, false)) return did_you_mean(to_string(*prefix));
  if (lower(text) == "default") return "0.0.0.0/0 is the default route of IPv4, ::/0 that of IPv6";
  if (const auto address = IpAddress::parse(text))
    return "add the length: " + std::string(text) + length_of_a_host(*address) + " is this address alone";
  return {};
}

std::string interface_address_hint(std::string_view text) {
  const auto address = IpAddress::parse(text);
  if (!address) return {};
  return "add the length of its subnet, such as " + std::string(text) + (address->is_ipv6() ? "/64" : "/24");
}

std::string mac_hint(std::string_view text) {
  std::string with_colons(text);
  std::ranges::replace(with_colons, '-', ':');
  return MacAddress::parse(with_colons) ? did_you_mean(with_colons) : "such as \"02:00:00:00:00:fe\"";
}

bool is_tcp_endpoint(std::string_view text) {
  const auto colon = text.rfind(':');
  if (colon == std::string_view::npos || !Ipv4Address::parse(text.substr(0, colon))) return false;
  const auto port = whole_number(text.substr(colon + 1));
  return port && *port >= 1 && *port <= 65535;
}

bool is_file_path(std::string_view text) {
  if (text.size() < 2 || text.front() != '/' || text.back() == '/') return false;
  return std::ranges::none_of(text, [](char c) { return c >= 0 && c < ' '; });
}

bool is_socket_path(std::string_view text) {
  constexpr std::size_t kMaxPath = 107;  // sockaddr_un.sun_path holds 108 bytes with its NUL
  return text.size() <= kMaxPath && is_file_path(text);
}

}  // namespace

void Reader::unexpected(const Node& node, std::string_view what, std::string_view expected,
                        std::string hint) {
  problem(node.at, std::string(what) + " must be " + std::string(expected) + ", not " + found(node),
          std::move(hint));
}

void Reader::unknown_key(const Entry& entry, std::string_view what, std::span<const std::string_view> known) {
  std::string hint = did_you_mean(nearest(entry.key, known));
  if (hint.empty()) hint = "known keys: " + joined(known);
  problem(entry.at, "unknown key " + quoted(entry.key) + " in " + std::string(what), std::move(hint));
}

bool Reader::is_mapping(const Node& node, std::string_view what, std::string_view expected) {
  if (node.kind != Kind::mapping) unexpected(node, what, expected);
  return node.kind == Kind::mapping;
}

bool Reader::is_sequence(const Node& node, std::string_view what, std::string_view expected) {
  if (node.kind == Kind::sequence) return true;
  unexpected(node, what, expected, is_short_word(node.text) ? "write a list: [" + node.text + "]" : "");
  return false;
}

std::optional<unsigned> Reader::integer(const Node& node, std::string_view what, std::uint32_t min,
                                        std::uint32_t max) {
  const auto value = whole_number(node.text);
  const bool in_range = value && *value >= min && *value <= max;
  if (in_range && node.plain) return static_cast<unsigned>(*value);
  unexpected(node, what, range_text(min, max), in_range ? "remove the quotes" : "");
  return std::nullopt;
}

std::optional<std::uint64_t> Reader::count(const Node& node, std::string_view what) {
  constexpr std::uint64_t kMax = std::uint64_t{1} << 62;
  const auto value = whole_number(node.text);
  if (value && *value >= 1 && *value <= kMax && node.plain) return value;
  unexpected(node, what, range_text(1, kMax));
  return std::nullopt;
}

std::optional<unsigned> Reader::word_or_integer(const Node& node, std::string_view what,
                                                std::string_view word, std::uint32_t min, std::uint32_t max) {
  if (node.kind == Kind::scalar && node.text == word) return std::nullopt;
  if (node.kind == Kind::scalar && node.text.find_first_not_of("0123456789") == std::string::npos)
    return integer(node, what, min, max);
  unexpected(
      node, what,
      std::string(word) + " or a whole number from " + std::to_string(min) + " to " + std::to_string(max),
      did_you_mean(nearest(node.text, std::array{word})));
  return std::nullopt;
}

std::optional<std::size_t> Reader::one_of(const Node& node, std::string_view what,
                                          std::span<const std::string_view> words) {
  const auto found_at = std::ranges::find(words, node.text);
  if (node.kind == Kind::scalar && found_at != words.end())
    return static_cast<std::size_t>(found_at - words.begin());
  unexpected(node, what, "one of " + joined(words), did_you_mean(nearest(node.text, words)));
  return std::nullopt;
}

std::optional<std::uint64_t> Reader::memory_bytes(const Node& node, std::string_view what) {
  const auto bytes = parse_size(node.text);
  if (bytes && *bytes >= kMinMemory && *bytes <= kMaxMemory) return bytes;
  unexpected(node, what, "a size from 64M to 1024G", bytes ? "" : size_hint(node.text));
  return std::nullopt;
}

std::optional<unsigned> Reader::rate_per_second(const Node& node, std::string_view what) {
  constexpr unsigned kMaxRate = 1'000'000;
  const std::string_view text = node.text;
  const std::string_view number = text.substr(0, text.find('/'));
  const auto rate = whole_number(number);
  const bool in_range = rate && *rate >= 1 && *rate <= kMaxRate;
  if (in_range && text.substr(number.size()) == "/s") return static_cast<unsigned>(*rate);
  unexpected(node, what, "a rate from 1/s to " + std::to_string(kMaxRate) + "/s",
             in_range && number == text ? did_you_mean(std::string(text) + "/s") : "");
  return std::nullopt;
}

std::optional<unsigned> Reader::seconds(const Node& node, std::string_view what, unsigned min, unsigned max) {
  const std::string_view text = node.text;
  const std::string_view number = text.substr(0, text.find_first_not_of(kDigits));
  const auto count = whole_number(number);
  const bool in_range = count && *count >= min && *count <= max;
  if (in_range && text.substr(number.size()) == "s") return static_cast<unsigned>(*count);
  unexpected(node, what, "a time from " + std::to_string(min) + "s to " + std::to_string(max) + "s",
             in_range && number == text ? did_you_mean(std::string(text) + "s") : "");
  return std::nullopt;
}

std::optional<std::string> Reader::file_path(const Node& node, std::string_view what) {
  if (is_file_path(node.text)) return node.text;
  unexpected(node, what, "the absolute path of a file");
  return std::nullopt;
}

std::optional<std::string> Reader::socket_path(const Node& node, std::string_view what) {
  if (is_socket_path(node.text)) return node.text;
  unexpected(node, what, "the absolute path of a socket, up to 107 bytes long",
             "such as /run/millrace/api.sock");
  return std::nullopt;
}

std::optional<std::string> Reader::tcp_endpoint(const Node& node, std::string_view what) {
  if (is_tcp_endpoint(node.text)) return node.text;
  unexpected(node, what, "an IPv4 address and a port", "such as 127.0.0.1:9473");
  return std::nullopt;
}

std::optional<std::string> Reader::device(const Node& node, std::string_view what) {
  // One spelling a device, so that two spellings are not two devices.
  if (is_pci_address(node.text)) return lower(node.text);
  if (is_devargs(node.text)) return node.text;
  unexpected(node, what, "a PCI address or DPDK devargs", device_hint(node.text));
  return std::nullopt;
}

std::optional<std::string> Reader::netns_name(const Node& node, std::string_view what) {
  if (is_netns_name(node.text)) return node.text;
  unexpected(node, what, "1 to 64 letters, digits, '-', '_' and '.', a letter or digit first");
  return std::nullopt;
}

std::optional<std::string> Reader::interface_name(const Node& node, std::string_view what) {
  if (is_interface_name(node.text)) return node.text;
  unexpected(node, what, "an interface's name");
  return std::nullopt;
}

std::optional<IpAddress> Reader::address(const Node& node, std::string_view what) {
  const auto address = IpAddress::parse(node.text);
  if (!address) unexpected(node, what, "an IP address", address_hint(node.text));
  return address;
}

std::optional<AnyPrefix> Reader::prefix(const Node& node, std::string_view what) {
  const auto prefix = parse_prefix(node.text);
  if (prefix) return prefix;
  const bool has_host_bits = parse_prefix(node.text, false).has_value();
  unexpected(node, what, has_host_bits ? "a prefix whose host bits are zero" : "a prefix (address/length)",
             prefix_hint(node.text));
  return std::nullopt;
}

std::optional<AnyInterfaceAddress> Reader::interface_address(const Node& node, std::string_view what) {
  const auto address = parse_interface_address(node.text);
  if (address && std::visit([](const auto& a) { return a.length != 0; }, *address)) return address;
  unexpected(node, what, "an IP address with the length of its subnet, from /1 to /32 or /128",
             interface_address_hint(node.text));
  return std::nullopt;
}

std::optional<MacAddress> Reader::mac(const Node& node, std::string_view what) {
  const auto mac = MacAddress::parse(node.text);
  if (!mac) unexpected(node, what, "a MAC address", mac_hint(node.text));
  return mac;
}

}  // namespace millrace::config
