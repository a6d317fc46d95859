#include "perf/generator/protocol.h"

#include <fstream>
#include <stdexcept>

namespace millrace::perf {
namespace {

using nlohmann::json;

// Addresses as they lie on the wire, as make_destinations writes them.
template <class Address>
std::vector<IpAddress> read_destinations(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::vector<IpAddress> addresses;
  std::conditional_t<std::is_same_v<Address, Ipv4Address>, Be32, Ipv6Address::Bytes> bytes{};
  while (file.read(reinterpret_cast<char*>(&bytes), sizeof bytes)) addresses.emplace_back(Address(bytes));
  if (addresses.empty()) throw std::runtime_error("cannot read destinations from " + path);
  return addresses;
}

std::vector<IpAddress> destinations(const json& request) {
  if (request.contains("destinations_file")) {
    const std::string path = request["destinations_file"];
    return request.value("ipv6", false) ? read_destinations<Ipv6Address>(path)
                                        : read_destinations<Ipv4Address>(path);
  }
  std::vector<IpAddress> addresses;
  for (const std::string text : request.at("destinations")) {
    const auto address = IpAddress::parse(text);
    if (!address) throw std::runtime_error(text + " is no IP address");
    addresses.push_back(*address);
  }
  return addresses;
}

Phase phase(const json& request, double ticks_per_second) {
  Phase phase;
  phase.frames_per_tick = request.at("rate").get<double>() / ticks_per_second;
  phase.ticks = static_cast<std::uint64_t>(request.value("seconds", 0.0) * ticks_per_second);
  phase.frames = request.value("frames", std::uint64_t{0});
  if (phase.frames_per_tick < 0) throw std::runtime_error("a rate is not negative");
  return phase;
}

DirectionRequest direction(const json& request, double ticks_per_second) {
  DirectionRequest result;
  result.from = request.at("from");
  result.to = request.at("to");
  result.destinations = destinations(request);
  result.flows = request.value("flows", 1U);
  result.sizes = request.at("sizes").get<std::vector<std::uint16_t>>();
  result.tagged = request.value("tagged", 1000U);
  for (const json& one : request.at("phases")) result.phases.push_back(phase(one, ticks_per_second));
  return result;
}

json delays(const Tracker& tracker, double ns_per_tick) {
  const auto ns = [&](std::uint64_t ticks) { return static_cast<double>(ticks) * ns_per_tick; };
  json histogram = json::array(), tagged = json::array();
  for (std::size_t i = 0; i < Histogram::kBuckets; ++i) {
    if (const std::uint64_t count = tracker.delays().count(i); count != 0)
      histogram.push_back({ns(Histogram::value(i)), count});
  }
  for (const std::uint64_t delay : tracker.tagged()) tagged.push_back(ns(delay));
  return {{"min", ns(tracker.min_delay())},
          {"max", ns(tracker.max_delay())},
          {"mean", ns(tracker.sum_of_delays()) / static_cast<double>(tracker.received())},
          {"histogram", histogram},
          {"tagged", tagged}};
}

json answer(const DirectionResult& result, double ticks_per_second) {
  const Tracker& tracker = result.tracker;
  const auto at = [&](std::uint64_t ticks) {
    return (static_cast<double>(ticks) - static_cast<double>(result.begin)) / ticks_per_second;
  };
  json phase_ends = json::array();
  for (const std::uint64_t end : result.phase_ends) phase_ends.push_back(at(end));
  const auto last_lost = tracker.last_lost_sent_at();
  const Gap& gap = tracker.longest_gap();
  return {{"sent", tracker.sent_frames()},
          {"received", tracker.received()},
          {"lost", tracker.lost()},
          {"refused", result.refused},
          {"late", result.late},
          {"duplicates", tracker.duplicates()},
          {"reordered", tracker.reordered()},
          {"wrong", result.wrong},
          {"seconds", at(result.end)},
          {"phase_ends", phase_ends},
          {"last_lost_sent_at", last_lost ? json(at(*last_lost)) : json()},
          {"longest_gap", gap.end == 0 ? json() : json{at(gap.begin), at(gap.end)}},
          {"latency_ns", tracker.received() == 0 ? json() : delays(tracker, 1e9 / ticks_per_second)}};
}

}  // namespace

TrialRequest trial_request(const json& request, double ticks_per_second) {
  TrialRequest result;
  result.drain_ticks = static_cast<std::uint64_t>(request.value("drain", 2.0) * ticks_per_second);
  const std::string refused = request.value("refused", "lost");
  if (refused != "lost" && refused != "waits") throw std::runtime_error("\"refused\" is lost or waits");
  result.refused = refused == "lost" ? Refused::lost : Refused::waits;
  for (const json& one : request.at("directions"))
    result.directions.push_back(direction(one, ticks_per_second));
  return result;
}

json trial_answer(const std::vector<DirectionResult>& results, double ticks_per_second) {
  json directions = json::array();
  for (const DirectionResult& result : results) directions.push_back(answer(result, ticks_per_second));
  return {{"directions", directions}};
}

}  // namespace millrace::perf
