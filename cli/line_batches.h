// Cuts a file, plain or gzip, into batches of lines. Memory is that of one batch, whatever the file's size.
#pragma once

#include <zlib.h>

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

namespace millrace::cli {

struct Batch {
  std::string text;            // the lines, each with its line feed
  std::size_t first_line = 1;  // its number in the file
  std::size_t lines = 0;
  // Lines that were too long to send: their place in `text` is an empty line, so that line numbers agree.
  std::vector<std::size_t> too_long;
};

class LineBatches {
 public:
  static constexpr std::size_t kLines = 10'000;
  // 10,000 lines of this length stay under the API's limit of 64 MiB.
  static constexpr std::size_t kMaxLine = 4'096;

  // "-" is the standard input. gzip is recognised by its magic bytes, not by the name. Throws Failure.
  explicit LineBatches(const std::string& path);
  // False at the end. Throws Failure if the file cannot be read or its compressed data are damaged.
  bool next(Batch& batch);

 private:
  struct Close {
    void operator()(gzFile file) const { gzclose(file); }
  };
  bool next_line(std::string& line, bool& too_long);
  bool refill();

  std::string name_;
  std::unique_ptr<std::remove_pointer_t<gzFile>, Close> file_;
  std::vector<char> buffer_;
  std::size_t at_ = 0;
  std::size_t end_ = 0;
  std::size_t line_ = 0;  // lines read so far
};

}  // namespace millrace::cli
