// Any file of routes: cut into the lines that are in it, and each line a route or an error; a route written
// out again, as a line or as JSON, is the same route.
//
// The input is a file, gzip or not.
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "cli/failure.h"
#include "cli/line_batches.h"
#include "controlplane/route_text.h"
#include "tests/fuzz/input.h"

using namespace millrace;
using controlplane::RouteRequest;
using fuzz::require;

namespace {

constexpr std::string_view kTypes[] = {"unicast", "blackhole", "unreachable", "prohibit"};

class MemoryFile {
 public:
  MemoryFile(const std::uint8_t* data, std::size_t size) : fd_(memfd_create("routes", MFD_CLOEXEC)) {
    require(fd_ >= 0 && write(fd_, data, size) == static_cast<ssize_t>(size), "a file in memory");
  }
  ~MemoryFile() { close(fd_); }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  [[nodiscard]] std::string path() const { return "/proc/self/fd/" + std::to_string(fd_); }

 private:
  int fd_;
};

std::vector<std::string> split(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    lines.emplace_back(text.substr(0, text.find('\n')));
    text.remove_prefix(std::min(lines.back().size() + 1, text.size()));
  }
  return lines;
}

// Those of a file that is not compressed, without their ends; a line that is too long is an empty one.
std::vector<std::string> lines_of(std::string_view text) {
  std::vector<std::string> lines = split(text);
  for (std::string& line : lines) {
    if (line.size() > cli::LineBatches::kMaxLine) line.clear();
    if (line.ends_with('\r')) line.pop_back();
  }
  return lines;
}

std::vector<std::string> read_batches(const std::string& path) {
  std::vector<std::string> lines;
  cli::LineBatches batches(path);
  for (cli::Batch batch; batches.next(batch);) {
    require(batch.first_line == lines.size() + 1, "a batch says where it begins");
    require(batch.lines > 0 && batch.lines <= cli::LineBatches::kLines, "a batch has its size");
    const auto added = split(batch.text);
    require(added.size() == batch.lines && batch.text.ends_with('\n'), "a batch has so many whole lines");
    for (const std::size_t number : batch.too_long)
      require(added.at(number - batch.first_line).empty(), "an empty line stands for one that is too long");
    lines.insert(lines.end(), added.begin(), added.end());
  }
  return lines;
}

std::string as_line(const RouteRequest& request) {
  const std::string prefix = to_string(request.prefix);
  if (request.remove) return "del " + prefix;
  if (request.route.via.empty())
    return prefix + " " + std::string(kTypes[static_cast<std::size_t>(request.route.type)]);
  std::string line = prefix + " via";
  for (const auto& hop : request.route.via) line += " " + hop.to_string();
  return line;
}

nlohmann::json as_json(const RouteRequest& request) {
  nlohmann::json object = {{"prefix", to_string(request.prefix)}};
  if (request.remove) {
    object["action"] = "del";
    return object;
  }
  object["type"] = kTypes[static_cast<std::size_t>(request.route.type)];
  for (const auto& hop : request.route.via) {
    nlohmann::json one = {{"address", hop.address.to_string()}, {"weight", hop.weight}};
    if (!hop.interface.empty()) one["interface"] = hop.interface;
    object["via"].push_back(std::move(one));
  }
  return object;
}

void require_same(const Result<RouteRequest>& again, const RouteRequest& request, const char* what) {
  require(again && again->remove == request.remove && again->prefix == request.prefix &&
              again->route == request.route && again->owner == request.owner,
          what);
}

void check_route(const RouteRequest& request) {
  require(request.remove || request.route.via.empty() == (request.route.type != config::RouteType::unicast),
          "a unicast route has next hops, no other has");
  require(request.route.via.size() <= config::kMaxNextHops, "no more next hops than a route may have");
  require_same(controlplane::parse_route_line(as_line(request)), request, "the same as a line");
  require_same(controlplane::parse_route_json(as_json(request)), request, "the same as JSON");
}

void check_json(const std::string& line) {
  const auto object = nlohmann::json::parse(line, nullptr, false);
  if (object.is_discarded()) return;
  auto route = controlplane::parse_route_json(object);
  if (!route) return require(!route.error().empty(), "an error says something");
  require(route->owner.size() <= 64, "an owner's name is bounded");
  route->owner.clear();  // a line holds neither the owner nor what follows
  route->route.distance = config::RouteConfig{}.distance;
  route->route.metric = config::RouteConfig{}.metric;
  if (route->remove) route->route = {};  // what it was does not matter then
  check_route(*route);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const MemoryFile file(data, size);
  std::vector<std::string> lines;
  try {
    lines = read_batches(file.path());
  } catch (const cli::Failure&) {
    return 0;  // compressed data that are damaged
  }
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (!text.starts_with("\x1f\x8b")) require(lines == lines_of(text), "the lines are those of the file");
  for (const std::string& line : lines) {
    check_json(line);
    if (controlplane::is_blank(line)) continue;
    const auto route = controlplane::parse_route_line(line);
    if (route) {
      check_route(*route);
    } else {
      require(!route.error().empty(), "an error says something");
    }
  }
  return 0;
}
