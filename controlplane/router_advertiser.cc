#include "controlplane/router_advertiser.h"

#include <algorithm>
#include <utility>

namespace millrace::controlplane {
namespace {

constexpr std::uint64_t kSecond = 1'000'000'000;

// RFC 4861 6.2.1: MinRtrAdvInterval, MaxRtrAdvInterval and what follows from them by default.
constexpr std::uint64_t kMinIntervalNs = 200 * kSecond;
constexpr std::uint64_t kMaxIntervalNs = 600 * kSecond;
constexpr std::uint16_t kLifetimeS = 1800;
constexpr std::uint32_t kValidS = 2'592'000;
constexpr std::uint32_t kPreferredS = 604'800;
constexpr std::uint8_t kHopLimit = 64;

// RFC 4861 10
constexpr unsigned kInitial = 3;
constexpr std::uint64_t kInitialIntervalNs = 16 * kSecond;
constexpr std::uint64_t kSolicitedDelayNs = kSecond / 2;
constexpr std::uint64_t kMinDelayNs = 3 * kSecond;  // between two to all nodes

void add_prefixes(const Interface& on, NdBytes& message) {
  for (const auto& own : on.config.addresses.ipv6) {
    if (own.length == Ipv6Address::kBits) continue;
    const bool autonomous = own.length == 64;  // RFC 4862 5.5.3 (d): else hosts cannot make an address of it
    message.add(wire::NdPrefixOption{
        wire::kNdPrefix, sizeof(wire::NdPrefixOption) / 8, static_cast<std::uint8_t>(own.length),
        static_cast<std::uint8_t>(wire::kNdOnLink | (autonomous ? wire::kNdAutonomous : 0)), Be32(kValidS),
        Be32(kPreferredS), Be32(0), own.subnet().address().bytes()});
  }
}

NdBytes advertisement(const Interface& on, std::uint16_t lifetime_s) {
  NdBytes message;
  message.add(wire::NdRouterAdvert{wire::kNdRouterAdvertisement, 0, Be16(0), kHopLimit, 0, Be16(lifetime_s),
                                   Be32(0), Be32(0)});
  message.add(wire::NdLinkOption{wire::kNdSourceLink, sizeof(wire::NdLinkOption) / 8, on.mac});
  message.add(wire::NdMtuOption{wire::kNdMtu, sizeof(wire::NdMtuOption) / 8, Be16(0), Be32(on.config.mtu)});
  add_prefixes(on, message);
  return message;
}

}  // namespace

std::uint64_t RouterAdvertiser::random_ns(std::uint64_t from, std::uint64_t to) {
  return std::uniform_int_distribution<std::uint64_t>(from, to)(random_);
}

void RouterAdvertiser::sync(const Interface& interface) {
  const auto at = entries_.find(interface.id);
  const bool wanted = interface.up && interface.config.router_advertisements;
  if (wanted) {
    Entry& entry = entries_[interface.id];
    NdBytes news = advertisement(interface, kLifetimeS);
    if (news == entry.news) return;
    entry.news = std::move(news);
    entry.initial_left = kInitial;  // other prefixes are news as well
    entry.next_ns = std::max(now_ns_, entry.last_ns.value_or(0) + (entry.last_ns ? kMinDelayNs : 0));
  } else if (at != entries_.end()) {
    if (interface.up) send_(interface, advertisement(interface, 0).bytes());  // RFC 4861 6.2.5
    entries_.erase(at);
  }
}

// RFC 4861 6.2.6: to all nodes, a moment later, and not too often.
bool RouterAdvertiser::solicited(const Interface& interface) {
  const auto at = entries_.find(interface.id);
  if (at == entries_.end()) return false;
  Entry& entry = at->second;
  const std::uint64_t soon = now_ns_ + random_ns(0, kSolicitedDelayNs);
  const std::uint64_t earliest = entry.last_ns ? *entry.last_ns + kMinDelayNs : 0;
  entry.next_ns = std::min(entry.next_ns, std::max(soon, earliest));
  return true;
}

void RouterAdvertiser::advertise(const Interface& on, Entry& entry) {
  if (!send_(on, advertisement(on, kLifetimeS).bytes())) return;  // at one of the next ticks
  entry.last_ns = now_ns_;
  entry.next_ns = now_ns_ + random_ns(kMinIntervalNs, kMaxIntervalNs);
  if (entry.initial_left == 0 || --entry.initial_left == 0) return;
  entry.next_ns = std::min(entry.next_ns, now_ns_ + kInitialIntervalNs);
}

void RouterAdvertiser::tick() {
  for (auto& [id, entry] : entries_) {
    const Interface* on = entry.next_ns > now_ns_ ? nullptr : interfaces_.find(id);
    if (on != nullptr) advertise(*on, entry);
  }
}

}  // namespace millrace::controlplane
