// What changes between two configurations: the router applies this, people read it.
#pragma once

#include <string>
#include <vector>

#include "config/model.h"

namespace millrace::config {

enum class Action : std::uint8_t { add, remove, change };

// One line of a diff. `what` names the object in the words of the file ("interfaces.wan0.mtu",
// "routes 10.0.0.0/8", "neighbors wan0 192.0.2.254"); `before` and `after` are its values, empty where there
// is none.
struct Change {
  Action action;
  std::string what;
  std::string before;
  std::string after;
  bool needs_restart = false;                   // cannot be applied to a running router
  [[nodiscard]] std::string to_string() const;  // "+ routes 10.0.0.0/8: via 192.0.2.1"
};

template <class Key, class Value>
struct MapDiff {
  std::vector<std::pair<Key, Value>> added;
  std::vector<std::pair<Key, Value>> removed;  // with the old value
  struct Changed {
    Key key;
    Value before;
    Value after;
  };
  std::vector<Changed> changed;
  [[nodiscard]] std::size_t size() const { return added.size() + removed.size() + changed.size(); }
  [[nodiscard]] bool empty() const { return size() == 0; }
};

template <class Address>
using RouteDiff = MapDiff<IpPrefix<Address>, RouteConfig>;

// The typed difference. `control.icmp_error_rate` is the only setting of `dataplane` and `control` that can
// change without a restart; of `feeds` all but which there are and where they listen.
struct Diff {
  MapDiff<std::string, InterfaceConfig> interfaces;
  PerFamily<RouteDiff> routes;
  MapDiff<NeighborKey, MacAddress> neighbors;
  std::vector<Change> restart;  // settings that need a restart
  bool icmp_error_rate_changed = false;
  bool feeds_changed = false;
  [[nodiscard]] bool empty() const;
  [[nodiscard]] std::size_t route_count() const { return routes.ipv4.size() + routes.ipv6.size(); }
};

Diff diff(const Config& before, const Config& after);
// Line by line, in the order of the file's sections; an interface's settings and addresses each have their
// own line.
std::vector<Change> describe(const Config& before, const Config& after);

}  // namespace millrace::config
