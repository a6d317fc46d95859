// GET: the tunnels of IPsec and their security associations. No key is shown.
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
                 std::uint64_t sequence) {
  return {{"direction", direction},
          {"spi", spi},
          {"packets", counters.packets.get()},
          {"bytes", counters.bytes.get()},
          {"sequence", sequence}};
}

json outbound_json(const Tunnels::Outbound& out) {
  const dataplane::OutboundSa& sa = *out.sa;
  json object = common_json("out", out.spi, sa.counters, sa.sa.sequence.last());
  object["reserved"] = sa.sa.sequence.reserved();
  object["exhausted"] = refused(sa.counters, esp::Verdict::exhausted);
  return object;
}

json inbound_json(const Tunnels::Inbound& in) {
  const dataplane::InboundSa& sa = *in.sa;
  json object = common_json("in", in.spi, sa.counters, sa.sa.window.highest());
  object["runt"] = refused(sa.counters, esp::Verdict::runt);
  object["replayed"] = refused(sa.counters, esp::Verdict::replayed);
  object["late"] = refused(sa.counters, esp::Verdict::late);
  object["forged"] = refused(sa.counters, esp::Verdict::forged);
  object["malformed"] = refused(sa.counters, esp::Verdict::malformed);
  return object;
}

json tunnel_json(const std::string& interface, const Tunnels::Tunnel& tunnel) {
  const config::TunnelConfig& config = tunnel.config;
  json sas = json::array();
  if (tunnel.out) sas.push_back(outbound_json(*tunnel.out));
  for (const Tunnels::Inbound& in : tunnel.in) sas.push_back(inbound_json(in));
  return {{"interface", interface},
          {"local", config.local.to_string()},
          {"remote", config.remote.to_string()},
          {"algorithm", esp::traits(config.algorithm).name},
          {"esn", config.esn},
          {"replay_window", config.replay_window},
          {"udp", config.udp},
          {"sas", std::move(sas)}};
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
        list.push_back(tunnel_json(at->first, at->second));
      }
    });
  }
  return ok({{"tunnels", std::move(list)}});
}

}  // namespace millrace::controlplane
