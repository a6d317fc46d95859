// `millrace show ...` for what comes in one answer.
#include <ostream>

#include "cli/commands.h"
#include "cli/table.h"
#include "cli/text.h"

namespace millrace::cli {

namespace {

// The table, or a sentence if there is nothing to show.
void print_or_say(std::ostream& out, Table table, const char* nothing) {
  if (table.empty()) {
    out << nothing << '\n';
  } else {
    table.print(out);
  }
}

// The strings or objects of a list, each put in words, one below the other or side by side.
template <class Describe>
std::string joined(const Json& list, const char* separator, Describe describe) {
  std::string text;
  for (const Json& item : list) {
    if (&item != &list.front()) text += separator;
    text += describe(item);
  }
  return text;
}

// Where its frames go: a device, or a VLAN.
std::string device_of(const Json& interface) {
  const std::string kind = text_of(interface, "kind");
  if (kind != "vlan") return kind == "port" ? text_of(interface, "device") : kind;
  const std::string inner = text_of(interface, "inner_vlan");
  return "VLAN " + text_of(interface, "vlan") + (inner.empty() ? "" : "." + inner) + " on " +
         text_of(interface, "parent");
}

Table interface_settings(const Json& interfaces) {
  Table table({{"INTERFACE"},
               {"STATE"},
               {"MAC"},
               number("MTU"),
               number("RXQ"),
               number("TXQ"),
               {"ADDRESSES"},
               elastic("DEVICE")});
  for (const Json& port : interfaces) {
    std::string addresses = joined(part_of(port, "addresses"), "\n", [](const Json& address) {
      return printable(address.is_string() ? address.get<std::string>() : address.dump());
    });
    if (const std::string own = text_of(port, "link_local"); !own.empty())
      addresses += (addresses.empty() ? "" : "\n") + own + "/64";
    for (const Json& address : part_of(port, "duplicate_addresses"))
      addresses += "\n" + printable(address.is_string() ? address.get<std::string>() : address.dump()) +
                   " is a duplicate";
    table.row({text_of(port, "name"), text_of(port, "state"), text_of(port, "mac"), text_of(port, "mtu"),
               text_of(port, "rx_queues"), text_of(port, "tx_queues"), addresses, device_of(port)});
  }
  return table;
}

// Of those with a device: what it does by itself.
Table interface_devices(const Json& interfaces) {
  Table table({{"INTERFACE"}, {"DRIVER"}, {"RSS"}, {"OFFLOADS"}});
  for (const Json& port : interfaces) {
    if (text_of(port, "kind") != "port") continue;
    const std::string offloads = joined(part_of(port, "offloads"), " ", [](const Json& name) {
      return printable(name.is_string() ? name.get<std::string>() : name.dump());
    });
    table.row({text_of(port, "name"), text_of(port, "driver"), text_of(port, "rss"),
               offloads.empty() ? "none" : offloads});
  }
  return table;
}

// Of those that daemons see.
Table interface_hosts(const Json& interfaces) {
  Table table({{"INTERFACE"},
               number("HOST-INDEX"),
               number("TO-HOST"),
               number("LOST"),
               number("FROM-HOST"),
               number("BAD"),
               number("LOST")});
  for (const Json& port : interfaces) {
    const Json& host = part_of(port, "host");
    if (!host.is_object()) continue;
    table.row({text_of(port, "name"), text_of(host, "index"), count_of(host, "to_host"),
               count_of(host, "to_host_lost"), count_of(host, "from_host"), count_of(host, "from_host_bad"),
               count_of(host, "from_host_lost")});
  }
  return table;
}

Table interface_packets(const Json& interfaces) {
  Table table({{"INTERFACE"},
               number("RX-PACKETS"),
               number("TX-PACKETS"),
               number("PUNTED"),
               number("DROPPED"),
               number("RX-MISSED"),
               number("RX-ERRORS")});
  for (const Json& port : interfaces) {
    table.row({text_of(port, "name"), count_of(port, "rx_packets"), count_of(port, "tx_packets"),
               count_of(port, "punted"), count_of(port, "dropped"), count_of(port, "rx_missed"),
               count_of(port, "rx_errors")});
  }
  return table;
}

Table interface_traffic(const Json& interfaces) {
  Table table(
      {{"INTERFACE"}, number("RX-PACKETS"), number("RX-BYTES"), number("TX-PACKETS"), number("TX-BYTES")});
  for (const Json& port : interfaces) {
    table.row({text_of(port, "name"), count_of(port, "rx_packets"), count_of(port, "rx_bytes"),
               count_of(port, "tx_packets"), count_of(port, "tx_bytes")});
  }
  return table;
}

Table books(const Json& accounting) {
  Table table({number("RECEIVED"), number("ORIGINATED"), number("FRAGMENTS"), number("TRANSMITTED"),
               number("PUNTED"), number("DROPPED"), number("DIFFERENCE")});
  table.row({count_of(accounting, "received"), count_of(accounting, "originated"),
             count_of(accounting, "fragments_added"), count_of(accounting, "transmitted"),
             count_of(accounting, "punted"), count_of(accounting, "dropped"),
             count_of(accounting, "difference")});
  return table;
}

Table control_counters(const Json& control) {
  Table table({{"CONTROL"}, number("COUNT")});
  for (const auto& [name, value] : control.items()) {
    table.row({printable(name), count_of(control, name.c_str())});
  }
  return table;
}

}  // namespace

void show_interfaces(Context& context) {
  const Json answer = context.api.get("/v1/interfaces");
  if (context.json) return print_json(context.out, answer);
  const Json& interfaces = part_of(answer, "interfaces");
  print_or_say(context.out, interface_settings(interfaces), "no interfaces");
  if (interfaces.empty()) return;
  context.out << '\n';
  if (Table devices = interface_devices(interfaces); !devices.empty()) {
    devices.print(context.out);
    context.out << '\n';
  }
  interface_packets(interfaces).print(context.out);
  if (Table hosts = interface_hosts(interfaces); !hosts.empty()) {
    context.out << '\n';
    hosts.print(context.out);
  }
}

void show_next_hops(Context& context) {
  const Json answer = context.api.get("/v1/next-hops");
  if (context.json) return print_json(context.out, answer);
  Table table(
      {number("ID"), {"KIND"}, number("REFS"), {"VIA"}, {"MAC"}, {"STATE"}, number("WT"), number("PACKETS")});
  for (const Json& hop : part_of(answer, "next_hops")) {
    const Json& members = part_of(hop, "members");
    const auto column = [&members](auto describe) { return joined(members, "\n", describe); };
    const auto or_dash = [](const std::string& text) { return text.empty() ? std::string("-") : text; };
    table.row({text_of(hop, "id"), text_of(hop, "kind"), count_of(hop, "references"), column(via_of),
               column([&](const Json& m) { return or_dash(text_of(m, "mac")); }),
               column([&](const Json& m) { return or_dash(text_of(m, "state")); }),
               column([&](const Json& m) { return or_dash(text_of(m, "weight")); }),
               column([&](const Json& m) { return or_dash(count_of(m, "packets")); })});
  }
  print_or_say(context.out, std::move(table), "no next hops");
}

void show_neighbors(Context& context) {
  const Json answer = context.api.get("/v1/neighbors");
  if (context.json) return print_json(context.out, answer);
  Table table({{"ADDRESS"}, {"INTERFACE"}, {"MAC"}, {"STATE"}, number("AGE"), number("QUEUED")});
  for (const Json& neighbor : part_of(answer, "neighbors")) {
    const bool aged = neighbor.contains("age_seconds") && neighbor["age_seconds"].is_number();
    table.row({text_of(neighbor, "address"), text_of(neighbor, "interface"), text_of(neighbor, "mac"),
               text_of(neighbor, "state"), aged ? duration(real_of(neighbor, "age_seconds")) : "",
               count_of(neighbor, "queued")});
  }
  print_or_say(context.out, std::move(table), "no neighbors");
}

// Who feeds: a daemon that is connected, or a table of the kernel's (254 is called main).
static std::string feed_peer(const Json& feed) {
  if (!feed.contains("table")) return text_of(feed, "peer");
  return "table " + (feed["table"] == 254 ? "main" : text_of(feed, "table"));
}

void show_feeds(Context& context) {
  const Json answer = context.api.get("/v1/feeds");
  if (context.json) return print_json(context.out, answer);
  Table table({{"FEED"},
               {"STATE"},
               {"PEER"},
               number("ROUTES"),
               number("SHADOWED"),
               number("STALE"),
               number("PARKED"),
               number("NEXT-HOPS")});
  Table messages({{"FEED"},
                  number("MESSAGES"),
                  number("IGNORED"),
                  number("FAILED"),
                  number("QUEUED"),
                  number("LAG"),
                  number("RESYNCS"),
                  elastic("LAST-ERROR")});
  for (const Json& feed : part_of(answer, "feeds")) {
    const std::string name = text_of(feed, "name");
    table.row({name, text_of(feed, "state") + " " + duration(real_of(feed, "state_seconds")), feed_peer(feed),
               count_of(feed, "routes"), count_of(feed, "shadowed"), count_of(feed, "stale"),
               count_of(feed, "parked"), count_of(feed, "next_hops")});
    messages.row({name, count_of(feed, "messages"), count_of(feed, "ignored"), count_of(feed, "failed"),
                  count_of(feed, "queued_bytes"), duration(real_of(feed, "lag_seconds")),
                  count_of(feed, "resyncs"), text_of(feed, "last_error")});
  }
  if (table.empty()) {
    context.out << "no feeds\n";
    return;
  }
  table.print(context.out);
  context.out << '\n';
  messages.print(context.out);
}

// As configurations write it.
static std::string spi_text(const Json& sa) {
  char text[16];
  std::snprintf(text, sizeof text, "0x%08llx", static_cast<unsigned long long>(unsigned_of(sa, "spi")));
  return text;
}

void show_ipsec(Context& context) {
  const Json answer = context.api.get("/v1/ipsec");
  if (context.json) return print_json(context.out, answer);
  Table tunnels({{"INTERFACE"},
                 {"MODE"},
                 {"LOCAL"},
                 {"REMOTE"},
                 {"ALGORITHM"},
                 {"ESN"},
                 {"UDP"},
                 number("WINDOW"),
                 number("MTU")});
  Table sas({{"INTERFACE"},
             {"WAY"},
             {"SPI"},
             {"STATE"},
             number("PACKETS"),
             number("BYTES"),
             number("SEQUENCE"),
             number("REPLAYED"),
             number("LATE"),
             number("FORGED"),
             number("BAD"),
             number("UNSELECTED"),
             number("EXHAUSTED")});
  for (const Json& tunnel : part_of(answer, "tunnels")) {
    const std::string name = text_of(tunnel, "interface");
    const auto yes = [&](const char* key) { return flag_of(tunnel, key) ? "yes" : "no"; };
    tunnels.row({name, text_of(tunnel, "mode"), text_of(tunnel, "local"), text_of(tunnel, "remote"),
                 text_of(tunnel, "algorithm"), yes("esn"), yes("udp"), count_of(tunnel, "replay_window"),
                 count_of(tunnel, "mtu")});
    for (const Json& sa : part_of(tunnel, "sas")) {
      const bool in = text_of(sa, "direction") == "in";
      const std::uint64_t bad = unsigned_of(sa, "runt") + unsigned_of(sa, "malformed");
      sas.row({name, text_of(sa, "direction"), spi_text(sa), text_of(sa, "state"), count_of(sa, "packets"),
               count_of(sa, "bytes"), count_of(sa, "sequence"), count_of(sa, "replayed"),
               count_of(sa, "late"), count_of(sa, "forged"), in ? std::to_string(bad) : "",
               count_of(sa, "unselected"), count_of(sa, "exhausted")});
    }
  }
  if (tunnels.empty()) {
    context.out << "no tunnels\n";
    return;
  }
  tunnels.print(context.out);
  context.out << '\n';
  print_or_say(context.out, std::move(sas), "no SAs");
}

// Where a worker's time goes, and how full its bursts are.
static void show_worker_steps(std::ostream& out, const Json& worker) {
  out << "\nworker " << text_of(worker, "id") << '\n';
  Table steps({{"STEP"}, number("CYCLES/PKT"), number("TIMED-PACKETS"), elastic("WHAT")});
  for (const Json& step : part_of(worker, "steps")) {
    steps.row({text_of(step, "step"), fixed(real_of(step, "cycles_per_packet"), 1),
               count_of(step, "timed_packets"), text_of(step, "what")});
  }
  print_or_say(out, std::move(steps), "no steps");
  Table bursts({number("PACKETS-A-BURST"), number("BURSTS")});
  for (const Json& bin : part_of(worker, "bursts")) {
    std::string packets = text_of(bin, "from");
    if (const std::string to = text_of(bin, "to"); to != packets) packets.append("-").append(to);
    bursts.row({packets, count_of(bin, "bursts")});
  }
  print_or_say(out, std::move(bursts), "no bursts");
}

void show_workers(Context& context) {
  const Json answer = context.api.get("/v1/workers");
  if (context.json) return print_json(context.out, answer);
  Table table({number("ID"), number("CORE"), number("BUSY"), number("RX-PACKETS"), number("TX-PACKETS"),
               number("CYCLES/PKT"), number("BURST"), number("NAPS"), elastic("QUEUES")});
  for (const Json& worker : part_of(answer, "workers")) {
    const std::string queues = joined(part_of(worker, "queues"), " ", [](const Json& queue) {
      return text_of(queue, "interface") + ":" + text_of(queue, "queue");
    });
    table.row({text_of(worker, "id"), text_of(worker, "core"),
               fixed(real_of(worker, "busy_percent"), 1) + "%", count_of(worker, "rx_packets"),
               count_of(worker, "tx_packets"), fixed(real_of(worker, "cycles_per_packet"), 0),
               fixed(real_of(worker, "mean_burst"), 1), count_of(worker, "naps"), queues});
  }
  print_or_say(context.out, std::move(table), "no workers");
  for (const Json& worker : part_of(answer, "workers")) show_worker_steps(context.out, worker);
}

void show_counters(Context& context) {
  const Json answer = context.api.get("/v1/counters");
  if (context.json) return print_json(context.out, answer);
  std::ostream& out = context.out;
  books(part_of(answer, "accounting")).print(out);
  out << '\n';
  print_or_say(out, interface_traffic(part_of(answer, "interfaces")), "no interfaces");
  out << '\n';
  Table punt({{"PUNT-CLASS"}, number("RECEIVED"), number("POLICED")});
  for (const Json& row : part_of(answer, "punt")) {
    punt.row({text_of(row, "class"), count_of(row, "received"), count_of(row, "policed")});
  }
  print_or_say(out, std::move(punt), "no punt classes");
  out << '\n';
  print_or_say(out, control_counters(part_of(answer, "control")), "no control counters");
}

void show_drops(Context& context, bool all) {
  const Json answer = context.api.get(target("/v1/drops", {{"all", all ? "1" : ""}}));
  if (context.json) return print_json(context.out, answer);
  Table table({{"REASON"}, {"INTERFACE"}, number("PACKETS"), elastic("DESCRIPTION")});
  for (const Json& drop : part_of(answer, "drops")) {
    const std::string reference = text_of(drop, "reference");
    table.row({text_of(drop, "reason"), text_of(drop, "interface"), count_of(drop, "packets"),
               text_of(drop, "description") + (reference.empty() ? "" : " (" + reference + ")")});
  }
  print_or_say(context.out, std::move(table), "no drops");
}

}  // namespace millrace::cli
