// Routes as users of the API write them: one a line, or JSON objects.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "config/model.h"
#include "net/ip_address.h"
#include "net/result.h"

namespace millrace::controlplane {

struct RouteRequest {
  bool remove = false;
  AnyPrefix prefix;
  config::RouteConfig route;
  std::string owner;
};

// "PREFIX via ADDRESS [dev INTERFACE] [weight N] ...", "PREFIX blackhole|unreachable|prohibit" or "del
// PREFIX". The line is neither empty nor a comment (`is_blank`).
Result<RouteRequest> parse_route_line(std::string_view line);
bool is_blank(std::string_view line);

// {"prefix", "via": next hop or list, "type", "distance", "metric", "owner", "action": "add" | "del"}; a next
// hop is an address or {"address", "interface", "weight"}.
Result<RouteRequest> parse_route_json(const nlohmann::json& object);

}  // namespace millrace::controlplane
