// Duplicate address detection (RFC 4862 5.4): an own IPv6 address is tentative for a second after it is there
// or its link is up, and not used nor answered for if somebody else has it. Control thread only.
//
//              a second passes
//   tentative ----------------> preferred
//        | somebody else has it, or wants it
//        v
//     duplicate       until the link comes up again or the address is configured anew
//
// One that a daemon lent is preferred at once.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <utility>

#include "controlplane/interfaces.h"

namespace millrace::controlplane {

class Dad {
 public:
  enum class State : std::uint8_t { tentative, preferred, duplicate };
  // Each sends a message: no more between two ticks than kMessagesPerTick, however many addresses there are.
  struct Hooks {
    std::function<void(const Interface&, Ipv6Address)> probe;  // is anybody else there?
    std::function<void(const Interface&, Ipv6Address)> unique;
  };
  static constexpr unsigned kMessagesPerTick = 64;

  explicit Dad(const Interfaces& interfaces) : interfaces_(interfaces) {}
  void set_hooks(Hooks hooks) { hooks_ = std::move(hooks); }
  void set_time(std::uint64_t now_ns) { now_ns_ = now_ns; }

  // Begins with the addresses that are new on an interface that is up, and forgets those that are gone.
  void sync(const Interface& interface);
  void stop(InterfaceId interface);
  // Somebody else says that the tentative address is theirs.
  void conflict(const Interface& interface, Ipv6Address address);
  void tick();

  // Of an own address; tentative, too, while its link is down.
  [[nodiscard]] State state(InterfaceId interface, Ipv6Address address) const;
  // Whether packets that came by `ingress` to the own address may be answered: that of an interface whose
  // link is down may.
  [[nodiscard]] bool may_answer(Ipv6Address own, InterfaceId ingress) const;

 private:
  struct Entry {
    State state = State::tentative;
    bool probed = false;
    std::uint64_t deadline_ns = 0;  // set at the tick that finds it probed
  };
  using Entries = std::map<std::pair<Ipv6Address, InterfaceId>, Entry>;

  void begin(const Interface& interface, Ipv6Address address);
  void probe(const Interface& interface, Ipv6Address address, Entry& entry);

  const Interfaces& interfaces_;
  Hooks hooks_;
  std::uint64_t now_ns_ = 0;
  unsigned messages_left_ = kMessagesPerTick;
  Entries entries_;
};

}  // namespace millrace::controlplane
