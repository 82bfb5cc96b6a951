// Text and checksums of what stores keep.
#include "scheduler/store/record_text.h"

#include <set>

#include "scheduler/protocol/codec.h"

namespace ultramarine::store {
namespace {

template <class T>
T decoded(const std::string& what, std::string_view text) {
  try {
    return protocol::from_json<T>(text);
  } catch (const protocol::DecodeError& error) {
    throw StoreError(what + " can't be read: " + error.what());
  }
}

}  // namespace

std::string entry_text(const Entry& entry) { return protocol::to_json(entry, protocol::Members::filled); }
Entry entry_from_text(std::int64_t sequence, std::string_view text) {
  return decoded<Entry>("journal record " + std::to_string(sequence), text);
}

std::string state_text(const State& state) { return protocol::to_json(state, protocol::Members::filled); }
State state_from_text(std::int64_t sequence, std::string_view text) {
  return decoded<State>("the snapshot after journal record " + std::to_string(sequence), text);
}

std::string environment_text(const Environment& environment) { return protocol::to_json(environment); }
Environment environment_from_text(JobId job, std::string_view text) {
  try {
    return protocol::from_json<Environment>(text);
  } catch (const protocol::DecodeError&) {
    // The error would repeat a value, and these are secrets.
    throw StoreError("the environment of job " + std::to_string(job.value) + " can't be read");
  }
}

std::string subject_of(JobId job) { return "job " + std::to_string(job.value); }
std::string subject_of_node(const std::string& node) { return "node " + node; }

std::vector<std::string> subjects_of(const Entry& entry) {
  std::set<std::string> subjects;
  std::visit(
      [&](const auto& one) {
        if constexpr (requires { one.job; }) subjects.insert(subject_of(one.job));
        if constexpr (requires { one.jobs; })
          for (const JobId job : one.jobs) subjects.insert(subject_of(job));
        if constexpr (requires { one.node; }) subjects.insert(subject_of_node(one.node));
        if constexpr (requires { one.decisions; })
          for (const Decision& decision : one.decisions)
            subjects.insert(std::visit([](const auto& chosen) { return subject_of(chosen.job); }, decision));
      },
      entry);
  return {subjects.begin(), subjects.end()};
}

std::int64_t checksum(std::int64_t sequence, std::int64_t at_ms, std::string_view text) {
  std::uint64_t hash = 0xcbf29ce484222325;
  const auto add = [&](unsigned char byte) { hash = (hash ^ byte) * 0x100000001b3; };
  for (const std::int64_t number : {sequence, at_ms}) {
    for (int shift = 0; shift < 64; shift += 8) add(static_cast<unsigned char>(static_cast<std::uint64_t>(number) >> shift));
  }
  for (const char c : text) add(static_cast<unsigned char>(c));
  return static_cast<std::int64_t>(hash);
}

void check_snapshot(const Snapshot& snapshot, std::int64_t last_sequence) {
  if (snapshot.sequence >= 0 && snapshot.sequence <= last_sequence) return;
  throw StoreError("a snapshot after record " + std::to_string(snapshot.sequence) + " of a journal that ends at " + std::to_string(last_sequence));
}

}  // namespace ultramarine::store
