#include "scheduler/batch/values.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <set>

#include "scheduler/protocol/text_forms.h"

namespace ultramarine::batch {
namespace {

constexpr std::int64_t count_max = 1'000'000;
constexpr std::int64_t array_count_max = 10'000, array_index_max = 4'000'000;
constexpr std::int64_t kibi = 1024, mebi = kibi * 1024, gibi = mebi * 1024, tebi = gibi * 1024;
constexpr std::int64_t signal_before_max_s = 65'535;

std::string in_quotes(const std::string& text) { return "\"" + text + "\""; }

/// Decimal digits and nothing else; at most 15 of them, so that sums and products by units fit.
std::optional<std::int64_t> whole_number(std::string_view text) {
  if (text.empty() || text.size() > 15 || text.find_first_not_of("0123456789") != std::string_view::npos) return std::nullopt;
  std::int64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  std::size_t from = 0;
  for (;;) {
    const std::size_t end = text.find(separator, from);
    parts.push_back(text.substr(from, end == std::string::npos ? std::string::npos : end - from));
    if (end == std::string::npos) return parts;
    from = end + 1;
  }
}

/// Bytes of `digits` times its unit; nullopt when it is malformed or larger than 2^60. `bare` = the unit of a number alone, 0 = not
/// allowed.
std::optional<std::int64_t> bytes_of(const std::string& text, std::int64_t bare) {
  const std::size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
  const auto number = whole_number(std::string_view(text).substr(0, digits));
  static const std::map<std::string, std::int64_t> units{{"k", kibi},   {"kb", kibi},  {"kib", kibi}, {"m", mebi},
                                                         {"mb", mebi},  {"mib", mebi}, {"g", gibi},   {"gb", gibi},
                                                         {"gib", gibi}, {"t", tebi},   {"tb", tebi},  {"tib", tebi}};
  const std::string unit = lower_case(text.substr(digits));
  const auto found = units.find(unit);
  if (!number || (unit.empty() ? bare == 0 : found == units.end())) return std::nullopt;
  const std::int64_t factor = unit.empty() ? bare : found->second;
  std::int64_t bytes = 0;
  if (__builtin_mul_overflow(*number, factor, &bytes) || bytes > (std::int64_t{1} << 60)) return std::nullopt;
  return bytes;
}

bool is_name(const std::string& text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '-' || c == '.' || c == '*';
  });
}

/// `12` or `12_3`.
TypedDependency named_job(const std::string& text, DependencyCondition condition, const std::string& where) {
  const std::size_t bar = text.find('_');
  const auto job = whole_number(text.substr(0, bar));
  TypedDependency dependency{{job.value_or(0)}, std::nullopt, condition};
  if (bar != std::string::npos) dependency.element = whole_number(text.substr(bar + 1));
  if (!job || *job < 1 || (bar != std::string::npos && !dependency.element))
    throw Problem(where, in_quotes(text) + " is no job", "give a job's number, or 12_3 for element 3 of array 12");
  return dependency;
}

std::string without_brackets(const std::string& text) {
  return text.size() > 2 && text.starts_with('[') && text.ends_with(']') ? text.substr(1, text.size() - 2) : text;
}

/// One part of an array's list, `3`, `1-5` or `0-15:4`, added to `indices`.
void add_array_part(const std::string& part, std::set<std::int64_t>& indices, const std::string& text, const std::string& where) {
  const std::size_t colon = part.find(':');
  const std::string range = part.substr(0, colon);
  const std::size_t dash = range.find('-');
  const auto first = whole_number(range.substr(0, dash));
  const auto last = dash == std::string::npos ? first : whole_number(range.substr(dash + 1));
  const auto step = colon == std::string::npos ? std::optional<std::int64_t>(1) : whole_number(part.substr(colon + 1));
  if (!first || !last || !step || *step < 1 || (colon != std::string::npos && dash == std::string::npos))
    throw Problem(where, in_quotes(text) + " is no list of indices", "write for example 0-15, 1,3,5-7, 0-15:4 or 0-15%4");
  if (*last < *first) throw Problem(where, in_quotes(part) + " counts down", "write the smaller index first");
  if (*last > array_index_max) throw Problem(where, in_quotes(part) + " is too large", "indices go up to " + std::to_string(array_index_max));
  if ((*last - *first) / *step >= array_count_max)
    throw Problem(where, in_quotes(part) + " has more than 10,000 elements", "submit several arrays");
  for (std::int64_t index = *first; index <= *last; index += *step) indices.insert(index);
}

}  // namespace

std::string lower_case(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return text;
}

std::int64_t count_value(const std::string& text, const std::string& where, std::int64_t least) {
  const auto number = whole_number(text);
  if (!number)
    throw Problem(where, "expected a whole number, got " + in_quotes(text),
                  "write for example " + std::to_string(std::max<std::int64_t>(least, 8)));
  if (*number < least || *number > count_max)
    throw Problem(where, text + " is out of range", "give " + std::to_string(least) + " to " + std::to_string(count_max));
  return *number;
}

Range range_value(const std::string& text, const std::string& where) {
  const std::size_t dash = text.find('-', 1);
  const std::int64_t min = count_value(text.substr(0, dash), where);
  const std::int64_t max = dash == std::string::npos ? min : count_value(text.substr(dash + 1), where);
  if (max < min) throw Problem(where, in_quotes(text) + ": the maximum is below the minimum", "write MIN-MAX");
  return {min, max};
}

Duration slurm_time_value(const std::string& text, const std::string& where) {
  const std::string word = lower_case(text);
  if (word == "unlimited" || word == "infinite" || word == "-1") return longest_time_limit;
  const auto length = protocol::parse_duration(text);
  if (!length) {
    throw Problem(where, "expected a length of time, got " + in_quotes(text), "write minutes, MM:SS, HH:MM:SS, D-HH, D-HH:MM or D-HH:MM:SS");
  }
  if (length->ms == 0) return longest_time_limit;
  if (length->ms > std::int64_t{10} * 366 * 86'400'000) throw Problem(where, text + " is more than ten years", "give less");
  return {(length->ms + 59'999) / 60'000 * 60'000};
}

Time instant_value(const std::string& text, const std::string& where, Time now) {
  const auto instant = protocol::parse_instant(text, now);
  if (!instant) throw Problem(where, "expected an instant, got " + in_quotes(text), "write for example now+2h, 16:00, tomorrow or 2026-12-24T10:00");
  return *instant;
}

std::int64_t nice_value(const std::string& text, const std::string& where) {
  constexpr std::int64_t most = 2'147'483'645;
  if (text.empty()) return 100;
  const bool negative = text.front() == '-';
  const auto number = whole_number(std::string_view(text).substr(negative ? 1 : 0));
  if (!number || *number > most) throw Problem(where, "expected a whole number, got " + in_quotes(text), "give -2147483645 to 2147483645; more lets others go first");
  return negative ? -*number : *number;
}

std::int64_t restarts_value(const std::string& text, const std::string& where) {
  const auto number = whole_number(text);
  if (!number || *number > max_restarts_most)
    throw Problem(where, "expected a whole number, got " + in_quotes(text), "give 0 to " + std::to_string(max_restarts_most));
  return *number;
}

Duration hang_value(const std::string& text, const std::string& where) {
  if (lower_case(text) == "off") return never_hangs;
  if (!protocol::parse_duration(text)) throw Problem(where, "expected a length of time or off, got " + in_quotes(text), "write for example 15s, 10m or off");
  return time_value(text, where, seconds(1));
}

Duration cut_off_value(const std::string& text, const std::string& where) {
  constexpr std::string_view stop = "stop-after=";
  if (lower_case(text) == "wait") return {};
  const bool stops = text.starts_with(stop);
  const auto length = stops ? protocol::parse_duration(text.substr(stop.size())) : std::nullopt;
  if (!length) throw Problem(where, "expected wait or stop-after=TIME, got " + in_quotes(text), "write for example stop-after=10m");
  if (*length < stop_when_cut_off_least) throw Problem(where, "too short: " + in_quotes(text), "give at least " + protocol::format_duration(stop_when_cut_off_least));
  return *length;
}

Duration time_value(const std::string& text, const std::string& where, Duration least) {
  const auto length = protocol::parse_duration(text);
  if (!length) throw Problem(where, "expected a length of time, got " + in_quotes(text), "write for example 30s, 10m, 2h or 1-12:00");
  if (*length < least) throw Problem(where, "shorter than a second", "give at least " + protocol::format_duration(least));
  return *length;
}

std::int64_t memory_value(const std::string& text, const std::string& where) {
  const auto bytes = bytes_of(text, mebi);
  if (!bytes)
    throw Problem(where, "expected a size of memory, got " + in_quotes(text), "write a whole number and K, M, G or T, for example 64G");
  return *bytes;
}

std::int64_t size_value(const std::string& text, const std::string& where) {
  const auto bytes = bytes_of(text, 0);
  if (!bytes || *bytes == 0)
    throw Problem(where, "expected a size, got " + in_quotes(text), "write a whole number and a unit, for example 100MiB");
  return *bytes;
}

std::vector<std::string> hosts_value(const std::string& text, const std::string& where) {
  auto names = protocol::expand_hostlist(text);
  if (!names || names->empty()) throw Problem(where, in_quotes(text) + " is no list of nodes", "write for example node[01-04],node07");
  return std::move(*names);
}

std::vector<std::string> hosts_in_file(const std::string& text, const std::string& where) {
  std::vector<std::string> hosts;
  for (std::string line : split(text, '\n')) {
    line.resize(std::min(line.find('#'), line.size()));
    std::replace_if(line.begin(), line.end(), [](char c) { return c == '\t' || c == '\r'; }, ' ');
    for (const std::string& word : split(line, ' ')) {
      if (word.empty() || word == ",") continue;
      const auto names = hosts_value(word.ends_with(',') ? word.substr(0, word.size() - 1) : word, where);
      hosts.insert(hosts.end(), names.begin(), names.end());
    }
  }
  if (hosts.empty()) throw Problem(where, "the file names no node", "write one name, or one list such as node[01-04], in each line");
  return hosts;
}

std::optional<std::vector<std::string>> features_value(const std::string& text, const std::string& where) {
  if (text.find_first_of("|*[]()") != std::string::npos) return std::nullopt;
  std::string list = text;
  std::replace(list.begin(), list.end(), ',', '&');
  std::vector<std::string> features = split(list, '&');
  for (const std::string& feature : features)
    if (feature.empty() || feature.find_first_of(" \t") != std::string::npos)
      throw Problem(where, in_quotes(text) + " is no list of features", "write for example nvlink, or nvlink&infiniband");
  return features;
}

GpuCount gpus_value(const std::string& text, const std::string& where, std::int64_t least) {
  if (text.find(',') != std::string::npos)
    throw Problem(where, in_quotes(text) + " asks for several kinds of GPUs", "give one, and submit a job for each kind");
  const std::size_t colon = text.rfind(':');
  GpuCount gpus;
  if (colon != std::string::npos) {
    gpus.type = text.substr(0, colon);
    if (!is_name(gpus.type)) throw Problem(where, in_quotes(gpus.type) + " is no type of GPU", "write TYPE:N, for example a100:4");
  }
  gpus.count = count_value(text.substr(colon == std::string::npos ? 0 : colon + 1), where, least);
  return gpus;
}

Gres gres_value(const std::string& text, const std::string& where) {
  Gres gres;
  if (lower_case(text) == "none") return gres;
  for (std::string entry : split(text, ',')) {
    if (entry.starts_with("gres:")) entry.erase(0, 5);  // as scontrol writes it
    const std::vector<std::string> parts = split(entry, ':');
    if (!is_name(parts[0])) throw Problem(where, in_quotes(text) + " is no list of resources", "write for example gpu:4 or gpu:a100:4");
    if (lower_case(parts[0]) != "gpu") {
      gres.others += (gres.others.empty() ? "" : ",") + entry;
      continue;
    }
    if (gres.gpus) throw Problem(where, in_quotes(text) + " asks for GPUs twice", "give one kind and one number: gpu:TYPE:N");
    if (parts.size() == 1) {
      gres.gpus = GpuCount{1, ""};
    } else if (parts.size() == 2 && parts[1].find_first_not_of("0123456789") != std::string::npos) {
      gres.gpus = gpus_value(parts[1] + ":1", where);
    } else {
      gres.gpus = gpus_value(entry.substr(parts[0].size() + 1), where);
    }
  }
  return gres;
}

ArrayIndices array_value(const std::string& text, const std::string& where) {
  ArrayIndices array;
  std::string list = without_brackets(text);
  if (const std::size_t percent = list.find('%'); percent != std::string::npos) {
    array.limit = count_value(list.substr(percent + 1), where, 0);
    list = without_brackets(list.substr(0, percent));
  }
  std::set<std::int64_t> indices;
  for (const std::string& part : split(list, ',')) {
    add_array_part(part, indices, text, where);
    if (static_cast<std::int64_t>(indices.size()) > array_count_max)
      throw Problem(where, in_quotes(text) + " has more than 10,000 elements", "submit several arrays");
  }
  array.indices.assign(indices.begin(), indices.end());
  return array;
}

std::vector<TypedDependency> slurm_dependency_value(const std::string& text, const std::string& where) {
  static const std::map<std::string, DependencyCondition> conditions{{"afterok", DependencyCondition::ok},
                                                                     {"afterany", DependencyCondition::any},
                                                                     {"afternotok", DependencyCondition::notok},
                                                                     {"after", DependencyCondition::started}};
  if (text.find('?') != std::string::npos)
    throw Problem(where, "alternatives (?) can't be waited for", "give all jobs with commas between, or submit when the first has ended");
  std::vector<TypedDependency> dependencies;
  for (const std::string& part : split(text, ',')) {
    std::vector<std::string> words = split(part, ':');
    const std::string type = lower_case(words.front());
    if (type == "singleton")
      throw Problem(where, "singleton can't be waited for", "name the job that must come before: --dependency=afterany:JOB");
    if (type == "aftercorr")
      throw Problem(where, "aftercorr can't be waited for", "name the whole array: afterok:JOB, or an element: afterok:JOB_INDEX");
    const auto condition = conditions.find(type);
    if (condition == conditions.end())
      throw Problem(where, in_quotes(part) + " is no dependency", "write afterok:JOB, afterany:JOB, afternotok:JOB or after:JOB");
    if (words.size() < 2) throw Problem(where, in_quotes(part) + " names no job", "write " + type + ":JOB");
    for (std::size_t i = 1; i < words.size(); ++i) {
      if (words[i].find('+') != std::string::npos)
        throw Problem(where, "a delay after another job's start can't be kept",
                      "leave out " + words[i].substr(words[i].find('+')) + ", and wait in the script");
      dependencies.push_back(named_job(words[i], condition->second, where));
    }
  }
  return dependencies;
}

std::vector<TypedDependency> after_value(const std::string& text, const std::string& where) {
  static const std::map<std::string, DependencyCondition> conditions{{"ok", DependencyCondition::ok},
                                                                     {"any", DependencyCondition::any},
                                                                     {"notok", DependencyCondition::notok},
                                                                     {"started", DependencyCondition::started}};
  std::vector<TypedDependency> dependencies;
  for (const std::string& part : split(text, ',')) {
    const std::size_t colon = part.find(':');
    const auto condition = colon == std::string::npos ? conditions.find("ok") : conditions.find(part.substr(colon + 1));
    if (condition == conditions.end())
      throw Problem(where, in_quotes(part.substr(colon + 1)) + " is not known", "write JOB, JOB:ok, JOB:any, JOB:notok or JOB:started");
    dependencies.push_back(named_job(part.substr(0, colon), condition->second, where));
  }
  return dependencies;
}

WarningSignal signal_value(const std::string& text, const std::string& where) {
  constexpr int signals_max = 64;
  WarningSignal warning;
  std::string rest = text;
  if (const std::size_t colon = rest.find(':'); colon != std::string::npos) {
    const std::string whom = rest.substr(0, colon);
    if (whom != "B" && whom != "R" && whom != "RB" && whom != "BR")
      throw Problem(where, in_quotes(whom) + " before the signal is not known",
                    "write B:USR1@60 for the script alone, or USR1@60 for its ranks");
    warning.shell = whom.find('B') != std::string::npos;
    rest.erase(0, colon + 1);
  }
  if (const std::size_t at = rest.find('@'); at != std::string::npos) {
    const auto before = whole_number(rest.substr(at + 1));
    if (!before || *before > signal_before_max_s)
      throw Problem(where, in_quotes(rest.substr(at + 1)) + " is no number of seconds", "give 0 to " + std::to_string(signal_before_max_s));
    warning.before_ms = seconds(*before);
    rest.resize(at);
  }
  if (const auto number = whole_number(rest)) {
    warning.signal = *number;
  } else {
    const std::string name = lower_case(rest).starts_with("sig") ? lower_case(rest).substr(3) : lower_case(rest);
    for (int signal = 1; signal <= signals_max; ++signal) {
      const char* known = sigabbrev_np(signal);
      if (known && lower_case(known) == name) warning.signal = signal;
    }
  }
  if (warning.signal < 1 || warning.signal > signals_max)
    throw Problem(where, in_quotes(rest) + " is no signal", "give a name or a number, for example USR1");
  return warning;
}

}  // namespace ultramarine::batch
