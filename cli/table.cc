#include "cli/table.h"

#include <algorithm>
#include <ostream>

namespace millrace::cli {

namespace {

constexpr std::size_t kGap = 2;

std::vector<std::string> split_lines(const std::string& text) {
  std::vector<std::string> lines(1);
  for (const char c : text) {
    if (c == '\n') {
      lines.emplace_back();
    } else {
      lines.back() += c;
    }
  }
  return lines;
}

std::size_t longest(const std::vector<std::string>& lines) {
  std::size_t width = 0;
  for (const std::string& line : lines) width = std::max(width, line.size());
  return width;
}

std::string padded(const std::string& text, std::size_t width, Align align) {
  const std::string space(width - std::min(width, text.size()), ' ');
  return align == Align::right ? space + text : text + space;
}

}  // namespace

std::vector<std::string> wrap(const std::string& text, std::size_t width) {
  std::vector<std::string> lines;
  std::size_t from = 0;
  while (text.size() - from > width) {
    // A space goes with the break; a comma ("key=value,key=value") stays at the end of its line.
    const std::size_t space = text.rfind(' ', from + width);
    const std::size_t comma = text.rfind(',', from + width - 1);
    const bool at_space = space != std::string::npos && space > from;
    const bool at_comma = !at_space && comma != std::string::npos && comma > from;
    const std::size_t end = at_space ? space : at_comma ? comma + 1 : from + width;
    lines.push_back(text.substr(from, end - from));
    from = at_space ? end + 1 : end;
  }
  lines.push_back(text.substr(from));
  return lines;
}

Table::Table(std::vector<Column> columns, std::size_t width) : limit_(width) {
  for (Column& column : columns) {
    const std::size_t header = column.header.size();
    slots_.push_back({std::move(column), header});
  }
}

void Table::row(std::vector<std::string> cells) {
  cells.resize(slots_.size());
  for (std::string& cell : cells) {
    if (cell.empty()) cell = "-";
  }
  rows_.push_back(std::move(cells));
}

void Table::print(std::ostream& out) {
  fit();
  if (!header_done_) {
    std::vector<Lines> headers;
    for (const Slot& slot : slots_) headers.push_back({slot.column.header});
    print_row(out, headers);
    header_done_ = true;
  }
  for (const auto& row : rows_) {
    std::vector<Lines> cells;
    for (std::size_t i = 0; i < row.size(); ++i) cells.push_back(lines(slots_[i], row[i]));
    print_row(out, cells);
  }
  rows_.clear();
}

// Each column gets its longest cell; then the elastic one gives back what is too much.
void Table::fit() {
  for (const auto& row : rows_) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      slots_[i].width = std::max(slots_[i].width, longest(split_lines(row[i])));
    }
  }
  for (Slot& slot : slots_) {
    if (!slot.column.elastic) continue;
    const std::size_t others = width_of_others(slot);
    const std::size_t rest = limit_ > others ? limit_ - others : 0;
    slot.width = std::min(slot.width, std::max({rest, kMinElastic, slot.column.header.size()}));
  }
}

std::size_t Table::width_of_others(const Slot& slot) const {
  std::size_t width = 0;
  for (const Slot& other : slots_) width += &other == &slot ? 0 : other.width + kGap;
  return width;
}

Table::Lines Table::lines(const Slot& slot, const std::string& cell) const {
  if (!slot.column.elastic) return split_lines(cell);
  Lines all;
  for (const std::string& line : split_lines(cell)) {
    for (std::string& piece : wrap(line, slot.width)) all.push_back(std::move(piece));
  }
  return all;
}

void Table::print_row(std::ostream& out, const std::vector<Lines>& cells) const {
  std::size_t height = 0;
  for (const Lines& cell : cells) height = std::max(height, cell.size());
  for (std::size_t i = 0; i < height; ++i) {
    std::string line;
    for (std::size_t c = 0; c < cells.size(); ++c) {
      if (c != 0) line.append(kGap, ' ');
      line += padded(i < cells[c].size() ? cells[c][i] : "", slots_[c].width, slots_[c].column.align);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out << line << '\n';
  }
}

}  // namespace millrace::cli
