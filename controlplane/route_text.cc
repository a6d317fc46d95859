#include "controlplane/route_text.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <optional>

#include "config/route_rules.h"

namespace millrace::controlplane {
namespace {

using nlohmann::json;

std::string_view take_word(std::string_view& line) {
  constexpr std::string_view kSpace = " \t\r";
  line.remove_prefix(std::min(line.find_first_not_of(kSpace), line.size()));
  const std::string_view word = line.substr(0, line.find_first_of(kSpace));
  line.remove_prefix(word.size());
  return word;
}

Result<AnyPrefix> read_prefix(std::string_view text) {
  if (const auto prefix = parse_prefix(text)) return *prefix;
  if (const auto loose = parse_prefix(text, false)) {
    return Error{"\"" + std::string(text) + "\" has host bits set (did you mean " + to_string(*loose) + "?)"};
  }
  return Error{"\"" + std::string(text) + "\" is not a prefix such as 203.0.113.0/24 or 2001:db8::/32"};
}

std::optional<config::RouteType> parse_type(std::string_view text) {
  if (text == "blackhole") return config::RouteType::blackhole;
  if (text == "unreachable") return config::RouteType::unreachable;
  if (text == "prohibit") return config::RouteType::prohibit;
  if (text == "unicast") return config::RouteType::unicast;
  return std::nullopt;
}

Result<void> add_next_hop(config::RouteConfig& route, std::string_view text) {
  const auto address = IpAddress::parse(text);
  if (!address) return Error{"\"" + std::string(text) + "\" is not an IP address"};
  if (route.via.size() == config::kMaxNextHops)
    return Error{"more than " + std::to_string(config::kMaxNextHops) + " next hops"};
  route.via.emplace_back(*address);
  return {};
}

// Sorts the next hops. One that is there twice is there once, unless its weights differ.
Result<void> normalise(config::RouteConfig& route) {
  std::sort(route.via.begin(), route.via.end());
  route.via.erase(std::unique(route.via.begin(), route.via.end()), route.via.end());
  const auto twice =
      std::adjacent_find(route.via.begin(), route.via.end(),
                         [](const auto& one, const auto& next) { return one.is_same_way(next); });
  if (twice == route.via.end()) return {};
  return Error{"next hop " + twice->address.to_string() + " has two weights"};
}

// What each part of a route allows, they may not allow together.
Result<void> check(const RouteRequest& request) {
  if (auto error = config::prefix_error(request.prefix); !error.empty()) return Error{std::move(error)};
  for (const config::NextHop& hop : request.route.via) {
    if (auto error = config::next_hop_error(request.prefix, hop); !error.empty())
      return Error{std::move(error)};
  }
  return {};
}

Error not_an_interface(std::string_view text) {
  return Error{"\"" + std::string(text) + "\" is not an interface's name"};
}

Result<void> read_interface(std::string_view text, config::RouteConfig& route) {
  if (!config::is_interface_name(text)) return not_an_interface(text);
  route.via.back().interface = text;
  return {};
}

Error not_a_number(const char* key, unsigned min, unsigned max) {
  return Error{std::string("\"") + key + "\" is not a number from " + std::to_string(min) + " to " +
               std::to_string(max)};
}

Result<unsigned> number(const json& value, const char* key, unsigned min, unsigned max) {
  if (!value.is_number_unsigned() || value.get<std::uint64_t>() < min || value.get<std::uint64_t>() > max)
    return not_a_number(key, min, max);
  return value.get<unsigned>();
}

Result<void> read_next_hop(const json& value, config::RouteConfig& route) {
  if (value.is_string()) return add_next_hop(route, value.get_ref<const std::string&>());
  if (!value.is_object()) return Error{"\"via\" holds something that is not a next hop"};
  for (const auto& [key, unused] : value.items()) {
    if (key != "address" && key != "interface" && key != "weight")
      return Error{"unknown key \"" + key + "\" in a next hop"};
  }
  const auto address = value.find("address");
  if (address == value.end() || !address->is_string()) return Error{"a next hop has no \"address\""};
  if (auto added = add_next_hop(route, address->get_ref<const std::string&>()); !added) return added;
  if (const auto interface = value.find("interface"); interface != value.end()) {
    if (!interface->is_string()) return not_an_interface(interface->dump());
    if (auto read = read_interface(interface->get_ref<const std::string&>(), route); !read) return read;
  }
  if (const auto weight = value.find("weight"); weight != value.end()) {
    const auto parsed = number(*weight, "weight", 1, 255);
    if (!parsed) return Error{parsed.error()};
    route.via.back().weight = static_cast<std::uint8_t>(*parsed);
  }
  return {};
}

Result<void> read_via(const json& value, config::RouteConfig& route) {
  if (value.is_string() || value.is_object()) return read_next_hop(value, route);
  if (!value.is_array() || value.empty())
    return Error{"\"via\" is neither a next hop nor a list of next hops"};
  for (const json& item : value) {
    if (auto added = read_next_hop(item, route); !added) return added;
  }
  return {};
}

Result<void> read_weight(std::string_view text, config::RouteConfig& route) {
  std::uint8_t weight = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), weight);
  if (error != std::errc{} || end != text.data() + text.size() || weight == 0)
    return not_a_number("weight", 1, 255);
  route.via.back().weight = weight;
  return {};
}

// What follows "via" on a line: addresses, each with its interface and its weight where it has one.
Result<void> read_via_words(std::string_view line, config::RouteConfig& route) {
  bool may_be_dev = false;
  bool may_be_weight = false;
  for (std::string_view word = take_word(line); !word.empty(); word = take_word(line)) {
    Result<void> read;
    if (may_be_dev && word == "dev") {
      read = read_interface(take_word(line), route);
      may_be_dev = false;
    } else if (may_be_weight && word == "weight") {
      read = read_weight(take_word(line), route);
      may_be_weight = false;
    } else {
      read = add_next_hop(route, word);
      may_be_dev = may_be_weight = true;
    }
    if (!read) return read;
  }
  if (route.via.empty()) return Error{"no next hop after \"via\""};
  return normalise(route);
}

Result<void> read_key(const std::string& key, const json& value, RouteRequest& request) {
  const auto text = [&]() -> std::string {
    return value.is_string() ? value.get<std::string>() : std::string();
  };
  if (key == "prefix") {
    const auto prefix = read_prefix(text());
    if (!prefix) return Error{prefix.error()};
    request.prefix = *prefix;
    return {};
  }
  if (key == "via") return read_via(value, request.route);
  if (key == "type") {
    const auto type = parse_type(text());
    if (!type) return Error{"\"type\" is not unicast, blackhole, unreachable or prohibit"};
    request.route.type = *type;
    return {};
  }
  if (key == "action") {
    if (text() != "add" && text() != "del") return Error{"\"action\" is neither add nor del"};
    request.remove = text() == "del";
    return {};
  }
  if (key == "owner") {
    request.owner = text();
    if (!value.is_string() || request.owner.size() > 64)
      return Error{"\"owner\" is not a string of up to 64 characters"};
    return {};
  }
  if (key != "distance" && key != "metric") return Error{"unknown key \"" + key + "\""};
  const bool distance = key == "distance";
  const auto parsed = number(value, key.c_str(), distance ? 1 : 0, distance ? 255 : 0xffffffffU);
  if (!parsed) return Error{parsed.error()};
  (distance ? request.route.distance : request.route.metric) = *parsed;
  return {};
}

}  // namespace

bool is_blank(std::string_view line) {
  const std::string_view word = take_word(line);
  return word.empty() || word.front() == '#';
}

Result<RouteRequest> parse_route_line(std::string_view line) {
  RouteRequest request;
  std::string_view word = take_word(line);
  if (word == "del") {
    request.remove = true;
    word = take_word(line);
  }
  const auto prefix = read_prefix(word);
  if (!prefix) return Error{prefix.error()};
  request.prefix = *prefix;
  word = take_word(line);
  if (request.remove) {
    if (!word.empty()) return Error{"unexpected \"" + std::string(word) + "\" after the prefix"};
    return request;
  }
  if (word == "via") {
    if (auto read = read_via_words(line, request.route); !read) return Error{read.error()};
    if (auto checked = check(request); !checked) return Error{checked.error()};
    return request;
  }
  const auto type = parse_type(word);
  if (!type || *type == config::RouteType::unicast) {
    return Error{"expected \"via\", \"blackhole\", \"unreachable\" or \"prohibit\" after the prefix"};
  }
  request.route.type = *type;
  if (word = take_word(line); !word.empty())
    return Error{"unexpected \"" + std::string(word) + "\" at the end"};
  if (auto checked = check(request); !checked) return Error{checked.error()};
  return request;
}

Result<RouteRequest> parse_route_json(const json& object) {
  if (!object.is_object()) return Error{"a route is a JSON object"};
  if (!object.contains("prefix")) return Error{"\"prefix\" is missing"};
  RouteRequest request;
  for (const auto& [key, value] : object.items()) {
    if (auto read = read_key(key, value, request); !read) return Error{read.error()};
  }
  if (auto normal = normalise(request.route); !normal) return Error{normal.error()};
  if (request.remove) return request;
  if (auto checked = check(request); !checked) return Error{checked.error()};
  const bool unicast = request.route.type == config::RouteType::unicast;
  if (unicast && request.route.via.empty()) return Error{"neither \"via\" nor a \"type\" without next hops"};
  if (!unicast && !request.route.via.empty()) return Error{"\"via\" goes with unicast routes only"};
  return request;
}

}  // namespace millrace::controlplane
