#include <unistd.h>

#include <csignal>
#include <iostream>

#include "cli/app.h"
#include "cli/client.h"

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_DFL);  // whatever the parent left: `| head` ends us, and quietly
  std::ios::sync_with_stdio(false);
  return millrace::cli::run(argc, argv, {std::cout, std::cerr, isatty(STDERR_FILENO) != 0},
                            millrace::cli::connect_to_daemon);
}
