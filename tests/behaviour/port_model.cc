#include "port_model.h"

#include <rte_ethdev.h>
#include <rte_mbuf_ptype.h>

#include <stdexcept>

#include "dataplane/rss.h"
#include "lab.h"
#include "tests/packets/packet6.h"

// Of DPDK's ethdev_driver.h, which is for drivers and not packaged.
extern "C" {
struct rte_eth_dev;
rte_eth_dev* rte_eth_dev_allocated(const char* name);
int rte_eth_dev_callback_process(rte_eth_dev* dev, rte_eth_event_type event, void* more);
}

namespace millrace::behaviour {
namespace {

constexpr std::uint8_t kTcpOrUdp[] = {kTcp, kUdp};
constexpr std::uint8_t kTunnels[] = {4, 41, 47};

bool is_in(std::uint8_t protocol, std::span<const std::uint8_t> set) {
  return std::ranges::find(set, protocol) != set.end();
}

class Nic {
 public:
  explicit Nic(rte_mbuf* m) : m_(*m), frame_(bytes_of(m)) {}

  void mark() {
    m_.ol_flags |= RTE_MBUF_F_RX_IP_CKSUM_GOOD;  // no error was seen
    m_.packet_type = RTE_PTYPE_L2_ETHER;
    set_hash(0x2545f491U * ++marked_);  // of something
    if (frame_.size() < kEthernet) return;
    const std::uint16_t type = get16(frame_, 12);
    // It knows tags, but does not look behind them.
    if (type == 0x8100 || type == 0x88a8) m_.packet_type = RTE_PTYPE_L3_IPV4 | RTE_PTYPE_L4_UDP;
    if (type == 0x0800 && frame_.size() >= kEthernet + 20) mark_ipv4();
    if (type == 0x86dd && frame_.size() >= kEthernet + 40) mark_ipv6();
  }

 private:
  void mark_ipv4() {
    const std::size_t header = (frame_[kEthernet] & 0xfU) * 4;
    if (frame_[kEthernet] >> 4 != 4 || header < 20 || frame_.size() < kEthernet + header) return;
    const std::uint8_t protocol = frame_[kEthernet + 9];
    const bool is_tunnel = is_in(protocol, kTunnels);
    m_.packet_type = header == 20 ? RTE_PTYPE_L3_IPV4 : RTE_PTYPE_L3_IPV4_EXT_UNKNOWN;
    if (is_tunnel) m_.packet_type |= RTE_PTYPE_TUNNEL_IP;
    if (!is_tunnel && naive_checksum(slice(frame_, kEthernet, header)) != 0) {
      m_.ol_flags &= ~RTE_MBUF_F_RX_IP_CKSUM_GOOD;
      m_.ol_flags |= RTE_MBUF_F_RX_IP_CKSUM_BAD;
    }
    const bool follows = (get16(frame_, kEthernet + 6) & 0x1fff) != 0;
    if (!follows) mark_ports(protocol, kEthernet + 12, 8, kEthernet + header);
  }
  void mark_ipv6() {
    if (frame_[kEthernet] >> 4 != 6) return;
    m_.packet_type = RTE_PTYPE_L3_IPV6_EXT_UNKNOWN;
    mark_ports(frame_[kEthernet + 6], kEthernet + 8, 32, kEthernet + 40);
  }
  void mark_ports(std::uint8_t protocol, std::size_t addresses, std::size_t length, std::size_t ports) {
    if (!is_in(protocol, kTcpOrUdp) || frame_.size() < ports + 8) return;
    m_.packet_type |= protocol == kTcp ? RTE_PTYPE_L4_TCP : RTE_PTYPE_L4_UDP;
    const Bytes hashed = join(slice(frame_, addresses, length), slice(frame_, ports, 4));
    const bool is_ipv4_fragment = length == 8 && (get16(frame_, kEthernet + 6) & 0x3fff) != 0;
    if (!is_ipv4_fragment)
      set_hash(
          toeplitz(dataplane::rss_key(false, dataplane::kRssKeyBytes).data(), hashed.data(), hashed.size()));
  }
  void set_hash(std::uint32_t hash) {
    m_.ol_flags |= RTE_MBUF_F_RX_RSS_HASH;
    m_.hash.rss = hash;
  }

  static inline std::uint32_t marked_ = 0;
  rte_mbuf& m_;
  const Bytes frame_;
};

}  // namespace

void mark_as_a_nic(rte_mbuf* m) {
  Nic(m).mark();
}

// For each bit of the data that is set: the 32 bits of the key that begin at its place.
std::uint32_t toeplitz(const std::uint8_t* key, const std::uint8_t* data, std::size_t bytes) {
  const auto bit = [](const std::uint8_t* of, std::size_t at) { return of[at / 8] >> (7 - at % 8) & 1U; };
  std::uint32_t hash = 0;
  for (std::size_t at = 0; at < bytes * 8; ++at) {
    if (bit(data, at) == 0) continue;
    std::uint32_t window = 0;
    for (std::size_t k = 0; k < 32; ++k) window = window << 1 | bit(key, at + k);
    hash ^= window;
  }
  return hash;
}

void make_it_tell(const std::string& device) {
  std::uint16_t id = 0;
  rte_eth_dev_info info{};
  if (rte_eth_dev_get_port_by_name(device.c_str(), &id) != 0 || rte_eth_dev_info_get(id, &info) != 0)
    throw std::runtime_error("no device " + device);
  *const_cast<std::uint32_t*>(info.dev_flags) |= RTE_ETH_DEV_INTR_LSC;
}

void tell_of_link(const std::string& device) {
  rte_eth_dev_callback_process(rte_eth_dev_allocated(device.c_str()), RTE_ETH_EVENT_INTR_LSC, nullptr);
}

}  // namespace millrace::behaviour
