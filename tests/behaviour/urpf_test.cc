// uRPF (RFC 3704): which sources an interface lets in.
#include "cases6.h"

namespace millrace::behaviour {
namespace {

const std::string kThreeLinks = R"(
interfaces:
  a: {device: @a, addresses: [10.0.1.1/24, "2001:db8:1::1/64"]}
  b: {device: @b, addresses: [10.0.2.1/24, "2001:db8:2::1/64"]}
  c: {device: @c, addresses: [10.0.3.1/24, "2001:db8:3::1/64"]}
routes:
  - {prefix: 198.18.1.0/24, via: 10.0.1.2}
  - {prefix: 198.18.2.0/24, via: 10.0.2.2}
  - {prefix: 198.18.3.0/24, via: [10.0.1.2, 10.0.3.2]}
  - {prefix: 198.18.4.0/24, via: [10.0.2.2, 10.0.3.2]}
  - {prefix: 198.18.5.0/24, type: blackhole}
  - {prefix: "2001:db8:101::/48", via: "2001:db8:1::2"}
  - {prefix: "2001:db8:102::/48", via: "2001:db8:2::2"}
  - {prefix: "2001:db8:105::/48", type: unreachable}
neighbors:
  - {address: 10.0.1.2, mac: "02:00:00:00:01:02", interface: a}
  - {address: 10.0.2.2, mac: "02:00:00:00:02:02", interface: b}
  - {address: 10.0.3.2, mac: "02:00:00:00:03:02", interface: c}
  - {address: "2001:db8:1::2", mac: "02:00:00:00:01:02", interface: a}
  - {address: "2001:db8:2::2", mac: "02:00:00:00:02:02", interface: b}
)";

class Urpf : public LabTest {
 protected:
  void use(const std::string& mode) {
    std::string yaml = kThreeLinks;
    yaml.insert(yaml.find("{device: @a") + 1, "urpf: " + mode + ", ");
    start(yaml);
  }
  Case from(const char* source, bool is_let_in) {
    const std::string what = std::string("rule 11: from ") + source;
    if (std::string_view(source).find(':') != std::string_view::npos) {
      const Bytes in = frame(lab_->mac("a"), kHostA, Ipv6Packet{.source = ip6(source)});
      return {what, in, is_let_in ? sent("b", forwarded6(in, kHostB, lab_->mac("b"))) : refused()};
    }
    const Bytes in = towards(*lab_, "a", kHostA, Ipv4Packet{.source = ip(source)});
    return {what, in, is_let_in ? sent("b", forwarded(in, kHostB, lab_->mac("b"))) : refused()};
  }
  static Expect refused() { return dropped(DropReason::urpf_failed); }
};

TEST_F(Urpf, Rfc3704_2_2_StrictlyASourceComesByTheWayBackToIt) {
  use("strict");
  verify(*lab_, "a",
         {
             from("10.0.1.2", true),   // a neighbour that is known
             from("10.0.1.77", true),  // of the connected subnet
             from("10.0.2.2", false),  // of another one
             from("10.0.2.77", false),
             from("198.18.1.1", true),  // behind a router on this link
             from("198.18.2.1", false),
             from("198.18.3.1", true),  // by two ways, one of them this
             from("198.18.4.1", false),
             from("198.18.5.1", false),
             from("203.0.113.1", false),  // no route
             from("2001:db8:1::2", true),
             from("2001:db8:1::77", true),
             from("2001:db8:2::2", false),
             from("2001:db8:101::1", true),
             from("2001:db8:102::1", false),
             from("2001:db8:105::1", false),
             from("2001:db8:999::1", false),
         });
}

TEST_F(Urpf, Rfc3704_2_4_LooselyThereHasToBeARoute) {
  use("loose");
  verify(*lab_, "a",
         {
             from("10.0.1.2", true),
             from("10.0.2.2", true),
             from("198.18.1.1", true),
             from("198.18.2.1", true),
             from("198.18.4.1", true),
             from("198.18.5.1", false),
             from("203.0.113.1", false),
             from("2001:db8:2::77", true),
             from("2001:db8:102::1", true),
             from("2001:db8:105::1", false),
             from("2001:db8:999::1", false),
         });
}

TEST_F(Urpf, Rfc3704_OtherInterfacesLetAllIn) {
  use("strict");
  const Bytes in = towards(*lab_, "b", kHostB, {.source = ip("203.0.113.1"), .destination = ip("10.0.1.2")});
  verify(*lab_, "b", {"rule 11: off by default", in, sent("a", forwarded(in, kHostA, lab_->mac("a")))});
}

TEST_F(Urpf, TheCheckComesAndGoesWithTheConfiguration) {
  use("off");
  verify(*lab_, "a", from("203.0.113.1", true));
  std::string yaml = kThreeLinks;
  yaml.insert(yaml.find("{device: @a") + 1, "urpf: loose, ");
  lab_->must_apply(yaml);
  verify(*lab_, "a", from("203.0.113.1", false));
  lab_->must_apply(kThreeLinks);
  verify(*lab_, "a", from("203.0.113.1", true));
}

// What is for the router itself comes by the same check.
TEST_F(Urpf, Rfc3704_PacketsToTheRouterAreCheckedToo) {
  use("strict");
  const Bytes in = towards(*lab_, "a", kHostA,
                           {.source = ip("198.18.2.1"),
                            .destination = ip("10.0.1.1"),
                            .protocol = 1,
                            .payload = icmp(8, 0, 0x00010001, pattern(8))});
  verify(*lab_, "a", {"rule 11: a ping with another link's source", in, refused()});
}

}  // namespace
}  // namespace millrace::behaviour
