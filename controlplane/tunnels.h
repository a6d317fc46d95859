// IPsec's tunnels: from what the configuration says to what workers read (dataplane/tunnel.h). Control thread
// only; a file is written beside it.
//
// An SA whose key, SPI and algorithm stay keeps its state, whatever else changes: its sequence numbers go on,
// and its replay window stays.
#pragma once

#include <cstdint>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "config/model.h"
#include "controlplane/interfaces.h"
#include "controlplane/sa_lifetime.h"
#include "controlplane/sequence_marks.h"
#include "dataplane/table_writer.h"
#include "dataplane/tunnel.h"
#include "esp/keys.h"
#include "net/result.h"

namespace millrace::controlplane {

class Tunnels {
 public:
  struct Outbound {
    std::uint32_t spi = 0;
    KeyDigest key{};
    std::shared_ptr<dataplane::OutboundSa> sa;
    std::shared_ptr<SaLife> life;
  };
  struct Inbound {
    std::uint32_t spi = 0;
    KeyDigest key{};
    std::shared_ptr<dataplane::InboundSa> sa;
    std::shared_ptr<SaLife> life;
  };
  // What was learnt of the way.
  struct PathMtu {
    unsigned inside = 0;        // of packets in the tunnel
    bool outer_is_cut = false;  // the way takes less than what is inside has to
    std::uint64_t until_ns = 0;
  };
  struct Tunnel {
    config::TunnelConfig config;
    std::optional<Outbound> out;
    std::vector<Inbound> in;
    std::shared_ptr<const dataplane::Selectors> selectors;  // made of the configuration, and of policies
    std::optional<PathMtu> path_mtu;
    std::uint64_t kept_alive_ns = 0;  // when something left last, as far as was looked
    std::uint64_t seen_packets = 0;   // then
  };
  using ByName = std::map<std::string, Tunnel>;  // by interface

  struct Hooks {
    std::function<void(const Interface&)> keep_alive;  // sends a keepalive to the other end
    std::function<void()> mtus_changed;
  };

  // `keys` is filled with the first tunnel; it outlives the tables, which hold keys of it.
  Tunnels(dataplane::TableWriter& writer, Interfaces& interfaces, std::unique_ptr<esp::KeyStore>& keys,
          unsigned workers)
      : writer_(writer), interfaces_(interfaces), keys_(keys), workers_(workers) {}
  void set_hooks(Hooks hooks) { hooks_ = std::move(hooks); }

  // Makes what is new of `next`, beside what there is: keys are read, sequence numbers reserved. Fails with
  // nothing changed.
  Result<void> prepare(const config::Config& next);
  // Makes it what there is. Inbound SAs come before outbound ones; interfaces with tunnels get them, and
  // those with policies that have none yet, and are published.
  void publish();
  // Policies of interfaces: `first_ones` of those that have none yet. Others are there until the routes are
  // those that the new ones are for: what was protected does not leave in the clear meanwhile.
  enum class Policies : std::uint8_t { first_ones, all };
  bool publish_policies(Policies which);  // true if there were any
  // Reserves more numbers for SAs that need some soon; ends SAs whose time has come; forgets what paths took
  // once; keeps NAT's mappings.
  void tick();
  // A packet of ours, whose beginning it gets, was too long for a way that takes `mtu`, or does not say (0):
  // if it is a tunnel's, what goes into that is shorter for ten minutes (RFC 4301 8.2, RFC 1191 6.3).
  void too_big(std::span<const std::byte> packet, std::uint32_t mtu);

  [[nodiscard]] const ByName& all() const { return tunnels_; }
  [[nodiscard]] const SaEvents& events() const { return events_; }

 private:
  Result<Tunnel> make(const std::string& name, const config::TunnelConfig& config);
  Result<void> make_outbound(const Tunnel* before, Tunnel& made);
  Result<void> make_inbound(const Tunnel* before, const config::SaConfig& sa, Tunnel& made);
  Result<esp::KeyStore::Owned> expand(const config::TunnelConfig& config, const config::Secret& key);
  [[nodiscard]] KeyDigest digest_of(const config::Secret& key) const;
  void index_current();
  void publish_tunnels();
  void publish_inbound();
  void publish_tunnel(const Tunnel& tunnel, Interface& interface);
  [[nodiscard]] unsigned owner_of(const Interface& interface) const {
    return interface.id.value() % workers_;
  }
  bool look_at(const std::string& name, const Tunnel& tunnel, bool outbound, std::uint32_t spi, SaLife& life,
               const SaUsage& usage);
  void end_lives();
  void forget_path_mtus();
  void keep_alive();
  void reserve_more();
  [[nodiscard]] std::shared_ptr<SaLife> new_life() const;
  [[nodiscard]] static bool wants_more(const Tunnel& tunnel);
  [[nodiscard]] static std::uint64_t next_mark(const Tunnel& tunnel);
  bool end_saving(bool wait);
  void take_over_marks(SequenceMarks marks);
  void grant(const Tunnel& tunnel);

  dataplane::TableWriter& writer_;
  Interfaces& interfaces_;
  std::unique_ptr<esp::KeyStore>& keys_;
  unsigned workers_;
  Hooks hooks_;
  std::string state_file_;
  ByName tunnels_, next_;
  std::map<KeyDigest, const Outbound*> current_out_;  // of tunnels_, while next_ is made
  std::map<KeyDigest, const Inbound*> current_in_;
  SequenceMarks marks_;  // that the file has
  SequenceMarks saving_marks_;
  std::future<Result<void>> saving_;
  std::multimap<std::uint32_t, std::string> by_outbound_spi_;  // names
  SaEvents events_;
  bool mtus_changed_ = false;  // and the hook has not heard of it
  std::uint64_t next_look_ns_ = 0;
  bool save_failed_ = false;    // and the log says so
  bool unlocked_said_ = false;  // by the log
};

}  // namespace millrace::controlplane
