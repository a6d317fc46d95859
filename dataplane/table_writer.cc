#include "dataplane/table_writer.h"

namespace millrace::dataplane {

TableWriter::TableWriter(Tables& tables, lpm::Reclaimer& reclaimer, lpm::TableLimits limits,
                         FlowHashing flow_hashing)
    : tables_(tables), reclaimer_(reclaimer) {
  fibs_[0].ipv4 = std::make_unique<lpm::Ipv4Table>(reclaimer, limits);
  fibs_[0].ipv6 = std::make_unique<lpm::Ipv6Table>(reclaimer, limits);
  tables_.fibs_[0] = {&fibs_[0].ipv4->published(), &fibs_[0].ipv6->published()};
  tables_.flow_hashing_ = flow_hashing;
}

TableWriter::~TableWriter() {
  while (reclaimer_.poll() != 0) {  // what is retired gives its ids back to pools of ours
  }
  for (auto& slot : tables_.interfaces_) delete slot.exchange(nullptr);
  const auto forget = [](auto& published, const auto* none) {
    if (const auto* last = published.exchange(none); last != none) delete last;
  };
  forget(tables_.own_addresses_.ipv4, &OwnAddresses<Ipv4Address>::none());
  forget(tables_.own_addresses_.ipv6, &OwnAddresses<Ipv6Address>::none());
  forget(tables_.inbound_sas_, &InboundSas::none());
}

void TableWriter::maintain() {
  constexpr std::size_t kPlaces = 1024;  // about half a millisecond
  for (const auto& fib : fibs_) {
    if (fib.ipv4) fib.ipv4->maintain(kPlaces, now_ns_);
    if (fib.ipv6) fib.ipv6->maintain(kPlaces, now_ns_);
  }
}

void TableWriter::retire_id(IdPool& pool, std::uint32_t id) {
  reclaimer_.retire(
      [](void* ids, std::uint64_t what) {
        static_cast<IdPool*>(ids)->give_back(static_cast<std::uint32_t>(what));
      },
      &pool, id, now_ns_);
}

std::optional<NextHopId> TableWriter::allocate_next_hop() {
  const auto id = next_hop_ids_.take();
  if (!id) return std::nullopt;
  set_next_hop(NextHopId(*id), NextHop());
  return NextHopId(*id);
}

void TableWriter::set_next_hop(NextHopId id, NextHop next_hop) {
  NextHop::store(tables_.next_hops_.as<NextHop>()[id.value()], next_hop);
}

void TableWriter::release_next_hop(NextHopId id) {
  retire_id(next_hop_ids_, id.value());
}

std::optional<AdjacencyId> TableWriter::add_adjacency(const Adjacency& adjacency) {
  const auto id = adjacency_ids_.take();
  if (!id) return std::nullopt;
  tables_.adjacencies_.as<Adjacency>()[*id] = adjacency;
  constexpr std::uint32_t kMany = 512;
  if (*id == kMany) tables_.many_adjacencies_.store(true, std::memory_order_relaxed);
  return AdjacencyId(*id);
}

void TableWriter::release_adjacency(AdjacencyId id) {
  retire_id(adjacency_ids_, id.value());
}

void TableWriter::release_counter(std::uint32_t id) {
  retire_id(counter_ids_, id);
}

std::optional<NextHop> TableWriter::add_group(std::span<const AdjacencyId> buckets) {
  const auto length = static_cast<std::uint32_t>(buckets.size());
  const auto first = bucket_runs_.take(length);
  if (!first) return std::nullopt;
  for (std::uint32_t i = 0; i < length; ++i) set_bucket(*first + i, buckets[i]);
  return NextHop::group(*first, length);
}

void TableWriter::set_bucket(std::uint32_t index, AdjacencyId adjacency) {
  __atomic_store_n(&tables_.buckets_.as<std::uint32_t>()[index], adjacency.value(), __ATOMIC_RELEASE);
}

void TableWriter::release_group(NextHop group) {
  reclaimer_.retire(
      [](void* runs, std::uint64_t what) {
        static_cast<RunPool*>(runs)->give_back(static_cast<std::uint32_t>(what),
                                               static_cast<std::uint32_t>(what >> 32));
      },
      &bucket_runs_, (static_cast<std::uint64_t>(group.buckets()) << 32) | group.index(), now_ns_);
}

void TableWriter::set_interface(InterfaceId id, std::unique_ptr<const InterfaceView> view) {
  const Tunnel* tunnel = view == nullptr ? nullptr : view->tunnel.get();
  const auto* old = tables_.interfaces_[id.value()].exchange(view.release(), std::memory_order_acq_rel);
  tables_.tunnels_[id.value()].store(tunnel, std::memory_order_release);
  retire_object(old);  // with the tunnel that was its
}

void TableWriter::set_inbound_sas(std::unique_ptr<const InboundSas> sas) {
  const auto* old = tables_.inbound_sas_.exchange(sas.release(), std::memory_order_acq_rel);
  if (old != &InboundSas::none()) retire_object(old);
}

template <class Address>
void TableWriter::set_own_addresses(std::unique_ptr<const OwnAddresses<Address>> addresses) {
  const auto* old =
      tables_.own_addresses_.of<Address>().exchange(addresses.release(), std::memory_order_acq_rel);
  if (old != &OwnAddresses<Address>::none()) retire_object(old);
}
template void TableWriter::set_own_addresses(std::unique_ptr<const OwnAddresses<Ipv4Address>>);
template void TableWriter::set_own_addresses(std::unique_ptr<const OwnAddresses<Ipv6Address>>);

}  // namespace millrace::dataplane
