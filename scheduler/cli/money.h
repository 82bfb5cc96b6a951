// Money and GPU time in words: amounts, prices of jobs. Thousandths of a currency and GPU-milliseconds come in. No I/O but the question for a price.
#pragma once

#include <optional>
#include <string>

#include "scheduler/cli/client.h"

namespace ultramarine::cli {

/// "4,634", "2.36", "0.002": whole from a thousand on, else two decimals, three where two would show nothing.
std::string amount(std::int64_t milli);
/// "4,634 KRW"
std::string amount(std::int64_t milli, const std::string& currency);
/// "1,234,567"; the number is not negative.
std::string grouped(std::int64_t number);
/// "1,234.5" from a hundred on, else "2.70".
std::string gpu_hours(std::int64_t gpu_ms);
/// A number with so many digits behind its point, for programs: thousandths (3) as "2.357".
std::string decimal(std::int64_t parts, int digits);

/// What the job will cost at most, or has cost once it has ended, in one sentence; "" where the cluster file says nothing of money.
std::string price_sentence(const protocol::JobPrice& price);
/// The same, asked of the scheduler. "" also when it can't say: a price is never worth an error.
std::string price_sentence(Client& client, const JobName& job);

}  // namespace ultramarine::cli
