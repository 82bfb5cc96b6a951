// The tables: one name -> constructor per question. Adding an answer is one line here and one file beside.
#include "scheduler/core/policy/policies.h"

#include <algorithm>
#include <array>

namespace ultramarine::core::policy {
namespace {

template <class Interface>
struct Row {
  const char* name;
  std::unique_ptr<Interface> (*make)(const Context&);
};

// The first row is the answer for a name that is not listed.
constexpr std::array orders{Row<JobOrder>{"submit_time", submit_time}, Row<JobOrder>{"multifactor", multifactor}, Row<JobOrder>{"shortest", shortest},
                            Row<JobOrder>{"least_remaining", least_remaining}, Row<JobOrder>{"least_remaining_gpu_time", least_remaining_gpu_time},
                            Row<JobOrder>{"least_attained", least_attained}};
constexpr std::array backfills{Row<Backfill>{"conservative", conservative_backfill}, Row<Backfill>{"none", no_backfill},
                               Row<Backfill>{"skip", skip_backfill}, Row<Backfill>{"easy", easy_backfill}, Row<Backfill>{"easy_sjf", easy_sjf_backfill}};
constexpr std::array placements{Row<Placement>{"best_fit", best_fit}, Row<Placement>{"pack", pack}};
constexpr std::array preemptions{Row<Preemption>{"none", no_preemption}, Row<Preemption>{"by_order", preemption_by_order}};

template <class Table>
auto find(const Table& table, const std::string& name) {
  return std::find_if(table.begin(), table.end(), [&](const auto& row) { return name == row.name; });
}

template <class Table>
auto make(const Table& table, const std::string& name, const Context& context) {
  const auto row = find(table, name);
  return (row == table.end() ? table.front() : *row).make(context);
}

template <class Table>
std::vector<std::string> names_in(const Table& table) {
  std::vector<std::string> names;
  for (const auto& row : table) names.emplace_back(row.name);
  return names;
}

void check(const std::vector<std::string>& known, const char* field, const std::string& name, std::vector<std::string>& sentences) {
  if (std::find(known.begin(), known.end(), name) != known.end()) return;
  std::string sentence = std::string(field) + ": no \"" + name + "\"; there is";
  const char* separator = " ";
  for (const std::string& word : known) {
    sentence += separator + word;
    separator = ", ";
  }
  sentences.push_back(std::move(sentence));
}

}  // namespace

Policies make_policies(const State& state, Time now, const std::map<JobId, const Job*>& active) {
  const PolicyConfig& policy = state.policy;
  const Context context{state, now, active};
  return {make(orders, policy.order, context), make(backfills, policy.backfill, context), make(placements, policy.placement, context),
          make(preemptions, policy.preemption, context)};
}

Names names() { return {names_in(orders), names_in(backfills), names_in(placements), names_in(preemptions)}; }

std::vector<std::string> unknown_names(const PolicyConfig& policy) {
  const Names known = names();
  std::vector<std::string> sentences;
  check(known.orders, "order", policy.order, sentences);
  check(known.backfills, "backfill", policy.backfill, sentences);
  check(known.placements, "placement", policy.placement, sentences);
  check(known.preemptions, "preemption", policy.preemption, sentences);
  return sentences;
}

}  // namespace ultramarine::core::policy
