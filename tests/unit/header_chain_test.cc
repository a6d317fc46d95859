// Where a walk over extension headers (RFC 8200 4) ends, and that it always does.
#include "controlplane/header_chain.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/packets/packet6.h"
#include "tests/unit/plain_packet.h"
#include "tests/unit/random.h"

namespace millrace::controlplane {
namespace {

using dataplane::DropReason;
using packets::Bytes;
using packets::fragment_header;
using packets::join;
using packets::kDestination;
using packets::kFragment;
using packets::kHopByHop;
using packets::kIcmp6;
using packets::kNoNext;
using packets::kRouting;
using packets::kTcp;
using packets::kUdp;
using packets::options_header;
using packets::routing_header;

constexpr std::uint8_t kEsp = 50, kAh = 51, kMobility = 135;
const MacAddress kMac{{2, 0, 0, 0, 0, 1}};

Bytes frame_of(std::uint8_t next, const Bytes& payload) {
  packets::Ipv6Packet packet;
  packet.next_header = next;
  packet.payload = payload;
  return frame(kMac, kMac, packet);
}

HeaderChain walk(std::uint8_t next, const Bytes& payload, ChainUse use = ChainUse::deliver) {
  PlainPacket packet(frame_of(next, payload));
  return read_chain(packet.mbuf(), use);
}

Bytes joined(const std::vector<Bytes>& parts) {
  Bytes all;
  for (const Bytes& part : parts) all = join(all, part);
  return all;
}

// `count` headers of destination options, `bytes` each; the last names UDP.
Bytes many_headers(unsigned count, std::size_t bytes) {
  Bytes all;
  for (unsigned i = 0; i < count; ++i)
    all = join(all, options_header(i + 1 == count ? kUdp : kDestination, Bytes(bytes - 2)));
  return all;
}

struct Row {
  std::string what;
  std::uint8_t next;
  Bytes payload;
  std::uint8_t protocol;  // what is found
  std::uint16_t at;
  std::uint16_t named_at;
};

void expect(const std::vector<Row>& rows) {
  for (const Row& row : rows) {
    for (const ChainUse use : {ChainUse::deliver, ChainUse::look}) {
      SCOPED_TRACE(row.what + (use == ChainUse::look ? ", only looked at" : ""));
      const HeaderChain chain = walk(row.next, row.payload, use);
      EXPECT_EQ(unsigned{chain.protocol}, unsigned{row.protocol});
      EXPECT_EQ(chain.at, row.at);
      EXPECT_EQ(chain.named_at, row.named_at);
      EXPECT_FALSE(chain.problem);
      EXPECT_FALSE(chain.cut_short);
    }
  }
}

// Rule 26.
TEST(HeaderChains, Rfc8200_4_EachHeaderIsPassed) {
  expect({{"none", kUdp, Bytes(8), kUdp, 40, 6},
          {"none, and nothing", kUdp, {}, kUdp, 40, 6},
          {"no next header", kNoNext, {}, kNoNext, 40, 6},
          {"hop-by-hop options", kHopByHop, options_header(kTcp, {}), kTcp, 48, 40},
          {"destination options", kDestination, options_header(kUdp, Bytes(14)), kUdp, 56, 40},
          {"a routing header", kRouting, routing_header(kIcmp6, 0, 0), kIcmp6, 64, 40},
          {"no next header behind one", kDestination, options_header(kNoNext, {}), kNoNext, 48, 40},
          {"all in their order", kHopByHop,
           joined({options_header(kDestination, {}), options_header(kRouting, {}),
                   routing_header(kDestination, 2, 0), options_header(kUdp, Bytes(14))}),
           kUdp, 96, 80}});
}

// RFC 8200 4.1: ESP, AH and whatever nobody knows end the walk; so do hop-by-hop options that are not first.
TEST(HeaderChains, Rfc8200_4_WhatWeDoNotKnowEndsTheWalk) {
  for (const std::uint8_t unknown : {kEsp, kAh, kMobility, std::uint8_t{253}, std::uint8_t{255}}) {
    const std::string of = "next header " + std::to_string(unknown);
    expect({{of, unknown, Bytes(16), unknown, 40, 6},
            {of + " behind options", kDestination, join(options_header(unknown, {}), Bytes(16)), unknown, 48,
             40}});
  }
  expect({{"hop-by-hop options, second", kDestination,
           join(options_header(kHopByHop, {}), options_header(kUdp, {})), kHopByHop, 48, 40}});
}

// Rule 26.
TEST(HeaderChains, Rfc8200_4_HeadersCutShortAnywhereAreFoundOut) {
  const Bytes whole[] = {options_header(kUdp, Bytes(14)), routing_header(kUdp, 0, 0)};
  for (const Bytes& header : whole) {
    const std::uint8_t next = header.size() == 24 ? kRouting : kDestination;
    for (std::size_t length = 0; length < header.size(); ++length) {
      for (const Bytes& before : {Bytes{}, options_header(next, {})}) {
        const HeaderChain chain =
            walk(before.empty() ? next : kDestination, join(before, packets::slice(header, 0, length)));
        EXPECT_EQ(chain.problem, DropReason::local_headers_invalid) << length << " of " << header.size();
        EXPECT_TRUE(chain.cut_short);
      }
    }
  }
}

// Rule 26.
TEST(HeaderChains, Rfc8200_4_NoMoreThanEightHeadersOf256Bytes) {
  struct Bound {
    const char* what;
    Bytes payload;
    bool passed;
  };
  const Bound bounds[] = {{"eight", many_headers(8, 8), true},
                          {"nine", many_headers(9, 8), false},
                          {"a hundred", many_headers(100, 8), false},
                          {"256 bytes in one", many_headers(1, 256), true},
                          {"256 bytes in four", many_headers(4, 64), true},
                          {"264 bytes in one", many_headers(1, 264), false}};
  for (const Bound& bound : bounds) {
    const HeaderChain chain = walk(kDestination, bound.payload);
    EXPECT_EQ(chain.problem.has_value(), !bound.passed) << bound.what;
    EXPECT_FALSE(chain.cut_short) << bound.what;
  }
}

// Rule 26.
TEST(HeaderChains, Rfc8200_4_5_FragmentHeaders) {
  struct Fragment {
    const char* what;
    std::size_t offset;
    bool more;
    ChainUse use;
    std::uint8_t protocol;
    bool later, atomic;
  };
  const Fragment fragments[] = {
      {"first, to us: the walk ends", 0, true, ChainUse::deliver, kFragment, false, false},
      {"later, to us: the walk ends", 8, true, ChainUse::deliver, kFragment, true, false},
      {"last, to us: the walk ends", 64, false, ChainUse::deliver, kFragment, true, false},
      {"atomic, to us: passed", 0, false, ChainUse::deliver, kUdp, false, true},
      {"first, looked at: passed", 0, true, ChainUse::look, kUdp, false, false},
      {"later, looked at: the walk ends", 8, true, ChainUse::look, kFragment, true, false},
      {"last, looked at: the walk ends", 65528, false, ChainUse::look, kFragment, true, false},
      {"atomic, looked at: passed", 0, false, ChainUse::look, kUdp, false, true}};
  for (const Fragment& f : fragments) {
    SCOPED_TRACE(f.what);
    const Bytes header = fragment_header(kUdp, f.offset, f.more);
    for (const Bytes& before : {Bytes{}, options_header(kFragment, {})}) {
      const HeaderChain chain =
          walk(before.empty() ? kFragment : kDestination, joined({before, header, Bytes(8)}), f.use);
      EXPECT_EQ(unsigned{chain.protocol}, unsigned{f.protocol});
      EXPECT_EQ(chain.at, 40 + before.size() + (f.protocol == kUdp ? 8 : 0));
      EXPECT_EQ(chain.later_fragment, f.later);
      EXPECT_EQ(chain.atomic_fragment, f.atomic);
      EXPECT_FALSE(chain.problem);
    }
  }
}

// A length field lies about its size; in a fragment header its place is reserved.
TEST(HeaderChains, Rfc8200_4_5_AFragmentHeaderHasNoLength) {
  Bytes header = fragment_header(kUdp, 0, false);
  header[1] = 255;
  const HeaderChain chain = walk(kFragment, join(header, Bytes(8)));
  EXPECT_EQ(unsigned{chain.protocol}, unsigned{kUdp});
  EXPECT_FALSE(chain.problem);
}

// Rule 26.
TEST(HeaderChains, Rfc8200_4_2_OptionsAreObeyedOnlyWhenDelivered) {
  const Bytes refused = options_header(kUdp, {0x9e, 0});
  const HeaderChain chain = walk(kDestination, refused);
  EXPECT_EQ(chain.problem, DropReason::local_option_refused);
  EXPECT_EQ(chain.pointer, 42);
  EXPECT_FALSE(walk(kDestination, refused, ChainUse::look).problem);
  EXPECT_EQ(walk(kRouting, routing_header(kUdp, 0, 1)).pointer, 42);
  EXPECT_FALSE(walk(kRouting, routing_header(kUdp, 0, 1), ChainUse::look).problem);
}

// Rule 26.
TEST(HeaderChains, Rfc7112_5_AllHeadersAreThereOrNot) {
  Bytes tcp(24);
  tcp[12] = 6 << 4;
  const Bytes first = fragment_header(kTcp, 0, true);
  for (std::size_t length = 0; length <= tcp.size(); ++length) {
    PlainPacket packet(frame_of(kFragment, join(first, packets::slice(tcp, 0, length))));
    EXPECT_EQ(holds_all_headers(packet.mbuf()), length == tcp.size()) << length << " bytes of TCP";
  }
  PlainPacket later(frame_of(kFragment, fragment_header(kTcp, 8, true)));
  EXPECT_TRUE(holds_all_headers(later.mbuf()));
}

TEST(HeaderChains, OverSegmentsWhereverTheyAreCut) {
  const Bytes frame = frame_of(kDestination, join(many_headers(3, 16), Bytes(8)));
  for (std::size_t cut = 54; cut < frame.size(); ++cut) {
    PlainPacket packet(frame, {cut, 1, 3});
    EXPECT_EQ(read_chain(packet.mbuf(), ChainUse::deliver).at, 88) << "a first segment of " << cut;
  }
}

// Whatever the bytes say, what is found lies in the packet, or else there is a problem.
TEST(HeaderChains, AnyBytesEndTheWalkWithinThePacket) {
  Random random;
  const std::uint8_t known[] = {kHopByHop, kDestination, kRouting, kFragment, kUdp};
  for (int turn = 0; turn < 20'000; ++turn) {
    Bytes payload(random.below(400));
    for (std::uint8_t& byte : payload)
      byte = random.chance(8) ? static_cast<std::uint8_t>(random.bits()) : known[random.below(5)];
    for (const ChainUse use : {ChainUse::deliver, ChainUse::look}) {
      const HeaderChain chain = walk(known[random.below(4)], payload, use);
      EXPECT_LE(chain.at, 40 + std::min<std::size_t>(payload.size(), 256));
      EXPECT_LT(chain.named_at, std::max<std::size_t>(chain.at, 7));
    }
  }
}

}  // namespace
}  // namespace millrace::controlplane
