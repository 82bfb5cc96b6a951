#include "worker/launcher/shim_log.h"

#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <string>

namespace ultramarine::launcher::shim_log {
namespace {

/// One write for each line: the file is appended to, so lines stay whole. When it can't be written, there is nobody to tell.
void write_line(const char* level, std::string_view text) {
  using namespace std::chrono;
  const auto now = std::chrono::floor<std::chrono::milliseconds>(system_clock::now());
  const auto today = std::chrono::floor<days>(now);
  const year_month_day date(today);
  const hh_mm_ss time(now - today);
  char stamp[48];
  std::snprintf(stamp, sizeof stamp, "%04d-%02u-%02uT%02d:%02d:%02d.%03d ", static_cast<int>(date.year()), static_cast<unsigned>(date.month()),
                static_cast<unsigned>(date.day()), static_cast<int>(time.hours().count()), static_cast<int>(time.minutes().count()),
                static_cast<int>(time.seconds().count()), static_cast<int>(time.subseconds().count()));
  std::string line = std::string(stamp) + level + " ";
  line.append(text).append("\n");
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace

void info(std::string_view text) { write_line("info", text); }
void warn(std::string_view text) { write_line("warning", text); }
void error(std::string_view text) { write_line("error", text); }

}  // namespace ultramarine::launcher::shim_log
