// Lengths of time, instants and lists of nodes, to and from the text that people use. Functions on characters: no clock, no cluster; an instant
// is read in the time zone of this process.
#include "scheduler/protocol/text_forms.h"

#include <algorithm>
#include <array>
#include <ctime>
#include <limits>
#include <map>
#include <set>
#include <tuple>

#include "scheduler/model/edit_distance.h"

namespace ultramarine::protocol {
namespace {

constexpr std::size_t names_max = 65'536;
constexpr std::size_t digits_max = 18;  // such numbers always fit 64 bits

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_name_character(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' || c == '_' || c == '-';
}

/// Takes the number that `text` starts with; nullopt when there is none or it has more than 18 digits.
std::optional<std::int64_t> take_number(std::string_view& text) {
  std::int64_t value = 0;
  std::size_t length = 0;
  while (length < text.size() && is_digit(text[length])) {
    if (length == digits_max) return std::nullopt;
    value = value * 10 + (text[length++] - '0');
  }
  if (length == 0) return std::nullopt;
  text.remove_prefix(length);
  return value;
}

/// total + count * unit_ms; false when that overflows.
bool add_checked(std::int64_t& total, std::int64_t count, std::int64_t unit_ms) {
  std::int64_t product = 0;
  return !__builtin_mul_overflow(count, unit_ms, &product) && !__builtin_add_overflow(total, product, &total);
}

struct Unit {
  std::string_view word;
  std::int64_t ms;
};
// `ms` before `m`: the longer word wins.
constexpr std::array<Unit, 5> units{{{"d", 86'400'000}, {"h", 3'600'000}, {"ms", 1}, {"m", 60'000}, {"s", 1'000}}};

/// `1h30m`, `1d 4h`: each unit at most once, from the largest down.
std::optional<Duration> parse_units(std::string_view text) {
  std::int64_t total = 0;
  std::int64_t smallest = std::numeric_limits<std::int64_t>::max();
  while (!text.empty()) {
    const auto count = take_number(text);
    if (!count) return std::nullopt;
    const auto* unit = std::find_if(units.begin(), units.end(), [&](const Unit& one) { return text.starts_with(one.word); });
    if (unit == units.end() || unit->ms >= smallest || !add_checked(total, *count, unit->ms)) return std::nullopt;
    smallest = unit->ms;
    text.remove_prefix(unit->word.size());
    while (text.size() > 1 && text.front() == ' ') text.remove_prefix(1);
  }
  return Duration{total};
}

/// `minutes`, `min:sec`, `h:m:s`, `d-h`, `d-h:m`, `d-h:m:s`.
std::optional<Duration> parse_slurm(std::string_view text) {
  std::int64_t total = 0;
  const bool with_days = text.find('-') != std::string_view::npos;
  if (with_days) {
    const auto days = take_number(text);
    if (!days || !text.starts_with('-') || !add_checked(total, *days, 86'400'000)) return std::nullopt;
    text.remove_prefix(1);
  }
  std::vector<std::int64_t> fields;
  while (true) {
    const auto field = take_number(text);
    if (!field || fields.size() == 3) return std::nullopt;
    fields.push_back(*field);
    if (text.empty()) break;
    if (text.front() != ':') return std::nullopt;
    text.remove_prefix(1);
  }
  // Without days one or two fields start at the minutes; everything else starts at the hours.
  constexpr std::array<std::int64_t, 3> ms{3'600'000, 60'000, 1'000};
  const std::size_t first = !with_days && fields.size() < 3 ? 1 : 0;
  for (std::size_t i = 0; i < fields.size(); ++i) {
    if (!add_checked(total, fields[i], ms[first + i])) return std::nullopt;
  }
  return Duration{total};
}

/// The parts of an instant that somebody said.
struct Said {
  std::optional<int> year, month, day;  // month and day come together
  std::optional<std::array<int, 3>> clock;
};

std::optional<int> two_digits(std::string_view& text) {
  if (text.size() < 2 || !is_digit(text[0]) || !is_digit(text[1])) return std::nullopt;
  const int value = (text[0] - '0') * 10 + (text[1] - '0');
  text.remove_prefix(2);
  return value;
}

/// `16:00`, `4:30:15pm`, and words.
bool take_clock(std::string_view text, Said& said) {
  constexpr std::array<std::pair<std::string_view, int>, 5> words{{{"midnight", 0}, {"noon", 12}, {"elevenses", 11}, {"fika", 15}, {"teatime", 16}}};
  for (const auto& [word, hour] : words)
    if (text == word) return said.clock = {hour, 0, 0}, true;
  int half = -1;  // 0 = before noon
  if (text.size() > 2 && text.back() == 'm' && (text[text.size() - 2] == 'a' || text[text.size() - 2] == 'p')) {
    half = text[text.size() - 2] == 'p';
    text.remove_suffix(2);
    while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  }
  std::array<int, 3> fields{};
  std::size_t count = 0;
  while (true) {
    const std::size_t before = text.size();
    const auto field = take_number(text);
    if (!field || before - text.size() > 2 || count == 3) return false;
    fields[count++] = static_cast<int>(*field);
    if (text.empty()) break;
    if (text.front() != ':') return false;
    text.remove_prefix(1);
  }
  if (count < 2 && half < 0) return false;  // a bare number is no time
  if (half >= 0) {
    if (fields[0] < 1 || fields[0] > 12) return false;
    fields[0] = fields[0] % 12 + 12 * half;
  }
  if (fields[0] > 23 || fields[1] > 59 || fields[2] > 59) return false;
  said.clock = fields;
  return true;
}

/// `2026-12-24`, `12/24`, `12/24/26`, `12.24`, `1224`, `122426`.
bool take_date(std::string_view text, Said& said) {
  const auto take_fields = [&](char between, std::vector<std::pair<int, std::size_t>>& fields) {
    while (true) {
      const std::size_t before = text.size();
      const auto field = take_number(text);
      if (!field || *field > 9999 || fields.size() == 3) return false;
      fields.emplace_back(static_cast<int>(*field), before - text.size());
      if (text.empty()) return true;
      if (text.front() != between) return false;
      text.remove_prefix(1);
    }
  };
  const auto year_of = [](std::pair<int, std::size_t> field) -> std::optional<int> {
    if (field.second == 4) return field.first;
    return field.second == 2 ? std::optional(2000 + field.first) : std::nullopt;
  };
  std::vector<std::pair<int, std::size_t>> fields;
  if (text.find('-') != std::string_view::npos) {
    if (!take_fields('-', fields) || fields.size() != 3 || fields[0].second != 4) return false;
    said.year = fields[0].first, said.month = fields[1].first, said.day = fields[2].first;
    return true;
  }
  for (const char between : {'/', '.'}) {
    if (text.find(between) == std::string_view::npos) continue;
    if (!take_fields(between, fields) || fields.size() < 2) return false;
    said.month = fields[0].first, said.day = fields[1].first;
    if (fields.size() == 3 && !(said.year = year_of(fields[2]))) return false;
    return true;
  }
  if (text.size() != 4 && text.size() != 6) return false;
  said.month = two_digits(text), said.day = two_digits(text);
  if (!text.empty() && said.day && !(said.year = two_digits(text))) return false;
  if (said.year) *said.year += 2000;
  return said.month && said.day;
}

std::tm local_parts(Time now) {
  const std::time_t seconds = static_cast<std::time_t>(now.ms / 1000);
  std::tm parts{};
  localtime_r(&seconds, &parts);
  return parts;
}

/// nullopt when there is no such day.
std::optional<Time> local_instant(int year, int month, int day, const std::array<int, 3>& clock) {
  std::tm parts{};
  parts.tm_year = year - 1900, parts.tm_mon = month - 1, parts.tm_mday = day;
  parts.tm_hour = clock[0], parts.tm_min = clock[1], parts.tm_sec = clock[2];
  parts.tm_isdst = -1;
  std::tm settled = parts;
  const std::time_t seconds = std::mktime(&settled);
  if (settled.tm_mon != parts.tm_mon || settled.tm_mday != parts.tm_mday || settled.tm_year != parts.tm_year) return std::nullopt;
  return Time{static_cast<std::int64_t>(seconds) * 1000};
}

std::optional<Time> instant_of(const Said& said, Time now) {
  constexpr std::array<int, 3> midnight{};
  const std::tm today = local_parts(now);
  if (said.month) {
    const auto in_year = [&](int year) { return local_instant(year, *said.month, *said.day, said.clock.value_or(midnight)); };
    if (said.year) return in_year(*said.year);
    const bool is_today = *said.month == today.tm_mon + 1 && *said.day == today.tm_mday;
    const auto this_year = in_year(today.tm_year + 1900);
    return this_year && (*this_year >= now || (is_today && !said.clock)) ? this_year : in_year(today.tm_year + 1901);
  }
  const auto on = [&](int days) {
    std::tm day = today;
    day.tm_mday += days, day.tm_hour = 12, day.tm_min = day.tm_sec = 0, day.tm_isdst = -1;
    std::mktime(&day);
    return local_instant(day.tm_year + 1900, day.tm_mon + 1, day.tm_mday, *said.clock);
  };
  const auto first = on(0);
  return first && *first > now ? first : on(1);
}

/// `now`, `now+60`, `now+2hours`, `now+1h30m`.
std::optional<Time> parse_from_now(std::string_view text, Time now) {
  if (text.empty()) return now;
  if (text.front() != '+') return std::nullopt;
  text.remove_prefix(1);
  constexpr std::int64_t farthest_ms = 3650LL * 86'400'000;
  const auto later = [&](Duration length) -> std::optional<Time> {
    if (length.ms > farthest_ms) return std::nullopt;
    return now + length;
  };
  std::string_view rest = text;
  const auto count = take_number(rest);
  if (!count) return std::nullopt;
  while (!rest.empty() && rest.front() == ' ') rest.remove_prefix(1);
  constexpr std::array<std::pair<std::string_view, std::int64_t>, 5> words{
      {{"second", 1'000}, {"minute", 60'000}, {"hour", 3'600'000}, {"day", 86'400'000}, {"week", 604'800'000}}};
  if (rest.empty()) return *count > farthest_ms / 1000 ? std::nullopt : later({*count * 1000});
  for (const auto& [word, ms] : words)
    if ((rest == word || (rest.size() == word.size() + 1 && rest.starts_with(word) && rest.back() == 's')))
      return *count > farthest_ms / ms ? std::nullopt : later({*count * ms});
  const auto length = parse_units(text);
  return length ? later(*length) : std::nullopt;
}

std::string padded(std::int64_t number, std::size_t width) {
  std::string digits = std::to_string(number);
  return digits.size() < width ? std::string(width - digits.size(), '0') + digits : digits;
}

struct Range {
  std::int64_t first = 0, last = 0;
  std::size_t width = 1;  // zero padding
};

/// The inside of one bracket: `01-08,10`.
std::optional<std::vector<Range>> parse_ranges(std::string_view text) {
  std::vector<Range> ranges;
  std::size_t count = 0;
  while (true) {
    const std::string_view first_text = text;
    const auto first = take_number(text);
    if (!first) return std::nullopt;
    const std::size_t first_length = first_text.size() - text.size();
    Range range{*first, *first, first_text.front() == '0' ? first_length : 1};
    if (text.starts_with('-')) {
      text.remove_prefix(1);
      const std::string_view last_text = text;
      const auto last = take_number(text);
      const std::size_t last_length = last_text.size() - text.size();
      if (!last || *last < *first) return std::nullopt;
      // `1-08` and `001-08` don't say which padding is meant.
      if (last_length < first_length || (last_length > first_length && last_text.front() == '0')) return std::nullopt;
      range.last = *last;
    }
    const auto size = static_cast<std::uint64_t>(range.last) - static_cast<std::uint64_t>(range.first) + 1;
    if (size > names_max - count) return std::nullopt;
    count += size;
    ranges.push_back(range);
    if (text.empty()) return ranges;
    if (text.front() != ',') return std::nullopt;
    text.remove_prefix(1);
  }
}

/// One entry of a hostlist (no commas outside brackets): the product of its brackets.
bool expand_entry(std::string_view entry, std::vector<std::string>& out) {
  if (entry.empty()) return false;
  std::vector<std::string> names{""};
  while (!entry.empty()) {
    if (entry.front() != '[') {
      if (!is_name_character(entry.front())) return false;
      const std::size_t length = std::min(entry.find('['), entry.size());
      const std::string_view literal = entry.substr(0, length);
      if (!std::all_of(literal.begin(), literal.end(), is_name_character)) return false;
      for (auto& name : names) name += literal;
      entry.remove_prefix(length);
      continue;
    }
    const std::size_t end = entry.find(']');
    if (end == std::string_view::npos) return false;
    const auto ranges = parse_ranges(entry.substr(1, end - 1));
    if (!ranges) return false;
    std::size_t choices = 0;
    for (const auto& range : *ranges) choices += static_cast<std::size_t>(range.last - range.first + 1);
    if (names.size() * choices > names_max) return false;
    std::vector<std::string> longer;
    longer.reserve(names.size() * choices);
    for (const auto& name : names) {
      for (const auto& range : *ranges) {
        for (std::int64_t number = range.first; number <= range.last; ++number) longer.push_back(name + padded(number, range.width));
      }
    }
    names = std::move(longer);
    entry.remove_prefix(end + 1);
  }
  if (out.size() + names.size() > names_max) return false;
  std::move(names.begin(), names.end(), std::back_inserter(out));
  return true;
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

/// A name cut at its last number.
struct NameParts {
  std::string prefix, digits, suffix;
};

NameParts cut_at_last_number(const std::string& name) {
  std::size_t end = name.size();
  while (end > 0 && !is_digit(name[end - 1])) --end;
  std::size_t begin = end;
  while (begin > 0 && is_digit(name[begin - 1])) --begin;
  if (end - begin == 0 || end - begin > digits_max) return {name, "", ""};
  return {name.substr(0, begin), name.substr(begin, end - begin), name.substr(end)};
}

}  // namespace

std::optional<Duration> parse_duration(std::string_view text) {
  text = trimmed(text);
  if (text.empty()) return std::nullopt;
  const bool has_unit = std::any_of(text.begin(), text.end(), [](char c) { return c == 'd' || c == 'h' || c == 'm' || c == 's'; });
  return has_unit ? parse_units(text) : parse_slurm(text);
}

std::optional<Time> parse_instant(std::string_view given, Time now) {
  std::string small(trimmed(given));
  for (char& c : small) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  std::string_view text = small;
  if (text.starts_with("now")) return parse_from_now(text.substr(3), now);
  if (text.starts_with('@')) {
    text.remove_prefix(1);
    const auto seconds = take_number(text);
    return seconds && text.empty() && *seconds < 253'402'300'800 ? std::optional(Time{*seconds * 1000}) : std::nullopt;  // up to the year 9999
  }
  Said said;
  const auto on_day = [&](int days) {
    std::tm day = local_parts(now);
    day.tm_mday += days, day.tm_hour = 12, day.tm_isdst = -1;
    std::mktime(&day);
    said.year = day.tm_year + 1900, said.month = day.tm_mon + 1, said.day = day.tm_mday;
  };
  constexpr std::array<std::pair<std::string_view, int>, 2> days{{{"today", 0}, {"tomorrow", 1}}};
  for (const auto& [word, ahead] : days) {
    if (!text.starts_with(word)) continue;
    on_day(ahead);
    text.remove_prefix(word.size());
    if (text.empty()) return instant_of(said, now);
    if (text.front() != 't' && text.front() != ' ' && text.front() != '-') return std::nullopt;
    return take_clock(trimmed(text.substr(1)), said) ? instant_of(said, now) : std::nullopt;
  }
  if (take_clock(text, said)) return instant_of(said, now);
  // A date, then perhaps a time behind `T`, `-` or a blank (but not behind a dash of 2026-12-24).
  std::size_t cut = text.find_first_of("t ");
  if (cut == std::string_view::npos && text.find_first_of("/.") != std::string_view::npos) cut = text.find('-');
  if (!take_date(text.substr(0, cut), said)) return std::nullopt;
  if (cut != std::string_view::npos && !take_clock(trimmed(text.substr(cut + 1)), said)) return std::nullopt;
  return instant_of(said, now);
}

std::string format_duration(Duration length) {
  if (length.ms < 0) {
    if (length.ms == std::numeric_limits<std::int64_t>::min()) ++length.ms;
    return "-" + format_duration({-length.ms});
  }
  if (length.ms == 0) return "0s";
  if (length.ms < 1000) return std::to_string(length.ms) + "ms";
  const std::int64_t total_s = length.ms / 1000;
  const auto two = [](std::int64_t large, const char* large_unit, std::int64_t small, const char* small_unit, std::size_t width) {
    const std::string first = std::to_string(large) + large_unit;
    return small == 0 ? first : first + " " + padded(small, width) + small_unit;
  };
  if (total_s < 60) return std::to_string(total_s) + "s";
  if (total_s < 3600) return two(total_s / 60, "m", total_s % 60, "s", 2);
  if (total_s < 86'400) return two(total_s / 3600, "h", total_s % 3600 / 60, "m", 2);
  return two(total_s / 86'400, "d", total_s % 86'400 / 3600, "h", 1);
}

std::optional<std::vector<std::string>> expand_hostlist(std::string_view text) {
  std::vector<std::string> names;
  std::size_t begin = 0;
  bool inside = false;
  for (std::size_t i = 0; i <= text.size(); ++i) {
    if (i < text.size() && text[i] == '[') {
      if (inside) return std::nullopt;
      inside = true;
    }
    if (i < text.size() && text[i] == ']') {
      if (!inside) return std::nullopt;
      inside = false;
    }
    if (i < text.size() && (text[i] != ',' || inside)) continue;
    if (!expand_entry(trimmed(text.substr(begin, i - begin)), names)) return std::nullopt;
    begin = i + 1;
  }
  return names;
}

std::string fold_hostlist(const std::vector<std::string>& names) {
  // Padded widths that each (prefix, suffix) is seen with: "10" goes with "08", but with "8" when nothing is padded.
  std::map<std::pair<std::string, std::string>, std::set<std::size_t>> padded_widths;
  std::vector<NameParts> parts;
  parts.reserve(names.size());
  for (const auto& name : names) {
    parts.push_back(cut_at_last_number(name));
    const auto& [prefix, digits, suffix] = parts.back();
    if (digits.size() > 1 && digits.front() == '0') padded_widths[{prefix, suffix}].insert(digits.size());
  }

  struct Group {
    std::string prefix, suffix;
    std::size_t width = 0;  // 0: the name has no number
    std::set<std::int64_t> numbers;
  };
  std::vector<Group> groups;  // in order of appearance
  std::map<std::tuple<std::string, std::string, std::size_t>, std::size_t> index;
  for (const auto& [prefix, digits, suffix] : parts) {
    std::size_t width = digits.empty() ? 0 : 1;
    if (digits.size() > 1) {
      for (const std::size_t candidate : padded_widths[{prefix, suffix}]) {
        if (digits.front() == '0' ? candidate == digits.size() : candidate <= digits.size()) width = candidate;
      }
    }
    const auto [place, is_new] = index.try_emplace({prefix, suffix, width}, groups.size());
    if (is_new) groups.push_back({prefix, suffix, width, {}});
    if (width > 0) groups[place->second].numbers.insert(std::stoll(digits));
  }

  std::string out;
  for (const auto& group : groups) {
    if (!out.empty()) out += ',';
    out += group.prefix;
    if (group.width > 0) {
      std::string ranges;
      for (auto it = group.numbers.begin(); it != group.numbers.end();) {
        const std::int64_t first = *it;
        std::int64_t last = first;
        while (++it != group.numbers.end() && *it == last + 1) last = *it;
        if (!ranges.empty()) ranges += ',';
        ranges += padded(first, group.width);
        if (last > first) ranges += '-' + padded(last, group.width);
      }
      out += group.numbers.size() > 1 ? '[' + ranges + ']' : ranges;
    }
    out += group.suffix;
  }
  return out;
}

std::string nearest_word(std::string_view word, const std::vector<std::string>& known) {
  if (word.empty() || word.size() > 64) return "";
  std::string best;
  std::size_t best_distance = 3;
  for (const auto& candidate : known) {
    // Two changes of a word of three letters make any other word: at most half of it may differ.
    const std::size_t limit = std::min<std::size_t>(2, std::max(word.size(), candidate.size()) / 2);
    const std::size_t distance = edit_distance(word, candidate);
    if (distance <= limit && distance < best_distance) {
      best = candidate;
      best_distance = distance;
    }
  }
  if (best.empty() && word.size() >= 3) {
    for (const auto& candidate : known) {
      if (candidate.starts_with(word)) return candidate;
    }
  }
  return best;
}

}  // namespace ultramarine::protocol
