// What ends a command: thrown where it happens, caught once (app.cc), which writes it to stderr and exits
// with 1.
#pragma once

#include <stdexcept>
#include <string>

namespace millrace::cli {

// The message is complete, in the words of the user, and free of control characters.
struct Failure : std::runtime_error {
  using std::runtime_error::runtime_error;
};

}  // namespace millrace::cli
