// The command line: its tree of commands, and what happens between main and a command.
#pragma once

#include <functional>
#include <iosfwd>
#include <memory>
#include <string>

#include "cli/client.h"

namespace millrace::cli {

// Exit codes, the same for every command.
inline constexpr int kDone = 0;
inline constexpr int kFailed = 1;
inline constexpr int kUsage = 2;

struct Streams {
  std::ostream& out;
  std::ostream& err;
  bool err_is_terminal;
};

using Connect = std::function<std::unique_ptr<Transport>(std::string socket_path)>;

int run(int argc, const char* const* argv, Streams streams, const Connect& connect);

}  // namespace millrace::cli
