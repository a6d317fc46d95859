#include "config/secret.h"

#include <string.h>
#include <sys/mman.h>

#include <array>
#include <mutex>
#include <new>
#include <vector>

#include "net/hex.h"

namespace millrace::config {

struct Secret::Place {
  std::uint8_t size = 0;
  std::array<std::uint8_t, kMaxBytes> bytes{};
};

// All secrets' places, for the life of the process.
class Secret::Pages {
 public:
  static Pages& all() {
    static auto* pages = new Pages;  // outlives whatever holds a secret
    return *pages;
  }

  Place* take() {
    const std::lock_guard lock(mutex_);
    if (free_.empty()) grow();
    Place* place = free_.back();
    free_.pop_back();
    return place;
  }
  void give_back(Place* place) {
    explicit_bzero(place, sizeof *place);
    const std::lock_guard lock(mutex_);
    free_.push_back(place);
  }

 private:
  void grow() {
    constexpr std::size_t kBytes = 64 << 10;
    void* pages = mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED) throw std::bad_alloc();
    madvise(pages, kBytes, MADV_DONTDUMP);
    mlock(pages, kBytes);  // where RLIMIT_MEMLOCK allows
    const std::size_t count = kBytes / sizeof(Place);
    free_.reserve(free_.size() + count);
    for (std::size_t i = 0; i < count; ++i) free_.push_back(new (static_cast<Place*>(pages) + i) Place);
  }

  std::mutex mutex_;
  std::vector<Place*> free_;
};

Secret::Secret(std::span<const std::uint8_t> bytes) {
  Place* place = Pages::all().take();
  place->size = static_cast<std::uint8_t>(std::min(bytes.size(), kMaxBytes));
  std::copy_n(bytes.data(), place->size, place->bytes.begin());
  place_ = std::shared_ptr<const Place>(
      place, [](const Place* used) { Pages::all().give_back(const_cast<Place*>(used)); });
}

std::optional<Secret> Secret::from_hex(std::string_view text) {
  if (text.starts_with("0x")) text.remove_prefix(2);
  if (text.empty() || text.size() % 2 != 0 || text.size() / 2 > kMaxBytes) return {};
  std::array<std::uint8_t, kMaxBytes> bytes;
  const auto read = std::span(bytes).first(text.size() / 2);
  std::optional<Secret> secret;
  if (read_hex(text, read)) secret.emplace(read);
  explicit_bzero(bytes.data(), bytes.size());
  return secret;
}

std::span<const std::uint8_t> Secret::bytes() const {
  if (!place_) return {};
  return {place_->bytes.data(), place_->size};
}

std::optional<std::string> wrong_size(const Secret& key, const esp::Traits& of) {
  if (key.bytes().size() == of.key_bytes()) return {};
  return "a key of " + std::string(of.name) + " has " + std::to_string(of.key_bytes()) + " bytes, not " +
         std::to_string(key.bytes().size());
}

}  // namespace millrace::config
