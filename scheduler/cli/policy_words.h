// A policy in sentences for people who write no programs: a committee that is to decide on it. What a setting means, what it costs whom, which settings
// do nothing, and what changes from one policy to another. No I/O.
#pragma once

#include <string>
#include <vector>

#include "scheduler/model/cluster.h"

namespace ultramarine::cli {

struct PolicySection {
  std::string title;                   // a question that a policy answers
  std::vector<std::string> sentences;  // its answer
  bool operator==(const PolicySection&) const = default;
};

/// The policy whole. Of every policy the same questions in the same order.
std::vector<PolicySection> explained(const PolicyConfig& policy);

/// Settings of a valid policy that do nothing beside its others, one each: "weights: ...".
std::vector<std::string> idle_settings(const PolicyConfig& policy);

/// Who gains and who loses when `after` takes the place of `before`, one sentence each; none: nobody does.
std::vector<std::string> gains(const PolicyConfig& before, const PolicyConfig& after);

/// By name or file. Throws CommandError that names file, line and column.
PolicyConfig read_policy(const std::string& name_or_path);

}  // namespace ultramarine::cli
