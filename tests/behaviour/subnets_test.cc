// What belongs to a connected subnet, while addresses come and go: its ends (RFC 1812 5.3.5, RFC 3021), the
// address that asks for its hosts (RFC 826), and the route that covers it.
#include "cases.h"

namespace millrace::behaviour {
namespace {

// Interface c has the addresses that a test gives it; what they do not hold goes to host B by the cover.
std::string with_c(const std::string& addresses) {
  return R"(
interfaces:
  a: {device: @a, addresses: [10.0.1.1/24]}
  b: {device: @b, addresses: [10.0.2.1/24]}
  c: {device: @c, addresses: [)" +
         addresses + R"(]}
routes: [{prefix: 172.0.0.0/6, via: 10.0.2.2}]
neighbors:
  - {address: 10.0.1.2, mac: "02:00:00:00:01:02", interface: a}
  - {address: 10.0.2.2, mac: "02:00:00:00:02:02", interface: b}
)";
}

class Subnets : public TwoSubnetsTest {
 protected:
  Subnets() { start(with_c("")); }
  void give_c(const std::string& addresses) {
    two().must_apply(with_c(addresses));
    two().settle();
  }
  Case covered(const std::string& what, Ipv4Address destination) {
    return forwards(what + ": to " + destination.to_string(), {.destination = destination});
  }
  Case covered(const std::string& what, const char* destination) { return covered(what, ip(destination)); }
  Case broadcast(const std::string& what, Ipv4Address destination) {
    return drops(what + ": to " + destination.to_string(), {.destination = destination},
                 DropReason::subnet_broadcast);
  }
  // The packet waits while `source` asks for its destination.
  Case asks(const std::string& what, const char* source, const char* destination) {
    const ArpPacket question{1, two().mac("c"), ip(source), {}, ip(destination)};
    return {what, in({.destination = ip(destination)}),
            sent("c", frame(kBroadcastMac, two().mac("c"), question))};
  }
};

TEST_F(Subnets, Rfc1812_5_3_5_TheEndsOfASubnetOfAnyLengthAreItsOwnAndTheCoversAfterIt) {
  const Ipv4Address own = ip("172.20.10.10");
  for (unsigned length = 8; length <= 30; ++length) {
    const Ipv4Prefix subnet(own, length);
    const std::string what = "rule 9: /" + std::to_string(length);
    give_c(own.to_string() + "/" + std::to_string(length));
    verify(two(), "a", {broadcast(what, subnet.address()), broadcast(what, subnet.last())});
    give_c("");
    verify(two(), "a", {covered(what, subnet.address()), covered(what, subnet.last())});
  }
}

TEST_F(Subnets, Rfc1812_5_3_5_TheAddressesBesideTheEndsAreNone) {
  give_c("172.20.10.10/28");
  verify(two(), "a",
         {covered("rule 9: one before", "172.19.255.255"), covered("rule 9: one before", "172.20.9.255"),
          covered("rule 9: one behind", "172.20.10.16"),
          asks("rule 9: the first host", "172.20.10.10", "172.20.10.1"),
          asks("rule 9: the last host", "172.20.10.10", "172.20.10.14")});
}

TEST_F(Subnets, Rfc3021_TheOtherEndOfA31IsAskedFor) {
  for (const auto& [own, other] :
       {std::pair("172.20.10.11", "172.20.10.10"), std::pair("172.20.10.10", "172.20.10.11")}) {
    give_c(std::string(own) + "/31");
    verify(two(), "a", asks("rule 9: from " + std::string(own), own, other));
    give_c("");
    verify(two(), "a", {covered("without the subnet", own), covered("without the subnet", other)});
  }
}

TEST_F(Subnets, A32HoldsItsOwnAddressAlone) {
  give_c("172.20.10.10/32");
  const Ipv4Packet echo{
      .destination = ip("172.20.10.10"), .protocol = 1, .payload = icmp(8, 0, 1, pattern(8))};
  const Ipv4Packet reply{.source = echo.destination,
                         .destination = echo.source,
                         .protocol = 1,
                         .payload = icmp(0, 0, 1, pattern(8))};
  verify(two(), "a",
         {{"rule 19: it answers", in(echo), answered("a", frame(kHostA, two().mac("a"), reply))},
          covered("rule 12: one before", "172.20.10.9"),
          covered("rule 12: one behind", "172.20.10.11")});
}

TEST_F(Subnets, Rfc826_TheAddressOfTheHostsSubnetAsks) {
  give_c("172.20.10.1/24, 172.20.11.1/24");
  verify(two(), "a",
         {asks("rule 22: the first subnet", "172.20.10.1", "172.20.10.128"),
          asks("rule 22: the second subnet", "172.20.11.1", "172.20.11.128")});
}

TEST_F(Subnets, TheSecondAddressKeepsTheSubnetWhenTheFirstGoes) {
  give_c("172.20.10.1/24, 172.20.10.2/24");
  const MacAddress host = mac("02:00:00:00:03:32");
  two().send("c", frame(kBroadcastMac, host, ArpPacket{1, host, ip("172.20.10.50"), {}, ip("172.20.10.2")}));
  two().settle();
  const Bytes known = in({.destination = ip("172.20.10.50")});
  const Case goes_on{"rule 43: to a neighbour", known, sent("c", forwarded(known, host, two().mac("c")))};
  verify(two(), "a", {goes_on, asks("rule 22: the first asks", "172.20.10.1", "172.20.10.128")});

  give_c("172.20.10.2/24");
  verify(two(), "a",
         {goes_on, asks("rule 22: the second asks", "172.20.10.2", "172.20.10.129"),
          asks("the first is a host like others", "172.20.10.2", "172.20.10.1"),
          broadcast("rule 9: the end is still the end", ip("172.20.10.255"))});

  give_c("");
  verify(two(), "a",
         {covered("rule 12: nothing is left of it", "172.20.10.50"),
          covered("rule 12: nothing is left of it", "172.20.10.255")});
}

}  // namespace
}  // namespace millrace::behaviour
