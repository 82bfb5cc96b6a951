// A job as the tabs show it: one flat row, made from the API's JobView in the worker that reads long lists.
import type { JobView, NodeAllocation } from "./messages";

export interface Stay {
  from: number; // when its GPUs were given to it
  to: number | null; // null: it holds them
  outcome: string;
  nodes: NodeAllocation[];
}

export interface JobRow {
  job: number;
  name: string; // as people write it: 12, or 12_3
  label: string;
  account: string;
  user: string; // "" without identity
  state: string;
  gpus: number;
  qos: string;
  submitted_ms: number;
  limit_ms: number;
  position: number; // in the order of the plan; 0: it doesn't wait
  start_ms: number | null; // of the current stay; of one that waits the planned start
  end_ms: number | null; // latest, planned or real
  backfilled: boolean;
  boosted: boolean;
  nodes: NodeAllocation[]; // held, or planned
  stays: Stay[];
  why: string;
  step: number | null;
  loss: number | null;
  tokens_per_s: number | null;
  phase: string;
}

const waiting_states = ["queued", "held"];
const ended_states = ["completed", "failed", "cancelled"];

export const waits = (row: JobRow) => waiting_states.includes(row.state);
export const has_ended = (row: JobRow) => ended_states.includes(row.state);
export const is_active = (row: JobRow) => !waits(row) && !has_ended(row);

export function row_of(view: JobView): JobRow {
  const { details, planned } = view;
  const attempts = details.attempts ?? [];
  const last = attempts[attempts.length - 1];
  const waiting = waiting_states.includes(details.state);
  const from = waiting || !last ? (planned?.start_ms ?? null) : (last.started_ms ?? last.decided_ms);
  let to: number | null = null;
  if (waiting) to = planned?.end_ms ?? null;
  else if (details.ended_ms) to = details.ended_ms;
  else if (from !== null) to = from + (last?.trial_ms || details.spec.time_limit_ms);
  return {
    job: details.job,
    name: details.array ? `${details.array.array}_${details.array.index ?? 0}` : String(details.job),
    label: details.spec.name,
    account: details.spec.account,
    user: details.owner.name ?? "",
    state: details.state,
    gpus: view.gpus,
    qos: details.spec.qos,
    submitted_ms: details.submitted_ms,
    limit_ms: details.spec.time_limit_ms,
    position: waiting ? (planned?.position ?? 0) : 0,
    start_ms: from,
    end_ms: to,
    backfilled: Boolean(waiting ? planned?.backfilled : last?.backfilled),
    boosted: Boolean(details.boost),
    nodes: (waiting ? planned?.allocation : last?.allocation) ?? [],
    stays: attempts.map((attempt) => ({
      from: attempt.decided_ms,
      to: attempt.ended_ms ?? null,
      outcome: attempt.outcome ?? "",
      nodes: attempt.allocation ?? [],
    })),
    why: view.why ?? "",
    step: view.progress ? (view.progress.step ?? 0) : null,
    loss: view.progress ? (view.progress.loss ?? 0) : null,
    tokens_per_s: view.progress ? (view.progress.tokens_per_s ?? 0) : null,
    phase: view.progress?.phase ?? "",
  };
}

/// node[01-03], as people write it.
export function node_names(nodes: { node: string }[]): string {
  const groups = new Map<string, string[]>();
  for (const { node } of nodes) {
    const found = node.match(/^(.*?)(\d+)$/);
    const group = found ? found[1] + "#" + found[2].length : node;
    groups.set(group, [...(groups.get(group) ?? []), found ? found[2] : ""]);
  }
  const parts: string[] = [];
  for (const [group, numbers] of groups) {
    const prefix = group.replace(/#\d+$/, "");
    if (numbers.length === 1) {
      parts.push(prefix + numbers[0]);
      continue;
    }
    const sorted = numbers.map(Number).sort((a, b) => a - b);
    const width = numbers[0].length;
    const padded = (n: number) => String(n).padStart(width, "0");
    const ranges: string[] = [];
    for (let i = 0; i < sorted.length; ) {
      let j = i;
      while (j + 1 < sorted.length && sorted[j + 1] === sorted[j] + 1) ++j;
      ranges.push(i === j ? padded(sorted[i]) : `${padded(sorted[i])}-${padded(sorted[j])}`);
      i = j + 1;
    }
    parts.push(`${prefix}[${ranges.join(",")}]`);
  }
  return parts.join(",");
}
