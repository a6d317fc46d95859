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
  static constexpr std::string_view kNames[] = {"resolved", "unresolved", "failed"};
  return kNames[static_cast<std::size_t>(state)];
}

// The type of a route in the words of the configuration.
std::string_view type_name(const NextHopSpec& spec) {
  using dataplane::DropReason;
  switch (spec.kind) {
    case NextHopSpec::Kind::via:
      if (!spec.hops.empty() || spec.reason == DropReason::next_hop_lost) return "unicast";
      break;
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

// Where a next hop of a route leads: one row an address, whether or not there is a way to it.
json via_json(Control& c, const NextHops::Set& set) {
  json list = json::array();
  if (set.spec.kind == NextHopSpec::Kind::glean) {
    list.push_back({{"address", nullptr},
                    {"interface", interface_name(c, set.spec.interface)},
                    {"state", "resolved"},
                    {"weight", 1}});
  }
  for (std::size_t i = 0; i < set.hops.size(); ++i) {
    const NextHops::Link* link = set.members[i];
    const config::NextHop& hop = set.hops[i];
    const std::string on = link == nullptr ? hop.interface : interface_name(c, link->key.interface);
    list.push_back({{"address", hop.address.to_string()},
                    {"interface", on.empty() ? json(nullptr) : json(on)},
                    {"state", link == nullptr ? "unreachable" : state_name(link->state)},
                    {"weight", hop.weight}});
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
                    {"weight", set.hops[i].weight},
                    {"packets", packets},
                    {"bytes", bytes}});
  }
  return list;
}

// The addresses that a route's next hops were found by, where they are on no link.
json recursive_json(const NextHops::Set& set) {
  json list = json::array();
  if (set.asked.empty()) return list;
  for (const config::NextHop& hop : set.spec.hops) {
    if (std::ranges::find(set.asked, hop.address) != set.asked.end()) list.push_back(hop.address.to_string());
  }
  return list;
}

template <class Prefix>
json route_json(Control& c, Prefix prefix, const Route& route, bool best) {
  const NextHops::Set* set = c.next_hops().find(route.next_hop);
  return {{"prefix", prefix.to_string()},
          {"source", name(route.source)},
          {"distance", route.distance},
          {"metric", route.metric},
          {"type", type_name(set->spec)},
          {"via", via_json(c, *set)},
          {"recursive", recursive_json(*set)},
          {"best", best},
          {"owner", route.owner == 0 ? json(nullptr) : json(c.owners().name(route.owner))}};
}

// "via 192.0.2.254 wan0" and the like, for a line of `show fib`.
std::string detail_of(Control& c, const NextHops::Set& set) {
  std::string text;
  for (const json& via : via_json(c, set)) {
    if (!text.empty()) text += ", ";
    if (via["address"].is_string()) text += "via " + via["address"].get<std::string>() + " ";
    text += via["interface"].is_string() ? via["interface"].get<std::string>() : "(no way)";
    if (via["weight"] != 1) text += " weight " + via["weight"].dump();
  }
  std::string recursive;
  for (const json& address : recursive_json(set))
    recursive += (recursive.empty() ? " (for " : ", ") + address.get<std::string>();
  if (!recursive.empty()) text += recursive + ")";
  const bool may_drop = set.spec.kind == NextHopSpec::Kind::drop || set.spec.kind == NextHopSpec::Kind::via;
  if (may_drop && set.spec.hops.empty()) return std::string(dataplane::info(set.spec.reason).name);
  return text;
}

// What a listing was asked for: where to start, what to show, how much.
struct Page {
  std::optional<AnyPrefix> after;  // the last prefix of the page before
  std::optional<AnyPrefix> within;
  bool orlonger = false;
  std::string source;
  std::optional<IpAddress> via;
  std::size_t limit = 1000;

  template <class Prefix>
  [[nodiscard]] bool may_show_family() const {
    return !within || std::holds_alternative<Prefix>(*within);
  }
  template <class Prefix>
  [[nodiscard]] Prefix first() const {
    return within ? std::get<Prefix>(*within) : Prefix();
  }
  template <class Prefix>
  [[nodiscard]] bool shows(Prefix prefix) const {
    return !within || (orlonger ? first<Prefix>().contains(prefix) : first<Prefix>() == prefix);
  }
  [[nodiscard]] bool shows(const NextHops::Set& set) const {
    const auto is_asked_for = [&](const auto& hop) { return hop.address == *via; };
    return !via || std::ranges::any_of(set.spec.hops, is_asked_for) ||
           std::ranges::any_of(set.hops, is_asked_for);
  }
  template <class Prefix>
  [[nodiscard]] bool ends_before(Prefix prefix) const {
    if (!within) return false;
    return orlonger ? prefix.address() > first<Prefix>().last() : prefix > first<Prefix>();
  }
};

template <class Query>
Result<Page> parse_page(const Query& query) {
  Page page;
  for (const auto& [key, value] : query) {
    if (key == "prefix") {
      page.within = parse_prefix(value, false);
      if (!page.within) return Error{"prefix: \"" + value + "\" is not a prefix"};
    } else if (key == "orlonger") {
      page.orlonger = value == "1" || value == "true";
    } else if (key == "source") {
      page.source = value;
      if (std::find(kRouteSourceNames.begin(), kRouteSourceNames.end(), value) == kRouteSourceNames.end()) {
        return Error{"source: \"" + value + "\" is not connected, static, api, fpm, netlink or neighbor"};
      }
    } else if (key == "via") {
      page.via = IpAddress::parse(value);
      if (!page.via) return Error{"via: \"" + value + "\" is not an IP address"};
    } else if (key == "after") {
      page.after = parse_prefix(value);
      if (!page.after) return Error{"after: not a cursor of this listing"};
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
  return page;
}

// A part of a listing, of at most Api::kSlice prefixes of a family: `entry` is called with what the tables
// hold from `from` on, in order.
template <class Prefix>
struct Slice {
  const Page& page;
  json& rows;
  Prefix from;
  bool past_from;  // `from` itself was in the slice before

  std::optional<Prefix> reached = std::nullopt;  // the last prefix seen
  bool ended = true;                             // nothing follows in this family
  std::size_t seen = 0;

  // Adds add()'s row if the page shows the prefix. False: no further.
  template <class Add>
  bool entry(Prefix prefix, bool is_first_of_prefix, Add&& add) {
    if (past_from && prefix == from) return true;
    if (page.ends_before(prefix)) return false;
    // Stop between prefixes, never inside one: the cursor is a prefix.
    if (is_first_of_prefix && (seen >= Api::kSlice || rows.size() >= page.limit)) return ended = false;
    if (is_first_of_prefix) ++seen;
    reached = prefix;
    if (page.shows(prefix)) add();
    return true;
  }
};

// Fills `rows` with those of a family behind `last`, which moves. True if the page is full and more follows.
template <class Prefix, class OnControl, class Fill>
bool collect_family(const OnControl& on_control, const Page& page, json& rows, std::optional<AnyPrefix>& last,
                    const Fill& fill) {
  do {
    const Prefix* after = last ? std::get_if<Prefix>(&*last) : nullptr;
    Slice<Prefix> slice{page, rows, after == nullptr ? page.first<Prefix>() : *after, after != nullptr};
    on_control([&](Control& c) { fill(c, slice); });
    if (slice.reached) last = *slice.reached;
    if (slice.ended) return false;
  } while (rows.size() < page.limit);
  return true;
}

// Fills `rows` slice by slice, IPv4 first: fill(control, slice) walks the family's table from slice.from on.
// Returns the cursor of the next page, which is the last prefix of this one.
template <class OnControl, class Fill>
json collect(const OnControl& on_control, const Page& page, json& rows, const Fill& fill) {
  std::optional<AnyPrefix> last = page.after;
  bool full = false;
  for_each_family([&]<class Address>() {
    using Prefix = IpPrefix<Address>;
    const bool behind = last && last->index() > AnyPrefix(Prefix()).index();
    if (full || behind || !page.may_show_family<Prefix>()) return;
    full = collect_family<Prefix>(on_control, page, rows, last, fill);
  });
  return full ? json(to_string(*last)) : json(nullptr);
}

}  // namespace

ApiResponse Api::get_routes(const ApiRequest&, const Query& query) {
  const auto page = parse_page(query);
  if (!page) return problem(400, "Bad parameter", page.error());
  const auto shows = [&](RouteSource source) {
    return page->source.empty() ? source != RouteSource::neighbor : name(source) == page->source;
  };
  json rows = json::array();
  json next = collect(on_control_, *page, rows, [&]<class Prefix>(Control& c, Slice<Prefix>& slice) {
    c.rib<Prefix>().visit_from(slice.from, [&](Prefix prefix, const Route& route, bool best) {
      return slice.entry(prefix, best, [&] {
        if (shows(route.source) && page->shows(*c.next_hops().find(route.next_hop)))
          rows.push_back(route_json(c, prefix, route, best));
      });
    });
  });
  std::size_t total = 0;
  on_control_([&](Control& c) {
    for (const RouteSource source : kRouteSources) {
      if (shows(source)) total += c.count(source);
    }
  });
  return ok({{"routes", std::move(rows)}, {"total", total}, {"next", std::move(next)}});
}

ApiResponse Api::get_fib(const ApiRequest&, const Query& query) {
  const auto page = parse_page(query);
  if (!page) return problem(400, "Bad parameter", page.error());
  json rows = json::array();
  json next = collect(on_control_, *page, rows, [&]<class Prefix>(Control& c, Slice<Prefix>& slice) {
    using Rule = typename lpm::Table<Prefix>::Rule;
    c.writer().fib<Prefix>(FibId(0)).visit_from(slice.from, [&](Prefix prefix, const Rule& rule) {
      return slice.entry(prefix, true, [&] {
        const NextHops::Set* set = c.next_hops().find(rule.next_hop);
        if (set == nullptr || !page->shows(*set)) return;
        rows.push_back({{"prefix", prefix.to_string()},
                        {"next_hop", rule.next_hop.value()},
                        {"kind", kind_name(set->published.kind())},
                        {"detail", detail_of(c, *set)}});
      });
    });
  });
  std::size_t total = 0;
  on_control_([&](Control& c) { total = c.prefixes(); });
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

// Why no route is asked where packets to the address go, or empty.
std::string not_routed(const IpAddress& address) {
  if (address.visit([](auto a) { return a.is_multicast(); }))
    return "a multicast address: it is not forwarded";
  const bool link_local = address.is_ipv6() && address.as<Ipv6Address>().is_link_local();
  return link_local ? "link-local: it stays on its link, and no route is for it" : "";
}

std::string explain(const IpAddress& asked, const json& answer) {
  const std::string address = answer["address"];
  if (const std::string reason = not_routed(asked); !reason.empty()) return address + " is " + reason;
  if (!answer["matched"])
    return "no route to " + address + ": packets are dropped (no_route), and " +
           (asked.is_ipv6() ? "ICMPv6 1/0" : "ICMP 3/0") + " says so";
  const std::string what = address + " is reached by " + answer["prefix"].get<std::string>() + " (" +
                           answer["source"].get<std::string>() + ")";
  const std::string type = answer["type"];
  if (type == "local") return address + " is one of our own addresses";
  if (type == "connected")
    return what + ": a connected subnet; a packet would start " +
           (asked.is_ipv6() ? "neighbour discovery" : "ARP") + " for it";
  if (type != "unicast" && type != "neighbor") return what + ": dropped, a " + type + " route";
  if (answer["adjacencies"].empty()) return what + ": there is no way to a next hop: dropped";
  std::string via;
  for (const json& a : answer["adjacencies"]) {
    via += (via.empty() ? "" : " and ") + a["address"].get<std::string>() + " on " +
           a["interface"].get<std::string>();
    via += a["mac"].is_string() ? " (" + a["mac"].get<std::string>() + ")" : " (MAC not known)";
  }
  return what + ", sent to " + via;
}

json no_match(const IpAddress& address) {
  return {{"address", address.to_string()},
          {"matched", false},
          {"prefix", nullptr},
          {"source", nullptr},
          {"distance", nullptr},
          {"metric", nullptr},
          {"type", nullptr},
          {"owner", nullptr},
          {"next_hop", nullptr},
          {"adjacencies", json::array()}};
}

template <class Address>
json look_up(Control& c, Address address) {
  using Prefix = IpPrefix<Address>;
  const auto [prefix, route] = c.rib<Prefix>().match(address);
  // What workers find, which must be what the RIB says.
  const NextHopId id = c.writer().fib<Prefix>(FibId(0)).lookup().lookup(address);
  const NextHops::Set* set = c.next_hops().find(id);
  if (route == nullptr || set == nullptr) return no_match(address);
  return {{"address", address.to_string()},
          {"matched", true},
          {"prefix", prefix.to_string()},
          {"source", name(route->source)},
          {"distance", route->distance},
          {"metric", route->metric},
          {"type", type_name(set->spec)},
          {"owner", route->owner == 0 ? json(nullptr) : json(c.owners().name(route->owner))},
          {"next_hop", {{"id", id.value()}, {"kind", kind_name(set->published.kind())}}},
          {"adjacencies", members_json(c, *set)}};
}

}  // namespace

ApiResponse Api::get_lookup(const ApiRequest&, const Query& query) {
  const auto given = query.find("address");
  const auto address = given == query.end() ? std::nullopt : IpAddress::parse(given->second);
  if (!address) {
    return problem(400, "Bad parameter",
                   given == query.end() ? "address: an IP address is needed"
                                        : "address: \"" + given->second + "\" is not an IP address");
  }
  json answer = no_match(*address);
  if (not_routed(*address).empty()) {
    on_control_([&](Control& c) { answer = address->visit([&](auto a) { return look_up(c, a); }); });
  }
  answer["explanation"] = explain(*address, answer);
  return ok(answer);
}

}  // namespace millrace::controlplane
