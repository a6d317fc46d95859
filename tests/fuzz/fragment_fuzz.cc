// Any IPv4 packet, in any segments, cut up for any MTU: the fragments are put together again, and their
// headers are those of RFC 791, by a naive look at both.
//
// The input: two bytes for the MTU, two for the lengths of the first two segments, two for the length of the
// payload, a byte that tells how many bytes of options follow (modulo 41), the options, two bytes of flags
// and fragment offset, and the payload's first bytes; it goes on with a pattern.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "dataplane/fragment.h"
#include "net/checksum.h"
#include "net/wire.h"
#include "tests/behaviour/lab.h"
#include "tests/fuzz/input.h"

using namespace millrace;
using behaviour::Bytes;
using fuzz::Input;
using fuzz::require;

namespace {

constexpr std::size_t kEthernet = sizeof(wire::Ethernet);
constexpr std::size_t kHeader = sizeof(wire::Ipv4);

struct Case {
  std::uint16_t mtu = 0;
  behaviour::Layout layout;
  Bytes options;  // padded to whole words
  std::uint16_t flags_offset = 0;
  Bytes payload;
};

Case read_case(Input& input) {
  Case c;
  c.mtu = static_cast<std::uint16_t>(input.take16());
  c.layout.segments = {input.take(), input.take()};
  const std::size_t length = input.take16();
  const auto options = input.take(input.take() % 41);
  c.options.assign(options.begin(), options.end());
  c.options.resize((c.options.size() + 3) / 4 * 4);
  c.flags_offset = static_cast<std::uint16_t>(input.take16() & ~unsigned{wire::kIpv4DontFragment});
  c.payload.resize(std::min<std::size_t>(length, 65535 - kHeader - c.options.size()));
  const auto given = input.take(c.payload.size());
  std::copy(given.begin(), given.end(), c.payload.begin());
  for (std::size_t i = given.size(); i < c.payload.size(); ++i)
    c.payload[i] = static_cast<std::uint8_t>(i * 31 >> 3);
  // The header lies in the first segment: that much a worker has seen to.
  c.layout.segments[0] += kEthernet + kHeader + c.options.size();
  return c;
}

Bytes frame_of(const Case& c) {
  Bytes frame(kEthernet + kHeader);
  for (std::size_t i = 0; i < kEthernet; ++i) frame[i] = static_cast<std::uint8_t>(i);
  wire::Ipv4 ip{};
  ip.version_ihl = static_cast<std::uint8_t>(0x40 | ((kHeader + c.options.size()) / 4));
  ip.total_length = Be16(static_cast<std::uint16_t>(kHeader + c.options.size() + c.payload.size()));
  ip.identification = Be16(0x1234);
  ip.flags_offset = Be16(c.flags_offset);
  ip.ttl = 63;
  ip.protocol = wire::kProtocolUdp;
  ip.source = Ipv4Address(192, 0, 2, 1).wire();
  ip.destination = Ipv4Address(198, 51, 100, 1).wire();
  std::memcpy(&frame[kEthernet], &ip, sizeof ip);
  frame.insert(frame.end(), c.options.begin(), c.options.end());
  frame.insert(frame.end(), c.payload.begin(), c.payload.end());
  return frame;
}

// RFC 791 3.1: options one after the other; those with the copied flag, up to what is no option.
Bytes copied_options(const Bytes& options) {
  Bytes copied;
  for (std::size_t at = 0; at < options.size() && options[at] != 0;) {
    const bool one_byte = options[at] == 1;
    if (!one_byte && (at + 1 == options.size() || options[at + 1] < 2)) break;
    const std::size_t size = one_byte ? 1 : options[at + 1];
    if (at + size > options.size()) break;
    const auto first = options.begin() + static_cast<std::ptrdiff_t>(at);
    if ((options[at] & 0x80) != 0)
      copied.insert(copied.end(), first, first + static_cast<std::ptrdiff_t>(size));
    at += size;
  }
  copied.resize((copied.size() + 3) / 4 * 4);
  return copied;
}

struct Piece {
  wire::Ipv4 ip;
  Bytes options;
  Bytes payload;
};

Piece read_piece(const rte_mbuf* m, std::uint16_t mtu) {
  const Bytes frame = behaviour::bytes_of(m);
  require(frame.size() > kEthernet + kHeader && frame.size() <= kEthernet + mtu,
          "a fragment is no longer than the link takes");
  for (std::size_t i = 0; i < kEthernet; ++i) require(frame[i] == i, "the Ethernet header is the packet's");
  Piece piece{};
  std::memcpy(&piece.ip, &frame[kEthernet], sizeof piece.ip);
  const std::size_t header = piece.ip.header_length();
  require(header >= kHeader && piece.ip.total_length.host() == frame.size() - kEthernet,
          "lengths are those of the frame");
  require(checksum_ok(std::as_bytes(std::span(frame).subspan(kEthernet, header))), "the checksum is right");
  const auto payload = frame.begin() + static_cast<std::ptrdiff_t>(kEthernet + header);
  piece.options.assign(frame.begin() + static_cast<std::ptrdiff_t>(kEthernet + kHeader), payload);
  piece.payload.assign(payload, frame.end());
  return piece;
}

void check_header(const Piece& piece, const Case& c, std::size_t done, bool last) {
  const unsigned flags = c.flags_offset & wire::kIpv4Reserved;
  const bool more = !last || (c.flags_offset & wire::kIpv4MoreFragments) != 0;
  const auto offset = ((c.flags_offset & wire::kIpv4OffsetMask) + done / 8) & wire::kIpv4OffsetMask;
  require(piece.ip.flags_offset.host() == (flags | (more ? wire::kIpv4MoreFragments : 0U) | offset),
          "flags and offset go on from the packet's");
  require(piece.options == (done == 0 ? c.options : copied_options(c.options)),
          "the first has all options, the others have those to be copied");
  require(piece.ip.identification.host() == 0x1234 && piece.ip.ttl == 63 &&
              piece.ip.source.host() == Ipv4Address(192, 0, 2, 1).value() &&
              piece.ip.destination.host() == Ipv4Address(198, 51, 100, 1).value(),
          "all else is the packet's");
  require(last || piece.payload.size() % 8 == 0, "all but the last carry whole blocks of 8 bytes");
}

void check(std::span<rte_mbuf* const> fragments, const Case& c) {
  Bytes whole;
  for (const rte_mbuf* m : fragments) {
    const Piece piece = read_piece(m, c.mtu);
    check_header(piece, c, whole.size(), whole.size() + piece.payload.size() == c.payload.size());
    whole.insert(whole.end(), piece.payload.begin(), piece.payload.end());
  }
  require(whole == c.payload, "the fragments put together are the packet");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  rte_mempool* const pool = behaviour::Lab::pool();
  Input input({data, size});
  const Case c = read_case(input);
  rte_mbuf* const packet = behaviour::make_mbuf(frame_of(c), c.layout);
  rte_mbuf* fragments[dataplane::kMaxFragments];
  const auto result = dataplane::fragment_ipv4(packet, c.mtu, pool, fragments);
  const std::span made(fragments, result.count);
  const std::size_t room =
      c.mtu > kHeader + c.options.size() ? (c.mtu - kHeader - c.options.size()) & ~7U : 0;
  if (result.count == 0) {
    // With the options of the first on all of them, there would be as many as may be, or no room for payload.
    require(c.payload.empty() || room == 0 || c.payload.size() > room * dataplane::kMaxFragments,
            "what can be cut up is cut up");
  } else {
    check(made, c);
  }
  for (rte_mbuf* m : made) rte_pktmbuf_free(m);
  rte_pktmbuf_free(packet);
  require(rte_mempool_in_use_count(pool) == 0, "every buffer is back");
  return 0;
}
