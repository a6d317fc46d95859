#include "cli/app.h"

#include <CLI/CLI.hpp>
#include <ostream>
#include <utility>

#include "cli/api.h"
#include "cli/commands.h"
#include "cli/completion.h"
#include "cli/text.h"

namespace millrace::cli {

namespace {

// What the line says. One command runs, and so commands with the same arguments share them.
struct Words {
  std::string socket = "/run/millrace/api.sock";
  bool json = false;
  bool all = false;
  Filter filter;
  NewRoute route;
  std::string argument;  // the only one of a command: a prefix, an address, a shell
  std::string file;
  std::string generation;
};

// A command is chosen while the line is parsed and runs once all of it has been found right.
using Command = std::function<void(Context&)>;

// CLI11's help without its technical notes on checks and types.
class Help : public CLI::Formatter {
 public:
  Help() { column_width(22); }
  std::string make_option_opts(const CLI::Option* option) const override {
    const std::string type = option->get_type_name();
    const std::string name = type.substr(0, type.find(':'));
    return name.empty() ? "" : " " + name;
  }
};

class Tree {
 public:
  Tree();
  void parse(int argc, const char* const* argv) { root_.parse(argc, argv); }
  [[nodiscard]] const CLI::App& root() const { return root_; }
  [[nodiscard]] const Words& words() const { return words_; }
  [[nodiscard]] const Command& command() const { return command_; }
  int report(const CLI::ParseError& error, Streams streams) const;
  [[nodiscard]] std::string mistake(const CLI::ParseError& error) const;

 private:
  using Parent = CLI::App&;
  CLI::App& group(const char* name, const char* description);
  CLI::App& add(Parent parent, const char* name, const char* description);
  void add(Parent parent, const char* name, const char* description, void (*run)(Context&));
  void chosen(CLI::App& app, Command command);
  void add_show();
  void add_show_routes(Parent show);
  void add_show_fib(Parent show);
  void add_route();
  void add_route_add(Parent route);
  void add_files();
  void add_completion();

  CLI::App root_{"Shows and changes a running Millrace router."};
  Words words_;
  Command command_;
};

Tree::Tree() {
  root_.name("millrace");
  root_.set_help_flag("-h,--help", "Print this help and exit");
  root_.set_version_flag("--version", "millrace " MILLRACE_VERSION, "Print the version and exit");
  root_.require_subcommand(1);
  root_.formatter(std::make_shared<Help>());
  root_
      .add_option("--socket", words_.socket,
                  "The daemon's socket; also MILLRACE_SOCKET (default: " + words_.socket + ")")
      ->type_name("PATH")
      ->envname("MILLRACE_SOCKET");
  root_.add_flag("--json", words_.json, "Print the API's JSON");
  add(root_, "status", "One page about the router: version, tables, packets, control loop", status);
  add_show();
  add_route();
  add_files();
  add_completion();
  root_.footer("Exit codes: 0 done, 1 failed, 2 wrong usage. `millrace COMMAND --help` says more.");
}

CLI::App& Tree::add(Parent parent, const char* name, const char* description) {
  CLI::App& app = *parent.add_subcommand(name, description);
  app.fallthrough();  // --json and --socket may stand anywhere
  app.footer("Global options: --json, --socket PATH; see `millrace --help`.");
  return app;
}

CLI::App& Tree::group(const char* name, const char* description) {
  return *add(root_, name, description).require_subcommand(1);
}

void Tree::add(Parent parent, const char* name, const char* description, void (*run)(Context&)) {
  chosen(add(parent, name, description), run);
}

void Tree::chosen(CLI::App& app, Command command) {
  app.callback([this, command = std::move(command)] { command_ = command; });
}

void Tree::add_show() {
  CLI::App& show = group("show", "Show a table of the router");
  add(show, "interfaces", "Interfaces: state, addresses, queues, packets", show_interfaces);
  add_show_routes(show);
  add_show_fib(show);
  add(show, "next-hops", "Next hops of the FIB with their members and packets", show_next_hops);
  add(show, "neighbors", "Neighbors: MAC, state and age", show_neighbors);
  add(show, "feeds", "Feeds: the routing daemons and the kernel's table that routes come from", show_feeds);
  add(show, "ipsec", "IPsec tunnels and their SAs: packets, sequence numbers, what was refused", show_ipsec);
  add(show, "workers", "Workers: cores, queues, load", show_workers);
  add(show, "counters", "Packets by what became of them, by interface and by punt class", show_counters);
  CLI::App& drops = add(show, "drops", "Dropped packets by reason and interface");
  drops.add_flag("--all", words_.all, "Also the reasons that dropped nothing");
  chosen(drops, [this](Context& context) { show_drops(context, words_.all); });
}

std::string at_least_one(const std::string& text) {
  const bool digits = !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
  const bool zero = text.find_first_not_of('0') == std::string::npos;
  return digits && !zero ? "" : "'" + printable(text) + "' is not a number from 1";
}

void add_filter(CLI::App& app, Filter& filter) {
  app.add_option("PREFIX", filter.prefix, "Only this prefix")->type_name("");
  app.add_flag("--orlonger", filter.orlonger, "Also the prefixes within PREFIX");
  app.add_option("--via", filter.via, "Only what leads to this next hop's address")->type_name("ADDRESS");
  app.add_option("--limit", filter.limit, "Stop after N (default: show all)")
      ->type_name("N")
      ->check(at_least_one);
}

void Tree::add_show_routes(Parent show) {
  CLI::App& routes = add(show, "routes", "Routes of the RIB, from every source");
  add_filter(routes, words_.filter);
  routes
      .add_option("--source", words_.filter.source,
                  "Only routes from connected, static, api, fpm, netlink or neighbor")
      ->type_name("SOURCE")
      ->check(CLI::IsMember({"connected", "static", "api", "fpm", "netlink", "neighbor"}));
  chosen(routes, [this](Context& context) { show_routes(context, words_.filter); });
}

void Tree::add_show_fib(Parent show) {
  CLI::App& fib = add(show, "fib", "Prefixes of the FIB with their next hops");
  add_filter(fib, words_.filter);
  chosen(fib, [this](Context& context) { show_fib(context, words_.filter); });
}

void Tree::add_route() {
  CLI::App& route = group("route", "Add, delete or look up a route");
  add_route_add(route);
  CLI::App& del = add(route, "del", "Delete a route of source api");
  del.add_option("PREFIX", words_.argument, "For example 10.0.0.0/8 or 2001:db8::/32")
      ->type_name("")
      ->required();
  chosen(del, [this](Context& context) { route_del(context, words_.argument); });
  CLI::App& lookup = add(route, "lookup", "Explain where packets to an address go");
  lookup.add_option("ADDRESS", words_.argument, "For example 192.0.2.1 or 2001:db8::1")
      ->type_name("")
      ->required();
  chosen(lookup, [this](Context& context) { route_lookup(context, words_.argument); });
}

void Tree::add_route_add(Parent route) {
  CLI::App& app =
      add(route, "add", "Add or replace a route of source api (gone after a restart of the daemon)");
  app.add_option("PREFIX", words_.route.prefix, "For example 10.0.0.0/8 or 2001:db8::/32")
      ->type_name("")
      ->required();
  app.add_option("TARGET", words_.route.target,
                 "via ADDRESS [dev INTERFACE] [weight N]..., blackhole, unreachable or prohibit")
      ->type_name(":{via,blackhole,unreachable,prohibit}")  // for completion; the help cuts it off
      ->required();
  app.add_option("--distance", words_.route.distance, "Administrative distance: the lowest of a prefix wins")
      ->type_name("N")
      ->check(CLI::Range(1, 255));
  app.add_option("--metric", words_.route.metric, "Decides between routes of the same distance")
      ->type_name("N");
  app.add_option("--owner", words_.route.owner, "A tag for the route, shown by `show routes`")
      ->type_name("NAME");
  app.callback([this] {
    const std::string error = target_error(words_.route.target);
    if (!error.empty()) throw CLI::ValidationError("TARGET", error);
    command_ = [this](Context& context) { route_add(context, words_.route); };
  });
}

void Tree::add_files() {
  const auto add_with_file = [this](const char* name, const char* what, const char* argument) -> CLI::App& {
    CLI::App& app = add(root_, name, what);
    app.add_option("FILE", words_.file, argument)->type_name("")->required();
    return app;
  };
  CLI::App& load_app = add_with_file(
      "load", "Load many routes",
      "Lines 'PREFIX via ADDRESS [dev INTERFACE] [weight N]...', plain or gzip; - is the standard input");
  chosen(load_app, [this](Context& context) { load(context, words_.file); });
  const char* const kConfig = "A configuration (YAML); - is the standard input";
  chosen(add_with_file("check", "Check a configuration without applying it", kConfig),
         [this](Context& context) { check(context, words_.file); });
  chosen(add_with_file("diff", "Show what applying a configuration would change", kConfig),
         [this](Context& context) { diff(context, words_.file); });
  CLI::App& apply_app = add_with_file("apply", "Apply a configuration to the running router", kConfig);
  apply_app
      .add_option("--generation", words_.generation,
                  "Only if this is still the generation (`diff` prints it)")
      ->type_name("N");
  chosen(apply_app, [this](Context& context) { apply(context, words_.file, words_.generation); });
}

void Tree::add_completion() {
  CLI::App& app = add(root_, "completion", "Print a completion script for a shell");
  app.add_option("SHELL", words_.argument, "bash: load it with `source <(millrace completion bash)`")
      ->type_name("")
      ->required()
      ->check(CLI::IsMember({"bash"}));
  chosen(app, [this](Context& context) { print_bash_completion(context.out, root_); });
}

// The mistake in our words: CLI11 says of a wrong command only that one is missing.
std::string Tree::mistake(const CLI::ParseError& error) const {
  const std::vector<std::string> rest = root_.remaining(/*recurse=*/true);
  const bool missing = error.get_name() == "RequiredError";
  if (!rest.empty()) {
    const bool option = rest.front().starts_with('-');
    const char* what = option ? "unknown option" : missing ? "unknown command" : "unexpected argument";
    return std::string(what) + " '" + printable(rest.front()) + "'";
  }
  const std::string text = printable(error.what());
  return missing && text.find("subcommand") != std::string::npos ? "a command is missing" : text;
}

// CLI11 has a code for every kind of mistake; here wrong usage is one, and help is not a mistake.
int Tree::report(const CLI::ParseError& error, Streams streams) const {
  if (error.get_exit_code() == 0) return root_.exit(error, streams.out, streams.err);
  std::string path = root_.get_name();
  for (const CLI::App* app = &root_; !app->get_subcommands().empty();) {
    app = app->get_subcommands().front();
    path += " " + app->get_name();
  }
  streams.err << "millrace: " << mistake(error) << "; see `" << path << " --help`\n";
  return kUsage;
}

void print_problems(std::ostream& err, const Json& problems) {
  for (const Json& problem : problems) {
    const std::string hint = text_of(problem, "hint");
    err << text_of(problem, "file") << ':' << text_of(problem, "line") << ':' << text_of(problem, "column")
        << ": " << text_of(problem, "message") << (hint.empty() ? "" : " (" + hint + ")") << '\n';
  }
}

int fail(const Failure& failure, bool json, std::ostream& err) {
  const auto* problem = dynamic_cast<const Problem*>(&failure);
  const bool has_document = problem != nullptr && problem->document.is_object();
  if (json) {
    print_json(err, has_document ? problem->document : Json{{"title", failure.what()}});
  } else if (has_document && !part_of(problem->document, "problems").empty()) {
    print_problems(err, part_of(problem->document, "problems"));
  } else {
    err << "millrace: " << failure.what() << '\n';
  }
  return kFailed;
}

int execute(const Tree& tree, Streams streams, const Connect& connect) {
  const Words& words = tree.words();
  const std::unique_ptr<Transport> transport = connect(words.socket);
  Api api(*transport);
  Context context{api, words.json, streams.out, streams.err, streams.err_is_terminal};
  try {
    tree.command()(context);
  } catch (const Failure& failure) {
    streams.out.flush();  // what was done before comes first
    return fail(failure, words.json, streams.err);
  }
  return kDone;
}

// A full disk, say. (A reader that went away, as in `| head`, ends the process by SIGPIPE.)
int finish(int code, Streams streams) {
  streams.out.flush();
  if (streams.out) return code;
  streams.err << "millrace: cannot write the output\n";
  return kFailed;
}

}  // namespace

void print_json(std::ostream& out, const Json& document) {
  out << document.dump(2, ' ', /*ensure_ascii=*/true) << '\n';
}

int run(int argc, const char* const* argv, Streams streams, const Connect& connect) {
  Tree tree;
  try {
    tree.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return finish(tree.report(error, streams), streams);
  }
  return finish(execute(tree, streams, connect), streams);
}

}  // namespace millrace::cli
