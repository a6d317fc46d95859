// millraced: reads the configuration, starts the router, runs it.
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <CLI/CLI.hpp>
#include <cstdio>

#include "config/parse.h"
#include "controlplane/host_netns.h"
#include "controlplane/privileges.h"
#include "controlplane/router.h"

namespace {

void print_problems(const millrace::config::ParseResult& parsed) {
  for (const auto& problem : parsed.problems) std::fprintf(stderr, "%s\n", problem.to_string().c_str());
}

int check(const std::string& file) {
  const auto parsed = millrace::config::parse_file(file);
  print_problems(parsed);
  if (!parsed.ok()) return 1;
  std::printf("%s: valid\n", file.c_str());
  return 0;
}

// Before anything is started: threads inherit what their maker may do.
// The thread that stays in the namespace of daemons has its own.
bool drop_privileges(const millrace::config::Config& config, millrace::controlplane::HostNetns& netns) {
  auto rights = millrace::controlplane::drop_privileges(config);
  if (rights && !netns.name().empty())
    netns.run([&] { rights = millrace::controlplane::drop_privileges(config); });
  if (!rights) {
    spdlog::error("millraced cannot drop its privileges: {}", rights.error());
    return false;
  }
  spdlog::info("privileges: kept {}; all others dropped for good",
               rights->kept.empty() ? "none" : rights->kept);
  if (!rights->missing.empty()) {
    spdlog::warn("without {} some ports cannot be opened; see docs/operations.md", rights->missing);
  }
  return true;
}

int run(const std::string& file) {
  const auto parsed = millrace::config::parse_file(file);
  if (!parsed.ok()) {
    print_problems(parsed);
    return 1;
  }
  const auto netns = millrace::controlplane::HostNetns::enter(parsed.config.host.netns);
  if (!netns) {
    spdlog::error("millraced cannot start: {}", netns.error());
    return 1;
  }
  if (!drop_privileges(parsed.config, **netns)) return 1;
  auto router = millrace::controlplane::Router::start(parsed.config, file, **netns);
  if (!router) {
    spdlog::error("millraced cannot start: {}", router.error());
    return 1;
  }
  (*router)->run();
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{
      "millraced: the Millrace software router.\n\nForwards packets as one YAML file says; `millrace` talks "
      "to it while it runs.",
      "millraced"};
  std::string config = "/etc/millrace/millrace.yaml";
  std::string to_check;
  bool verbose = false;
  app.add_option("-c,--config", config, "the configuration")->capture_default_str();
  app.add_option("--check", to_check, "only validate FILE, and say what is wrong with it")->type_name("FILE");
  app.add_flag("-v,--verbose", verbose, "log more");
  app.set_version_flag("--version", std::string("millraced ") + MILLRACE_VERSION);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  spdlog::set_default_logger(spdlog::stderr_logger_mt("millraced"));
  spdlog::set_pattern("%Y-%m-%d %H:%M:%S.%e %l %v");
  spdlog::set_level(verbose ? spdlog::level::debug : spdlog::level::info);
  spdlog::flush_on(spdlog::level::info);
  return to_check.empty() ? run(config) : check(to_check);
}
