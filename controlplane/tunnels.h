// IPsec's tunnels: from what the configuration says to what workers read (dataplane/tunnel.h). Control thread
// only; a file is written beside it.
//
// An SA whose key, SPI and algorithm stay keeps its state, whatever else changes: its sequence numbers go on,
// and its replay window stays.
#pragma once

#include <cstdint>
#include <future>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "config/model.h"
#include "controlplane/interfaces.h"
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
  };
  struct Inbound {
    std::uint32_t spi = 0;
    KeyDigest key{};
    std::shared_ptr<dataplane::InboundSa> sa;
  };
  struct Tunnel {
    config::TunnelConfig config;
    std::optional<Outbound> out;
    std::vector<Inbound> in;
  };
  using ByName = std::map<std::string, Tunnel>;  // by interface

  // `keys` is filled with the first tunnel; it outlives the tables, which hold keys of it.
  Tunnels(dataplane::TableWriter& writer, std::unique_ptr<esp::KeyStore>& keys, unsigned workers)
      : writer_(writer), keys_(keys), workers_(workers) {}

  // Makes what is new of `next`, beside what there is: keys are read, sequence numbers reserved. Fails with
  // nothing changed.
  Result<void> prepare(const config::Config& next);
  // Makes it what there is. Inbound SAs come before outbound ones; interfaces whose tunnel is another get
  // it, and are published.
  void publish(Interfaces& interfaces);
  // Reserves more numbers for SAs that need some soon.
  void tick();

  [[nodiscard]] const ByName& all() const { return tunnels_; }

 private:
  Result<Tunnel> make(const std::string& name, const config::TunnelConfig& config);
  Result<void> make_outbound(const Tunnel* before, Tunnel& made);
  Result<void> make_inbound(const Tunnel* before, const config::SaConfig& sa, Tunnel& made);
  Result<esp::KeyStore::Owned> expand(const config::TunnelConfig& config, const config::Secret& key);
  [[nodiscard]] KeyDigest digest_of(const config::Secret& key) const;
  void index_current();
  [[nodiscard]] bool wants_more(const Outbound& out) const;
  [[nodiscard]] std::uint64_t next_mark(const Outbound& out) const;
  bool end_saving(bool wait);
  void take_over_marks(SequenceMarks marks);

  dataplane::TableWriter& writer_;
  std::unique_ptr<esp::KeyStore>& keys_;
  unsigned workers_;
  std::string state_file_;
  ByName tunnels_, next_;
  std::map<KeyDigest, const Outbound*> current_out_;  // of tunnels_, while next_ is made
  std::map<KeyDigest, const Inbound*> current_in_;
  SequenceMarks marks_;  // that the file has
  SequenceMarks saving_marks_;
  std::future<Result<void>> saving_;
  bool save_failed_ = false;    // and the log says so
  bool unlocked_said_ = false;  // by the log
};

}  // namespace millrace::controlplane
