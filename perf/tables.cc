#include "perf/tables.h"

#include <arpa/inet.h>
#include <zlib.h>

#include <algorithm>
#include <charconv>
#include <memory>
#include <stdexcept>
#include <string_view>
#include <tuple>
#include <unordered_map>

namespace millrace::perf {
namespace {

bool parse_address(const std::string& text, Address4& out) {
  in_addr raw{};
  if (inet_pton(AF_INET, text.c_str(), &raw) != 1) return false;
  out = ntohl(raw.s_addr);
  return true;
}
bool parse_address(const std::string& text, Address6& out) {
  return inet_pton(AF_INET6, text.c_str(), out.data()) == 1;
}

template <class Number>
bool parse_number(std::string_view text, Number& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc{} && end == text.data() + text.size();
}

class NextHopNames {
 public:
  // 0: neither a number of 1 or more nor an address.
  std::uint32_t id(const std::string& text) {
    std::uint32_t number = 0;
    if (parse_number(text, number)) return number;
    if (text.find_first_of(".:") == std::string::npos) return 0;
    return ids_.try_emplace(text, static_cast<std::uint32_t>(ids_.size() + 1)).first->second;
  }

 private:
  std::unordered_map<std::string, std::uint32_t> ids_;
};

template <class Address>
bool parse_route(std::string_view line, NextHopNames& next_hops, Route<Address>& route) {
  const std::size_t slash = line.find('/');
  const std::size_t space = line.find(' ');
  if (slash == std::string_view::npos || space == std::string_view::npos || space < slash) return false;
  if (!parse_address(std::string(line.substr(0, slash)), route.address)) return false;
  if (!parse_number(line.substr(slash + 1, space - slash - 1), route.length)) return false;
  route.id = next_hops.id(std::string(line.substr(space + 1)));
  return route.length <= kBits<Address> && route.id != kNoRoute &&
         masked(route.address, route.length) == route.address;
}

template <class Address>
void check_unique(std::vector<Route<Address>> routes, const std::string& file) {
  sort_table(routes);
  const auto twice = std::adjacent_find(routes.begin(), routes.end(), [](const auto& a, const auto& b) {
    return a.address == b.address && a.length == b.length;
  });
  if (twice != routes.end())
    throw std::runtime_error(file + ": " + to_string(twice->address) + "/" + std::to_string(twice->length) +
                             " comes twice");
}

}  // namespace

std::string to_string(Address4 address) {
  char text[INET_ADDRSTRLEN] = {};
  const in_addr raw{htonl(address)};
  return inet_ntop(AF_INET, &raw, text, sizeof(text));
}
std::string to_string(const Address6& address) {
  char text[INET6_ADDRSTRLEN] = {};
  return inet_ntop(AF_INET6, address.data(), text, sizeof(text));
}

template <class Address>
std::vector<Route<Address>> read_table(const std::string& file) {
  const std::unique_ptr<gzFile_s, int (*)(gzFile)> in(gzopen(file.c_str(), "rb"), gzclose);
  if (!in) throw std::runtime_error(file + ": cannot be opened");
  gzbuffer(in.get(), 1 << 18);
  std::vector<Route<Address>> routes;
  NextHopNames next_hops;
  char buffer[256];
  while (gzgets(in.get(), buffer, sizeof(buffer)) != nullptr) {
    std::string_view line(buffer);
    while (!line.empty() && (line.back() == '\n' || line.back() == '\r')) line.remove_suffix(1);
    Route<Address> route;
    if (!parse_route(line, next_hops, route))
      throw std::runtime_error(file + ":" + std::to_string(routes.size() + 1) +
                               ": not \"PREFIX NEXT-HOP\": " + std::string(line));
    routes.push_back(route);
  }
  if (routes.empty()) throw std::runtime_error(file + ": holds no routes");
  check_unique(routes, file);
  return routes;
}

template <class Address>
void sort_table(std::vector<Route<Address>>& routes) {
  std::sort(routes.begin(), routes.end(), [](const auto& a, const auto& b) {
    return std::tie(a.address, a.length) < std::tie(b.address, b.length);
  });
}

template <class Address>
std::uint32_t groups_needed(const std::vector<Route<Address>>& routes) {
  std::size_t groups = 0;
  std::vector<Address> above;
  for (unsigned level = 24; level < kBits<Address>; level += 8) {
    above.clear();
    for (const auto& route : routes) {
      if (route.length > level) above.push_back(masked(route.address, level));
    }
    std::sort(above.begin(), above.end());
    groups += static_cast<std::size_t>(std::unique(above.begin(), above.end()) - above.begin());
  }
  return static_cast<std::uint32_t>(groups);
}

template <class Address>
std::uint32_t groups_unshared(const std::vector<Route<Address>>& routes) {
  std::uint32_t groups = 0;
  for (const auto& route : routes) groups += route.length > 24 ? (route.length - 24u + 7) / 8 : 0;
  return groups;
}

template std::vector<Route4> read_table<Address4>(const std::string&);
template std::vector<Route6> read_table<Address6>(const std::string&);
template void sort_table<Address4>(std::vector<Route4>&);
template void sort_table<Address6>(std::vector<Route6>&);
template std::uint32_t groups_needed<Address4>(const std::vector<Route4>&);
template std::uint32_t groups_needed<Address6>(const std::vector<Route6>&);
template std::uint32_t groups_unshared<Address4>(const std::vector<Route4>&);
template std::uint32_t groups_unshared<Address6>(const std::vector<Route6>&);

}  // namespace millrace::perf
