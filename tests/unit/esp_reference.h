// ESP by OpenSSL, one packet at a time and by the letter of the RFCs: what esp/ is measured against.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "esp/algorithm.h"

namespace millrace::esp {

using Bytes = std::vector<std::uint8_t>;

struct ReferenceKeys {
  Algorithm algorithm;
  bool extended_sequence;
  Bytes cipher, salt, integrity;
};

// `packet` is header, IV, payload and trailer; returned is the whole packet with its ICV.
Bytes reference_seal(const ReferenceKeys& keys, std::uint32_t sequence_high, const Bytes& packet);

// What lies between IV and ICV, decrypted; nothing where the ICV is wrong.
std::optional<Bytes> reference_open(const ReferenceKeys& keys, std::uint32_t sequence_high,
                                    const Bytes& packet);

}  // namespace millrace::esp
