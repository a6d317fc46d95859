#include "perf/streams.h"

#include <algorithm>
#include <numeric>

namespace millrace::perf {
namespace {

// Draws the rank k = 0, 1, ... with a chance in proportion to 1 / (k + 1).
class Zipf {
 public:
  explicit Zipf(std::size_t n) : sums_(n) {
    double sum = 0;
    for (std::size_t k = 0; k < n; ++k) sums_[k] = sum += 1.0 / static_cast<double>(k + 1);
  }
  std::size_t operator()(Random& random) const {
    const auto at = std::upper_bound(sums_.begin(), sums_.end(), random.unit() * sums_.back());
    return std::min(static_cast<std::size_t>(at - sums_.begin()), sums_.size() - 1);
  }

 private:
  std::vector<double> sums_;
};

// 2000::/3 is what is given out (RFC 4291, 2.4).
void to_unicast(Address6& a) {
  a[0] = static_cast<std::uint8_t>(0x20 | (a[0] & 0x1f));
}
void to_unicast(Address4&) {}

template <class Address, class Draw>
std::vector<Address> in_prefixes(std::span<const Route<Address>> routes, Random& random, Draw&& draw) {
  std::vector<Address> stream(kStreamSize);
  for (Address& address : stream) {
    const Route<Address>& route = routes[draw(random)];
    random.fill(address);
    address = join(route.address, route.length, address);
  }
  return stream;
}

}  // namespace

std::string_view name(Traffic traffic) {
  switch (traffic) {
    case Traffic::uniform:
      return "uniform";
    case Traffic::prefix:
      return "prefix";
    case Traffic::zipf:
      return "zipf";
  }
  return "";
}

template <class Address>
std::vector<Address> make_stream(Traffic traffic, std::span<const Route<Address>> routes,
                                 std::uint64_t seed) {
  Random random(mix(seed * 4 + static_cast<unsigned>(traffic)));
  if (traffic == Traffic::uniform) {
    std::vector<Address> stream(kStreamSize);
    for (Address& address : stream) {
      random.fill(address);
      to_unicast(address);
    }
    return stream;
  }
  if (traffic == Traffic::prefix)
    return in_prefixes(routes, random, [&](Random& r) { return r.below(routes.size()); });

  std::vector<std::uint32_t> order(routes.size());
  std::iota(order.begin(), order.end(), 0u);
  std::shuffle(order.begin(), order.end(), random);
  return in_prefixes(routes, random, [&, zipf = Zipf(routes.size())](Random& r) { return order[zipf(r)]; });
}

template std::vector<Address4> make_stream(Traffic, std::span<const Route4>, std::uint64_t);
template std::vector<Address6> make_stream(Traffic, std::span<const Route6>, std::uint64_t);

}  // namespace millrace::perf
