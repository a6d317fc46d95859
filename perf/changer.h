// Changes a subject's table and remembers what it holds, so that the oracle can follow and all can be undone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <span>
#include <vector>

#include "perf/oracle.h"
#include "perf/route.h"
#include "perf/subject.h"

namespace millrace::perf {

template <class Address>
class Changer {
 public:
  // `routes` are what `subject` holds. Both outlive the changer.
  Changer(Subject<Address>& subject, std::span<const Route<Address>> routes, std::uint64_t seed)
      : subject_(subject), routes_(routes), random_(seed), ids_(routes.size()) {
    for (std::size_t i = 0; i < routes.size(); ++i) ids_[i] = routes[i].id;
  }

  // One change of the subject; kNoRoute takes the prefix out. False: the subject refused.
  bool set(std::size_t index, std::uint32_t id) {
    ids_[index] = id;
    Route<Address> route = routes_[index];
    route.id = id;
    return id == kNoRoute ? subject_.erase(route) : subject_.insert(route);
  }

  // One step of churn on prefixes drawn from the table: two of four steps change a next hop, one takes a
  // prefix out, one puts the prefix back that is out for the longest time.
  bool step() {
    switch (steps_++ % 4) {
      case 0:
      case 2:
        return change(present());
      case 1: {
        const std::size_t index = present();
        out_.push_back(index);
        return set(index, kNoRoute);
      }
      default: {
        const std::size_t index = out_.front();
        out_.pop_front();
        return set(index, routes_[index].id);
      }
    }
  }

  // Another next hop of the table.
  bool change(std::size_t index) {
    const std::uint32_t other = routes_[random_.below(routes_.size())].id;
    return set(index, other != ids_[index] ? other : routes_[index].id);
  }

  void teach(Oracle<Address>& oracle) const {
    for (std::size_t i = 0; i < routes_.size(); ++i) {
      if (ids_[i] != routes_[i].id) oracle.set(routes_[i], ids_[i]);
    }
  }
  // Makes the subject hold `routes` again.
  bool restore() {
    out_.clear();
    bool good = true;
    for (std::size_t i = 0; i < routes_.size(); ++i) {
      if (ids_[i] != routes_[i].id) good = set(i, routes_[i].id) && good;
    }
    subject_.maintain();
    return good;
  }

 private:
  std::size_t present() {
    while (true) {
      const std::size_t index = random_.below(routes_.size());
      if (ids_[index] != kNoRoute) return index;
    }
  }

  Subject<Address>& subject_;
  std::span<const Route<Address>> routes_;
  Random random_;
  std::vector<std::uint32_t> ids_;  // what the subject holds now
  std::deque<std::size_t> out_;
  std::uint64_t steps_ = 0;
};

}  // namespace millrace::perf
