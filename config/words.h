// The words of the file for enumerators: the parser reads them, a diff prints them.
#pragma once

#include <cstddef>
#include <string_view>

#include "config/model.h"

namespace millrace::config {

template <class E>
struct Word {
  std::string_view text;
  E value;
};

inline constexpr Word<Hugepages> kHugepagesWords[] = {{"auto", Hugepages::automatic},
                                                      {"1G", Hugepages::size_1g},
                                                      {"2M", Hugepages::size_2m},
                                                      {"none", Hugepages::none}};
inline constexpr Word<Idle> kIdleWords[] = {{"adaptive", Idle::adaptive}, {"poll", Idle::poll}};
// A unicast route is one with `via`: it has no word.
inline constexpr Word<RouteType> kRouteTypeWords[] = {{"blackhole", RouteType::blackhole},
                                                      {"unreachable", RouteType::unreachable},
                                                      {"prohibit", RouteType::prohibit}};

template <class E, std::size_t n>
constexpr std::string_view word_of(const Word<E> (&words)[n], E value) {
  for (const Word<E>& word : words) {
    if (word.value == value) return word.text;
  }
  return {};
}

}  // namespace millrace::config
