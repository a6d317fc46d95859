// The figures: kept, printed as a table, written as JSON (the format of all benchmarks).
#pragma once

#include <ostream>
#include <string>
#include <utility>
#include <vector>

namespace millrace::perf {

double median(std::vector<double> values);

class Report {
 public:
  // The value of a row is the median of its runs.
  void add(const std::string& name, const std::string& subject, const std::string& unit,
           std::vector<double> runs);
  void describe(const std::string& key, const std::string& value) { machine_.emplace_back(key, value); }
  // What was called, so that somebody else can do so.
  void made_by(const std::string& command) { command_ = command; }

  // The rows whose case begins with `family`: a line a case, a column a subject.
  void print(std::ostream& out, const std::string& family) const;
  void print_machine(std::ostream& out) const;
  // Throws std::runtime_error if the file cannot be written.
  void write_json(const std::string& file) const;

 private:
  struct Row {
    std::string name;
    std::string subject;
    std::string unit;
    double value = 0;
    std::vector<double> runs;
  };
  [[nodiscard]] const Row* find(const std::string& name, const std::string& subject) const;
  [[nodiscard]] std::string ratio(const std::string& name) const;

  std::string command_;
  std::vector<std::pair<std::string, std::string>> machine_;
  std::vector<Row> rows_;
};

// CPU, cores, clock, kernel, compiler, date.
void describe_machine(Report& report);

}  // namespace millrace::perf
