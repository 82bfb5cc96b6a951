// Words of the API that are no English of their own.
import { t } from "./language";

const causes: Record<string, string> = {
  running_job: "running jobs",
  job_ahead: "jobs ahead",
  boost: "a boost",
  shape: "the shape asked for",
  hold: "a hold",
  dependency: "jobs it depends on",
  array_limit: "its own array",
  begin_time: "its begin time",
  restart_delay: "a new try",
  limit: "a limit",
  soft_cap: "a soft cap",
  reservation: "a reservation",
  nodes: "nodes",
  deadline: "its deadline",
  impossible: "the impossible",
  scheduler: "the scheduler",
};
const outcomes: Record<string, string> = {
  succeeded: "succeeded",
  failed: "failed",
  out_of_memory: "out of memory",
  timed_out: "its time was over",
  cancelled: "cancelled",
  preempted: "preempted",
  node_lost: "a node was lost",
  device_lost: "a GPU was lost",
  start_failed: "it could not start",
  stalled: "it made no progress",
  supervisor_lost: "its supervisor was lost",
};

export const cause_words = (cause: string) => t(causes[cause] ?? cause);
export const outcome_words = (outcome: string) => t(outcomes[outcome] ?? outcome);
