// Which packets a tunnel or a policy is for, and what happens to those that pass an interface (RFC
// 4301 4.4.1).
#pragma once

#include <vector>

#include "config/draft.h"
#include "config/parse.h"
#include "config/reader.h"

namespace millrace::config {

// A tunnel's, a list.
void read_selectors(Reader& in, const Node& node, TunnelDraft& tunnel);
// An interface's, a list.
void read_policies(Reader& in, const Node& node, InterfaceDraft& interface);

// What a file said that has no problems.
Selector finished(const SelectorDraft& draft);
PolicyConfig finished(const PolicyDraft& draft);

std::vector<KnownKeys> known_policy_keys();

}  // namespace millrace::config
