// POST and DELETE: routes of source "api", and the configuration.
#include <nlohmann/json.hpp>

#include "controlplane/api.h"

namespace millrace::controlplane {
namespace {

using nlohmann::json;

std::string file_of(const std::map<std::string, std::string, std::less<>>& query) {
  const auto file = query.find("file");
  return file == query.end() || file->second.empty() ? "config" : file->second;
}

// nlohmann's default is to throw; a parse that fails gives "discarded" here. Depth is bounded by the body's
// size only, and the parser does not recurse.
Result<json> parse_json(const std::string& body) {
  json parsed = json::parse(body, nullptr, false);
  if (parsed.is_discarded()) return Error{"the body is not JSON"};
  return parsed;
}

constexpr std::string_view kOutcomes[] = {"added", "replaced", "unchanged"};

struct BatchCounts {
  std::uint64_t outcomes[3] = {0, 0, 0};
  std::uint64_t removed = 0;
  std::uint64_t failed = 0;
  json errors = json::array();

  void fail(std::size_t line, const std::string& message) {
    ++failed;
    if (errors.size() < 20) errors.push_back({{"line", line}, {"message", message}});
  }
  [[nodiscard]] json to_json() const {
    return {{"added", outcomes[0]}, {"replaced", outcomes[1]}, {"unchanged", outcomes[2]},
            {"removed", removed},   {"failed", failed},        {"errors", errors}};
  }
};

// The routes of a batch one after the other, from lines or from a JSON array; next() is empty at the end.
class BatchReader {
 public:
  struct Item {
    std::size_t line;  // of the text, or the place in the array, from 1
    Result<RouteRequest> route;
  };
  explicit BatchReader(std::string_view text) : text_(text) {}
  explicit BatchReader(const json& routes) : routes_(&routes) {}

  std::optional<Item> next() {
    if (routes_ != nullptr) {
      if (line_ == routes_->size()) return std::nullopt;
      ++line_;
      return Item{line_, parse_route_json((*routes_)[line_ - 1])};
    }
    while (!text_.empty()) {
      const std::string_view line = text_.substr(0, text_.find('\n'));
      text_.remove_prefix(std::min(line.size() + 1, text_.size()));
      ++line_;
      if (!is_blank(line)) return Item{line_, parse_route_line(line)};
    }
    return std::nullopt;
  }

 private:
  std::string_view text_;
  const json* routes_ = nullptr;
  std::size_t line_ = 0;
};

// A slice of a sweep from the prefix on, which moves; false at the end.
template <class Prefix>
bool sweep_slice(Control& c, Prefix& from, std::uint16_t owner, std::uint32_t mark, std::uint64_t& removed) {
  bool more = false;
  std::size_t seen = 0;
  std::vector<Prefix> stale;
  c.rib<Prefix>().visit_from(from, [&](Prefix prefix, const Route& route, bool) {
    if (seen++ >= 8 * Api::kSlice || stale.size() >= Api::kSlice) {
      more = true;
      from = prefix;
      return false;
    }
    if (route.source == RouteSource::api && route.owner == owner && route.mark != mark)
      stale.push_back(prefix);
    return true;
  });
  for (const Prefix prefix : stale) c.remove_route(prefix);
  removed += stale.size();
  return more;
}

}  // namespace

ApiResponse Api::post_route(const ApiRequest& request, const Query&) {
  const auto body = parse_json(request.body);
  if (!body) return problem(400, "Bad request", body.error());
  const auto route = parse_route_json(*body);
  if (!route) return problem(400, "Bad route", route.error());
  if (route->remove) return problem(400, "Bad route", "\"action\": \"del\" is for batches; use DELETE");
  Result<RouteOutcome> outcome = Error{""};
  on_control_([&](Control& c) {
    const auto owner = c.owners().id(route->owner);
    if (owner) {
      outcome = c.add_route(route->prefix, {route->route, *owner});
    } else {
      outcome = Error{owner.error()};
    }
  });
  if (!outcome) return problem(507, "Table full", outcome.error());
  return ok({{"result", kOutcomes[static_cast<std::size_t>(*outcome)]}});
}

ApiResponse Api::delete_route(const ApiRequest&, const Query& query) {
  const auto given = query.find("prefix");
  const auto prefix = given == query.end() ? std::nullopt : parse_prefix(given->second);
  if (!prefix) return problem(400, "Bad parameter", "prefix: a prefix is needed");
  bool removed = false;
  on_control_([&](Control& c) { removed = c.remove_route(*prefix); });
  if (!removed) return problem(404, "Not found", "there is no API route for " + to_string(*prefix));
  return ok({{"result", "removed"}});
}

ApiResponse Api::post_batch(const ApiRequest& request, const Query&) {
  return run_batch(request, std::nullopt);
}

ApiResponse Api::post_replace(const ApiRequest& request, const Query& query) {
  const auto owner = query.find("owner");
  if (owner == query.end() || owner->second.empty() || owner->second.size() > 64) {
    return problem(400, "Bad parameter", "owner: a name of up to 64 characters is needed");
  }
  return run_batch(request, owner->second);
}

// Parses on this thread, applies in slices on the control thread. With an owner to replace, every route gets
// a mark, and what the owner has without it afterwards goes; nothing is swept if any route failed.
ApiResponse Api::run_batch(const ApiRequest& request, std::optional<std::string> replace_owner) {
  json document;
  const bool is_text = request.content_type.starts_with("text/plain");
  if (!is_text) {
    auto parsed = parse_json(request.body);
    if (!parsed) return problem(400, "Bad request", parsed.error());
    document = std::move(*parsed);
    if (!document.is_object() || !document.contains("routes") || !document["routes"].is_array()) {
      return problem(400, "Bad request", "expected {\"routes\": [...]}, or text/plain with a route a line");
    }
  }
  BatchReader reader =
      is_text ? BatchReader(std::string_view(request.body)) : BatchReader(document["routes"]);
  const std::uint32_t mark = replace_owner ? next_mark_++ : 0;
  BatchCounts counts;
  for (bool more = true; more;) {
    std::vector<BatchReader::Item> slice;
    while (more && slice.size() < kSlice) {
      auto item = reader.next();
      more = item.has_value();
      if (more) slice.push_back(std::move(*item));
    }
    on_control_([&](Control& c) {
      for (const auto& [line, parsed] : slice) {
        if (!parsed) {
          counts.fail(line, parsed.error());
          continue;
        }
        const RouteRequest& route = *parsed;
        if (route.remove) {
          if (c.remove_route(route.prefix)) {
            ++counts.removed;
          } else {
            counts.fail(line, "there is no API route for " + to_string(route.prefix));
          }
          continue;
        }
        const auto owner = c.owners().id(replace_owner.value_or(route.owner));
        const auto outcome =
            owner ? c.add_route(route.prefix, {route.route, *owner}, mark) : Error{owner.error()};
        if (outcome) {
          ++counts.outcomes[static_cast<std::size_t>(*outcome)];
        } else {
          counts.fail(line, outcome.error());
        }
      }
    });
  }
  if (replace_owner && counts.failed == 0) {
    std::uint16_t owner = 0;
    on_control_([&](Control& c) {
      if (const auto id = c.owners().id(*replace_owner)) owner = *id;
    });
    if (owner != 0) sweep(owner, mark, counts.removed);
  }
  return ok(counts.to_json());
}

// Removes the owner's routes that a replace did not mark, a slice of a RIB at a time.
void Api::sweep(std::uint16_t owner, std::uint32_t mark, std::uint64_t& removed) {
  for_each_family([&]<class Address>() {
    IpPrefix<Address> from;
    for (bool more = true; more;) {
      on_control_([&](Control& c) { more = sweep_slice(c, from, owner, mark, removed); });
    }
  });
}

ApiResponse Api::get_config(const ApiRequest&, const Query&) {
  std::uint64_t generation = 0;
  on_control_([&](Control& c) { generation = c.generation(); });
  ApiResponse response = ok({{"generation", generation}, {"file", info_.config_file}});
  response.etag = "\"" + std::to_string(generation) + "\"";
  return response;
}

ApiResponse Api::post_check(const ApiRequest& request, const Query& query) {
  const auto parsed = config::parse(request.body, file_of(query));
  return parsed.ok() ? ok({{"ok", true}}) : config_problems(parsed.problems);
}

namespace {

json changes_json(const std::vector<config::Change>& changes) {
  static constexpr std::string_view kActions[] = {"add", "remove", "change"};
  json list = json::array();
  for (const auto& change : changes) {
    list.push_back({{"action", kActions[static_cast<std::size_t>(change.action)]},
                    {"what", change.what},
                    {"before", change.before},
                    {"after", change.after},
                    {"needs_restart", change.needs_restart},
                    {"text", change.to_string()}});
  }
  return list;
}

}  // namespace

ApiResponse Api::changes_response(std::uint64_t generation, const config::Config& before,
                                  const config::Config& after) {
  ApiResponse response =
      ok({{"generation", generation}, {"changes", changes_json(config::describe(before, after))}});
  response.etag = "\"" + std::to_string(generation) + "\"";
  return response;
}

ApiResponse Api::post_diff(const ApiRequest& request, const Query& query) {
  const auto parsed = config::parse(request.body, file_of(query));
  if (!parsed.ok()) return config_problems(parsed.problems);
  std::shared_ptr<const config::Config> desired;
  std::uint64_t generation = 0;
  on_control_([&](Control& c) {
    desired = c.share_desired();
    generation = c.generation();
  });
  return changes_response(generation, *desired, parsed.config);
}

// Only this thread applies configurations: what is read in one call still holds in the next.
ApiResponse Api::post_apply(const ApiRequest& request, const Query& query) {
  auto parsed = config::parse(request.body, file_of(query));
  if (!parsed.ok()) return config_problems(parsed.problems);
  std::shared_ptr<const config::Config> before;
  std::uint64_t generation = 0;
  on_control_([&](Control& c) {
    before = c.share_desired();
    generation = c.generation();
  });
  const std::string current = "\"" + std::to_string(generation) + "\"";
  if (!request.if_match.empty() && request.if_match != "*" && request.if_match != current) {
    return problem(412, "Precondition failed", "the configuration changed meanwhile: look at the diff again");
  }
  Control::PendingApply pending{std::make_shared<config::Config>(std::move(parsed.config)), {}};
  pending.diff = config::diff(*before, *pending.next);
  Result<void> begun;
  on_control_([&](Control& c) { begun = c.begin_apply(pending); });
  if (!begun) return problem(409, "Not applied", begun.error());
  for (bool more = true; more;) {
    on_control_([&](Control& c) {
      more = c.continue_apply(pending, kSlice);
      generation = c.generation();
    });
  }
  return changes_response(generation, *before, *pending.next);
}

}  // namespace millrace::controlplane
