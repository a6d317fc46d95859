#include "controlplane/tunnels.h"

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <set>
#include <tuple>
#include <utility>

#include "controlplane/esp_quote.h"
#include "controlplane/tunnel_views.h"
#include "net/wire.h"

namespace millrace::controlplane {
namespace {

using config::Secret;
using config::TunnelConfig;

// Reserved at a time, at least: what a worker gives out in half a second. Half of it lasts until the next
// look has asked for more and the one after that has it.
constexpr std::uint64_t kReserve = 1 << 23;

// How often they are looked at: ten thousand tunnels take some milliseconds.
constexpr std::uint64_t kLookNs = 20'000'000;

constexpr std::uint64_t kSpreadNs = 7'368'787;  // between keepalives of one interface's number and the next

constexpr std::uint64_t kPathMtuLife = 600'000'000'000;  // ns: RFC 1191 6.3

// A line of hexadecimal digits, in a file that not everybody may read.
Result<Secret> read_key(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
  if (fd < 0) return Error{path + ": " + strerror(errno)};
  struct stat status {};
  std::array<char, 4 * Secret::kMaxBytes> text{};
  const bool is_private =
      fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && (status.st_mode & S_IRWXO) == 0;
  const ssize_t size = is_private ? read(fd, text.data(), text.size()) : 0;
  close(fd);
  if (!is_private) return Error{path + ": a key's file is a plain one that others may not read (mode 0600)"};
  std::string_view key(text.data(), static_cast<std::size_t>(std::max<ssize_t>(size, 0)));
  while (!key.empty() && (key.back() == '\n' || key.back() == ' ')) key.remove_suffix(1);
  const auto secret = Secret::from_hex(key);
  explicit_bzero(text.data(), text.size());
  if (!secret) return Error{path + ": holds no key: pairs of hexadecimal digits"};
  return *secret;
}

Result<Secret> key_of(const config::SaConfig& sa) {
  return sa.key_file.empty() ? Result<Secret>(sa.key) : read_key(sa.key_file);
}

bool has_same_keys(const TunnelConfig& a, const TunnelConfig& b) {
  return a.algorithm == b.algorithm && a.esn == b.esn;
}

// Whether the SA of before, with the same key, is the one that is wanted.
template <class Sa>
bool is_same(const Sa& before, std::uint32_t spi, const TunnelConfig& config) {
  const esp::Keys& keys = *before.sa->sa.keys;
  return before.spi == spi && keys.algorithm() == config.algorithm && keys.extended_sequence() == config.esn;
}

}  // namespace

KeyDigest Tunnels::digest_of(const Secret& key) const {
  KeyDigest digest;
  std::ranges::copy_n(keys_->digest(key.bytes()).begin(), digest.size(), digest.begin());
  return digest;
}

Result<esp::KeyStore::Owned> Tunnels::expand(const TunnelConfig& config, const Secret& key) {
  const esp::Traits& of = esp::traits(config.algorithm);
  if (auto problem = wrong_size(key, of)) return Error{std::move(*problem)};
  return keys_->expand(config.algorithm, config.esn, esp::KeyMaterial::of(of, key.bytes()));
}

// `before` is what the tunnel was, or null. An SA of the same words is the same: its key is not read again.
Result<void> Tunnels::make_outbound(const Tunnel* before, Tunnel& made) {
  const TunnelConfig& config = made.config;
  if (!config.out) return {};
  if (before != nullptr && has_same_keys(before->config, config) && before->config.out == config.out) {
    made.out = before->out;
    return {};
  }
  const auto secret = key_of(*config.out);
  if (!secret) return Error{"out: " + secret.error()};
  const KeyDigest key = digest_of(*secret);
  if (const auto current = current_out_.find(key);
      current != current_out_.end() && is_same(*current->second, config.out->spi, config)) {
    made.out = *current->second;
    return {};
  }
  auto keys = expand(config, *secret);
  if (!keys) return Error{"out: " + keys.error()};
  const auto mark = marks_.find(key);
  const std::uint64_t last = mark == marks_.end() ? 0 : mark->second;
  esp::SequenceCounter counter(config.esn, last);
  counter.reserve(last);
  made.out = {config.out->spi, key,
              std::make_shared<dataplane::OutboundSa>(
                  dataplane::OutboundSa{{std::move(*keys), config.out->spi, counter}, {}}),
              new_life()};
  return {};
}

Result<void> Tunnels::make_inbound(const Tunnel* before, const config::SaConfig& sa, Tunnel& made) {
  const TunnelConfig& config = made.config;
  if (before != nullptr && has_same_keys(before->config, config) &&
      before->config.replay_window == config.replay_window) {
    const auto at = std::ranges::find(before->config.in, sa);
    if (at != before->config.in.end()) {
      made.in.push_back(before->in[static_cast<std::size_t>(at - before->config.in.begin())]);
      return {};
    }
  }
  const auto secret = key_of(sa);
  if (!secret) return Error{"in: " + secret.error()};
  const KeyDigest key = digest_of(*secret);
  if (const auto current = current_in_.find(key);
      current != current_in_.end() && is_same(*current->second, sa.spi, config)) {
    // A new one would take what the old one took again.
    if (current->second->sa->sa.window.size() != config.replay_window)
      return Error{"replay_window: an SA keeps its window: a new one needs another SPI and key"};
    made.in.push_back(*current->second);
    return {};
  }
  auto keys = expand(config, *secret);
  if (!keys) return Error{"in: " + keys.error()};
  made.in.push_back({sa.spi, key,
                     std::make_shared<dataplane::InboundSa>(dataplane::InboundSa{
                         {std::move(*keys), esp::ReplayWindow(config.replay_window)}, {}}),
                     new_life()});
  return {};
}

Result<Tunnels::Tunnel> Tunnels::make(const std::string& name, const TunnelConfig& config) {
  const auto at = tunnels_.find(name);
  const Tunnel* before = at == tunnels_.end() ? nullptr : &at->second;
  Tunnel made;
  if (before != nullptr) made = *before;
  const auto way_of = [](const TunnelConfig& of) {
    return std::tuple(of.local, of.remote, of.udp, of.mode, of.path_mtu_discovery);
  };
  if (way_of(made.config) != way_of(config)) made.path_mtu.reset();
  made.config = config;
  made.out.reset();
  made.in.clear();
  Result<void> done = make_outbound(before, made);
  for (const config::SaConfig& sa : config.in) {
    if (done) done = make_inbound(before, sa, made);
  }
  if (!done) return Error{"interfaces." + name + ".ipsec." + done.error()};
  return made;
}

void Tunnels::index_current() {
  current_out_.clear();
  current_in_.clear();
  for (const auto& [name, tunnel] : tunnels_) {
    if (tunnel.out) current_out_[tunnel.out->key] = &*tunnel.out;
    for (const Inbound& in : tunnel.in) current_in_[in.key] = &in;
  }
}

Result<void> Tunnels::prepare(const config::Config& next) {
  next_.clear();
  end_saving(true);
  const bool has_tunnels =
      std::ranges::any_of(next.interfaces, [](const auto& named) { return named.second.ipsec.has_value(); });
  if (!has_tunnels) return {};
  if (!keys_) {
    auto keys = esp::KeyStore::make();
    if (!keys) return Error{"ipsec: " + keys.error()};
    auto marks = read_marks(next.ipsec.state);
    if (!marks) return Error{"ipsec.state: " + marks.error()};
    keys_ = std::move(*keys);
    marks_ = std::move(*marks);
    state_file_ = next.ipsec.state;
  }
  index_current();
  ByName made;
  std::set<KeyDigest> used;
  SequenceMarks marks = marks_;
  for (const auto& [name, interface] : next.interfaces) {
    if (!interface.ipsec) continue;
    auto tunnel = make(name, *interface.ipsec);
    if (!tunnel) return Error{tunnel.error()};
    // Of keys in files the configuration's checks know nothing.
    bool is_fresh = !tunnel->out || used.insert(tunnel->out->key).second;
    for (const Inbound& in : tunnel->in) is_fresh &= used.insert(in.key).second;
    if (!is_fresh)
      return Error{"interfaces." + name +
                   ".ipsec: another SA has one of its keys: two senders would use one IV for two packets"};
    if (tunnel->out && tunnel->out->sa->sa.sequence.reserved() == tunnel->out->sa->sa.sequence.last())
      marks[tunnel->out->key] = next_mark(*tunnel);
    made.emplace(name, std::move(*tunnel));
  }
  if (marks != marks_) {
    if (auto saved = write_marks(state_file_, marks); !saved) return Error{"ipsec.state: " + saved.error()};
    marks_ = std::move(marks);
  }
  next_ = std::move(made);
  return {};
}

// The last number that it may give out: numbers end, or the packets that it may protect do.
static std::uint64_t end_of(const Tunnels::Tunnel& tunnel) {
  const esp::OutboundSa& sa = tunnel.out->sa->sa;
  const std::uint64_t end = esp::SequenceCounter::end(sa.keys->extended_sequence());
  return std::max(sa.sequence.last(), std::min(end, tunnel.config.lifetime.hard.packets.value_or(end)));
}

void Tunnels::publish() {
  const bool has_any = !next_.empty() || !tunnels_.empty();
  tunnels_ = std::move(next_);
  next_.clear();
  if (has_any) publish_tunnels();
  publish_policies(Policies::first_ones);
}

void Tunnels::publish_tunnels() {
  if (keys_ && !keys_->locked() && !std::exchange(unlocked_said_, true))
    spdlog::warn("ipsec: the memory of keys may be swapped out: RLIMIT_MEMLOCK is too low");
  const ProtectedBy by_policies = protected_by(interfaces_);
  by_outbound_spi_.clear();
  for (auto& [name, tunnel] : tunnels_) {
    tunnel.selectors = selectors_of(name, tunnel.config, by_policies);
    if (!tunnel.out) continue;
    by_outbound_spi_.emplace(tunnel.out->spi, name);
    grant(tunnel);
  }
  publish_inbound();
  for (auto& [name, tunnel] : tunnels_) {
    Interface* interface = interfaces_.find(name);
    if (interface != nullptr) publish_tunnel(tunnel, *interface);
  }
}

void Tunnels::publish_inbound() {
  std::vector<dataplane::InboundSas::Entry> entries;
  for (const auto& [name, tunnel] : tunnels_) {
    const Interface* interface = interfaces_.find(name);
    if (interface == nullptr) continue;  // there are too many
    for (const Inbound& in : tunnel.in) {
      if (in.life->ended) continue;
      entries.push_back({in.spi, interface->id, static_cast<std::uint8_t>(owner_of(*interface)),
                         flags_of(tunnel.config), tunnel.config.local, in.sa, tunnel.selectors});
    }
  }
  writer_.set_inbound_sas(std::make_unique<dataplane::InboundSas>(std::move(entries), !tunnels_.empty()));
}

void Tunnels::publish_tunnel(const Tunnel& tunnel, Interface& interface) {
  interface.path_mtu.reset();
  if (tunnel.path_mtu) interface.path_mtu = tunnel.path_mtu->inside;
  auto view = std::make_shared<dataplane::Tunnel>(view_of(tunnel.config, owner_of(interface)));
  if (tunnel.path_mtu && tunnel.path_mtu->outer_is_cut) view->df = dataplane::OuterDf::clear;
  if (tunnel.out && !tunnel.out->life->ended) view->send_by(tunnel.out->sa);
  view->selectors = tunnel.selectors;
  interface.tunnel = std::move(view);
  interfaces_.publish(interface);
}

bool Tunnels::publish_policies(Policies which) {
  bool any = false;
  interfaces_.visit([&](Interface& interface) {
    if (which == Policies::first_ones && interface.policies) return;
    if (interface.config.policies.empty() && !interface.policies) return;
    interface.policies = policies_of(interface, interfaces_);
    interfaces_.publish(interface);
    any = true;
  });
  return any;
}

bool Tunnels::wants_more(const Tunnel& tunnel) {
  const esp::SequenceCounter& counter = tunnel.out->sa->sa.sequence;
  const std::uint64_t reserved = counter.reserved();
  return reserved - counter.last() < kReserve / 2 && reserved < end_of(tunnel);
}

// Those of an SA that gives out more between two looks than is reserved otherwise last for as long again.
std::uint64_t Tunnels::next_mark(const Tunnel& tunnel) {
  const esp::SequenceCounter& counter = tunnel.out->sa->sa.sequence;
  const std::uint64_t end = end_of(tunnel), last = counter.last();
  const std::uint64_t left = counter.reserved() - last;
  const std::uint64_t more = left < kReserve / 8 && left != 0 ? 8 * kReserve : kReserve;
  return end - last < more ? end : last + more;
}

void Tunnels::take_over_marks(SequenceMarks marks) {
  marks_ = std::move(marks);
  for (const auto& [name, tunnel] : tunnels_) {
    if (tunnel.out) grant(tunnel);
  }
}

// What the file has reserved of its key, as far as its lifetime goes: that may be a shorter one now.
void Tunnels::grant(const Tunnel& tunnel) {
  const auto mark = marks_.find(tunnel.out->key);
  if (mark != marks_.end()) tunnel.out->sa->sa.sequence.reserve(std::min(mark->second, end_of(tunnel)));
}

// True if none goes on.
bool Tunnels::end_saving(bool wait) {
  if (!saving_.valid()) return true;
  if (!wait && saving_.wait_for(std::chrono::seconds(0)) != std::future_status::ready) return false;
  const Result<void> saved = saving_.get();
  if (saved) take_over_marks(std::move(saving_marks_));
  if (!saved && !std::exchange(save_failed_, true))
    spdlog::error("ipsec.state: {}: tunnels stop when their reserved sequence numbers are used up",
                  saved.error());
  save_failed_ &= !saved;
  return true;
}

void Tunnels::tick() {
  if (tunnels_.empty() || writer_.now_ns() < next_look_ns_) return;
  next_look_ns_ = writer_.now_ns() + kLookNs;
  end_lives();
  forget_path_mtus();
  keep_alive();
  reserve_more();
}

void Tunnels::reserve_more() {
  if (!end_saving(false)) return;
  SequenceMarks marks;
  for (const auto& [name, tunnel] : tunnels_) {
    if (!tunnel.out || !wants_more(tunnel)) continue;
    if (marks.empty()) marks = marks_;
    marks[tunnel.out->key] = next_mark(tunnel);
  }
  if (marks.empty()) return;
  saving_marks_ = marks;
  saving_ = std::async(std::launch::async,
                       [path = state_file_, marks = std::move(marks)] { return write_marks(path, marks); });
}

std::shared_ptr<SaLife> Tunnels::new_life() const {
  return std::make_shared<SaLife>(SaLife{writer_.now_ns(), false, false});
}

// Says what limits the SA has reached. True if it ends now.
bool Tunnels::look_at(const std::string& name, const Tunnel& tunnel, bool outbound, std::uint32_t spi,
                      SaLife& life, const SaUsage& usage) {
  if (life.ended) return false;
  const config::SaLifetime& lifetime = tunnel.config.lifetime;
  const auto tell = [&](SaEvent::Kind kind, const char* limit) {
    spdlog::info("ipsec: the {} SA {:#010x} of {} has reached its {} lifetime: {}",
                 outbound ? "outbound" : "inbound", spi, name, kind == SaEvent::Kind::soft ? "soft" : "hard",
                 limit);
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    events_.add({0, static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::seconds>(now).count()),
                 name, outbound, spi, kind, limit});
  };
  if (const char* limit = reached(lifetime.soft, usage);
      limit != nullptr && !std::exchange(life.soft_said, true))
    tell(SaEvent::Kind::soft, limit);
  const char* limit = reached(lifetime.hard, usage);
  if (limit == nullptr) return false;
  life.ended = true;
  tell(SaEvent::Kind::hard, limit);
  return true;
}

// Of an outbound SA its numbers count, which go on over restarts.
void Tunnels::end_lives() {
  bool inbound_ended = false;
  for (const auto& [name, tunnel] : tunnels_) {
    if (tunnel.config.lifetime == config::SaLifetime{}) continue;
    const auto seconds = [this](const SaLife& life) {
      return (writer_.now_ns() - life.made_ns) / 1'000'000'000;
    };
    for (const Inbound& in : tunnel.in) {
      const dataplane::SaCounters& counters = in.sa->counters;
      const SaUsage usage{counters.packets.get(), counters.bytes.get(), seconds(*in.life)};
      inbound_ended |= look_at(name, tunnel, false, in.spi, *in.life, usage);
    }
    if (!tunnel.out) continue;
    const dataplane::OutboundSa& sa = *tunnel.out->sa;
    const SaUsage usage{sa.sa.sequence.last(), sa.counters.bytes.get(), seconds(*tunnel.out->life)};
    Interface* interface = interfaces_.find(name);
    if (look_at(name, tunnel, true, tunnel.out->spi, *tunnel.out->life, usage) && interface != nullptr)
      publish_tunnel(tunnel, *interface);
  }
  if (inbound_ended) publish_inbound();
}

void Tunnels::too_big(std::span<const std::byte> packet, std::uint32_t mtu) {
  const auto quote = read_esp_quote(packet);
  if (!quote) return;
  const auto [first, end] = by_outbound_spi_.equal_range(quote->spi);
  const auto at = std::find_if(first, end, [&](const auto& found) {
    const TunnelConfig& config = tunnels_.at(found.second).config;
    return config.local == quote->source && config.remote == quote->destination;
  });
  if (at == end) return;
  Tunnel& tunnel = tunnels_.at(at->second);
  Interface* interface = interfaces_.find(at->second);
  if (interface == nullptr || !tunnel.config.path_mtu_discovery) return;
  // No way takes less (RFC 791 3.2, RFC 8200 5), whoever says so.
  constexpr std::uint32_t kLeast4 = 576, kLeast6 = 1280;
  const std::uint32_t least = quote->source.is_ipv6() ? kLeast6 : kLeast4;
  const std::uint32_t way = std::max(mtu == 0 ? next_plateau(quote->length) : mtu, least);
  const std::uint32_t fits = mtu_inside(tunnel.config, way);
  // What speaks IPv6 takes 1280 bytes: outer packets of that are cut up on the way.
  const bool is_cut = interface->config.mtu >= wire::kIpv6MinMtu && fits < wire::kIpv6MinMtu;
  const std::uint32_t inside = is_cut ? wire::kIpv6MinMtu : fits;
  const bool is_cut_already = tunnel.path_mtu && tunnel.path_mtu->outer_is_cut;
  if (inside >= interface->mtu() && (!is_cut || is_cut_already)) return;
  spdlog::info("ipsec: the way of {} takes {} bytes: its mtu is {} for ten minutes", at->second, way, inside);
  tunnel.path_mtu = {inside, is_cut, writer_.now_ns() + kPathMtuLife};
  mtus_changed_ = true;
  publish_tunnel(tunnel, *interface);
}

// RFC 1191 6.3: it may be longer again.
void Tunnels::forget_path_mtus() {
  for (auto& [name, tunnel] : tunnels_) {
    if (!tunnel.path_mtu || tunnel.path_mtu->until_ns > writer_.now_ns()) continue;
    tunnel.path_mtu.reset();
    Interface* interface = interfaces_.find(name);
    if (interface == nullptr) continue;
    publish_tunnel(tunnel, *interface);
    mtus_changed_ = true;
  }
  if (std::exchange(mtus_changed_, false)) hooks_.mtus_changed();
}

// RFC 3948 4: when nothing has left for a while.
void Tunnels::keep_alive() {
  for (auto& [name, tunnel] : tunnels_) {
    if (!tunnel.config.udp || tunnel.config.udp->keepalive_s == 0 || !tunnel.out) continue;
    const std::uint64_t packets = tunnel.out->sa->counters.packets.get(), now = writer_.now_ns();
    const bool has_sent = std::exchange(tunnel.seen_packets, packets) != packets;
    const std::uint64_t period = tunnel.config.udp->keepalive_s * std::uint64_t{1'000'000'000};
    const Interface* interface = interfaces_.find(name);
    if (interface == nullptr) continue;
    // Those of thousands of tunnels do not leave together.
    const std::uint64_t early = interface->id.value() * kSpreadNs % period;
    if (tunnel.kept_alive_ns == 0) tunnel.kept_alive_ns = now > early ? now - early : now;
    if (has_sent) tunnel.kept_alive_ns = now;
    if (now < tunnel.kept_alive_ns + period) continue;
    tunnel.kept_alive_ns = now;
    hooks_.keep_alive(*interface);
  }
}

}  // namespace millrace::controlplane
