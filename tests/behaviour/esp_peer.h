// The other end of a tunnel, by OpenSSL and by the letter of RFC 4303.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "cases6.h"
#include "tests/unit/esp_reference.h"

namespace millrace::behaviour {

struct PeerSa {
  std::uint32_t spi = 0;
  esp::ReferenceKeys keys;
  [[nodiscard]] std::string key_text() const;  // as a configuration has it
};

// Of an algorithm, keys that differ by `seed`.
PeerSa make_sa(std::uint32_t spi, esp::Algorithm algorithm, bool esn, unsigned seed);

struct Sealing {
  std::uint64_t number = 1;
  std::uint8_t next_header = 4;
  std::optional<std::uint8_t> pad_length{};  // what the trailer says, whatever is true
  bool forged = false;                       // a bit of the ICV is another
};
// From the ESP header to the ICV.
Bytes seal(const PeerSa& sa, const Bytes& inner, const Sealing& how);

struct Opened {
  std::uint32_t spi;
  std::uint32_t number;  // its low half
  Bytes iv;
  std::uint8_t next_header;
  Bytes inner;
};
// Nothing where the ICV is wrong. `high` is of the number's other half.
std::optional<Opened> open(const PeerSa& sa, const Bytes& esp, std::uint32_t high = 0);

}  // namespace millrace::behaviour
