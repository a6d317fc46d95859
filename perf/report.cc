#include "perf/report.h"

#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <fstream>
#include <iomanip>
#include <nlohmann/json.hpp>
#include <stdexcept>

namespace millrace::perf {
namespace {

std::string number(double value) {
  char text[32];
  std::snprintf(text, sizeof(text), value >= 100 ? "%.1f" : value >= 1 ? "%.2f" : "%.3f", value);
  return text;
}

void append_once(std::vector<std::string>& list, const std::string& item) {
  if (std::find(list.begin(), list.end(), item) == list.end()) list.push_back(item);
}

std::string cpu_model() {
  std::ifstream in("/proc/cpuinfo");
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  }
  return "unknown";
}

std::string date_utc() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  char text[32];
  std::strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

}  // namespace

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  if (values.size() % 2 == 1) return *middle;
  return (*middle + *std::max_element(values.begin(), middle)) / 2;
}

void Report::add(const std::string& name, const std::string& subject, const std::string& unit,
                 std::vector<double> runs) {
  const double value = median(runs);
  rows_.push_back({name, subject, unit, value, std::move(runs)});
}

auto Report::find(const std::string& name, const std::string& subject) const -> const Row* {
  const auto at = std::find_if(rows_.begin(), rows_.end(),
                               [&](const Row& row) { return row.name == name && row.subject == subject; });
  return at == rows_.end() ? nullptr : &*at;
}

// Millrace over the best rte_fib; the best is the largest of a rate, the smallest of a time or a size.
std::string Report::ratio(const std::string& name) const {
  const Row* ours = find(name, "millrace");
  const Row* best = nullptr;
  for (const Row& row : rows_) {
    if (row.name != name || !row.subject.starts_with("rte_fib")) continue;
    const bool rate = row.unit == "Mlps" || row.unit == "k/s";
    if (best == nullptr || (rate ? row.value > best->value : row.value < best->value)) best = &row;
  }
  if (ours == nullptr || best == nullptr || best->value == 0) return "-";
  return number(ours->value / best->value);
}

void Report::print(std::ostream& out, const std::string& family) const {
  std::vector<std::string> names;
  std::vector<std::string> subjects;
  for (const Row& row : rows_) {
    if (!row.name.starts_with(family)) continue;
    append_once(names, row.name);
    append_once(subjects, row.subject);
  }
  if (names.empty()) return;
  out << '\n' << std::left << std::setw(25) << "case" << std::setw(6) << "unit" << std::right;
  for (const std::string& subject : subjects) out << std::setw(11) << subject;
  out << std::setw(19) << "millrace/best fib" << '\n';
  for (const std::string& name : names) {
    const auto first = std::find_if(rows_.begin(), rows_.end(), [&](const Row& r) { return r.name == name; });
    out << std::left << std::setw(25) << name << std::setw(6) << first->unit << std::right;
    for (const std::string& subject : subjects) {
      const Row* row = find(name, subject);
      out << std::setw(11) << (row != nullptr ? number(row->value) : "-");
    }
    out << std::setw(19) << ratio(name) << '\n';
  }
}

void Report::print_machine(std::ostream& out) const {
  for (const auto& [key, value] : machine_) out << std::left << std::setw(14) << key << value << '\n';
}

void Report::write_json(const std::string& file) const {
  nlohmann::ordered_json machine = nlohmann::ordered_json::object();
  for (const auto& [key, value] : machine_) machine[key] = value;
  nlohmann::ordered_json rows = nlohmann::ordered_json::array();
  for (const Row& row : rows_) {
    rows.push_back({{"case", row.name},
                    {"subject", row.subject},
                    {"value", row.value},
                    {"unit", row.unit},
                    {"runs", row.runs}});
  }
  std::ofstream out(file);
  nlohmann::ordered_json all;
  if (!command_.empty()) all["command"] = command_;
  all["machine"] = machine;
  all["rows"] = rows;
  out << all.dump(1) << '\n';
  if (!out.flush()) throw std::runtime_error(file + ": cannot be written");
}

void describe_machine(Report& report) {
  utsname kernel{};
  uname(&kernel);
  report.describe("cpu", cpu_model());
  report.describe("cores", std::to_string(sysconf(_SC_NPROCESSORS_ONLN)));
  report.describe("kernel", std::string(kernel.sysname) + " " + kernel.release);
  report.describe("compiler", "GCC " __VERSION__);
  report.describe("date", date_utc());
}

}  // namespace millrace::perf
