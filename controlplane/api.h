// The API: a request in, a response out, without sockets (http_server.h has those). docs/openapi.yaml
// describes it.
//
// Runs on the API thread. What it needs of the control plane it reads and changes inside `on_control`, which
// runs a function on the control thread and waits for it; each such function is short (a slice of at most
// kSlice routes), so that a request of any size does not hold up the control loop. Requests are parsed, and
// answers written, on this side.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/parse.h"
#include "controlplane/control.h"
#include "controlplane/metrics.h"
#include "controlplane/route_text.h"

namespace millrace::controlplane {

struct ApiRequest {
  std::string method;  // GET, POST, DELETE
  std::string target;  // path and query
  std::string content_type;
  std::string if_match;
  std::string body;
};

struct ApiResponse {
  int status = 200;
  std::string content_type = "application/json";
  std::string etag;   // with config
  std::string allow;  // with 405
  std::string body;
};

// What the router knows of itself, fixed at start.
struct RouterInfo {
  std::string config_file;
  std::string hugepages = "none";
  std::vector<unsigned> worker_cores;
  std::uint64_t tsc_hz = 1;
  std::uint64_t started_ns = 0;
  std::function<std::uint64_t()> now_ns = [] { return std::uint64_t{0}; };
  const LagHistogram* lag = nullptr;
};

class Api {
 public:
  using OnControl = std::function<void(const std::function<void(Control&)>&)>;
  static constexpr std::size_t kSlice = 256;  // routes handled at one time on the control thread

  Api(OnControl on_control, RouterInfo info) : on_control_(std::move(on_control)), info_(std::move(info)) {}

  // Never throws because of what a request holds.
  ApiResponse handle(const ApiRequest& request);

 private:
  using Query = std::map<std::string, std::string, std::less<>>;
  using Handler = ApiResponse (Api::*)(const ApiRequest&, const Query&);
  struct Endpoint {
    std::string_view method;
    std::string_view path;
    Handler handler;
  };
  static const std::vector<Endpoint>& endpoints();

  // api_read.cc
  ApiResponse get_status(const ApiRequest&, const Query&);
  ApiResponse get_interfaces(const ApiRequest&, const Query&);
  ApiResponse get_neighbors(const ApiRequest&, const Query&);
  ApiResponse get_workers(const ApiRequest&, const Query&);
  ApiResponse get_counters(const ApiRequest&, const Query&);
  ApiResponse get_drops(const ApiRequest&, const Query&);
  ApiResponse get_metrics(const ApiRequest&, const Query&);
  // api_feeds.cc
  ApiResponse get_feeds(const ApiRequest&, const Query&);
  void write_feed_metrics(Control& control, MetricsText& text) const;
  // api_ipsec.cc
  ApiResponse get_ipsec(const ApiRequest&, const Query&);
  ApiResponse get_ipsec_events(const ApiRequest&, const Query&);
  // api_routes.cc
  ApiResponse get_routes(const ApiRequest&, const Query&);
  ApiResponse get_fib(const ApiRequest&, const Query&);
  ApiResponse get_lookup(const ApiRequest&, const Query&);
  ApiResponse get_next_hops(const ApiRequest&, const Query&);
  // api_write.cc
  ApiResponse post_route(const ApiRequest&, const Query&);
  ApiResponse delete_route(const ApiRequest&, const Query&);
  ApiResponse post_batch(const ApiRequest&, const Query&);
  ApiResponse post_replace(const ApiRequest&, const Query&);
  ApiResponse get_config(const ApiRequest&, const Query&);
  ApiResponse post_check(const ApiRequest&, const Query&);
  ApiResponse post_diff(const ApiRequest&, const Query&);
  ApiResponse post_apply(const ApiRequest&, const Query&);

  ApiResponse run_batch(const ApiRequest& request, std::optional<std::string> replace_owner);
  static ApiResponse changes_response(std::uint64_t generation, const config::Config& before,
                                      const config::Config& after);
  void sweep(std::uint16_t owner, std::uint32_t mark, std::uint64_t& removed);

  OnControl on_control_;
  RouterInfo info_;
  std::uint32_t next_mark_ = 1;
};

// Shared by the files of the API. Strings that came in a request may not be UTF-8; what goes out is.
ApiResponse ok(const nlohmann::json& body);
ApiResponse problem(int status, std::string_view title, const std::string& detail);
ApiResponse config_problems(const std::vector<config::Problem>& problems);

}  // namespace millrace::controlplane
