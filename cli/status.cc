// `millrace status`: one readable page.
#include <ostream>

#include "cli/commands.h"
#include "cli/text.h"

namespace millrace::cli {

namespace {

void line(std::ostream& out, std::string label, const std::string& text) {
  constexpr std::size_t kLabel = 14;
  label += ':';
  label.resize(kLabel, ' ');
  out << label << text << '\n';
}

std::string config_line(const Json& config) {
  const std::string file = text_of(config, "file");
  return "generation " + count_of(config, "generation") + (file.empty() ? "" : ", " + file);
}

std::string workers_line(const Json& dataplane) {
  return count_of(dataplane, "workers") + ", idle " + text_of(dataplane, "idle") + ", hugepages " +
         text_of(dataplane, "hugepages") + ", memory " + bytes(unsigned_of(dataplane, "memory_bytes"));
}

// " (3 IPv4, 5 IPv6)"
std::string families_of(const Json& table) {
  const Json& families = part_of(table, "families");
  if (families.empty()) return "";
  return " (" + count_of(families, "ipv4") + " IPv4, " + count_of(families, "ipv6") + " IPv6)";
}

std::string rib_line(const Json& rib) {
  std::string sources;
  for (const auto& [source, routes] : part_of(rib, "sources").items()) {
    sources += ", " + printable(source) + " " + grouped(routes.is_number() ? routes.get<std::uint64_t>() : 0);
  }
  return counted(unsigned_of(rib, "routes"), "route", "routes") + families_of(rib) + sources;
}

std::string fib_line(const Json& fib) {
  return counted(unsigned_of(fib, "entries"), "entry", "entries") + families_of(fib) + ", " +
         counted(unsigned_of(fib, "next_hops"), "next hop", "next hops") + ", " +
         counted(unsigned_of(fib, "adjacencies"), "adjacency", "adjacencies") + ", " +
         bytes(unsigned_of(fib, "memory_bytes"));
}

// Every packet that came in or was made here has gone somewhere: this line is the router's books.
std::string packets_line(const Json& books) {
  const std::int64_t difference = signed_of(books, "difference");
  return "packets: received " + count_of(books, "received") + " + originated " +
         count_of(books, "originated") + " + fragments " + count_of(books, "fragments_added") +
         " = transmitted " + count_of(books, "transmitted") + " + punted " + count_of(books, "punted") +
         " + dropped " + count_of(books, "dropped") +
         (difference == 0 ? " (balanced)" : " (difference " + grouped(difference) + ")");
}

std::string lag_line(const Json& loop) {
  return "p50 " + duration(real_of(loop, "lag_p50_seconds")) + ", p99 " +
         duration(real_of(loop, "lag_p99_seconds")) + ", max " + duration(real_of(loop, "lag_max_seconds"));
}

std::string pools_line(const Json& pools) {
  std::string text;
  for (const Json& pool : pools) {
    if (!text.empty()) text += "\n" + std::string(14, ' ');
    text +=
        text_of(pool, "name") + " " + count_of(pool, "available") + " of " + count_of(pool, "size") + " free";
  }
  return text.empty() ? "-" : text;
}

}  // namespace

void status(Context& context) {
  const Json answer = context.api.get("/v1/status");
  if (context.json) return print_json(context.out, answer);
  std::ostream& out = context.out;
  const Json& neighbors = part_of(answer, "neighbors");
  out << "millraced " << text_of(answer, "version") << ", pid " << text_of(answer, "pid") << ", up "
      << duration(real_of(answer, "uptime_seconds")) << "\n\n";
  line(out, "config", config_line(part_of(answer, "config")));
  line(out, "workers", workers_line(part_of(answer, "dataplane")));
  line(out, "RIB", rib_line(part_of(answer, "rib")));
  line(out, "FIB", fib_line(part_of(answer, "fib")));
  line(out, "neighbors",
       count_of(neighbors, "total") + " (" + count_of(neighbors, "resolved") + " resolved)");
  line(out, "control lag", lag_line(part_of(answer, "control_loop")));
  line(out, "RCU",
       "oldest grace period " + duration(real_of(part_of(answer, "rcu"), "oldest_grace_seconds")));
  line(out, "mbuf pools", pools_line(part_of(answer, "mbuf_pools")));
  out << '\n' << packets_line(part_of(answer, "accounting")) << '\n';
}

}  // namespace millrace::cli
