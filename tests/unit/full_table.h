// The Internet's tables in tests/data: a line is a prefix and the number of its next hop.
#pragma once

#include <zlib.h>

#include <array>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "lpm/table.h"

namespace millrace {

// Empty if the file cannot be read.
template <class Prefix>
std::vector<typename lpm::Table<Prefix>::Route> read_full_table(const std::string& name) {
  std::vector<typename lpm::Table<Prefix>::Route> routes;
  gzFile file = gzopen((MILLRACE_SOURCE_DIR "/tests/data/" + name).c_str(), "rb");
  if (file == nullptr) return routes;
  std::array<char, 128> line;
  while (gzgets(file, line.data(), line.size()) != nullptr) {
    const std::string_view text(line.data());
    const auto space = text.find(' ');
    const auto prefix = Prefix::parse(text.substr(0, space));
    if (!prefix) continue;
    routes.push_back(
        {*prefix, NextHopId(static_cast<std::uint32_t>(std::strtoul(line.data() + space, nullptr, 10)))});
  }
  gzclose(file);
  return routes;
}

}  // namespace millrace
