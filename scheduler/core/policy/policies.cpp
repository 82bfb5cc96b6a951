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
constexpr std::array orders{Row<JobOrder>{"submit_time", submit_time}};
constexpr std::array backfills{Row<Backfill>{"conservative", conservative_backfill}, Row<Backfill>{"none", no_backfill}};
constexpr std::array placements{Row<Placement>{"best_fit", best_fit}, Row<Placement>{"pack", pack}};
constexpr std::array preemptions{Row<Preemption>{"none", no_preemption}};

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
void check(const Table& table, const char* field, const std::string& name, std::vector<std::string>& sentences) {
  if (find(table, name) != table.end()) return;
  std::string sentence = std::string(field) + ": no \"" + name + "\"; there is";
  const char* separator = " ";
  for (const auto& row : table) {
    sentence += separator + std::string(row.name);
    separator = ", ";
  }
  sentences.push_back(std::move(sentence));
}

}  // namespace

Policies make_policies(const State& state, Time now) {
  const PolicyConfig& policy = state.policy;
  const Context context{state, now};
  return {make(orders, policy.order, context), make(backfills, policy.backfill, context), make(placements, policy.placement, context),
          make(preemptions, policy.preemption, context)};
}

std::vector<std::string> unknown_names(const PolicyConfig& policy) {
  std::vector<std::string> sentences;
  check(orders, "order", policy.order, sentences);
  check(backfills, "backfill", policy.backfill, sentences);
  check(placements, "placement", policy.placement, sentences);
  check(preemptions, "preemption", policy.preemption, sentences);
  return sentences;
}

}  // namespace ultramarine::core::policy
