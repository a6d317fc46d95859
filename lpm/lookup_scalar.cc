// The lookup for any processor, and the choice between the forms.
#include "lpm/lookup.h"
#include "lpm/lookup_forms.h"

namespace millrace::lpm {

std::string_view name(Isa isa) {
  static constexpr std::array<std::string_view, kIsas.size()> kNames = {"scalar", "avx2", "avx512"};
  return kNames[static_cast<std::size_t>(isa)];
}

bool supported(Isa isa) {
  switch (isa) {
    case Isa::scalar:
      return true;
    case Isa::avx2:
      return __builtin_cpu_supports("avx2") != 0;
    case Isa::avx512:
      return __builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512bw") != 0 &&
             __builtin_cpu_supports("avx512dq") != 0 && __builtin_cpu_supports("avx512vl") != 0;
  }
  return false;
}

Isa best_isa() {
  return supported(Isa::avx512) ? Isa::avx512 : supported(Isa::avx2) ? Isa::avx2 : Isa::scalar;
}

namespace {

constexpr std::size_t kStep = 32;  // addresses whose reads are under way together

template <class Entry>
const Entry* as(const void* table) {
  return static_cast<const Entry*>(table);
}

// Pairs with the release stores of StrideTable.
template <class Entry>
std::uint32_t load(const Entry& e, bool& extended) {
  const Entry value = __atomic_load_n(&e, __ATOMIC_ACQUIRE);
  extended = EntryCode<Entry>::extended(value);
  return EntryCode<Entry>::number(value);
}

std::uint32_t load_top(const TableView& view, std::size_t octet) {
  return __atomic_load_n(&view.top[octet], __ATOMIC_ACQUIRE);
}

template <class L>
std::size_t octet(typename L::Word address) {
  return static_cast<std::size_t>(address >> (L::Address::kBits - 8));
}

template <class L>
const typename L::Block* block_entry(const TableView& view, unsigned level, std::uint32_t block,
                                     typename L::Word address) {
  return as<typename L::Block>(view.pools[L::kPools[level]]) + block * L::entries(level) +
         L::index(level, address);
}

// From `level` on down, where `number` is a block of that level.
template <class L>
std::uint32_t walk(const TableView& view, unsigned level, std::uint32_t number, typename L::Word address) {
  for (bool extended = true; extended; ++level) {
    number = load(*block_entry<L>(view, level, number, address), extended);
  }
  return number != 0 ? number : load_top(view, octet<L>(address));
}

std::uint32_t word_of(std::uint32_t address) {
  return address;
}
Uint128 word_of(const Ipv6Address& address) {
  return address.value();
}

// Level by level over up to kStep addresses: each line is asked for before any is used.
template <class L, class Batched>
void lookup_step(const TableView& view, const Batched* addresses, std::uint32_t* out, std::size_t count) {
  std::uint8_t open[kStep];  // those that are not answered yet
  std::size_t open_count = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const auto address = word_of(addresses[i]);
    bool extended = false;
    out[i] = load(as<typename L::First>(view.first)[L::index(0, address)], extended);
    if (extended) {
      __builtin_prefetch(block_entry<L>(view, 1, out[i], address));
      open[open_count++] = static_cast<std::uint8_t>(i);
    } else if (out[i] == 0) {
      out[i] = load_top(view, octet<L>(address));
    }
  }
  for (unsigned level = 1; open_count != 0; ++level) {
    std::size_t still_open = 0;
    for (std::size_t k = 0; k < open_count; ++k) {
      const std::uint8_t i = open[k];
      const auto address = word_of(addresses[i]);
      bool extended = false;
      out[i] = load(*block_entry<L>(view, level, out[i], address), extended);
      if (extended) {
        __builtin_prefetch(block_entry<L>(view, level + 1, out[i], address));
        open[still_open++] = i;
      } else if (out[i] == 0) {
        out[i] = load_top(view, octet<L>(address));
      }
    }
    open_count = still_open;
  }
}

template <class L, class Batched>
void lookup_batch(const TableView& view, const Batched* addresses, std::uint32_t* out, std::size_t count) {
  for (std::size_t at = 0; at < count; at += kStep) {
    lookup_step<L>(view, addresses + at, out + at, count - at < kStep ? count - at : kStep);
  }
}

}  // namespace

template <class L>
std::uint32_t find_in(const TableView& view, typename L::Word address) {
  bool extended = false;
  const std::uint32_t number = load(as<typename L::First>(view.first)[L::index(0, address)], extended);
  if (extended) return walk<L>(view, 1, number, address);
  return number != 0 ? number : load_top(view, octet<L>(address));
}

template <class L>
BatchLookup<typename BatchAddress<typename L::Address>::type> batch_lookup(Isa isa) {
  switch (isa) {
    case Isa::avx512:
      return forms::avx512<L>();
    case Isa::avx2:
      return forms::avx2<L>();
    case Isa::scalar:
      break;
  }
  return &lookup_batch<L, typename BatchAddress<typename L::Address>::type>;
}

#define MILLRACE_LAYOUT(L)                                      \
  template std::uint32_t find_in<L>(const TableView&, L::Word); \
  template BatchLookup<typename BatchAddress<L::Address>::type> batch_lookup<L>(Isa);
#include "lpm/layouts.def"
#undef MILLRACE_LAYOUT

}  // namespace millrace::lpm
