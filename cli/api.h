// The daemon's API as JSON in and out, its problems as exceptions.
#pragma once

#include <initializer_list>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>

#include "cli/client.h"
#include "cli/failure.h"
#include "cli/fields.h"

namespace millrace::cli {

// An answer of 4xx or 5xx (application/problem+json).
struct Problem : Failure {
  Problem(unsigned status_code, Json problem_document);
  unsigned status;
  Json document;
};

// The path with those parameters that are not empty, percent-encoded.
std::string target(std::string_view path,
                   std::initializer_list<std::pair<std::string_view, std::string_view>> parameters);

class Api {
 public:
  explicit Api(Transport& transport) : transport_(transport) {}
  Json get(std::string target) { return call({.target = std::move(target)}); }
  Json remove(std::string target) { return call({.method = "DELETE", .target = std::move(target)}); }
  Json post(std::string target, std::string body, std::string content_type, std::string if_match = {});

 private:
  Json call(Request request);
  Transport& transport_;
};

}  // namespace millrace::cli
