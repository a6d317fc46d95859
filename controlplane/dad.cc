#include "controlplane/dad.h"

#include <spdlog/spdlog.h>

namespace millrace::controlplane {
namespace {

constexpr std::uint64_t kWaitNs = 1'000'000'000;  // RFC 4861 10: RetransTimer, behind the only probe

}  // namespace

void Dad::probe(const Interface& interface, Ipv6Address address, Entry& entry) {
  if (messages_left_ == 0) return;  // too many at once: at one of the next ticks
  --messages_left_;
  entry.probed = true;
  hooks_.probe(interface, address);
}

void Dad::begin(const Interface& interface, Ipv6Address address) {
  const auto [at, is_new] = entries_.try_emplace({address, interface.id});
  if (!is_new) return;
  // Whoever lent it has asked, or takes it over from another who still has it.
  if (interface.find_lent(address) != nullptr) {
    at->second.state = State::preferred;
  } else {
    probe(interface, address, at->second);
  }
}

void Dad::sync(const Interface& interface) {
  if (!interface.up) return stop(interface.id);
  std::erase_if(entries_, [&](const auto& entry) {
    return entry.first.second == interface.id && !interface.has_address(entry.first.first);
  });
  const auto link_local = interface.link_local();
  if (!link_local) return;
  begin(interface, *link_local);
  for (const auto& own : interface.config.addresses.ipv6) begin(interface, own.address);
}

void Dad::stop(InterfaceId interface) {
  std::erase_if(entries_, [&](const auto& entry) { return entry.first.second == interface; });
}

void Dad::conflict(const Interface& interface, Ipv6Address address) {
  const auto at = entries_.find({address, interface.id});
  if (at == entries_.end() || at->second.state != State::tentative) return;
  at->second.state = State::duplicate;
  spdlog::error("interface {}: {} is in use by somebody else on the link, and is not used here",
                interface.name, address.to_string());
}

void Dad::tick() {
  messages_left_ = kMessagesPerTick;
  for (auto& [key, entry] : entries_) {
    if (messages_left_ == 0) return;
    if (entry.state != State::tentative) continue;
    const Interface* on = interfaces_.find(key.second);
    if (on == nullptr) continue;
    if (!entry.probed) probe(*on, key.first, entry);
    if (entry.deadline_ns == 0) entry.deadline_ns = now_ns_ + kWaitNs;
    if (entry.deadline_ns > now_ns_) continue;
    --messages_left_;
    entry.state = State::preferred;
    hooks_.unique(*on, key.first);
  }
}

Dad::State Dad::state(InterfaceId interface, Ipv6Address address) const {
  const auto at = entries_.find({address, interface});
  return at == entries_.end() ? State::tentative : at->second.state;
}

bool Dad::may_answer(Ipv6Address own, InterfaceId ingress) const {
  for (auto at = entries_.lower_bound({own, InterfaceId(0)}); at != entries_.end(); ++at) {
    const auto& [address, interface] = at->first;
    if (address != own) break;
    const bool concerns = !own.is_link_local() || interface == ingress;
    if (concerns && at->second.state != State::preferred) return false;
  }
  return true;
}

}  // namespace millrace::controlplane
