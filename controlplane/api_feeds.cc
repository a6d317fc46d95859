// GET: the feeds, and their metrics.
#include <nlohmann/json.hpp>

#include "controlplane/api.h"

namespace millrace::controlplane {
namespace {

using nlohmann::json;

constexpr std::string_view kFpm = name(RouteSource::fpm);

double seconds(std::uint64_t ns) {
  return static_cast<double>(ns) / 1e9;
}

json text_or_null(const std::string& text) {
  return text.empty() ? json(nullptr) : json(text);
}

json feed_json(const FpmFeed& fpm, const config::FpmConfig& config, std::uint64_t now_ns) {
  const RouteFeed& feed = fpm.feed();
  const FeedRoutes& routes = feed.routes();
  return {{"name", kFpm},
          {"listen", config.listen},
          {"state", RouteFeed::name(feed.state())},
          {"state_seconds", seconds(now_ns - std::min(feed.since_ns(), now_ns))},
          {"peer", text_or_null(feed.peer())},
          {"connections", feed.connections()},
          {"messages", routes.counters().messages},
          {"ignored", routes.counters().ignored},
          {"failed", routes.counters().failed},
          {"routes", routes.routes()},
          {"stale", routes.stale()},
          {"parked", routes.parked()},
          {"next_hops", routes.next_hops()},
          {"queued_bytes", fpm.queued_bytes()},
          {"lag_seconds", seconds(fpm.lag_ns())},
          {"lag_max_seconds", seconds(fpm.max_lag_ns())},
          {"last_error", text_or_null(feed.last_error())}};
}

}  // namespace

ApiResponse Api::get_feeds(const ApiRequest&, const Query&) {
  json list = json::array();
  on_control_([&](Control& c) {
    if (const FpmFeed* fpm = c.fpm()) list.push_back(feed_json(*fpm, c.fpm_config(), info_.now_ns()));
  });
  return ok({{"feeds", std::move(list)}});
}

void Api::write_feed_metrics(Control& control, MetricsText& text) const {
  const FpmFeed* fpm = control.fpm();
  if (fpm == nullptr) return;
  const FeedRoutes& routes = fpm->feed().routes();
  const auto one = [&](std::string_view metric, std::string_view type, std::string_view help, auto value) {
    text.family(metric, type, help);
    text.sample(std::string(metric) + (type == "counter" ? "_total" : ""), {{"feed", kFpm}}, value);
  };
  one("millrace_feed_connected", "gauge", "Whether the feed's daemon is connected.",
      std::uint64_t{!fpm->feed().peer().empty()});
  one("millrace_feed_connections", "counter", "Connections of the feed's daemon.", fpm->feed().connections());
  one("millrace_feed_messages", "counter", "Messages of the feed.", routes.counters().messages);
  one("millrace_feed_ignored", "counter", "Routes of the feed that are not for this router.",
      routes.counters().ignored);
  one("millrace_feed_failed", "counter", "Messages of the feed for which there was no room.",
      routes.counters().failed);
  one("millrace_feed_stale_routes", "gauge", "Routes that the daemon has not repeated since it connected.",
      std::uint64_t{routes.stale()});
  one("millrace_feed_parked_routes", "gauge", "Routes that wait for their next hop.",
      std::uint64_t{routes.parked()});
  one("millrace_feed_queued_bytes", "gauge", "Bytes that were read and not yet applied.",
      std::uint64_t{fpm->queued_bytes()});
  one("millrace_feed_lag_seconds", "gauge", "For how long the oldest of these bytes have waited.",
      seconds(fpm->lag_ns()));
}

}  // namespace millrace::controlplane
