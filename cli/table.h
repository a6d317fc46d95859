// A table of text: aligned columns, headers in capitals, at most `kWidth` columns wide where the data allow
// it.
#pragma once

#include <cstddef>
#include <iosfwd>
#include <string>
#include <vector>

namespace millrace::cli {

enum class Align : unsigned char { left, right };

struct Column {
  std::string header;
  Align align = Align::left;
  // Gives way when the table gets too wide: its text is wrapped at words. At most one column of a table;
  // addresses and counters are never wrapped, so that they can be copied.
  bool elastic = false;
};

inline Column number(std::string header) {
  return {std::move(header), Align::right, false};
}
inline Column elastic(std::string header) {
  return {std::move(header), Align::left, true};
}

class Table {
 public:
  static constexpr std::size_t kWidth = 100;
  static constexpr std::size_t kMinElastic = 16;

  explicit Table(std::vector<Column> columns, std::size_t width = kWidth);

  // One cell a column. An empty cell is shown as "-"; a line feed in a cell starts a further line of the row.
  void row(std::vector<std::string> cells);
  // Writes the rows added since the last call; the first call also writes the header. A long table can thus
  // be written page by page: its columns only ever get wider.
  void print(std::ostream& out);
  [[nodiscard]] bool empty() const { return rows_.empty(); }

 private:
  using Lines = std::vector<std::string>;  // of one cell
  struct Slot {
    Column column;
    std::size_t width;
  };
  void fit();
  void print_row(std::ostream& out, const std::vector<Lines>& cells) const;
  [[nodiscard]] std::size_t width_of_others(const Slot& slot) const;
  [[nodiscard]] Lines lines(const Slot& slot, const std::string& cell) const;

  std::vector<Slot> slots_;
  std::size_t limit_;
  bool header_done_ = false;
  std::vector<std::vector<std::string>> rows_;
};

// The text cut into lines of at most `width` characters, at spaces or else after commas where there
// are any.
std::vector<std::string> wrap(const std::string& text, std::size_t width);

}  // namespace millrace::cli
