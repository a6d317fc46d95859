#include "net/mac.h"

#include "net/hex.h"

namespace millrace {

std::string MacAddress::to_string() const {
  std::string text;
  for (const std::uint8_t& byte : bytes) {
    if (!text.empty()) text += ':';
    text += to_hex({&byte, 1});
  }
  return text;
}

std::optional<MacAddress> MacAddress::parse(std::string_view text) {
  MacAddress mac;
  if (text.size() != 17) return std::nullopt;
  for (std::size_t i = 0; i < mac.bytes.size(); ++i) {
    const char* pair = text.data() + 3 * i;
    if (i != 5 && pair[2] != ':') return std::nullopt;
    if (!read_hex({pair, 2}, {&mac.bytes[i], 1})) return std::nullopt;
  }
  return mac;
}

}  // namespace millrace
