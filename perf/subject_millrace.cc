// Millrace's own tables as subjects: the only file of the benchmark that names lpm/.
#include <rte_rcu_qsbr.h>

#include <chrono>

#include "controlplane/rib.h"
#include "lpm/reclaimer.h"
#include "lpm/table.h"
#include "perf/subject.h"

namespace millrace::perf {
namespace {

std::uint64_t clock_ns() {
  return static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
}

Ipv4Prefix prefix_of(const Route4& route) {
  return {Ipv4Address(route.address), route.length};
}
Ipv6Prefix prefix_of(const Route6& route) {
  return {Ipv6Address(route.address), route.length};
}

// An IPv6 address as ours are: two halves in host order, in the bytes of the benchmark's.
const std::uint32_t* as_ours(const Address4* addresses) {
  return addresses;
}
const Ipv6Address* as_ours(const Address6* addresses) {
  return reinterpret_cast<const Ipv6Address*>(addresses);
}

template <class Address>
Address in_our_form(const Address& address) {
  if constexpr (sizeof(Address) == sizeof(Ipv6Address)) {
    return std::bit_cast<Address>(Ipv6Address(address));
  } else {
    return address;
  }
}

// How often the control loop does what was put off.
constexpr std::uint64_t kMaintainNs = 5'000'000;

template <class Address, class Table>
class Millrace final : public Subject<Address> {
 public:
  Millrace(const Sizing& sizing, lpm::Isa isa)
      : isa_(isa), table_(reclaimer_, {sizing.groups_unshared, lpm::Pages::automatic}, isa) {}
  Millrace(const Millrace&) = delete;
  Millrace& operator=(const Millrace&) = delete;
  ~Millrace() override {
    while (reclaimer_.poll() != 0) {
    }
  }

  bool insert(const Route<Address>& route) override {
    return static_cast<bool>(table_.insert(prefix_of(route), NextHopId(route.id), now_ns_));
  }
  bool erase(const Route<Address>& route) override { return table_.erase(prefix_of(route), now_ns_); }
  // As the control loop does: grace periods at every turn, work that was put off every few milliseconds.
  void maintain() override {
    now_ns_ = clock_ns();
    reclaimer_.poll();
    if (now_ns_ - maintained_ns_ < kMaintainNs) return;
    maintained_ns_ = now_ns_;
    table_.maintain(1024, now_ns_);
  }
  void settle() override {
    while (table_.maintain(4096, now_ns_)) {
    }
    while (reclaimer_.poll() != 0) {
    }
  }

  void lookup(const Address* addresses, Answers& answers, unsigned n) const override {
    const auto& lookup = *table_.published().load(std::memory_order_acquire);
    lookup.lookup({as_ours(addresses), n}, answers.as<NextHopId>());
  }
  [[nodiscard]] std::uint32_t id(const Answers& answers, unsigned i) const override {
    return answers.as<NextHopId>()[i].value();
  }
  void reader_online() override { reclaimer_.register_worker(kReader); }
  void reader_quiescent() override { rte_rcu_qsbr_quiescent(reclaimer_.qsbr(), kReader); }
  void reader_offline() override { reclaimer_.unregister_worker(kReader); }

  [[nodiscard]] bool converts() const override { return sizeof(Address) == sizeof(Ipv6Address); }
  [[nodiscard]] Address convert(const Address& address) const override { return in_our_form(address); }

  [[nodiscard]] std::size_t memory_bytes() const override { return table_.statistics().memory_bytes; }
  [[nodiscard]] std::string form() const override {
    const auto statistics = table_.statistics();
    return std::string(name(isa_)) + ", " + (statistics.wide ? "4-byte" : "2-byte") + " blocks, " +
           std::to_string(statistics.lookup_bytes / 1024) +
           " KB for lookups, pages: " + std::string(statistics.pages);
  }

 private:
  static constexpr unsigned kReader = 0;

  lpm::Isa isa_;
  std::uint64_t now_ns_ = clock_ns();
  std::uint64_t maintained_ns_ = 0;
  lpm::Reclaimer reclaimer_{1};
  Table table_;
};

// RIB and FIB together, with next hops that are resolved already: what a feed of routes meets.
template <class Address, class Prefix>
class MillraceRib final : public Subject<Address> {
 public:
  explicit MillraceRib(const Sizing& sizing)
      : writer_(tables_, reclaimer_, {sizing.groups_unshared, lpm::Pages::automatic}, {}) {
    for (std::uint32_t i = 0; i <= sizing.max_id; ++i) {
      const auto id = next_hops_.acquire(controlplane::NextHopSpec::via({Ipv4Address(0x0a000000 + i)}));
      if (!id) throw std::runtime_error(id.error());
      ids_.push_back(*id);
    }
  }
  MillraceRib(const MillraceRib&) = delete;
  MillraceRib& operator=(const MillraceRib&) = delete;
  ~MillraceRib() override {
    while (reclaimer_.poll() != 0) {
    }
  }

  bool insert(const Route<Address>& route) override {
    const NextHopId id = ids_[route.id];
    next_hops_.add_reference(id);
    return static_cast<bool>(
        rib_.add(prefix_of(route), controlplane::Route{id, 0, 0, 0, 20, controlplane::RouteSource::api}));
  }
  bool erase(const Route<Address>& route) override {
    return rib_.remove(prefix_of(route), controlplane::RouteSource::api);
  }
  void maintain() override {
    writer_.set_time(clock_ns());
    reclaimer_.poll();
    if (writer_.now_ns() - maintained_ns_ < kMaintainNs) return;
    maintained_ns_ = writer_.now_ns();
    writer_.maintain();
  }
  void lookup(const Address* addresses, Answers& answers, unsigned n) const override {
    const auto& lookup = *fib_.published().load(std::memory_order_acquire);
    lookup.lookup({as_ours(addresses), n}, answers.as<NextHopId>());
  }
  // Next hops were acquired in the order of their ids.
  [[nodiscard]] std::uint32_t id(const Answers& answers, unsigned i) const override {
    const std::uint32_t value = answers.as<NextHopId>()[i].value();
    return value == 0 ? kNoRoute : value - ids_[0].value();
  }
  void reader_online() override { reclaimer_.register_worker(0); }
  void reader_quiescent() override { rte_rcu_qsbr_quiescent(reclaimer_.qsbr(), 0); }
  void reader_offline() override { reclaimer_.unregister_worker(0); }
  [[nodiscard]] bool converts() const override { return sizeof(Address) == sizeof(Ipv6Address); }
  [[nodiscard]] Address convert(const Address& address) const override { return in_our_form(address); }
  [[nodiscard]] std::size_t memory_bytes() const override {
    return fib_.statistics().memory_bytes + rib_.memory_bytes();
  }
  [[nodiscard]] std::string form() const override { return "RIB and FIB"; }

 private:
  std::uint64_t maintained_ns_ = 0;
  lpm::Reclaimer reclaimer_{1};
  dataplane::Tables tables_;
  dataplane::TableWriter writer_;
  controlplane::Interfaces interfaces_{writer_};
  controlplane::NextHops next_hops_{writer_, interfaces_};
  controlplane::BasicRib<Prefix> rib_{writer_, next_hops_, FibId(0)};
  lpm::Table<Prefix>& fib_ = writer_.fib<Prefix>(FibId(0));
  std::vector<NextHopId> ids_;
};

using Dir24Table = lpm::Table<Ipv4Prefix, lpm::Dir24Layouts>;

template <class Address, class Table>
void add(std::vector<Factory<Address>>& factories, const std::string& name, lpm::Isa isa) {
  if (!lpm::supported(isa)) return;
  factories.push_back({name, [isa](const Sizing& sizing) -> std::unique_ptr<Subject<Address>> {
                         return std::make_unique<Millrace<Address, Table>>(sizing, isa);
                       }});
}

}  // namespace

template <class Address, class Prefix>
void add_rib(std::vector<Factory<Address>>& factories) {
  factories.push_back({"millrace-rib", [](const Sizing& sizing) -> std::unique_ptr<Subject<Address>> {
                         return std::make_unique<MillraceRib<Address, Prefix>>(sizing);
                       }});
}

// `millrace` is the table that a router runs; the others show it behind its RIB, its layouts, and the forms
// of its code.
template <>
void add_millrace_subjects(std::vector<Factory<Address4>>& factories) {
  add<Address4, lpm::Ipv4Table>(factories, "millrace", lpm::best_isa());
  add_rib<Address4, Ipv4Prefix>(factories);
  add<Address4, lpm::Ipv4Table>(factories, "millrace-avx2", lpm::Isa::avx2);
  add<Address4, lpm::Ipv4Table>(factories, "millrace-scalar", lpm::Isa::scalar);
  add<Address4, Dir24Table>(factories, "millrace-dir24", lpm::best_isa());
}

template <>
void add_millrace_subjects(std::vector<Factory<Address6>>& factories) {
  add<Address6, lpm::Ipv6Table>(factories, "millrace", lpm::best_isa());
  add_rib<Address6, Ipv6Prefix>(factories);
  add<Address6, lpm::Ipv6Table>(factories, "millrace-avx2", lpm::Isa::avx2);
  add<Address6, lpm::Ipv6Table>(factories, "millrace-scalar", lpm::Isa::scalar);
}

}  // namespace millrace::perf
