// A device that does as little as a device can: what comes in at one port goes out at the other, but for one
// frame in N that it drops, and one in M that it holds back until the next one has gone. It stands in for the
// device under test where the tester itself is tested. At the end of its input it prints what it did, as
// JSON.
#include <poll.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <array>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <iostream>
#include <memory>
#include <utility>
#include <vector>

#include "net/wire.h"
#include "perf/generator/port.h"

namespace millrace::perf {
namespace {

struct Harm {
  std::uint64_t drop_one_in = 0, swap_one_in = 0;  // 0: none
};

struct Counts {
  std::uint64_t forwarded = 0, dropped = 0, swapped = 0, refused = 0;
};

bool is_test_frame(const rte_mbuf& frame) {
  const auto* ethernet = rte_pktmbuf_mtod(&frame, const wire::Ethernet*);
  if (ethernet->type != Be16(wire::kEtherTypeIpv6)) return ethernet->type == Be16(wire::kEtherTypeIpv4);
  return reinterpret_cast<const wire::Ipv6*>(ethernet + 1)->next_header == wire::kProtocolUdp;
}

// One way through the wire. Harm is done to test frames alone: ARP and ND go by.
class Way {
 public:
  Way(Port& from, Port& to, const Harm& harm) : from_(from), to_(to), harm_(harm) {}
  ~Way() {
    if (held_ != nullptr) rte_pktmbuf_free(held_);
  }
  Way(const Way&) = delete;
  Way& operator=(const Way&) = delete;

  void step() {
    std::array<rte_mbuf*, kBurst> in;
    const std::uint16_t count = from_.receive(in);
    std::array<rte_mbuf*, kBurst + 1> out;
    std::uint16_t left = 0;
    for (std::uint16_t i = 0; i < count; ++i) {
      if (rte_mbuf* frame = pass(in[i]); frame != nullptr) {
        out[left++] = frame;
        if (held_ != nullptr && frame != held_) out[left++] = std::exchange(held_, nullptr);
      }
    }
    if (left == 0) return;
    const std::uint16_t taken = to_.transmit({out.data(), left});
    counts_.forwarded += taken;
    counts_.refused += static_cast<std::uint64_t>(left - taken);
    for (std::uint16_t i = taken; i < left; ++i) rte_pktmbuf_free(out[i]);
  }
  [[nodiscard]] const Counts& counts() const { return counts_; }

 private:
  // The frame, or nothing where it is dropped or held back.
  rte_mbuf* pass(rte_mbuf* frame) {
    if (!is_test_frame(*frame)) return frame;
    ++number_;
    if (harm_.drop_one_in != 0 && number_ % harm_.drop_one_in == 0) {
      ++counts_.dropped;
      rte_pktmbuf_free(frame);
      return nullptr;
    }
    if (harm_.swap_one_in != 0 && number_ % harm_.swap_one_in == 0 && held_ == nullptr) {
      ++counts_.swapped;
      held_ = frame;
      return nullptr;
    }
    return frame;
  }

  Port& from_;
  Port& to_;
  Harm harm_;
  std::uint64_t number_ = 0;
  rte_mbuf* held_ = nullptr;
  Counts counts_;
};

bool input_is_over() {
  pollfd input{STDIN_FILENO, POLLIN, 0};
  char byte = 0;
  return ::poll(&input, 1, 0) > 0 && ::read(STDIN_FILENO, &byte, 1) <= 0;
}

void print(const char* name, const Counts& counts, const char* end) {
  std::printf(R"("%s": {"forwarded": %ju, "dropped": %ju, "swapped": %ju, "refused": %ju}%s)", name,
              std::uintmax_t{counts.forwarded}, std::uintmax_t{counts.dropped},
              std::uintmax_t{counts.swapped}, std::uintmax_t{counts.refused}, end);
}

void run(const EalOptions& options, const Harm& harm) {
  const std::vector<std::string> names = start_eal(options);
  Port first(names.at(0)), second(names.at(1));
  Way there(first, second, harm), back(second, first, harm);
  std::printf("ready\n");
  std::fflush(stdout);
  // The input is looked at seldom: a system call a burst would be most of the work.
  for (std::uint64_t round = 0; round % 65536 != 0 || !input_is_over(); ++round) {
    there.step();
    back.step();
  }
  std::printf("{");
  print("0to1", there.counts(), ", ");
  print("1to0", back.counts(), "}\n");
}

}  // namespace
}  // namespace millrace::perf

int main(int argc, char** argv) {
  millrace::perf::EalOptions options;
  millrace::perf::Harm harm;
  CLI::App app{"A wire between two DPDK ports, that can lose and reorder frames"};
  app.add_option("--port", options.devices, "DPDK devargs; twice")->required()->expected(2);
  app.add_option("--core", options.core, "the core to run on");
  app.add_option("--drop-one-in", harm.drop_one_in, "drop every N-th test frame");
  app.add_option("--swap-one-in", harm.swap_one_in, "let every N-th test frame be overtaken by the next");
  app.add_flag("!--no-huge", options.hugepages, "do without hugepages");
  CLI11_PARSE(app, argc, argv);
  options.program = "wire";
  try {
    millrace::perf::run(options, harm);
  } catch (const std::exception& error) {
    std::cerr << "wire: " << error.what() << '\n';
    return 1;
  }
  return 0;
}
