// Values as people read them, in plain ASCII.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace millrace::cli {

// The text with everything but printable ASCII written as \xNN: what the daemon got from a peer or a file
// must not reach the terminal as an escape sequence. Idempotent only for clean text; apply it once, where the
// text enters.
std::string printable(std::string_view text);

std::string grouped(std::uint64_t value);     // "1,048,576"
std::string grouped(std::int64_t value);      // "-1,024"
std::string bytes(std::uint64_t value);       // "38.2 MiB"
std::string duration(double seconds);         // "3 d 4 h", "12 min 5 s", "1.20 ms", "35 us"
std::string fixed(double value, int digits);  // "12.5"

// "1 route", "2 routes": the plural is given because English is not regular.
std::string counted(std::uint64_t value, std::string_view one, std::string_view many);

// The name of an input file for messages: "-" is "<stdin>".
std::string shown_name(std::string_view file);

}  // namespace millrace::cli
