#include "cases.h"

#include <iostream>

namespace millrace::behaviour {
namespace {

std::string name(std::size_t reason) {
  return std::string(dataplane::kDropReasons[reason].name);
}

void expect_drops(Lab& lab, const std::array<std::uint64_t, dataplane::kDropReasonCount>& before,
                  const Expect& expect) {
  const auto after = lab.drops();
  for (std::size_t r = 0; r < after.size(); ++r) {
    const bool wanted = expect.drop && static_cast<std::size_t>(*expect.drop) == r;
    EXPECT_EQ(after[r] - before[r], wanted ? 1U : 0U) << "drops counted as " << name(r);
  }
}

// Tells at the end of the program how many cases there were.
class CaseCount : public ::testing::Environment {
 public:
  void add() { ++count_; }
  void TearDown() override { std::cout << "[----------] " << count_ << " table cases\n"; }

 private:
  unsigned count_ = 0;
};
CaseCount& case_count() {
  static auto* counting = new CaseCount;  // GoogleTest deletes it
  return *counting;
}
const ::testing::Environment* const kCounts = ::testing::AddGlobalTestEnvironment(&case_count());

}  // namespace

Expect dropped(DropReason reason) {
  return {reason, "", {}, false};
}
Expect sent(const std::string& on, const Bytes& frame) {
  return {std::nullopt, on, {frame}, false};
}
Expect answered(const std::string& on, const Bytes& frame) {
  return {std::nullopt, on, {frame}, true};
}
Expect refused(DropReason reason, const std::string& on, const Bytes& frame) {
  return {reason, on, {frame}, true};
}

void expect_frames(const std::vector<Bytes>& wanted, std::vector<Bytes> got, bool chosen_id) {
  for (std::size_t i = 0; i < std::max(wanted.size(), got.size()); ++i) {
    if (i >= wanted.size()) {
      ADD_FAILURE() << "one frame too many:\n" << describe(got[i]) << hex(got[i]);
    } else if (i >= got.size()) {
      ADD_FAILURE() << "missing:\n" << describe(wanted[i]) << hex(wanted[i]);
    } else {
      Bytes want = wanted[i];
      if (chosen_id && got[i].size() >= kEthernet + 20) {
        put16(want, kEthernet + 4, get16(got[i], kEthernet + 4));
        fix_checksum(want);
      }
      EXPECT_TRUE(same(want, got[i]));
    }
  }
}

void verify(Lab& lab, const std::string& on, const Case& c) {
  SCOPED_TRACE(c.what);
  case_count().add();
  const auto before = lab.drops();
  const std::uint64_t at_ingress =
      c.expect.drop ? lab.control().dropped(lab.interface(on).id, *c.expect.drop) : 0;
  lab.send(on, c.in, c.layout);
  lab.run();
  for (const auto& [name, port] : lab.ports()) {
    expect_frames(name == c.expect.on ? c.expect.frames : std::vector<Bytes>{}, lab.received(name),
                  c.expect.chosen_id);
  }
  expect_drops(lab, before, c.expect);
  if (c.expect.drop) {
    EXPECT_EQ(lab.control().dropped(lab.interface(on).id, *c.expect.drop) - at_ingress, 1U)
        << "not at the ingress";
  }
  EXPECT_EQ(lab.control().accounting().difference(), 0);
}

void verify(Lab& lab, const std::string& on, const std::vector<Case>& cases) {
  for (const Case& c : cases) verify(lab, on, c);
}

Bytes towards(Lab& lab, const std::string& interface, const MacAddress& from, const Ipv4Packet& packet) {
  return frame(lab.mac(interface), from, packet);
}

Bytes icmp_error(Lab& lab, const std::string& interface, const MacAddress& to, const Bytes& offending,
                 const IcmpError& error) {
  const std::size_t total = get16(offending, kEthernet + 2);
  Ipv4Packet packet;
  packet.source = error.source;
  packet.destination = Ipv4Address(get32(offending, kEthernet + 12));
  packet.tos = 0xc0;  // RFC 1812 4.3.2.5: precedence 6
  packet.protocol = 1;
  packet.payload =
      icmp(error.type, error.code, error.mtu, slice(offending, kEthernet, std::min<std::size_t>(total, 548)));
  return frame(to, lab.mac(interface), packet);
}

}  // namespace millrace::behaviour
