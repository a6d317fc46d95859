// What no route can be, wherever it comes from: a configuration, the API or a feed.
#pragma once

#include <string>

#include "config/model.h"

namespace millrace::config {

// Why nothing can be routed to the prefix, or empty.
std::string prefix_error(const AnyPrefix& prefix);
// Why packets to the prefix cannot take this way, or empty.
std::string next_hop_error(const AnyPrefix& prefix, const NextHop& hop);

}  // namespace millrace::config
