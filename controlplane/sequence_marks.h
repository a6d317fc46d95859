// The file that says which sequence numbers of ESP are used up, so that none is used again under its key
// after a restart, whatever ended the process. Control thread only, but for write().
//
// Numbers are reserved in the file before they are given out (RFC 4303 3.3.3, and RFC 4106 3.1 for IVs, which
// are made of them). Keys stand there by a digest.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>

#include "net/result.h"

namespace millrace::controlplane {

using KeyDigest = std::array<std::uint8_t, 16>;
using SequenceMarks = std::map<KeyDigest, std::uint64_t>;  // the last number that is reserved

// A file that is not there is one without marks; one that cannot be understood is an error.
Result<SequenceMarks> read_marks(const std::string& path);
// In the place of the old one: after a crash either is there, and whole. Readable by its owner alone.
Result<void> write_marks(const std::string& path, const SequenceMarks& marks);

}  // namespace millrace::controlplane
