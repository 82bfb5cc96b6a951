#include "scheduler/cli/policy_words.h"

#include <array>
#include <set>

#include "scheduler/cli/language.h"
#include "scheduler/cli/money.h"
#include "scheduler/cli/terminal.h"
#include "scheduler/cli/verb.h"
#include "scheduler/cli/words.h"
#include "scheduler/protocol/config.h"
#include "scheduler/protocol/text_forms.h"

namespace ultramarine::cli {
namespace {

constexpr std::int64_t ms_per_hour = 3'600'000;

std::string length(Duration time) { return protocol::format_duration(time); }

std::int64_t weight(const PolicyConfig& policy, const char* factor) {
  const auto found = policy.weights.find(factor);
  return found == policy.weights.end() ? 0 : found->second;
}

bool is_multifactor(const PolicyConfig& policy) { return policy.order == "multifactor"; }
bool plans_everybody(const PolicyConfig& policy) { return policy.backfill == "conservative"; }

/// So many points as the time that a job must wait for them; 0 where waiting brings none. In whole minutes.
Duration as_waiting(const PolicyConfig& policy, std::int64_t points) {
  const std::int64_t for_max_age = weight(policy, "age");
  if (for_max_age <= 0) return {0};
  const double ms = static_cast<double>(points) * static_cast<double>(policy.max_age_ms.ms) / static_cast<double>(for_max_age);
  const Duration whole{static_cast<std::int64_t>(ms / 60'000 + 0.5) * 60'000};
  return whole.ms > 0 ? whole : Duration{60'000};
}

/// What points are worth, in words: "2d of waiting" or "48,000 points".
std::string worth(const PolicyConfig& policy, std::int64_t points) {
  const Duration waiting = as_waiting(policy, points);
  return waiting.ms > 0 ? spoken("{0} of waiting", length(waiting)) : spoken("{0} points", grouped(points));
}

// ---- who is next

std::string size_sentence(const PolicyConfig& policy) {
  const std::int64_t points = weight(policy, "size");
  const std::string most = worth(policy, points);
  if (policy.size_favours == "large")
    return spoken("Size: a job on all GPUs is ahead of one on a single GPU by {0}, and all others are between them. This costs small jobs time.", most);
  if (policy.size_favours == "short")
    return spoken("Size: the fewer GPU-hours a job asks for (GPUs x time limit), the further ahead it is, by {0} at most. This costs large and long jobs time.", most);
  if (policy.size_favours == "lanes") {
    const std::int64_t middle = points * policy.middle_lane_permille / 1000;
    return spoken("Size: there are three lanes. Jobs of at most {0} GPU-hours (GPUs x time limit) are in the express lane, jobs with a time limit over {1} in the long lane, "
                  "all others between them: {2} behind the express lane, {3} ahead of the long one. This costs those who ask for much time.",
                  grouped(policy.express_gpu_hours), length(policy.long_limit_ms), worth(policy, points - middle), worth(policy, middle));
  }
  return spoken("Size: a job on a single GPU is ahead of one on all GPUs by {0}, and all others are between them. This costs large jobs time.", most);
}

void explain_points(const PolicyConfig& policy, std::vector<std::string>& say) {
  say.push_back(spoken("Every waiting job has points, and the one with most is next. They are counted anew every {0}, and stay as they are in between.",
                       length(policy.priority_interval_ms)));
  const std::int64_t age = weight(policy, "age");
  if (age > 0) {
    const std::int64_t per_hour = static_cast<std::int64_t>(static_cast<double>(age) * ms_per_hour / static_cast<double>(policy.max_age_ms.ms) + 0.5);
    say.push_back(per_hour > 0 ? spoken("Waiting: each hour brings {0} points, up to {1}. So all else can be said in hours of waiting.", grouped(per_hour), length(policy.max_age_ms))
                               : spoken("Waiting: {0} of it bring {1} points, and more bring no more. So all else can be said in hours of waiting.", length(policy.max_age_ms), grouped(age)));
  }
  if (policy.first_after_max_age)
    say.push_back(spoken("Who has waited for {0} goes ahead of all who have not, the longest wait first, whatever the points: nobody waits for ever. This costs all others time.",
                         length(policy.max_age_ms)));
  if (const std::int64_t points = weight(policy, "fair_share"); points > 0)
    say.push_back(spoken("Fairness: who used least for his share is ahead of who used most by {0}. What was used counts half after {1}. This costs those time who used much lately.",
                         worth(policy, points), length(policy.half_life_ms)));
  if (weight(policy, "size") > 0) say.push_back(size_sentence(policy));
  if (const std::int64_t points = weight(policy, "qos"); points > 0)
    say.push_back(spoken("Service level: the highest is ahead of the lowest by {0}, as the cluster file ranks them. This costs those time whose level is low.", worth(policy, points)));
  if (const std::int64_t points = weight(policy, "partition"); points > 0)
    say.push_back(spoken("Partition: jobs of the highest ranked are ahead of those of the lowest by {0}, where jobs of several want the same GPUs.", worth(policy, points)));
  if (const std::int64_t points = weight(policy, "account"); points > 0)
    say.push_back(spoken("Account: the highest ranked is ahead of the lowest by {0}, as the cluster file ranks them. This costs accounts time that it ranks low.", worth(policy, points)));
  say.push_back(spoken("Equal points: who has waited for longer is next."));
}

std::vector<std::string> who_is_next(const PolicyConfig& policy) {
  if (is_multifactor(policy)) {
    std::vector<std::string> say;
    explain_points(policy, say);
    return say;
  }
  const std::string equals = spoken("Equals come in the order in which they were submitted.");
  if (policy.order == "shortest")
    return {spoken("The job with the shortest time limit is next."), equals, spoken("This costs long jobs time: they wait for as long as shorter ones keep coming.")};
  if (policy.order == "least_remaining")
    return {spoken("The job with the least time left is next: its time limit less what it has run already."), equals,
            spoken("This costs long jobs time: they wait for as long as shorter ones keep coming.")};
  if (policy.order == "least_remaining_gpu_time")
    return {spoken("The job with the least GPU time left is next: its time limit less what it has run already, times its GPUs."), equals,
            spoken("This costs large and long jobs time: they wait for as long as others keep coming.")};
  if (policy.order == "least_attained") {
    std::string levels;
    for (const std::int64_t gpu_seconds : policy.thresholds_gpu_s) levels += (levels.empty() ? "" : ", ") + gpu_hours(gpu_seconds * 1000);
    std::vector<std::string> say{levels.empty() ? spoken("All jobs are on one level, whatever they had so far.")
                                                : spoken("The job that has had least is next: each goes down one level when it has held {0} GPU-hours.", levels)};
    say.push_back(equals);
    if (!levels.empty()) say.push_back(spoken("This costs long jobs time: new ones go ahead of them."));
    return say;
  }
  return {spoken("First come, first served: the job that was submitted first is next."),
          spoken("Nobody is favoured for the size of his job or for how little he used; who asks for little waits behind who asks for much.")};
}

// ---- how gaps are filled

std::vector<std::string> how_gaps_are_filled(const PolicyConfig& policy) {
  std::vector<std::string> say;
  if (policy.backfill == "none")
    say = {spoken("Not at all: nobody starts ahead of the first job that has to wait."), spoken("This costs everybody: free GPUs stand idle until that job can start.")};
  else if (policy.backfill == "skip")
    say = {spoken("By whoever fits: jobs that don't fit are passed over, and nobody is promised a start."),
           spoken("This costs large jobs time: they may wait for ever while smaller ones keep coming.")};
  else if (policy.backfill == "easy" || policy.backfill == "easy_sjf") {
    say = {spoken("The first job that has to wait is promised a start. Any other may go ahead of it that doesn't delay that start."),
           spoken("This costs all who wait behind the first one: they are promised nothing, and may be overtaken again and again.")};
    if (policy.backfill == "easy_sjf") say.push_back(spoken("Among those that may go ahead, the one with the shortest time limit is tried first."));
  } else {
    say = {spoken("Every waiting job has a planned start. A later job goes ahead only if no planned start of those ahead of it moves."),
           spoken("This costs nobody ahead anything. Who asks for a longer time than he needs fills fewer gaps.")};
  }
  if (plans_everybody(policy) && policy.patience_ms.ms > 0)
    say.push_back(spoken("Patience: once the first job in the order has waited for {0}, no job behind it that asks for more time than {0} starts on the GPUs that it waits for. "
                         "This costs long jobs time, and helps large ones that wait for many GPUs to end.",
                         length(policy.patience_ms)));
  if (policy.launch_allowance_ms.ms > 0 && plans_everybody(policy))
    say.push_back(spoken("Between two jobs on the same GPU {0} are kept free, so that what starting takes makes no planned start late.", length(policy.launch_allowance_ms)));
  return say;
}

std::vector<std::string> where_jobs_run(const PolicyConfig& policy) {
  if (policy.placement == "pack")
    return {spoken("Whole nodes are taken in the order of their names, and what is less than a node goes where fewest GPUs are free.")};
  return {spoken("On as few nodes as possible, close to each other in the network, and there where fewest GPUs are left over: so whole nodes stay free for large jobs.")};
}

std::vector<std::string> who_yields(const PolicyConfig& policy) {
  if (policy.preemption == "by_order")
    return {spoken("Running jobs yield to whoever is ahead of them in the order, and wait again."),
            spoken("Only a simulation runs such a policy: there a stop costs nothing. A real job would lose all that it did since its last checkpoint.")};
  return {spoken("Nobody: a running job keeps its GPUs until it ends."), spoken("This costs those time who wait for it, up to its time limit.")};
}

// ---- limits and favours

std::vector<std::string> caps(const PolicyConfig& policy) {
  std::vector<std::string> say;
  for (const auto& [account, gpus] : policy.caps)
    say.push_back(spoken_count(gpus, "{1} and the accounts under it hold at most {0} GPU at once, even while others stand idle. This costs that account time, and nobody else.",
                               "{1} and the accounts under it hold at most {0} GPUs at once, even while others stand idle. This costs that account time, and nobody else.", printable(account)));
  if (say.empty()) say.push_back(spoken("This policy caps no account; the cluster file may."));
  return say;
}

std::int64_t said(const std::map<std::string, std::int64_t>& words, const char* word, std::int64_t otherwise) {
  const auto found = words.find(word);
  return found == words.end() ? otherwise : found->second;
}

/// Trials are given only where everybody has a planned start that is kept.
bool has_trials(const PolicyConfig& policy) { return said(policy.trial, "minutes", 0) > 0 && plans_everybody(policy) && policy.preemption == "none"; }

std::vector<std::string> trials(const PolicyConfig& policy) {
  if (!has_trials(policy)) return {spoken("None: a new job runs when its turn has come, and a slip of its owner shows no sooner.")};
  const std::string each = spoken_count(said(policy.trial, "gpus_per_job", 1), "{0} GPU", "{0} GPUs");
  return {spoken("A new job that has to wait runs its first {0} at once, on at most {1}; all trials together hold at most {2} of the GPUs.",
                 length(minutes(said(policy.trial, "minutes", 0))), each, percent(said(policy.trial, "share_permille", 100))),
          spoken("A slip of its owner shows within minutes, not after the wait. This costs nobody his planned start: a trial takes only what the plan leaves free.")};
}

/// Whom a budget names: a manager, a group of them, or all that are not named.
std::string holder(const std::string& budget) {
  if (budget == "*") return spoken("every manager without a budget of his own");
  return budget.starts_with('@') ? spoken("every manager of the group {0}", printable(budget.substr(1))) : printable(budget);
}

std::vector<std::string> favours(const PolicyConfig& policy) {
  std::vector<std::string> say;
  for (const auto& [manager, hours] : policy.boost_budgets) {
    const std::string sentence = spoken("{0} may put jobs ahead of others until they are delayed by {1} GPU-hours in a month (GPUs x delay).", holder(manager), grouped(hours));
    say.push_back(manager == "*" || manager.starts_with('@') ? capitalized(sentence) : sentence);  // names stay as they are
  }
  if (say.empty()) return {spoken("This policy gives no manager a budget for putting jobs ahead of others.")};
  say.push_back(spoken("This costs those time who are overtaken: the bill that names them is shown before, and to them afterwards."));
  return say;
}

// ---- what changes

/// How much a factor moves jobs: by what it is worth in waiting; where waiting counts nothing, no wait makes up for it.
std::int64_t compared(const PolicyConfig& policy, const char* factor) {
  if (!is_multifactor(policy)) return 0;
  const std::int64_t points = weight(policy, factor);
  if (points == 0) return 0;
  const Duration waiting = as_waiting(policy, points);
  constexpr std::int64_t beyond_any_wait = std::int64_t{1} << 50;
  return waiting.ms > 0 ? waiting.ms : beyond_any_wait + points;
}

/// What the size factor favours, or "" when nothing.
std::string favoured_size(const PolicyConfig& policy) { return compared(policy, "size") > 0 ? policy.size_favours : ""; }

std::string gain_by_size(const std::string& size) {
  if (size == "large") return spoken("Large jobs gain, and small ones lose.");
  if (size == "short") return spoken("Jobs that ask for few GPU-hours gain, and large and long ones lose.");
  if (size == "lanes") return spoken("Jobs in the express lane gain, and those in the long lane lose.");
  return spoken("Small jobs gain, and large ones lose.");
}

std::string loss_by_size(const std::string& size) {
  if (size == "large") return spoken("Large jobs lose their head start, and small ones gain.");
  if (size == "short") return spoken("Jobs that ask for few GPU-hours lose their head start, and large and long ones gain.");
  if (size == "lanes") return spoken("Jobs in the express lane lose some of their head start, and those in the long lane gain.");
  return spoken("Small jobs lose their head start, and large ones gain.");
}

void compare_weights(const PolicyConfig& before, const PolicyConfig& after, std::vector<std::string>& say) {
  const auto change = [&](const char* factor, const std::string& more, const std::string& less) {
    const std::int64_t was = compared(before, factor), is = compared(after, factor);
    if (was != is) say.push_back(is > was ? more : less);
  };
  change("fair_share", spoken("Who used little for his share gains, and who used much loses."), spoken("Who used much for his share gains, and who used little loses."));
  change("qos", spoken("Jobs of high service levels gain, and those of low ones lose."), spoken("Jobs of low service levels gain, and those of high ones lose."));
  change("partition", spoken("Jobs in highly ranked partitions gain, and those in others lose."), spoken("Jobs in highly ranked partitions lose, and those in others gain."));
  change("account", spoken("Highly ranked accounts gain, and others lose."), spoken("Highly ranked accounts lose, and others gain."));
  const std::string was = favoured_size(before), is = favoured_size(after);
  if (was != is) {
    if (!was.empty()) say.push_back(loss_by_size(was));
    if (!is.empty()) say.push_back(gain_by_size(is));
  } else if (!is.empty() && compared(before, "size") != compared(after, "size")) {
    say.push_back(compared(after, "size") > compared(before, "size") ? gain_by_size(is) : loss_by_size(is));
  } else if (is == "lanes") {
    if (after.express_gpu_hours != before.express_gpu_hours)
      say.push_back(after.express_gpu_hours > before.express_gpu_hours
                        ? spoken("Jobs of {0} to {1} GPU-hours gain: they are in the express lane now. Smaller ones lose some of their head start.", grouped(before.express_gpu_hours), grouped(after.express_gpu_hours))
                        : spoken("Jobs of {0} to {1} GPU-hours lose: they are in the express lane no more. Smaller ones gain.", grouped(after.express_gpu_hours), grouped(before.express_gpu_hours)));
    if (after.long_limit_ms != before.long_limit_ms)
      say.push_back(after.long_limit_ms > before.long_limit_ms ? spoken("Jobs with time limits of {0} to {1} gain: they are in the long lane no more.", length(before.long_limit_ms), length(after.long_limit_ms))
                                                               : spoken("Jobs with time limits of {0} to {1} lose: they are in the long lane now.", length(after.long_limit_ms), length(before.long_limit_ms)));
    if (after.middle_lane_permille != before.middle_lane_permille)
      say.push_back(after.middle_lane_permille > before.middle_lane_permille ? spoken("Jobs in the middle lane gain, and those in the express and the long lane lose.")
                                                                             : spoken("Jobs in the middle lane lose, and those in the express and the long lane gain."));
  }
  if (!is_multifactor(before) || !is_multifactor(after)) return;
  if (weight(after, "fair_share") > 0 && after.half_life_ms != before.half_life_ms)
    say.push_back(after.half_life_ms < before.half_life_ms ? spoken("Who used much some time ago gains: it is forgotten sooner.") : spoken("Who used much some time ago loses: it is remembered for longer."));
  // How long until one goes ahead of all; 0: one never does.
  const auto patience_of_all = [](const PolicyConfig& policy) { return policy.first_after_max_age ? policy.max_age_ms.ms : 0; };
  const std::int64_t waited = patience_of_all(before), waits = patience_of_all(after);
  if (waited != waits)
    say.push_back(waits > 0 && (waited == 0 || waits < waited) ? spoken("Jobs that have waited for long gain: after {0} they go ahead of all others.", length({waits}))
                  : waits > 0                                  ? spoken("Jobs that have waited for long lose: they go ahead of all others only after {0}.", length({waits}))
                                                               : spoken("Jobs that have waited for long lose: no time brings them ahead of all others."));
}

void compare_orders(const PolicyConfig& before, const PolicyConfig& after, std::vector<std::string>& say) {
  if (before.order != after.order) {
    if (after.order == "submit_time") say.push_back(spoken("Who submitted first gains, whatever his job asks for; all who had a head start lose it."));
    else if (after.order == "shortest" || after.order == "least_remaining") say.push_back(spoken("Short jobs gain, and long ones lose."));
    else if (after.order == "least_remaining_gpu_time") say.push_back(spoken("Small and short jobs gain, and large and long ones lose."));
    else if (after.order == "least_attained") say.push_back(spoken("New jobs gain, and those that have run for long lose."));
    else say.push_back(spoken("Jobs with many points gain, and those lose that the former order had ahead of them."));
  }
  compare_weights(before, after, say);
}

/// The further, the more may start ahead of those before them.
int looseness(const std::string& backfill) {
  constexpr std::array<std::string_view, 5> from_strict{"none", "conservative", "easy", "easy_sjf", "skip"};
  for (std::size_t i = 0; i < from_strict.size(); ++i)
    if (backfill == from_strict[i]) return static_cast<int>(i);
  return 1;
}

void compare_gaps(const PolicyConfig& before, const PolicyConfig& after, std::vector<std::string>& say) {
  if (before.backfill != after.backfill) {
    say.push_back(looseness(after.backfill) > looseness(before.backfill) ? spoken("Small and short jobs gain: they fill more gaps. Large ones lose: more may start ahead of them.")
                                                                         : spoken("Large jobs gain: fewer start ahead of them. Small and short ones lose: they fill fewer gaps."));
    if (plans_everybody(after)) say.push_back(spoken("All who wait gain a planned start."));
    if (plans_everybody(before)) say.push_back(spoken("Those behind the first that waits lose their planned starts."));
  }
  const auto patience = [](const PolicyConfig& policy) { return plans_everybody(policy) ? policy.patience_ms.ms : 0; };
  const std::int64_t was = patience(before), is = patience(after);
  if (was != is)
    say.push_back(is > 0 && (was == 0 || is < was) ? spoken("Large jobs that have waited for long gain: what they wait for is kept clear after {0}. Long jobs behind them lose.", length({is}))
                                                   : spoken("Long jobs gain: they are kept away from what the first job waits for later, or never. Large jobs that have waited for long lose."));
}

void compare_limits(const PolicyConfig& before, const PolicyConfig& after, std::vector<std::string>& say) {
  std::set<std::string> accounts;
  for (const auto* caps : {&before.caps, &after.caps})
    for (const auto& [account, gpus] : *caps) accounts.insert(account);
  for (const std::string& account : accounts) {
    const auto was = before.caps.find(account), is = after.caps.find(account);
    if (is == after.caps.end()) {
      say.push_back(spoken("{0} gains: its cap of {1} is gone. All others lose what it takes beyond that.", printable(account), counted(was->second, "GPU", "GPUs")));
    } else if (was == before.caps.end() || is->second < was->second) {
      say.push_back(spoken("{0} loses: it holds at most {1} now. All others gain.", printable(account), counted(is->second, "GPU", "GPUs")));
    } else if (is->second > was->second) {
      say.push_back(spoken("{0} gains: it may hold {1} now. All others lose what it takes beyond its former cap.", printable(account), counted(is->second, "GPU", "GPUs")));
    }
  }
  if (has_trials(before) != has_trials(after))
    say.push_back(has_trials(after) ? spoken("All who submit new jobs gain: they see slips within minutes. Nobody's planned start moves.") : spoken("All who submit new jobs lose: they see slips only when their turn has come."));
  else if (has_trials(after) && before.trial != after.trial)
    say.push_back(spoken("Trials of new jobs are given out differently. Nobody's planned start moves."));
  std::set<std::string> managers;
  for (const auto* budgets : {&before.boost_budgets, &after.boost_budgets})
    for (const auto& [manager, hours] : *budgets) managers.insert(manager);
  for (const std::string& manager : managers) {
    const std::int64_t was = said(before.boost_budgets, manager.c_str(), 0), is = said(after.boost_budgets, manager.c_str(), 0);
    if (is > was) say.push_back(spoken("Those gain whom {0} favours; all others may be delayed by {1} GPU-hours more in a month.", holder(manager), grouped(is - was)));
    if (is < was) say.push_back(spoken("Those lose whom {0} favours; all others are delayed by {1} GPU-hours less in a month at most.", holder(manager), grouped(was - is)));
  }
}

}  // namespace

std::vector<PolicySection> explained(const PolicyConfig& policy) {
  return {{spoken("Who is next?"), who_is_next(policy)}, {spoken("How are gaps filled?"), how_gaps_are_filled(policy)}, {spoken("Where do jobs run?"), where_jobs_run(policy)},
          {spoken("Who yields?"), who_yields(policy)},   {spoken("Who is capped?"), caps(policy)},                      {spoken("Who gets a trial?"), trials(policy)},
          {spoken("Who may grant favours?"), favours(policy)}};
}

std::vector<std::string> idle_settings(const PolicyConfig& policy) {
  const PolicyConfig usual;
  std::vector<std::string> say;
  const auto idle = [&](const std::string& setting, bool is_set, const std::string& why) {
    if (is_set) say.push_back(setting + ": " + why);
  };
  const std::string only_points = spoken("it does nothing, because only the order \"multifactor\" counts points");
  const bool points = is_multifactor(policy);
  idle("weights", !points && !policy.weights.empty(), only_points);
  idle("max_age", !points && policy.max_age_ms != usual.max_age_ms, only_points);
  idle("first_after_max_age", !points && policy.first_after_max_age != usual.first_after_max_age, only_points);
  idle("half_life", points && weight(policy, "fair_share") == 0 && policy.half_life_ms != usual.half_life_ms, spoken("it orders nobody, because the weight of fairness is 0"));
  idle("max_age", points && weight(policy, "age") == 0 && !policy.first_after_max_age && policy.max_age_ms != usual.max_age_ms,
       spoken("it does nothing, because waiting counts nothing in this policy"));
  if (points && weight(policy, "age") == 0 && !policy.first_after_max_age)
    say.push_back("weights: " + spoken("waiting counts nothing in this policy, so a job with few points may wait for ever"));
  const bool counts_size = points && weight(policy, "size") > 0;
  const std::string only_size = spoken("it does nothing, because the weight of size is 0");
  idle("size_favours", !counts_size && policy.size_favours != usual.size_favours, only_size);
  const bool has_lanes = counts_size && policy.size_favours == "lanes";
  const std::string only_lanes = spoken("it does nothing, because there are no lanes");
  idle("express_gpu_hours", !has_lanes && policy.express_gpu_hours != usual.express_gpu_hours, only_lanes);
  idle("long_limit", !has_lanes && policy.long_limit_ms != usual.long_limit_ms, only_lanes);
  idle("middle_lane", !has_lanes && policy.middle_lane_permille != usual.middle_lane_permille, only_lanes);
  idle("thresholds_gpu_s", policy.order != "least_attained" && !policy.thresholds_gpu_s.empty(), spoken("it does nothing, because only the order \"{0}\" has levels", "least_attained"));
  idle("thresholds_gpu_s", policy.order == "least_attained" && policy.thresholds_gpu_s.empty(), spoken("there are none, so all jobs are on one level and come in the order of submission"));
  const bool by_progress = policy.order.starts_with("least_");
  idle("order", by_progress && policy.preemption == "none", spoken("it counts what jobs have had already, and while nobody yields those that wait have mostly had nothing"));
  idle("preemption", policy.preemption == "by_order", spoken("a real scheduler refuses this policy; only simulations run it"));
  idle("trial", !policy.trial.empty() && said(policy.trial, "minutes", 0) <= 0, spoken("there are no trials, because it says no minutes"));
  idle("trial", said(policy.trial, "minutes", 0) > 0 && !has_trials(policy), spoken("there are no trials, because not everybody has a planned start that is kept"));
  idle("trial", has_trials(policy) && said(policy.trial, "share_permille", 100) == 0, spoken("there are no trials, because their share of the GPUs is 0"));
  for (const auto& [account, gpus] : policy.caps) idle("caps." + account, gpus == 0, spoken("jobs of this account never start"));
  return say;
}

std::vector<std::string> gains(const PolicyConfig& before, const PolicyConfig& after) {
  std::vector<std::string> say;
  compare_orders(before, after, say);
  compare_gaps(before, after, say);
  if (before.preemption != after.preemption)
    say.push_back(after.preemption == "none" ? spoken("Running jobs gain: nobody takes their GPUs.") : spoken("Jobs that are ahead in the order gain, and running ones lose: they yield."));
  compare_limits(before, after, say);
  return say;
}

PolicyConfig read_policy(const std::string& name_or_path) {
  try {
    return protocol::load_policy(name_or_path);
  } catch (const protocol::ConfigError& error) {
    throw CommandError(exit_code::usage, printable(error.where.empty() ? error_line(error.field, error.problem, error.remedy)
                                                                       : error.where + ": " + error_line(error.field, error.problem, error.remedy)));
  }
}

}  // namespace ultramarine::cli
