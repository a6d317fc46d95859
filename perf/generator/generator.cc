// The built-in traffic generator and receiver of perf/rfc2544.sh: a process of its own with two DPDK ports,
// that runs the trials it is asked for on standard input and answers on standard output (protocol.h).
//
//   {"command": "learn", "seconds": S}    learning frames until the device's MACs are known
//   {"command": "trial", ...}             protocol.h
//   {"command": "quit"}
//
// One thread on one core sends and receives. Between trials it goes on answering ARP and ND.
#include <poll.h>
#include <rte_cycles.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <exception>
#include <iostream>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "perf/generator/protocol.h"

namespace millrace::perf {
namespace {

using nlohmann::json;

constexpr int kPollMs = 1;
constexpr auto kLearnEvery = std::chrono::milliseconds(50);

// Lines of standard input, without blocking longer than a poll.
class Lines {
 public:
  // A line; nothing where there is none yet. `over()` once the input has ended.
  std::optional<std::string> next() {
    if (auto line = cut()) return line;
    pollfd input{STDIN_FILENO, POLLIN, 0};
    if (::poll(&input, 1, kPollMs) <= 0) return std::nullopt;
    std::array<char, 65536> bytes;
    const ssize_t count = ::read(STDIN_FILENO, bytes.data(), bytes.size());
    if (count <= 0) over_ = true;
    if (count > 0) text_.append(bytes.data(), static_cast<std::size_t>(count));
    return cut();
  }
  [[nodiscard]] bool over() const { return over_; }

 private:
  std::optional<std::string> cut() {
    const auto end = text_.find('\n');
    if (end == std::string::npos) return std::nullopt;
    std::string line = text_.substr(0, end);
    text_.erase(0, end + 1);
    return line;
  }

  std::string text_;
  bool over_ = false;
};

class Generator {
 public:
  explicit Generator(std::vector<Host> hosts)
      : hosts_(std::move(hosts)), ticks_per_second_(static_cast<double>(rte_get_tsc_hz())) {}

  void poll() {
    for (Host& host : hosts_) host.poll();
  }

  json run(const json& request) {
    const std::string command = request.at("command");
    if (command == "learn") return learn(request.value("seconds", 5.0));
    if (command == "trial") {
      // Frames of the trial before that are still under way are not of this one.
      const TrialRequest trial = trial_request(request, ticks_per_second_);
      return trial_answer(run_trial(trial, ++trial_, hosts_), ticks_per_second_);
    }
    throw std::runtime_error("no command is " + command);
  }

 private:
  json learn(double seconds) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
    bool known = false;
    while (!known && std::chrono::steady_clock::now() < end) {
      for (Host& host : hosts_) host.send_learning_frames();
      const auto again = std::chrono::steady_clock::now() + kLearnEvery;
      while (std::chrono::steady_clock::now() < again) {
        poll();
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
      known = true;
      for (const Host& host : hosts_) known = known && host.gateway_mac() && host.port().link_up();
    }
    json macs = json::array(), own = json::array(), links = json::array();
    for (const Host& host : hosts_) {
      macs.push_back(host.gateway_mac() ? json(host.gateway_mac()->to_string()) : json());
      own.push_back(host.port().mac().to_string());
      links.push_back(host.port().link_up());
    }
    return {{"known", known}, {"gateways", macs}, {"ports", own}, {"links", links}};
  }

  std::vector<Host> hosts_;
  double ticks_per_second_;
  std::uint8_t trial_ = 0;
};

struct Options {
  EalOptions eal;
  std::vector<std::string> addresses, gateways, gateway_macs;
  std::uint16_t rx_queues = 1;
};

IpAddress address(const std::string& text) {
  const auto value = IpAddress::parse(text);
  if (!value) throw std::invalid_argument(text + " is no IP address");
  return *value;
}

MacAddress mac(const std::string& text) {
  const auto value = MacAddress::parse(text);
  if (!value) throw std::invalid_argument(text + " is no MAC address");
  return *value;
}

void serve(Generator& generator, std::FILE* out) {
  Lines lines;
  while (!lines.over()) {
    generator.poll();
    const auto line = lines.next();
    if (!line) continue;
    json answer;
    try {
      const json request = json::parse(*line);
      if (request.value("command", "") == "quit") return;
      answer = generator.run(request);
    } catch (const std::exception& error) {
      answer = {{"error", error.what()}};
    }
    std::fprintf(out, "%s\n", answer.dump().c_str());
    std::fflush(out);
  }
}

void run(const Options& options, std::FILE* out) {
  const std::vector<std::string> names = start_eal(options.eal);
  std::vector<std::unique_ptr<Port>> ports;
  std::vector<Host> hosts;
  for (std::size_t i = 0; i < names.size(); ++i) {
    ports.push_back(std::make_unique<Port>(names[i], options.rx_queues));
    hosts.emplace_back(*ports.back(), address(options.addresses.at(i)), address(options.gateways.at(i)));
    if (!options.gateway_macs.empty()) hosts.back().set_gateway_mac(mac(options.gateway_macs.at(i)));
  }
  Generator generator(std::move(hosts));
  std::fprintf(out, "%s\n", json{{"ready", true}, {"tsc_hz", rte_get_tsc_hz()}}.dump().c_str());
  std::fflush(out);
  serve(generator, out);
}

}  // namespace
}  // namespace millrace::perf

int main(int argc, char** argv) {
  millrace::perf::Options options;
  CLI::App app{"The traffic generator of perf/rfc2544.sh"};
  app.add_option("--port", options.eal.devices, "PCI address or DPDK devargs; twice")
      ->required()
      ->expected(1, 8);
  app.add_option("--address", options.addresses, "the tester's address on each port")->required();
  app.add_option("--gateway", options.gateways, "the device's address on each port")->required();
  app.add_option("--gateway-mac", options.gateway_macs,
                 "the device's MAC on each port; default: asked for by ARP or ND");
  app.add_option("--core", options.eal.core, "the core to send and receive on");
  app.add_option("--rx-queues", options.rx_queues,
                 "of each port; over memif as many as the device has transmit queues")
      ->check(CLI::Range(1, 64));
  app.add_flag("!--no-huge", options.eal.hugepages, "do without hugepages");
  CLI11_PARSE(app, argc, argv);
  options.eal.program = "generator";
  // Answers alone go to standard output: DPDK's drivers like to print there, too.
  std::FILE* out = fdopen(dup(STDOUT_FILENO), "w");
  dup2(STDERR_FILENO, STDOUT_FILENO);
  try {
    millrace::perf::run(options, out);
  } catch (const std::exception& error) {
    std::cerr << "generator: " << error.what() << '\n';
    return 1;
  }
  return 0;
}
