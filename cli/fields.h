// Reads an answer's fields as text for people. A field that an older or newer daemon does not send is shown
// as nothing instead of ending the command.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace millrace::cli {

using Json = nlohmann::ordered_json;  // keeps the API's order of keys

// The field as clean text; empty if it is missing or null.
std::string text_of(const Json& object, const char* key);
// A counter with its thousands grouped; empty if it is missing.
std::string count_of(const Json& object, const char* key);
// Numbers; 0 if missing.
std::uint64_t unsigned_of(const Json& object, const char* key);
std::int64_t signed_of(const Json& object, const char* key);
double real_of(const Json& object, const char* key);
bool flag_of(const Json& object, const char* key);
// An object or list within; an empty one if it is missing.
const Json& part_of(const Json& object, const char* key);

// "192.0.2.254 wan0": an address and the interface that it is reached through.
std::string via_of(const Json& hop);
// The same, with " weight 3" where that is not 1.
std::string weighted_via_of(const Json& hop);

}  // namespace millrace::cli
