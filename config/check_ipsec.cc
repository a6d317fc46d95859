// What is wrong with tunnels beside single values.
#include <algorithm>
#include <map>
#include <string>

#include "config/draft.h"
#include "config/names.h"

namespace millrace::config {
namespace {

// RFC 8221: what does not encrypt, and HMAC-SHA1.
bool is_weak(const esp::Traits& of) {
  return of.cipher == esp::Cipher::null || of.cipher == esp::Cipher::gmac ||
         of.integrity == esp::Integrity::hmac_sha1;
}

std::string parts_of(const esp::Traits& of) {
  std::string text;
  const auto add = [&text](unsigned bytes, const char* what) {
    if (bytes != 0) text += (text.empty() ? "" : ", ") + std::to_string(bytes) + " of the " + what;
  };
  add(of.cipher_key, "cipher");
  add(of.salt(), "salt");
  add(of.integrity_key, "integrity algorithm");
  return text;
}

void check_selector(const SelectorDraft& draft, Problems& problems) {
  if (draft.local && draft.remote && draft.local->value.index() != draft.remote->value.index())
    problems.add(draft.remote->at, "'local' and 'remote' are both of IPv4 or both of IPv6");
  const auto protocol = draft.selector.protocol;
  if (draft.ports_at && (!protocol || !wire::has_ports(*protocol)))
    problems.add(*draft.ports_at, "ports need a protocol that has them: tcp, udp or sctp");
}

void check_policy(const PolicyDraft& policy, const Draft& draft, const Names& names, Problems& problems) {
  check_selector(policy.selector, problems);
  if (!policy.action) return;
  const bool protects = policy.action->value == PolicyAction::protect;
  if (protects && !policy.tunnel)
    problems.add(policy.action->at, "who protects needs a 'tunnel': an interface with 'ipsec'");
  if (!policy.tunnel) return;
  if (!protects) return problems.add(policy.tunnel->at, "only 'action: protect' has a tunnel");
  const InterfaceDraft* tunnel = names.find(policy.tunnel->value);
  if (tunnel == nullptr && !draft.interfaces_are_unknown)
    problems.add(policy.tunnel->at, "there is no interface " + quoted(policy.tunnel->value),
                 names.hint(policy.tunnel->value));
  if (tunnel != nullptr && !tunnel->ipsec && !tunnel->is_unknown)
    problems.add(policy.tunnel->at, "interface " + quoted(tunnel->name) + " is no tunnel: it has no 'ipsec'");
}

class Tunnels {
 public:
  Tunnels(const Draft& draft, Problems& problems) : draft_(draft), problems_(problems) {}

  void check(const TunnelDraft& tunnel) {
    check_ends(tunnel);
    check_mode(tunnel);
    check_lifetime(tunnel);
    for (const SelectorDraft& selector : tunnel.selectors) check_selector(selector, problems_);
    if (tunnel.algorithm_is_unknown) return;
    check_algorithm(tunnel);
    if (tunnel.out) check_sa(*tunnel.out, tunnel);
    for (const SaDraft& sa : tunnel.in) {
      check_sa(sa, tunnel);
      if (sa.config.spi == 0) continue;
      const auto [first, is_new] = spis_.emplace(sa.config.spi, *sa.spi_at);
      if (!is_new)
        problems_.add(*sa.spi_at, "an inbound SA has this SPI already", "see " + line_of(first->second));
    }
  }

 private:
  void check_ends(const TunnelDraft& tunnel) {
    if (!tunnel.local || !tunnel.remote) return;
    const IpAddress local = tunnel.local->value, remote = tunnel.remote->value;
    const Place remote_at = tunnel.remote->at;
    for (const auto& end : {*tunnel.local, *tunnel.remote}) {
      const bool is_host = end.value.visit([]<class Address>(Address address) {
        if constexpr (std::is_same_v<Address, Ipv6Address>)
          return !address.is_unspecified() && !address.is_multicast() && !address.is_loopback();
        else
          return !address.is_this_network() && !address.is_multicast() && !address.is_class_e() &&
                 !address.is_loopback();
      });
      if (!is_host) problems_.add(end.at, end.value.to_string() + " is no host's address");
    }
    if (local.is_ipv6() != remote.is_ipv6())
      problems_.add(remote_at, "the ends of a tunnel are both of IPv4 or both of IPv6");
    else if (local == remote)
      problems_.add(remote_at, "the remote end of a tunnel is not its local one");
  }

  void check_mode(const TunnelDraft& tunnel) {
    if (!tunnel.config.is_transport()) return;
    if (tunnel.udp_at)
      problems_.add(*tunnel.udp_at, "there is no transport mode in UDP",
                    "NAT changes addresses that the checksums inside are about");
    const auto refuse = [&](const std::optional<Place>& at, const char* what) {
      if (at) problems_.add(*at, std::string("in transport mode there is no ") + what + ": the header stays");
    };
    refuse(tunnel.dscp_at, "'dscp'");
    refuse(tunnel.hop_limit_at, "'hop_limit'");
  }

  void check_lifetime(const TunnelDraft& tunnel) {
    const auto check_one = [&](const auto& soft, const auto& hard, const std::optional<Place>& soft_at) {
      if (soft && hard && *soft > *hard) problems_.add(*soft_at, "a soft limit is at most the hard one");
    };
    const SaLimits &soft = tunnel.soft.limits, &hard = tunnel.hard.limits;
    check_one(soft.packets, hard.packets, tunnel.soft.packets_at);
    check_one(soft.bytes, hard.bytes, tunnel.soft.bytes_at);
    check_one(soft.seconds, hard.seconds, tunnel.soft.time_at);
  }

  void check_algorithm(const TunnelDraft& tunnel) {
    const esp::Algorithm algorithm = tunnel.config.algorithm;
    const esp::Traits& of = esp::traits(algorithm);
    if (!is_weak(of) || std::ranges::find(draft_.ipsec.allow, algorithm) != draft_.ipsec.allow.end()) return;
    const std::string name(of.name);
    problems_.add(tunnel.algorithm_at.value_or(tunnel.at),
                  name + (of.integrity == esp::Integrity::hmac_sha1 && of.cipher != esp::Cipher::null
                              ? " is weak"
                              : " does not encrypt"),
                  "'ipsec: {allow: [" + name + "]}' allows it all the same");
  }

  void check_sa(const SaDraft& sa, const TunnelDraft& tunnel) {
    if (!sa.key_at && !sa.key_file_at) return problems_.add(sa.at, "an SA has no 'key' or 'key_file'");
    if (sa.key_at && sa.key_file_at)
      return problems_.add(std::max(*sa.key_at, *sa.key_file_at), "an SA has one of 'key' and 'key_file'");
    const auto key = sa.config.key.bytes();
    if (key.empty()) return;  // could not be read, or is in a file
    const esp::Traits& of = esp::traits(tunnel.config.algorithm);
    if (auto problem = wrong_size(sa.config.key, of))
      return problems_.add(*sa.key_at, std::move(*problem), parts_of(of));
    const auto [first, is_new] = keys_.emplace(sa.config.key, *sa.key_at);
    if (!is_new)
      problems_.add(*sa.key_at, "another SA has this key: two senders would use one IV for two packets",
                    "see " + line_of(first->second));
  }

  const Draft& draft_;
  Problems& problems_;
  std::map<std::uint32_t, Place> spis_;  // of inbound SAs
  std::map<Secret, Place> keys_;
};

}  // namespace

void check_ipsec(const Draft& draft, Problems& problems) {
  Tunnels tunnels(draft, problems);
  const Names names(draft);
  for (const InterfaceDraft& interface : draft.interfaces) {
    if (interface.ipsec) tunnels.check(*interface.ipsec);
    if (interface.policies_at && (interface.loopback_at || interface.ipsec))
      problems.add(*interface.policies_at, "only an interface with a link has policies");
    for (const PolicyDraft& policy : interface.policies) check_policy(policy, draft, names, problems);
  }
}

}  // namespace millrace::config
