#include "cli/completion.h"

#include <ostream>
#include <set>
#include <string>
#include <vector>

namespace millrace::cli {

namespace {

// What bash needs to know of one command: `path` is how it is reached ("millrace show routes").
struct Node {
  std::string path;
  const CLI::App* app;
};

void collect(const CLI::App& app, const std::string& path, std::vector<Node>& nodes) {
  nodes.push_back({path, &app});
  for (const CLI::App* child : app.get_subcommands({}))
    collect(*child, path + " " + child->get_name(), nodes);
}

// The words that a value is chosen from ("{connected,static,api}", as CLI11 describes the check), if it is.
std::string choices(const CLI::Option& option) {
  const std::string type = option.get_type_name();
  const std::size_t from = type.find('{');
  const std::size_t to = type.find('}', from);
  if (from == std::string::npos || to == std::string::npos) return {};
  std::string words = type.substr(from + 1, to - from - 1);
  for (char& c : words) c = c == ',' ? ' ' : c;
  return words;
}

bool takes_value(const CLI::Option& option) {
  return option.get_items_expected_max() > 0;
}

// What may stand next in a command: its subcommands and the words of a positional choice.
std::string words_of(const CLI::App& app) {
  std::vector<std::string> words;
  for (const CLI::App* child : app.get_subcommands({})) words.push_back(child->get_name());
  for (const CLI::Option* option : app.get_options()) {
    if (option->get_positional() && !choices(*option).empty()) words.push_back(choices(*option));
  }
  return CLI::detail::join(words, " ");
}

std::string options_of(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  }
  return CLI::detail::join(names, " ");
}

bool wants_file(const CLI::App& app) {
  const CLI::Option* option = app.get_option_no_throw("FILE");
  return option != nullptr && option->get_positional();
}

// What follows an option that takes a value. Options of one name are the same in every command.
void print_values(std::ostream& out, const std::vector<Node>& nodes) {
  std::set<std::string> done;
  for (const Node& node : nodes) {
    for (const CLI::Option* option : node.app->get_options()) {
      if (option->get_positional() || !takes_value(*option)) continue;
      const std::string& name = option->get_lnames().front();
      if (!done.insert(name).second) continue;
      const std::string words = choices(*option);
      const bool path = option->get_type_name().find("PATH") != std::string::npos;
      out << "    --" << name << ") ";
      if (path) out << "compopt -o default; ";
      if (!words.empty()) out << "COMPREPLY=($(compgen -W '" << words << "' -- \"$current\")); ";
      out << "return ;;\n";
    }
  }
}

void print_words(std::ostream& out, const std::vector<Node>& nodes, const std::string& global) {
  for (const Node& node : nodes) {
    const bool is_root = node.app == nodes.front().app;
    out << "    '" << node.path << "') words='" << words_of(*node.app) << "' options='"
        << options_of(*node.app) << (is_root ? "" : " " + global) << '\''
        << (wants_file(*node.app) ? "; compopt -o default" : "") << " ;;\n";
  }
}

void print_paths(std::ostream& out, const std::vector<Node>& nodes) {
  for (std::size_t i = 1; i < nodes.size(); ++i) {
    out << (i == 1 ? "      '" : "' | \\\n      '") << nodes[i].path;
  }
  out << "') path+=\" ${COMP_WORDS[i]}\" ;;\n";
}

}  // namespace

void print_bash_completion(std::ostream& out, const CLI::App& root) {
  std::vector<Node> nodes;
  collect(root, root.get_name(), nodes);
  out << "# bash completion for millrace, printed by `millrace completion bash`\n"
         "_millrace() {\n"
         "  local current=${COMP_WORDS[COMP_CWORD]} path=millrace words='' options='' i\n"
         "  COMPREPLY=()\n"
         "  case ${COMP_WORDS[COMP_CWORD - 1]} in\n";
  print_values(out, nodes);
  out << "  esac\n"
         "  for ((i = 1; i < COMP_CWORD; i++)); do\n"
         "    case \"$path ${COMP_WORDS[i]}\" in\n";
  print_paths(out, nodes);
  out << "    esac\n"
         "  done\n"
         "  case $path in\n";
  print_words(out, nodes, "--json --socket");
  out << "  esac\n"
         "  if [[ $current == -* ]]; then words=$options; fi\n"
         "  COMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n"
         "}\n"
         "complete -F _millrace millrace\n";
}

}  // namespace millrace::cli
