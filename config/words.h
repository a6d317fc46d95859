// The words of the file for enumerators: the parser reads them, a diff prints them.
#pragma once

#include <cstddef>
#include <string_view>

#include "config/model.h"
#include "net/wire.h"

namespace millrace::config {

template <class E>
struct Word {
  std::string_view text;
  E value;
};

inline constexpr Word<Hugepages> kHugepagesWords[] = {{"auto", Hugepages::automatic},
                                                      {"1G", Hugepages::size_1g},
                                                      {"2M", Hugepages::size_2m},
                                                      {"none", Hugepages::none}};
inline constexpr Word<Idle> kIdleWords[] = {{"adaptive", Idle::adaptive}, {"poll", Idle::poll}};
inline constexpr Word<Rss> kRssWords[] = {{"standard", Rss::standard}, {"symmetric", Rss::symmetric}};
inline constexpr Word<Urpf> kUrpfWords[] = {
    {"off", Urpf::off}, {"loose", Urpf::loose}, {"strict", Urpf::strict}};
inline constexpr Word<IpOptions> kIpOptionsWords[] = {{"drop", IpOptions::drop},
                                                      {"ignore", IpOptions::ignore}};
inline constexpr Word<OuterDf> kOuterDfWords[] = {
    {"copy", OuterDf::copy}, {"set", OuterDf::set}, {"clear", OuterDf::clear}};
inline constexpr Word<IpsecMode> kIpsecModeWords[] = {{"tunnel", IpsecMode::tunnel},
                                                      {"transport", IpsecMode::transport}};
inline constexpr Word<PolicyAction> kPolicyActionWords[] = {
    {"protect", PolicyAction::protect}, {"bypass", PolicyAction::bypass}, {"discard", PolicyAction::discard}};
// Others are written as numbers.
inline constexpr Word<std::uint8_t> kProtocolWords[] = {{"icmp", wire::kProtocolIcmp},
                                                        {"tcp", wire::kProtocolTcp},
                                                        {"udp", wire::kProtocolUdp},
                                                        {"icmpv6", wire::kProtocolIcmpv6},
                                                        {"sctp", wire::kProtocolSctp}};
inline constexpr Word<bool> kBoolWords[] = {{"true", true}, {"false", false}};
// The type that introduces the outer tag of a VLAN's frames.
inline constexpr Word<std::uint16_t> kVlanTypeWords[] = {{"dot1q", wire::kEtherTypeVlan},
                                                         {"dot1ad", wire::kEtherTypeQinQ}};
// A unicast route is one with `via`: it has no word.
inline constexpr Word<RouteType> kRouteTypeWords[] = {{"blackhole", RouteType::blackhole},
                                                      {"unreachable", RouteType::unreachable},
                                                      {"prohibit", RouteType::prohibit}};

template <class E, std::size_t n>
constexpr std::string_view word_of(const Word<E> (&words)[n], E value) {
  for (const Word<E>& word : words) {
    if (word.value == value) return word.text;
  }
  return {};
}

}  // namespace millrace::config
