// Every reason of dataplane/drop_reason.def is reached: the table has a way to each, and none lacks a row.
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <span>

#include "cases.h"
#include "esp_peer.h"
#include "tests/packets/packet6.h"

namespace millrace::behaviour {
namespace {

using Reach = std::function<void(Lab&)>;
struct Row {
  DropReason reason;
  Reach reach;
};

const PeerSa kIn = make_sa(0x2001, esp::Algorithm::aes_128_gcm, false, 1);
const PeerSa kTransportIn = make_sa(0x2004, esp::Algorithm::aes_128_gcm, false, 5);
const PeerSa kOut = make_sa(0x1001, esp::Algorithm::aes_128_gcm, false, 2);
const std::string kState =
    std::filesystem::temp_directory_path() / ("millrace_drops_" + std::to_string(getpid()));

// Of the tunnels one is whole, the other has no outbound SA.
const std::string kConfig = R"(
interfaces:
  a: {device: @a, addresses: [10.0.1.1/24, "2001:db8:1::1/64"]}
  b: {device: @b, addresses: [10.0.2.1/24]}
  c:
    device: @c
    addresses: [10.0.3.1/24]
    policies: [{action: protect, tunnel: ipsec2, remote: 10.0.3.9/32},
               {action: discard, protocol: tcp, remote_port: 23}, {action: bypass, protocol: tcp}]
  ipsec0:
    addresses: [10.9.0.1/30]
    ipsec: {local: 10.0.1.1, remote: 10.0.2.2, esn: false, out: {spi: 0x1001, key: )" +
                            kOut.key_text() + "}, in: {spi: 0x2001, key: " + kIn.key_text() + R"(}}
  ipsec1:
    addresses: [10.9.1.1/30]
    ipsec: {local: 10.0.1.1, remote: 10.0.2.3, udp: true, in: {spi: 0x2003, key: )" +
                            make_sa(0, esp::Algorithm::aes_128_gcm, true, 3).key_text() + R"(}}
  ipsec2:
    ipsec: {mode: transport, local: 10.0.3.1, remote: 10.0.3.9, esn: false, out: {spi: 0x1004, key: )" +
                            make_sa(0, esp::Algorithm::aes_128_gcm, true, 4).key_text() +
                            "}, in: {spi: 0x2004, key: " + kTransportIn.key_text() + R"(}}
ipsec: {state: )" + kState + R"(}
routes:
  - {prefix: 203.0.113.0/24, via: 10.0.2.2}
  - {prefix: 198.18.0.0/24, type: blackhole}
  - {prefix: 198.18.1.0/24, type: unreachable}
  - {prefix: 198.18.2.0/24, type: prohibit}
neighbors:
  - {address: 10.0.1.2, mac: "02:00:00:00:01:02", interface: a}
  - {address: 10.0.2.2, mac: "02:00:00:00:02:02", interface: b}
)";

Bytes in(Lab& lab, const Ipv4Packet& packet) {
  return towards(lab, "a", kHostA, packet);
}

Reach packet(const Ipv4Packet& p) {
  return [p](Lab& lab) { lab.send("a", in(lab, p)); };
}
Reach to(const char* destination) {
  return packet({.destination = ip(destination)});
}
Reach from(const char* source) {
  return packet({.source = ip(source)});
}
Reach to_us(std::uint8_t protocol, const Bytes& payload, std::uint16_t flags = 0) {
  return packet(
      {.destination = ip("10.0.1.1"), .protocol = protocol, .flags_offset = flags, .payload = payload});
}
Reach raw(const std::function<Bytes(Lab&)>& make, const Layout& layout = {}) {
  return [=](Lab& lab) { lab.send("a", make(lab), layout); };
}

void arp(Lab& lab, std::uint16_t operation, const char* target) {
  const ArpPacket arp{operation, kHostA, ip("10.0.1.50"), {}, ip(target)};
  lab.send("a", frame(kBroadcastMac, kHostA, arp));
}

// Runs one step with a plan like the real one but for what `change` makes of it, as if it were being
// replaced.
void with_plan(Lab& lab, const std::function<void(dataplane::WorkerPlan&)>& change) {
  dataplane::WorkerPlan plan = lab.control().plan(0);
  change(plan);
  const auto* real = lab.control().worker(0).swap_plan(&plan);
  lab.step();
  static_cast<void>(lab.control().worker(0).swap_plan(real));
}

dataplane::TxPath& path_to_b(Lab& lab, dataplane::WorkerPlan& plan) {
  return plan.tx[lab.interface("b").port.value()];
}

void interface_gone(Lab& lab) {
  lab.send("a", in(lab, {}));
  lab.control().writer().set_interface(lab.interface("a").id, nullptr);
  lab.run();
  lab.control().interfaces().publish(lab.interface("a"));
}

void tx_gone(Lab& lab) {
  lab.send("a", in(lab, {}));
  with_plan(lab, [&](dataplane::WorkerPlan& plan) { path_to_b(lab, plan) = {}; });
}

void tx_segments(Lab& lab) {
  lab.send("a", in(lab, {.payload = pattern(1400)}), {.segments = {700}, .no_tailroom = true});
  with_plan(lab, [&](dataplane::WorkerPlan& plan) { path_to_b(lab, plan).max_segments = 1; });
}

void handoff_full(Lab& lab) {
  rte_ring* ring = rte_ring_create("handoff_full", 64, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
  for (unsigned i = 0; i < 64; ++i) lab.send("a", in(lab, {}));  // a ring of 64 holds 63
  for (unsigned round = 0; round < 2; ++round) {
    with_plan(lab, [&](dataplane::WorkerPlan& plan) {
      path_to_b(lab, plan).kind = dataplane::TxPath::Kind::handoff;
      path_to_b(lab, plan).max_segments = 0;
      path_to_b(lab, plan).ring = ring;
    });
  }
  with_plan(lab, [&](dataplane::WorkerPlan& plan) { plan.handoff_in = {ring}; });
  with_plan(lab, [&](dataplane::WorkerPlan& plan) { plan.handoff_in = {ring}; });
  rte_ring_free(ring);
}

void tx_queue_full(Lab& lab) {
  for (unsigned i = 0; i < 2100; ++i) lab.send("a", in(lab, {}));
}

void no_mbuf(Lab& lab) {
  std::vector<rte_mbuf*> taken;
  while (rte_mempool_avail_count(Lab::pool()) > 1) taken.push_back(rte_pktmbuf_alloc(Lab::pool()));
  lab.send("a", in(lab, {.payload = pattern(1800)}));
  lab.run();
  rte_pktmbuf_free_bulk(taken.data(), static_cast<unsigned>(taken.size()));
}

// Far more at once than 50 ms of the class's rate: all are there before the worker begins, so that a slow
// processor's 50 ms make no difference.
void punt_policed(Lab& lab) {
  for (unsigned i = 0; i < 4000; ++i) arp(lab, 1, "10.0.1.77");
  while (lab.step()) {
  }
}

// More at once than the ring holds, within the rate.
void punt_queue_full(Lab& lab) {
  for (unsigned i = 0; i < 1100; ++i) to_us(17, udp(1, 2))(lab);
  while (lab.step()) {
  }
}

void neighbor_queue_full(Lab& lab) {
  for (unsigned i = 0; i < 5; ++i) to("10.0.2.9")(lab);
}

void neighbor_failed(Lab& lab) {
  to("10.0.2.9")(lab);
  lab.run();
  lab.advance(3.1);
}

void neighbor_table_full(Lab& lab) {
  for (unsigned i = 3; i < 30; ++i) lab.send("a", in(lab, {.destination = Ipv4Address(10, 0, 2, i)}));
}

void next_hop_lost(Lab& lab) {
  lab.set_link("b", false);
  to("203.0.113.5")(lab);
}

void urpf_failed(Lab& lab) {
  lab.interface("a").ingress_features = mask_of(dataplane::IngressFeature::urpf_strict);
  lab.control().interfaces().publish(lab.interface("a"));
  from("10.0.2.2")(lab);
}

const MacAddress kOther{{2, 0, 0, 0, 9, 9}};

std::vector<Row> link_rows() {
  return {{DropReason::runt_frame, raw([](Lab&) { return Bytes(13, 1); })},
          {DropReason::not_our_mac, raw([](Lab&) { return frame(kOther, kHostA, Ipv4Packet{}); })},
          {DropReason::unknown_ethertype,
           raw([](Lab& l) { return ethernet(l.mac("a"), kHostA, 0x88cc, pattern(40)); })},
          {DropReason::unknown_vlan,
           raw([](Lab& l) { return ethernet(l.mac("a"), kHostA, 0x8100, pattern(40)); })},
          {DropReason::header_not_contiguous,
           raw([](Lab& l) { return in(l, {}); }, {.segments = {20}, .no_tailroom = true})},
          {DropReason::interface_gone, interface_gone},
          {DropReason::l2_broadcast, raw([](Lab&) { return frame(kBroadcastMac, kHostA, Ipv4Packet{}); })}};
}

std::vector<Row> validation_rows() {
  return {{DropReason::ip_truncated, raw([](Lab& l) { return slice(in(l, {}), 0, 33); })},
          {DropReason::ip_bad_version, packet({.version = 6})},
          {DropReason::ip_header_length, packet({.ihl = 4})},
          {DropReason::ip_total_length_short, packet({.total_length = 19})},
          {DropReason::ip_header_past_end, packet({.total_length = 20, .options = Bytes(4, 1)})},
          {DropReason::ip_total_length_long, packet({.total_length = 47})},
          {DropReason::ip_bad_checksum, packet({.checksum = 0})},
          {DropReason::ip_option_malformed, packet({.options = {0x5e, 0, 0, 0}})},
          {DropReason::ip_option_refused, packet({.options = {7, 3, 4}})},
          {DropReason::source_reserved, from("127.0.0.1")},
          {DropReason::source_multicast, from("224.0.0.1")},
          {DropReason::source_broadcast, from("10.0.2.255")},
          {DropReason::source_is_own, from("10.0.2.1")},
          {DropReason::destination_reserved, to("240.0.0.1")},
          {DropReason::destination_broadcast, to("255.255.255.255")},
          {DropReason::destination_multicast, to("224.0.0.1")},
          {DropReason::subnet_broadcast, to("10.0.2.255")},
          {DropReason::ipv6_truncated,
           raw([](Lab& l) { return slice(frame(l.mac("a"), kHostA, Ipv6Packet{}), 0, 53); })},
          {DropReason::ipv6_bad_version,
           raw([](Lab& l) { return frame(l.mac("a"), kHostA, Ipv6Packet{.version = 4}); })},
          {DropReason::ipv6_payload_long,
           raw([](Lab& l) { return frame(l.mac("a"), kHostA, Ipv6Packet{.payload_length = 27}); })}};
}

std::vector<Row> forwarding_rows() {
  return {{DropReason::urpf_failed, urpf_failed},
          {DropReason::link_local, from("169.254.1.1")},
          {DropReason::ttl_expired, packet({.ttl = 1})},
          {DropReason::no_route, to("8.8.8.8")},
          {DropReason::route_blackhole, to("198.18.0.1")},
          {DropReason::route_unreachable, to("198.18.1.1")},
          {DropReason::route_prohibit, to("198.18.2.1")},
          {DropReason::next_hop_lost, next_hop_lost},
          {DropReason::fragmentation_needed, packet({.flags_offset = kDf, .payload = pattern(1481)})},
          {DropReason::no_mbuf, no_mbuf}};
}

std::vector<Row> queue_rows() {
  return {{DropReason::tx_queue_full, tx_queue_full}, {DropReason::tx_gone, tx_gone},
          {DropReason::tx_segments, tx_segments},     {DropReason::handoff_full, handoff_full},
          {DropReason::punt_policed, punt_policed},   {DropReason::punt_queue_full, punt_queue_full}};
}

std::vector<Row> control_rows() {
  return {{DropReason::arp_invalid, [](Lab& lab) { arp(lab, 9, "10.0.1.1"); }},
          {DropReason::arp_ignored, [](Lab& lab) { arp(lab, 1, "10.0.1.77"); }},
          {DropReason::neighbor_queue_full, neighbor_queue_full},
          {DropReason::neighbor_failed, neighbor_failed},
          {DropReason::neighbor_table_full, neighbor_table_full},
          {DropReason::local_icmp_invalid, to_us(1, pattern(9))},
          {DropReason::local_icmp_ignored, to_us(1, icmp(13, 0, 0, pattern(12)))},
          {DropReason::local_no_port, to_us(17, udp(1, 2))},
          {DropReason::local_no_protocol, to_us(132, pattern(12))}};
}

// The extension headers `headers` (RFC 8200 4), the first of type `next`, to us.
Reach six_to_us(std::uint8_t next, const Bytes& headers) {
  return raw([=](Lab& lab) {
    Ipv6Packet packet{.destination = ip6("2001:db8:1::1"), .next_header = next, .payload = headers};
    return frame(lab.mac("a"), kHostA, packet);
  });
}

// A neighbour solicitation to us, with a hop limit.
Reach solicitation(const char* target, std::uint8_t hop_limit) {
  return raw([=](Lab& lab) {
    const Ipv6Packet packet{.destination = ip6("2001:db8:1::1"), .hop_limit = hop_limit};
    return frame(lab.mac("a"), kHostA, icmp6(packet, 135, 0, 0, address_bytes(ip6(target))));
  });
}

void overlapping_fragments(Lab& lab) {
  six_to_us(44, join(fragment_header(kNoNext, 0, true, 7), pattern(16)))(lab);
  six_to_us(44, join(fragment_header(kNoNext, 8, true, 7), pattern(16)))(lab);
}

void many_fragments(Lab& lab) {
  for (std::uint32_t i = 0; i < 70; ++i)
    six_to_us(44, join(fragment_header(kNoNext, 0, true, i), pattern(16)))(lab);
}

void a_fragment_alone(Lab& lab) {
  to_us(17, pattern(16), kMf)(lab);
  lab.run();
  lab.advance(31);
}

void to_a_tentative_address(Lab& lab) {
  lab.set_link("a", false);
  lab.set_link("a", true);  // its addresses are checked anew
  six_to_us(17, udp(1, 2))(lab);
}

std::vector<Row> local_rows() {
  return {{DropReason::nd_invalid, solicitation("2001:db8:1::1", 254)},
          {DropReason::nd_ignored, solicitation("2001:db8:1::77", 255)},
          {DropReason::local_fragment_invalid, to_us(17, pattern(9), kMf)},
          {DropReason::local_fragment_overlap, overlapping_fragments},
          {DropReason::reassembly_timeout, a_fragment_alone},
          {DropReason::reassembly_full, many_fragments},
          {DropReason::local_headers_invalid, six_to_us(60, {59, 9, 0, 0, 0, 0, 0, 0})},
          {DropReason::local_headers_incomplete,
           six_to_us(44, join(fragment_header(60, 0, true), {59, 1, 0, 0, 0, 0, 0, 0}))},
          {DropReason::local_routing_header, six_to_us(43, {59, 0, 0, 1, 0, 0, 0, 0})},
          {DropReason::local_option_discard, six_to_us(60, {59, 0, 0x40, 4, 0, 0, 0, 0})},
          {DropReason::local_option_refused, six_to_us(60, {59, 0, 0x80, 4, 0, 0, 0, 0})},
          {DropReason::local_no_payload, six_to_us(59, {})},
          {DropReason::local_tentative, to_a_tentative_address}};
}

// By the tunnel.
void esp_to_us(Lab& lab, const Bytes& inner, const Sealing& how, std::uint8_t tos = 0) {
  lab.send(
      "a",
      in(lab, {.destination = ip("10.0.1.1"), .protocol = 50, .tos = tos, .payload = seal(kIn, inner, how)}));
}
Reach by_tunnel(const Sealing& how, std::uint8_t tos = 0) {
  return [=](Lab& lab) {
    esp_to_us(lab, Ipv4Packet{.source = ip("10.9.0.2"), .destination = ip("10.0.2.2")}.bytes(), how, tos);
  };
}
Reach two_by_tunnel(std::uint64_t first, std::uint64_t second) {
  return [=](Lab& lab) {
    by_tunnel({.number = first})(lab);
    by_tunnel({.number = second})(lab);
  };
}

void esp_exhausted(Lab& lab) {
  dataplane::OutboundSa& sa = *lab.control().tunnels().all().at("ipsec0").out->sa;
  sa.sa.sequence = esp::SequenceCounter(false, esp::SequenceCounter::end(false));
  to("10.9.0.2")(lab);
}

void esp_nested(Lab& lab) {
  const Bytes inner = seal(kIn, pattern(40), {.number = 2});
  esp_to_us(
      lab,
      Ipv4Packet{.source = ip("10.9.0.2"), .destination = ip("10.0.1.1"), .protocol = 50, .payload = inner}
          .bytes(),
      {});
}

// Of the router itself, to the other end of the transport mode.
void esp_transport(Lab& lab) {
  const Bytes fragment =
      Ipv4Packet{.source = ip("10.0.3.1"), .destination = ip("10.0.3.9"), .flags_offset = kMf}.bytes();
  controlplane::Output& output = lab.control().output();
  output.send_packet(output.make(std::as_bytes(std::span(fragment))), lab.interface("c"));
  lab.send("c", frame(lab.mac("c"), kHostB,
                      ArpPacket{.operation = 2,
                                .sender_mac = kHostB,
                                .sender = ip("10.0.3.9"),
                                .target_mac = lab.mac("c"),
                                .target = ip("10.0.3.1")}));
}

Reach esp_of_another() {
  return raw([](Lab& lab) {
    return in(lab, {.destination = ip("10.0.3.1"),
                    .protocol = 50,
                    .payload = seal(kTransportIn, pattern(20), {.next_header = 17})});
  });
}

Reach by_c(const char* source) {
  return [=](Lab& lab) {
    lab.send("c", towards(lab, "c", kHostB, {.source = ip(source), .destination = ip("10.0.1.2")}));
  };
}

std::vector<Row> policy_rows() {
  return {{DropReason::esp_selectors_out, to("10.0.3.9")},
          {DropReason::esp_selectors_in, esp_of_another()},
          {DropReason::esp_transport, esp_transport},
          {DropReason::policy_discard, by_c("10.0.3.2")},
          {DropReason::policy_unprotected, by_c("10.0.3.9")},
          {DropReason::policy_fragment,
           packet({.destination = ip("10.0.3.2"), .protocol = 6, .flags_offset = kMf})}};
}

std::vector<Row> ipsec_rows() {
  return {{DropReason::esp_unknown_sa, to_us(50, pattern(60))},
          {DropReason::esp_runt, to_us(50, pattern(5))},
          {DropReason::esp_replayed, two_by_tunnel(1, 1)},
          {DropReason::esp_late, two_by_tunnel(5000, 1)},
          {DropReason::esp_forged, by_tunnel({.forged = true})},
          {DropReason::esp_malformed, by_tunnel({.pad_length = 0xff})},
          {DropReason::esp_not_ip, by_tunnel({.next_header = 17})},
          {DropReason::esp_dummy, by_tunnel({.next_header = 59})},
          {DropReason::esp_congested, by_tunnel({}, 3)},
          {DropReason::esp_keepalive, to_us(17, udp(4500, 4500, {0xff}))},
          {DropReason::esp_no_sa, to("10.9.1.2")},
          {DropReason::esp_exhausted, esp_exhausted},
          {DropReason::esp_nested, esp_nested},
          {DropReason::esp_no_room, raw([](Lab& l) { return in(l, {.destination = ip("10.9.0.2")}); },
                                        {.segments = {40}, .no_tailroom = true})}};
}

std::vector<Row> all_rows() {
  std::vector<Row> all;
  for (const auto& rows : {link_rows(), validation_rows(), forwarding_rows(), queue_rows(), control_rows(),
                           local_rows(), ipsec_rows(), policy_rows()}) {
    all.insert(all.end(), rows.begin(), rows.end());
  }
  return all;
}

// Reasons that no packet from a wire can give rise to, and why.
bool is_shown_elsewhere(DropReason reason) {
  // The smallest MTU that a configuration takes is 576, which holds a header of 60 bytes and 512 more: 128
  // fragments of that are more than any datagram. FragmenterAlone reaches it.
  return reason == DropReason::mtu_too_small;
}

class DropReasons : public LabTest {};

// Rule 40.
TEST_F(DropReasons, EachIsReached) {
  for (const Row& row : all_rows()) {
    SCOPED_TRACE(std::string(dataplane::info(row.reason).name));
    LabOptions options;
    options.neighbors.incomplete = 16;
    Lab& lab = start(kConfig, options);
    row.reach(lab);
    lab.run();
    EXPECT_GE(lab.dropped(row.reason), 1U);
    TearDown();
  }
  std::filesystem::remove(kState);
}

TEST(DropReasonList, NoneLacksARow) {
  const std::vector<Row> rows = all_rows();
  for (std::size_t r = 0; r < dataplane::kDropReasonCount; ++r) {
    const auto is_it = [r](const Row& row) { return row.reason == DropReason(r); };
    const auto count = std::count_if(rows.begin(), rows.end(), is_it);
    EXPECT_EQ(count, is_shown_elsewhere(DropReason(r)) ? 0 : 1) << dataplane::kDropReasons[r].name;
  }
}

TEST(DropReasonList, NamesAndTextsAreThere) {
  for (const auto& reason : dataplane::kDropReasons) {
    EXPECT_FALSE(reason.name.empty());
    EXPECT_FALSE(reason.text.empty()) << reason.name;
  }
}

}  // namespace
}  // namespace millrace::behaviour
