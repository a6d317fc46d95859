// A shell completion script, written from the tree of commands and options and so never behind it.
#pragma once

#include <CLI/CLI.hpp>
#include <iosfwd>

namespace millrace::cli {

void print_bash_completion(std::ostream& out, const CLI::App& root);

}  // namespace millrace::cli
