#include "controlplane/sequence_marks.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "net/hex.h"

namespace millrace::controlplane {
namespace {

using nlohmann::json;

std::string reason() {
  return std::strerror(errno);
}

// Written and on the disk.
bool store(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = write(fd, text.data(), text.size());
    if (written < 0) return false;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return fsync(fd) == 0;
}

void sync_folder(const std::filesystem::path& folder) {
  const int fd = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  fsync(fd);
  close(fd);
}

}  // namespace

Result<SequenceMarks> read_marks(const std::string& path) {
  std::ifstream file(path);
  if (!file) {
    if (errno == ENOENT) return SequenceMarks();
    return Error{path + ": " + reason()};
  }
  std::stringstream text;
  text << file.rdbuf();
  const json whole = json::parse(text.str(), nullptr, false);
  const Error damaged{
      path + " is damaged: it says which sequence numbers are used up. Remove it once all keys are new"};
  if (!whole.is_object() || !whole.contains("reserved") || !whole["reserved"].is_object()) return damaged;
  SequenceMarks marks;
  for (const auto& [key, number] : whole["reserved"].items()) {
    KeyDigest digest{};
    if (!read_hex(key, digest) || !number.is_number_unsigned()) return damaged;
    marks[digest] = number.get<std::uint64_t>();
  }
  return marks;
}

Result<void> write_marks(const std::string& path, const SequenceMarks& marks) {
  json reserved = json::object();
  for (const auto& [digest, number] : marks) reserved[to_hex(digest)] = number;
  const std::string text = json{{"reserved", std::move(reserved)}}.dump(1) + "\n";
  const std::filesystem::path folder = std::filesystem::path(path).parent_path();
  std::error_code ignored;
  std::filesystem::create_directories(folder, ignored);
  const std::string fresh = path + ".new";
  const int fd = open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return Error{fresh + ": " + reason()};
  const bool stored = store(fd, text);
  const Error error{fresh + ": " + reason()};
  close(fd);
  if (!stored) return error;
  if (rename(fresh.c_str(), path.c_str()) != 0) return Error{path + ": " + reason()};
  sync_folder(folder);
  return {};
}

}  // namespace millrace::controlplane
