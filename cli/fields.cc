#include "cli/fields.h"

#include <nlohmann/json.hpp>

#include "cli/text.h"

namespace millrace::cli {

namespace {

const Json* find(const Json& object, const char* key) {
  if (!object.is_object()) return nullptr;
  const auto it = object.find(key);
  return it == object.end() || it->is_null() ? nullptr : &*it;
}

template <class T>
T value_or_zero(const Json* value) {
  return value != nullptr && value->is_number() ? value->get<T>() : T{};
}

}  // namespace

std::string text_of(const Json& object, const char* key) {
  const Json* value = find(object, key);
  if (value == nullptr) return {};
  return printable(value->is_string() ? value->get<std::string>() : value->dump());
}

std::string count_of(const Json& object, const char* key) {
  const Json* value = find(object, key);
  if (value == nullptr) return {};
  if (value->is_number_unsigned()) return grouped(value->get<std::uint64_t>());
  return value->is_number_integer() ? grouped(value->get<std::int64_t>()) : text_of(object, key);
}

std::uint64_t unsigned_of(const Json& object, const char* key) {
  return value_or_zero<std::uint64_t>(find(object, key));
}

std::int64_t signed_of(const Json& object, const char* key) {
  return value_or_zero<std::int64_t>(find(object, key));
}

double real_of(const Json& object, const char* key) {
  return value_or_zero<double>(find(object, key));
}

bool flag_of(const Json& object, const char* key) {
  const Json* value = find(object, key);
  return value != nullptr && value->is_boolean() && value->get<bool>();
}

const Json& part_of(const Json& object, const char* key) {
  static const Json nothing = Json::array();
  const Json* value = find(object, key);
  return value == nullptr ? nothing : *value;
}

std::string via_of(const Json& hop) {
  const std::string address = text_of(hop, "address");
  const std::string interface = text_of(hop, "interface");
  return address.empty() || interface.empty() ? address + interface : address + " " + interface;
}

std::string weighted_via_of(const Json& hop) {
  const std::uint64_t weight = unsigned_of(hop, "weight");
  return via_of(hop) + (weight > 1 ? " weight " + std::to_string(weight) : "");
}

}  // namespace millrace::cli
