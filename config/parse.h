// YAML text to Config. Every error of the file is reported at once, each with its place.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "config/model.h"

namespace millrace::config {

// One thing wrong with a file. Line and column count from 1; a column counts bytes.
struct Problem {
  std::string file;
  int line = 1;
  int column = 1;
  std::string message;                          // what is wrong and what was expected
  std::string hint;                             // how to mend it; may be empty
  [[nodiscard]] std::string to_string() const;  // "file:line:column: message (hint)"
};

struct ParseResult {
  Config config;                  // meaningful only if `problems` is empty
  std::vector<Problem> problems;  // in the order of the file; not all of them if there are over a thousand
  [[nodiscard]] bool ok() const { return problems.empty(); }
};

// Never throws on any text. `file` is only named in problems.
ParseResult parse(std::string_view text, std::string_view file);
// Reads the file first; one that cannot be read is a problem as well.
ParseResult parse_file(const std::string& path);

// The keys that the parser knows, by the path of their mapping ("" for the top, "dataplane", "interfaces.*",
// "routes[]", ...): what the JSON Schema has to list as well.
struct KnownKeys {
  std::string path;
  std::vector<std::string> keys;
  std::vector<std::string> required;
};
std::vector<KnownKeys> known_keys();

}  // namespace millrace::config
