// Any sequence of operations on a table leaves it answering as a naive look at its rules does, in every
// layout and by every form of the code; and with all rules gone nothing of it is left (rule 12 of
// docs/conformance.md).
//
// The input: a byte for the layout (0 compact, 1 DIR-24-8, 2 IPv6, modulo 3), then operations of a byte each
// (modulo 4: 0 insert, 1 erase, 2 maintenance, 3 grace period); insert and erase are followed by a length,
// the address's first four bytes and a next hop.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <span>
#include <vector>

#include "lpm/table.h"

using namespace millrace;
using namespace millrace::lpm;

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

class Input {
 public:
  explicit Input(std::span<const std::uint8_t> bytes) : bytes_(bytes) {}
  [[nodiscard]] bool empty() const { return bytes_.empty(); }
  std::uint8_t byte() {
    if (bytes_.empty()) return 0;
    const std::uint8_t b = bytes_.front();
    bytes_ = bytes_.subspan(1);
    return b;
  }
  std::uint32_t word() {
    std::uint32_t value = 0;
    for (int i = 0; i < 4; ++i) value = value << 8 | byte();
    return value;
  }

 private:
  std::span<const std::uint8_t> bytes_;
};

// An address of which every 32 bits are the same.
Ipv4Address address_of(std::uint32_t word, Ipv4Address) {
  return Ipv4Address(word);
}
Ipv6Address address_of(std::uint32_t word, Ipv6Address) {
  const std::uint64_t half = std::uint64_t{word} << 32 | word;
  return {half, half};
}
std::uint32_t batched(Ipv4Address a) {
  return a.value();
}
Ipv6Address batched(Ipv6Address a) {
  return a;
}

// One table for all inputs: it is empty between them.
template <class Table>
class Target {
 public:
  using Prefix = typename Table::Prefix;
  using Address = typename Prefix::Address;

  void run(Input input) {
    while (!input.empty()) step(input);
    check_answers();
    while (!rules_.empty()) {
      require(table_.erase(rules_.begin()->first, 1));
      rules_.erase(rules_.begin());
    }
    settle();
    require(table_.size() == 0 && table_.statistics().groups == 0);
  }

 private:
  void step(Input& input) {
    switch (input.byte() % 4) {
      case 0: {
        const Prefix prefix = read_prefix(input);
        const NextHopId id(1 + input.byte());
        if (table_.insert(prefix, id, 1)) rules_[prefix] = id;
        break;
      }
      case 1: {
        const Prefix prefix = read_prefix(input);
        input.byte();
        require(table_.erase(prefix, 1) == (rules_.erase(prefix) == 1));
        break;
      }
      case 2:
        table_.maintain(4, 1);
        break;
      default:
        reclaimer_.poll();
    }
  }
  Prefix read_prefix(Input& input) {
    const unsigned length = input.byte() % (Address::kBits + 1);
    return {address_of(input.word(), Address{}), length};
  }
  [[nodiscard]] NextHopId naive(Address address) const {
    NextHopId best;
    for (const auto& [prefix, id] : rules_) {
      if (prefix.contains(address)) best = id;  // the longer ones come later
    }
    return best;
  }
  // The ends of every prefix, and the addresses beside them.
  void check_answers() {
    std::vector<Address> addresses;
    for (const auto& [prefix, id] : rules_) {
      using Word = decltype(Address{}.value());
      const Word first = prefix.address().value(), last = prefix.last().value();
      for (const Word word : {first, static_cast<Word>(first - 1), last, static_cast<Word>(last + 1)}) {
        addresses.emplace_back(word);
      }
    }
    std::vector<typename Lookup<Address>::Batched> batch;
    for (const Address address : addresses) batch.push_back(batched(address));
    std::vector<NextHopId> answers(batch.size());
    for (const Isa isa : kIsas) {
      if (!supported(isa)) continue;
      table_.lookup_by(isa).lookup(batch, answers.data());
      for (std::size_t i = 0; i < answers.size(); ++i) require(answers[i] == naive(addresses[i]));
    }
  }
  void settle() {
    while (reclaimer_.poll() != 0) {
    }
  }

  Reclaimer reclaimer_{1};
  Table table_{reclaimer_, {1 << 12, Pages::normal}};
  std::map<Prefix, NextHopId> rules_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static auto& compact = *new Target<Ipv4Table>;
  static auto& dir24 = *new Target<Table<Ipv4Prefix, Dir24Layouts>>;
  static auto& ipv6 = *new Target<Ipv6Table>;
  Input input({data, size});
  switch (input.byte() % 3) {
    case 0:
      compact.run(input);
      break;
    case 1:
      dir24.run(input);
      break;
    default:
      ipv6.run(input);
  }
  return 0;
}
