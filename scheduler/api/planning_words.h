// Sentences about plans that were compared: what would let a job start sooner, what a favour costs others.
#pragma once

#include <string>
#include <vector>

#include "scheduler/core/ways.h"
#include "scheduler/model/bill.h"
#include "scheduler/model/plan.h"
#include "scheduler/model/state.h"

namespace ultramarine::api {

/// "41.5 GPU-hours"; less than a tenth of an hour in GPU-minutes.
std::string gpu_hours_in_words(std::int64_t gpu_ms);
/// "job 12 (train, lab-a) of ann"; without a user where nobody is to be named.
std::string job_in_words(const Job& job, bool with_user = true);

/// What a bill is for: "put job 12 (train, lab-a) of ann ahead of all others".
std::string favour_in_words(const Bill& bill, const State& state);

/// Who starts later: "Nobody else would start later." or "This delays 2 other jobs, by 3h at most: 41.5 GPU-hours in all (lab-b 40, lab-c 1.5)."
std::string delays_in_words(const std::vector<MovedStart>& delayed, std::int64_t displaced_gpu_ms);

/// "This lets 3 other jobs start sooner, by 2h at most."
std::string gains_in_words(const std::vector<MovedStart>& helped);

/// "It would start now with a time limit of 2h instead of 8h. Nobody else would start later."
std::string way_in_words(const core::Way& way, const JobSpec& spec, std::optional<Time> planned, Time now);

/// The bill, a sentence a line: what is done, what the job gains, who is delayed (at most ten, each with owner and account), who is helped, what
/// changes for the accounts.
std::vector<std::string> bill_in_words(const Bill& bill, const State& state, std::optional<Time> before, std::optional<Time> after, Time now);

/// A bill's line for one whom it delayed: "A boost of job 7 (demo, lab-b) by mia moved its planned start from ... to ...: demo for the visitors."
std::string suffered_in_words(const Bill& bill, const MovedStart& moved, const State& state, Time now);

}  // namespace ultramarine::api
