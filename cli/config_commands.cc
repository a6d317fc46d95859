// `millrace check|diff|apply`: the daemon reads the text that we send, and so the file may be on any machine.
#include <array>
#include <cerrno>
#include <fstream>
#include <iostream>
#include <system_error>

#include "cli/commands.h"
#include "cli/text.h"

namespace millrace::cli {

namespace {

constexpr const char* kYaml = "application/yaml";

std::string shown_name(const std::string& file) {
  return file == "-" ? "<stdin>" : file;
}

std::string read_text(const std::string& file) {
  std::ifstream opened;
  if (file != "-") opened.open(file, std::ios::binary);
  std::istream& in = file == "-" ? std::cin : opened;
  std::string text;
  std::array<char, 65536> block{};
  while (in.read(block.data(), block.size()) || in.gcount() > 0) {
    text.append(block.data(), static_cast<std::size_t>(in.gcount()));
  }
  // A directory opens but does not read: only then is the stream bad.
  if ((file != "-" && !opened.is_open()) || in.bad()) {
    throw Failure(shown_name(file) + ": " + std::error_code(errno, std::generic_category()).message());
  }
  return text;
}

std::string call(const char* action, const std::string& file) {
  return target("/v1/config:" + std::string(action), {{"file", file == "-" ? "<stdin>" : file}});
}

// Whether one of them needs a restart, as its text says too.
bool print_changes(std::ostream& out, const Json& answer) {
  bool restart = false;
  for (const Json& change : part_of(answer, "changes")) {
    out << text_of(change, "text") << '\n';
    restart = restart || flag_of(change, "needs_restart");
  }
  return restart;
}

std::string changes_in_words(const Json& answer) {
  return counted(part_of(answer, "changes").size(), "change", "changes");
}

[[noreturn]] void refuse_stale(const std::string& file, const std::string& generation) {
  throw Failure("the configuration is no longer that of generation " + printable(generation) +
                ": see `millrace diff " + printable(file) + "` and apply again");
}

Json apply_to(Context& context, const std::string& file, std::string text, const std::string& generation) {
  try {
    return context.api.post(call("apply", file), std::move(text), kYaml, "\"" + generation + "\"");
  } catch (const Problem& problem) {
    if (problem.status == 412) refuse_stale(file, generation);
    throw;
  }
}

}  // namespace

void check(Context& context, const std::string& file) {
  const Json answer = context.api.post(call("check", file), read_text(file), kYaml);
  if (context.json) return print_json(context.out, answer);
  context.out << shown_name(file) << ": ok\n";
}

void diff(Context& context, const std::string& file) {
  const Json answer = context.api.post(call("diff", file), read_text(file), kYaml);
  if (context.json) return print_json(context.out, answer);
  const bool restart = print_changes(context.out, answer);
  context.out << changes_in_words(answer) << " against generation " << text_of(answer, "generation") << '\n';
  if (restart) context.out << "apply would refuse this: millraced has to be restarted with the new file\n";
}

void apply(Context& context, const std::string& file, const std::string& generation) {
  std::string text = read_text(file);
  const Json changes = context.api.post(call("diff", file), text, kYaml);
  const std::string current = text_of(changes, "generation");
  if (!generation.empty() && generation != current) refuse_stale(file, generation);
  if (!context.json) print_changes(context.out, changes);
  context.out.flush();  // seen before the router acts on it
  const Json answer = apply_to(context, file, std::move(text), current);
  if (context.json) return print_json(context.out, answer);
  context.out << "applied " << changes_in_words(answer) << ": generation " << text_of(answer, "generation")
              << '\n';
}

}  // namespace millrace::cli
