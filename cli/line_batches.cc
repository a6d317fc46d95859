#include "cli/line_batches.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include "cli/failure.h"
#include "cli/text.h"

namespace millrace::cli {

namespace {

constexpr std::size_t kBufferBytes = std::size_t{256} << 10;

std::string error_text() {
  return std::error_code(errno, std::generic_category()).message();
}

int open_for_reading(const std::string& path) {
  // A copy of the standard input, since closing the reader closes its descriptor.
  const int fd = path == "-" ? dup(STDIN_FILENO) : open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) throw Failure(shown_name(path) + ": " + error_text());
  return fd;
}

}  // namespace

LineBatches::LineBatches(const std::string& path) : name_(shown_name(path)), buffer_(kBufferBytes) {
  const int fd = open_for_reading(path);
  file_.reset(gzdopen(fd, "rb"));  // reads text that is not compressed as it is
  if (file_ == nullptr) {
    close(fd);
    throw Failure(name_ + ": out of memory");
  }
  gzbuffer(file_.get(), kBufferBytes);
}

bool LineBatches::next(Batch& batch) {
  batch = Batch{.text = {}, .first_line = line_ + 1, .lines = 0, .too_long = {}};
  std::string line;
  bool too_long = false;
  while (batch.lines < kLines && next_line(line, too_long)) {
    if (too_long) batch.too_long.push_back(line_);
    batch.text += line;
    batch.text += '\n';
    ++batch.lines;
  }
  return batch.lines != 0;
}

// Without its end ("\n" or "\r\n"); the last one may lack it. A line that is too long comes back empty.
bool LineBatches::next_line(std::string& line, bool& too_long) {
  line.clear();
  too_long = false;
  bool any = false;
  while (at_ < end_ || refill()) {
    any = true;
    const char* from = buffer_.data() + at_;
    const char* feed = std::find(from, static_cast<const char*>(buffer_.data() + end_), '\n');
    const auto length = static_cast<std::size_t>(feed - from);
    too_long = too_long || line.size() + length > kMaxLine;
    if (!too_long) line.append(from, length);
    at_ += length;
    if (at_ == end_) continue;
    ++at_;  // the line feed
    break;
  }
  if (any) ++line_;
  if (too_long) line.clear();
  if (!line.empty() && line.back() == '\r') line.pop_back();
  return any;
}

bool LineBatches::refill() {
  const int got = gzread(file_.get(), buffer_.data(), static_cast<unsigned>(buffer_.size()));
  int code = Z_OK;
  const char* message = gzerror(file_.get(), &code);
  if (code == Z_ERRNO) throw Failure(name_ + ": " + error_text());
  // A file that is cut off gives what is there first, and then nothing, with this code.
  if (got == 0 && code == Z_BUF_ERROR) message = "the compressed data are cut off";
  if (got < 0 || (got == 0 && code == Z_BUF_ERROR)) {
    throw Failure(name_ + ":" + std::to_string(line_ + 1) + ": " + printable(message));
  }
  at_ = 0;
  end_ = static_cast<std::size_t>(got);
  return got > 0;
}

}  // namespace millrace::cli
