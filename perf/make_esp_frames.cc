// Frames of ESP for perf/ipsec.sh to decrypt: of SAs drawn at random, with the sequence numbers of each in
// order.
#include <CLI/CLI.hpp>
#include <cstring>
#include <fstream>
#include <iostream>
#include <random>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "esp/sa.h"
#include "net/checksum.h"
#include "net/wire.h"
#include "perf/esp_frames.h"

namespace {

using namespace millrace;
using namespace millrace::perf;

struct Options {
  std::string algorithm = "aes-128-gcm", out;
  std::uint32_t sas = 1;
  std::size_t count = 1 << 20;
  std::uint32_t frame = 60;  // of the packet inside, with an Ethernet header
};

constexpr Ipv4Address kLocal(10, 254, 0, 1), kRemote(10, 254, 0, 2);
constexpr Ipv4Address kInnerSource(10, 9, 0, 2);
// Behind each SA is a prefix of 28 bits.
Ipv4Address inner_destination(std::size_t sa) {
  return Ipv4Address(Ipv4Address(198, 18, 0, 1).value() + static_cast<std::uint32_t>(sa << 4));
}

void put_ipv4(std::uint8_t* at, std::uint8_t protocol, std::uint32_t bytes, Ipv4Address from,
              Ipv4Address to) {
  wire::Ipv4 ip{0x45,
                0,
                Be16(static_cast<std::uint16_t>(bytes)),
                Be16(0),
                Be16(0),
                64,
                protocol,
                Be16(0),
                Be32(from.value()),
                Be32(to.value())};
  ip.checksum = internet_checksum(std::as_bytes(std::span(&ip, 1)));
  std::memcpy(at, &ip, sizeof ip);
}

std::vector<esp::OutboundSa> make_sas(esp::KeyStore& store, esp::Algorithm algorithm, std::uint32_t count) {
  std::vector<esp::OutboundSa> sas;
  for (std::uint32_t i = 0; i < count; ++i) {
    const auto key = sa_key(i, algorithm);
    auto keys = store.expand(algorithm, true, esp::KeyMaterial::of(esp::traits(algorithm), key));
    if (!keys) throw std::runtime_error(keys.error());
    sas.push_back({std::move(*keys), kFirstSpi + i, esp::SequenceCounter(true, 0)});
  }
  return sas;
}

// Returns the length of each frame.
std::size_t write_frames(const Options& options, esp::Algorithm algorithm) {
  auto store = esp::KeyStore::make();
  auto engine = esp::Engine::make();
  if (!store || !engine) throw std::runtime_error("no IPsec-MB for this processor");
  std::vector<esp::OutboundSa> sas = make_sas(**store, algorithm, options.sas);
  const esp::Traits& of = esp::traits(algorithm);
  const std::uint32_t inner = options.frame - static_cast<std::uint32_t>(sizeof(wire::Ethernet));
  const std::size_t at = sizeof(wire::Ethernet) + sizeof(wire::Ipv4);  // of the ESP header
  const std::size_t size = at + esp::packet_bytes(of, inner);
  std::vector<std::uint8_t> frames(esp::Engine::kBurst * size);
  std::ofstream file(options.out, std::ios::binary);
  std::mt19937_64 random(1);
  for (std::size_t made = 0; made < options.count; made += esp::Engine::kBurst) {
    std::vector<esp::Outbound> burst;
    for (std::size_t i = 0; i < esp::Engine::kBurst; ++i) {
      std::uint8_t* frame = frames.data() + i * size;
      const std::uint8_t macs[] = {2, 0, 0, 0, 1, 1, 2, 0, 0, 0, 0, 0xfe, 8, 0};
      std::memcpy(frame, macs, sizeof macs);
      put_ipv4(frame + sizeof macs, wire::kProtocolEsp, static_cast<std::uint32_t>(size - sizeof macs),
               kRemote, kLocal);
      std::uint8_t* payload = frame + at + esp::payload_offset(of);
      std::memset(payload, 0, inner);
      const std::size_t sa = random() % sas.size();
      put_ipv4(payload, wire::kProtocolUdp, inner, kInnerSource, inner_destination(sa));
      const Be16 udp[] = {Be16(1000), Be16(2000),
                          Be16(static_cast<std::uint16_t>(inner - sizeof(wire::Ipv4))), Be16(0)};
      std::memcpy(payload + sizeof(wire::Ipv4), udp, sizeof udp);
      burst.push_back({&sas[sa], &of, payload, inner, wire::kProtocolIpv4});
    }
    esp::encapsulate(**engine, burst);
    file.write(reinterpret_cast<const char*>(frames.data()), static_cast<std::streamsize>(frames.size()));
  }
  file.close();
  if (!file) throw std::runtime_error("cannot write " + options.out);
  return size;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Makes frames of ESP.", "make_esp_frames"};
  Options options;
  app.add_option("--algorithm", options.algorithm, "as configurations name it")->capture_default_str();
  app.add_option("--sas", options.sas, "how many SAs")->capture_default_str();
  app.add_option("--count", options.count, "how many frames, at least")->capture_default_str();
  app.add_option("--frame", options.frame, "bytes of the frame that the packet inside would be, without FCS")
      ->capture_default_str();
  app.add_option("--out", options.out, "the frames, one behind the other")->required();
  CLI11_PARSE(app, argc, argv);
  try {
    const auto algorithm = esp::algorithm_named(options.algorithm);
    if (!algorithm) throw std::runtime_error("no algorithm " + options.algorithm);
    std::cout << write_frames(options, *algorithm) << '\n';
  } catch (const std::exception& error) {
    std::cerr << "make_esp_frames: " << error.what() << '\n';
    return 1;
  }
  return 0;
}
