// Fragments of a few datagrams of both families, in any order and segments, and time: limits hold after each
// step, what is held fits together, and a datagram is given out whole exactly when a naive look at the
// fragments that are held finds nothing missing (rules 19, 40).
//
// The input is a list of steps. A step's first byte: bits 0-1 what happens (3: time passes, as many tenths of
// a second as bits 2-7 say; else a fragment comes), 2 its family, 3-4 its identification, 5 whether more
// follow, 6 two bytes follow: lengths of the first two segments, 7 whether IPv4 options or a header of IPv6
// lie before it. Then two bytes: bits 0-12 its offset in units of 8 bytes, 13 its length is in units of 8
// bytes, 14 of 256; and a byte, its length.
#include "controlplane/reassembly.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <vector>

#include "tests/behaviour/lab.h"
#include "tests/fuzz/input.h"
#include "tests/packets/packet6.h"

using namespace millrace;
using controlplane::Reassembly;
using controlplane::ReassemblyLimits;
using dataplane::DropReason;
using fuzz::Input;
using fuzz::require;
using packets::Bytes;

namespace {

constexpr unsigned kMostSteps = 400;
constexpr std::size_t kEthernet = sizeof(wire::Ethernet);
constexpr std::uint64_t kTenthNs = 100'000'000;
constexpr ReassemblyLimits kLimits{.datagrams = 4,
                                   .buffers = 24,
                                   .fragments = 6,
                                   .timeout4_ns = 30 * kTenthNs,
                                   .timeout6_ns = 60 * kTenthNs};
const MacAddress kMac{{2, 0, 0, 0, 0, 1}};

struct Key {
  bool ipv6 = false;
  unsigned id = 0;
  friend auto operator<=>(const Key&, const Key&) = default;
};

struct Fragment {
  Key key;
  std::size_t offset = 0;
  bool more = false;
  bool header_before = false;
  Bytes payload;
  behaviour::Layout layout;
  [[nodiscard]] std::size_t end() const { return offset + payload.size(); }
};

// What is held, by the buffer that it came in.
struct Held {
  Fragment fragment;
  std::uint64_t came_ns = 0;
  std::size_t buffers = 0;
};

class Bench {
 public:
  Bench() : reassembly_(kLimits) {
    reassembly_.set_drop([this](rte_mbuf* m, DropReason, bool) {
      require(held_.erase(m) == 1, "what is dropped was held");
      rte_pktmbuf_free(m);
    });
  }
  void pass_time(unsigned tenths) {
    now_ns_ += tenths * kTenthNs;
    reassembly_.set_time(now_ns_);
    reassembly_.tick();
    check();
  }
  void add(const Fragment& fragment);

 private:
  [[nodiscard]] std::vector<const Fragment*> parts_of(const Key& key) const;
  void take_whole(rte_mbuf* whole, const Key& key);
  void check() const;
  void check_datagram(const Key& key) const;

  std::uint64_t now_ns_ = kTenthNs;
  std::map<rte_mbuf*, Held> held_;  // outlives the reassembly, which drops nothing at its end
  Reassembly reassembly_;
};

Bytes frame_of(const Fragment& f) {
  const Bytes options = {0x94, 4, 0, 0};
  if (!f.key.ipv6) {
    packets::Ipv4Packet packet;
    packet.identification = static_cast<std::uint16_t>(f.key.id);
    packet.flags_offset = static_cast<std::uint16_t>(f.offset / 8 | (f.more ? packets::kMf : 0U));
    packet.options = f.header_before ? options : Bytes{};
    packet.payload = f.payload;
    return frame(kMac, kMac, packet);
  }
  packets::Ipv6Packet packet;
  packet.next_header = f.header_before ? packets::kDestination : packets::kFragment;
  packet.payload = f.header_before ? packets::options_header(packets::kFragment, {}) : Bytes{};
  packet.payload =
      packets::join(packet.payload, packets::fragment_header(packets::kUdp, f.offset, f.more, f.key.id));
  packet.payload = packets::join(packet.payload, f.payload);
  return frame(kMac, kMac, packet);
}

std::vector<const Fragment*> Bench::parts_of(const Key& key) const {
  std::vector<const Fragment*> parts;
  for (const auto& [m, held] : held_) {
    if (held.fragment.key == key) parts.push_back(&held.fragment);
  }
  std::ranges::sort(parts, {}, &Fragment::offset);
  return parts;
}

// Whether the parts, in order, are a whole datagram; each begins where the one before ends.
bool is_whole(const std::vector<const Fragment*>& parts) {
  std::size_t end = 0;
  for (const Fragment* part : parts) {
    if (part->offset != end) return false;
    end = part->end();
  }
  return !parts.empty() && !parts.back()->more;
}

void Bench::add(const Fragment& fragment) {
  rte_mbuf* m = behaviour::make_mbuf(frame_of(fragment), fragment.layout);
  held_[m] = {fragment, now_ns_, m->nb_segs};
  const bool before = fragment.header_before;
  const auto at = static_cast<std::uint16_t>(sizeof(wire::Ipv6) + (before ? 8 : 0));
  const auto named_at = static_cast<std::uint16_t>(before ? sizeof(wire::Ipv6) : 6);
  rte_mbuf* whole = fragment.key.ipv6 ? reassembly_.add_ipv6(m, at, named_at) : reassembly_.add_ipv4(m);
  if (whole != nullptr) take_whole(whole, fragment.key);
  check();
}

void Bench::take_whole(rte_mbuf* whole, const Key& key) {
  const auto parts = parts_of(key);
  require(is_whole(parts), "what is given out is whole");
  const bool before = parts.front()->header_before;
  Bytes payload;
  for (const Fragment* part : parts) payload = packets::join(payload, part->payload);
  const Bytes got = behaviour::bytes_of(whole);
  Fragment all = *parts.front();
  all.payload = payload;
  all.more = false;
  Bytes wanted = frame_of(all);
  if (key.ipv6) {  // the fragment header goes
    const auto at = static_cast<std::ptrdiff_t>(kEthernet + 40 + (before ? 8 : 0));
    wanted[kEthernet + (before ? 40 : 6)] = packets::kUdp;
    wanted.erase(wanted.begin() + at, wanted.begin() + at + 8);
    packets::put16(wanted, kEthernet + 4, packets::get16(wanted, kEthernet + 4) - 8U);
  }
  require(got == wanted, "the whole is its parts, one behind the other, under the header of the first");
  std::erase_if(held_, [&](const auto& entry) { return entry.second.fragment.key == key; });
  rte_pktmbuf_free(whole);
}

void Bench::check_datagram(const Key& key) const {
  const auto parts = parts_of(key);
  require(parts.size() <= kLimits.fragments, "the fragments of a datagram are bounded");
  require(!is_whole(parts), "nothing that is whole is kept");
  std::size_t end = 0;
  for (const Fragment* part : parts) {
    require(part->offset >= end, "no two fragments overlap");
    require(!part->payload.empty() && part->end() <= 65535, "each can be of a datagram");
    require(part->more || part == parts.back(), "nothing lies behind the end");
    end = part->end();
  }
}

void Bench::check() const {
  std::size_t buffers = 0;
  std::map<Key, std::size_t> datagrams;
  for (const auto& [m, held] : held_) {
    const std::uint64_t timeout = held.fragment.key.ipv6 ? kLimits.timeout6_ns : kLimits.timeout4_ns;
    require(held.came_ns + timeout > now_ns_, "nothing is kept for longer than the timeout");
    buffers += held.buffers;
    ++datagrams[held.fragment.key];
  }
  require(reassembly_.buffers() == buffers && buffers <= kLimits.buffers, "buffers are counted and bounded");
  require(reassembly_.datagrams() >= datagrams.size() && reassembly_.datagrams() <= kLimits.datagrams,
          "datagrams are bounded");
  for (const auto& [key, parts] : datagrams) check_datagram(key);
}

Fragment read_fragment(unsigned first, Input& input, unsigned salt) {
  Fragment f;
  f.key = {(first & 4) != 0, first >> 3 & 3};
  f.more = (first & 0x20) != 0;
  f.header_before = (first & 0x80) != 0;
  const std::size_t headers = kEthernet + (f.key.ipv6 ? 56U : 24U);  // the first segment holds them
  if ((first & 0x40) != 0) f.layout.segments = {headers + input.take() % 64, input.take()};
  const unsigned place = input.take16();
  f.offset = std::size_t{place & 0x1fff} * 8;
  const std::size_t unit = (place & 0x4000) != 0 ? 256 : (place & 0x2000) != 0 ? 8 : 1;
  f.payload = packets::pattern(std::min<std::size_t>(input.take() * unit, 65000), salt);
  return f;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  rte_mempool* const pool = behaviour::Lab::pool();
  {
    Input input({data, size});
    Bench bench;
    for (unsigned steps = 0; !input.empty() && steps < kMostSteps; ++steps) {
      const unsigned first = input.take();
      if ((first & 3) == 3) {
        bench.pass_time(first >> 2);
      } else {
        bench.add(read_fragment(first, input, steps));
      }
    }
  }
  require(rte_mempool_in_use_count(pool) == 0, "every buffer is back");
  return 0;
}
