#include "collectives/flight_recorder.h"

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <system_error>

namespace ultramarine::collectives {
namespace {

std::int64_t now_us() {
  using namespace std::chrono;
  return duration_cast<microseconds>(system_clock::now().time_since_epoch()).count();
}

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

/// A member of a JSON object: `"name":"text"`.
std::string member(std::string_view name, std::string_view text) {
  std::string json = "\"" + std::string(name) + "\":\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      json.append("\\").push_back(c);
    } else if (static_cast<unsigned char>(c) < 0x20) {
      char escape[8];
      std::snprintf(escape, sizeof escape, "\\u%04x", c);
      json += escape;
    } else {
      json.push_back(c);
    }
  }
  return json + "\"";
}
std::string member(std::string_view name, std::int64_t number) {
  return "\"" + std::string(name) + "\":" + std::to_string(number);
}

std::string file_name(int rank) {
  const std::string job = environment("ULTRA_JOB_ID"), attempt = environment("ULTRA_ATTEMPT");
  std::string name = "flight-";
  if (!job.empty()) name += "job-" + job + "-attempt-" + (attempt.empty() ? "1" : attempt) + "-";
  return name + "rank-" + std::to_string(rank) + ".jsonl";
}

}  // namespace

std::string flight_record_folder() {
  std::string folder = environment("ULTRA_FLIGHT_RECORD");
  if (!folder.empty() || environment("ULTRA_JOB_ID").empty()) return folder;
  std::error_code error;
  return std::filesystem::current_path(error).string();
}

FlightRecorder::FlightRecorder(std::string_view backend, int rank, int world_size)
    : backend_(backend), rank_(rank), world_size_(world_size) {
  entries_.reserve(capacity);  // recording a collective allocates nothing
}

std::int64_t FlightRecorder::started(const Call& call, std::size_t bytes) {
  const std::lock_guard lock(mutex_);
  const std::int64_t sequence = ++counters_.collectives;
  counters_.bytes += static_cast<std::int64_t>(bytes);
  if (entries_.size() < capacity) entries_.emplace_back();
  Entry& entry = entries_[static_cast<std::size_t>(sequence - 1) % capacity];
  entry = {call, bytes, now_us(), 0, State::under_way};
  entry.call.sequence = sequence;
  return sequence;
}

FlightRecorder::Entry* FlightRecorder::find(std::int64_t sequence) {
  const std::size_t index = static_cast<std::size_t>(sequence - 1) % capacity;
  if (index >= entries_.size() || entries_[index].call.sequence != sequence) return nullptr;  // overwritten since
  return &entries_[index];
}

void FlightRecorder::complete(std::int64_t sequence) {
  const std::lock_guard lock(mutex_);
  if (Entry* entry = find(sequence)) {
    entry->ended_us = now_us();
    entry->state = State::complete;
  }
}

std::string FlightRecorder::failed(std::int64_t sequence, const std::string& reason) {
  const std::lock_guard lock(mutex_);
  std::string text =
      std::string(backend_) + ": rank " + std::to_string(rank_) + " of " + std::to_string(world_size_) + ": ";
  if (Entry* entry = find(sequence)) {
    entry->ended_us = now_us();
    entry->state = State::failed;
    text += describe(entry->call) + " ";
  }
  text += "(collective " + std::to_string(sequence) + "): " + reason;
  if (!has_failed_) write(sequence, reason);
  has_failed_ = true;
  return text + where_;
}

void FlightRecorder::write(std::int64_t sequence, const std::string& reason) {
  const std::string folder = flight_record_folder();
  if (folder.empty()) {
    where_ = "; no flight record: ULTRA_FLIGHT_RECORD names no folder";
    return;
  }
  const std::string path = folder + (folder.back() == '/' ? "" : "/") + file_name(rank_);
  std::string text = "{" + member("backend", backend_) + "," + member("rank", rank_) + "," +
                     member("world_size", world_size_) + "," + member("failed_sequence", sequence) + "," +
                     member("reason", reason) + "," + member("written_us", now_us()) + "}\n";
  const std::int64_t last = counters_.collectives;
  for (std::int64_t s = last - static_cast<std::int64_t>(entries_.size()) + 1; s <= last; ++s) {
    const Entry* entry = find(s);
    if (!entry) continue;
    static constexpr std::string_view states[] = {"under_way", "complete", "failed"};
    const Call& call = entry->call;
    text += "{" + member("sequence", s) + "," + member("collective", name_of(call.kind));
    if (reduces(call.kind)) text += "," + member("operation", name_of(call.operation));
    if (call.kind == Kind::broadcast) text += "," + member("root", call.root);
    if (call.kind != Kind::barrier) text += "," + member("data_type", name_of(call.type));
    text += "," + member("count", static_cast<std::int64_t>(call.count)) + "," +
            member("bytes", static_cast<std::int64_t>(entry->bytes)) + "," + member("started_us", entry->started_us);
    if (entry->state != State::under_way) text += "," + member("ended_us", entry->ended_us);
    text += "," + member("state", states[static_cast<int>(entry->state)]) + "}\n";
  }
  FILE* file = std::fopen(path.c_str(), "w");
  bool good = file != nullptr;
  if (file) {
    good = std::fwrite(text.data(), 1, text.size(), file) == text.size();
    good = std::fclose(file) == 0 && good;
  }
  if (!good) {
    where_ = "; no flight record: " + path + ": " + std::strerror(errno);
    return;
  }
  where_ = "; flight record: " + path;
  std::fprintf(stderr, "%s: rank %d: the last collectives (%zu) are in %s\n", std::string(backend_).c_str(), rank_,
               entries_.size(), path.c_str());
}

Counters FlightRecorder::counters() const {
  const std::lock_guard lock(mutex_);
  return counters_;
}

}  // namespace ultramarine::collectives
