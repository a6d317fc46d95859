// Tables of routes as the data folder has them: gzipped text, a line "PREFIX NEXT-HOP". The next hop is a
// number of 1 or more, or an address; addresses get the ids 1, 2, ... in the order in which they first
// appear.
#pragma once

#include <string>
#include <vector>

#include "perf/route.h"

namespace millrace::perf {

// In the file's order. Throws std::runtime_error with file:line on what it cannot read and on a prefix that
// comes twice.
template <class Address>
std::vector<Route<Address>> read_table(const std::string& file);

// By address, then the shorter first.
template <class Address>
void sort_table(std::vector<Route<Address>>& routes);

// What tables with 256-entry levels (DIR-24-8, TRIE: one of 24 bits, then 8 at a time) need to hold the
// routes.
template <class Address>
std::uint32_t groups_needed(const std::vector<Route<Address>>& routes);
// The same if no two prefixes shared a group: what rte_fib6 sets aside for them, whatever it then uses.
template <class Address>
std::uint32_t groups_unshared(const std::vector<Route<Address>>& routes);

}  // namespace millrace::perf
