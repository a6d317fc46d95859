// Any text gives a configuration or problems, never a crash; and a configuration that parsed is one that the
// rest of the router can rely on.
//
// The input is one file, or two with a NUL byte between them (no file holds one): before and after a change.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "config/diff.h"
#include "config/parse.h"

using namespace millrace::config;

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

ParseResult parse_and_check(std::string_view text) {
  auto result = parse(text, "fuzz.yaml");
  for (const Problem& problem : result.problems)
    require(problem.line >= 1 && problem.column >= 1 && !problem.message.empty() &&
            !problem.to_string().empty());
  const auto again = parse(text, "fuzz.yaml");
  require(again.config == result.config && again.problems.size() == result.problems.size());
  return result;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const auto end_of_first = input.find('\0');
  const auto before = parse_and_check(input.substr(0, end_of_first));
  const auto after =
      end_of_first == std::string_view::npos ? before : parse_and_check(input.substr(end_of_first + 1));
  require(diff(before.config, before.config).empty() && describe(before.config, before.config).empty());
  const auto changes = describe(before.config, after.config);
  require(changes.empty() == (before.config == after.config));
  require(diff(before.config, after.config).empty() == changes.empty());
  for (const Change& change : changes) require(!change.to_string().empty());
  return 0;
}
