#include "tests/unit/api_fixture.h"

#include <rte_eal.h>
#include <spdlog/spdlog.h>

#include <stdexcept>
#include <string>
#include <vector>

#include "dataplane/router_features.h"

namespace millrace::controlplane {

using nlohmann::json;

void start_eal() {
  static const int started = [] {
    std::vector<std::string> words = {"test",
                                      "--no-pci",
                                      "--no-huge",
                                      "-m",
                                      "1024",
                                      "-l",
                                      "0",
                                      "--no-telemetry",
                                      "--no-shconf",
                                      "--iova-mode=va",
                                      "--log-level=*:warning"};
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    return rte_eal_init(static_cast<int>(arguments.size()), arguments.data());
  }();
  ASSERT_GE(started, 0) << "DPDK's environment does not start";
}

const std::string ApiFixture::kConfig = R"(
interfaces:
  wan0: { device: net_null, addresses: [192.0.2.1/24] }
  lan0: { device: net_null, addresses: [198.51.100.1/24] }
routes:
  - { prefix: 0.0.0.0/0, via: 192.0.2.254 }
  - { prefix: 10.0.0.0/8, type: blackhole }
neighbors:
  - { address: 192.0.2.254, mac: "02:00:00:00:00:fe", interface: wan0 }
)";

ApiFixture::ApiFixture(std::uint32_t fib_groups, const std::string& config) {
  start_eal();
  spdlog::set_level(spdlog::level::err);
  ControlOptions options;
  options.fib = {fib_groups, lpm::Pages::normal};
  options.buffers = 1024;
  auto control = Control::make(options, dataplane::router_features());
  if (!control) throw std::runtime_error(control.error());
  control_ = std::move(*control);
  control_->set_time(now_ns_);
  const auto parsed = config::parse(config, "test.yaml");
  for (const auto& p : parsed.problems) ADD_FAILURE() << p.to_string();
  const auto applied = control_->apply(parsed.config);
  EXPECT_TRUE(applied) << (applied ? "" : applied.error());

  RouterInfo info;
  info.config_file = "/etc/millrace/test.yaml";
  info.worker_cores = {3};
  info.started_ns = kStartNs;
  info.now_ns = [this] { return now_ns_; };
  info.lag = &lag_;
  api_ = std::make_unique<Api>([this](const auto& work) { work(*control_); }, std::move(info));
}

json ApiFixture::ok(const ApiResponse& response) {
  EXPECT_EQ(response.status, 200) << response.body;
  EXPECT_EQ(response.content_type, "application/json");
  json body = json::parse(response.body, nullptr, false);
  EXPECT_FALSE(body.is_discarded()) << response.body;
  return body;
}

std::string ApiFixture::problem_of(const ApiResponse& response, int status) {
  EXPECT_EQ(response.status, status) << response.body;
  EXPECT_EQ(response.content_type, "application/problem+json");
  const json body = json::parse(response.body, nullptr, false);
  if (!body.is_object() || !body.contains("detail") || !body.contains("title")) {
    ADD_FAILURE() << "not a problem: " << response.body;
    return {};
  }
  EXPECT_EQ(body["status"], status);
  return body["detail"];
}

}  // namespace millrace::controlplane
