// A whole file in memory.
#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <string>
#include <system_error>
#include <utility>

namespace millrace::perf {

class MappedFile {
 public:
  MappedFile() = default;
  // Reads an existing file.
  static MappedFile open(const std::string& path) { return {path, O_RDONLY, 0}; }
  // Makes a file of `bytes` zero bytes, shared with whoever else maps it.
  static MappedFile create(const std::string& path, std::size_t bytes) {
    return {path, O_RDWR | O_CREAT | O_TRUNC, bytes};
  }
  MappedFile(MappedFile&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  MappedFile& operator=(MappedFile&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~MappedFile() {
    if (data_ != nullptr) munmap(data_, size_);
  }

  [[nodiscard]] void* data() const { return data_; }
  [[nodiscard]] std::size_t size() const { return size_; }

 private:
  MappedFile(const std::string& path, int flags, std::size_t bytes) {
    const bool writes = (flags & O_RDWR) != 0;
    const int fd = ::open(path.c_str(), flags | O_CLOEXEC, 0644);
    struct stat status {};
    const bool good =
        fd >= 0 && (!writes || ftruncate(fd, static_cast<off_t>(bytes)) == 0) && fstat(fd, &status) == 0;
    if (good) {
      size_ = static_cast<std::size_t>(status.st_size);
      data_ =
          mmap(nullptr, size_, writes ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0);
    }
    const int error = errno;
    if (fd >= 0) close(fd);
    if (!good || data_ == MAP_FAILED) {
      data_ = nullptr;
      throw std::system_error(error, std::generic_category(), path);
    }
  }

  void* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace millrace::perf
