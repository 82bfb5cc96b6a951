// The public HTTP API as typed calls over the scheduler's Unix socket. Every refusal becomes a CommandError whose line
// names the option that is at fault. Knows nothing of terminals.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "scheduler/cli/command_error.h"
#include "scheduler/cli/interrupt.h"
#include "scheduler/cli/job_name.h"
#include "scheduler/net/http.h"
#include "scheduler/protocol/api_messages.h"
#include "scheduler/protocol/planning_messages.h"
#include "scheduler/protocol/report_messages.h"
#include "scheduler/protocol/wait_messages.h"

namespace ultramarine::cli {

/// What the scheduler said: as values, and as the very text for --json.
template <class T>
struct Answer {
  T value;
  std::string body;
};

/// The API's error reply, as a line and an exit code.
struct Refused : CommandError {
  Refused(int code_, const std::string& line, protocol::ErrorReply reply_)
      : CommandError(code_, line), reply(std::move(reply_)) {}
  protocol::ErrorReply reply;
};

/// "spec.resources.gpus" -> "--gpus"; a path that no option stands for comes back as it is.
std::string option_for_field(const std::string& path);
/// Of the words in ErrorReply::code (the HTTP status decides for words that are new).
int exit_code_for(const std::string& code, int status);

struct JobFilter {
  bool all = false;
  std::string state, user, account;  // "" = any
  bool all_members = false;  // the answer's text is for programs: with those that hold nothing, too
};

/// Which output to read: of all ranks when `ranks` is empty, of the job's first gang when `gang` is absent, all when `since` is.
struct OutputChoice {
  std::vector<std::int64_t> ranks;
  std::optional<std::int64_t> gang;
  std::optional<Time> since;
};

class Client {
 public:
  /// `interrupt`: waiting calls end with Interrupted when it is raised.
  explicit Client(std::string socket, const Interrupt* interrupt = nullptr)
      : socket_(std::move(socket)), interrupt_(interrupt) {}

  /// A lost connection is tried again with the same request_key, so that it stays one job.
  Answer<protocol::SubmitReply> submit(const protocol::SubmitRequest& request);
  Answer<protocol::JobList> jobs(const JobFilter& filter);
  /// An array that is named by its number comes as one view of all its elements; so do wait and cancel.
  Answer<protocol::JobView> job(const JobName& job);
  /// Returns when the job has ended or `up_to` (at most 60 s) is over.
  Answer<protocol::JobView> wait(const JobName& job, std::chrono::milliseconds up_to);
  Answer<protocol::JobView> cancel(const JobName& job);
  Answer<protocol::JobView> hold(const JobName& job, const std::string& reason);
  Answer<protocol::JobView> release(const JobName& job);
  /// Both think for a while on a long queue.
  Answer<protocol::WhyReply> why(const JobName& job);
  Answer<protocol::WhatIfReply> what_if(const protocol::WhatIfRequest& request);
  Answer<protocol::JobView> edit(const JobName& job, const JobChange& change);
  /// Its bill; with a token, granted. Not tried again: it might be granted twice.
  Answer<protocol::FavourReply> favour(const protocol::FavourRequest& request);
  Answer<protocol::JobView> requeue(const JobName& job);
  Answer<protocol::JobList> reorder(const std::vector<JobName>& jobs);
  /// Asks for one more gang inside a running job. Not tried again: a second one would start.
  protocol::GangReply start_gang(const JobName& job, const protocol::GangRequest& request);
  /// Returns when the gang has finished or `up_to` (at most 60 s) is over.
  protocol::GangView wait_for_gang(const JobName& job, std::int64_t gang, std::chrono::milliseconds up_to);
  protocol::GangView stop_gang(const JobName& job, std::int64_t gang);
  /// Into the terminal of a gang. Not tried again: it might be typed twice.
  void type(const JobName& job, std::int64_t gang, std::string_view bytes, const std::optional<TerminalSize>& size);
  /// What happened to a job, or to the elements of an array.
  Answer<protocol::EventList> events(const JobName& job);
  /// What the cluster would make of a submission, without submitting it.
  Answer<protocol::CheckReply> check(const protocol::SubmitRequest& request);
  Answer<protocol::NodeList> nodes();
  /// Nodes by name or hostlist.
  Answer<protocol::NodeList> drain(const std::vector<std::string>& nodes, const std::string& reason);
  Answer<protocol::NodeList> lose(const std::vector<std::string>& nodes, const std::string& reason);
  Answer<protocol::NodeList> resume(const std::vector<std::string>& nodes);
  Answer<protocol::ReservationList> reservations();
  Answer<protocol::ReservationReply> reserve(const protocol::ReservationRequest& request);
  Answer<protocol::ReservationReply> cancel_reservation(const std::string& name);
  Answer<protocol::ReloadReply> reload(bool check);
  Answer<protocol::PriorityList> priorities(const std::string& user, const std::string& account);
  Answer<protocol::ShareList> shares(const std::string& user, const std::string& account);
  /// What a job costs, or all elements of an array.
  Answer<protocol::JobPrice> price(const JobName& job);
  /// `month`: as 2026-11; absent: the current one.
  Answer<protocol::ReportView> report(const std::string& account, const std::optional<std::string>& month);
  Answer<PolicyConfig> policy();
  /// What a job waited for.
  Answer<protocol::WaitsOfJob> waits(const JobName& job);
  /// Which account waited for which. "": all, and the current month.
  Answer<protocol::WaitRollUp> waits(const std::string& account, const std::string& month);
  Answer<protocol::ClusterView> cluster();
  void shutdown(bool requeue);
  /// Replay is done and the journal takes commits. Never throws for a scheduler that isn't there.
  bool ready();
  /// Hands over each line of the chosen ranks (value and JSON text) until the scheduler ends the stream.
  void logs(const JobName& job, const OutputChoice& choice, bool follow,
            const std::function<void(const protocol::LogLine&, std::string_view)>& on_line);

 private:
  struct Request {
    std::string method, path;
    std::map<std::string, std::string> query;
    std::string body;
    std::chrono::milliseconds timeout = std::chrono::seconds(30);
    std::map<std::string, std::string> headers = {};
  };
  std::string call(const Request& request);
  [[noreturn]] void unreachable(const net::NetError& error) const;

  std::string socket_;
  const Interrupt* interrupt_;
};

/// JSON text of the values that the command line makes itself.
std::string encode_views(const std::vector<protocol::JobView>& jobs, Time now);

}  // namespace ultramarine::cli
