// Router advertisements (RFC 4861 6.2) on the interfaces that are configured to send them: which routers and
// prefixes hosts have. Control thread only.
//
// Supported: RFC 4861 6.2.3 to 6.2.6 with the default values of 6.2.1; autoconfiguration (RFC 4862) on
// prefixes of 64 bits.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <random>
#include <span>

#include "controlplane/interfaces.h"
#include "controlplane/nd_message.h"

namespace millrace::controlplane {

class RouterAdvertiser {
 public:
  // Sends a message to all nodes on the link; false if there is no address to send it from yet.
  using Send = std::function<bool(const Interface&, std::span<const std::byte> message)>;

  RouterAdvertiser(const Interfaces& interfaces, Send send)
      : interfaces_(interfaces), send_(std::move(send)) {}
  void set_time(std::uint64_t now_ns) { now_ns_ = now_ns; }

  // Begins, goes on with other addresses, or ends, as the interface's configuration and state say. What does
  // not change what is advertised is no news to hosts.
  void sync(const Interface& interface);
  void stop(InterfaceId interface) { entries_.erase(interface); }
  // A host asks. False if nothing is advertised on the interface.
  bool solicited(const Interface& interface);
  void tick();

 private:
  struct Entry {
    NdBytes news;  // what the initial advertisements told, or are telling
    unsigned initial_left = 0;
    std::uint64_t next_ns = 0;
    std::optional<std::uint64_t> last_ns;
  };

  void advertise(const Interface& on, Entry& entry);
  [[nodiscard]] std::uint64_t random_ns(std::uint64_t from, std::uint64_t to);

  const Interfaces& interfaces_;
  Send send_;
  std::uint64_t now_ns_ = 0;
  std::map<InterfaceId, Entry> entries_;
  std::minstd_rand random_{std::random_device{}()};
};

}  // namespace millrace::controlplane
