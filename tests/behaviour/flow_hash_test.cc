// The hash that spreads flows over paths, by itself: what two routers in a row make of the same flows.
#include <set>

#include "cases.h"
#include "dataplane/flow_hash.h"

namespace millrace::behaviour {
namespace {

class FlowHash : public TwoSubnetsTest {
 protected:
  std::uint32_t hash(unsigned flow, std::uint32_t seed) {
    rte_mbuf* m = make_mbuf(in({.payload = udp(static_cast<std::uint16_t>(1000 + flow), 53)}));
    const std::uint32_t value = dataplane::ipv4_flow_hash(m, *dataplane::ipv4(m), seed);
    rte_pktmbuf_free(m);
    return value;
  }
};

// If the hashes of two routers differed by a constant, some pair of seeds would make the second one's buckets
// the first one's: all flows that a router gets from the one before would take one path.
TEST_F(FlowHash, TwoRoutersDifferByNoConstant) {
  for (const std::uint32_t seed : {2U, 3U, 0x100U, 0x5eedU, 0x80000000U}) {
    std::set<std::uint32_t> low_bits;
    for (unsigned flow = 0; flow < 256; ++flow) low_bits.insert((hash(flow, 1) ^ hash(flow, seed)) & 0xff);
    EXPECT_GT(low_bits.size(), 100U) << "rule 13: seeds 1 and " << seed;
  }
}

TEST_F(FlowHash, FlowsThatDifferInOneBitAreFarApart) {
  std::set<std::uint32_t> low_bits;
  for (unsigned flow = 0; flow < 256; ++flow) low_bits.insert(hash(flow, 1) & 0xff);
  EXPECT_GT(low_bits.size(), 130U) << "rule 13: 256 flows of neighbouring ports, 162 buckets at random";
}

}  // namespace
}  // namespace millrace::behaviour
