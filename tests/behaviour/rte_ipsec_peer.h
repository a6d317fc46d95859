// The other end of a tunnel, by DPDK's librte_ipsec: numbers, padding, replay and what is around ESP are its
// work, encryption that of DPDK's driver crypto_aesni_mb.
#pragma once

#include <rte_ipsec.h>

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <vector>

#include "esp_peer.h"
#include "net/result.h"

namespace millrace::behaviour {

// An SA of librte_ipsec. It has one direction, and one family inside.
class RteSa {
 public:
  enum class Way : std::uint8_t { seal, open };
  struct Settings {
    Way way = Way::seal;
    Bytes outer{};  // the IP header that goes around, of either family
    bool udp = false;
    bool inner_ipv6 = false;
    std::uint64_t number = 0;  // the first one that it gives out, or the highest that it has seen
  };

  // Fails with what librte_ipsec or the driver says.
  static Result<std::unique_ptr<RteSa>> make(const PeerSa& sa, const Settings& settings);
  ~RteSa();
  RteSa(const RteSa&) = delete;
  RteSa& operator=(const RteSa&) = delete;

  // Makes packets out of those inside, from the outer header on, whose checksum it leaves to a NIC; or those
  // inside out of such. All of them are one burst. What it refuses is left out.
  std::vector<Bytes> work(const std::vector<Bytes>& packets);

 private:
  struct Freed {
    void operator()(rte_ipsec_sa* sa) const { std::free(sa); }
  };
  RteSa() = default;

  std::unique_ptr<rte_ipsec_sa, Freed> sa_;
  rte_ipsec_session session_{};
  std::uint16_t before_esp_ = 0;  // bytes, of packets that come
};

}  // namespace millrace::behaviour
