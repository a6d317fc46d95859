#include "config/parse_ipsec.h"

#include <optional>
#include <utility>

#include "config/parse_policies.h"
#include "config/words.h"
#include "esp/packet.h"

namespace millrace::config {
namespace {

void read_local(Reader& in, const Node& node, TunnelDraft& tunnel) {
  if (const auto value = in.address(node, "local")) tunnel.local = {*value, node.at};
}

void read_remote(Reader& in, const Node& node, TunnelDraft& tunnel) {
  if (const auto value = in.address(node, "remote")) tunnel.remote = {*value, node.at};
}

constexpr Word<esp::Algorithm> kAlgorithmWords[] = {
#define ESP_ALGORITHM(id, name, ...) {name, esp::Algorithm::id},
#include "esp/algorithm.def"
#undef ESP_ALGORITHM
};

std::optional<esp::Algorithm> algorithm_of(Reader& in, const Node& node, std::string_view what) {
  return in.choice(node, what, kAlgorithmWords);
}

void read_algorithm(Reader& in, const Node& node, TunnelDraft& tunnel) {
  tunnel.algorithm_at = node.at;
  const auto value = algorithm_of(in, node, "algorithm");
  tunnel.algorithm_is_unknown = !value;
  if (value) tunnel.config.algorithm = *value;
}

void read_esn(Reader& in, const Node& node, TunnelDraft& tunnel) {
  if (const auto value = in.choice(node, "esn", kBoolWords)) tunnel.config.esn = *value;
}

void read_replay_window(Reader& in, const Node& node, TunnelDraft& tunnel) {
  if (const auto value = in.integer(node, "replay_window", 64, 8192)) tunnel.config.replay_window = *value;
}

void read_dscp(Reader& in, const Node& node, TunnelDraft& tunnel) {
  tunnel.dscp_at = node.at;
  tunnel.config.dscp = in.word_or_integer(node, "dscp", "copy", 0, 63);
}

void read_df(Reader& in, const Node& node, TunnelDraft& tunnel) {
  if (const auto value = in.choice(node, "df", kOuterDfWords)) tunnel.config.df = *value;
}

void read_mode(Reader& in, const Node& node, TunnelDraft& tunnel) {
  if (const auto value = in.choice(node, "mode", kIpsecModeWords)) tunnel.config.mode = *value;
}

void read_path_mtu_discovery(Reader& in, const Node& node, TunnelDraft& tunnel) {
  if (const auto value = in.choice(node, "path_mtu_discovery", kBoolWords))
    tunnel.config.path_mtu_discovery = *value;
}

void read_hop_limit(Reader& in, const Node& node, TunnelDraft& tunnel) {
  tunnel.hop_limit_at = node.at;
  if (const auto value = in.integer(node, "hop_limit", 1, 254)) tunnel.config.hop_limit = *value;
}

void read_remote_port(Reader& in, const Node& node, EspInUdp& udp) {
  if (const auto value = in.integer(node, "remote_port", 1, 65535))
    udp.remote_port = static_cast<std::uint16_t>(*value);
}

void read_keepalive(Reader& in, const Node& node, EspInUdp& udp) {
  if (const auto value = in.seconds(node, "keepalive", 0, 3600)) udp.keepalive_s = *value;
}

constexpr Field<EspInUdp> kUdpFields[] = {{"remote_port", read_remote_port}, {"keepalive", read_keepalive}};

// A switch, or how.
void read_udp(Reader& in, const Node& node, TunnelDraft& tunnel) {
  if (node.kind == Kind::mapping) {
    tunnel.udp_at = node.at;
    in.fields(node, "udp", kUdpFields, tunnel.config.udp.emplace(), node.at);
  } else if (in.choice(node, "udp", kBoolWords).value_or(false)) {
    tunnel.udp_at = node.at;
    tunnel.config.udp.emplace();
  }
}

void read_packets(Reader& in, const Node& node, LimitsDraft& limits) {
  limits.packets_at = node.at;
  limits.limits.packets = in.count(node, "packets");
}

void read_bytes(Reader& in, const Node& node, LimitsDraft& limits) {
  limits.bytes_at = node.at;
  limits.limits.bytes = in.count(node, "bytes");
}

void read_time(Reader& in, const Node& node, LimitsDraft& limits) {
  constexpr unsigned kTenYears = 10 * 366 * 86400;
  limits.time_at = node.at;
  limits.limits.seconds = in.seconds(node, "time", 1, kTenYears);
}

constexpr Field<LimitsDraft> kLimitFields[] = {
    {"packets", read_packets}, {"bytes", read_bytes}, {"time", read_time}};

void read_soft(Reader& in, const Node& node, TunnelDraft& tunnel) {
  in.fields(node, "soft", kLimitFields, tunnel.soft, node.at);
}

void read_hard(Reader& in, const Node& node, TunnelDraft& tunnel) {
  in.fields(node, "hard", kLimitFields, tunnel.hard, node.at);
}

constexpr Field<TunnelDraft> kLifetimeFields[] = {{"soft", read_soft}, {"hard", read_hard}};

void read_lifetime(Reader& in, const Node& node, TunnelDraft& tunnel) {
  in.fields(node, "lifetime", kLifetimeFields, tunnel, node.at);
}

// SPIs are mostly written in hexadecimal digits.
void read_spi(Reader& in, const Node& node, SaDraft& sa) {
  sa.spi_at = node.at;
  const bool hex = node.kind == Kind::scalar && node.plain && node.text.starts_with("0x");
  const auto digits = std::string_view(node.text).substr(hex ? 2 : 0);
  if (hex && digits.size() <= 8 &&
      digits.find_first_not_of("0123456789abcdefABCDEF") == std::string_view::npos && !digits.empty()) {
    const auto spi = static_cast<std::uint32_t>(std::stoul(std::string(digits), nullptr, 16));
    if (spi > 255) {
      sa.config.spi = spi;
      return;
    }
    return in.unexpected(node, "spi", "at least 256: those below are reserved");
  }
  if (const auto value = in.integer(node, "spi", 256, 0xffffffff)) sa.config.spi = *value;
}

// The message does not show what it is about.
void read_key(Reader& in, const Node& node, SaDraft& sa) {
  sa.key_at = node.at;
  const auto value = node.kind == Kind::scalar ? Secret::from_hex(node.text) : std::nullopt;
  if (value)
    sa.config.key = *value;
  else
    in.problem(node.at,
               "a key must be pairs of hexadecimal digits, at most " + std::to_string(Secret::kMaxBytes));
}

void read_key_file(Reader& in, const Node& node, SaDraft& sa) {
  sa.key_file_at = node.at;
  if (auto value = in.file_path(node, "key_file")) sa.config.key_file = std::move(*value);
}

constexpr Field<SaDraft> kSaFields[] = {
    {"spi", read_spi, true}, {"key", read_key}, {"key_file", read_key_file}};

SaDraft sa_of(Reader& in, const Node& node) {
  SaDraft sa{.at = node.at, .spi_at = {}, .key_at = {}, .key_file_at = {}, .config = {}};
  in.fields(node, "an SA", kSaFields, sa, node.at);
  return sa;
}

void read_out(Reader& in, const Node& node, TunnelDraft& tunnel) {
  tunnel.out = sa_of(in, node);
}

// One, or a list of them.
void read_in(Reader& in, const Node& node, TunnelDraft& tunnel) {
  if (node.kind != Kind::sequence) return tunnel.in.push_back(sa_of(in, node));
  if (node.items.size() > kMaxInboundSas)
    in.problem(node.items[kMaxInboundSas]->at,
               "a tunnel has at most " + std::to_string(kMaxInboundSas) + " inbound SAs");
  for (const Node* item : node.items) tunnel.in.push_back(sa_of(in, *item));
}

constexpr Field<TunnelDraft> kTunnelFields[] = {{"mode", read_mode},
                                                {"local", read_local, true},
                                                {"remote", read_remote, true},
                                                {"algorithm", read_algorithm},
                                                {"out", read_out},
                                                {"in", read_in},
                                                {"selectors", read_selectors},
                                                {"esn", read_esn},
                                                {"replay_window", read_replay_window},
                                                {"udp", read_udp},
                                                {"lifetime", read_lifetime},
                                                {"path_mtu_discovery", read_path_mtu_discovery},
                                                {"dscp", read_dscp},
                                                {"df", read_df},
                                                {"hop_limit", read_hop_limit}};

void read_state(Reader& in, const Node& node, IpsecConfig& ipsec) {
  if (auto value = in.file_path(node, "state")) ipsec.state = std::move(*value);
}

void read_allow(Reader& in, const Node& node, IpsecConfig& ipsec) {
  if (!in.is_sequence(node, "allow", "a list of algorithms")) return;
  for (const Node* item : node.items) {
    if (const auto value = algorithm_of(in, *item, "an algorithm")) ipsec.allow.push_back(*value);
  }
}

constexpr Field<IpsecConfig> kIpsecFields[] = {{"state", read_state}, {"allow", read_allow}};

// As much as fits into 1500 bytes with all that is around it.
unsigned default_mtu(const TunnelDraft& draft) {
  constexpr std::uint32_t kOuterMtu = 1500;
  const bool outer_ipv6 = draft.local && draft.local->value.is_ipv6();
  return esp::inside_room(esp::traits(draft.config.algorithm), kOuterMtu, outer_ipv6,
                          draft.config.udp.has_value(), draft.config.is_transport());
}

}  // namespace

void read_tunnel(Reader& in, const Node& node, InterfaceDraft& interface) {
  TunnelDraft& tunnel = interface.ipsec.emplace();
  tunnel.at = node.at;
  in.fields(node, "ipsec", kTunnelFields, tunnel, node.at);
  if (!interface.mtu_at) interface.config.mtu = default_mtu(tunnel);
}

void read_ipsec(Reader& in, const Node& node, Draft& draft) {
  in.fields(node, "ipsec", kIpsecFields, draft.ipsec, node.at);
}

TunnelConfig finished(TunnelDraft& draft) {
  TunnelConfig config = std::move(draft.config);
  config.local = draft.local->value;
  config.remote = draft.remote->value;
  config.lifetime = {draft.soft.limits, draft.hard.limits};
  if (draft.out) config.out = std::move(draft.out->config);
  for (SaDraft& sa : draft.in) config.in.push_back(std::move(sa.config));
  for (const SelectorDraft& selector : draft.selectors) config.selectors.push_back(finished(selector));
  return config;
}

std::vector<KnownKeys> known_ipsec_keys() {
  return {known("interfaces.*.ipsec", kTunnelFields),
          known("interfaces.*.ipsec.out", kSaFields),
          known("interfaces.*.ipsec.in[]", kSaFields),
          known("interfaces.*.ipsec.udp", kUdpFields),
          known("interfaces.*.ipsec.lifetime", kLifetimeFields),
          known("interfaces.*.ipsec.lifetime.soft", kLimitFields),
          known("interfaces.*.ipsec.lifetime.hard", kLimitFields),
          known("ipsec", kIpsecFields)};
}

}  // namespace millrace::config
