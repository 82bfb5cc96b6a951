// Reservations and maintenance windows: nodes that are kept for some accounts, or for nobody, between two instants. Two of them never share a
// node at the same time.
#include <algorithm>
#include <set>

#include "scheduler/api/handlers.h"
#include "scheduler/api/roles.h"
#include "scheduler/api/words.h"
#include "scheduler/core/lifecycle.h"
#include "scheduler/protocol/text_forms.h"

namespace ultramarine::api {

namespace {

constexpr Duration farthest{36'500LL * 86'400'000};  // keeps sums of times far from overflow
constexpr std::size_t listed_max = 5;

bool is_name(const std::string& text) {
  return !text.empty() && text.size() <= 64 && text.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == std::string::npos;
}

template <class Named>
std::vector<std::string> names_of(const std::vector<Named>& all) {
  std::vector<std::string> names;
  for (const Named& one : all) names.push_back(one.name);
  return names;
}

void check_times(const protocol::ReservationRequest& request, Time now) {
  if (request.start_ms.ms <= 0) throw bad_request("start_ms", "none is given", "say when it begins, in milliseconds since 1970 (UTC)");
  if (request.end_ms <= request.start_ms) throw bad_request("end_ms", "it ends before it starts", "give a longer --duration");
  if (request.end_ms <= now) throw bad_request("end_ms", "it ended " + when(request.end_ms, now), "give a later --start or a longer --duration");
  if (request.start_ms < now - farthest || request.end_ms > now + farthest) throw bad_request("end_ms", "it lies more than a hundred years away", "give nearer times");
}

}  // namespace

Reservation asked_reservation(const protocol::ReservationRequest& request, const State& state, Time now, const Actor& actor) {
  if (!is_name(request.name)) throw bad_request("name", "\"" + request.name.substr(0, 64) + "\" is no name", "use at most 64 letters, digits, '.', '_' and '-'");
  if (state.reservations.count(request.name)) throw conflict("there is a reservation " + request.name + " already", "take another name, or cancel that one first");
  Reservation made{request.name, named_nodes(request.nodes, names_of(state.cluster.nodes)), {}, request.start_ms, request.end_ms, request.reason, actor};
  if (request.maintenance && !request.accounts.empty()) throw bad_request("accounts", "a maintenance window is nobody's", "leave out the accounts or the maintenance");
  if (!request.maintenance && request.accounts.empty()) throw bad_request("accounts", "nobody could use these nodes", "name the accounts that may, or make it a maintenance window");
  const std::vector<std::string> known = names_of(state.cluster.accounts);
  for (const std::string& account : request.accounts) {
    if (std::find(known.begin(), known.end(), account) == known.end()) {
      const std::string near = protocol::nearest_word(account, known);
      throw bad_request("accounts", "there is no account " + account.substr(0, 64), near.empty() ? "name one of the cluster file" : "did you mean " + near + "?");
    }
    if (std::find(made.accounts.begin(), made.accounts.end(), account) == made.accounts.end()) made.accounts.push_back(account);
  }
  check_times(request, now);
  if (request.reason.find_first_not_of(' ') == std::string::npos) throw bad_request("reason", "none is given", "say why, for those who wonder");
  for (const auto& [name, other] : state.reservations) {
    if (other.end_ms <= made.start_ms || made.end_ms <= other.start_ms) continue;
    for (const std::string& node : made.nodes)
      if (std::find(other.nodes.begin(), other.nodes.end(), node) != other.nodes.end())
        throw conflict(node + " is kept for reservation " + name + " then, until " + when(other.end_ms, now), "take other nodes or another time, or cancel that one first");
  }
  return made;
}

namespace {

/// Those that may still run on its nodes when it begins: they are not stopped.
std::vector<std::string> warnings_of(const Reservation& made, const State& state, Time now) {
  std::vector<std::string> names;
  for (const auto& [id, job] : state.jobs) {
    const Attempt* open = core::open_attempt(job);
    if (!open || open->started_ms.value_or(open->decided_ms) + core::time_limit(job, *open) <= std::max(made.start_ms, now)) continue;
    const bool is_on_them = std::any_of(open->allocation.begin(), open->allocation.end(), [&](const NodeAllocation& part) {
      return std::find(made.nodes.begin(), made.nodes.end(), part.node) != made.nodes.end();
    });
    if (is_on_them) names.push_back(text_of(job));
  }
  if (names.empty()) return {};
  std::string list;
  for (std::size_t i = 0; i < std::min(names.size(), listed_max); ++i) list += (i ? ", " : "") + names[i];
  if (names.size() > listed_max) list += " and " + std::to_string(names.size() - listed_max) + " more";
  return {(names.size() == 1 ? "job " + list + " may run" : "jobs " + list + " may run") + " on its nodes beyond its start: it is not stopped for it"};
}

/// Those that named a reservation that is gone.
std::vector<std::string> left_waiting(const std::string& name, const State& state) {
  std::int64_t count = 0;
  for (const auto& [id, job] : state.jobs) count += (job.state == JobState::queued || job.state == JobState::held) && job.spec.reservation == name;
  if (count == 0) return {};
  return {(count == 1 ? "1 waiting job names it" : std::to_string(count) + " waiting jobs name it") + ": make it again, or cancel what waits for it"};
}

}  // namespace

void list_reservations(const ExchangePtr& exchange) {
  exchange->backend.ask([exchange](const SnapshotPtr& snapshot) {
    protocol::ReservationList list;
    list.now_ms = snapshot->now_ms;
    for (const auto& [name, reservation] : snapshot->state->reservations) list.reservations.push_back(reservation);
    std::stable_sort(list.reservations.begin(), list.reservations.end(), [](const Reservation& a, const Reservation& b) { return a.start_ms < b.start_ms; });
    exchange->answer(list);
  });
}

void make_reservation(const ExchangePtr& exchange) {
  const auto request = decode_body<protocol::ReservationRequest>(*exchange);
  check_reason(request.reason);
  const auto choose = [request, caller = exchange->caller, uid = exchange->backend.scheduler_uid()](const core::Scheduler& scheduler, Time now) {
    return billed(scheduler, now, {.favour = Favour::reserve, .reservation = request, .reason = request.reason}, caller, uid);
  };
  change(exchange, choose, [exchange, request] {
    exchange->backend.ask([exchange, request](const SnapshotPtr& snapshot) {
      const auto made = snapshot->state->reservations.find(request.name);
      if (made == snapshot->state->reservations.end()) exchange->refuse(conflict("reservation " + request.name + " is over already"));
      else exchange->answer(protocol::ReservationReply{made->second, warnings_of(made->second, *snapshot->state, snapshot->now_ms)});
    });
  });
}

void cancel_reservation(const ExchangePtr& exchange) {
  const auto request = decode_body<protocol::ReservationCancelRequest>(*exchange);
  if (request.name.empty()) throw bad_request("name", "none is given", "`ultra reservations` lists them");
  auto ended = std::make_shared<protocol::ReservationReply>();  // filled on the daemon's thread, read after its commit
  const auto choose = [request, ended, caller = exchange->caller, uid = exchange->backend.scheduler_uid()](const core::Scheduler& scheduler, Time) {
    const State& state = scheduler.state();
    if (const auto problem = why_not(Act::reserve_nodes, caller, state, uid)) throw *problem;
    const auto found = state.reservations.find(request.name);
    if (found == state.reservations.end()) {
      std::vector<std::string> known;
      for (const auto& [name, one] : state.reservations) known.push_back(name);
      const std::string near = protocol::nearest_word(request.name, known);
      throw not_found("there is no reservation " + request.name.substr(0, 64), near.empty() ? "`ultra reservations` lists them" : "did you mean " + near + "?");
    }
    *ended = {found->second, left_waiting(request.name, state)};
    return std::vector<Event>{ReservationEnded{request.name, caller.actor}};
  };
  change(exchange, choose, [exchange, ended] { exchange->answer(*ended); });
}

}  // namespace ultramarine::api
