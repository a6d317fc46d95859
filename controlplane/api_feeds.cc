// GET: the feeds, and their metrics.
#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "controlplane/api.h"

namespace millrace::controlplane {
namespace {

using nlohmann::json;

double seconds(std::uint64_t ns) {
  return static_cast<double>(ns) / 1e9;
}

json text_or_null(const std::string& text) {
  return text.empty() ? json(nullptr) : json(text);
}

// What both feeds have.
template <class Feed>
json common_json(RouteSource source, const Feed& feed, const FeedRoutes& routes) {
  return {{"name", name(source)},
          {"messages", routes.counters().messages},
          {"ignored", routes.counters().ignored},
          {"failed", routes.counters().failed},
          {"routes", routes.routes()},
          {"stale", routes.stale()},
          {"parked", routes.parked()},
          {"next_hops", routes.next_hops()},
          {"queued_bytes", feed.queued_bytes()},
          {"lag_seconds", seconds(feed.lag_ns())},
          {"lag_max_seconds", seconds(feed.max_lag_ns())}};
}

json feed_json(const FpmFeed& fpm, const config::FpmConfig& config, std::uint64_t now_ns) {
  const RouteFeed& feed = fpm.feed();
  json object = common_json(RouteSource::fpm, fpm, feed.routes());
  object["listen"] = config.listen;
  object["state"] = RouteFeed::name(feed.state());
  object["state_seconds"] = seconds(now_ns - std::min(feed.since_ns(), now_ns));
  object["peer"] = text_or_null(feed.peer());
  object["connections"] = feed.connections();
  object["last_error"] = text_or_null(feed.last_error());
  return object;
}

json feed_json(const NetlinkFeed& feed, std::uint64_t now_ns) {
  json object = common_json(RouteSource::netlink, feed, feed.routes());
  object["table"] = feed.table();
  object["state"] = NetlinkFeed::name(feed.state());
  object["state_seconds"] = seconds(now_ns - std::min(feed.since_ns(), now_ns));
  object["shadowed"] = feed.routes().shadowed();
  object["resyncs"] = feed.resyncs();
  object["last_error"] = text_or_null(feed.last_error());
  return object;
}

// What metrics say of a feed of either kind.
struct FeedNumbers {
  RouteSource source;
  const FeedRoutes& routes;
  std::uint64_t queued_bytes;
  std::uint64_t lag_ns;
};

struct FeedMetric {
  std::string_view name, type, help;
  std::uint64_t (*value)(const FeedNumbers&);
};

constexpr FeedMetric kFeedMetrics[] = {
    {"millrace_feed_messages", "counter", "Messages of the feed.",
     [](const FeedNumbers& of) { return of.routes.counters().messages; }},
    {"millrace_feed_ignored", "counter", "Routes of the feed that are not for this router.",
     [](const FeedNumbers& of) { return of.routes.counters().ignored; }},
    {"millrace_feed_failed", "counter", "Messages of the feed for which there was no room.",
     [](const FeedNumbers& of) { return of.routes.counters().failed; }},
    {"millrace_feed_stale_routes", "gauge",
     "Routes that were not repeated since the feed began to say all of them.",
     [](const FeedNumbers& of) { return std::uint64_t{of.routes.stale()}; }},
    {"millrace_feed_parked_routes", "gauge", "Routes that wait for their next hop.",
     [](const FeedNumbers& of) { return std::uint64_t{of.routes.parked()}; }},
    {"millrace_feed_queued_bytes", "gauge", "Bytes of the feed that were not applied yet.",
     [](const FeedNumbers& of) { return of.queued_bytes; }}};

std::string sample_name(std::string_view metric, std::string_view type) {
  return std::string(metric) + (type == "counter" ? "_total" : "");
}

}  // namespace

ApiResponse Api::get_feeds(const ApiRequest&, const Query&) {
  json list = json::array();
  on_control_([&](Control& c) {
    if (const FpmFeed* fpm = c.fpm()) list.push_back(feed_json(*fpm, c.fpm_config(), info_.now_ns()));
    if (const NetlinkFeed* netlink = c.netlink()) list.push_back(feed_json(*netlink, info_.now_ns()));
  });
  return ok({{"feeds", std::move(list)}});
}

void Api::write_feed_metrics(Control& control, MetricsText& text) const {
  std::vector<FeedNumbers> feeds;
  const FpmFeed* fpm = control.fpm();
  const NetlinkFeed* netlink = control.netlink();
  if (fpm != nullptr)
    feeds.push_back({RouteSource::fpm, fpm->feed().routes(), fpm->queued_bytes(), fpm->lag_ns()});
  if (netlink != nullptr)
    feeds.push_back({RouteSource::netlink, netlink->routes(), netlink->queued_bytes(), netlink->lag_ns()});
  if (feeds.empty()) return;
  for (const FeedMetric& metric : kFeedMetrics) {
    text.family(metric.name, metric.type, metric.help);
    for (const FeedNumbers& feed : feeds)
      text.sample(sample_name(metric.name, metric.type), {{"feed", name(feed.source)}}, metric.value(feed));
  }
  text.family("millrace_feed_lag_seconds", "gauge", "For how long the oldest of these bytes have waited.");
  for (const FeedNumbers& feed : feeds)
    text.sample("millrace_feed_lag_seconds", {{"feed", name(feed.source)}}, seconds(feed.lag_ns));

  const auto one = [&](RouteSource source, std::string_view metric, std::string_view type,
                       std::string_view help, std::uint64_t value) {
    text.family(metric, type, help);
    text.sample(sample_name(metric, type), {{"feed", name(source)}}, value);
  };
  if (fpm != nullptr) {
    one(RouteSource::fpm, "millrace_feed_connected", "gauge", "Whether the feed's daemon is connected.",
        std::uint64_t{!fpm->feed().peer().empty()});
    one(RouteSource::fpm, "millrace_feed_connections", "counter", "Connections of the feed's daemon.",
        fpm->feed().connections());
  }
  if (netlink != nullptr) {
    one(RouteSource::netlink, "millrace_feed_synchronized", "gauge",
        "Whether the kernel's table is known whole.",
        std::uint64_t{netlink->state() == NetlinkFeed::State::up});
    one(RouteSource::netlink, "millrace_feed_resyncs", "counter",
        "Times that the kernel's table was read anew.", netlink->resyncs());
    one(RouteSource::netlink, "millrace_feed_shadowed_routes", "gauge",
        "Routes behind another one of the same prefix.", std::uint64_t{netlink->routes().shadowed()});
  }
}

}  // namespace millrace::controlplane
