// Puts datagrams to us together again from their fragments (RFC 791 3.2, RFC 8200 4.5), both families alike.
// Control thread only.
//
// Bounded in datagrams, in buffers and in time: what is too much goes, the oldest first. Fragments that
// overlap end their datagram, and all that still comes of it (RFC 5722). Fragments hold buffers of the port
// that they came by (dataplane/packet.h: kMaxReassemblyBuffers).
#pragma once

#include <rte_mbuf.h>

#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <optional>
#include <vector>

#include "dataplane/packet.h"
#include "net/ip_address.h"

namespace millrace::controlplane {

struct ReassemblyLimits {
  std::size_t datagrams = 64;
  std::size_t buffers = dataplane::kMaxReassemblyBuffers;
  std::size_t fragments = 128;                 // of one datagram
  std::uint64_t timeout4_ns = 30'000'000'000;  // RFC 791 3.2: from 15 s on
  std::uint64_t timeout6_ns = 60'000'000'000;  // RFC 8200 4.5
};

class Reassembly {
 public:
  struct Key {
    IpAddress source;
    IpAddress destination;
    std::uint32_t identification = 0;
    std::uint8_t protocol = 0;  // of IPv4; in IPv6 it is no part of the key
    friend auto operator<=>(const Key&, const Key&) = default;
  };
  // Ends a fragment's way. Of each datagram one at most is to be `answered`: the first fragment.
  using Drop = std::function<void(rte_mbuf*, dataplane::DropReason, bool answered)>;

  explicit Reassembly(ReassemblyLimits limits = {}) : limits_(limits) {}
  ~Reassembly();
  Reassembly(const Reassembly&) = delete;
  Reassembly& operator=(const Reassembly&) = delete;
  void set_drop(Drop drop) { drop_ = std::move(drop); }
  void set_time(std::uint64_t now_ns) { now_ns_ = now_ns; }

  // A validated packet of IPv4 (Ethernet and IP header in the first segment) that is a fragment. Takes the
  // buffer; gives the whole datagram once this was its last missing piece.
  rte_mbuf* add_ipv4(rte_mbuf* m);
  // A packet of IPv6 whose fragment header lies `at` bytes behind the Ethernet header, named by the byte at
  // `named_at`.
  rte_mbuf* add_ipv6(rte_mbuf* m, std::uint16_t at, std::uint16_t named_at);
  void tick();

  [[nodiscard]] std::size_t datagrams() const { return order_.size(); }
  [[nodiscard]] std::size_t buffers() const { return buffers_; }

 private:
  struct Part {
    std::uint32_t offset;
    std::uint32_t length;
    std::uint32_t header;    // bytes before the payload
    std::uint16_t named_at;  // IPv6: the byte that names the fragment header
    rte_mbuf* packet;
  };
  struct Datagram {
    Key key;
    std::uint64_t deadline_ns = 0;
    std::uint32_t parts_length = 0;
    std::optional<std::uint32_t> length;  // of all the payload, once the last fragment is there
    bool overlapped = false;
    std::vector<Part> parts;  // by offset
  };
  using Order = std::list<Datagram>;  // the oldest first

  rte_mbuf* add(const Key& key, Part part, bool more);
  Order::iterator find(const Key& key);
  [[nodiscard]] static bool overlaps(const Datagram& datagram, const Part& part, bool more);
  rte_mbuf* join(Order::iterator at);
  void end(Order::iterator at, dataplane::DropReason reason, bool answered);
  void drop_parts(Datagram& datagram, dataplane::DropReason reason, bool answered);
  void refuse(rte_mbuf* m, std::uint16_t pointer);

  ReassemblyLimits limits_;
  Drop drop_;
  std::uint64_t now_ns_ = 0;
  std::size_t buffers_ = 0;
  Order order_;
  std::map<Key, Order::iterator> by_key_;
};

}  // namespace millrace::controlplane
