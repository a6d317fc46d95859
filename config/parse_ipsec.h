// The settings of IPsec: a part of parse.cc.
#pragma once

#include <string>
#include <vector>

#include "config/draft.h"
#include "config/parse.h"
#include "config/reader.h"

namespace millrace::config {

// A tunnel's, of its interface.
void read_tunnel(Reader& in, const Node& node, InterfaceDraft& interface);
// What concerns all tunnels.
void read_ipsec(Reader& in, const Node& node, Draft& draft);
// What a file said of a tunnel that has no problems.
TunnelConfig finished(TunnelDraft& draft);

std::vector<KnownKeys> known_ipsec_keys();

template <class T, std::size_t n>
KnownKeys known(std::string path, const Field<T> (&table)[n]) {
  KnownKeys result{std::move(path), {}, {}};
  for (const Field<T>& field : table) {
    result.keys.emplace_back(field.key);
    if (field.required) result.required.emplace_back(field.key);
  }
  return result;
}

}  // namespace millrace::config
