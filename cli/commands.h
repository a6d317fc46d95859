// The commands. Each writes its result to `out` and throws Failure for what should end it with exit code 1.
#pragma once

#include <cstdint>
#include <iosfwd>
#include <string>
#include <vector>

#include "cli/api.h"

namespace millrace::cli {

struct Context {
  Api& api;
  bool json;  // print the API's document instead of text
  std::ostream& out;
  std::ostream& err;
  bool err_is_terminal;  // progress may be drawn there
};

// show.cc, status.cc: one request, one page.
void status(Context& context);
void show_interfaces(Context& context);
void show_next_hops(Context& context);
void show_neighbors(Context& context);
void show_feeds(Context& context);
void show_ipsec(Context& context);
void show_workers(Context& context);
void show_counters(Context& context);
void show_drops(Context& context, bool all);

// show_paged.cc: as many requests as it takes; the output streams.
struct Filter {
  std::string prefix;
  bool orlonger = false;
  std::string source;  // routes only
  std::string via;
  std::uint64_t limit = 0;  // 0: no limit
};
void show_routes(Context& context, const Filter& filter);
void show_fib(Context& context, const Filter& filter);

// route_commands.cc
struct NewRoute {
  std::string prefix;
  std::vector<std::string> target;  // {"via", address, ["dev", name,] ["weight", number,] ...} or {type}
  std::uint32_t distance = 0;       // 0: the daemon's default
  std::uint32_t metric = 0;
  std::string owner;
};
// Why the target is not one; empty if it is.
std::string target_error(const std::vector<std::string>& words);
void route_add(Context& context, const NewRoute& route);
void route_del(Context& context, const std::string& prefix);
void route_lookup(Context& context, const std::string& address);

// load.cc
void load(Context& context, const std::string& file);

// config_commands.cc
void check(Context& context, const std::string& file);
void diff(Context& context, const std::string& file);
// Applies on top of the generation that the printed diff is against; with a generation, only if it is that
// one.
void apply(Context& context, const std::string& file, const std::string& generation);

// Prints the document for programs: ASCII only, so that no string in it can drive a terminal.
void print_json(std::ostream& out, const Json& document);

}  // namespace millrace::cli
