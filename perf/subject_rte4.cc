// DPDK's IPv4 tables: rte_lpm, and rte_fib (DIR-24-8) with entries of 2 and of 4 bytes.
#include <rte_fib.h>
#include <rte_lpm.h>

#include <algorithm>

#include "perf/subject.h"
#include "perf/subject_rte.h"

namespace millrace::perf {
namespace {

// rte_lpm seeks a rule by walking all rules of its length: a full table takes it minutes. Unless `slow`, its
// lookup table is written here, shorter prefixes first, and it takes part in lookups alone; those are the
// same.
class Lpm4 final : public Subject<Address4> {
 public:
  Lpm4(const Sizing& sizing, bool slow) : heap_before_(rte_heap_bytes()), slow_(slow) {
    const rte_lpm_config config{.max_rules = sizing.routes, .number_tbl8s = sizing.groups, .flags = 0};
    lpm_.reset(rte_lpm_create(unique_name("lpm").c_str(), 0, &config));
    check_made(lpm_.get(), "rte_lpm");
    groups_ = sizing.groups;
  }

  bool insert(const Route4& route) override {
    if (route.length == 0) default_id_ = route.id;  // it knows no default route: its user does
    return route.length == 0 || rte_lpm_add(lpm_.get(), route.address, route.length, route.id) == 0;
  }
  bool erase(const Route4& route) override {
    if (route.length == 0) default_id_ = kNoRoute;
    return route.length == 0 || rte_lpm_delete(lpm_.get(), route.address, route.length) == 0;
  }
  bool load(std::span<const Route4> routes) override {
    const bool loaded = slow_ ? Subject::load(routes) : write_all(routes);
    bytes_ = rte_heap_bytes() - heap_before_;
    return loaded;
  }

  void lookup(const Address4* addresses, Answers& answers, unsigned n) const override {
    rte_lpm_lookup_bulk(lpm_.get(), addresses, answers.as<std::uint32_t>(), n);
  }
  [[nodiscard]] std::uint32_t id(const Answers& answers, unsigned i) const override {
    const std::uint32_t entry = answers.as<std::uint32_t>()[i];
    return (entry & RTE_LPM_LOOKUP_SUCCESS) != 0 ? entry & 0xffffff : default_id_;
  }
  [[nodiscard]] bool changes() const override { return slow_; }
  [[nodiscard]] std::size_t memory_bytes() const override { return bytes_; }
  [[nodiscard]] std::string form() const override {
    return slow_ ? "bulk" : "bulk, its table written without its rules";
  }

 private:
  static constexpr std::size_t kGroup = RTE_LPM_TBL8_GROUP_NUM_ENTRIES;

  bool write_all(std::span<const Route4> routes) {
    std::vector<Route4> by_length(routes.begin(), routes.end());
    std::stable_sort(by_length.begin(), by_length.end(),
                     [](const Route4& a, const Route4& b) { return a.length < b.length; });
    return std::all_of(by_length.begin(), by_length.end(), [&](const Route4& route) { return write(route); });
  }

  bool write(const Route4& route) {
    if (route.length == 0) {
      default_id_ = route.id;
      return true;
    }
    const rte_lpm_tbl_entry entry{
        .next_hop = route.id & 0xffffff, .valid = 1, .valid_group = 0, .depth = route.length & 0x3fu};
    if (route.length <= 24) {
      std::fill_n(&lpm_->tbl24[route.address >> 8], std::size_t{1} << (24 - route.length), entry);
      return true;
    }
    rte_lpm_tbl_entry* group = group_of(route.address >> 8);
    if (group == nullptr) return false;
    rte_lpm_tbl_entry in_group = entry;
    in_group.valid_group = 1;
    std::fill_n(group + (route.address & 0xff), std::size_t{1} << (32 - route.length), in_group);
    return true;
  }

  // The group of 256 entries below a tbl24 entry, made of it the first time; nullptr if there is none left.
  rte_lpm_tbl_entry* group_of(std::uint32_t index) {
    rte_lpm_tbl_entry& above = lpm_->tbl24[index];
    if (above.valid_group == 0) {
      if (groups_used_ == groups_) return nullptr;
      rte_lpm_tbl_entry inherited = above;
      inherited.valid_group = 1;
      std::fill_n(&lpm_->tbl8[groups_used_ * kGroup], kGroup, inherited);
      above = {.next_hop = groups_used_++ & 0xffffff, .valid = 1, .valid_group = 1, .depth = 0};
    }
    return &lpm_->tbl8[above.next_hop * kGroup];
  }

  struct Free {
    void operator()(rte_lpm* lpm) const { rte_lpm_free(lpm); }
  };
  std::size_t heap_before_;
  std::size_t bytes_ = 0;
  bool slow_;
  std::unique_ptr<rte_lpm, Free> lpm_;
  std::uint32_t default_id_ = kNoRoute;
  std::uint32_t groups_ = 0;
  std::uint32_t groups_used_ = 0;
};

class Fib4 final : public Subject<Address4> {
 public:
  Fib4(const Sizing& sizing, rte_fib_dir24_8_nh_sz entry) : heap_before_(rte_heap_bytes()) {
    const unsigned bits = 8u << entry;
    // One bit of an entry says what the others are: a next hop or a group.
    const std::uint64_t limit = (std::uint64_t{1} << (bits - 1)) - 1;
    if (sizing.max_id > limit) throw std::invalid_argument("the next hops do not fit into its entries");
    rte_fib_conf config{};
    config.type = RTE_FIB_DIR24_8;
    config.default_nh = kNoRoute;
    config.max_routes = static_cast<int>(sizing.routes);
    config.dir24_8.nh_sz = entry;
    config.dir24_8.num_tbl8 = static_cast<std::uint32_t>(std::min<std::uint64_t>(sizing.groups, limit));
    fib_.reset(rte_fib_create(unique_name("fib").c_str(), 0, &config));
    check_made(fib_.get(), "rte_fib");
    avx512_ = wants_avx512();
    if (avx512_ && rte_fib_select_lookup(fib_.get(), RTE_FIB_LOOKUP_DIR24_8_VECTOR_AVX512) != 0)
      throw std::runtime_error("rte_fib has no AVX-512 lookup here, though the CPU has AVX-512");
  }

  bool insert(const Route4& route) override {
    return rte_fib_add(fib_.get(), route.address, route.length, route.id) == 0;
  }
  bool erase(const Route4& route) override {
    return rte_fib_delete(fib_.get(), route.address, route.length) == 0;
  }
  bool load(std::span<const Route4> routes) override {
    const bool loaded = Subject::load(routes);
    bytes_ = rte_heap_bytes() - heap_before_;
    return loaded;
  }

  void lookup(const Address4* addresses, Answers& answers, unsigned n) const override {
    rte_fib_lookup_bulk(fib_.get(), const_cast<Address4*>(addresses), answers.as<std::uint64_t>(),
                        static_cast<int>(n));
  }
  [[nodiscard]] std::uint32_t id(const Answers& answers, unsigned i) const override {
    return static_cast<std::uint32_t>(answers.as<std::uint64_t>()[i]);
  }
  [[nodiscard]] std::size_t memory_bytes() const override { return bytes_; }
  [[nodiscard]] std::string form() const override {
    return avx512_ ? "DIR24_8, AVX-512" : "DIR24_8, scalar (this CPU has no AVX-512)";
  }

 private:
  struct Free {
    void operator()(rte_fib* fib) const { rte_fib_free(fib); }
  };
  std::size_t heap_before_;
  std::size_t bytes_ = 0;
  std::unique_ptr<rte_fib, Free> fib_;
  bool avx512_ = false;
};

}  // namespace

template <>
void add_rte_subjects(std::vector<Factory<Address4>>& factories, bool slow) {
  factories.push_back({"rte_lpm", [slow](const Sizing& s) { return std::make_unique<Lpm4>(s, slow); }});
  factories.push_back(
      {"rte_fib2", [](const Sizing& s) { return std::make_unique<Fib4>(s, RTE_FIB_DIR24_8_2B); }});
  factories.push_back(
      {"rte_fib4", [](const Sizing& s) { return std::make_unique<Fib4>(s, RTE_FIB_DIR24_8_4B); }});
}

}  // namespace millrace::perf
