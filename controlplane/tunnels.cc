#include "controlplane/tunnels.h"

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <set>
#include <utility>

namespace millrace::controlplane {
namespace {

using config::Secret;
using config::TunnelConfig;

// Reserved at a time, at least: what a worker gives out in a tenth of a second.
constexpr std::uint64_t kReserve = 1 << 20;

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

dataplane::OuterDf df_of(config::OuterDf df) {
  switch (df) {
    case config::OuterDf::copy:
      break;
    case config::OuterDf::set:
      return dataplane::OuterDf::set;
    case config::OuterDf::clear:
      return dataplane::OuterDf::clear;
  }
  return dataplane::OuterDf::copy;
}

std::shared_ptr<const dataplane::Tunnel> published(const Tunnels::Tunnel& tunnel, unsigned owner) {
  const TunnelConfig& config = tunnel.config;
  auto view = std::make_shared<dataplane::Tunnel>();
  view->owner = owner;
  view->local = config.local;
  view->remote = config.remote;
  view->udp = config.udp;
  view->hop_limit = static_cast<std::uint8_t>(config.hop_limit);
  if (config.dscp) view->dscp = static_cast<std::uint8_t>(*config.dscp);
  view->df = df_of(config.df);
  if (tunnel.out) view->out = tunnel.out->sa;
  return view;
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
                  dataplane::OutboundSa{{std::move(*keys), config.out->spi, counter}, {}})};
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
                         {std::move(*keys), esp::ReplayWindow(config.replay_window)}, {}})});
  return {};
}

Result<Tunnels::Tunnel> Tunnels::make(const std::string& name, const TunnelConfig& config) {
  Tunnel made{config, {}, {}};
  const auto at = tunnels_.find(name);
  const Tunnel* before = at == tunnels_.end() ? nullptr : &at->second;
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
      marks[tunnel->out->key] = next_mark(*tunnel->out);
    made.emplace(name, std::move(*tunnel));
  }
  if (marks != marks_) {
    if (auto saved = write_marks(state_file_, marks); !saved) return Error{"ipsec.state: " + saved.error()};
    for (const auto& [name, tunnel] : made) {
      if (tunnel.out) tunnel.out->sa->sa.sequence.reserve(marks.at(tunnel.out->key));
    }
    marks_ = std::move(marks);
  }
  next_ = std::move(made);
  return {};
}

void Tunnels::publish(Interfaces& interfaces) {
  if (next_.empty() && tunnels_.empty()) return;
  tunnels_ = std::move(next_);
  next_.clear();
  if (keys_ && !keys_->locked() && !std::exchange(unlocked_said_, true))
    spdlog::warn("ipsec: the memory of keys may be swapped out: RLIMIT_MEMLOCK is too low");
  std::vector<dataplane::InboundSas::Entry> entries;
  std::vector<std::pair<Interface*, std::shared_ptr<const dataplane::Tunnel>>> views;
  for (const auto& [name, tunnel] : tunnels_) {
    Interface* interface = interfaces.find(name);
    if (interface == nullptr) continue;  // there are too many
    const unsigned owner = interface->id.value() % workers_;
    for (const Inbound& in : tunnel.in)
      entries.push_back({in.spi, interface->id, owner, tunnel.config.local, tunnel.config.udp, in.sa});
    views.emplace_back(interface, published(tunnel, owner));
  }
  writer_.set_inbound_sas(std::make_unique<dataplane::InboundSas>(std::move(entries)));
  for (auto& [interface, view] : views) {
    interface->tunnel = std::move(view);
    interfaces.publish(*interface);
  }
}

bool Tunnels::wants_more(const Outbound& out) const {
  const esp::SequenceCounter& counter = out.sa->sa.sequence;
  const std::uint64_t reserved = counter.reserved();
  return reserved - counter.last() < kReserve / 2 &&
         reserved != esp::SequenceCounter::end(out.sa->sa.keys->extended_sequence());
}

// Those of an SA that gives out more between two looks than is reserved otherwise last for as long again.
std::uint64_t Tunnels::next_mark(const Outbound& out) const {
  const esp::SequenceCounter& counter = out.sa->sa.sequence;
  const std::uint64_t end = esp::SequenceCounter::end(out.sa->sa.keys->extended_sequence());
  const std::uint64_t last = counter.last();
  const std::uint64_t left = counter.reserved() - last;
  const std::uint64_t more = left < kReserve / 8 && left != 0 ? 8 * kReserve : kReserve;
  return end - last < more ? end : last + more;
}

void Tunnels::take_over_marks(SequenceMarks marks) {
  marks_ = std::move(marks);
  for (const auto& [name, tunnel] : tunnels_) {
    if (!tunnel.out) continue;
    if (const auto mark = marks_.find(tunnel.out->key); mark != marks_.end())
      tunnel.out->sa->sa.sequence.reserve(mark->second);
  }
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
  if (!end_saving(false)) return;
  SequenceMarks marks;
  for (const auto& [name, tunnel] : tunnels_) {
    if (!tunnel.out || !wants_more(*tunnel.out)) continue;
    if (marks.empty()) marks = marks_;
    marks[tunnel.out->key] = next_mark(*tunnel.out);
  }
  if (marks.empty()) return;
  saving_marks_ = marks;
  saving_ = std::async(std::launch::async,
                       [path = state_file_, marks = std::move(marks)] { return write_marks(path, marks); });
}

}  // namespace millrace::controlplane
