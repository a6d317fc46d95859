#include "cli/api.h"

#include "cli/text.h"

namespace millrace::cli {

namespace {

// RFC 3986, section 2.3: everything else is written as %NN. '/' and ':' may stand in a query (section 3.4).
bool stands_in_query(char c) {
  const bool alphanumeric = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
  return alphanumeric || std::string_view("-._~/:").find(c) != std::string_view::npos;
}

void append_encoded(std::string& out, std::string_view text) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  for (const char c : text) {
    if (stands_in_query(c)) {
      out += c;
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    out += '%';
    out += kHex[byte >> 4];
    out += kHex[byte & 15];
  }
}

std::string in_words(unsigned status, const Json& document) {
  const std::string title = text_of(document, "title");
  const std::string detail = text_of(document, "detail");
  if (title.empty() && detail.empty()) return "the daemon answered with status " + std::to_string(status);
  return title.empty() || detail.empty() ? title + detail : title + ": " + detail;
}

}  // namespace

Problem::Problem(unsigned status_code, Json problem_document)
    : Failure(in_words(status_code, problem_document)),
      status(status_code),
      document(std::move(problem_document)) {}

std::string target(std::string_view path,
                   std::initializer_list<std::pair<std::string_view, std::string_view>> parameters) {
  std::string result(path);
  char separator = '?';
  for (const auto& [name, value] : parameters) {
    if (value.empty()) continue;
    result += separator;
    result += name;
    result += '=';
    append_encoded(result, value);
    separator = '&';
  }
  return result;
}

Json Api::post(std::string target, std::string body, std::string content_type, std::string if_match) {
  return call({.method = "POST",
               .target = std::move(target),
               .body = std::move(body),
               .content_type = std::move(content_type),
               .if_match = std::move(if_match)});
}

Json Api::call(Request request) {
  const Response response = transport_.send(std::move(request));
  Json document = Json::parse(response.body, nullptr, /*allow_exceptions=*/false);
  if (response.status >= 400) throw Problem(response.status, std::move(document));
  if (!document.is_object()) throw Failure("the daemon's answer is not a JSON object");
  return document;
}

}  // namespace millrace::cli
