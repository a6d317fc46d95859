// `millrace load`: a file of routes, in batches over one connection.
#include <chrono>
#include <ostream>

#include "cli/commands.h"
#include "cli/line_batches.h"
#include "cli/text.h"

namespace millrace::cli {

namespace {

constexpr std::size_t kErrorsInDocument = 20;  // as many as the API gives for a batch

struct Totals {
  std::uint64_t added = 0;
  std::uint64_t replaced = 0;
  std::uint64_t removed = 0;
  std::uint64_t unchanged = 0;
  std::uint64_t failed = 0;
  Json errors = Json::array();
  [[nodiscard]] std::uint64_t done() const { return added + replaced + removed + unchanged; }
};

class Loader {
 public:
  Loader(Context& context, const std::string& file) : context_(context), name_(shown_name(file)) {}

  void run(LineBatches& batches);
  void print_totals() const;
  [[nodiscard]] const Totals& totals() const { return totals_; }

 private:
  void send(Batch& batch);
  void take(const Json& answer, const Batch& batch);
  void report(std::size_t line, const std::string& message);
  void draw_progress() const;
  void erase_progress() const;
  [[nodiscard]] double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }

  Context& context_;
  std::string name_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  Totals totals_;
};

void Loader::run(LineBatches& batches) {
  try {
    Batch batch;
    while (batches.next(batch)) {
      send(batch);
      draw_progress();
    }
    erase_progress();
  } catch (const Failure& failure) {
    erase_progress();
    if (totals_.done() == 0) throw;
    throw Failure(std::string(failure.what()) + " (" + counted(totals_.done(), "route was", "routes were") +
                  " loaded before)");
  }
}

void Loader::send(Batch& batch) {
  for (const std::size_t line : batch.too_long) {
    ++totals_.failed;
    report(line, "longer than " + grouped(std::uint64_t{LineBatches::kMaxLine}) + " characters");
  }
  take(context_.api.post("/v1/routes:batch", std::move(batch.text), "text/plain"), batch);
}

// The API counts lines from the start of the batch, people from the start of the file.
void Loader::take(const Json& answer, const Batch& batch) {
  totals_.added += unsigned_of(answer, "added");
  totals_.replaced += unsigned_of(answer, "replaced");
  totals_.removed += unsigned_of(answer, "removed");
  totals_.unchanged += unsigned_of(answer, "unchanged");
  const std::uint64_t failed = unsigned_of(answer, "failed");
  totals_.failed += failed;
  const Json& errors = part_of(answer, "errors");
  for (const Json& error : errors) {
    report(batch.first_line + unsigned_of(error, "line") - 1, text_of(error, "message"));
  }
  if (failed > errors.size() && !context_.json) {
    context_.err << name_ << ": " << counted(failed - errors.size(), "more error", "more errors")
                 << " in lines " << batch.first_line << " to " << batch.first_line + batch.lines - 1 << '\n';
  }
}

void Loader::report(std::size_t line, const std::string& message) {
  if (totals_.errors.size() < kErrorsInDocument) {
    totals_.errors.push_back({{"line", line}, {"message", message}});
  }
  if (context_.json) return;
  erase_progress();
  context_.err << name_ << ':' << line << ": " << message << '\n';
}

void Loader::draw_progress() const {
  if (!context_.err_is_terminal || context_.json) return;
  context_.err << '\r' << counted(totals_.done(), "route", "routes") << " in " << duration(seconds())
               << "\x1b[K" << std::flush;
}

void Loader::erase_progress() const {
  if (context_.err_is_terminal && !context_.json) context_.err << "\r\x1b[K" << std::flush;
}

void Loader::print_totals() const {
  if (context_.json) {
    return print_json(context_.out, {{"added", totals_.added},
                                     {"replaced", totals_.replaced},
                                     {"removed", totals_.removed},
                                     {"unchanged", totals_.unchanged},
                                     {"failed", totals_.failed},
                                     {"errors", totals_.errors},
                                     {"seconds", seconds()}});
  }
  context_.out << counted(totals_.done(), "route", "routes") << " in " << fixed(seconds(), 2) << " s: added "
               << grouped(totals_.added) << ", replaced " << grouped(totals_.replaced) << ", removed "
               << grouped(totals_.removed) << ", unchanged " << grouped(totals_.unchanged) << ", failed "
               << grouped(totals_.failed) << '\n';
}

}  // namespace

void load(Context& context, const std::string& file) {
  LineBatches batches(file);
  Loader loader(context, file);
  loader.run(batches);
  loader.print_totals();
  const std::uint64_t failed = loader.totals().failed;
  if (failed != 0) throw Failure(counted(failed, "line", "lines") + " of " + shown_name(file) + " failed");
}

}  // namespace millrace::cli
