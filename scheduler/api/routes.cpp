// The table.
#include "scheduler/api/routes.h"

#include "scheduler/api/openapi.h"
#include "scheduler/protocol/api_messages.h"
#include "scheduler/protocol/page_messages.h"
#include "scheduler/protocol/report_messages.h"
#include "scheduler/protocol/wait_messages.h"

namespace ultramarine::api {

namespace {

using protocol::SchemaBook;
using protocol::Travel;
namespace json = protocol::json;

constexpr const char* text_plain = "text/plain; charset=utf-8";
constexpr const char* text_metrics = "text/plain; version=0.0.4; charset=utf-8";
constexpr const char* text_events = "text/event-stream";
constexpr const char* application_json = "application/json";
constexpr const char* overview =
    "Ultramarine scheduler without identity: /v1/cluster /v1/jobs /v1/nodes /v1/events /v1/prometheus/targets /v1/openapi.json /metrics /livez /readyz (changes go through "
    "the Unix socket: see `ultra`)\n";

template <class T>
json::object received(SchemaBook& book) {
  return book.schema<T>(Travel::received);
}
template <class T>
json::object sent(SchemaBook& book) {
  return book.schema<T>(Travel::sent);
}
json::object empty_object(SchemaBook&) { return {{"type", "object"}, {"maxProperties", 0}}; }
json::object any_object(SchemaBook&) { return {{"type", "object"}}; }
json::value no_members() { return json::object(); }

const Content nothing{};
const Content plain_text{text_plain};
const Content empty_body{application_json, empty_object, no_members, true, false};
template <class T>
Content reply() {
  return {application_json, received<T>};
}

json::value job_to_submit() {
  json::object spec;
  spec["name"] = "hello";
  spec["command"] = {"sh", "-c", "echo rank $RANK of $WORLD_SIZE"};
  spec["working_directory"] = "/tmp";
  spec["resources"] = {{"gpus", 2}};
  spec["time_limit_ms"] = 600'000;
  return {{"spec", spec}, {"environment", {{"GREETING", "hello"}}}};
}

json::value typed() { return {{"data_base64", "bHMK"}, {"size", {{"rows", 24}, {"columns", 80}}}}; }

/// What `ultra run` asks for; it runs until somebody stops it.
json::value gang_to_run() { return {{"spec", {{"command", {"sleep", "600"}}}}, {"environment", json::object()}}; }

json::value hold_to_make() { return {{"reason", "waits for new data"}}; }
json::value drain_to_make() { return {{"nodes", {"node01"}}, {"reason", "a fan is to be replaced"}}; }
json::value loss_to_make() { return {{"nodes", {"node08"}}, {"reason", "its power supply is burnt"}}; }
json::value resume_to_make() { return {{"nodes", {"node01"}}}; }
json::value reservation_to_make() {
  return {{"name", "course"}, {"nodes", {"node02"}}, {"accounts", {"default"}}, {"start_ms", 4'102'444'800'000}, {"end_ms", 4'102'452'000'000},
          {"reason", "a course of two hours"}};
}
json::value reservation_to_cancel() { return {{"name", "course"}}; }

json::value change_to_make() { return {{"time_limit_ms", 300'000}}; }
json::value question_to_ask() { return {{"add_nodes", 1}}; }
json::value favour_to_ask() { return {{"favour", "boost"}, {"job", "12"}, {"reason", "a demonstration tomorrow"}}; }

json::value jobs_to_reorder() { return {{"jobs", {"13", "12"}}}; }

const Refusal no_admin{403, "not_permitted", "you are no admin"};
const Refusal others_job{403, "not_permitted", "the job is not yours, and no role lets you; the remedy says who may"};
const Parameter timeout{"timeout_ms", ParameterKind::number, "answer after this long in any case, at most 60 s; ask again"};
const Parameter one_rank{"rank", ParameterKind::number, "only this rank's output", 0, INT32_MAX};
const Parameter follow{"follow", ParameterKind::flag, "go on until the last rank has ended"};
const Parameter since{"since_ms", ParameterKind::number, "only what was written at or after this moment, in milliseconds since 1970"};

std::vector<Route> make_routes() {
  return {
      {"GET", "/", "overview", "What there is to see here, for people.", true, false, {}, nothing, plain_text, {},
       [](const ExchangePtr& e, const Call&) { e->answer(200, overview, text_plain); }},
      {"GET", "/livez", "alive", "Whether the daemon is at work.", true, false, {}, nothing, plain_text,
       {{503, "", "one round has taken more than 15 s"}},
       [](const ExchangePtr& e, const Call&) {
         const bool alive = e->backend.alive();
         e->answer(alive ? 200 : 503, alive ? "alive\n" : "the daemon's thread has been at one round for more than 15 s\n", text_plain);
       }},
      {"GET", "/readyz", "ready", "Whether questions and changes are answered.", true, false, {}, nothing, plain_text,
       {{503, "", "the journal is being read, or nothing could be written for 10 s"}},
       [](const ExchangePtr& e, const Call&) {
         const std::string problem = e->backend.why_not_ready();
         e->answer(problem.empty() ? 200 : 503, problem.empty() ? "ready\n" : problem + "\n", text_plain);
       }},
      {"GET", "/metrics", "metrics", "Metrics in Prometheus' text format.", true, false, {}, nothing, {text_metrics}, {},
       [](const ExchangePtr& e, const Call&) {
         e->backend.metrics_text([e](std::string text) { e->answer(200, std::move(text), text_metrics); });
       }},
      {"GET", "/v1/prometheus/targets", "list_prometheus_targets", "Where Prometheus finds metrics (http_sd_configs): this scheduler, and each agent that serves some.", true, true, {},
       nothing, reply<std::vector<protocol::PrometheusTargets>>(), {}, [](const ExchangePtr& e, const Call&) { list_prometheus_targets(e); }},
      {"GET", "/favicon.ico", "favicon", "Nothing: browsers ask for it.", true, false, {}, nothing, nothing, {},
       [](const ExchangePtr& e, const Call&) { e->answer(204, "", text_plain); }},
      {"GET", "/v1/openapi.json", "openapi", "This document.", true, false, {}, nothing, {application_json, any_object}, {},
       [](const ExchangePtr& e, const Call& call) { e->answer(200, openapi_document(call.version), application_json); }},
      {"GET", "/v1/cluster", "show_cluster", "The cluster in numbers.", true, true, {}, nothing, reply<protocol::ClusterView>(), {},
       [](const ExchangePtr& e, const Call& call) { show_cluster(e, call.version); }},
      {"GET", "/v1/nodes", "list_nodes", "All nodes, with what their devices do.", true, true, {}, nothing, reply<protocol::NodeList>(), {},
       [](const ExchangePtr& e, const Call&) { list_nodes(e); }},
      {"GET", "/v1/caller", "show_caller", "Who asks: whether this door knows, and with which roles.", true, true, {}, nothing, reply<protocol::CallerView>(), {},
       [](const ExchangePtr& e, const Call&) { show_caller(e); }},
      {"GET", "/v1/events", "tell_changes",
       "Server-sent events, without end: `changed` with {\"revision\": N} at once and whenever something was recorded since (at most twice a second); ask again what you "
       "show. The revision is the cluster's `journal_sequence`.",
       true, true, {}, nothing, {text_events}, {}, [](const ExchangePtr& e, const Call&) { tell_changes(e); }},
      {"GET", "/v1/history", "show_past",
       "What happened in the cluster, newest first, one sentence an event: jobs submitted, started, ended; favours with their bills; nodes lost, drained, resumed. A page of it: "
       "ask again with the `before` of the answer.",
       false, true,
       {{"limit", ParameterKind::number, "so many events (100), or a few more or less", 1, 500},
        {"before", ParameterKind::number, "only what is older than this place in the journal", 1, INT64_MAX}},
       nothing, reply<protocol::PastList>(), {}, [](const ExchangePtr& e, const Call&) { show_past(e); }},
      {"POST", "/v1/nodes/drain", "drain_nodes", "Has nodes take no new gangs; what runs on them finishes.", false, true, {},
       {application_json, sent<protocol::DrainRequest>, drain_to_make}, reply<protocol::NodeList>(), {no_admin},
       [](const ExchangePtr& e, const Call&) { drain_nodes(e); }},
      {"POST", "/v1/nodes/lost", "lose_nodes", "Says that unreachable nodes are off: what ran there is over, and is queued again where it may be.", false, true, {},
       {application_json, sent<protocol::LossRequest>, loss_to_make}, reply<protocol::NodeList>(), {no_admin, {409, "conflict", "one of the nodes answers"}},
       [](const ExchangePtr& e, const Call&) { lose_nodes(e); }},
      {"POST", "/v1/nodes/resume", "resume_nodes", "Has drained nodes take gangs again.", false, true, {},
       {application_json, sent<protocol::ResumeRequest>, resume_to_make}, reply<protocol::NodeList>(), {no_admin, {409, "conflict", "none of the nodes is drained"}},
       [](const ExchangePtr& e, const Call&) { resume_nodes(e); }},
      {"GET", "/v1/reservations", "list_reservations", "Nodes that are or will be kept for accounts, or for nobody (maintenance).", false, true, {}, nothing,
       reply<protocol::ReservationList>(), {}, [](const ExchangePtr& e, const Call&) { list_reservations(e); }},
      {"POST", "/v1/reservations", "make_reservation", "Keeps nodes for accounts, or for nobody. What runs there is not stopped.", false, true, {},
       {application_json, sent<protocol::ReservationRequest>, reservation_to_make}, reply<protocol::ReservationReply>(),
       {no_admin, {409, "conflict", "the name is taken, or a node is kept for another reservation at that time"}},
       [](const ExchangePtr& e, const Call&) { make_reservation(e); }},
      {"POST", "/v1/reservations/cancel", "cancel_reservation", "Ends a reservation, also one that has not begun.", false, true, {},
       {application_json, sent<protocol::ReservationCancelRequest>, reservation_to_cancel}, reply<protocol::ReservationReply>(),
       {no_admin, {404, "not_found", "there is no such reservation"}}, [](const ExchangePtr& e, const Call&) { cancel_reservation(e); }},
      {"GET", "/v1/jobs", "list_jobs",
       "Jobs that have not ended. Without identity no users are shown; commands and folders only to a job's owner and administrators; names of "
       "variables to nobody. With the header `Prefer: return=minimal` members are left out that hold nothing: of a long queue that is most.",
       true, true,
       {{"state", ParameterKind::job_states, "only jobs in these states, ended ones too; words with commas between"},
        {"user", ParameterKind::text, "only this user's, by name or number"},
        {"account", ParameterKind::text, "only of this account"},
        {"all", ParameterKind::flag, "ended ones too"}},
       nothing, reply<protocol::JobList>(), {{403, "not_permitted", "a user was named at the address without identity"}},
       [](const ExchangePtr& e, const Call&) { list_jobs(e); }},
      {"POST", "/v1/jobs", "submit_job", "Submits a job. Its number comes back when it is on disk.", false, true, {},
       {application_json, sent<protocol::SubmitRequest>, job_to_submit}, reply<protocol::SubmitReply>(),
       {{400, "impossible", "no state of this cluster can run it"},
        {403, "not_permitted", "the caller is another user than the scheduler's, and not every agent is root; or nice is below 0, and the caller is no admin and no manager"},
        {409, "conflict", "nice is below 0, and others would start later for it"},
        {413, "bad_request", "the spec is larger than 256 KiB, the environment than 1 MiB, or the body than 4 MiB"}},
       [](const ExchangePtr& e, const Call&) { submit_job(e); }},
      {"POST", "/v1/jobs/check", "check_job", "What would become of a submission now, without submitting it.", false, true, {},
       {application_json, sent<protocol::SubmitRequest>, job_to_submit}, reply<protocol::CheckReply>(),
       {{400, "impossible", "no state of this cluster can run it"},
        {403, "not_permitted", "the caller is another user than the scheduler's, and not every agent is root; or nice is below 0, and the caller is no admin and no manager"},
        {413, "bad_request", "the spec is larger than 256 KiB, the environment than 1 MiB, or the body than 4 MiB"}},
       [](const ExchangePtr& e, const Call&) { check_job(e); }},
      {"POST", "/v1/jobs/reorder", "reorder_jobs", "Has jobs of one owner that wait take each other's places: the first named gets the foremost.", false, true, {},
       {application_json, sent<protocol::ReorderRequest>, jobs_to_reorder}, reply<protocol::JobList>(),
       {others_job, {404, "not_found", "there is no such job"}, {409, "conflict", "a job doesn't wait, or somebody else's would start later"}},
       [](const ExchangePtr& e, const Call&) { reorder_jobs(e); }},
      {"GET", "/v1/jobs/ID", "show_job", "One job, or an array as a whole.", false, true, {}, nothing, reply<protocol::JobView>(), {},
       [](const ExchangePtr& e, const Call& call) { show_job(e, call.job); }},
      {"GET", "/v1/jobs/ID/why", "explain_job", "What keeps a job waiting, in full, and at most five changes that would start it now or sooner, each tried on the plan.", false,
       true, {}, nothing, reply<protocol::WhyReply>(), {}, [](const ExchangePtr& e, const Call& call) { explain_job(e, call.job); }},
      {"POST", "/v1/jobs/ID/edit", "edit_job", "Changes what a waiting job asks for. It keeps its age in the queue.", false, true, {},
       {application_json, sent<JobChange>, change_to_make}, reply<protocol::JobView>(), {others_job, {409, "conflict", "the job doesn't wait"}},
       [](const ExchangePtr& e, const Call& call) { edit_job(e, call.job); }},
      {"GET", "/v1/jobs/ID/price", "show_price", "What a job (or all elements of an array) costs: at most, and so far. Without money in the cluster file all is 0.", false, true, {},
       nothing, reply<protocol::JobPrice>(), {}, [](const ExchangePtr& e, const Call& call) { show_price(e, call.job); }},
      {"GET", "/v1/jobs/ID/wait", "wait_for_job", "One job (or all elements of an array), as soon as it has ended or the time is over.", false, true, {timeout}, nothing,
       reply<protocol::JobView>(), {}, [](const ExchangePtr& e, const Call& call) { wait_for_job(e, call.job); }},
      {"GET", "/v1/jobs/ID/waits", "show_waits",
       "What a job has waited for, split by cause so that the parts sum to its wait to the millisecond; and whom it passed, or who passed it, with the proof that nobody "
       "was delayed by that.",
       false, true, {}, nothing, reply<protocol::WaitsOfJob>(), {}, [](const ExchangePtr& e, const Call& call) { show_waits(e, call.job); }},
      {"POST", "/v1/jobs/ID/cancel", "cancel_job", "Cancels a job, or all elements of an array: it never runs, or is stopped.", false, true, {}, empty_body,
       reply<protocol::JobView>(), {others_job, {409, "conflict", "it has ended; or the job is another's, and somebody would start later without it"}},
       [](const ExchangePtr& e, const Call& call) { cancel_job(e, call.job); }},
      {"POST", "/v1/jobs/ID/requeue", "requeue_job", "Stops a running job and queues it again.", false, true, {}, empty_body,
       reply<protocol::JobView>(), {others_job, {409, "conflict", "the job doesn't run"}},
       [](const ExchangePtr& e, const Call& call) { requeue_job(e, call.job); }},
      {"POST", "/v1/jobs/ID/hold", "hold_job", "Holds a waiting job, or all elements of an array that wait: it waits until it is released.", false, true, {},
       {application_json, sent<protocol::HoldRequest>, hold_to_make, true}, reply<protocol::JobView>(), {others_job, {409, "conflict", "the job doesn't wait"}},
       [](const ExchangePtr& e, const Call& call) { hold_job(e, call.job); }},
      {"POST", "/v1/jobs/ID/release", "release_job", "Lets a held job queue again. An admin's hold is released only by an admin.", false, true, {}, empty_body,
       reply<protocol::JobView>(), {others_job, {409, "conflict", "the job is not held, or held because its partition is gone"}},
       [](const ExchangePtr& e, const Call& call) { release_job(e, call.job); }},
      {"GET", "/v1/jobs/ID/logs", "job_output", "What the ranks wrote, one LogLine a line, as it comes.", false, true, {one_rank, follow, since},
       nothing, {"application/x-ndjson", received<protocol::LogLine>}, {others_job},
       [](const ExchangePtr& e, const Call& call) { stream_job_output(e, call.job); }},
      {"GET", "/v1/jobs/ID/events", "job_history", "What happened to a job, one sentence an event. Details only for its owner and administrators.",
       false, true, {}, nothing, reply<protocol::EventList>(), {}, [](const ExchangePtr& e, const Call& call) { show_history(e, call.job); }},
      {"GET", "/v1/jobs/ID/progress", "show_progress",
       "Loss and throughput of a job over time, as its ranks said: few points, evenly thinned out, since the scheduler began. Kept for a while after the end.", false, true, {},
       nothing, reply<protocol::ProgressList>(), {}, [](const ExchangePtr& e, const Call& call) { show_progress(e, call.job); }},
      {"POST", "/v1/jobs/ID/gangs", "request_gang",
       "Starts one more gang over the nodes of a running script, as `ultra run` does. The environment is the caller's.", false, true, {},
       {application_json, sent<protocol::GangRequest>, gang_to_run}, reply<protocol::GangReply>(),
       {{403, "not_permitted", "the job is not yours"}, {409, "conflict", "the job is no script, or its script does not run"}},
       [](const ExchangePtr& e, const Call& call) { request_gang(e, call); }},
      {"GET", "/v1/jobs/ID/gangs/N/wait", "wait_for_gang", "One gang of a job, as soon as it has finished or the time is over.", false, true,
       {timeout}, nothing, reply<protocol::GangView>(), {others_job},
       [](const ExchangePtr& e, const Call& call) { wait_for_gang(e, call); }},
      {"GET", "/v1/jobs/ID/gangs/N/logs", "gang_output", "What the ranks of one gang wrote, one LogLine a line, as it comes.", false, true,
       {one_rank, follow, since}, nothing, {"application/x-ndjson", received<protocol::LogLine>}, {others_job},
       [](const ExchangePtr& e, const Call& call) { stream_gang_output(e, call); }},
      {"POST", "/v1/jobs/ID/gangs/N/stop", "stop_gang", "Stops a gang; the job goes on.", false, true, {}, empty_body,
       reply<protocol::GangView>(), {others_job, {409, "conflict", "gang 1 is the job itself: cancel the job"}},
       [](const ExchangePtr& e, const Call& call) { stop_gang(e, call); }},
      {"POST", "/v1/jobs/ID/gangs/N/input", "type_into_gang", "Types into the terminal of a gang, or tells it the size of its window. What it prints is its output.",
       false, true, {}, {application_json, sent<protocol::InputRequest>, typed, true}, reply<protocol::GangView>(),
       {{403, "not_permitted", "the job is not yours"}, {409, "conflict", "it has no terminal, or has ended"}, {503, "not_ready", "it is just starting, or its node is not connected"}},
       [](const ExchangePtr& e, const Call& call) { type_into_gang(e, call); }},
      {"POST", "/v1/whatif", "ask_what_if", "The plan with one input changed, beside the plan as it is: whose planned starts would move. Nothing is changed.", false, true, {},
       {application_json, sent<protocol::WhatIfRequest>, question_to_ask}, reply<protocol::WhatIfReply>(),
       {{404, "not_found", "there is no such job"}, {409, "conflict", "the job has ended, or doesn't wait for its turn"}}, [](const ExchangePtr& e, const Call&) { ask_what_if(e); }},
      {"POST", "/v1/favours", "ask_favour",
       "A change by hand in favour of somebody. Without `token` its bill: who starts later for it. With the token of that bill it is granted, unless it costs the others more by now.",
       false, true, {}, {application_json, sent<protocol::FavourRequest>, favour_to_ask}, reply<protocol::FavourReply>(),
       {{403, "not_permitted", "no role lets you, or your budget of this month is too small"}, {404, "not_found", "there is no such job"},
        {409, "conflict", "the job is not in a state for it, the bill is old, or the queue has moved"}},
       [](const ExchangePtr& e, const Call&) { ask_favour(e); }},
      {"POST", "/v1/reload", "reload", "Reads the cluster file and the policy anew, and takes them over whole or not at all.", false, true, {},
       {application_json, sent<protocol::ReloadRequest>, no_members, true}, reply<protocol::ReloadReply>(),
       {{400, "bad_request", "a file can't be read: the message names file, line and column"}, no_admin, {409, "conflict", "what has changed needs a restart"}},
       [](const ExchangePtr& e, const Call&) { reload(e); }},
      {"GET", "/v1/priorities", "list_priorities", "The jobs that wait, first those that are served first, and what each one's priority is made of.",
       false, true,
       {{"user", ParameterKind::text, "only this user's, by name or number"},
        {"account", ParameterKind::text, "only of this account"}},
       nothing, reply<protocol::PriorityList>(), {{404, "not_found", "there is no such account"}},
       [](const ExchangePtr& e, const Call&) { list_priorities(e); }},
      {"GET", "/v1/shares", "list_shares", "The tree of accounts and their users: shares, usage and the fair-share factor.", false, true,
       {{"user", ParameterKind::text, "only this user and the accounts that he is in"}, {"account", ParameterKind::text, "only this account and its users"}},
       nothing, reply<protocol::ShareList>(), {{404, "not_found", "there is no such account"}},
       [](const ExchangePtr& e, const Call&) { list_shares(e); }},
      {"GET", "/v1/report", "show_report", "What each account used, wasted, tried and finished in a month of the cluster's time zone, and what it cost.", false, true,
       {{"account", ParameterKind::text, "only this account and those under it"},
        {"month", ParameterKind::month, "as 2026-11; without it, the current one"}},
       nothing, reply<protocol::ReportView>(), {{404, "not_found", "there is no such account"}},
       [](const ExchangePtr& e, const Call&) { show_report(e); }},
      {"GET", "/v1/policy", "show_policy", "The policy that the scheduler runs with.", false, true, {}, nothing, reply<PolicyConfig>(), {},
       [](const ExchangePtr& e, const Call&) { show_policy(e); }},
      {"GET", "/v1/waits", "list_waits", "Who waited for whom: the GPU time that each account's jobs waited, by the account that they waited for or by the cause.", false, true,
       {{"account", ParameterKind::text, "only what this account waited"}, {"month", ParameterKind::month, "as 2026-11; without it, the current one"}},
       nothing, reply<protocol::WaitRollUp>(), {{404, "not_found", "there is no such account"}},
       [](const ExchangePtr& e, const Call&) { list_waits(e); }},
      {"POST", "/v1/shutdown", "shut_down",
       "Ends the daemon. With `requeue` running jobs are stopped and queued again first; for the user who runs the scheduler and administrators.",
       false, true, {}, {application_json, sent<protocol::ShutdownRequest>, no_members, true}, {application_json, empty_object},
       {{403, "not_permitted", "you may not"}, {409, "conflict", "jobs run, and `requeue` is false"}},
       [](const ExchangePtr& e, const Call&) { shut_down(e); }},
  };
}

}  // namespace

const std::vector<Route>& routes() {
  static const std::vector<Route> all = make_routes();
  return all;
}

}  // namespace ultramarine::api
