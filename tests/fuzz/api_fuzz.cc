// Any requests: an answer in JSON with a status of ours, never an exception, and a FIB that is still the
// RIB's.
//
// The input is a list of requests with a byte 0x1e between them. A request: a line "METHOD TARGET", a line
// with the content type, a line with If-Match, then the body.
#include <rte_eal.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "controlplane/api.h"
#include "dataplane/router_features.h"

using namespace millrace;
using namespace millrace::controlplane;

namespace {

constexpr char kNextRequest = '\x1e';
// Owners of routes are remembered for good: a new router now and then, so that they do not run out.
constexpr unsigned kInputsOfARouter = 4096;

void require(bool holds, const char* what, const std::string& seen) {
  if (holds) return;
  std::fprintf(stderr, "not so: %s: %s\n", what, seen.c_str());
  std::abort();
}

const config::Config& base() {
  static const auto parsed = config::parse(R"(
interfaces:
  wan0: { device: net_null, addresses: [192.0.2.1/24, "2001:db8:0:1::1/64"] }
  lan0: { device: net_null, addresses: [198.51.100.1/24] }
routes:
  - { prefix: 0.0.0.0/0, via: 192.0.2.254 }
  - { prefix: 10.0.0.0/8, type: blackhole }
neighbors:
  - { address: 192.0.2.254, mac: "02:00:00:00:00:fe", interface: wan0 }
)",
                                           "fuzz.yaml");
  return parsed.config;
}

struct Subject {
  std::uint64_t now_ns = 1'000'000'000;
  LagHistogram lag;
  std::unique_ptr<Control> control;
  std::unique_ptr<Api> api;

  Subject() {
    ControlOptions options;
    options.fib = {64, lpm::Pages::normal};  // soon full
    options.buffers = 1024;
    auto made = Control::make(options, dataplane::router_features());
    require(bool(made), "a router can be made", made ? "" : made.error());
    control = std::move(*made);
    restore();
    RouterInfo info;
    info.config_file = "fuzz.yaml";
    info.worker_cores = {1};
    info.now_ns = [this] { return now_ns; };
    info.lag = &lag;
    api = std::make_unique<Api>([this](const auto& work) { work(*control); }, std::move(info));
  }

  // As it was before the input: no API route, the first configuration.
  void restore() {
    control->set_time(now_ns += 1'000'000);
    std::vector<AnyPrefix> prefixes;
    for_each_family([&]<class Address>() {
      using Prefix = IpPrefix<Address>;
      control->rib<Prefix>().visit_from({}, [&](Prefix prefix, const Route& route, bool) {
        if (route.source == RouteSource::api) prefixes.emplace_back(prefix);
        return true;
      });
    });
    for (const AnyPrefix& prefix : prefixes) control->remove_route(prefix);
    if (control->desired() != base() || control->generation() == 0) {
      const auto applied = control->apply(base());
      require(bool(applied), "the first configuration can be applied again", applied ? "" : applied.error());
    }
    control->tick();
  }
};

Subject& subject() {
  static const int eal = [] {
    std::vector<std::string> words = {"fuzz",
                                      "--no-pci",
                                      "--no-huge",
                                      "-m",
                                      "2048",
                                      "-l",
                                      "0",
                                      "--no-telemetry",
                                      "--no-shconf",
                                      "--iova-mode=va",
                                      "--log-level=*:critical"};
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    spdlog::set_level(spdlog::level::off);
    return rte_eal_init(static_cast<int>(arguments.size()), arguments.data());
  }();
  require(eal >= 0, "DPDK's environment starts", "");
  static std::unique_ptr<Subject> kept;
  static unsigned inputs = 0;
  if (inputs++ % kInputsOfARouter == 0) {
    kept.reset();
    kept = std::make_unique<Subject>();
  }
  return *kept;
}

std::string_view take_line(std::string_view& text) {
  const std::string_view line = text.substr(0, text.find('\n'));
  text.remove_prefix(std::min(line.size() + 1, text.size()));
  return line;
}

// Devices that a fuzzer may open: those that touch nothing outside.
bool harmless(const std::string& body) {
  const auto parsed = config::parse(body, "fuzz.yaml");
  const auto& interfaces = parsed.config.interfaces;
  return !parsed.ok() ||
         (interfaces.size() <= 4 && std::all_of(interfaces.begin(), interfaces.end(),
                                                [](const auto& i) { return i.second.device == "net_null"; }));
}

ApiRequest parse_request(std::string_view text) {
  std::string_view line = take_line(text);
  ApiRequest request;
  request.method = line.substr(0, line.find(' '));
  line.remove_prefix(std::min(request.method.size() + 1, line.size()));
  request.target = line;
  request.content_type = take_line(text);
  request.if_match = take_line(text);
  request.body = text;
  return request;
}

void check(const ApiRequest& request, const ApiResponse& response) {
  constexpr std::array kStatuses = {200, 400, 404, 405, 409, 412, 422, 507};
  require(std::find(kStatuses.begin(), kStatuses.end(), response.status) != kStatuses.end(),
          "a status that we have", std::to_string(response.status) + " " + response.body);
  require((response.status == 405) == !response.allow.empty(), "405 says what is allowed", response.body);
  if (response.content_type.starts_with("application/openmetrics-text")) {
    return require(response.body.ends_with("\n# EOF\n"), "metrics have an end", response.body);
  }
  require(response.content_type == (response.status == 200 ? "application/json" : "application/problem+json"),
          "errors are problems", response.content_type + " " + request.target);
  require(nlohmann::json::accept(response.body), "the answer is JSON", response.body);
}

void check(Control& control) {
  for_each_family([&]<class Address>() {
    using Prefix = IpPrefix<Address>;
    const std::size_t in_fib = control.writer().fib<Prefix>(FibId(0)).size();
    const std::size_t in_rib = control.rib<Prefix>().prefixes();
    require(in_fib == in_rib, "as many prefixes in the FIB as in the RIB",
            std::to_string(in_fib) + " and " + std::to_string(in_rib));
  });
  std::size_t references = 0;
  control.next_hops().visit([&](const NextHops::Set& set) { references += set.references; });
  std::size_t routes = 0;
  for (std::size_t i = 0; i < kRouteSourceNames.size(); ++i)
    routes += control.count(static_cast<RouteSource>(i));
  require(references == routes, "every route holds one reference",
          std::to_string(references) + " " + std::to_string(routes));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Subject& s = subject();
  std::string_view input(reinterpret_cast<const char*>(data), size);
  for (unsigned requests = 0; !input.empty() && requests < 16; ++requests) {
    const std::string_view text = input.substr(0, input.find(kNextRequest));
    input.remove_prefix(std::min(text.size() + 1, input.size()));
    ApiRequest request = parse_request(text);
    if (request.target.starts_with("/v1/config:apply") && !harmless(request.body)) continue;
    check(request, s.api->handle(request));
    check(*s.control);
  }
  s.restore();
  check(*s.control);
  return 0;
}
