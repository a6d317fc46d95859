#include "config/parse_policies.h"

#include <string>
#include <string_view>

#include "config/parse_ipsec.h"
#include "config/words.h"
#include "net/take_number.h"

namespace millrace::config {
namespace {

SelectorDraft& selector_in(SelectorDraft& draft) {
  return draft;
}
SelectorDraft& selector_in(PolicyDraft& draft) {
  return draft.selector;
}

template <class Draft>
void read_local(Reader& in, const Node& node, Draft& draft) {
  if (const auto value = in.prefix(node, "local")) selector_in(draft).local = {*value, node.at};
}

template <class Draft>
void read_remote(Reader& in, const Node& node, Draft& draft) {
  if (const auto value = in.prefix(node, "remote")) selector_in(draft).remote = {*value, node.at};
}

bool is_number(const Node& node) {
  return node.kind == Kind::scalar && node.text.find_first_not_of("0123456789") == std::string::npos;
}

template <class Draft>
void read_protocol(Reader& in, const Node& node, Draft& draft) {
  std::optional<std::uint8_t>& protocol = selector_in(draft).selector.protocol;
  if (!is_number(node)) {
    protocol = in.choice(node, "protocol", kProtocolWords);
  } else if (const auto value = in.integer(node, "protocol", 0, 255)) {
    protocol = static_cast<std::uint8_t>(*value);
  }
}

std::optional<PortRange> port_range(std::string_view text) {
  const auto first = take_number(text, 0xffff);
  auto last = first;
  if (first && text.starts_with('-')) {
    text.remove_prefix(1);
    last = take_number(text, 0xffff);
  }
  if (!first || !last || !text.empty() || *first > *last) return std::nullopt;
  return PortRange{static_cast<std::uint16_t>(*first), static_cast<std::uint16_t>(*last)};
}

void read_ports(Reader& in, const Node& node, std::string_view what, SelectorDraft& selector,
                PortRange& ports) {
  if (!selector.ports_at) selector.ports_at = node.at;
  const auto range = node.kind == Kind::scalar ? port_range(node.text) : std::nullopt;
  if (!range) return in.unexpected(node, what, "a port or a range of them", "such as 443 or 1024-2047");
  ports = *range;
}

template <class Draft>
void read_local_port(Reader& in, const Node& node, Draft& draft) {
  SelectorDraft& selector = selector_in(draft);
  read_ports(in, node, "local_port", selector, selector.selector.local_ports);
}

template <class Draft>
void read_remote_port(Reader& in, const Node& node, Draft& draft) {
  SelectorDraft& selector = selector_in(draft);
  read_ports(in, node, "remote_port", selector, selector.selector.remote_ports);
}

void read_action(Reader& in, const Node& node, PolicyDraft& policy) {
  if (const auto value = in.choice(node, "action", kPolicyActionWords)) policy.action = {*value, node.at};
}

void read_tunnel_name(Reader& in, const Node& node, PolicyDraft& policy) {
  if (auto value = in.interface_name(node, "tunnel")) policy.tunnel = {std::move(*value), node.at};
}

constexpr Field<SelectorDraft> kSelectorFields[] = {{"local", read_local},
                                                    {"remote", read_remote},
                                                    {"protocol", read_protocol},
                                                    {"local_port", read_local_port},
                                                    {"remote_port", read_remote_port}};

constexpr Field<PolicyDraft> kPolicyFields[] = {
    {"action", read_action, true},    {"tunnel", read_tunnel_name}, {"local", read_local},
    {"remote", read_remote},          {"protocol", read_protocol},  {"local_port", read_local_port},
    {"remote_port", read_remote_port}};

}  // namespace

void read_selectors(Reader& in, const Node& node, TunnelDraft& tunnel) {
  if (!in.is_sequence(node, "selectors", "a list of selectors")) return;
  if (node.items.size() > kMaxSelectors)
    in.problem(node.items[kMaxSelectors]->at,
               "a tunnel has at most " + std::to_string(kMaxSelectors) + " selectors");
  for (const Node* item : node.items) {
    in.fields(*item, "a selector", kSelectorFields, tunnel.selectors.emplace_back(), item->at);
  }
}

void read_policies(Reader& in, const Node& node, InterfaceDraft& interface) {
  interface.policies_at = node.at;
  if (!in.is_sequence(node, "policies", "a list of policies")) return;
  if (node.items.size() > kMaxPolicies)
    in.problem(node.items[kMaxPolicies]->at,
               "an interface has at most " + std::to_string(kMaxPolicies) + " policies");
  for (const Node* item : node.items) {
    in.fields(*item, "a policy", kPolicyFields, interface.policies.emplace_back(), item->at);
  }
}

Selector finished(const SelectorDraft& draft) {
  Selector selector = draft.selector;
  if (draft.local) selector.local = draft.local->value;
  if (draft.remote) selector.remote = draft.remote->value;
  return selector;
}

PolicyConfig finished(const PolicyDraft& draft) {
  return {finished(draft.selector), draft.action->value, draft.tunnel ? draft.tunnel->value : std::string()};
}

std::vector<KnownKeys> known_policy_keys() {
  return {known("interfaces.*.ipsec.selectors[]", kSelectorFields),
          known("interfaces.*.policies[]", kPolicyFields)};
}

}  // namespace millrace::config
