// make_destinations: picks destination addresses out of a table of prefixes, for net_stamp's `file`.
//
//   make_destinations --table FILE --out FILE [--count N] [--draw prefix|zipf] [--seed N]
//
// FILE is text, plain or gzip, with a prefix at the start of each line; one family. Each address is a random
// one inside a prefix. `prefix` takes every prefix equally often; `zipf` takes the prefix of rank r in
// proportion to 1/r, ranks given out at random. Addresses are written as they lie on the wire. The same
// arguments give the same file.
#include <arpa/inet.h>
#include <zlib.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <fstream>
#include <iostream>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

struct Prefix {
  std::array<unsigned char, 16> bytes{};
  unsigned length = 0;
};

struct Table {
  std::size_t address_bytes = 0;  // 4 or 16
  std::vector<Prefix> prefixes;
};

Prefix parse_prefix(const std::string& word, std::size_t& address_bytes) {
  const auto slash = word.find('/');
  const bool ipv6 = word.find(':') != std::string::npos;
  Prefix prefix;
  if (slash == std::string::npos ||
      inet_pton(ipv6 ? AF_INET6 : AF_INET, word.substr(0, slash).c_str(), prefix.bytes.data()) != 1)
    throw std::runtime_error("\"" + word + "\" is not a prefix");
  const std::size_t bytes = ipv6 ? 16 : 4;
  if (address_bytes != 0 && address_bytes != bytes) throw std::runtime_error("the table mixes IPv4 and IPv6");
  address_bytes = bytes;
  prefix.length = static_cast<unsigned>(std::stoul(word.substr(slash + 1)));
  if (prefix.length > 8 * bytes) throw std::runtime_error("\"" + word + "\" is not a prefix");
  return prefix;
}

Table read_table(const std::string& path) {
  const std::unique_ptr<gzFile_s, int (*)(gzFile)> file(gzopen(path.c_str(), "rb"), gzclose);
  if (!file) throw std::runtime_error("cannot read " + path);
  gzbuffer(file.get(), 1 << 20);
  Table table;
  std::array<char, 256> line{};
  while (gzgets(file.get(), line.data(), line.size()) != nullptr) {
    const std::string text(line.data());
    const std::string word = text.substr(0, text.find_first_of(" \t\r\n"));
    if (!word.empty() && word.front() != '#')
      table.prefixes.push_back(parse_prefix(word, table.address_bytes));
  }
  if (table.prefixes.empty()) throw std::runtime_error(path + " holds no prefix");
  return table;
}

// The prefix's address with random bits behind its length.
void fill_hosts(Prefix& prefix, std::size_t address_bytes, std::mt19937_64& random) {
  std::array<unsigned char, 16> noise{};
  for (std::size_t i = 0; i < address_bytes; i += 4) {
    const auto bits = static_cast<std::uint32_t>(random());
    std::copy_n(reinterpret_cast<const unsigned char*>(&bits), 4, &noise[i]);
  }
  for (std::size_t i = 0; i < address_bytes; ++i) {
    const int kept = std::clamp(static_cast<int>(prefix.length) - static_cast<int>(8 * i), 0, 8);
    const auto mask = static_cast<unsigned char>(0xff >> kept);
    prefix.bytes[i] = static_cast<unsigned char>((prefix.bytes[i] & ~mask) | (noise[i] & mask));
  }
}

// A rank from 0: r = floor(n^u) lies in [k, k + 1) with probability log(1 + 1/k) / log(n).
std::size_t zipf_rank(std::size_t n, std::mt19937_64& random) {
  const double u = static_cast<double>(random() >> 11) * 0x1p-53;
  return std::min(n - 1, static_cast<std::size_t>(std::pow(static_cast<double>(n), u)) - 1);
}

void write_destinations(Table& table, const std::string& path, std::size_t count, bool zipf,
                        std::uint64_t seed) {
  std::mt19937_64 random(seed);
  if (zipf) {
    for (std::size_t i = table.prefixes.size(); i > 1; --i)
      std::swap(table.prefixes[i - 1], table.prefixes[random() % i]);
  }
  std::vector<char> out;
  out.reserve(count * table.address_bytes);
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t n = table.prefixes.size();
    Prefix to = table.prefixes[zipf ? zipf_rank(n, random) : random() % n];
    fill_hosts(to, table.address_bytes, random);
    const auto* bytes = reinterpret_cast<const char*>(to.bytes.data());
    out.insert(out.end(), bytes, bytes + table.address_bytes);
  }
  std::ofstream file(path, std::ios::binary);
  file.write(out.data(), static_cast<std::streamsize>(out.size()));
  file.close();
  if (!file) throw std::runtime_error("cannot write " + path);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Picks destination addresses out of a table of prefixes.", "make_destinations"};
  std::string table;
  std::string out;
  std::string draw = "prefix";
  std::size_t count = std::size_t{4} << 20;
  std::uint64_t seed = 1;
  app.add_option("--table", table, "prefixes, one at the start of each line; may be gzip")->required();
  app.add_option("--out", out, "the addresses, 4 or 16 bytes each")->required();
  app.add_option("--count", count, "how many")->capture_default_str();
  app.add_option("--draw", draw, "how often a prefix is taken")
      ->check(CLI::IsMember({"prefix", "zipf"}))
      ->capture_default_str();
  app.add_option("--seed", seed, "of the random numbers")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  try {
    Table read = read_table(table);
    write_destinations(read, out, count, draw == "zipf", seed);
  } catch (const std::exception& error) {
    std::cerr << "make_destinations: " << error.what() << '\n';
    return 1;
  }
  return 0;
}
