// Nodes to typed values. Each function reports what is wrong and what was expected, and returns nothing then;
// the caller goes on with the next value, so that one pass finds everything.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "config/document.h"
#include "config/problems.h"
#include "config/words.h"
#include "net/ip_address.h"
#include "net/mac.h"

namespace millrace::config {

class Reader;

// A row of the table that describes a mapping: the parser and known_keys() both go by it.
template <class T>
struct Field {
  std::string_view key;
  void (*read)(Reader&, const Node&, T&);
  bool required = false;
  bool may_be_empty = false;  // "routes:" with every line below it commented out says nothing
};

template <class T, std::size_t n>
constexpr std::array<std::string_view, n> keys_of(const Field<T> (&table)[n]) {
  std::array<std::string_view, n> keys;
  std::ranges::transform(table, keys.begin(), &Field<T>::key);
  return keys;
}

// `what` names the value in messages: "mtu".
class Reader {
 public:
  explicit Reader(Problems& problems) : problems_(problems) {}

  void problem(Place at, std::string message, std::string hint = {}) {
    problems_.add(at, std::move(message), std::move(hint));
  }
  [[nodiscard]] Problems& problems() { return problems_; }
  // "mtu must be a whole number from 576 to 9600, not 'big'"
  void unexpected(const Node& node, std::string_view what, std::string_view expected, std::string hint = {});

  // Reads each entry of a mapping into `into` by its row. A missing key is reported at `missing_at`.
  template <class T, std::size_t n>
  void fields(const Node& node, std::string_view what, const Field<T> (&table)[n], T& into, Place missing_at);
  // Says whether it is a mapping or sequence, and reports it if not.
  bool is_mapping(const Node& node, std::string_view what, std::string_view expected);
  bool is_sequence(const Node& node, std::string_view what, std::string_view expected);

  std::optional<unsigned> integer(const Node& node, std::string_view what, std::uint32_t min,
                                  std::uint32_t max);
  // Of what there may be very many, one at least.
  std::optional<std::uint64_t> count(const Node& node, std::string_view what);
  // Nothing if it is the word, or neither: both are reported as one expectation.
  std::optional<unsigned> word_or_integer(const Node& node, std::string_view what, std::string_view word,
                                          std::uint32_t min, std::uint32_t max);
  template <class E, std::size_t n>
  std::optional<E> choice(const Node& node, std::string_view what, const Word<E> (&words)[n]);

  std::optional<std::uint64_t> memory_bytes(const Node& node, std::string_view what);  // "1G"
  std::optional<unsigned> rate_per_second(const Node& node, std::string_view what);    // "1000/s"
  std::optional<unsigned> seconds(const Node& node, std::string_view what, unsigned min,
                                  unsigned max);                                     // "5s"
  std::optional<std::string> socket_path(const Node& node, std::string_view what);   // "/run/x.sock"
  std::optional<std::string> file_path(const Node& node, std::string_view what);     // "/usr/lib/x.so"
  std::optional<std::string> tcp_endpoint(const Node& node, std::string_view what);  // "127.0.0.1:9473"
  std::optional<std::string> device(const Node& node, std::string_view what);        // PCI address or devargs
  std::optional<std::string> netns_name(const Node& node, std::string_view what);    // as ip-netns(8) has it
  std::optional<std::string> interface_name(const Node& node, std::string_view what);
  std::optional<IpAddress> address(const Node& node, std::string_view what);
  std::optional<AnyPrefix> prefix(const Node& node, std::string_view what);
  std::optional<AnyInterfaceAddress> interface_address(const Node& node, std::string_view what);
  std::optional<MacAddress> mac(const Node& node, std::string_view what);

 private:
  void unknown_key(const Entry& entry, std::string_view what, std::span<const std::string_view> known);
  std::optional<std::size_t> one_of(const Node& node, std::string_view what,
                                    std::span<const std::string_view> words);

  Problems& problems_;
};

template <class T, std::size_t n>
void Reader::fields(const Node& node, std::string_view what, const Field<T> (&table)[n], T& into,
                    Place missing_at) {
  const auto known = keys_of(table);
  if (!is_mapping(node, what, "a mapping of " + joined(known))) return;
  std::array<bool, n> seen{};
  for (const Entry& entry : node.entries) {
    const auto row = static_cast<std::size_t>(std::ranges::find(known, entry.key) - known.begin());
    if (row == n) {
      unknown_key(entry, what, known);
      continue;
    }
    seen[row] = true;
    if (!(entry.value->is_null() && table[row].may_be_empty)) table[row].read(*this, *entry.value, into);
  }
  for (std::size_t row = 0; row < n; ++row) {
    if (table[row].required && !seen[row])
      problem(missing_at, std::string(what) + " has no " + quoted(table[row].key));
  }
}

template <class E, std::size_t n>
std::optional<E> Reader::choice(const Node& node, std::string_view what, const Word<E> (&words)[n]) {
  std::array<std::string_view, n> texts;
  std::ranges::transform(words, texts.begin(), &Word<E>::text);
  const auto index = one_of(node, what, texts);
  return index ? std::optional(words[*index].value) : std::nullopt;
}

}  // namespace millrace::config
