// The words of the command line for what the API says as data: instants, lengths, places, states, ends of jobs. No I/O.
#pragma once

#include <string>
#include <vector>

#include "scheduler/cli/terminal.h"
#include "scheduler/protocol/api_messages.h"

namespace ultramarine::cli {

std::string word(JobState state);
std::string word(NodeState state);
std::string word(Outcome outcome);
Tint tint_of(JobState state);
Tint tint_of(NodeState state);

/// Of the user who runs this program; the number of one who has no name.
std::string own_user_name();
/// "1 GPU", "8 GPUs".
std::string counted(std::int64_t count, const std::string& singular, const std::string& plural);
/// "now", "in 14m", "3m ago".
std::string relative(Time time, Time now);
/// Local time: "2026-11-22 03:40:05".
std::string local_time(Time time);
/// "512 B", "1.5 GiB".
std::string bytes_text(std::int64_t bytes);
/// "37.5%".
std::string percent(std::int64_t permille);
/// A number of parts of factor_one, as "0.333333".
std::string part_of_one(std::int64_t parts);
/// "node[01-02]", or "-".
std::string places(const Allocation& allocation);
/// "signal 9 (SIGKILL)" or "code 3".
std::string ending(std::int64_t exit_code, std::int64_t signal);

/// Who failed and how: "rank 3 on node02 exited with code 1".
std::string failure_sentence(const Failure& failure);

/// Of the newest attempt, until now or its end; 0 when it never started.
Duration elapsed(const Job& job, Time now);
/// "3m 20s / 1h", "- / 2h".
std::string elapsed_of_limit(const Job& job, Time now);
/// When a queued job is planned to start, else "-".
std::string planned_start(const protocol::JobView& view, Time now);
/// Where it runs or ran; why it waits.
std::string where_or_why(const protocol::JobView& view);

/// "Job 12 is planned to start in 14m on node[01-02]: <why>." One sentence about a job that has not ended.
std::string outlook(const protocol::JobView& view, Time now);
/// With a capital letter, where the language has them.
std::string capitalized(std::string sentence);
/// "job 12 completed in 3m 20s", "job 12 failed: rank 3 on node02 ended with signal 9 (SIGKILL); see 'ultra show 12'".
std::string ended_sentence(const protocol::JobView& view);
/// What a shell would see: the job's own code, 125 if our system failed it.
int exit_code_of(const protocol::JobView& view);

}  // namespace ultramarine::cli
