// The sentences of notices, by name.
#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>

#include "scheduler/notifier/wording.h"

namespace ultramarine::notifier {

enum class Sentence {
  job,
  array,
  began,
  array_began,
  completed,
  ended,
  cancelled,
  failed,
  failed_without_reason,
  array_ended,
  requeued,
  requeued_without_reason,
  delayed,
  start_lost,
  used_up,
  reached_limit,
  by_boost,
  by_hold,
  by_cancel,
  by_requeue,
  by_extend,
  by_reserve,
  with_reason,
  whose,
  rank_code,
  rank_signal,
  timed_out,
  out_of_memory,
  preempted,
  node_lost,
  some_node_lost,
  device_lost,
  start_failed,
  stalled,
  supervisor_lost,
  label_cluster,
  label_job,
  label_account,
  label_owner,
  label_partition,
  label_state,
  label_reason,
  label_detail,
  label_elements,
  label_nodes,
  label_submitted,
  label_started,
  label_ended,
  label_time_limit,
  label_gpu_hours,
  label_cost,
  label_planned,
  label_instead_of,
  label_last_lines,
  elements_line,
  state_queued,
  state_held,
  state_starting,
  state_running,
  state_stopping,
  state_unknown,
  state_completed,
  state_failed,
  state_cancelled,
  how_to_look,
  how_to_read,
  how_to_ask_why,
  who_wrote,
  last  // no sentence
};

std::string_view wording(Sentence sentence, Language language);

template <class... Arguments>
std::string in_words(Language language, Sentence sentence, const Arguments&... arguments) {
  return fmt::format(fmt::runtime(wording(sentence, language)), arguments...);
}

}  // namespace ultramarine::notifier
