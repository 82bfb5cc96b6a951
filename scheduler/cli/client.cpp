#include "scheduler/cli/client.h"

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstring>
#include <exception>
#include <filesystem>
#include <thread>

#include "scheduler/cli/language.h"
#include "scheduler/cli/terminal.h"
#include "scheduler/net/base64.h"
#include "scheduler/protocol/codec.h"

namespace ultramarine::cli {
namespace {

template <class T>
Answer<T> decoded(std::string body) {
  try {
    T value = protocol::from_json<T>(body);
    return {std::move(value), std::move(body)};
  } catch (const protocol::DecodeError& error) {
    throw CommandError(exit_code::failure, error_line("", spoken("the scheduler's answer can't be read ({0})", std::string(error.what())),
                                                      spoken("do ultra and ultra-scheduler have the same version?")));
  }
}

std::string job_path(const JobName& job, const std::string& rest = "") { return "/v1/jobs/" + job.text + rest; }
std::string gang_path(std::int64_t gang, const char* rest) { return "/gangs/" + std::to_string(gang) + rest; }

bool refused_at_the_door(const net::NetError& error) {
  switch (error.error_number) {
    case ENOENT:
    case ECONNREFUSED:
    case EACCES:
    case EPERM:
    case ENOTDIR:
    case ELOOP:
    case ENAMETOOLONG:
      return true;
    default:
      return false;
  }
}

[[noreturn]] void refuse(const std::string& path, const net::Response& response) {
  protocol::ErrorReply reply;
  try {
    reply = protocol::from_json<protocol::ErrorReply>(response.body);
  } catch (const protocol::DecodeError&) {
    reply.message = spoken("the scheduler answered with status {0}", response.status);
  }
  if (reply.message.empty()) reply.message = spoken("the scheduler refused with status {0}", response.status);
  if (reply.field.empty() && reply.code == "not_found" && path.rfind("/v1/jobs/", 0) == 0) reply.field = "job";
  throw Refused(exit_code_for(reply.code, response.status), error_line(option_for_field(reply.field), reply.message, reply.remedy), reply);
}

}  // namespace

std::string option_for_field(const std::string& path) {
  static const std::map<std::string, std::string> options{{"name", "--name"},
                                                          {"account", "--account"},
                                                          {"partition", "--partition"},
                                                          {"qos", "--qos"},
                                                          {"resources", "--gpus"},
                                                          {"resources.gpus", "--gpus"},
                                                          {"resources.nodes", "--nodes"},
                                                          {"resources.gpus_per_node", "--gpus-per-node"},
                                                          {"time_limit_ms", "--time"},
                                                          {"stop_grace_ms", "--grace"},
                                                          {"mpi", "--mpi"},
                                                          {"command", "command"},
                                                          {"working_directory", "--workdir"},
                                                          {"environment", "--export"},
                                                          {"gpu_type", "--gpu-type"},
                                                          {"ranks", "--ranks"},
                                                          {"ranks_per_node", "--ranks-per-node"},
                                                          {"cpus_per_rank", "--cpus-per-rank"},
                                                          {"bind", "--bind"},
                                                          {"beside_rank", "--rank"},
                                                          {"only_nodes", "--nodelist"},
                                                          {"nodes", "--nodes"},
                                                          {"dependencies", "--after"},
                                                          {"begin_ms", "--begin"},
                                                          {"deadline_ms", "--deadline"},
                                                          {"hold", "--hold"},
                                                          {"nice", "--nice"},
                                                          {"max_restarts", "--max-restarts"},
                                                          {"on_node_loss", "--on-node-loss"},
                                                          {"stop_when_cut_off_ms", "--on-cut-off"},
                                                          {"hang_after_ms", "--hang-after"},
                                                          {"trial", "--no-trial"},
                                                          {"reservation", "--reservation"},
                                                          {"reason", "--reason"},
                                                          {"accounts", "--accounts"},
                                                          {"start_ms", "--start"},
                                                          {"end_ms", "--duration"},
                                                          {"jobs", "JOB"},
                                                          {"output", "--output"},
                                                          {"error", "--error"},
                                                          {"log_bytes_max", "--log-limit"},
                                                          {"warning", "--signal"},
                                                          {"script", "script"},
                                                          {"array_indices", "--array"},
                                                          {"array_limit", "--array"},
                                                          {"since_ms", "--since"},
                                                          {"gang", "--gang"},
                                                          {"rank", "--rank"},
                                                          {"state", "--state"},
                                                          {"month", "--month"},
                                                          {"user", "--user"},
                                                          {"job", "JOB"},
                                                          {"boost", "JOB"},
                                                          {"cancel", "JOB"},
                                                          {"drain", "NODE"},
                                                          {"add_nodes", "--count"},
                                                          {"min_gpus", "--min-gpus"},
                                                          {"token", "--confirm"},
                                                          {"requeue", "--requeue"}};
  std::string key = path.rfind("spec.", 0) == 0 ? path.substr(5) : path;
  key = key.substr(0, key.find('['));
  if (key.rfind("environment.", 0) == 0) key = "environment";
  const auto found = options.find(key);
  return found == options.end() ? path : found->second;
}

int exit_code_for(const std::string& code, int status) {
  if (code == "bad_request" || code == "impossible") return exit_code::usage;
  if (code == "not_permitted") return exit_code::not_permitted;
  if (code == "not_found") return exit_code::not_found;
  if (code == "conflict") return exit_code::conflict;
  if (code == "not_ready") return exit_code::unreachable;
  switch (status) {
    case 400:
    case 413:
      return exit_code::usage;
    case 403:
      return exit_code::not_permitted;
    case 404:
      return exit_code::not_found;
    case 409:
      return exit_code::conflict;
    case 503:
      return exit_code::unreachable;
    default:
      return exit_code::failure;
  }
}

void Client::unreachable(const net::NetError& error) const {
  if (!refused_at_the_door(error)) {
    throw Unreachable(printable(spoken("the connection to the scheduler at {0} was lost ({1}); try again, or look with 'ultra cluster status'",
                                       socket_, heard(error.what()))),
                      true);
  }
  const std::string folder = std::filesystem::path(socket_).parent_path().string();
  std::error_code ignored;
  std::string why;
  if (error.error_number == EACCES || error.error_number == EPERM) {
    throw CommandError(exit_code::not_permitted, error_line("", spoken("the socket {0} is not yours to use", socket_),
                                                            spoken("ask its owner, or name another with --socket or ULTRA_HOME")));
  }
  if (!std::filesystem::exists(folder, ignored))
    why = spoken("there is no folder {0}", folder);
  else if (error.error_number == ENOENT || error.error_number == ENOTDIR)
    why = spoken("no such socket");
  else if (error.error_number == ECONNREFUSED)
    why = spoken("nobody listens there");
  else
    why = heard(error.what());
  throw Unreachable(printable(spoken("no scheduler answers at {0} ({1}): start one with 'ultra cluster up'", socket_, why)), false);
}

std::string Client::call(const Request& request) {
  const net::Endpoint endpoint{.path = socket_, .host = "", .port = 0};
  net::Request sent;
  sent.method = request.method;
  sent.path = request.path;
  sent.query = request.query;
  sent.headers = request.headers;
  sent.body = request.body;
  if (!request.body.empty()) sent.headers["content-type"] = "application/json";
  try {
    net::Response response;
    if (interrupt_) {
      std::string body;
      response = net::fetch_stream(
          endpoint, sent, [&](std::string_view piece) { return body.append(piece), true; }, interrupt_->fd());
      interrupt_->check();
      if (response.status / 100 == 2) response.body = std::move(body);
    } else {
      response = net::fetch(endpoint, sent, request.timeout);
    }
    if (response.status / 100 != 2) refuse(request.path, response);
    return std::move(response.body);
  } catch (const net::NetError& error) {
    if (interrupt_) interrupt_->check();
    unreachable(error);
  }
}

Answer<protocol::SubmitReply> Client::submit(const protocol::SubmitRequest& request) {
  const Request call_request{"POST", "/v1/jobs", {}, protocol::to_json(request)};
  bool connected_once = false;
  for (int pause_ms = 100;; pause_ms *= 2) {
    try {
      return decoded<protocol::SubmitReply>(call(call_request));
    } catch (const Unreachable& error) {
      // A scheduler that was there and went away may be starting again; one that never answered is not there.
      connected_once = connected_once || error.lost;
      if (!connected_once || pause_ms > 6400) throw;
      std::this_thread::sleep_for(std::chrono::milliseconds(pause_ms));
    }
  }
}

Answer<protocol::JobList> Client::jobs(const JobFilter& filter) {
  Request request{"GET", "/v1/jobs", {}, ""};
  if (filter.all) request.query["all"] = "1";
  if (!filter.state.empty()) request.query["state"] = filter.state;
  if (!filter.user.empty()) request.query["user"] = filter.user;
  if (!filter.account.empty()) request.query["account"] = filter.account;
  if (!filter.all_members) request.headers["prefer"] = "return=minimal";
  return decoded<protocol::JobList>(call(request));
}

Answer<protocol::JobView> Client::job(const JobName& job) { return decoded<protocol::JobView>(call({"GET", job_path(job), {}, ""})); }

Answer<protocol::JobView> Client::wait(const JobName& job, std::chrono::milliseconds up_to) {
  const auto bounded = std::clamp<std::int64_t>(up_to.count(), 0, 60'000);
  return decoded<protocol::JobView>(call({"GET",
                                          job_path(job, "/wait"),
                                          {{"timeout_ms", std::to_string(bounded)}},
                                          "",
                                          std::chrono::milliseconds(bounded) + std::chrono::seconds(15)}));
}

Answer<protocol::JobView> Client::cancel(const JobName& job) {
  return decoded<protocol::JobView>(call({"POST", job_path(job, "/cancel"), {}, "{}"}));
}

Answer<protocol::JobView> Client::hold(const JobName& job, const std::string& reason) {
  return decoded<protocol::JobView>(call({"POST", job_path(job, "/hold"), {}, protocol::to_json(protocol::HoldRequest{reason})}));
}
Answer<protocol::JobView> Client::release(const JobName& job) {
  return decoded<protocol::JobView>(call({"POST", job_path(job, "/release"), {}, "{}"}));
}
Answer<protocol::WhyReply> Client::why(const JobName& job) { return decoded<protocol::WhyReply>(call({"GET", job_path(job, "/why"), {}, ""})); }
Answer<protocol::WhatIfReply> Client::what_if(const protocol::WhatIfRequest& request) {
  return decoded<protocol::WhatIfReply>(call({"POST", "/v1/whatif", {}, protocol::to_json(request)}));
}
Answer<protocol::JobView> Client::edit(const JobName& job, const JobChange& change) {
  return decoded<protocol::JobView>(call({"POST", job_path(job, "/edit"), {}, protocol::to_json(change)}));
}
Answer<protocol::FavourReply> Client::favour(const protocol::FavourRequest& request) {
  return decoded<protocol::FavourReply>(call({"POST", "/v1/favours", {}, protocol::to_json(request)}));
}
Answer<protocol::JobView> Client::requeue(const JobName& job) {
  return decoded<protocol::JobView>(call({"POST", job_path(job, "/requeue"), {}, "{}"}));
}
Answer<protocol::JobList> Client::reorder(const std::vector<JobName>& jobs) {
  protocol::ReorderRequest request;
  for (const JobName& job : jobs) request.jobs.push_back(job.text);
  return decoded<protocol::JobList>(call({"POST", "/v1/jobs/reorder", {}, protocol::to_json(request)}));
}

protocol::GangReply Client::start_gang(const JobName& job, const protocol::GangRequest& request) {
  return decoded<protocol::GangReply>(call({"POST", job_path(job, "/gangs"), {}, protocol::to_json(request)})).value;
}
protocol::GangView Client::wait_for_gang(const JobName& job, std::int64_t gang, std::chrono::milliseconds up_to) {
  const auto bounded = std::clamp<std::int64_t>(up_to.count(), 0, 60'000);
  return decoded<protocol::GangView>(call({"GET",
                                           job_path(job, gang_path(gang, "/wait")),
                                           {{"timeout_ms", std::to_string(bounded)}},
                                           "",
                                           std::chrono::milliseconds(bounded) + std::chrono::seconds(15)}))
      .value;
}
protocol::GangView Client::stop_gang(const JobName& job, std::int64_t gang) {
  return decoded<protocol::GangView>(call({"POST", job_path(job, gang_path(gang, "/stop")), {}, "{}"})).value;
}

void Client::type(const JobName& job, std::int64_t gang, std::string_view bytes, const std::optional<TerminalSize>& size) {
  call({"POST", job_path(job, gang_path(gang, "/input")), {}, protocol::to_json(protocol::InputRequest{net::to_base64(bytes), size})});
}

Answer<protocol::EventList> Client::events(const JobName& job) {
  return decoded<protocol::EventList>(call({"GET", job_path(job, "/events"), {}, ""}));
}
Answer<protocol::CheckReply> Client::check(const protocol::SubmitRequest& request) {
  return decoded<protocol::CheckReply>(call({"POST", "/v1/jobs/check", {}, protocol::to_json(request)}));
}
Answer<protocol::NodeList> Client::nodes() { return decoded<protocol::NodeList>(call({"GET", "/v1/nodes", {}, ""})); }
Answer<protocol::NodeList> Client::drain(const std::vector<std::string>& nodes, const std::string& reason) {
  return decoded<protocol::NodeList>(call({"POST", "/v1/nodes/drain", {}, protocol::to_json(protocol::DrainRequest{nodes, reason})}));
}
Answer<protocol::NodeList> Client::lose(const std::vector<std::string>& nodes, const std::string& reason) {
  return decoded<protocol::NodeList>(call({"POST", "/v1/nodes/lost", {}, protocol::to_json(protocol::LossRequest{nodes, reason})}));
}
Answer<protocol::NodeList> Client::resume(const std::vector<std::string>& nodes) {
  return decoded<protocol::NodeList>(call({"POST", "/v1/nodes/resume", {}, protocol::to_json(protocol::ResumeRequest{nodes})}));
}
Answer<protocol::ReservationList> Client::reservations() { return decoded<protocol::ReservationList>(call({"GET", "/v1/reservations", {}, ""})); }
Answer<protocol::ReservationReply> Client::reserve(const protocol::ReservationRequest& request) {
  return decoded<protocol::ReservationReply>(call({"POST", "/v1/reservations", {}, protocol::to_json(request)}));
}
Answer<protocol::ReservationReply> Client::cancel_reservation(const std::string& name) {
  return decoded<protocol::ReservationReply>(call({"POST", "/v1/reservations/cancel", {}, protocol::to_json(protocol::ReservationCancelRequest{name})}));
}
Answer<protocol::ReloadReply> Client::reload(bool check) {
  return decoded<protocol::ReloadReply>(call({"POST", "/v1/reload", {}, protocol::to_json(protocol::ReloadRequest{check})}));
}
Answer<protocol::PriorityList> Client::priorities(const std::string& user, const std::string& account) {
  Request request{"GET", "/v1/priorities", {}, ""};
  if (!user.empty()) request.query["user"] = user;
  if (!account.empty()) request.query["account"] = account;
  return decoded<protocol::PriorityList>(call(request));
}
Answer<protocol::ShareList> Client::shares(const std::string& user, const std::string& account) {
  Request request{"GET", "/v1/shares", {}, ""};
  if (!user.empty()) request.query["user"] = user;
  if (!account.empty()) request.query["account"] = account;
  return decoded<protocol::ShareList>(call(request));
}
Answer<protocol::JobPrice> Client::price(const JobName& job) { return decoded<protocol::JobPrice>(call({"GET", job_path(job, "/price"), {}, ""})); }
Answer<protocol::ReportView> Client::report(const std::string& account, const std::optional<std::string>& month) {
  Request request{"GET", "/v1/report", {}, ""};
  if (!account.empty()) request.query["account"] = account;
  if (month) request.query["month"] = *month;
  return decoded<protocol::ReportView>(call(request));
}
Answer<PolicyConfig> Client::policy() { return decoded<PolicyConfig>(call({"GET", "/v1/policy", {}, ""})); }
Answer<protocol::WaitsOfJob> Client::waits(const JobName& job) { return decoded<protocol::WaitsOfJob>(call({"GET", job_path(job, "/waits"), {}, ""})); }
Answer<protocol::WaitRollUp> Client::waits(const std::string& account, const std::string& month) {
  Request request{"GET", "/v1/waits", {}, ""};
  if (!account.empty()) request.query["account"] = account;
  if (!month.empty()) request.query["month"] = month;
  return decoded<protocol::WaitRollUp>(call(request));
}
Answer<protocol::ClusterView> Client::cluster() { return decoded<protocol::ClusterView>(call({"GET", "/v1/cluster", {}, ""})); }

void Client::shutdown(bool requeue) {
  protocol::ShutdownRequest request;
  request.requeue = requeue;
  call({"POST", "/v1/shutdown", {}, protocol::to_json(request), std::chrono::minutes(30)});
}

bool Client::ready() {
  try {
    call({"GET", "/readyz", {}, "", std::chrono::seconds(5)});
    return true;
  } catch (const CommandError&) {
    return false;
  }
}

void Client::logs(const JobName& job, const OutputChoice& choice, bool follow,
                  const std::function<void(const protocol::LogLine&, std::string_view)>& on_line) {
  net::Request request;
  request.method = "GET";
  request.path = job_path(job, choice.gang ? gang_path(*choice.gang, "/logs") : "/logs");
  if (choice.ranks.size() == 1) request.query["rank"] = std::to_string(choice.ranks.front());
  if (choice.since) request.query["since_ms"] = std::to_string(choice.since->ms);
  if (follow) request.query["follow"] = "1";
  std::string pending;
  const auto take_line = [&](std::string_view text) {
    if (text.empty()) return;
    const auto line = decoded<protocol::LogLine>(std::string(text)).value;
    const auto& ranks = choice.ranks;
    if (ranks.empty() || std::binary_search(ranks.begin(), ranks.end(), line.rank) || (!line.error.empty() && line.rank <= 0))
      on_line(line, text);
  };
  std::exception_ptr failure;  // carried around the network code, which isn't ours to unwind
  const auto take_piece = [&](std::string_view piece) {
    try {
      pending += piece;
      std::size_t from = 0;
      for (std::size_t end = pending.find('\n'); end != std::string::npos; from = end + 1, end = pending.find('\n', from)) {
        take_line(std::string_view(pending).substr(from, end - from));
      }
      pending.erase(0, from);
      return true;
    } catch (...) {
      failure = std::current_exception();
      return false;
    }
  };
  try {
    const net::Endpoint endpoint{.path = socket_, .host = "", .port = 0};
    const auto response = net::fetch_stream(endpoint, request, take_piece, interrupt_ ? interrupt_->fd() : -1);
    if (failure) std::rethrow_exception(failure);
    if (interrupt_) interrupt_->check();
    if (response.status / 100 != 2) refuse(request.path, response);
    take_line(pending);
  } catch (const net::NetError& error) {
    if (interrupt_) interrupt_->check();
    unreachable(error);
  }
}

std::string encode_views(const std::vector<protocol::JobView>& jobs, Time now) {
  protocol::JobList list;
  list.now_ms = now;
  list.jobs = jobs;
  return protocol::to_json(list);
}

}  // namespace ultramarine::cli
