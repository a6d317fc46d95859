// GET: the tunnels of IPsec and their security associations. No key is shown.
#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <string>

#include "controlplane/api.h"

namespace millrace::controlplane {
namespace {

using nlohmann::json;

std::uint64_t refused(const dataplane::SaCounters& counters, esp::Verdict verdict) {
  return counters.refused[static_cast<std::size_t>(verdict)].get();
}

// `sequence` is the last number: given out, or seen.
json common_json(const char* direction, std::uint32_t spi, const dataplane::SaCounters& counters,
                 std::uint64_t sequence, const SaLife& life) {
  return {{"direction", direction},
          {"spi", spi},
          {"packets", counters.packets.get()},
          {"bytes", counters.bytes.get()},
          {"sequence", sequence},
          {"unselected", counters.unselected.get()},
          {"state", life.ended ? "ended" : "active"}};
}

json outbound_json(const Tunnels::Outbound& out) {
  const dataplane::OutboundSa& sa = *out.sa;
  json object = common_json("out", out.spi, sa.counters, sa.sa.sequence.last(), *out.life);
  object["reserved"] = sa.sa.sequence.reserved();
  object["exhausted"] = refused(sa.counters, esp::Verdict::exhausted);
  return object;
}

json inbound_json(const Tunnels::Inbound& in) {
  const dataplane::InboundSa& sa = *in.sa;
  json object = common_json("in", in.spi, sa.counters, sa.sa.window.highest(), *in.life);
  object["runt"] = refused(sa.counters, esp::Verdict::runt);
  object["replayed"] = refused(sa.counters, esp::Verdict::replayed);
  object["late"] = refused(sa.counters, esp::Verdict::late);
  object["forged"] = refused(sa.counters, esp::Verdict::forged);
  object["malformed"] = refused(sa.counters, esp::Verdict::malformed);
  return object;
}

json tunnel_json(const std::string& interface, const Tunnels::Tunnel& tunnel, unsigned mtu) {
  const config::TunnelConfig& config = tunnel.config;
  json sas = json::array();
  if (tunnel.out) sas.push_back(outbound_json(*tunnel.out));
  for (const Tunnels::Inbound& in : tunnel.in) sas.push_back(inbound_json(in));
  return {{"interface", interface},
          {"mode", config.is_transport() ? "transport" : "tunnel"},
          {"local", config.local.to_string()},
          {"remote", config.remote.to_string()},
          {"algorithm", esp::traits(config.algorithm).name},
          {"esn", config.esn},
          {"replay_window", config.replay_window},
          {"udp", config.udp.has_value()},
          {"mtu", mtu},
          {"sas", std::move(sas)}};
}

json event_json(const SaEvent& event) {
  return {{"number", event.number},
          {"time", event.time},
          {"interface", event.interface},
          {"direction", event.outbound ? "out" : "in"},
          {"spi", event.spi},
          {"lifetime", event.kind == SaEvent::Kind::soft ? "soft" : "hard"},
          {"limit", event.limit}};
}

}  // namespace

// In slices: there may be many thousand.
ApiResponse Api::get_ipsec(const ApiRequest&, const Query&) {
  json list = json::array();
  std::string last;
  for (bool more = true; more;) {
    more = false;
    on_control_([&](Control& c) {
      const Tunnels::ByName& all = c.tunnels().all();
      std::size_t taken = 0;
      for (auto at = all.upper_bound(last); at != all.end(); ++at) {
        if (taken++ == kSlice) {
          more = true;
          return;
        }
        last = at->first;
        const Interface* interface = c.interfaces().find(at->first);
        list.push_back(tunnel_json(at->first, at->second, interface == nullptr ? 0 : interface->mtu()));
      }
    });
  }
  return ok({{"tunnels", std::move(list)}});
}

// A slice of them: who wants all asks again after the last one.
ApiResponse Api::get_ipsec_events(const ApiRequest&, const Query& query) {
  std::uint64_t after = 0;
  if (const auto given = query.find("after"); given != query.end()) {
    const std::string& text = given->second;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), after);
    if (error != std::errc{} || end != text.data() + text.size())
      return problem(400, "Bad Request", "after: not the number of an event");
  }
  json list = json::array();
  std::uint64_t last = 0, kept_from = 0;
  on_control_([&](Control& c) {
    const SaEvents& events = c.tunnels().events();
    last = events.last();
    kept_from = last - events.all().size() + 1;
    const std::uint64_t skipped = after < kept_from ? 0 : after - kept_from + 1;
    for (std::size_t i = skipped; i < events.all().size() && list.size() < kSlice; ++i)
      list.push_back(event_json(events.all()[i]));
  });
  return ok({{"events", std::move(list)}, {"last", last}, {"kept_from", kept_from}});
}

}  // namespace millrace::controlplane
