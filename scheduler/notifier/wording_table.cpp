#include "scheduler/notifier/wording_table.h"

#include <array>

namespace ultramarine::notifier {
namespace {

struct Twin {
  Sentence sentence;
  std::string_view english, korean;
};

/// In the order of the names. Korean avoids particles behind what is filled in.
constexpr auto made_twins() {
  using enum Sentence;
  return std::array<Twin, static_cast<std::size_t>(last)>{{
      {job, "Job {0} {1}", "작업 {0} {1}"},
      {array, "Array {0} {1} ({2} jobs)", "배열 {0} {1} (작업 {2}개)"},
      {began, "{0} started on {1}", "{0}: {1}에서 시작했습니다"},
      {array_began, "{0} started", "{0}: 시작했습니다"},
      {completed, "{0} completed after {1}", "{0}: {1} 만에 완료했습니다"},
      {ended, "{0} completed", "{0}: 완료했습니다"},
      {cancelled, "{0} was cancelled", "{0}: 취소되었습니다"},
      {failed, "{0} failed: {1}", "{0}: 실패했습니다: {1}"},
      {failed_without_reason, "{0} failed", "{0}: 실패했습니다"},
      {array_ended, "{0} ended: {1} completed, {2} failed, {3} cancelled",
       "{0}: 끝났습니다: 완료 {1}, 실패 {2}, 취소 {3}"},
      {requeued, "{0} waits in the queue again: {1}", "{0}: 다시 대기합니다: {1}"},
      {requeued_without_reason, "{0} waits in the queue again", "{0}: 다시 대기합니다"},
      {delayed, "{0} starts {1} later than planned, on {2}", "{0}: 예정 시작이 {1} 늦어졌습니다: {2}"},
      {start_lost, "{0} has no planned start any more", "{0}: 예정된 시작이 없어졌습니다"},
      {used_up, "{0} has used {1}% of its time limit of {2}", "{0}: 시간 제한의 {1}%를 썼습니다 (제한 {2})"},
      {reached_limit, "{0} has reached its time limit of {1}", "{0}: 시간 제한에 이르렀습니다 (제한 {1})"},
      {by_boost, "{0} put job {1} ahead of it", "{0} 님이 작업 {1}의 순서를 앞당겼습니다"},
      {by_hold, "{0} held job {1}", "{0} 님이 작업 {1}의 시작을 보류했습니다"},
      {by_cancel, "{0} cancelled job {1}", "{0} 님이 작업 {1}의 실행을 취소했습니다"},
      {by_requeue, "{0} put job {1} back into the queue", "{0} 님이 작업 {1}의 실행을 대기열로 되돌렸습니다"},
      {by_extend, "{0} gave job {1} more time", "{0} 님이 작업 {1}의 시간을 늘렸습니다"},
      {by_reserve, "{0} reserved {1}", "{0} 님이 예약했습니다: {1}"},
      {with_reason, "{0}: {1}", "{0}: {1}"},
      {whose, "{0} ({1}, {2})", "{0} ({1}, {2})"},
      {rank_code, "rank {0} on {1}, exit code {2}", "랭크 {0} ({1}), 종료 코드 {2}"},
      {rank_signal, "rank {0} on {1}, signal {2} ({3})", "랭크 {0} ({1}), 시그널 {2} ({3})"},
      {timed_out, "it reached its time limit of {0}", "시간 제한 {0}에 이르렀습니다"},
      {out_of_memory, "it ran out of memory", "메모리가 부족했습니다"},
      {preempted, "it was stopped, so that it runs again later", "나중에 다시 실행되도록 중지되었습니다"},
      {node_lost, "node {0} was lost", "노드 {0}의 연결이 끊어졌습니다"},
      {some_node_lost, "a node was lost", "노드와의 연결이 끊어졌습니다"},
      {device_lost, "a GPU was lost", "GPU가 고장났습니다"},
      {start_failed, "it could not be started", "시작하지 못했습니다"},
      {stalled, "none of its ranks got any further", "어느 랭크도 진행하지 못했습니다"},
      {supervisor_lost, "what supervised it was lost", "감독 프로세스가 사라졌습니다"},
      {label_cluster, "Cluster", "클러스터"},
      {label_job, "Job", "작업"},
      {label_account, "Account", "계정"},
      {label_owner, "Owner", "소유자"},
      {label_partition, "Partition", "파티션"},
      {label_state, "State", "상태"},
      {label_reason, "Reason", "이유"},
      {label_detail, "Detail", "자세히"},
      {label_elements, "Elements", "배열 요소"},
      {label_nodes, "Nodes", "노드"},
      {label_submitted, "Submitted", "제출"},
      {label_started, "Started", "시작"},
      {label_ended, "Ended", "종료"},
      {label_time_limit, "Time limit", "시간 제한"},
      {label_gpu_hours, "GPU-hours", "GPU 시간"},
      {label_cost, "Cost", "비용"},
      {label_planned, "Planned start", "예정 시작"},
      {label_instead_of, "Instead of", "이전 예정"},
      {label_last_lines, "Last lines of its output:", "출력의 마지막 줄:"},
      {elements_line, "{0} in all: {1} completed, {2} failed, {3} cancelled", "모두 {0}: 완료 {1}, 실패 {2}, 취소 {3}"},
      {state_queued, "queued", "대기"},
      {state_held, "held", "보류"},
      {state_starting, "starting", "시작 중"},
      {state_running, "running", "실행 중"},
      {state_stopping, "stopping", "중지 중"},
      {state_unknown, "unknown", "알 수 없음"},
      {state_completed, "completed", "완료"},
      {state_failed, "failed", "실패"},
      {state_cancelled, "cancelled", "취소"},
      {how_to_look, "All that is known of it: ultra show {0}", "자세한 내용: ultra show {0}"},
      {how_to_read, "Its output: ultra logs {0}", "출력: ultra logs {0}"},
      {how_to_ask_why, "Why it waits: ultra why {0}", "대기하는 이유: ultra why {0}"},
      {who_wrote, "Ultramarine wrote this; --mail-type of 'ultra submit' says what it tells. Notice {0}",
       "Ultramarine이 보낸 알림입니다. 무엇을 알릴지는 'ultra submit'의 --mail-type으로 정합니다. 알림 {0}"},
  }};
}
constexpr auto twins = made_twins();

constexpr bool in_order() {
  for (std::size_t i = 0; i < twins.size(); ++i)
    if (twins[i].sentence != static_cast<Sentence>(i) || twins[i].english.empty() || twins[i].korean.empty())
      return false;
  return true;
}
static_assert(in_order(), "every sentence has both forms, in the order of its name");

}  // namespace

std::string_view wording(Sentence sentence, Language language) {
  const Twin& twin = twins[static_cast<std::size_t>(sentence)];
  return language == Language::korean ? twin.korean : twin.english;
}

std::vector<std::pair<std::string_view, std::string_view>> all_wordings() {
  std::vector<std::pair<std::string_view, std::string_view>> all;
  for (const Twin& twin : twins) all.emplace_back(twin.english, twin.korean);
  return all;
}

}  // namespace ultramarine::notifier
