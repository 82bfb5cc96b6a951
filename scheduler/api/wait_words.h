// What jobs waited for, and whom they passed, in sentences for people: who, how many GPUs, until when.
#pragma once

#include <string>
#include <vector>

#include "scheduler/api/followed.h"
#include "scheduler/model/certificate.h"
#include "scheduler/model/wait.h"
#include "scheduler/protocol/wait_messages.h"

namespace ultramarine::api {

/// "job 812 (train, lab-b, 8 GPUs), which held GPUs that it needed, until at 14:05 UTC (3m ago)"
std::string wait_in_words(const WaitPart& part, const State& state, Time now);

/// "Started ahead of 3 jobs without delaying them: it fits in a hole until at 20:10 UTC (in 2h); their planned starts stayed (digest a1b2... -> a1b2...)."
std::string certificate_in_words(const Certificate& certificate, Time now);
/// Of the one that was passed.
std::string passed_in_words(const Passed& passed, const Certificate* last, const State& state, Time now);

/// "lab-a waited 41.0 GPU-hours for lab-b, 3.0 of them by boosts."
std::string row_in_words(const std::string& account, const protocol::WaitRow& row);

}  // namespace ultramarine::api
