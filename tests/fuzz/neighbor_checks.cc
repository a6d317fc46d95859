#include "tests/fuzz/neighbor_checks.h"

#include "tests/fuzz/input.h"

namespace millrace::fuzz {
namespace {

using behaviour::Bytes;
using behaviour::Lab;
using controlplane::NeighborKey;
using controlplane::NeighborLimits;
using controlplane::Neighbors;
using controlplane::NextHops;

void check_entry(Lab& lab, const NeighborLimits& limits, const NeighborKey& key,
                 const Neighbors::Entry& entry) {
  using State = Neighbors::State;
  require(lab.control().interfaces().find(key.interface) != nullptr, "its interface is there");
  const bool has_mac = entry.state != State::incomplete && entry.state != State::failed;
  require(!has_mac || (!entry.mac.is_group() && entry.mac != MacAddress{}), "its MAC is of one host");
  require(entry.waiting.empty() || entry.state == State::incomplete, "packets wait only while it is asked");
  require(entry.waiting.size() <= limits.queue, "its queue is bounded");
}

void check_link(Lab& lab, const NeighborKey& key) {
  const NextHops::Link* link = lab.control().next_hops().find_link(key);
  if (link == nullptr) return;
  const auto [state, mac] = lab.control().neighbors().known(key);
  // A link that failed stays so while its neighbour is asked again.
  const bool resolved = link->state == NextHops::LinkState::resolved;
  require(resolved == (state == NextHops::LinkState::resolved) && (!resolved || link->mac == mac),
          "next hops know of the neighbour what the neighbour table does");
  const dataplane::Adjacency& adjacency = lab.control().tables().adjacency(link->slot.value());
  require(!adjacency.complete() || adjacency.macs[0] == link->mac, "workers send to its MAC");
}

}  // namespace

void check_neighbors(Lab& lab, const NeighborLimits& limits, std::span<const IpAddress> hosts) {
  const auto& neighbors = lab.control().neighbors();
  std::size_t waiting = 0;
  std::size_t learned = 0;
  for (const auto& [key, entry] : neighbors.entries()) {
    check_entry(lab, limits, key, entry);
    waiting += entry.waiting.size();
    learned += entry.wanted || entry.state == Neighbors::State::fixed ? 0 : 1;
  }
  require(waiting == neighbors.waiting_packets() && waiting <= limits.waiting,
          "packets that wait are counted");
  require(learned <= limits.total, "the table is bounded");
  lab.control().interfaces().visit([&](const controlplane::Interface& interface) {
    for (const IpAddress& host : hosts) check_link(lab, {interface.id, host});
  });
}

void take_sent(Lab& lab) {
  lab.run();
  for (const auto& [name, port] : lab.ports()) {
    for (const Bytes& frame : lab.received(name)) require(frame.size() >= 34, "a frame holds a packet");
  }
}

}  // namespace millrace::fuzz
