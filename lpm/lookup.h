// The lookup side of the tables: what workers hold and read. How a table is laid out: layout.h.
//
// Who reads: workers, at any time; who writes: Table (table.h) on the control thread, by single aligned
// stores, each of which moves the addresses of one entry from their old answer to the new one. A block is
// filled before the store that names it (release; pairs with the acquire of the scalar form; the vector forms
// rely on x86: a load that depends on another is not done before it). It is used again a grace period after
// the store that stops naming it. So a reader sees for an address the answer from before a change or the one
// from after it, and nothing else.
//
// A batch goes through code for the processor's instruction set (lookup_scalar.cc, lookup_avx2.cc,
// lookup_avx512.cc), chosen when the table is made: one call through a pointer a batch, none a packet.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "lpm/layout.h"
#include "net/strong_id.h"

namespace millrace::lpm {

inline constexpr NextHopId kNoRoute{0};

enum class Isa : std::uint8_t { scalar, avx2, avx512 };
inline constexpr std::array kIsas = {Isa::scalar, Isa::avx2, Isa::avx512};
std::string_view name(Isa isa);
bool supported(Isa isa);
Isa best_isa();  // of this processor

// `out` has room for `count` ids.
template <class Address>
using BatchLookup = void (*)(const TableView& view, const Address* addresses, std::uint32_t* out,
                             std::size_t count);

// What a batch of addresses is made of: IPv4 addresses are numbers in host order already.
template <class Address>
struct BatchAddress {
  using type = Address;
};
template <>
struct BatchAddress<Ipv4Address> {
  using type = std::uint32_t;
};

template <class L>
BatchLookup<typename BatchAddress<typename L::Address>::type> batch_lookup(Isa isa);

// One address, by scalar code.
template <class L>
std::uint32_t find_in(const TableView& view, typename L::Word address);

template <class AddressType>
class Lookup {
 public:
  using Address = AddressType;
  using Batched = typename BatchAddress<Address>::type;
  using Word = decltype(Address{}.value());

  template <class L>
  static Lookup of(const TableView& view, Isa isa) {
    Lookup lookup;
    lookup.view_ = view;
    lookup.batch_ = batch_lookup<L>(isa);
    lookup.single_ = &find_in<L>;
    lookup.first_shift_ = L::kShifts[0];
    lookup.first_bytes_ = sizeof(typename L::First);
    return lookup;
  }

  [[nodiscard]] NextHopId lookup(Address address) const { return NextHopId(single_(view_, address.value())); }
  // The whole burst at once: the memory's latency is paid once for many. `next_hops` has room for as many.
  void lookup(std::span<const Batched> addresses, NextHopId* next_hops) const {
    static_assert(sizeof(NextHopId) == sizeof(std::uint32_t));
    batch_(view_, addresses.data(), reinterpret_cast<std::uint32_t*>(next_hops), addresses.size());
  }
  // Brings the line that lookup() reads first; call it a burst ahead.
  void prefetch(Word address) const {
    __builtin_prefetch(static_cast<const char*>(view_.first) +
                       static_cast<std::size_t>(address >> first_shift_) * first_bytes_);
  }

 private:
  TableView view_;
  BatchLookup<Batched> batch_ = nullptr;
  std::uint32_t (*single_)(const TableView&, Word) = nullptr;
  unsigned first_shift_ = 0;
  unsigned first_bytes_ = 0;
};

using Ipv4Lookup = Lookup<Ipv4Address>;
using Ipv6Lookup = Lookup<Ipv6Address>;

}  // namespace millrace::lpm
