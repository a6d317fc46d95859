// The API on a live Control whose ports are net_null devices: requests in, responses out, no sockets and no
// threads.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "controlplane/api.h"

namespace millrace::controlplane {

void start_eal();  // once per process

class ApiFixture : public testing::Test {
 protected:
  static constexpr std::uint64_t kStartNs = 1'000'000'000;
  static const std::string
      kConfig;  // wan0 192.0.2.1/24, lan0 198.51.100.1/24, two static routes, a static neighbour

  explicit ApiFixture(std::uint32_t fib_groups = 4096, const std::string& config = kConfig);
  ~ApiFixture() override = default;

  ApiResponse send(const std::string& method, const std::string& target, const std::string& body = {},
                   const std::string& content_type = "application/json", const std::string& if_match = {}) {
    return api_->handle({method, target, content_type, if_match, body});
  }
  ApiResponse get(const std::string& target) { return send("GET", target); }
  // The JSON of an answer that has to be 200.
  nlohmann::json ok(const ApiResponse& response);
  nlohmann::json get_ok(const std::string& target) { return ok(get(target)); }
  nlohmann::json batch(const std::string& lines) {
    return ok(send("POST", "/v1/routes:batch", lines, "text/plain"));
  }
  // A problem with this status, and its "detail".
  std::string problem_of(const ApiResponse& response, int status);

  std::uint64_t now_ns_ = kStartNs;
  LagHistogram lag_;
  std::unique_ptr<Control> control_;
  std::unique_ptr<Api> api_;
};

}  // namespace millrace::controlplane
