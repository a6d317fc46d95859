// What IPsec-MB itself takes for a packet of ESP: the ceiling of perf/ipsec.sh. Bursts of 64 packets that lie
// in the caches, with their headers written, through esp/engine.h, which calls it; nothing else of a packet's
// way. Of many keys each burst has some drawn at random, which are asked for while the burst before is
// sealed.
#include <x86intrin.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <iostream>
#include <random>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "esp/engine.h"
#include "esp/packet.h"
#include "perf/esp_frames.h"

namespace {

using namespace millrace;

// Keys of SAs, in a random order that is gone through over and over.
class Keys {
 public:
  Keys(esp::KeyStore& store, esp::Algorithm algorithm, std::size_t count) {
    for (std::size_t sa = 0; sa < count; ++sa) {
      const auto key = perf::sa_key(static_cast<unsigned>(sa), algorithm);
      auto expanded = store.expand(algorithm, true, esp::KeyMaterial::of(esp::traits(algorithm), key));
      if (!expanded) throw std::runtime_error(expanded.error());
      owned_.push_back(std::move(*expanded));
    }
    std::mt19937 random(1);
    for (std::size_t i = 0; i < kDrawn; ++i) order_.push_back(owned_[random() % count].get());
  }
  // Gives the packets their keys, and asks for those of the next burst.
  void draw(std::span<esp::Packet> burst) {
    for (esp::Packet& packet : burst) packet.keys = order_[at_++ % kDrawn];
    if (owned_.size() == 1) return;
    for (std::size_t i = 0; i < burst.size(); ++i) order_[(at_ + i) % kDrawn]->prefetch();
  }

 private:
  static constexpr std::size_t kDrawn = 1 << 16;
  std::vector<esp::KeyStore::Owned> owned_;
  std::vector<const esp::Keys*> order_;
  std::size_t at_ = 0;
};

// TSC cycles a packet: the median of `runs`.
double cycles(esp::Algorithm algorithm, std::uint32_t payload, bool encrypt, std::size_t sas, unsigned runs) {
  auto store = esp::KeyStore::make();
  auto engine = esp::Engine::make();
  if (!store || !engine) throw std::runtime_error("no IPsec-MB for this processor");
  Keys keys(**store, algorithm, sas);
  const esp::Traits& of = esp::traits(algorithm);
  const std::uint32_t bytes = esp::packet_bytes(of, payload);
  constexpr std::size_t kRoom = 2048;
  std::vector<std::uint8_t> memory(esp::Engine::kBurst * kRoom);
  std::vector<esp::Packet> burst;
  for (std::size_t i = 0; i < esp::Engine::kBurst; ++i)
    burst.push_back({nullptr, memory.data() + i * kRoom + 42, bytes, 0, false});
  std::vector<double> times;
  constexpr unsigned kBursts = 2000;
  for (unsigned run = 0; run < runs; ++run) {
    const std::uint64_t begin = __rdtsc();
    for (unsigned i = 0; i < kBursts; ++i) {
      keys.draw(burst);
      encrypt ? (*engine)->seal(burst) : (*engine)->open(burst);
    }
    times.push_back(static_cast<double>(__rdtsc() - begin) / (kBursts * esp::Engine::kBurst));
  }
  std::ranges::nth_element(times, times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2));
  return times[times.size() / 2];
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Times IPsec-MB.", "ipsec_mb_bench"};
  std::string name = "aes-128-gcm", direction = "encrypt";
  std::uint32_t payload = 46;
  std::size_t sas = 1;
  unsigned runs = 21;
  app.add_option("--algorithm", name, "as configurations name it")->capture_default_str();
  app.add_option("--direction", direction)
      ->check(CLI::IsMember({"encrypt", "decrypt"}))
      ->capture_default_str();
  app.add_option("--payload", payload, "bytes of the packet inside")->capture_default_str();
  app.add_option("--sas", sas, "keys, of which each packet has one")
      ->check(CLI::Range(1, 65536))
      ->capture_default_str();
  app.add_option("--runs", runs, "of which the median is printed")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  try {
    const auto algorithm = esp::algorithm_named(name);
    if (!algorithm) throw std::runtime_error("no algorithm " + name);
    std::cout << cycles(*algorithm, payload, direction == "encrypt", sas, runs) << '\n';
  } catch (const std::exception& error) {
    std::cerr << "ipsec_mb_bench: " << error.what() << '\n';
    return 1;
  }
  return 0;
}
