#include "collectives/benchmark/report.h"

#include <cinttypes>
#include <cstdio>

namespace ultramarine::collectives::benchmark {
namespace {

template <class... Values>
std::string format(const char* pattern, Values... values) {
  char text[512];
  std::snprintf(text, sizeof text, pattern, values...);
  return text;
}

std::string redop_of(const Run& run) {
  return reduces(run.kind) ? std::string(name_of(run.settings.operation)) : "none";
}
int root_of(const Run& run) { return run.kind == Kind::broadcast ? run.settings.root : -1; }

std::string columns_of(const Measured& measured) {
  const double time = measured.rate.time_us;
  const std::string text = format(time >= 10'000 ? "%7.0f" : time >= 100 ? "%7.1f" : "%7.2f", time);
  const std::string wrong = measured.wrong ? std::to_string(*measured.wrong) : "N/A";
  return format("  %7s  %6.2f  %6.2f  %5s", text.c_str(), measured.rate.algbw, measured.rate.busbw, wrong.c_str());
}

std::string json_of(const Measured& measured) {
  return format(R"({"time_us":%.9g,"algbw":%.9g,"busbw":%.9g,"wrong":%s})", measured.rate.time_us, measured.rate.algbw,
                measured.rate.busbw, measured.wrong ? std::to_string(*measured.wrong).c_str() : "null");
}

std::string json_of(const Run& run) {
  std::string text = format(
      R"({"backend":"%s","operation":"%s","type":"%s","redop":"%s","root":%d,"ranks":%d,"warmup":%d,"iterations":%d,)",
      std::string(run.backend).c_str(), std::string(name_of(run.kind)).c_str(), column_name(run.type).c_str(),
      redop_of(run).c_str(), root_of(run), run.ranks, run.settings.warmup, run.settings.iterations);
  text += format(R"("average_busbw":%.9g,"wrong":%s,"rows":[)", run.average_busbw(),
                 run.settings.check ? std::to_string(run.wrong()).c_str() : "null");
  for (std::size_t i = 0; i < run.rows.size(); ++i) {
    const Row& row = run.rows[i];
    text += format(R"(%s{"size":%zu,"count":%zu,)", i ? ",\n  " : "\n  ", row.shape.bytes(), row.shape.count);
    text += "\"out_of_place\":" + json_of(row.out_of_place) + ",\"in_place\":" + json_of(row.in_place) + "}";
  }
  return text + "]}";
}

}  // namespace

double Run::average_busbw() const {
  double sum = 0;
  for (const Row& row : rows) sum += row.out_of_place.rate.busbw + row.in_place.rate.busbw;
  return rows.empty() ? 0 : sum / static_cast<double>(2 * rows.size());
}

std::int64_t Run::wrong() const {
  std::int64_t sum = 0;
  for (const Row& row : rows) sum += row.out_of_place.wrong.value_or(0) + row.in_place.wrong.value_or(0);
  return sum;
}

std::string table_head(const Run& run) {
  std::string text = format("# ultra-perf %s: backend %s, ranks %d, warmup iters %d, iters %d, validation %d\n#\n",
                            std::string(name_of(run.kind)).c_str(), std::string(run.backend).c_str(), run.ranks,
                            run.settings.warmup, run.settings.iterations, run.settings.check ? 1 : 0);
  text += format("# %10s  %12s  %8s  %6s  %6s           out-of-place                       in-place          \n", "",
                 "", "", "", "");
  text += format("# %10s  %12s  %8s  %6s  %6s  %7s  %6s  %6s %6s  %7s  %6s  %6s %6s\n", "size", "count", "type",
                 "redop", "root", "time", "algbw", "busbw", "#wrong", "time", "algbw", "busbw", "#wrong");
  return text + format("# %10s  %12s  %8s  %6s  %6s  %7s  %6s  %6s  %5s  %7s  %6s  %6s  %5s\n", "(B)", "(elements)", "",
                       "", "", "(us)", "(GB/s)", "(GB/s)", "", "(us)", "(GB/s)", "(GB/s)", "");
}

std::string table_row(const Run& run, const Row& row) {
  return format("%12zu  %12zu  %8s  %6s  %6d", row.shape.bytes(), row.shape.count, column_name(run.type).c_str(),
                redop_of(run).c_str(), root_of(run)) +
         columns_of(row.out_of_place) + columns_of(row.in_place) + "\n";
}

std::string table_foot(const Run& run) {
  const std::string wrong =
      run.settings.check ? std::to_string(run.wrong()) + (run.wrong() == 0 ? " OK" : " FAILED") : "N/A";
  return "# Out of bounds values : " + wrong + "\n" + format("# Avg bus bandwidth    : %g\n#\n", run.average_busbw());
}

std::string json_of(const std::vector<Run>& runs) {
  std::string text = "{\"runs\":[";
  for (std::size_t i = 0; i < runs.size(); ++i) text += (i ? ",\n " : "\n ") + json_of(runs[i]);
  return text + "]}\n";
}

}  // namespace ultramarine::collectives::benchmark
