#include "controlplane/api.h"

#include <charconv>
#include <exception>
#include <nlohmann/json.hpp>

namespace millrace::controlplane {
namespace {

using nlohmann::json;

// application/x-www-form-urlencoded values: %41 and +.
std::string decode(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    unsigned byte = 0;
    if (text[i] == '%' && i + 2 < text.size() &&
        std::from_chars(text.data() + i + 1, text.data() + i + 3, byte, 16).ptr == text.data() + i + 3) {
      out += static_cast<char>(byte);
      i += 2;
    } else {
      out += text[i] == '+' ? ' ' : text[i];
    }
  }
  return out;
}

template <class Query>
Query parse_query(std::string_view text) {
  Query query;
  while (!text.empty()) {
    const std::string_view pair = text.substr(0, text.find('&'));
    text.remove_prefix(std::min(pair.size() + 1, text.size()));
    const auto equals = pair.find('=');
    if (pair.empty()) continue;
    query[decode(pair.substr(0, equals))] =
        equals == std::string_view::npos ? "" : decode(pair.substr(equals + 1));
  }
  return query;
}

}  // namespace

ApiResponse ok(const json& body) {
  return {200, "application/json", {}, {}, body.dump(-1, ' ', false, json::error_handler_t::replace)};
}

ApiResponse problem(int status, std::string_view title, const std::string& detail) {
  const json body = {{"title", title}, {"status", status}, {"detail", detail}};
  return {
      status, "application/problem+json", {}, {}, body.dump(-1, ' ', false, json::error_handler_t::replace)};
}

ApiResponse config_problems(const std::vector<config::Problem>& problems) {
  json list = json::array();
  for (const auto& p : problems) {
    list.push_back(
        {{"file", p.file}, {"line", p.line}, {"column", p.column}, {"message", p.message}, {"hint", p.hint}});
  }
  const json body = {{"title", "The configuration is not valid"},
                     {"status", 422},
                     {"detail", std::to_string(problems.size()) + " problem(s)"},
                     {"problems", std::move(list)}};
  return {422, "application/problem+json", {}, {}, body.dump(-1, ' ', false, json::error_handler_t::replace)};
}

const std::vector<Api::Endpoint>& Api::endpoints() {
  static const std::vector<Endpoint> kEndpoints = {
      {"GET", "/v1/status", &Api::get_status},
      {"GET", "/v1/interfaces", &Api::get_interfaces},
      {"GET", "/v1/routes", &Api::get_routes},
      {"POST", "/v1/routes", &Api::post_route},
      {"DELETE", "/v1/routes", &Api::delete_route},
      {"POST", "/v1/routes:batch", &Api::post_batch},
      {"POST", "/v1/routes:replace", &Api::post_replace},
      {"GET", "/v1/fib", &Api::get_fib},
      {"GET", "/v1/fib/lookup", &Api::get_lookup},
      {"GET", "/v1/next-hops", &Api::get_next_hops},
      {"GET", "/v1/neighbors", &Api::get_neighbors},
      {"GET", "/v1/workers", &Api::get_workers},
      {"GET", "/v1/feeds", &Api::get_feeds},
      {"GET", "/v1/ipsec", &Api::get_ipsec},
      {"GET", "/v1/ipsec/events", &Api::get_ipsec_events},
      {"GET", "/v1/counters", &Api::get_counters},
      {"GET", "/v1/drops", &Api::get_drops},
      {"GET", "/v1/config", &Api::get_config},
      {"POST", "/v1/config:check", &Api::post_check},
      {"POST", "/v1/config:diff", &Api::post_diff},
      {"POST", "/v1/config:apply", &Api::post_apply},
      {"GET", "/metrics", &Api::get_metrics},
  };
  return kEndpoints;
}

ApiResponse Api::handle(const ApiRequest& request) {
  const std::string_view target = request.target;
  const auto question = target.find('?');
  const std::string_view path = target.substr(0, question);
  std::string allow;
  for (const Endpoint& endpoint : endpoints()) {
    if (endpoint.path != path) continue;
    if (endpoint.method != request.method) {
      allow.append(allow.empty() ? "" : ", ").append(endpoint.method);
      continue;
    }
    const auto query =
        parse_query<Query>(question == std::string_view::npos ? "" : target.substr(question + 1));
    try {
      return (this->*endpoint.handler)(request, query);
    } catch (const std::exception& e) {  // memory, or a library on bytes that it did not expect
      return problem(500, "Internal error", e.what());
    }
  }
  if (allow.empty()) return problem(404, "Not found", "there is no " + std::string(path));
  ApiResponse response = problem(405, "Method not allowed", std::string(path) + " takes " + allow);
  response.allow = allow;
  return response;
}

}  // namespace millrace::controlplane
