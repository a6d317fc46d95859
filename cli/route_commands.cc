// `millrace route add|del|lookup`.
#include <charconv>
#include <ostream>
#include <set>

#include "cli/commands.h"
#include "cli/table.h"
#include "cli/text.h"

namespace millrace::cli {

namespace {

// 1 to 255; 0 if the word is no weight.
unsigned weight_of(const std::string& word) {
  std::uint8_t weight = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), weight);
  return error == std::errc{} && end == word.data() + word.size() ? weight : 0;
}

// What may stand behind an address of "via", once: "dev" and the interface, "weight" and a number.
bool is_attribute(const std::string& word) {
  return word == "dev" || word == "weight";
}

// The words behind "via", of which target_error() approved.
Json via_json(const std::vector<std::string>& words) {
  Json via = Json::array();
  for (std::size_t i = 1; i < words.size(); ++i) {
    if (!is_attribute(words[i])) {
      via.push_back(words[i]);
      continue;
    }
    Json& hop = via.back();
    if (hop.is_string()) hop = Json{{"address", hop}};
    if (words[i] == "dev")
      hop["interface"] = words[++i];
    else
      hop["weight"] = weight_of(words[++i]);
  }
  return via;
}

std::string via_error(const std::vector<std::string>& words) {
  if (words.size() < 2) return "'via' needs at least one address";
  std::set<std::string> allowed;
  for (std::size_t i = 1; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (!is_attribute(word)) {
      allowed = {"dev", "weight"};
      continue;
    }
    if (allowed.erase(word) == 0) return "'" + word + "' stands behind an address, once";
    const bool last = ++i == words.size();
    if (word == "dev" && last) return "'dev' needs an interface";
    if (word == "weight" && (last || weight_of(words[i]) == 0))
      return "'weight' needs a number from 1 to 255";
  }
  return "";
}

Json to_json(const NewRoute& route) {
  Json body{{"prefix", route.prefix}};
  if (route.target.front() == "via") {
    body["via"] = via_json(route.target);
  } else {
    body["type"] = route.target.front();
  }
  if (route.distance != 0) body["distance"] = route.distance;
  if (route.metric != 0) body["metric"] = route.metric;
  if (!route.owner.empty()) body["owner"] = route.owner;
  return body;
}

std::string origin(const Json& answer) {
  const std::string owner = text_of(answer, "owner");
  return text_of(answer, "source") + ", distance " + text_of(answer, "distance") + ", metric " +
         text_of(answer, "metric") + (owner.empty() ? "" : ", owner " + owner);
}

Table adjacency_table(const Json& adjacencies) {
  Table table({{"ADDRESS"}, {"INTERFACE"}, {"MAC"}, {"STATE"}, number("PACKETS"), number("BYTES")});
  for (const Json& adjacency : adjacencies) {
    table.row({text_of(adjacency, "address"), text_of(adjacency, "interface"), text_of(adjacency, "mac"),
               text_of(adjacency, "state"), count_of(adjacency, "packets"), count_of(adjacency, "bytes")});
  }
  return table;
}

void print_match(std::ostream& out, const Json& answer) {
  const Json& hop = part_of(answer, "next_hop");
  out << "prefix:    " << text_of(answer, "prefix") << '\n';
  out << "route:     " << text_of(answer, "type") << ", from " << origin(answer) << '\n';
  if (!hop.empty()) out << "next hop:  " << text_of(hop, "id") << " (" << text_of(hop, "kind") << ")\n";
  Table table = adjacency_table(part_of(answer, "adjacencies"));
  if (table.empty()) return;
  out << '\n';
  table.print(out);
}

}  // namespace

std::string target_error(const std::vector<std::string>& words) {
  if (words.empty()) return "where to is missing: 'via ADDRESS...', blackhole, unreachable or prohibit";
  const std::string& first = words.front();
  if (first == "via") return via_error(words);
  if (first != "blackhole" && first != "unreachable" && first != "prohibit") {
    return "'" + printable(first) + "' is not 'via ADDRESS...', blackhole, unreachable or prohibit";
  }
  return words.size() == 1 ? "" : "nothing may follow '" + first + "'";
}

void route_add(Context& context, const NewRoute& route) {
  // 'replace': an argument may hold bytes that are not UTF-8; the daemon refuses what is then in their place.
  const std::string body = to_json(route).dump(-1, ' ', false, Json::error_handler_t::replace);
  const Json answer = context.api.post("/v1/routes", body, "application/json");
  if (context.json) return print_json(context.out, answer);
  context.out << text_of(answer, "result") << ' ' << printable(route.prefix) << '\n';
}

void route_del(Context& context, const std::string& prefix) {
  const Json answer = context.api.remove(target("/v1/routes", {{"prefix", prefix}}));
  if (context.json) return print_json(context.out, answer);
  context.out << text_of(answer, "result") << ' ' << printable(prefix) << '\n';
}

void route_lookup(Context& context, const std::string& address) {
  const Json answer = context.api.get(target("/v1/fib/lookup", {{"address", address}}));
  if (context.json) return print_json(context.out, answer);
  for (const std::string& line : wrap(text_of(answer, "explanation"), Table::kWidth))
    context.out << line << '\n';
  if (!flag_of(answer, "matched")) return;
  context.out << '\n';
  print_match(context.out, answer);
}

}  // namespace millrace::cli
