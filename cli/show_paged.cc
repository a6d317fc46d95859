// `millrace show routes|fib`: tables of a million entries, fetched page by page and printed as they come.
#include <algorithm>
#include <functional>
#include <ostream>

#include "cli/commands.h"
#include "cli/table.h"
#include "cli/text.h"

namespace millrace::cli {

namespace {

// Small at first, so that `| head` is quick; then what the API allows.
constexpr std::uint64_t kFirstPage = 1'000;
constexpr std::uint64_t kNextPages = 10'000;

// What the last page said, and how much was shown.
struct Paged {
  std::uint64_t shown = 0;
  std::uint64_t total = 0;
  std::string next;  // the cursor of what was not fetched because of the limit
};

using OnPage = std::function<void(const Json& items)>;

std::uint64_t page_size(const Filter& filter, std::uint64_t shown) {
  const std::uint64_t size = shown == 0 ? kFirstPage : kNextPages;
  return filter.limit == 0 ? size : std::min(size, filter.limit - shown);
}

Paged fetch_pages(Context& context, const char* path, const char* key, const Filter& filter,
                  const OnPage& on_page) {
  Paged paged;
  do {
    const std::string size = std::to_string(page_size(filter, paged.shown));
    const Json page = context.api.get(target(path, {{"prefix", filter.prefix},
                                                    {"orlonger", filter.orlonger ? "1" : ""},
                                                    {"source", filter.source},
                                                    {"via", filter.via},
                                                    {"limit", size},
                                                    {"after", paged.next}}));
    const Json& items = part_of(page, key);
    on_page(items);
    paged.shown += items.size();
    paged.total = unsigned_of(page, "total");
    const Json& next = part_of(page, "next");
    paged.next = next.is_string() ? next.get<std::string>() : "";
    if (!context.out) return paged;  // nobody reads any more: run() says why
  } while (!paged.next.empty() && (filter.limit == 0 || paged.shown < filter.limit));
  return paged;
}

// One document out of all pages, without holding them: {"routes":[...],"total":N,"next":null}.
void print_merged(Context& context, const char* path, const char* key, const Filter& filter) {
  std::ostream& out = context.out;
  const char* separator = "\n";
  out << "{\"" << key << "\":[";
  const Paged paged = fetch_pages(context, path, key, filter, [&](const Json& items) {
    for (const Json& item : items) {
      out << separator << item.dump(-1, ' ', /*ensure_ascii=*/true);
      separator = ",\n";
    }
  });
  const Json next = paged.next.empty() ? Json() : Json(paged.next);
  out << "\n],\"total\":" << paged.total << ",\"next\":" << next.dump(-1, ' ', /*ensure_ascii=*/true)
      << "}\n";
}

void print_table(Context& context, const char* path, const char* key, const Filter& filter, Table table,
                 const std::function<void(Table&, const Json&)>& add_row) {
  const Paged paged = fetch_pages(context, path, key, filter, [&](const Json& items) {
    for (const Json& item : items) add_row(table, item);
    if (!table.empty()) table.print(context.out);
  });
  if (paged.shown == 0) {
    context.out << "no " << (std::string_view(key) == "routes" ? "routes" : "FIB entries") << '\n';
  } else if (!paged.next.empty()) {
    context.out << "... stopped at the limit: " << grouped(paged.shown) << " shown, " << grouped(paged.total)
                << " in the whole table\n";
  }
}

void add_route(Table& table, const Json& route) {
  std::string via;
  std::string state;
  for (const Json& hop : part_of(route, "via")) {
    via += (via.empty() ? "" : "\n") + weighted_via_of(hop);
    state += (state.empty() ? "" : "\n") + text_of(hop, "state");
  }
  if (via.empty()) via = text_of(route, "type");
  table.row({flag_of(route, "best") ? "*" : "", text_of(route, "prefix"), text_of(route, "source"),
             text_of(route, "distance"), text_of(route, "metric"), via, state, text_of(route, "owner")});
}

}  // namespace

void show_routes(Context& context, const Filter& filter) {
  if (context.json) return print_merged(context, "/v1/routes", "routes", filter);
  Table table({{"BEST"},
               {"PREFIX"},
               {"SOURCE"},
               number("DIST"),
               number("METRIC"),
               {"VIA"},
               {"STATE"},
               elastic("OWNER")});
  print_table(context, "/v1/routes", "routes", filter, std::move(table), add_route);
}

void show_fib(Context& context, const Filter& filter) {
  if (context.json) return print_merged(context, "/v1/fib", "entries", filter);
  Table table({{"PREFIX"}, number("NEXT-HOP"), {"KIND"}, elastic("DETAIL")});
  print_table(context, "/v1/fib", "entries", filter, std::move(table), [](Table& rows, const Json& entry) {
    rows.row({text_of(entry, "prefix"), text_of(entry, "next_hop"), text_of(entry, "kind"),
              text_of(entry, "detail")});
  });
}

}  // namespace millrace::cli
