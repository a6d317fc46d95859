// config/millrace.schema.json and the parser say the same: keys, required keys, words, ranges, defaults. The
// samples of tests/data/config are here for the parser, and in tests/system for the schema.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "config/parse.h"
#include "esp/algorithm.h"

namespace millrace::config {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

fs::path source_root() {
#ifdef MILLRACE_SOURCE_DIR
  return MILLRACE_SOURCE_DIR;
#else
  // As the compiler was given it: relative to the build folder, where tests run.
  return fs::absolute(__FILE__).parent_path().parent_path().parent_path();
#endif
}

const json& schema() {
  static const json document = json::parse(std::ifstream(source_root() / "config/millrace.schema.json"));
  return document;
}

const json& resolved(const json& node) {
  if (!node.contains("$ref")) return node;
  return schema().at(json::json_pointer(node["$ref"].get<std::string>().substr(1)));
}

// The schema of a mapping, by its path in known_keys().
const json& mapping(const std::string& path) {
  const json& top = schema().at("properties");
  if (path.empty()) return schema();
  if (path == "routes[].via[]") return schema().at("definitions").at("weighted_next_hop");
  static const std::map<std::string, const char*> kDefinitions{
      {"interfaces.*.ipsec", "tunnel"},
      {"interfaces.*.ipsec.out", "sa"},
      {"interfaces.*.ipsec.in[]", "sa"},
      {"interfaces.*.ipsec.udp", "esp_in_udp"},
      {"interfaces.*.ipsec.lifetime.soft", "sa_limits"},
      {"interfaces.*.ipsec.lifetime.hard", "sa_limits"},
      {"interfaces.*.ipsec.selectors[]", "selector"},
      {"interfaces.*.policies[]", "policy"}};
  if (path == "interfaces.*.ipsec.lifetime")
    return schema().at("definitions").at("tunnel").at("properties").at("lifetime");
  if (const auto at = kDefinitions.find(path); at != kDefinitions.end())
    return schema().at("definitions").at(at->second);
  if (path.ends_with(".*"))
    return resolved(top.at(path.substr(0, path.size() - 2)).at("additionalProperties"));
  if (path.ends_with("[]")) return resolved(top.at(path.substr(0, path.size() - 2)).at("items"));
  if (const auto dot = path.find('.'); dot != std::string::npos)
    return top.at(path.substr(0, dot)).at("properties").at(path.substr(dot + 1));
  return top.at(path);
}

constexpr const char* kWan = "interfaces: {a: {device: net_null, addresses: [192.0.2.1/24]}}\n";

// A file with a tunnel that has these settings, and the ends that they leave out.
std::string tunnel_with(const std::string& settings) {
  std::string ends;
  for (const auto& [key, end] : {std::pair("local", "192.0.2.1"), std::pair("remote", "198.51.100.1")}) {
    if (!settings.starts_with(key)) ends += std::string(key) + ": " + end + ", ";
  }
  std::string allow;
  for (const esp::Traits& of : esp::kTraits) allow += std::string(of.name) + ", ";
  return "interfaces: {a: {ipsec: {" + ends + settings + "}}}\nipsec: {allow: [" + allow + "]}";
}

// An SA with this setting, and what it leaves out.
std::string sa_with(const std::string& setting) {
  const std::string key = "key: \"" + std::string(40, '7') + "\"";
  if (setting.starts_with("spi")) return "{" + setting + ", " + key + "}";
  return "{spi: 0x1000, " + (setting.empty() ? key : setting) + "}";
}

// A whole file that is right if `value` is, as the value of `key` in the mapping at `path`.
std::string file_with(const std::string& path, const std::string& key, const std::string& value) {
  const std::string setting = key.empty() ? "" : key + ": " + value;
  if (path == "interfaces.*.ipsec") return tunnel_with(setting);
  if (path == "interfaces.*.ipsec.out") return tunnel_with("out: " + sa_with(setting));
  if (path == "interfaces.*.ipsec.in[]") return tunnel_with("in: [" + sa_with(setting) + "]");
  if (path == "interfaces.*.ipsec.udp") return tunnel_with("udp: {" + setting + "}");
  if (path == "interfaces.*.ipsec.lifetime") return tunnel_with("lifetime: {" + setting + "}");
  if (path.starts_with("interfaces.*.ipsec.lifetime."))
    return tunnel_with("lifetime: {" + path.substr(path.size() - 4) + ": {" + setting + "}}");
  if (path == "interfaces.*.ipsec.selectors[]") return tunnel_with("selectors: [{" + setting + "}]");
  if (path == "interfaces.*.policies[]") {
    const std::string action = key == "action" ? setting : "action: bypass, " + setting;
    const std::string tunnel = value == "protect" ? ", tunnel: t" : "";
    return "interfaces: {a: {device: net_null, policies: [{" + action + tunnel +
           "}]}, t: {ipsec: {local: 192.0.2.1, remote: 192.0.2.2}}}";
  }
  if (path == "interfaces.*" && (key == "parent" || key.find("vlan") != std::string::npos)) {
    std::string vlan;
    for (const auto& [needed, given] : {std::pair("parent", "lan0"), std::pair("vlan", "7")})
      vlan += std::string(needed) + ": " + (key == needed ? value : given) + ", ";
    return "interfaces: {lan0: {device: net_null}, a: {" + vlan +
           (vlan.find(setting) < vlan.size() ? "" : setting) + "}}";
  }
  if (path == "interfaces.*") return "interfaces: {a: {device: net_null, " + setting + "}}";
  if (path == "routes[].via[]")
    return std::string(kWan) + "routes: [{prefix: 10.0.0.0/8, via: [{address: 192.0.2.2, " + setting + "}]}]";
  if (path == "routes[]" && key == "type") return "routes: [{prefix: 10.0.0.0/8, " + setting + "}]";
  if (path == "routes[]") return "routes: [{prefix: 10.0.0.0/8, type: blackhole, " + setting + "}]";
  if (path == "feeds.fpm") return "feeds: {fpm: {" + setting + "}}";
  if (path == "feeds.distances") return "feeds: {distances: {" + setting + "}}";
  if (path == "feeds.netlink") return "feeds: {netlink: {" + setting + "}}";
  return path + ": {" + setting + "}";
}

std::vector<std::string> sorted(std::vector<std::string> words) {
  std::ranges::sort(words);
  return words;
}

std::vector<std::string> words_in(const json& object_or_array) {
  std::vector<std::string> words;
  if (object_or_array.is_array()) return sorted(object_or_array.get<std::vector<std::string>>());
  for (const auto& item : object_or_array.items()) words.push_back(item.key());
  return sorted(words);
}

bool accepts(const std::string& text) {
  return parse(text, "schema").ok();
}

// Calls `visit(path, key, schema)` for each setting, and for each alternative of one.
template <class Visit>
void for_each_setting(Visit visit) {
  for (const KnownKeys& known : known_keys()) {
    if (known.path.empty()) continue;
    for (const auto& [key, node] : mapping(known.path).at("properties").items()) {
      visit(known.path, key, node);
      for (const json& alternative : node.value("anyOf", json::array())) visit(known.path, key, alternative);
    }
  }
}

TEST(ConfigSchema, ListsTheParsersKeysAndNoOthers) {
  for (const KnownKeys& known : known_keys()) {
    const json& node = mapping(known.path);
    EXPECT_EQ(words_in(node.at("properties")), sorted(known.keys)) << "'" << known.path << "'";
    EXPECT_EQ(words_in(node.value("required", json::array())), sorted(known.required))
        << "'" << known.path << "'";
    EXPECT_EQ(node.at("additionalProperties"), false) << "'" << known.path << "'";
  }
}

TEST(ConfigSchema, EverySettingHasATitleAndADescription) {
  for_each_setting([](const std::string& path, const std::string& key, const json& node) {
    if (mapping(path)["properties"][key] != node) return;  // an alternative within a setting
    EXPECT_TRUE(node.contains("title") && node.contains("description")) << path << " " << key;
  });
}

TEST(ConfigSchema, HasTheWordsThatTheParserTakes) {
  int enums = 0;
  for_each_setting([&](const std::string& path, const std::string& key, const json& node) {
    if (!node.contains("enum")) return;
    ++enums;
    for (const json& word : node["enum"])
      EXPECT_TRUE(accepts(file_with(path, key, word.get<std::string>())))
          << path << " " << key << " " << word;
    EXPECT_FALSE(accepts(file_with(path, key, "another"))) << path << " " << key;
  });
  // hugepages, idle, rss, queues, vlan_type, urpf, ip_options, type, table, algorithm, dscp, df, mode,
  // action
  EXPECT_EQ(enums, 14);
}

TEST(ConfigSchema, HasTheRangesThatTheParserTakes) {
  int ranges = 0;
  for_each_setting([&](const std::string& path, const std::string& key, const json& node) {
    if (!node.contains("minimum")) return;
    ++ranges;
    const auto min = node["minimum"].get<std::int64_t>();
    const auto max = node["maximum"].get<std::int64_t>();
    EXPECT_TRUE(accepts(file_with(path, key, std::to_string(min)))) << path << " " << key;
    EXPECT_TRUE(accepts(file_with(path, key, std::to_string(max)))) << path << " " << key;
    EXPECT_FALSE(accepts(file_with(path, key, std::to_string(min - 1)))) << path << " " << key;
    EXPECT_FALSE(accepts(file_with(path, key, std::to_string(max + 1)))) << path << " " << key;
  });
  // tx_wait_us, core, queues, mtu, vlan, inner_vlan, distance, metric, weight, table, replay_window, dscp,
  // hop_limit, spi of both directions, remote_port, packets and bytes of both lifetimes; distances of feeds
  EXPECT_EQ(ranges, 20 + 23);
}

// Writing every default out must change nothing.
TEST(ConfigSchema, HasTheModelsDefaults) {
  int defaults = 0;
  for_each_setting([&](const std::string& path, const std::string& key, const json& node) {
    if (!node.contains("default")) return;
    ++defaults;
    const std::string value =
        node["default"].is_string() ? node["default"].get<std::string>() : node["default"].dump();
    const auto with = parse(file_with(path, key, value), "schema");
    ASSERT_TRUE(with.ok()) << path << " " << key << ": " << with.problems.front().to_string();
    Config expected;
    if (path == "feeds.fpm") expected.feeds.fpm.emplace();
    if (path == "feeds.netlink") expected.feeds.netlink.emplace();
    if (path == "interfaces.*") expected.interfaces["a"].device = "net_null";
    if (path == "routes[]") expected.routes.ipv4[{Ipv4Address(10, 0, 0, 0), 8}].type = RouteType::blackhole;
    if (path.starts_with("interfaces.*.ipsec")) expected = parse(file_with(path, "", ""), "schema").config;
    if (path == "routes[].via[]") {
      expected = parse(kWan, "schema").config;
      expected.routes.ipv4[{Ipv4Address(10, 0, 0, 0), 8}].via = {Ipv4Address(192, 0, 2, 2)};
    }
    EXPECT_EQ(with.config, expected) << path << " " << key;
  });
  EXPECT_EQ(defaults, 39 + 24);
}

TEST(ConfigSchema, ExamplesAreAccepted) {
  for_each_setting([&](const std::string& path, const std::string& key, const json& node) {
    if (path.starts_with("routes[]") || path == "neighbors[]") return;  // they need the rest of a file
    for (const json& example : node.value("examples", json::array())) {
      const std::string value = example.dump();
      if (key == "device") {
        EXPECT_TRUE(accepts("interfaces: {a: {device: " + value + "}}")) << value;
      } else {
        EXPECT_TRUE(accepts(file_with(path, key, value))) << path << " " << key << " " << value;
      }
    }
  });
}

std::vector<fs::path> samples(const char* folder) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(source_root() / "tests/data/config" / folder))
    files.push_back(entry.path());
  std::ranges::sort(files);
  return files;
}

TEST(ConfigSamples, GoodOnesParse) {
  const auto files = samples("good");
  EXPECT_GE(files.size(), 5U);
  for (const fs::path& file : files) {
    for (const Problem& problem : parse_file(file).problems) ADD_FAILURE() << problem.to_string();
  }
}

// The first line of a bad sample is "# expect LINE:COLUMN part of the message".
TEST(ConfigSamples, BadOnesGiveTheProblemThatTheyAnnounce) {
  const auto files = samples("bad");
  EXPECT_GE(files.size(), 15U);
  for (const fs::path& file : files) {
    std::string line;
    std::getline(std::ifstream(file) >> std::ws, line);
    const std::string expected = line.substr(std::string("# expect ").size());
    const auto space = expected.find(' ');
    const auto problems = parse_file(file).problems;
    const bool found = std::ranges::any_of(problems, [&](const Problem& problem) {
      return std::to_string(problem.line) + ":" + std::to_string(problem.column) ==
                 expected.substr(0, space) &&
             problem.message.find(expected.substr(space + 1)) != std::string::npos;
    });
    EXPECT_TRUE(found) << file << ": " << line
                       << (problems.empty() ? "" : "\n" + problems.front().to_string());
  }
}

}  // namespace
}  // namespace millrace::config
