// GET: routes, the FIB, next hops, and the explanation of a lookup.
#include <charconv>
#include <nlohmann/json.hpp>

#include "controlplane/api.h"

namespace millrace::controlplane {
namespace {

using dataplane::NextHop;
using nlohmann::json;

std::string_view kind_name(NextHop::Kind kind) {
  static constexpr std::string_view kNames[] = {"drop", "forward", "group", "local", "glean"};
  return kNames[static_cast<std::size_t>(kind)];
}

std::string_view state_name(NextHops::LinkState state) {
  static constexpr std::string_view kNames[] = {"unresolved", "resolved", "failed"};
  return kNames[static_cast<std::size_t>(state)];
}

// The type of a route in the words of the configuration.
std::string_view type_name(const NextHopSpec& spec) {
  using dataplane::DropReason;
  switch (spec.kind) {
    case NextHopSpec::Kind::via:
      return "unicast";
    case NextHopSpec::Kind::neighbor:
      return "neighbor";
    case NextHopSpec::Kind::glean:
      return "connected";
    case NextHopSpec::Kind::local:
      return "local";
    case NextHopSpec::Kind::drop:
      break;
  }
  if (spec.reason == DropReason::route_blackhole) return "blackhole";
  if (spec.reason == DropReason::route_unreachable) return "unreachable";
  if (spec.reason == DropReason::route_prohibit) return "prohibit";
  return "broadcast";
}

std::string interface_name(Control& c, InterfaceId id) {
  const Interface* interface = c.interfaces().find(id);
  return interface == nullptr ? "?" : interface->name;
}

// Where a next hop of a route leads: one row an address, whether or not it is on a connected subnet.
json via_json(Control& c, const NextHops::Set& set) {
  json list = json::array();
  if (set.spec.kind == NextHopSpec::Kind::glean) {
    list.push_back({{"address", nullptr},
                    {"interface", interface_name(c, set.spec.interface)},
                    {"state", "resolved"},
                    {"weight", 1}});
  }
  for (std::size_t i = 0; i < set.spec.hops.size(); ++i) {
    const NextHops::Link* link = set.members[i];
    const auto& [address, weight] = set.spec.hops[i];
    list.push_back(
        {{"address", address.to_string()},
         {"interface", link == nullptr ? json(nullptr) : json(interface_name(c, link->key.interface))},
         {"state", link == nullptr ? "unreachable" : state_name(link->state)},
         {"weight", weight}});
  }
  return list;
}

json members_json(Control& c, const NextHops::Set& set) {
  json list = json::array();
  for (std::size_t i = 0; i < set.members.size(); ++i) {
    const NextHops::Link* link = set.members[i];
    if (link == nullptr) continue;
    const auto [packets, bytes] = c.sent_to(link->key);
    const bool resolved = link->state == NextHops::LinkState::resolved;
    list.push_back({{"address", link->key.address.to_string()},
                    {"interface", interface_name(c, link->key.interface)},
                    {"mac", resolved ? json(link->mac.to_string()) : json(nullptr)},
                    {"state", state_name(link->state)},
                    {"weight", set.spec.hops[i].weight},
                    {"packets", packets},
                    {"bytes", bytes}});
  }
  return list;
}

json route_json(Control& c, Ipv4Prefix prefix, const Route& route, bool best) {
  const NextHops::Set* set = c.next_hops().find(route.next_hop);
  return {{"prefix", prefix.to_string()},
          {"source", name(route.source)},
          {"distance", route.distance},
          {"metric", route.metric},
          {"type", type_name(set->spec)},
          {"via", via_json(c, *set)},
          {"best", best},
          {"owner", route.owner == 0 ? json(nullptr) : json(c.rib().owner_name(route.owner))}};
}

// "via 192.0.2.254 wan0" and the like, for a line of `show fib`.
std::string detail_of(Control& c, const NextHops::Set& set) {
  std::string text;
  for (const json& via : via_json(c, set)) {
    if (!text.empty()) text += ", ";
    if (via["address"].is_string()) text += "via " + via["address"].get<std::string>() + " ";
    text += via["interface"].is_string() ? via["interface"].get<std::string>() : "(not connected)";
    if (via["weight"] != 1) text += " weight " + via["weight"].dump();
  }
  if (set.spec.kind == NextHopSpec::Kind::drop) return std::string(dataplane::info(set.spec.reason).name);
  return text;
}

// What a listing was asked for: where to start, what to show, how much.
struct Page {
  Ipv4Prefix from;
  bool past_from = false;  // the cursor itself was on the page before
  std::optional<Ipv4Prefix> within;
  bool orlonger = false;
  std::string source;
  std::size_t limit = 1000;

  [[nodiscard]] bool shows(Ipv4Prefix prefix) const {
    return !within || (orlonger ? within->contains(prefix) : *within == prefix);
  }
};

template <class Query>
Result<Page> parse_page(const Query& query) {
  Page page;
  for (const auto& [key, value] : query) {
    if (key == "prefix") {
      page.within = Ipv4Prefix::parse(value, false);
      if (!page.within) return Error{"prefix: \"" + value + "\" is not an IPv4 prefix"};
    } else if (key == "orlonger") {
      page.orlonger = value == "1" || value == "true";
    } else if (key == "source") {
      page.source = value;
      if (std::find(kRouteSourceNames.begin(), kRouteSourceNames.end(), value) == kRouteSourceNames.end()) {
        return Error{"source: \"" + value + "\" is not connected, static, api or neighbor"};
      }
    } else if (key == "after") {
      const auto after = Ipv4Prefix::parse(value);
      if (!after) return Error{"after: not a cursor of this listing"};
      page.from = *after;
      page.past_from = true;
    } else if (key == "limit") {
      const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), page.limit);
      if (error != std::errc{} || end != value.data() + value.size() || page.limit < 1 ||
          page.limit > 10000) {
        return Error{"limit: not a number from 1 to 10000"};
      }
    } else {
      return Error{"unknown parameter \"" + key + "\""};
    }
  }
  if (page.within && !page.past_from) page.from = *page.within;
  return page;
}

bool beyond(const Page& page, Ipv4Prefix prefix) {
  if (!page.within) return false;
  return page.orlonger ? prefix.address() > page.within->last() : prefix > *page.within;
}

// Fills `rows` slice by slice. `slice(c, from, past_from, rows)` walks at most Api::kSlice prefixes and
// returns the last one that it saw, or nothing at the end. The cursor of the next page is the last prefix of
// this one.
template <class OnControl, class Slice>
json collect(const OnControl& on_control, const Page& page, json& rows, Slice&& slice) {
  std::optional<Ipv4Prefix> last;
  if (page.past_from) last = page.from;
  for (bool more = true; more && rows.size() < page.limit;) {
    std::optional<Ipv4Prefix> reached;
    on_control([&](Control& c) { reached = slice(c, last.value_or(page.from), last.has_value(), rows); });
    more = reached.has_value();
    if (more) last = reached;
    if (!more) return nullptr;
  }
  return last->to_string();
}

}  // namespace

ApiResponse Api::get_routes(const ApiRequest&, const Query& query) {
  const auto page = parse_page(query);
  if (!page) return problem(400, "Bad parameter", page.error());
  json rows = json::array();
  std::size_t total = 0;
  json next = collect(on_control_, *page, rows, [&](Control& c, Ipv4Prefix from, bool past, json& out) {
    std::optional<Ipv4Prefix> reached;
    std::size_t seen = 0;
    bool ended = true;
    c.rib().visit_from(from, [&](Ipv4Prefix prefix, const Route& route, bool best) {
      if (past && prefix == from) return true;
      if (beyond(*page, prefix)) return false;
      // Stop between prefixes, never inside one: the cursor is a prefix.
      if (best && (seen >= kSlice || out.size() >= page->limit)) return ended = false;
      if (best) ++seen;
      reached = prefix;
      const bool hidden =
          page->source.empty() ? route.source == RouteSource::neighbor : name(route.source) != page->source;
      if (!hidden && page->shows(prefix)) out.push_back(route_json(c, prefix, route, best));
      return true;
    });
    return ended ? std::nullopt : reached;
  });
  on_control_([&](Control& c) {
    for (const RouteSource source : kRouteSources) {
      if (page->source.empty() ? source != RouteSource::neighbor : name(source) == page->source) {
        total += c.rib().count(source);
      }
    }
  });
  return ok({{"routes", std::move(rows)}, {"total", total}, {"next", std::move(next)}});
}

ApiResponse Api::get_fib(const ApiRequest&, const Query& query) {
  const auto page = parse_page(query);
  if (!page) return problem(400, "Bad parameter", page.error());
  json rows = json::array();
  std::size_t total = 0;
  json next = collect(on_control_, *page, rows, [&](Control& c, Ipv4Prefix from, bool past, json& out) {
    std::optional<Ipv4Prefix> reached;
    std::size_t seen = 0;
    bool ended = true;
    c.writer().fib(FibId(0)).visit_from(from, [&](Ipv4Prefix prefix, const lpm::Ipv4Table::Rule& rule) {
      if (past && prefix == from) return true;
      if (beyond(*page, prefix)) return false;
      if (seen++ >= kSlice || out.size() >= page->limit) return ended = false;
      reached = prefix;
      const NextHops::Set* set = c.next_hops().find(rule.next_hop);
      if (set == nullptr || !page->shows(prefix)) return true;
      out.push_back({{"prefix", prefix.to_string()},
                     {"next_hop", rule.next_hop.value()},
                     {"kind", kind_name(set->published.kind())},
                     {"detail", detail_of(c, *set)}});
      return true;
    });
    return ended ? std::nullopt : reached;
  });
  on_control_([&](Control& c) { total = c.writer().fib(FibId(0)).size(); });
  return ok({{"entries", std::move(rows)}, {"total", total}, {"next", std::move(next)}});
}

ApiResponse Api::get_next_hops(const ApiRequest&, const Query&) {
  std::vector<NextHopId> ids;
  on_control_(
      [&](Control& c) { c.next_hops().visit([&](const NextHops::Set& set) { ids.push_back(set.id); }); });
  std::sort(ids.begin(), ids.end());
  json list = json::array();
  for (std::size_t at = 0; at < ids.size(); at += kSlice) {
    on_control_([&](Control& c) {
      for (std::size_t i = at; i < std::min(at + kSlice, ids.size()); ++i) {
        const NextHops::Set* set = c.next_hops().find(ids[i]);
        if (set == nullptr) continue;
        list.push_back({{"id", set->id.value()},
                        {"kind", kind_name(set->published.kind())},
                        {"references", set->references},
                        {"members", members_json(c, *set)}});
      }
    });
  }
  return ok({{"next_hops", std::move(list)}});
}

namespace {

std::string explain(const json& answer) {
  const std::string address = answer["address"];
  if (!answer["matched"])
    return "no route to " + address + ": packets are dropped (no_route), and ICMP 3/0 says so";
  const std::string what = address + " is reached by " + answer["prefix"].get<std::string>() + " (" +
                           answer["source"].get<std::string>() + ")";
  const std::string type = answer["type"];
  if (type == "local") return address + " is one of our own addresses";
  if (type == "connected") return what + ": a connected subnet; a packet would start ARP for it";
  if (type != "unicast" && type != "neighbor") return what + ": dropped, a " + type + " route";
  if (answer["adjacencies"].empty())
    return what + ": no next hop is on a connected subnet that is up: dropped";
  std::string via;
  for (const json& a : answer["adjacencies"]) {
    via += (via.empty() ? "" : " and ") + a["address"].get<std::string>() + " on " +
           a["interface"].get<std::string>();
    via += a["mac"].is_string() ? " (" + a["mac"].get<std::string>() + ")" : " (MAC not known)";
  }
  return what + ", sent to " + via;
}

}  // namespace

ApiResponse Api::get_lookup(const ApiRequest&, const Query& query) {
  const auto given = query.find("address");
  const auto address = given == query.end() ? std::nullopt : Ipv4Address::parse(given->second);
  if (!address) {
    return problem(400, "Bad parameter",
                   given == query.end() ? "address: an IPv4 address is needed"
                                        : "address: \"" + given->second + "\" is not an IPv4 address");
  }
  json answer;
  on_control_([&](Control& c) {
    const auto [prefix, route] = c.rib().match(*address);
    // What workers find, which must be what the RIB says.
    const NextHopId id = c.writer().fib(FibId(0)).lookup().lookup(*address);
    const NextHops::Set* set = c.next_hops().find(id);
    answer = {{"address", address->to_string()}, {"matched", route != nullptr && set != nullptr}};
    if (route == nullptr || set == nullptr) {
      answer.update({{"prefix", nullptr},
                     {"source", nullptr},
                     {"distance", nullptr},
                     {"metric", nullptr},
                     {"type", nullptr},
                     {"owner", nullptr},
                     {"next_hop", nullptr},
                     {"adjacencies", json::array()}});
      return;
    }
    answer.update({{"prefix", prefix.to_string()},
                   {"source", name(route->source)},
                   {"distance", route->distance},
                   {"metric", route->metric},
                   {"type", type_name(set->spec)},
                   {"owner", route->owner == 0 ? json(nullptr) : json(c.rib().owner_name(route->owner))},
                   {"next_hop", {{"id", id.value()}, {"kind", kind_name(set->published.kind())}}},
                   {"adjacencies", members_json(c, *set)}});
  });
  answer["explanation"] = explain(answer);
  return ok(answer);
}

}  // namespace millrace::controlplane
