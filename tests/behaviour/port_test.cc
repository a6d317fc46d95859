// What a port is asked to do, and what it says that it does.
#include "dataplane/port.h"

#include <rte_ethdev.h>

#include <algorithm>

#include "cases.h"
#include "port_model.h"

namespace millrace::behaviour {
namespace {

using dataplane::Rss;

// A driver whose ports have a key, and one whose ports have neither RSS nor offloads.
std::string null_port(unsigned queues) {
  return "interfaces: {n: {device: \"net_null,no-rx=1\", queues: " + std::to_string(queues) + "}}\n";
}
const std::string kRingPort = "interfaces: {n: {device: @n, queues: 2}}\n";

class PortTest : public LabTest {
 protected:
  const dataplane::Port& port_of(const std::string& yaml, bool symmetric = false) {
    LabOptions options;
    options.rx_queues = 2;
    options.symmetric_rss = symmetric;
    Lab& lab = start(yaml, options);
    return *lab.control().port_of(lab.interface("n"));
  }
  static Bytes key_of(const dataplane::Port& port) {
    Bytes key(dataplane::kRssKeyBytes);
    rte_eth_rss_conf rss{.rss_key = key.data(), .rss_key_len = dataplane::kRssKeyBytes, .rss_hf = 0};
    EXPECT_EQ(rte_eth_dev_rss_hash_conf_get(port.id().value(), &rss), 0);
    EXPECT_NE(rss.rss_hf & RTE_ETH_RSS_NONFRAG_IPV4_UDP, 0U) << "ports are hashed, too";
    return key;
  }
  // As the port hashes addresses of `length` bytes, and ports.
  static std::uint32_t hash(const Bytes& key, std::size_t length, bool back) {
    const Bytes from = pattern(length, 3), to = pattern(length, 9), port{0x12, 0x34}, other{0x00, 0x35};
    const Bytes tuple =
        back ? join(join(to, from), join(other, port)) : join(join(from, to), join(port, other));
    return toeplitz(key.data(), tuple.data(), tuple.size());
  }
};

TEST_F(PortTest, ASymmetricKeyHashesBothDirectionsAlike) {
  const dataplane::Port& port = port_of(null_port(2), true);
  EXPECT_EQ(port.rss(), Rss::symmetric);
  const Bytes key = key_of(port);
  for (const std::size_t length : {4U, 16U}) EXPECT_EQ(hash(key, length, false), hash(key, length, true));
  EXPECT_NE(hash(key, 4, false), hash(key, 16, false));
}

TEST_F(PortTest, TheStandardKeyIsTheOneOfTheSpecification) {
  const dataplane::Port& port = port_of(null_port(2));
  EXPECT_EQ(port.rss(), Rss::standard);
  const Bytes key = key_of(port);
  EXPECT_NE(hash(key, 4, false), hash(key, 4, true));
  // "Verifying the RSS hash calculation", of the specification: 66.9.149.187:2794 to 161.142.100.80:1766.
  const Bytes tuple{66, 9, 149, 187, 161, 142, 100, 80, 2794 >> 8, 2794 & 0xff, 1766 >> 8, 1766 & 0xff};
  EXPECT_EQ(toeplitz(key.data(), tuple.data(), tuple.size()), 0x51ccc178U);
}

TEST_F(PortTest, OneQueueNeedsNoSpreadingAndNotEveryPortSpreads) {
  EXPECT_EQ(port_of(null_port(1)).rss(), Rss::off);
  EXPECT_EQ(port_of(null_port(1), true).rss(), Rss::off);
  EXPECT_EQ(port_of(kRingPort, true).rss(), Rss::off);
}

TEST_F(PortTest, APortThatTellsOfItsLinkWakesTheControlThread) {
  LabOptions options;
  options.tells_of_links = true;
  Lab& lab = start("interfaces: {n: {device: @n}}\n", options);
  dataplane::Doorbell& bell = lab.control().link_bell();
  bell.sleep();
  EXPECT_FALSE(bell.take());
  for (const bool up : {false, true}) {
    lab.set_link("n", up);
    EXPECT_TRUE(bell.take()) << up;
    EXPECT_EQ(lab.interface("n").up, up);
    bell.sleep();
  }
}

TEST_F(PortTest, SaysWhatItDoes) {
  const dataplane::Port& port = port_of(kRingPort);
  EXPECT_EQ(port.offloads().names(), std::vector<std::string>{});
  EXPECT_FALSE(port.offloads().marks().ipv4_checksum);
  EXPECT_FALSE(port.offloads().marks().flow_hash);
  const dataplane::PortOffloads all{true, true, true, true};
  EXPECT_EQ(all.names(),
            (std::vector<std::string>{"ipv4_checksum", "flow_hash", "vlan_strip", "vlan_insert"}));
  EXPECT_TRUE(all.marks().ipv4_checksum);
  EXPECT_TRUE(all.marks().flow_hash);
}

// The frames of a VLAN are the port's.
TEST_F(PortTest, AVlanHasTheMarksOfItsPort) {
  const std::string trunk = "interfaces:\n  n: {device: @n}\n  n.7: {parent: n, vlan: 7}\n";
  LabOptions options;
  options.has_marks = false;
  Lab& lab = start(trunk, options);
  lab.interface("n").marks = {.ipv4_checksum = true, .flow_hash = false};
  lab.must_apply(trunk + "  n.8: {parent: n, vlan: 8}\n");
  EXPECT_TRUE(lab.interface("n.8").marks.ipv4_checksum);
  EXPECT_FALSE(lab.interface("n.8").marks.flow_hash);
  EXPECT_FALSE(lab.interface("n.7").marks.ipv4_checksum);
}

}  // namespace
}  // namespace millrace::behaviour
