// DPDK's IPv6 tables: rte_lpm6, and rte_fib6 (TRIE) with entries of 4 bytes; with 2 it has too few groups for
// a full table.
#include <rte_fib6.h>
#include <rte_lpm6.h>

#include "perf/subject.h"
#include "perf/subject_rte.h"

namespace millrace::perf {
namespace {

using Raw = std::uint8_t[16];

// DPDK takes arrays of addresses as they are on the wire, and not as const.
Raw* raw(const Address6* addresses) {
  return reinterpret_cast<Raw*>(const_cast<Address6*>(addresses));
}

class Lpm6 final : public Subject<Address6> {
 public:
  explicit Lpm6(const Sizing& sizing) : heap_before_(rte_heap_bytes()) {
    const rte_lpm6_config config{.max_rules = sizing.routes, .number_tbl8s = sizing.groups, .flags = 0};
    lpm_.reset(rte_lpm6_create(unique_name("lpm6").c_str(), 0, &config));
    check_made(lpm_.get(), "rte_lpm6");
  }

  bool insert(const Route6& route) override {
    if (route.length == 0) default_id_ = route.id;  // it knows no default route: its user does
    return route.length == 0 || rte_lpm6_add(lpm_.get(), route.address.data(), route.length, route.id) == 0;
  }
  bool erase(const Route6& route) override {
    if (route.length == 0) default_id_ = kNoRoute;
    return route.length == 0 || rte_lpm6_delete(lpm_.get(), route.address.data(), route.length) == 0;
  }
  bool load(std::span<const Route6> routes) override {
    const bool loaded = Subject::load(routes);
    bytes_ = rte_heap_bytes() - heap_before_;
    return loaded;
  }

  void lookup(const Address6* addresses, Answers& answers, unsigned n) const override {
    rte_lpm6_lookup_bulk_func(lpm_.get(), raw(addresses), answers.as<std::int32_t>(), n);
  }
  [[nodiscard]] std::uint32_t id(const Answers& answers, unsigned i) const override {
    const std::int32_t id = answers.as<std::int32_t>()[i];
    return id < 0 ? default_id_ : static_cast<std::uint32_t>(id);
  }
  [[nodiscard]] std::size_t memory_bytes() const override { return bytes_; }
  [[nodiscard]] std::string form() const override { return "bulk"; }

 private:
  struct Free {
    void operator()(rte_lpm6* lpm) const { rte_lpm6_free(lpm); }
  };
  std::size_t heap_before_;
  std::size_t bytes_ = 0;
  std::unique_ptr<rte_lpm6, Free> lpm_;
  std::uint32_t default_id_ = kNoRoute;
};

class Fib6 final : public Subject<Address6> {
 public:
  explicit Fib6(const Sizing& sizing) : heap_before_(rte_heap_bytes()) {
    rte_fib6_conf config{};
    config.type = RTE_FIB6_TRIE;
    config.default_nh = kNoRoute;
    config.max_routes = static_cast<int>(sizing.routes);
    config.trie.nh_sz = RTE_FIB6_TRIE_4B;
    config.trie.num_tbl8 = sizing.groups_unshared;  // with less it refuses routes though it has groups left
    fib_.reset(rte_fib6_create(unique_name("fib6").c_str(), 0, &config));
    check_made(fib_.get(), "rte_fib6");
    avx512_ = wants_avx512();
    if (avx512_ && rte_fib6_select_lookup(fib_.get(), RTE_FIB6_LOOKUP_TRIE_VECTOR_AVX512) != 0)
      throw std::runtime_error("rte_fib6 has no AVX-512 lookup here, though the CPU has AVX-512");
  }

  bool insert(const Route6& route) override {
    return rte_fib6_add(fib_.get(), route.address.data(), route.length, route.id) == 0;
  }
  bool erase(const Route6& route) override {
    return rte_fib6_delete(fib_.get(), route.address.data(), route.length) == 0;
  }
  bool load(std::span<const Route6> routes) override {
    const bool loaded = Subject::load(routes);
    bytes_ = rte_heap_bytes() - heap_before_;
    return loaded;
  }

  void lookup(const Address6* addresses, Answers& answers, unsigned n) const override {
    rte_fib6_lookup_bulk(fib_.get(), raw(addresses), answers.as<std::uint64_t>(), static_cast<int>(n));
  }
  [[nodiscard]] std::uint32_t id(const Answers& answers, unsigned i) const override {
    return static_cast<std::uint32_t>(answers.as<std::uint64_t>()[i]);
  }
  [[nodiscard]] std::size_t memory_bytes() const override { return bytes_; }
  [[nodiscard]] std::string form() const override {
    return avx512_ ? "TRIE, 4-byte entries, AVX-512"
                   : "TRIE, 4-byte entries, scalar (this CPU has no AVX-512)";
  }

 private:
  struct Free {
    void operator()(rte_fib6* fib) const { rte_fib6_free(fib); }
  };
  std::size_t heap_before_;
  std::size_t bytes_ = 0;
  std::unique_ptr<rte_fib6, Free> fib_;
  bool avx512_ = false;
};

}  // namespace

template <>
void add_rte_subjects(std::vector<Factory<Address6>>& factories, bool) {
  factories.push_back({"rte_lpm6", [](const Sizing& s) { return std::make_unique<Lpm6>(s); }});
  factories.push_back({"rte_fib6", [](const Sizing& s) { return std::make_unique<Fib6>(s); }});
}

}  // namespace millrace::perf
